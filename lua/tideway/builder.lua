--- tideway.builder -- writes a region out as the text of Lua functions.
--
-- What comes out is a chunk that fills the table K: its constants (user functions, native
-- states, nodes, other regions) were put there by the builder, its functions put themselves
-- there when the chunk runs. Each function takes what it needs from K into locals of an
-- enclosing function, so that LuaJIT sees them as immutable upvalues and folds them.
--
-- A *body* is what becomes of one tree of operators: one function, or, when it grows past
-- what a trace can hold, several *segments* that a small loop runs one after the other (see
-- fuse). The cut is made in the order of delivery, so nobody can tell: what still has to be
-- done for each stream on the way is kept in V, and the next segment goes on from there.
jit.off(true, true) -- never hot, and traces through it would hold on to graphs (DESIGN.md D5)

local graph = require "tideway.graph"
local hold = require "tideway.hold"
local metadata = require "tideway.metadata"
local key = require "tideway.key"
local region = require "tideway.region"
local offence = require "tideway.offence"
local tally = require "tideway.tally"
local view = require "tideway.view"

local Builder = {}
Builder.__index = Builder

-- of a segment, which LuaJIT makes a trace of
local OPS_MAX = 110      -- calls: longer traces are refused or crawl
local PATHS_MAX = 8      -- ways through it: each becomes a trace
-- of one function; what goes on is another function, which LuaJIT inlines
local CONSTANTS_MAX = 50 -- upvalues: the limit is 60
local DEPTH_MAX = 50     -- nested blocks: the limit is 200, and locals live as long
local LOCALS_MAX = 100   -- locals in sight: the limit is 200
local SEGMENTS_MAX = 40  -- segments that a loop calls by name

local builder = {}

--- A builder for a region. policies: whether any error policy is in force above its nodes.
function builder.new(owner)
  return setmetatable({
    region = owner,
    K = {},          -- constants and functions
    index_of = {},   -- constant -> its index in K
    V = {},          -- elements between segments
    defined = {},    -- finished functions: arrays of { text, node }
    fn = nil,        -- the function being written
    locals = 0, cuts = 0,
    pieces = {},     -- node -> the index of the function with what is below it
    joins = {},      -- join -> the index of its function
    cost = {},       -- index of a function -> { ops =, paths = } that it adds to a caller
    owners = {},     -- node -> the node whose region inlines it
    governors = {},  -- node -> the node whose policy governs it, or false
    views = view.above(owner.node), -- the objects that may be passed as views here
    sheet = tally.on and tally.sheet() or nil, -- where elements are counted
  }, Builder)
end

-- Functions ------------------------------------------------------------------------------

--- Begin a function. segment: the one it goes on with, nil for a new one.
local function begin(self, params, segment)
  self.fn = {
    outer = self.fn, params = params, lines = {}, depth = 0, constants = {}, names = {},
    arity = {}, -- local -> how many members the tuple in it has, where that is known
    node = nil, -- the operator whose text is being written
    active = 0, -- locals in sight
    outside = {}, -- depth -> locals in sight outside the block
    segment = segment or { ops = 0, paths = 1, cutting = false, offended = false, pending = {} },
  }
end

