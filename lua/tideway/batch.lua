--- tideway.batch -- streams of arrays whose members are worked on one by one.
--
-- A batch wraps a stream of arrays, `batch.stream`; each of its methods makes another below it.
jit.off(true, true) -- builds graphs

local check = require "tideway.check"
local errors = require "tideway.errors"
local frame = require "tideway.frame"
local null = require "tideway.null"
local schema = require "tideway.schema"

local misuse = errors.misuse

local batch = {}
local methods = {}
local P = {} -- the key of a batch's inside

local Batch = {
  __index = function(self, key)
    if key == P then return nil end
    local own = rawget(self, P)
    if key == "stream" then return own.stream end
    if methods[key] then return methods[key] end
    if type(key) ~= "string" or key:sub(1, 1) == "_" then return nil end
    local names = {}
    for name in pairs(methods) do names[#names + 1] = name end
    table.sort(names)
    misuse("batch: there is no method %q%s", key, errors.suggestion(key, names))
  end,
  __newindex = function() misuse "batch: nothing can be assigned" end,
  __tostring = function(self) return "<batch: " .. tostring(rawget(self, P).stream) .. ">" end,
}

--- A batch over a stream of arrays. example: one of them, or nil.
function batch.new(stream, example)
  return setmetatable({ [P] = { stream = stream, example = example } }, Batch)
end

local function inside(self, op)
  local own = type(self) == "table" and rawget(self, P)
  if not own then misuse("%s: must be called on a batch, as batch:%s(...)", op, op) end
  return own
end

--- What an example becomes. One that fn does not take, or leaves nothing of, stays: it may be
-- one of what comes out.
local function following(example, fn, ...)
  if not example then return nil end
  local ok, gives = pcall(fn, example, ...)
  return ok and type(gives) == "table" and gives[1] ~= nil and gives or example
end

--- A batch below, each array of which is fn(array).
local function below(self, op, fn)
  local own = inside(self, op)
  return batch.new(own.stream:map(fn), following(own.example, fn))
end

--- The further arguments of a function that is called for each member.
local function further(op, ...)
  local n = select("#", ...)
  if n > 3 then misuse("batch: %s passes at most 3 further arguments to its function, got %d", op, n) end
  return ...
end

--- fn(x, ...) of each member; those for which it is nil are left out.
function methods.map(self, fn, ...)
  check.value("map", "fn", "function", fn)
  local a, b, c = further("map", ...)
  return below(self, "map", function(list)
    local out, count = {}, 0
    for i = 1, #list do
      local y = fn(list[i], a, b, c)
      if y ~= nil then
        count = count + 1
        out[count] = y
      end
    end
    return out
  end)
end

--- The members for which pred(x, ...) is truthy; without pred, those that are.
function methods.filter(self, pred, ...)
  check.value("filter", "pred", "function?", pred)
  local a, b, c = further("filter", ...)
  return below(self, "filter", function(list)
    local out, count = {}, 0
    for i = 1, #list do
      local x = list[i]
      local keep = x
      if pred then keep = pred(x, a, b, c) end
      if keep then
        count = count + 1
        out[count] = x
      end
    end
    return out
  end)
end

--- x[key] of each member, or {x[k1], x[k2]} for an array of keys; members without it are left out.
function methods.pluck(self, key)
  if type(key) ~= "table" or key == null then check.value("pluck", "key", "field", key) end
  local many = type(key) == "table" and key
  if many and many[1] == nil then misuse "pluck: key must be a field name or an array of them, got an empty table" end
  return below(self, "pluck", function(list)
    local out, count = {}, 0
    for i = 1, #list do
      local x = list[i]
      local y
      if type(x) ~= "table" or x == null then
        error(("pluck: the members must be tables, got %s"):format(x == null and "null" or check.show(x)), 0)
      end
      if many then
        y = {}
        for k = 1, #many do
          y[k] = x[many[k]]
          if y[k] == nil then
            y = nil
            break
          end
        end
      else
        y = x[key]
      end
      if y ~= nil then
        count = count + 1
        out[count] = y
      end
    end
    return out
  end)
end

--- The sum of all members so far, from 0, once for each array.
function methods.sum(self)
  local own = inside(self, "sum")
  local sums = own.stream:accumulate(function(total, list)
    for i = 1, #list do
      local x = list[i]
      if type(x) ~= "number" then
        error(("sum: the members must be numbers, got %s"):format(check.show(x)), 0)
      end
      total = total + x
    end
    return total
  end, { start = 0 })
  return require("tideway.dataframe").result(sums)
end

--- The single members, as a stream.
function methods.to_stream(self) return inside(self, "to_stream").stream:flatten() end

--- fn(array, ...) for each array: a batch of what it gives.
function methods.map_partitions(self, fn, ...)
  check.value("map_partitions", "fn", "function", fn)
  local own = inside(self, "map_partitions")
  return batch.new(own.stream:map(fn, ...), following(own.example, fn, ...))
end

--- state = fn(state, array), which is emitted; the settings are accumulate's. A stream of states.
function methods.accumulate_partitions(self, fn, opts)
  local stream = inside(self, "accumulate_partitions").stream
  check.value("accumulate_partitions", "fn", "function", fn)
  local states = opts ~= nil and stream:accumulate(fn, opts) or stream:accumulate(fn)
  return require("tideway.dataframe").result(states)
end

-- To dataframes -------------------------------------------------------------------------------

--- The frame of an array of rows, each a table column -> value.
-- names  the columns; kinds: name -> word of its type, or nil: that of the values
local function frame_of(rows, names, kinds, index)
  local columns = {}
  for k = 1, #names do
    local name, list = names[k], {}
    for i = 1, #rows do
      local row = rows[i]
      if type(row) ~= "table" or row == null then
        error(("to_dataframe: the members must be tables column -> value, got %s"):format(check.show(row)), 0)
      end
      local x = row[name]
      if x == nil then x = null end
      list[i] = x
    end
    columns[name] = list
  end
  return frame.new(columns, { columns = names, schema = kinds, index = index })
end

--- A dataframe whose frames are the arrays, their members the rows.
-- opts  as of stream:to_dataframe; by default the columns are those of the batch's example
function methods.to_dataframe(self, opts)
  local own = inside(self, "to_dataframe")
  opts = check.settings("to_dataframe", {
    { "example", "any?" }, { "schema", "table?" }, { "index", "string?" },
  }, opts)
  local names, kinds = {}, nil
  local example = opts.example
  if opts.schema then
    kinds = opts.schema
    for name, word in pairs(kinds) do
      schema.kind(word, ("to_dataframe: schema: column %q"):format(tostring(name)))
      names[#names + 1] = name
    end
  elseif frame.is(example) then
    kinds = example:types()
    for name in pairs(kinds) do names[#names + 1] = name end
    opts.index = example:index()
  else
    example = example or own.example
    if type(example) ~= "table" or type(example[1]) ~= "table" then
      misuse("to_dataframe: needs the columns: to_batch{example = {{name = ..., x = ...}}}, "
        .. "or schema = {name = type}")
    end
    local seen = {}
    for _, row in ipairs(example) do
      for name in pairs(row) do
        if type(name) ~= "string" then
          misuse("to_dataframe: the rows must be tables column -> value, that of the example has %s", check.show(name))
        end
        if not seen[name] then
          seen[name] = true
          names[#names + 1] = name
        end
      end
    end
    table.sort(names, function(a, b) return tostring(a) < tostring(b) end)
    example = frame_of(example, names, nil, opts.index)
  end
  table.sort(names)
  local index = opts.index
  local plain = kinds
  if frame.is(opts.example) then plain = nil end -- its types are checked, not cast
  local frames = own.stream:map(function(rows) return frame_of(rows, names, plain, index) end)
  if opts.schema then return frames:to_dataframe { schema = opts.schema, index = index } end
  return frames:to_dataframe { example = example }
end

return batch
