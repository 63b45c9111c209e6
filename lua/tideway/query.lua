--- tideway.query -- the text of `df:query "name == 'Alice' and x > 3"` into a tree.
--
-- Precedence as in Python and pandas, from the loosest:
--     or   and   not   == != < <= > >= in, not in (chained: a < b < c)   + -   * / %   - (sign)
-- A name is a column, `between backticks` any text is one; values are numbers, strings in
-- either quotes, true and false, lists [1, 2] after in.
jit.off(true, true) -- never hot, and traces through it would hold on to graphs (DESIGN.md D5)

local errors = require "tideway.errors"
local expression = require "tideway.expression"
local misuse = errors.misuse

local query = {}

local DEPTH_MAX = 150 -- parentheses in parentheses, signs before signs

local words = {
  ["and"] = "and", ["or"] = "or", ["not"] = "not", ["in"] = "in",
  ["true"] = true, ["True"] = true, ["false"] = false, ["False"] = false,
}
local comparisons = { ["=="] = "eq", ["!="] = "ne", ["<"] = "lt", ["<="] = "le", [">"] = "gt", [">="] = "ge" }
local symbols = { -- longest first
  "==", "!=", "<=", ">=", "<", ">", "+", "-", "*", "/", "%", "(", ")", "[", "]", ",",
}
local escapes = { n = "\n", t = "\t", r = "\r", ["0"] = "\0" }

local function fail(text, at, fmt, ...)
  local rest = text:sub(at, at + 30)
  misuse("query: %s at byte %d: %s", fmt:format(...), at, rest == "" and "the end" or rest)
end

