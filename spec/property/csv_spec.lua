--- from_csv reads what pandas.read_csv reads, wherever both say what a text means.
--
-- Random files: quotes, newlines in them, CRLF, empty fields and lines, a byte order mark, numbers of all kinds,
-- rows with too many fields. pandas cannot tell `""` from an empty field, and takes neither a lone "\r" nor
-- something behind a closing quote as we do: those are left out here. pandas reads what to_csv writes, too.
local helper = require "helper"
local pandas = require "support.pandas"
local scratch = require "support.scratch"
local tw = helper.tw

local ROUNDS = (tonumber(os.getenv "TIDEWAY_ROUNDS") or 1) * 60

local NUMBERS = {
  "0", "-0", "+1", "1.", ".5", "-.25", "1e5", "1E-7", "2.5e+10", "-1e-400", "inf", "-inf", "nan", "Infinity",
  "123456789", "1234567890123456789", "0.1", "12345678.12345678", "9007199254740993", "1e22", "8.5e-23",
  "0.000000000000000000000000000001", "179769313486231570000000000000", "00012.50", "4.9e-324",
  "2.2250738585072011e-308",
}
local WORDS = { "Alice", "Bob", "Zoë", "a b", "x", "true", "-", "NA", "null", "N/A", "1x", "a'b", "日本語", "--1", "1.2.3",
  "a name of more than sixteen bytes", "a name of more than sixteen letters" }

local makers = {}

function makers.f64(rng)
  local kind = rng:int(1, 10)
  if kind == 1 then return rng:pick(NUMBERS) end
  if kind == 2 then return ("%.17g"):format(rng:normal() * 10 ^ rng:int(-20, 20)) end
  if kind == 3 then return ("%.3e"):format(rng:normal()) end
  return ("%." .. rng:int(0, 3) .. "f"):format(rng:normal() * 10 ^ rng:int(0, 5))
end

function makers.i64(rng)
  if rng:chance(0.1) then return rng:pick { "9223372036854775807", "-9223372036854775808", "+7", "007" } end
  return ("%d"):format(rng:normal() * 10 ^ rng:int(0, 8))
end

function makers.bool(rng) return rng:pick { "true", "false", "TRUE", "False", "True", "FALSE" } end

function makers.timestamp(rng)
  local day = ("%04d-%02d-%02d"):format(rng:int(1950, 2100), rng:int(1, 12), rng:int(1, 28))
  local time = ("%02d:%02d"):format(rng:int(0, 23), rng:int(0, 59))
  local second, zone = (":%02d"):format(rng:int(0, 59)), rng:pick { "", "Z", "+02:00", "-05:30" }
  return rng:pick { day, day .. " " .. time, day .. "T" .. time .. second .. zone,
    day .. " " .. time .. second .. "." .. rng:int(1, 999999999) .. zone }
end

function makers.string(rng)
  local kind = rng:int(1, 12)
  if kind == 1 then return makers.f64(rng) end
  if kind == 2 then return rng:pick { "a,b", "x\ny", "x\r\ny", 'say "hi"', ";", "\n", '"', ",", "two\n\nlines" } end
  if kind == 3 then return ("long "):rep(rng:int(1, 60)) .. "." end
  return rng:pick(WORDS)
end

--- Anything: the type of such a column is inferred.
function makers.any(rng) return makers[rng:pick { "f64", "bool", "timestamp", "string" }](rng) end

local function quoted(text) return '"' .. text:gsub('"', '""') .. '"' end

--- The text of a cell in a file.
local function field(rng, text, delimiter)
  local must = text:find '^"' or text:find "[\r\n]" or text:find(delimiter, 1, true)
  return (must or rng:chance(0.1)) and quoted(text) or text
end

