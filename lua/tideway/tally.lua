--- tideway.tally -- how many elements went into each stream and came out, and what failed.
--
-- Off until somebody asks (tideway.metrics); the text of regions then has not one instruction for it.
-- Once on, regions are written anew with *cells*: numbers in one array for each text, its *sheet*, that
-- the text adds to where elements go from one stream to the next. A cell may stand for two things that
-- happen at one moment, what one stream gives and the first below it gets, so that a chain costs one
-- addition a step. What a cell stands for never changes: when the graph does, there is another text with
-- another sheet. The sheet of a text that is no more is added to the counts of its streams.
--
-- Most of that is *spared* in a loop over a batch: what every element passes (from a source through maps
-- to the first filter) has been passed as often as the loop has gone round, less what was nil (counted
-- where that is found). How far it has come with the element at hand when an error leaves it, or somebody
-- asks, is read off the stack: at which line of the text it is, and after which steps that is.
jit.off(true, true) -- the cells are counted in generated text

local errors = require "tideway.errors"
local metadata = require "tideway.metadata"
local sched = require "tideway.sched"

local getinfo, getlocal = debug.getinfo, debug.getlocal

local tally = { on = false }

local sheets = {}         -- those of texts that may run
local folding = 16        -- sheets at which we look which texts are gone
local weak, weak_keys = { __mode = "v" }, { __mode = "k" }
local heads = setmetatable({}, weak_keys)   -- function of an element, uncounted -> its sheet
local batches = setmetatable({}, weak_keys) -- the loop over a batch that calls it -> its sheet

local Sheet = {}
Sheet.__index = Sheet

--- What has been counted of a node: what went in, came out, failed.
local function record(node)
  local r = node.counted
  if not r then
    r = { into = 0, out = 0, errors = 0 }
    node.counted = r
  end
  return r
end

--- The cells of a text that is about to be written.
function tally.sheet()
  return setmetatable({
    cells = {}, out = {}, into = {}, -- numbers; whose elements they count: records or false
    spared = {},                     -- { out =, into =, without = cells, extra = } in the order of the text
    passed = {},                     -- line -> how many of those are above it
    head = nil,                      -- the function that leaves them out (in K)
    done = nil, holes = nil,         -- the cells of the completed elements, and of those that were none
    texts = setmetatable({}, weak),  -- the functions that count here
  }, Sheet)
end

--- A cell for what `giver` gives and `taker` gets (nodes; false: not counted here). Returns its index.
function Sheet:cell(giver, taker)
  local i = #self.cells + 1
  self.cells[i], self.out[i], self.into[i] = 0, giver and record(giver), taker and record(taker)
  return i
end

--- The same happens to every element that passes here; `without`: the cells of those that do not.
function Sheet:spare(giver, taker, without)
  table.insert(self.spared, {
    out = giver and record(giver), into = taker and record(taker), without = without, extra = 0,
  })
end

--- A place in a batch has no element. Returns the cell of those.
function Sheet:hole()
  self.holes = self.holes or self:cell(false, false)
  return self.holes
end

--- The function K[head] leaves these out.
function Sheet:spares(head)
  self.head, self.done = head, self:cell(false, false)
end

local function put(n, out, into, total)
  if n == 0 then return end
  if out then
    local r = total(out)
    r.out = r.out + n
  end
  if into then
    local r = total(into)
    r.into = r.into + n
  end
end

--- Add a sheet to what total(record) returns for each record. way: of a batch that is under way, { elements
-- completed, steps that the one at hand has passed }, or nil.
local function sum(sheet, total, way)
  local cells = sheet.cells
  for i, n in ipairs(cells) do put(n, sheet.out[i], sheet.into[i], total) end
  for i, one in ipairs(sheet.spared) do
    local n = cells[sheet.done] + one.extra - (sheet.holes and cells[sheet.holes] or 0)
    for _, cell in ipairs(one.without) do n = n - cells[cell] end
    if way then n = n + way[1] + (i <= way[2] and 1 or 0) end
    put(n, one.out, one.into, total)
  end
end

local function itself(r) return r end

