--- tideway.columns -- inputs whose elements are pushed as the values of their fields.
--
-- A table for each push is what an element costs most: it is made, lives until the loop has its turn,
-- and is collected. Here the values of all elements lie one after the other in one array, and the
-- table is made where it is delivered; there LuaJIT leaves it out, too, when its fields are all
-- that is used.
--
--     items   status uri time   status uri time   ...      element i: items[i * count + 1 ...]
jit.off(true, true) -- never hot; what it makes is

local errors = require "tideway.errors"
local record = require "tideway.record"
local view = require "tideway.view"

local MOST = 50 -- fields: each is a local of a function

local columns = {}

--- A field that is nil.
local NONE = {}

--- Check the names. Returns how many.
function columns.check(op, names)
  local seen = {}
  for i = 1, #names do
    local name = names[i]
    if type(name) ~= "string" or seen[name] then
      errors.misuse("%s: fields must be an array of different names", op)
    end
    seen[name] = true
  end
  if #names == 0 or #names > MOST then errors.misuse("%s: fields must be 1 to %d names", op, MOST) end
  return #names
end

--- Are these the same names in the same order?
function columns.equal(a, b)
  if not (a and b) or #a ~= #b then return false end
  for i = 1, #a do
    if a[i] ~= b[i] then return false end
  end
  return true
end

local function list(count, fmt, separator)
  local parts = {}
  for i = 1, count do parts[i] = fmt:gsub("#", i) end
  return table.concat(parts, separator)
end

local PUSH = [[
local S, refuse, rouse, wrong, is_view, text, NONE = ...
return function(self, PARAMETERS)
  if type(self) ~= "table" or self._ring ~= S then wrong() end
  local n = S.n
  if S.closed or n + 1 + S.size - S.taken > S.maxsize then return refuse(S) end
  local items, at = S.items, n * COUNT
VALUES
  S.n = n + 1
  if S.idle then rouse(S) end
  return true
end]]

local VALUE = [[
  if v# == nil then v# = NONE elseif type(v#) == "cdata" and is_view(v#) then v# = text(v#) end
  items[at + #] = v#]]

--- The push of an input with the ring S: function(input, value of the first field, ...).
function columns.push(S, refuse, rouse, wrong)
  local count = S.width
  local source = PUSH:gsub("%u%u+", {
    PARAMETERS = list(count, "v#", ", "), COUNT = tostring(count), VALUES = list(count, VALUE, "\n"),
  })
  return assert(loadstring(source, "=tideway: push"))(S, refuse, rouse, wrong, view.is, view.text, NONE)
end

--- In the loop over a batch: write what makes a table of element i in the local x.
function columns.element(b, names, x)
  local none = b:constant(NONE)
  local fields = {}
  b:open "do"
  b:line("local at = i * %d", #names)
  for k, name in ipairs(names) do
    b:line("local v%d = items[at + %d]", k, k)
    b:line("if v%d == %s then v%d = nil end", k, none, k)
    b:line("items[at + %d] = false", k) -- which is let go of
    fields[k] = ("[%s] = v%d"):format(record.quoted(name), k)
  end
  b:line(x .. " = { " .. table.concat(fields, ", ") .. " }")
  b:close()
end

return columns
