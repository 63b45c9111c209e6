--- tideway.batch -- streams of arrays whose members are worked on one by one.
--
-- A batch wraps a stream of arrays, `batch.stream`; each of its methods makes another below it.
jit.off(true, true) -- builds graphs

local check = require "tideway.check"
local errors = require "tideway.errors"
local frame = require "tideway.frame"
local members = require "tideway.members"
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
  return below(self, "map", members.map(fn, further("map", ...)))
end

--- The members for which pred(x, ...) is truthy; without pred, those that are.
function methods.filter(self, pred, ...)
  check.value("filter", "pred", "function?", pred)
  return below(self, "filter", members.filter(pred, further("filter", ...)))
end

--- x[key] of each member, or {x[k1], x[k2]} for an array of keys; members without it are left out.
function methods.pluck(self, key)
  if type(key) == "table" and key ~= null then
    if key[1] == nil then misuse "pluck: key must be a field name or an array of them, got an empty table" end
    return below(self, "pluck", members.pluck_many(key))
  end
  check.value("pluck", "key", "field", key)
  return below(self, "pluck", members.pluck(key))
end

--- The sum of all members so far, from 0, once for each array.
function methods.sum(self)
  local own = inside(self, "sum")
  return require("tideway.dataframe").result(own.stream:accumulate(members.add, { start = 0 }))
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
    example = members.frame(example, names, nil, opts.index)
  end
  table.sort(names)
  local index = opts.index
  local plain = kinds
  if frame.is(opts.example) then plain = nil end -- its types are checked, not cast
  local frames = own.stream:map(members.framer(names, plain, index))
  if opts.schema then return frames:to_dataframe { schema = opts.schema, index = index } end
  return frames:to_dataframe { example = example }
end

return batch
