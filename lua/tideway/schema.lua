--- tideway.schema -- names, types and index of a frame's columns; one object per signature.
--
-- A native frame carries only the number of its schema. The index column, if there is one, is
-- the last and no column for who asks for columns: names[1 .. count] are the columns,
-- names[count + 1] == index.
jit.off(true, true) -- never hot, and traces through it would hold on to graphs (DESIGN.md D5)

local errors = require "tideway.errors"

local schema = {}

-- ORDER TW_COLUMN
schema.words = { "f64", "i64", "bool", "string", "timestamp" }
schema.kinds = { f64 = 1, i64 = 2, bool = 3, string = 4, timestamp = 5 }

local by_signature, by_number = {}, {}

--- The schema of these columns.
-- names  array, the index not among them; types  array of kinds (1 .. 5), in the same order
-- index  the name of the index, or nil; index_type  its kind
function schema.of_columns(names, types, index, index_type)
  index = index or nil
  local parts = {}
  for i, name in ipairs(names) do parts[i] = ("%d:%s:%d"):format(#name, name, types[i]) end
  if index then parts[#parts + 1] = ("@%d:%s:%d"):format(#index, index, index_type) end
  local signature = table.concat(parts, ",")
  local self = by_signature[signature]
  if self then return self end
  self = {
    number = #by_number + 1, signature = signature, names = {}, types = {}, count = #names, index = index,
    position = {},
  }
  for i, name in ipairs(names) do
    self.names[i], self.types[i], self.position[name] = name, types[i], i
  end
  if index then
    local last = #names + 1
    self.names[last], self.types[last], self.position[index] = index, index_type, last
  end
  self.total = #self.names -- columns with the index
  by_signature[signature] = self
  by_number[self.number] = self
  return self
end

--- The schema with a number.
function schema.of(number) return by_number[number] end

--- A schema as a text for another Lua state, whose schema.learn gives its number there.
function schema.describe(number) return by_number[number].signature end

function schema.learn(description)
  local known = by_signature[description]
  if known then return known.number end
  local names, types, index, index_type, at = {}, {}, nil, nil, 1
  while at <= #description do
    local mark, len, from = description:match("^,?(@?)(%d+):()", at)
    local name = description:sub(from, from + len - 1)
    local kind, after = description:match("^:(%d+)()", from + len)
    if mark == "@" then
      index, index_type = name, tonumber(kind)
    else
      names[#names + 1], types[#types + 1] = name, tonumber(kind)
    end
    at = after
  end
  return schema.of_columns(names, types, index, index_type).number
end

--- The names of all columns, the index too, for messages.
function schema.known(self) return self.names end

--- The position of a column (from 1), or an error that names the nearest.
function schema.find(self, name, what)
  local position = self.position[name]
  if position then return position end
  errors.misuse("%s: there is no column %s%s; there are: %s", what, ("%q"):format(tostring(name)),
    errors.suggestion(tostring(name), self.names), table.concat(self.names, ", "))
end

--- The word of a type; 0 is that of a column whose values are still to come.
function schema.word(kind) return schema.words[kind] or "of unknown type" end

--- Check a type's name; raises with the place it came from.
function schema.kind(word, what)
  local kind = schema.kinds[word]
  if kind then return kind end
  errors.misuse("%s: unknown type %s%s; known: %s", what, ("%q"):format(tostring(word)),
    errors.suggestion(tostring(word), schema.words), table.concat(schema.words, ", "))
end

return schema