--- A string in quotes from `at` on. Returns its value and where it ends.
local function quoted(text, at)
  local quote, parts, i = text:sub(at, at), {}, at + 1
  while true do
    local stop = text:find("[\\" .. quote .. "]", i)
    if not stop then fail(text, at, "this string does not end") end
    parts[#parts + 1] = text:sub(i, stop - 1)
    if text:sub(stop, stop) == quote then return table.concat(parts), stop + 1 end
    local c = text:sub(stop + 1, stop + 1)
    if c == "" then fail(text, at, "this string does not end") end
    parts[#parts + 1] = escapes[c] or c
    i = stop + 2
  end
end

--- The text as tokens { kind, value, at }: kinds are name, value, end, and the symbols and
-- words themselves.
local function scan(text)
  local list, at = {}, 1
  local function put(kind, value, next_at)
    list[#list + 1] = { kind = kind, value = value, at = at }
    at = next_at
  end
  while true do
    at = text:find("[^%s]", at)
    if not at then break end
    local c = text:sub(at, at)
    if c == "'" or c == '"' then
      local value, stop = quoted(text, at)
      put("value", value, stop)
    elseif c == "`" then
      local stop = text:find("`", at + 1, true)
      if not stop then fail(text, at, "this name does not end") end
      put("name", text:sub(at + 1, stop - 1), stop + 1)
    elseif c:find "%d" or text:find("^%.%d", at) then
      local number = text:match("^%d*%.?%d*[eE][+-]?%d+", at) or text:match("^%d*%.?%d*", at)
      local stop = at + #number
      if text:find("^[%w_.\128-\255]", stop) then fail(text, at, "malformed number") end
      put("value", tonumber(number), stop)
    elseif c:find "[%a_\128-\255]" then
      local word = text:match("^[%w_\128-\255]+", at)
      local known = words[word]
      if type(known) == "boolean" then put("value", known, at + #word)
      else put(known or "name", word, at + #word) end
    else
      local found
      for _, symbol in ipairs(symbols) do
        if text:sub(at, at + #symbol - 1) == symbol then
          found = symbol
          break
        end
      end
      if not found then
        if c == "=" then fail(text, at, "unexpected '=' (equality is ==)") end
        fail(text, at, "unexpected character")
      end
      put(found, found, at + #found)
    end
  end
  at = #text + 1
  put("end", nil, at)
  return list
end

local Parser = {}
Parser.__index = Parser

function Parser:fail(fmt, ...) fail(self.text, self.tokens[self.i].at, fmt, ...) end

function Parser:take(kind)
  local token = self.tokens[self.i]
  if token.kind ~= kind then return nil end
  self.i = self.i + 1
  return token
end

function Parser:expect(kind, after)
  local token = self:take(kind)
  if not token then self:fail("expected '%s' %s", kind, after) end
  return token
end

function Parser:deeper()
  self.depth = self.depth + 1
  if self.depth > DEPTH_MAX then self:fail "nested too deeply" end
end

function Parser:primary()
  local token = self:take "value"
  if token then return expression.constant(token.value, "query") end
  token = self:take "name"
  if token then return self.resolve(token.value) end
  if self:take "(" then
    self:deeper()
    local e = self:any()
    self:expect(")", "after what stands in parentheses")
    self.depth = self.depth - 1
    return e
  end
  self:fail "expected a column or a value"
end

function Parser:sign()
  if self:take "-" then
    self:deeper()
    local e = self:sign()
    self.depth = self.depth - 1
    if e.op == "constant" and type(e.value) == "number" then return expression.constant(-e.value, "query") end
    return expression.negative(e)
  end
  if self:take "+" then
    self:deeper()
    local e = self:sign()
    self.depth = self.depth - 1
    return e
  end
  return self:primary()
end

function Parser:product()
  local e = self:sign()
  while true do
    local token = self:take "*" or self:take "/" or self:take "%"
    if not token then return e end
    e = expression.arithmetic(token.kind, e, self:sign())
  end
end

function Parser:sum()
  local e = self:product()
  while true do
    local token = self:take "+" or self:take "-"
    if not token then return e end
    e = expression.arithmetic(token.kind, e, self:product())
  end
end

function Parser:list()
  self:expect("[", "after in")
  local values = {}
  while not self:take "]" do
    if #values > 0 then self:expect(",", "between the values of a list") end
    if #values > 0 and self:take "]" then break end
    local minus = self:take "-"
    local token = self:take "value"
    if not token or minus and type(token.value) ~= "number" then self:fail "expected a value of a list" end
    values[#values + 1] = minus and -token.value or token.value
  end
  return values
end

function Parser:comparison()
  local left = self:sum()
  local result
  while true do
    local token = self.tokens[self.i]
    local e
    if comparisons[token.kind] then
      self.i = self.i + 1
      local right = self:sum()
      e = expression.compare(comparisons[token.kind], left, right)
      left = right
    elseif token.kind == "in" then
      self.i = self.i + 1
      e = expression.isin(left, self:list())
      left = nil
    elseif token.kind == "not" and self.tokens[self.i + 1].kind == "in" then
      self.i = self.i + 2
      e = expression.negate(expression.isin(left, self:list()))
      left = nil
    else
      return result or left
    end
    result = result and expression.both(result, e) or e
    if not left then return result end -- nothing can be chained to a list
  end
end

function Parser:inverse()
  if not self:take "not" then return self:comparison() end
  self:deeper()
  local e = self:inverse()
  self.depth = self.depth - 1
  return expression.negate(e)
end

function Parser:all()
  local e = self:inverse()
  while self:take "and" do e = expression.both(e, self:inverse()) end
  return e
end

function Parser:any()
  local e = self:all()
  while self:take "or" do e = expression.either(e, self:all()) end
  return e
end

--- The tree of a condition.
-- text     what the user wrote
-- resolve  function(name) -> tree; raises for unknown columns
function query.parse(text, resolve)
  local parser = setmetatable({ text = text, tokens = scan(text), i = 1, depth = 0, resolve = resolve }, Parser)
  local e = parser:any()
  if not parser:take "end" then parser:fail "expected and, or, or the end" end
  if e.type ~= 3 then -- bool
    misuse("query: %s is no condition", expression.describe(e))
  end
  return e
end

return query
