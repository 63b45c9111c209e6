--- tideway.stream -- what users hold: handles with a method for every operator.
local catalog = require "tideway.catalog"
local check = require "tideway.check"
local coding = require "tideway.coding"
local errors = require "tideway.errors"
local feed = require "tideway.feed"
local finish = require "tideway.finish"
local graph = require "tideway.graph"
local policy = require "tideway.policy"
local region = require "tideway.region"
local sched = require "tideway.sched"
require "tideway.fuse"

local misuse = errors.misuse
local offer = region.offer

local stream = {}
local methods = {}
stream.methods = methods

local classes = {} -- methods table -> metatable of its handles

local function class(of)
  if not classes[of] then
    classes[of] = {
      __index = of,
      __tostring = function(self) return tostring(self._node) end,
    }
  end
  return classes[of]
end

--- The handle of a node.
local function wrap(node)
  local handle = graph.handles[node]
  if not handle then
    handle = setmetatable({ _node = node }, class(node.desc.methods or methods))
    handle._guard = graph.hold(node, handle)
  end
  return handle
end
stream.wrap = wrap

--- The node of a handle that must be a living stream.
local function node_of(handle, op)
  if not check.is_stream(handle) then
    misuse("%s: must be called on a stream, as stream:%s(...), got %s", op, op, check.show(handle))
  end
  local node = handle._node
  if node.destroyed then misuse("%s: the stream %s has been destroyed", op, tostring(node)) end
  return node
end
stream.node_of = node_of

-- Names that are no operator --------------------------------------------------------------

local known  -- every method name, made when first needed
local makers

