--- tideway.check -- arguments against a descriptor, once, when the pipeline is built.
--
-- A descriptor's `args` lists { name, type, doc } and may end in "..." (further arguments go
-- to the function); `opts` lists the settings of a trailing table in the same form.
-- Types: function, field (a key), count (a whole number from 1), number, string, boolean,
-- table, duration, any; "a|b" is either, a trailing "?" makes it optional, "value" any value
-- including nil.
jit.off(true, true) -- never hot, and traces through it would hold on to graphs (DESIGN.md D5)

local errors = require "tideway.errors"
local misuse = errors.misuse

local check = {}

local units = { ns = 1e-9, us = 1e-6, ms = 1e-3, s = 1, m = 60, h = 3600, d = 86400 }

--- Seconds of a duration: a number of seconds, or text like "10ms" "1.5s" "2m" "1h" "1d".
-- Returns nil when it is neither.
function check.seconds(duration)
  if type(duration) == "number" then
    return duration >= 0 and duration < math.huge and duration or nil
  end
  if type(duration) ~= "string" then return nil end
  local number, unit = duration:match "^%s*(%d+%.?%d*)%s*(%a+)%s*$"
  if not number then number, unit = duration:match "^%s*(%.%d+)%s*(%a+)%s*$" end
  return number and units[unit] and tonumber(number) * units[unit] or nil
end

local function is_stream(x) return type(x) == "table" and rawget(x, "_node") ~= nil end
check.is_stream = is_stream

local function callable(x)
  if type(x) == "function" then return true end
  local mt = type(x) ~= "string" and getmetatable(x)
  return type(mt) == "table" and mt.__call ~= nil
end

local tests = {
  ["function"] = callable,
  field = function(x) return type(x) == "string" or type(x) == "number" end,
  count = function(x) return type(x) == "number" and x >= 1 and x % 1 == 0 and x < 2 ^ 53 end,
  number = function(x) return type(x) == "number" end,
  string = function(x) return type(x) == "string" end,
  boolean = function(x) return type(x) == "boolean" end,
  table = function(x) return type(x) == "table" and not is_stream(x) end,
  stream = is_stream,
  duration = function(x) return check.seconds(x) ~= nil end,
  any = function(x) return x ~= nil end,
  value = function() return true end,
}

local words = {
  count = "a whole number from 1", ["function"] = "a function", field = "a field name",
  number = "a number", string = "a string", boolean = "a boolean", table = "a table",
  stream = "a stream", duration = 'a duration (seconds, or text like "10ms")',
  any = "a value", value = "a value",
}

--- What came, in the words of an error message.
function check.show(x)
  if type(x) == "string" then return ("%q"):format(#x > 40 and x:sub(1, 40) .. "..." or x) end
  if type(x) == "number" or type(x) == "boolean" or x == nil then return tostring(x) end
  if type(x) == "cdata" and tonumber(x) then return (tostring(x):gsub("U?LL$", "")) end -- 64-bit integers
  return is_stream(x) and "a stream" or "a " .. type(x)
end

local parsed = {} -- type text -> { optional, alternatives }

local function parse(text)
  local kind = parsed[text]
  if not kind then
    kind = { optional = text:sub(-1) == "?" }
    for name in text:gsub("%?$", ""):gmatch "[^|]+" do
      local literal = name:match '^"(.*)"$'
      kind[#kind + 1] = {
        test = literal and function(x) return x == literal end or assert(tests[name], name),
        words = literal and name or words[name],
      }
    end
    parsed[text] = kind
  end
  return kind
end

--- Is x of the type that `text` names?
function check.is(x, text)
  local kind = parse(text)
  if x == nil and kind.optional then return true end
  for i = 1, #kind do
    if kind[i].test(x) then return true end
  end
  return false
end

local function value(op, name, text, x)
  if check.is(x, text) then return end
  local list = {}
  for _, alternative in ipairs(parse(text)) do list[#list + 1] = alternative.words end
  misuse("%s: %s must be %s, got %s", op, name, table.concat(list, " or "), check.show(x))
end
check.value = value

--- Check the settings table of operator `op`. Returns a new table; durations in seconds.
function check.settings(op, known, given)
  local opts = {}
  if given == nil then given = {} end
  if type(given) ~= "table" or is_stream(given) then
    misuse("%s: the settings must be a table, got %s", op, check.show(given))
  end
  local by_name, names = {}, {}
  for _, row in ipairs(known) do
    by_name[row[1]] = row
    names[#names + 1] = row[1]
  end
  for name, x in pairs(given) do
    local row = by_name[name]
    if not row then
      misuse("%s: unknown setting %s%s; known: %s", op, check.show(name),
        errors.suggestion(name, names), table.concat(names, ", "))
    end
    value(op, name, row[2], x)
    if row[2]:find("duration", 1, true) then x = check.seconds(x) or x end
    opts[row.is or name] = x
  end
  for _, row in ipairs(known) do
    if opts[row.is or row[1]] == nil and row[2]:sub(-1) ~= "?" then
      value(op, row[1], row[2], nil)
    end
  end
  return opts
end

--- Check a call of a descriptor's constructor.
-- Returns args (by name), extra ({ n =, ... } arguments for the function), opts.
function check.call(desc, ...)
  local op, n = desc.name, select("#", ...)
  local given = { ... }
  local args, extra, opts = {}, { n = 0 }, {}
  local positional, rest, given_settings = 0, false, nil
  for _, row in ipairs(desc.args) do
    if row == "..." then rest = true else positional = positional + 1 end
  end
  if desc.opts then
    local settings
    if n > 0 and n <= positional + 1 and tests.table(given[n])
      and (n > positional or not check.is(given[n], desc.args[n][2])) then
      settings, given[n], n = given[n], nil, n - 1
    elseif n == positional + 1 and given[n] == nil then
      n = n - 1
    end
    given_settings = settings
    if type(desc.opts) == "table" then opts = check.settings(op, desc.opts, settings) end
  end
  for i = 1, positional do
    local row = desc.args[i]
    value(op, row[1], row[2], given[i])
    args[row[1]] = given[i]
    if given[i] ~= nil and row[2]:find("duration", 1, true) then
      args[row[1]] = check.seconds(given[i]) or given[i]
    end
  end
  if n > positional then
    if not rest then
      misuse("%s: takes %d argument%s%s, got %s as number %d", op, positional,
        positional == 1 and "" or "s", desc.opts and " and a settings table" or "",
        check.show(given[positional + 1]), positional + 1)
    end
    extra.n = n - positional
    for i = 1, extra.n do extra[i] = given[positional + i] end
  end
  -- settings that depend on an argument
  if type(desc.opts) == "function" then opts = desc.opts(args, given_settings) end
  return args, extra, opts
end

return check