--- Fold the sheets whose texts are gone.
local function fold()
  local kept = {}
  for _, sheet in ipairs(sheets) do
    if next(sheet.texts) then kept[#kept + 1] = sheet else sum(sheet, itself) end
  end
  sheets = kept
  folding = math.max(16, 2 * #kept)
end

--- The text of a region that counts into a sheet has been loaded. K: its functions
function tally.loaded(sheet, region, K)
  if not sheet.owner then
    if #sheets >= folding then fold() end
    sheet.owner = setmetatable({ region }, weak)
    sheets[#sheets + 1] = sheet
  end
  table.insert(sheet.texts, region.run)
  table.insert(sheet.texts, region.batch)
  if sheet.head then heads[K[sheet.head]], batches[region.batch] = sheet, sheet end
end

--- The batches under way on a stack, from the caller's caller or where `co` is.
-- co  a coroutine, nil: the one that runs; stops  functions at which to end
-- Returns sheet -> its way (see sum).
local function ways(co, stops)
  local found, passed, level = {}, 0, co and 0 or 2
  while true do -- all in one function, as its frame counts
    local frame
    if co then frame = getinfo(co, level, "lf") else frame = getinfo(level, "lf") end
    if not frame or stops[frame.func] then return found end
    local head, batch = heads[frame.func], batches[frame.func]
    if head then passed = head.passed[frame.currentline] or 0 end
    if batch then
      local began, i = 0, 0
      for k = 1, math.huge do
        local name, value
        if co then name, value = getlocal(co, level, k) else name, value = getlocal(level, k) end
        if not name then break end
        if name == "began" then began = value end
        if name == "i" then i = value end -- the innermost
      end
      found[batch] = { i - began, passed }
      passed = 0
    end
    level = level + 1
  end
end

--- Those of the task that runs, and of those that wait.
local function all_ways()
  local found, seen = ways(nil, {}), {}
  for _, sheet in ipairs(sheets) do
    local region = sheet.owner[1]
    local task = region and region.busy
    if task and task ~= sched.current and task.co and not seen[task] then
      seen[task] = true
      for other, way in pairs(ways(task.co, {})) do found[other] = way end
    end
  end
  return found
end

--- What has been counted by now. Returns a function: node -> { into =, out =, errors = }.
function tally.now()
  fold()
  local totals, under_way = {}, all_ways()
  local function total(r)
    if not totals[r] then totals[r] = { into = r.into, out = r.out, errors = r.errors } end
    return totals[r]
  end
  for _, sheet in ipairs(sheets) do sum(sheet, total, under_way[sheet]) end
  return function(node) return total(record(node)) end
end

--- A node has given n elements by no text.
function tally.gave(node, n)
  local r = record(node)
  r.out = r.out + n
end

--- What somebody else has counted of a node.
function tally.add(node, into, out, failed)
  local r = record(node)
  r.into, r.out, r.errors = r.into + into, r.out + out, r.errors + failed
end

--- A function has failed in a node.
function tally.failed(node)
  local r = record(node)
  r.errors = r.errors + 1
end

local bounds = { [xpcall] = true } -- an error is told of once between two of these

-- Who stands between an error and the text of an operator that did not fail itself: it delivers
-- into another region, where the error has been counted, or protects the call for a policy, which counts.
local passes_on = { [xpcall] = true, [metadata.deliver] = true }

--- Errors that fn raises have been counted elsewhere.
function tally.passes(fn) passes_on[fn] = true end

--- The operator whose function has failed, nil: none in this text.
local function failing()
  for level = 4, 200 do
    local info = getinfo(level, "Slf")
    if not info or passes_on[info.func] or sched.doors[info.func] then return nil end
    local region = errors.chunks[info.source]
    if region then return region.lines and region.lines[info.currentline] end
  end
end

--- An error is about to leave what runs under the nearest xpcall. Called by the message handler.
local function observe(err)
  local node = err ~= sched.CANCELLED and failing()
  if node then tally.failed(node) end
  local left = ways(nil, bounds)
  for sheet, way in pairs(left) do
    sheet.cells[sheet.done] = sheet.cells[sheet.done] + way[1]
    for i = 1, way[2] do sheet.spared[i].extra = sheet.spared[i].extra + 1 end
  end
end

--- A function that gives what has been counted of these nodes since it was called before: nil, or a row of numbers
-- key, in, out, errors ... nodes: key -> node
function tally.changes(nodes)
  local told = {}
  for key in pairs(nodes) do told[key] = { into = 0, out = 0, errors = 0 } end
  return function()
    local total, row = tally.now(), nil
    for key, node in pairs(nodes) do
      local new, old = total(node), told[key]
      if new.into ~= old.into or new.out ~= old.out or new.errors ~= old.errors then
        row = row or {}
        local n = #row
        row[n + 1], row[n + 2], row[n + 3] = key, new.into - old.into, new.out - old.out
        row[n + 4], told[key] = new.errors - old.errors, new
      end
    end
    return row
  end
end

--- Count from now on. protects: functions that a failed call goes through and that count by themselves.
function tally.start(protects)
  if tally.on then return end
  tally.on = true
  for _, fn in ipairs(protects) do passes_on[fn] = true end
  errors.observe = observe
  for _, region in pairs(errors.chunks) do region:expire() end
end

return tally