local function names()
  if known then return known end
  known = {}
  for name in pairs(methods) do known[#known + 1] = name end
  for name in pairs(makers) do
    if rawget(methods, name) == nil then known[#known + 1] = name end
  end
  table.sort(known)
  return known
end

-- Operators -------------------------------------------------------------------------------

--- The method that a descriptor describes.
local function method(desc)
  if desc.join then
    return function(self, ...) return stream.join(desc, self, ...) end
  end
  return function(self, ...)
    local up = node_of(self, desc.name)
    local args, extra, opts = check.call(desc, ...)
    if desc.above then up = desc.above(self, opts)._node end
    local there = desc.instead and desc.instead(self, opts, stream)
    if there then return there end
    local node = graph.node(desc, args, extra, opts, { up })
    local handle = wrap(node)
    if desc.result then return desc.result(node, handle) end
    return handle
  end
end

--- Build a join: `first` (nil for the function form) and the other arguments, the last of
-- which may be a table of settings.
function stream.join(desc, first, ...)
  local list, n = { ... }, select("#", ...)
  if first ~= nil then
    node_of(first, desc.name)
    table.insert(list, 1, first)
    n = n + 1
  end
  local settings
  if n > 0 and type(list[n]) == "table" and not check.is_stream(list[n]) and n > 1
    and getmetatable(list[n]) == nil then
    settings, list[n], n = list[n], nil, n - 1
  end
  return stream.join_list(desc, list, n, settings)
end

--- The same with the upstreams and literals as an array.
function stream.join_list(desc, list, n, settings)
  local opts = check.settings(desc.name, desc.opts or {}, settings)
  local ups, ports = {}, {}
  for i = 1, n do
    local x = list[i]
    if check.is_stream(x) then
      local up = node_of(x, desc.name)
      ports[i] = { up = up }
      if not graph.index_of(ups, up) then ups[#ups + 1] = up end
    elseif desc.literals then
      ports[i] = { literal = x }
    else
      misuse("%s: argument %d must be a stream, got %s", desc.name, i, check.show(x))
    end
  end
  if #ups == 0 then misuse("%s: needs at least one stream", desc.name) end
  local node = graph.node(desc, { ports = ports, n = n }, nil, opts, ups)
  return wrap(node)
end

--- Add a method made from a descriptor (or a function on streams) under a name.
function stream.add(name, def)
  rawset(methods, name, type(def) == "function" and def or method(def))
  known = nil
end

-- name -> how to make its method, for all that the catalog names
makers = {}
for _, kind in ipairs { "op", "sink" } do
  for _, name in ipairs(catalog[kind]) do
    makers[name] = function() return method(require("tideway." .. kind .. "." .. name)) end
  end
end
for _, codec in ipairs(catalog.codec) do
  -- json{...} is decode("json", {...})
  makers[codec] = function()
    local decode = require "tideway.op.decode"
    local opts = coding.settings "decode"
    return method(setmetatable({
      name = codec, kind = "decode", args = {},
      opts = function(_, given) return opts({ codec = codec }, given) end,
      new = function(node)
        node.args.codec = codec
        decode.new(node)
      end,
    }, { __index = decode }))
  end
end
for alias, name in pairs(catalog.alias) do
  makers[alias] = function()
    return method(setmetatable({ name = alias, kind = name },
      { __index = require("tideway.op." .. name) }))
  end
end

-- Methods are made when first used: a script loads what it needs.
setmetatable(methods, {
  __index = function(self, name)
    if type(name) ~= "string" or name:sub(1, 1) == "_" then return nil end
    local make = makers[name]
    if make then
      local made = make()
      rawset(self, name, made)
      return made
    end
    if graph.index_of(catalog.later, name) then misuse("stream: '%s' is not there yet", name) end
    misuse("stream: there is no operator '%s'%s", name, errors.suggestion(name, names()))
  end,
})

-- Emission --------------------------------------------------------------------------------

local counter -- tideway.counter, once there is metadata

local function check_metadata(op, metadata)
  counter = counter or require "tideway.counter"
  counter.check(op, metadata)
end

--- Push x into the stream.
-- x         any value but nil
-- metadata  nil, or an array of tables that travels with x
-- Returns once everything below has finished with x; raises what a user function raised.
function methods:emit(x, metadata)
  local node = type(self) == "table" and self._node
  if not node then node_of(self, "emit") end
  if x == nil then misuse "emit: nil is the absence of an element (use tw.null or false)" end
  if metadata ~= nil then check_metadata("emit", metadata) end
  if sched.failure and sched.current == sched.main then sched.raise() end
  local out = node.entry
  if not out then
    if node.destroyed then misuse("emit: the stream %s has been destroyed", tostring(node)) end
    out = region.below(node)
    node.entry = out -- its out region, until it is destroyed
  end
  if metadata == nil and sched.current.metadata == nil then
    offer(out, x)
  else
    region.enter_with(out, x, metadata)
  end
end

--- Would an element that enters here now be through without waiting, as far as operators decide?
local function passable(node, seen)
  if node.out_region and node.out_region.busy then return false end
  for _, down in ipairs(node.downs) do
    if down.desc.gate and not down.desc.gate(down, node) then return false end
    if not seen[down] then
      seen[down] = true
      if down.in_region and down.in_region.busy then return false end
      if not down.desc.relay and not passable(down, seen) then return false end
    end
  end
  return true
end

--- Emit without ever waiting: false when the element would have had to (a full buffer, a rate
-- limit, a busy stream below), whatever its way. Else true; a user function that suspends goes
-- on in a task of its own.
function methods:try_emit(x, metadata)
  if x == nil then misuse "try_emit: nil is the absence of an element (use tw.null or false)" end
  local node = node_of(self, "try_emit")
  if metadata ~= nil then check_metadata("try_emit", metadata) end
  if not passable(node, {}) then return false end
  sched.attempt(metadata and region.enter_with or offer, region.below(node), x, metadata)
  return true
end

-- Edges -----------------------------------------------------------------------------------

--- Subscribe another stream to this one. Connecting twice has no further effect.
function methods:connect(downstream)
  local up, down = node_of(self, "connect"), node_of(downstream, "connect")
  if up.desc.sink then misuse("connect: a sink passes nothing on") end
  if down.desc.open then misuse("connect: %s is a source, it has no upstreams", tostring(down)) end
  graph.connect(up, down)
end

--- Undo connect; raises when the two are not connected.
function methods:disconnect(downstream)
  local up, down = node_of(self, "disconnect"), node_of(downstream, "disconnect")
  if not graph.disconnect(up, down) then
    misuse("disconnect: %s is not connected to %s", tostring(self), tostring(downstream))
  end
end

--- Detach from all upstreams. A source stops; a sink lets go of what is above it.
function methods:destroy()
  if not check.is_stream(self) then misuse "destroy: must be called on a stream" end
  local node = self._node
  if node.destroyed then return end
  if node.desc.open then feed.stop(node) end
  graph.destroy(node)
end

local function handles_of(nodes)
  graph.reap()
  local list = {}
  for i, node in ipairs(nodes) do list[i] = wrap(node) end
  return list
end

--- The streams that this one is subscribed to, a fresh array.
function methods:upstreams()
  if not check.is_stream(self) then node_of(self, "upstreams") end
  return handles_of(self._node.ups)
end

--- The streams subscribed to this one, in the order in which they are served.
function methods:downstreams()
  if not check.is_stream(self) then node_of(self, "downstreams") end
  return handles_of(self._node.downs)
end

--- fn(stream, ...): pipelines are functions from streams to streams.
function methods:apply(fn, ...)
  node_of(self, "apply")
  check.value("apply", "fn", "function", fn)
  return fn(self, ...)
end

--- Name the stream; returns it.
function methods:named(name)
  local node = node_of(self, "named")
  check.value("named", "name", "string", name)
  node.name = name
  return self
end

--- Say what becomes of elements that fail below this stream; returns it.
-- policy  "raise", "skip", {retry = n, backoff = "100ms", ["then"] = policy} or a stream
function methods:on_error(given)
  local node = node_of(self, "on_error")
  node.policy = policy.check(given)
  graph.governed = true
  graph.touch_below(node)
  return self
end

--- Call fn() when the stream has ended; returns the stream.
function methods:on_end(fn)
  local node = node_of(self, "on_end")
  check.value("on_end", "fn", "function", fn)
  node.on_end = node.on_end or {}
  table.insert(node.on_end, fn)
  return self
end

--- Start the sources above this stream; returns it.
function methods:start()
  for _, node in ipairs(feed.sources_above(node_of(self, "start"))) do feed.start(node) end
  return self
end

--- Stop the sources above this stream; returns it.
function methods:stop()
  for _, node in ipairs(feed.sources_above(node_of(self, "stop"))) do feed.stop(node) end
  return self
end

--- The port that the sink, or the source above this stream, listens on.
function methods:port()
  local own = node_of(self, "port")
  local port = own.desc.sink and own.desc.port and own.desc.port(own)
  if port then return port end
  for _, node in ipairs(feed.sources_above(own)) do
    port = node.desc.port and node.desc.port(node)
    if port then return port end
  end
  misuse("port: %s listens on none", tostring(self))
end

--- What the source above this stream has counted, as a table of names.
function methods:counts()
  for _, node in ipairs(feed.sources_above(node_of(self, "counts"))) do
    if node.desc.counts then return node.desc.counts(node) end
  end
  misuse("counts: no source above %s counts", tostring(self))
end

--- The graph that this stream is part of, as text.
function methods:explain() return require("tideway.dump").graph(node_of(self, "explain")) end

policy.uses(function(handle, x, metadata)
  if metadata == nil then return methods.emit(handle, x) end
  return region.enter_with(region.below(node_of(handle, "on_error")), x, metadata)
end)

-- Sources ---------------------------------------------------------------------------------

--- The constructor that a source's descriptor describes.
function stream.source(desc)
  local known_opts = { { "start", "boolean?" }, { "name", "string?" } }
  for _, row in ipairs(desc.opts or {}) do known_opts[#known_opts + 1] = row end
  local full = setmetatable({ opts = known_opts }, { __index = desc })
  return function(...)
    if desc.find then -- one that is there already
      local handle = desc.find(...)
      if handle then return handle end
    end
    local args, extra, opts = check.call(full, ...)
    local node = graph.node(desc, args, extra, opts, {})
    node.name = opts.name
    feed.register(node)
    local handle = wrap(node)
    if opts.start then feed.start(node) end
    if desc.result then return desc.result(node, handle) end
    return handle
  end
end

--- Register what the user registers.
function stream.register(name, def)
  check.value("register_operator", "name", "string", name)
  if rawget(methods, name) ~= nil or makers[name] then misuse("register_operator: the name '%s' is taken", name) end
  if type(def) == "table" then
    if type(def.emit) ~= "function" then
      misuse "register_operator: a descriptor needs the function emit(b, node, x)"
    end
    local desc = {}
    for key, x in pairs(def) do desc[key] = x end
    desc.name, desc.args = name, def.args or {}
    def = desc
  elseif type(def) ~= "function" then
    misuse("register_operator: def must be a function or a descriptor, got %s", check.show(def))
  end
  stream.add(name, def)
end

stream.finish = finish
return stream