--- Finish the function being written; it becomes K[index]. Returns index.
local function finish(self, first)
  local fn = self.fn
  self.fn = fn.outer
  self.K[#self.K + 1] = false
  local index = #self.K
  local lines = { { ("K[%d] = (function()"):format(index) } }
  local names, values = {}, {}
  for i, k in ipairs(fn.constants) do
    names[i], values[i] = "k" .. k, ("K[%d]"):format(k)
  end
  local function declare(i, j)
    if i > j then return end
    lines[#lines + 1] = { ("local %s = %s"):format(table.concat(names, ", ", i, j),
      table.concat(values, ", ", i, j)) }
  end
  local upvalues = math.min(#names, CONSTANTS_MAX)
  declare(1, upvalues)
  lines[#lines + 1] = { ("return function(%s)"):format(fn.params) }
  declare(upvalues + 1, #names) -- those of nested functions came on top
  for _, line in ipairs(first or {}) do lines[#lines + 1] = { line } end
  for _, line in ipairs(fn.lines) do lines[#lines + 1] = line end
  lines[#lines + 1] = { "end end)()" }
  self.defined[#self.defined + 1] = lines
  return index
end

--- One line of text into the function being written.
function Builder:line(fmt, ...)
  local fn = self.fn
  local text = select("#", ...) > 0 and fmt:format(...) or fmt
  local list = text:match "^local ([^=]*)"
  if list then
    local _, commas = list:gsub(",", "")
    fn.active = fn.active + commas + 1
  end
  local spared = self.spared
  if spared and spared.fn ~= fn then spared = nil end
  fn.lines[#fn.lines + 1] = {
    ("  "):rep(fn.depth + 1) .. text, fn.node, passed = spared and #spared.list or nil,
  }
  if spared and text:find("return", 1, true) then spared.left = true end
end

--- A line that opens a block, and the end of it. `branch`: which way it goes depends on the
-- data, so it doubles the ways through what comes after.
function Builder:open(fmt, ...)
  self:line(fmt, ...)
  local fn = self.fn
  fn.depth = fn.depth + 1
  fn.outside[fn.depth] = fn.active
  fn[fn.depth] = fn.segment.paths
end

function Builder:close()
  local fn = self.fn
  local segment = fn.segment
  self:close_given()
  if fn[fn.depth .. "branch"] then segment.paths = segment.paths + fn[fn.depth] end
  fn[fn.depth .. "branch"] = nil
  fn.active = fn.outside[fn.depth]
  fn.depth = fn.depth - 1
  self:line "end"
end

--- As open, for a condition that the data decides element by element.
function Builder:branch(fmt, ...)
  self:open(fmt, ...)
  self.fn[self.fn.depth .. "branch"] = true
end

--- Open a block for what an operator gives, y, which is seldom nil.
function Builder:given(y)
  self:open("if %s ~= nil then", y)
  local spared, depth = self.spared, self.fn.depth
  if spared and spared.fn == self.fn and #spared.blocks == depth - 1 then spared.blocks[depth] = {} end
end

-- Counts (tideway.tally) -----------------------------------------------------------------

--- The text that adds to a cell.
local function add(self, cell, n)
  local cells = self:constant(self.sheet.cells)
  self:line("%s[%d] = %s[%d] + %s", cells, cell, cells, cell, n or "1")
end

--- The text that counts an element: one that `giver` gives and `taker` gets (nodes; false: neither).
-- Spared where the loop over a batch knows the number.
local function tick(self, giver, taker)
  local sheet, spared = self.sheet, self.spared
  if not sheet then return end
  if not (spared and spared.fn == self.fn and #spared.blocks == self.fn.depth) then
    add(self, sheet:cell(giver, taker))
    return
  end
  local without = {}
  for i, block in ipairs(spared.blocks) do
    block.cell = block.cell or sheet:cell(false, false)
    without[i] = block.cell
  end
  sheet:spare(giver, taker, without)
end

--- The end of a block that `given` has opened: count what was nil, if anything was spared inside.
function Builder:close_given()
  local spared = self.spared
  if not spared or spared.fn ~= self.fn or not spared.blocks[self.fn.depth] then return end
  local block = table.remove(spared.blocks)
  if not block.cell then return end
  self.fn.depth = self.fn.depth - 1
  self:line "else"
  self.fn.depth = self.fn.depth + 1
  add(self, block.cell)
end

--- Is what a node gives at the same moment got by its first downstream?
local function leads_on(node, down) return node.downs[1] == down and not node.desc.each end

--- The name under which a constant is known in the function being written.
function Builder:constant(value)
  if value == nil then return "nil" end
  local index = value == value and self.index_of[value] -- NaN is no key
  if not index then
    index = #self.K + 1
    self.K[index] = value
    if value == value then self.index_of[value] = index end
  end
  return self:name(index)
end

function Builder:name(index)
  local fn = self.fn
  if not fn.names[index] then
    fn.names[index] = "k" .. index
    fn.constants[#fn.constants + 1] = index
  end
  return fn.names[index]
end

--- A new local with the value of an expression; returns its name.
function Builder:let(node, fmt, ...)
  self.locals = self.locals + 1
  local name = "x" .. self.locals
  self.fn.node = node
  self:line("local " .. name .. " = " .. fmt, ...)
  return name
end

--- A fresh name for a local.
function Builder:name_of()
  self.locals = self.locals + 1
  return "x" .. self.locals
end

--- Note that a local is a fresh tuple of n members, so that starmap need not ask it (which
-- would keep LuaJIT from leaving the table out).
function Builder:tuple(name, n)
  self.fn.arity[name] = n
  return name
end

--- The known length of a tuple, or nil.
function Builder:arity(name) return self.fn.arity[name] end

--- The text of x as something that may be kept: of a view, its string.
function Builder:kept(x) return ("keep(%s)"):format(x) end

-- Calls ----------------------------------------------------------------------------------

--- A wait ends every view for the function that waited; those that come after it get it
-- valid again: its bytes stay while the element is on its way.
local function revive_views(self)
  for _, object in ipairs(self.views) do
    self:line("%s.born = %s[0]", self:constant(object), self:constant(view.epoch))
  end
end

local function governor(self, node)
  local found = self.governors[node]
  if found == nil then
    found = graph.governor(node, self.governors) or false
    self.governors[node] = found
  end
  return found
end

--- The policy that holds for failures in node, nil for "raise".
local function policy(self, node)
  local above = governor(self, node)
  if above and above.policy ~= "raise" then return above.policy end
end

local function call(self, node, count, fn, args)
  local f = self.fn
  f.segment.ops = f.segment.ops + 1
  f.node = node
  local name = self:constant(fn)
  local results = {}
  for i = 1, count do
    self.locals = self.locals + 1
    results[i] = "x" .. self.locals
  end
  local list, arguments = table.concat(results, ", "), table.concat(args, ", ")
  local rule = policy(self, node)
  if rule then self.policies = true end
  if not rule then
    self:line("%s%s(%s)", count > 0 and "local " .. list .. " = " or "", name, arguments)
  else
    -- under a policy the call is protected; what failed decides `disposed` (tideway.policy)
    local ok = "ok" .. self.locals
    local tail = count > 0 and ", " .. list or ""
    self.locals = self.locals + 1
    local first = count > 0 and results[1] or "e" .. self.locals
    if count == 0 then tail = ", " .. first end
    -- an error that is only counted needs no traceback
    self:line("local %s%s = %s%s)", ok, tail,
      rule == "skip" and "pcall(" .. name or "xpcall(" .. name .. ", handler",
      #args > 0 and ", " .. arguments or "")
    self:line("if not %s then %s%s = dispose(%s, %s, %s, %s, %s%s) if not %s then return true end end",
      ok, ok, tail, self:constant(node), self:constant(rule), first, self.element_name, name,
      #args > 0 and ", " .. arguments or "", ok)
  end
  revive_views(self)
  return unpack(results)
end

--- Call a function of ours, known when the graph is built; its first result as a new local.
-- node  for the error message and the policy; fn  the function; ...  argument expressions.
function Builder:call(node, fn, ...) return call(self, node, 1, fn, { ... }) end

--- The arguments of a call of the user's function.
local function with_extra(self, node, args)
  -- what it gets it may change
  for _, name in ipairs(args) do self.fn.arity[name] = nil end
  for i = 1, node.extra.n do
    local value = node.extra[i]
    args[#args + 1] = value == nil and "nil" or self:constant(value)
  end
  return args
end

--- Call the user's function with the element and the extra arguments; one result.
function Builder:user(node, fn, ...)
  return call(self, node, 1, fn, with_extra(self, node, { ... }))
end

--- The same with two results.
function Builder:user2(node, fn, ...)
  return call(self, node, 2, fn, with_extra(self, node, { ... }))
end

--- The same for its effect only.
function Builder:effect(node, fn, ...)
  call(self, node, 0, fn, with_extra(self, node, { ... }))
end

--- The key of x by a function, a field's name, or (nil) x itself.
function Builder:key(node, by, x)
  if by == nil then return x end
  if type(by) == "function" then return self:call(node, by, x) end
  return self:call(node, key.field, x, self:constant(by), self:constant(node.kind))
end

-- Delivery -------------------------------------------------------------------------------

--- Has the segment all that a trace can hold?
local function must_cut(segment)
  return segment.ops >= OPS_MAX or segment.paths >= PATHS_MAX or segment.offended
end

local body, sequence

-- Who inlines a node: the region of which other node. A join whose ways all come from one
-- region needs no door of its own: one element at a time is in that region anyway.
local owner_of

local function owner_below(self, node)
  -- what emits by itself will have a region, though it may not have one yet
  if node.out_region or #node.ups == 0 or node.desc.relay or node.alone then return node end
  return owner_of(self, node)
end

function owner_of(self, node)
  local owner = self.owners[node]
  if owner then return owner end
  self.owners[node] = node -- should we come back here
  owner = owner_below(self, node.ups[1])
  if #node.ups > 1 then
    for i = 2, #node.ups do
      if owner_below(self, node.ups[i]) ~= owner then owner = node end
    end
    if owner ~= node and graph.on_cycle(node) then owner = node end
  end
  self.owners[node] = owner
  return owner
end

--- Deliver x, which comes from `from`, to a join.
local function join(self, node, x, from)
  local fn = self.fn
  fn.node, fn.segment.ops = node, fn.segment.ops + 1
  local port = graph.index_of(node.ups, from)
  local inlined = owner_of(self, node) == self.region.node and self.region.node ~= node
  local text
  if node.desc.passes and (node.out_region or not inlined) then
    -- what comes in is what goes out: one door, so that all take their turn at the same one
    self.seen[#self.seen + 1] = node
    text = ("enter(%s, %s)"):format(self:constant(region.below(node)), x)
  elseif inlined then
    local f = self.joins[node]
    if not f then
      f = sequence(self, body(self, "x, port", function()
        self.seen[#self.seen + 1] = node
        self.element_name = "x"
        node.desc.emit(self, node, "x")
      end), "x, port")
      self.joins[node] = f
    end
    self.fn.node = node
    text = ("%s(%s, %d)"):format(self:name(f), x, port)
    fn.segment.ops = fn.segment.ops + self.cost[f].ops
    fn.segment.paths = math.min(fn.segment.paths * self.cost[f].paths, 1000)
  else
    self.seen[#self.seen + 1] = node -- its ports may change
    local door = node.desc.door and self:constant(node.desc.door) or "enter"
    text = ("%s(%s, %s, %d)"):format(door, self:constant(region.into(node)), x, port)
  end
  -- an element that the policy dropped inside the join is dropped here as well, when the
  -- same policy governs here
  local above = policy(self, node) and governor(self, node)
  if above and (above == from or governor(self, from) == above) then
    self:line("if %s then return true end", text)
  else
    self:line(text)
  end
  fn.lines[#fn.lines][3] = from
  revive_views(self)
end

--- Deliver x, which comes from `from`, to one node.
local function deliver(self, node, x, from)
  local before = self.element_name
  if not leads_on(from, node) then tick(self, from.desc.each and from.downs[1] == node and from, node) end
  if #node.ups > 1 then
    join(self, node, x, from)
    self.element_name = before
    return
  end
  self.seen[#self.seen + 1] = node
  if node.desc.functions and offence.any(node) then self.fn.segment.offended = true end
  self.element_name = x
  node.desc.emit(self, node, x, from)
  self.element_name = before
end

--- Deliver x to what is below node, from its i-th downstream on.
local function fanout(self, node, x, i)
  local downs, fn = node.downs, self.fn
  local segment = fn.segment
  while i <= #downs do
    local offender = downs[i].desc.functions and #downs[i].ups == 1 and offence.any(downs[i])
    if segment.cutting or must_cut(segment) or offender and segment.ops > 0 then
      segment.cutting = true
      self.cuts = self.cuts + 1
      local cut = ("V[%d]"):format(self.cuts)
      self:line("%s = %s", cut, x)
      table.insert(segment.pending, { node = node, i = i, cut = cut, arity = fn.arity[x] })
      return
    end
    if #fn.constants >= CONSTANTS_MAX or fn.depth >= DEPTH_MAX or fn.active >= LOCALS_MAX then
      local arity = fn.arity[x]
      begin(self, "x", segment)
      self:tuple("x", arity)
      fanout(self, node, "x", i)
      local f = finish(self)
      self:line(self.policies and "if %s(%s) then return true end" or "%s(%s)", self:name(f), x)
      return
    end
    local down = downs[i]
    if node.desc.each then
      node.desc.each(self, node, down, x, function(y) deliver(self, down, y, node) end)
    else
      deliver(self, down, x, node)
    end
    self.fn.arity[x] = nil -- somebody has seen it
    i = i + 1
  end
end

--- Write a body: `params`, and `write(first parameter)` for what it does at first. Returns
-- the index of its function.
function body(self, params, write)
  local segments, resets, before = {}, {}, self.cuts
  begin(self, params)
  write()
  local held = { self.fn }
  local pending = self.fn.segment.pending
  if #pending == 0 then
    local f = finish(self)
    self.cost[f] = held[1].segment
    return f
  end
  -- more segments, until nothing is left to be done
  self.fn = self.fn.outer
  while #pending > 0 do
    begin(self, "")
    local fn, segment = self.fn, self.fn.segment
    for k, item in ipairs(pending) do
      if segment.cutting then
        table.insert(segment.pending, item)
      else
        local x = self:tuple(self:let(item.node, item.cut), item.arity)
        self:line("%s = nil", item.cut)
        self:open("if %s ~= nil then", x)
        fanout(self, item.node, x, item.i)
        self:close()
        -- reached or not, this item has two ways behind it unless it is the main line
        if k > 1 then segment.paths = segment.paths + 1 end
      end
    end
    pending = segment.pending
    self.fn = fn.outer
    held[#held + 1] = fn
  end
  -- an element before may have stopped half way
  for k = before + 1, self.cuts do resets[#resets + 1] = ("V[%d] = nil"):format(k) end
  for k, fn in ipairs(held) do
    fn.outer = self.fn
    self.fn = fn
    segments[k] = finish(self, k == 1 and resets or nil)
  end
  return segments
end

--- Write the function that runs a body's segments for one element. Returns its index.
-- The number of the next segment is read from a table, so that LuaJIT does not know it: the
-- loop becomes one trace with a side trace a segment, instead of one trace as long as all.
function sequence(self, segments, params)
  if type(segments) == "number" then return segments end
  begin(self, params)
  local order = self:constant(self:order(#segments, 0))
  self:line "local turn = 1"
  self:open "repeat"
  if #segments > SEGMENTS_MAX then -- more than there may be upvalues
    self:line("if K[%s[turn]](%s) then return true end", self:constant(segments), params)
  else
    for k, index in ipairs(segments) do
      self:line("%s turn == %d then if %s(%s) then return true end", k == 1 and "if" or "elseif", k,
        self:name(index), k == 1 and params or "")
    end
    self:line "end"
  end
  self:line("turn = %s[turn]", order)
  self.fn.depth = self.fn.depth - 1
  self:line "until turn == 0"
  local f = finish(self)
  self.cost[f] = { ops = 1, paths = 2 }
  return f
end

function Builder:order(count, last)
  local order = {}
  for k = 1, count - 1 do order[k] = k + 1 end
  order[count] = last
  return order
end

--- Deliver x to everything below node, inlined, in order of attachment.
function Builder:downstream(node, x)
  if node.out_region then
    if node.out_region ~= self.region or self.entered then
      if #node.downs > 0 then
        self.fn.node = node
        local text = ("enter(%s, %s)"):format(self:constant(node.out_region), x)
        local passes_on = not node.policy and policy(self, node)
        self:line(passes_on and "if %s then return true end" or "%s", text)
        revive_views(self)
      else
        tick(self, node, false)
      end
      return
    end
  end
  self.entered = true
  self.fn.node = node
  if not node.desc.each then tick(self, node, node.downs[1]) end
  if node.policy and node.policy ~= "raise" then
    local arity = self:arity(x)
    local f = sequence(self, body(self, "x", function()
      self:tuple("x", arity)
      fanout(self, node, "x", 1)
    end), "x")
    self:line("%s(%s)", self:name(f), x)
  else
    fanout(self, node, x, 1)
  end
end

--- As downstream, for a place that is reached many times for one element (a loop), or that
-- is written more than once: what is below node becomes a function of its own.
local function pieces(self, node)
  local f = self.pieces[node]
  if not f then
    f = sequence(self, body(self, "x", function() self:downstream(node, "x") end), "x")
    self.pieces[node] = f
  end
  return f
end

--- The name of the function (x) that delivers to what is below node; it returns true when a
-- policy further up has dropped the element.
function Builder:below(node) return self:name(pieces(self, node)) end

function Builder:pieces_call(node, x)
  local f = pieces(self, node)
  local segment = self.fn.segment
  segment.ops = segment.ops + self.cost[f].ops
  self.fn.node = node
  self:line("%s(%s)", self:name(f), x)
end

--- Deliver x, made of elements that were held, to everything below node, in a graph that
-- carries metadata. list: an expression, the metadata of x; owned: those references in it that
-- the node has retained (see metadata.deliver); piece: one of several, as for pieces_call.
function Builder:deliver(node, x, list, owned, piece)
  self.fn.node = node
  self:line(piece and "%s(%s, %s, %s, %s)" or "if %s(%s, %s, %s, %s) then return true end",
    self:constant(metadata.deliver), list, owned, self:below(node), x)
end

--- Note the metadata of the element at hand in a hold that it is about to be put into.
function Builder:note(node, h)
  if node.carries then self:line("%s(%s)", self:constant(hold.note), h) end
end

--- Write the function of an element once more, for a batch: what everything passes is not counted there,
-- as the loop knows how often it went round (see tideway.tally). Returns its index, nil: that is not to be known.
local function without_counts(self)
  local owner = self.region
  if not self.sheet or self.policies or owner.node.carries then return nil end
  local spared = { fn = nil, list = self.sheet.spared, blocks = {}, left = false }
  self.entered = false
  local f = body(self, "x", function()
    spared.fn, self.spared = self.fn, spared
    self:downstream(owner.node, "x")
  end)
  self.spared = nil
  if type(f) == "number" and spared.list[1] and not spared.left then
    self.sheet:spares(f)
    return f
  end
  self.sheet.spared = {}
end

--- The loop over a batch ends: elements that were completed, what it returns.
local function leave(self, completed, value)
  local sheet = self.sheet
  if sheet and sheet.done then add(self, sheet.done, completed) end
  self:line("do return %s end", value)
end

--- The same inside the loop, in place of the element at hand.
function Builder:leave(value) leave(self, "(i - began)", value) end

--- Write a source's batch function. Returns its index.
-- With several segments the loop over the elements and the loop over the segments are one,
-- so that LuaJIT has one loop to compile.
local function batch(self, segments)
  local owner = self.region
  local node = owner.node
  begin(self, "S, i, n")
  self:line("local R = %s", self:constant(owner))
  self.fn.node = node
  local item = node.desc.loop(self, node)
  if type(segments) == "number" then
    local uncounted = without_counts(self)
    if uncounted then self:line "local began = i" end -- tally looks for it, and for i
    self:open "for i = i, n - 1 do"
    local x, holes = item()
    if holes then self:open("if %s ~= nil then", x) end
    self:line("%s(%s)", self:name(uncounted or segments), x)
    if holes and uncounted then
      self.fn.depth = self.fn.depth - 1
      self:line "else"
      self.fn.depth = self.fn.depth + 1
      add(self, self.sheet:hole())
    end
    if holes then self:close() end
    self:open "if R.attention then"
    leave(self, "(i + 1 - began)", "i + 1")
    self:close()
    self:close()
    leave(self, "(n - began)", "n")
    return finish(self)
  end
  local count = #segments
  local order = self:constant(self:order(count, 1))
  self:line "local turn = 1"
  self:open "while true do"
  local many = #segments > SEGMENTS_MAX
  if many then count = 2 end -- the first, and "turn - 1 of the others"
  for k = 1, count do
    local index = segments[k]
    if many and k == 2 then
      self:line("if K[%s[turn]]() then turn = %d end", self:constant(segments), #segments)
      break
    end
    self:open(k == 1 and "if turn == 1 then" or "if turn == %d then", k)
    local x, holes = "", false
    if k == 1 then
      self:line "if i >= n or R.attention then return i end"
      x, holes = item()
      self:line("local x0 = %s", x)
      x = "x0"
      self:line "i = i + 1"
    end
    self:line("if %s%s(%s) then turn = %d end", holes and x .. " == nil or " or "", self:name(index),
      x, #segments)
    self.fn.depth = self.fn.depth - 1
    if k < count then self:line "else" end
  end
  for _ = 1, many and 1 or count do self:line "end" end
  self:line("turn = %s[turn]", order)
  self:close()
  return finish(self)
end

-- The whole ---------------------------------------------------------------------------------

--- Write everything for the builder's region. Returns the text, K, V, the index of the
-- element function, that of the batch function (or nil), line -> node whose text it is, line
-- -> upstream from which it delivers to a join.
function builder.write(self)
  local owner = self.region
  local node = owner.node
  local params = owner.kind == "in" and "x, port" or "x"
  self.seen = { node }
  local segments = body(self, params, function()
    if owner.kind == "in" then
      self.entered = true
      self.element_name = "x"
      node.desc.emit(self, node, "x", nil)
    else
      self:downstream(node, "x")
    end
  end)
  local run = sequence(self, segments, params)
  local batched
  if owner.kind == "out" and node.desc.loop then batched = batch(self, segments) end
  local lines, nodes, froms = {
    "local K, V, enter, handler, dispose, keep, ffi_string = ...",
  }, {}, {}
  for _, fn in ipairs(self.defined) do
    for _, line in ipairs(fn) do
      lines[#lines + 1] = line[1]
      nodes[#lines], froms[#lines] = line[2], line[3]
      if line.passed then self.sheet.passed[#lines] = line.passed end
    end
  end
  return table.concat(lines, "\n"), run, batched, nodes, froms
end

return builder
