--- spec.reference -- the operators once more, slowly: what tideway's results are held against.
--
-- One element at a time, one call per node, nothing fused. `reference.stream()` has the
-- methods of a tideway stream, so that a spec builds the same graph twice. It knows no
-- tasks, timers or metadata. How an element travels:
--
--     push(node, x, who)   x comes to node from the upstream who; queued while node is busy
--     node.step(x, who)    what the operator does with it
--     send(node, x)        x goes to every downstream, in the order of attachment
--
-- A failure is thrown as { raise = err } (to the emitter) or { drop = stream } (caught where
-- the element left the stream whose on_error governs, or at a piece below it).

local ffi = require "ffi"

local reference = {}
local Node = {}

local function null()
  return require("tideway").null
end

-- travelling -----------------------------------------------------------------------------

local push

local function is_node(x)
  return getmetatable(x) == Node
end

--- The nearest stream above node that has an on_error policy; nil: raise.
local function governor(node)
  local level, seen = node.ups, {}
  while #level > 0 do
    local above = {}
    for _, up in ipairs(level) do
      if up.policy then return up end
      if not seen[up] then
        seen[up] = true
        for _, further in ipairs(up.ups) do above[#above + 1] = further end
      end
    end
    level = above
  end
end

--- Whether why, thrown below node, was to drop what node was given.
local function dropped_here(node, why)
  return type(why) == "table" and why.drop ~= nil and why.drop == governor(node)
end

local function send(node, x)
  if x == nil then return end
  local ok, why = pcall(function()
    local downs = {}
    for i, down in ipairs(node.downs) do downs[i] = down end
    for _, down in ipairs(downs) do push(down, x, node) end
  end)
  if not ok and not (node.policy and type(why) == "table" and why.drop == node) then
    error(why, 0)
  end
end

--- One of several outputs made of one element: when it is dropped, the others go on.
local function piece(node, x)
  local ok, why = pcall(send, node, x)
  if not ok and not dropped_here(node, why) then error(why, 0) end
  if #node.ups > 1 then return end -- a join takes what comes to it after its whole step
  while node.queue[1] and not node.queue[1][2] do
    ok, why = pcall(send, node, table.remove(node.queue, 1)[1])
    if not ok and not dropped_here(node, why) then error(why, 0) end
  end
end

function push(node, x, who)
  node.queue[#node.queue + 1] = { x, who }
  if node.busy then return end
  node.busy = true
  local first
  for i = 1, math.huge do
    local item = table.remove(node.queue, 1)
    if not item then break end
    local ok, why
    if item[2] then
      ok, why = pcall(node.step, item[1], item[2])
    else
      ok, why = pcall(send, node, item[1])             -- emitted to node itself
    end
    if not ok then
      if not dropped_here(node, why) then
        node.queue, node.busy = {}, false
        error(why, 0)
      end
      if i == 1 then first = why end
    end
  end
  node.busy = false
  if first then error(first, 0) end
end

--- node could not handle x: what the governing policy makes of it.
local function fail(node, x, err)
  local stream = governor(node)
  local policy = stream and stream.policy or "raise"
  if type(policy) == "table" and policy.retry then policy = policy["then"] or "raise" end
  if policy == "raise" then error({ raise = err }, 0) end
  if is_node(policy) then
    policy:emit { element = x, error = err, operator = tostring(node) }
  end
  error({ drop = stream }, 0)
end

--- fn(...) for the element x of node, as often as the policy says.
local function call(node, x, fn, ...)
  local stream = governor(node)
  local policy = stream and stream.policy
  local tries = type(policy) == "table" and policy.retry or 0
  for try = 0, tries do
    local ok, a, b = pcall(fn, ...)
    if ok then return a, b end
    if try == tries then fail(node, x, a) end
  end
end

--- node ends, once all above it have; those that only close a loop do not count.
local function finish(node)
  for _, up in ipairs(node.ups) do
    if not up.over and not up:is_below(node) then return end
  end
  if node.over then return end
  if node.flush_end then node.flush_end() end
  node.over = true
  for _, fn in ipairs(node.at_end) do fn() end
  for _, down in ipairs(node.downs) do finish(down) end
end

-- nodes ----------------------------------------------------------------------------------

Node.__index = Node

function Node:__tostring()
  return self.name and ("<%s: %s>"):format(self.kind, self.name) or ("<%s>"):format(self.kind)
end

local function new(kind, ...)
  local node = setmetatable({ kind = kind, ups = {}, downs = {}, queue = {}, at_end = {} }, Node)
  node.step = function(x) send(node, x) end
  for _, up in ipairs { ... } do up:connect(node) end
  return node
end

function reference.stream()
  return new "stream"
end

function Node:connect(down)
  for _, have in ipairs(self.downs) do
    if have == down then return end
  end
  self.downs[#self.downs + 1] = down
  down.ups[#down.ups + 1] = self
end

local function take_out(list, x)
  for i = #list, 1, -1 do
    if list[i] == x then table.remove(list, i) end
  end
end

function Node:disconnect(down)
  local before = #self.downs
  take_out(self.downs, down)
  if #self.downs == before then error("not connected") end
  take_out(down.ups, self)
  if down.lost then down.lost(self) end
end

--- Detach from all upstreams.
function Node:destroy()
  for i = #self.ups, 1, -1 do self.ups[i]:disconnect(self) end
end

function Node:is_below(node, seen)
  seen = seen or {}
  if self == node then return true end
  if seen[self] then return false end
  seen[self] = true
  for _, up in ipairs(self.ups) do
    if up:is_below(node, seen) then return true end
  end
  return false
end

--- What is thrown goes on to the emitter, unless it was to drop the element.
local function to_emitter(ok, why)
  if ok or type(why) == "table" and why.drop then return end
  error(type(why) == "table" and why.raise or why, 0)
end

function Node:emit(x)
  to_emitter(pcall(push, self, x))
end

--- End of stream, as when a source has given all.
function Node:finish()
  to_emitter(pcall(finish, self))
end

function Node:on_error(policy) self.policy = policy return self end
function Node:on_end(fn) table.insert(self.at_end, fn) return self end
function Node:named(name) self.name = name return self end
function Node:apply(fn, ...) return fn(self, ...) end

-- keys: numbers by value, 64-bit integers too; strings by bytes; tables by identity --------

local int64, uint64 = ffi.typeof "int64_t", ffi.typeof "uint64_t"

local function canonical(key)
  if ffi.istype(int64, key) or ffi.istype(uint64, key) then
    local as_number = tonumber(key)
    if math.abs(as_number) < 2 ^ 62 and ffi.cast(int64, as_number) == key then return as_number end
    return "i64:" .. tostring(key):gsub("U?LL", "")
  end
  if type(key) == "string" then return "text:" .. key end
  return key
end

local function same_content(a, b)
  if type(a) ~= "table" or type(b) ~= "table" then return canonical(a) == canonical(b) end
  for k, v in pairs(a) do if not same_content(v, b[k]) then return false end end
  for k in pairs(b) do if a[k] == nil then return false end end
  return true
end

--- The key of x by spec (function, field, or nil: x itself); fails when it is nil or NaN.
local function key_of(node, x, spec)
  local key = x
  if type(spec) == "function" then
    key = call(node, x, spec, x)
  elseif spec ~= nil then
    key = call(node, x, function() return x[spec] end)
  end
  if key == nil or key ~= key then fail(node, x, "a key is nil or NaN") end
  return canonical(key), key
end

-- operators ------------------------------------------------------------------------------

function Node:map(fn, ...)
  local node, extra = new("map", self), { n = select("#", ...), ... }
  function node.step(x) send(node, (call(node, x, fn, x, unpack(extra, 1, extra.n)))) end
  return node
end

function Node:filter_map(...)
  local node = self:map(...)
  node.kind = "filter_map"
  return node
end

function Node:starmap(fn, ...)
  local node, extra = new("starmap", self), { n = select("#", ...), ... }
  function node.step(x)
    if type(x) ~= "table" then fail(node, x, "not a tuple") end
    local args, n = { unpack(x) }, #x
    for i = 1, extra.n do args[n + i] = extra[i] end
    send(node, (call(node, x, fn, unpack(args, 1, n + extra.n))))
  end
  return node
end

function Node:filter(pred, ...)
  local node, extra = new("filter", self), { n = select("#", ...), ... }
  function node.step(x)
    local keep = x
    if pred then keep = call(node, x, pred, x, unpack(extra, 1, extra.n)) end
    if keep then send(node, x) end
  end
  return node
end

function Node:remove(pred, ...)
  local node, extra = new("remove", self), { n = select("#", ...), ... }
  function node.step(x)
    if not call(node, x, pred, x, unpack(extra, 1, extra.n)) then send(node, x) end
  end
  return node
end

function Node:tap(fn, ...)
  local node, extra = new("tap", self), { n = select("#", ...), ... }
  function node.step(x)
    call(node, x, fn, x, unpack(extra, 1, extra.n))
    send(node, x)
  end
  return node
end

function Node:accumulate(fn, opts)
  local node, state, value = new("accumulate", self), opts and opts.start, nil
  opts = opts or {}
  function node.step(x)
    if state == nil then
      state, value = x, x
    else
      local given
      given, value = call(node, x, fn, state, x)
      if not opts.returns_state then value = given end
      if given ~= nil then state = given end
    end
    if value ~= nil and opts.with_state then return send(node, { state, value }) end
    send(node, value)
  end
  return node
end

Node.scan = Node.accumulate

function Node:frequencies()
  local node, counts = new("frequencies", self), {}
  function node.step(x)
    local _, key = key_of(node, x)
    if type(key) == "cdata" then key = tonumber(key) end
    counts[key] = (counts[key] or 0) + 1
    local fresh = {}
    for k, n in pairs(counts) do fresh[k] = n end
    send(node, fresh)
  end
  return node
end

local function flatten(node, x, list)
  if type(list) == "function" then
    while true do
      local value = call(node, x, list)
      if value == nil then return end
      piece(node, value)
    end
  end
  if type(list) ~= "table" or list == null() then fail(node, x, "neither array nor iterator") end
  for i = 1, #list do piece(node, list[i]) end
end

function Node:flatten()
  local node = new("flatten", self)
  function node.step(x) flatten(node, x, x) end
  return node
end

Node.concat = Node.flatten

function Node:flat_map(fn, ...)
  local node, extra = new("flat_map", self), { n = select("#", ...), ... }
  function node.step(x)
    local list = call(node, x, fn, x, unpack(extra, 1, extra.n))
    if list ~= nil then flatten(node, x, list) end
  end
  return node
end

function Node:pluck(key)
  local node = new("pluck", self)
  function node.step(x)
    send(node, (call(node, x, function()
      if type(key) ~= "table" then return x[key] end
      local fields = {}
      for i, k in ipairs(key) do fields[i] = x[k] end
      return fields
    end)))
  end
  return node
end

function Node:enumerate()
  local node, i = new("enumerate", self), 0
  function node.step(x)
    i = i + 1
    send(node, { i, x })
  end
  return node
end

function Node:unique(opts)
  opts = opts or {}
  local node, seen = new("unique", self), {}           -- the least recently seen first
  function node.step(x)
    local key, raw = key_of(node, x, opts.key)
    local known
    for i, have in ipairs(seen) do
      if opts.hashable == false and same_content(have.raw, raw) or have.key == key then
        known = table.remove(seen, i)
        break
      end
    end
    seen[#seen + 1] = known or { key = key, raw = raw }
    if #seen > (opts.maxsize or opts.history or math.huge) then table.remove(seen, 1) end
    if not known then send(node, x) end
  end
  return node
end

Node.distinct = Node.unique

function Node:slice(first, last, step)
  local node, number = new("slice", self), 0
  first, last, step = first or 1, last or math.huge, step or 1
  function node.step(x)
    number = number + 1
    if number > last then return end
    if number >= first and (number - first) % step == 0 then send(node, x) end
    if number == last then
      self:disconnect(node)
      finish(node)
    end
  end
  return node
end

function Node:take(n) return self:slice(1, n) end
function Node:skip(n) return self:slice(n + 1) end

function Node:partition(n, opts)
  opts = opts or {}
  local node, open = new("partition", self), {}        -- of each key; the oldest first
  function node.step(x)
    local key = opts.key and key_of(node, x, opts.key) or 1
    local part, at
    for i, have in ipairs(open) do
      if have.key == key then part, at = have, i end
    end
    if not part then
      part, at = { key = key, held = {} }, #open + 1
      open[at] = part
    end
    part.held[#part.held + 1] = x
    if #part.held < n then return end
    table.remove(open, at)
    send(node, part.held)
  end
  function node.flush_end()
    local incomplete = open
    open = {}
    for _, part in ipairs(opts.flush and incomplete or {}) do piece(node, part.held) end
  end
  return node
end

function Node:partition_unique(n, opts)
  opts = opts or {}
  local node, keys, held = new("partition_unique", self), {}, {}
  function node.step(x)
    local key = key_of(node, x, opts.key)
    for i, have in ipairs(keys) do
      if have == key then
        if opts.keep ~= "last" then return end
        table.remove(keys, i)
        table.remove(held, i)
        break
      end
    end
    keys[#keys + 1], held[#held + 1] = key, x
    if #held < n then return end
    local full = held
    keys, held = {}, {}
    send(node, full)
  end
  function node.flush_end()
    local incomplete = held
    keys, held = {}, {}
    if opts.flush and #incomplete > 0 then piece(node, incomplete) end
  end
  return node
end

function Node:collect(opts)
  local node, held = new("collect", self), {}
  function node.step(x)
    held[#held + 1] = x
    if #held > (opts and opts.maxsize or math.huge) then table.remove(held, 1) end
  end
  function node.flush()
    local all = held
    held = {}
    node:emit(all)
  end
  return node
end

function Node:reduce(fn, start)
  local node, state = new("reduce", self), start
  function node.step(x)
    if state == nil then
      state = x
    else
      local given = call(node, x, fn, state, x)
      if given ~= nil then state = given end
    end
  end
  function node.flush_end()
    if state ~= nil then piece(node, state) end
  end
  return node
end

function Node:take_last(n)
  local node, held = new("take_last", self), {}
  function node.step(x)
    held[#held + 1] = x
    if #held > (n or 1) then table.remove(held, 1) end
  end
  function node.flush_end()
    for _, x in ipairs(held) do piece(node, x) end
  end
  return node
end

function Node:sink(fn, ...)
  local node, extra = new("sink", self), { n = select("#", ...), ... }
  function node.step(x) call(node, x, fn, x, unpack(extra, 1, extra.n)) end
  return node
end

function Node:sink_to_list()
  local list = {}
  self:sink(function(x) list[#list + 1] = x end)
  return list
end

-- joins ----------------------------------------------------------------------------------

--- The arguments of a join: members (streams and literals), and the settings behind them.
local function members(...)
  local list = { ... }
  local opts = {}
  if type(list[#list]) == "table" and not is_node(list[#list]) then opts = table.remove(list) end
  return list, opts
end

function Node:union(...)
  return new("union", self, unpack((members(...))))
end

function Node:zip(...)
  local list = members(...)
  table.insert(list, 1, self)
  local node, held = new "zip", {}
  for _, member in ipairs(list) do
    if is_node(member) then
      member:connect(node)
      held[member] = {}
    end
  end
  local function complete()
    for _, queue in pairs(held) do
      if #queue == 0 then return false end
    end
    return next(held) ~= nil
  end
  local function tuple()
    local row, taken = {}, {}
    for i, member in ipairs(list) do
      if is_node(member) then
        taken[member] = taken[member] or { table.remove(held[member], 1) }
        row[i] = taken[member][1]
      else
        row[i] = member
      end
    end
    return row
  end
  function node.step(x, who)
    table.insert(held[who], x)
    if complete() then send(node, tuple()) end
  end
  function node.lost(who)
    held[who] = nil
    take_out(list, who)
    while complete() do piece(node, tuple()) end
  end
  return node
end

function Node:combine_latest(...)
  local list, opts = members(...)
  table.insert(list, 1, self)
  local node, latest = new("combine_latest", unpack(list)), {}
  local on = opts.emit_on
  if type(on) ~= "table" or is_node(on) then on = { on } end
  function node.step(x, who)
    local row, triggers = {}, #on == 0
    latest[who] = { x }
    for i, member in ipairs(list) do
      if not latest[member] then return end
      row[i] = latest[member][1]
      for _, trigger in ipairs(on) do
        if member == who and (trigger == who or trigger == i) then triggers = true end
      end
    end
    if triggers then send(node, row) end
  end
  return node
end

function Node:zip_latest(...)
  local list = members(...)
  local node, waiting, latest = new("zip_latest", self, unpack(list)), {}, {}
  function node.step(x, who)
    if who == self then waiting[#waiting + 1] = x else latest[who] = { x } end
    for _, member in ipairs(list) do
      if not latest[member] then return end
    end
    while #waiting > 0 do
      local row = { table.remove(waiting, 1) }
      for i, member in ipairs(list) do row[i + 1] = latest[member][1] end
      piece(node, row)
    end
  end
  return node
end

-- windows --------------------------------------------------------------------------------

function Node:sliding_window(n, opts)
  local node, held = new("sliding_window", self), {}
  local partial = not opts or opts.return_partial ~= false
  function node.step(x)
    held[#held + 1] = x
    if #held > n then table.remove(held, 1) end
    if #held == n or partial then send(node, { unpack(held) }) end
  end
  function node.flush_end()
    if opts and opts.flush and not partial and #held > 0 and #held < n then
      piece(node, { unpack(held) })
    end
  end
  node.window = { n = n, partial = partial, up = self }
  return node
end

local agg = {}
reference.agg = agg                                    -- name -> function(numbers, setting)

function agg.count(list) return #list end
function agg.first(list) return list[1] end
function agg.last(list) return list[#list] end

--- Neumaier's sum; NaN and infinities as plain addition has them.
function agg.sum(list)
  local sum, rest, plain = 0, 0, 0
  for _, x in ipairs(list) do
    local total = sum + x
    rest = rest + (math.abs(sum) >= math.abs(x) and (sum - total) + x or (x - total) + sum)
    sum, plain = total, plain + x
  end
  if plain ~= plain or math.abs(plain) == math.huge then return plain end
  return sum + rest
end

function agg.mean(list) return agg.sum(list) / #list end

function agg.var(list, ddof)
  ddof = ddof or 1
  if #list <= ddof then return 0 / 0 end
  local mean, squares, rest = agg.mean(list), {}, {}
  for i, x in ipairs(list) do squares[i], rest[i] = (x - mean) ^ 2, x - mean end
  return (agg.sum(squares) - agg.sum(rest) ^ 2 / #list) / (#list - ddof)
end

function agg.std(list, ddof) return math.sqrt(agg.var(list, ddof)) end

local function nan_if_any(list, value)
  for _, x in ipairs(list) do if x ~= x then return 0 / 0 end end
  return value
end

function agg.min(list) return nan_if_any(list, math.min(unpack(list))) end
function agg.max(list) return nan_if_any(list, math.max(unpack(list))) end

function agg.quantile(list, q)
  if nan_if_any(list, 0) ~= 0 then return 0 / 0 end
  local sorted = { unpack(list) }
  table.sort(sorted)
  local at = (#sorted - 1) * q
  local below = math.floor(at)
  local low, high = sorted[below + 1], sorted[below + 2] or sorted[below + 1]
  if at == below or low == high then return low end
  return low * (1 - (at - below)) + high * (at - below)
end

function agg.median(list) return agg.quantile(list, 0.5) end

--- A stream of fn(the last n values); value(x) is x's number, or nil when there is none.
local function rolling(self, kind, value, fn)
  local node, held, window = new(kind, self.window.up), {}, self.window
  function node.step(x)
    local v = value(x)
    if v == nil then fail(node, x, "not a number") end
    held[#held + 1] = v
    if #held > window.n then table.remove(held, 1) end
    if #held == window.n or window.partial then send(node, fn(held)) end
  end
  return node
end

local function number(x)
  return type(x) == "number" and x or nil
end

for name, fn in pairs(agg) do
  Node[name] = function(window, setting)
    if type(setting) == "table" then setting = setting.ddof end
    return rolling(window, name, number, function(list) return fn(list, setting) end)
  end
  --- reference.sum "field", reference.quantile("field", 0.9), ...: for aggregate.
  reference[name] = function(field, setting)
    return { name = name, field = field, setting = setting }
  end
end

function Node:aggregate(specs)
  local function values(x)
    local row = {}
    for name, spec in pairs(specs) do
      if spec.field then x = type(x) == "table" and x or {} end
      row[name] = number(spec.field and x[spec.field] or not spec.field and x or nil)
      if row[name] == nil then return nil end
    end
    return row
  end
  return rolling(self, "aggregate", values, function(held)
    local out = {}
    for name, spec in pairs(specs) do
      local list = {}
      for i, row in ipairs(held) do list[i] = row[name] end
      out[name] = agg[spec.name](list, spec.setting)
    end
    return out
  end)
end

return reference