--- A random file: its text and the types of its columns.
-- of  the makers that columns are chosen from
local function random_file(rng, of, bad)
  local d, eol = rng:pick { ",", ";", "\t" }, rng:pick { "\n", "\n", "\r\n" }
  local width, rows = rng:int(2, 6), rng:pick { 0, 1, 3, 20, 200, rng:chance(0.1) and 9000 or 50 }
  local kinds, names, lines = {}, {}, {}
  for k = 1, width do
    names[k] = rng:pick { "c", "column ", "ä", "q\"" } .. k
    kinds[k] = rng:pick(of)
  end
  local header = {}
  for k = 1, width do header[k] = field(rng, names[k], d) end
  local missing, blank = rng:pick { 0, 0.1, 0.5 }, rng:chance(0.3)
  lines[1] = table.concat(header, d)
  for i = 1, rows do
    local cells = {}
    for k = 1, width do
      cells[k] = rng:chance(missing) and "" or field(rng, makers[kinds[k]](rng), d)
      if kinds[k] == "f64" and k > 1 and cells[k]:find "^%d" and rng:chance(0.02) then cells[k] = "  " .. cells[k] end
    end
    if bad and i > 1 and rng:chance(bad) then cells[#cells + 1] = "too many" end
    lines[#lines + 1] = table.concat(cells, d)
    if blank and rng:chance(0.2) then lines[#lines + 1] = "" end
  end
  local types = {}
  for k, name in ipairs(names) do types[name] = kinds[k] end
  local text = (rng:chance(0.2) and "\239\187\191" or "") .. table.concat(lines, eol)
  if rng:chance(0.7) then text = text .. eol end
  return text, d, types
end

--- All that from_csv gives for a file, in the form of the oracle; `""` counts as missing, as in pandas.
local function ours(path, opts, skip)
  local source = tw.from_csv(path, opts)
  if skip then source:on_error "skip" end
  local list = source:sink_to_list()
  tw.run()
  local all, kinds = { columns = {}, data = {} }, {}
  for _, f in ipairs(list) do
    local part = pandas.canonical(f)
    all.columns, kinds = part.columns, f:types()
    for name, cells in pairs(part.data) do
      local into = all.data[name] or {}
      for i = 1, #cells do into[#into + 1] = cells[i] == "" and "\0" or cells[i] end
      all.data[name] = into
    end
  end
  return all, kinds
end

--- As numbers or texts: pandas reads whole numbers in a column without fractions as such.
local function plain(x)
  if type(x) == "string" then x = x:gsub("^i:", "") end
  return tonumber(x) or x
end

local function compare(want, got, text, kinds)
  if want.refused then error(("pandas does not take it: %s\n%s"):format(want.refused, text), 0) end
  for _, name in ipairs(got.columns) do
    local a, b = want.data[name], got.data[name]
    if not a or #a ~= #b then
      error(("%q: %d rows, expected %d\n%s"):format(name, #b, a and #a or -1, text), 0)
    end
    for i = 1, #a do
      local x, y = a[i], b[i]
      if kinds[name] == "f64" or kinds[name] == "i64" then x, y = plain(x), plain(y) end
      if x ~= y then
        error(("row %d, column %q (%s): got %s, expected %s\n%s"):format(i, name, tostring(kinds[name]),
          helper.show(b[i]), helper.show(a[i]), text), 0)
      end
    end
  end
end

describe("from_csv beside pandas.read_csv", function()
  teardown(function()
    scratch.remove()
    pandas.stop()
  end)

  local function it_agrees(what, fn)
    it(what, function()
      if not pandas.available then pending(pandas.reason) end
      helper.seeded(fn, ROUNDS)
    end)
  end

  it_agrees("with types from a schema", function(rng)
    local text, d, types = random_file(rng, { "f64", "i64", "bool", "timestamp", "string" })
    local path = scratch.file(text)
    local got, kinds = ours(path, { delimiter = d, schema = types, batch = rng:pick { 1, 7, 10000 } })
    compare(pandas.read_csv(path, d, types, kinds), got, text, kinds)
    os.remove(path)
  end)

  it_agrees("with types inferred", function(rng)
    local text, d = random_file(rng, { "f64", "bool", "timestamp", "string", "any" })
    local path = scratch.file(text)
    local got, kinds = ours(path, { delimiter = d, infer = 10000, batch = rng:pick { 1, 7, 10000 } })
    local words = {} -- columns that are text to us are to pandas, too: it keeps how numbers were written there
    for name, kind in pairs(kinds) do words[name] = (kind == "string" or kind == "timestamp") and kind or nil end
    compare(pandas.read_csv(path, d, words, kinds), got, text, kinds)
    os.remove(path)
  end)

  it_agrees("in files that to_csv has written", function(rng)
    local kinds, columns, rows = { n = "f64", i = "i64", b = "bool", s = "string", t = "timestamp" }, {}, rng:int(0, 50)
    for name in pairs(kinds) do columns[name] = {} end
    for row = 1, rows do
      columns.n[row] = tonumber(makers.f64(rng))
      columns.i[row] = rng:int(-2 ^ 30, 2 ^ 30) * 2 ^ 20
      columns.b[row] = rng:chance(0.5)
      columns.s[row] = makers.string(rng)
      columns.t[row] = rng:int(-1e9, 4e9) / 8
      for name in pairs(kinds) do
        if rng:chance(0.1) then columns[name][row] = tw.null end
      end
    end
    local frame = tw.frame(columns, { schema = kinds, columns = { "n", "i", "b", "s", "t" } })
    local d = rng:pick { ",", ";", "\t" }
    local text, path = scratch.written("to_csv", { frame }, { delimiter = d })
    compare(pandas.read_csv(path, d, kinds, kinds), pandas.canonical(frame), text, kinds)
    os.remove(path)
  end)

  it_agrees("leaving out rows with too many fields", function(rng)
    local text, d, types = random_file(rng, { "f64", "bool", "string" }, 0.1)
    local path = scratch.file(text)
    local got, kinds = ours(path, { delimiter = d, schema = types, batch = rng:pick { 1, 7, 10000 } }, true)
    compare(pandas.read_csv(path, d, types, kinds, true), got, text, kinds)
    os.remove(path)
  end)
end)
