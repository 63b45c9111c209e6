--- from_json reads what Python's json reads from the same lines.
--
-- Random objects: fields in any order, missing, null and twice, blanks anywhere, every escape, numbers in all
-- spellings, members that no column has, empty lines, CRLF.
local helper = require "helper"
local pandas = require "support.pandas"
local scratch = require "support.scratch"
local tw = helper.tw

local ROUNDS = (tonumber(os.getenv "TIDEWAY_ROUNDS") or 1) * 60
local KINDS = { x = "f64", ["the \"n\""] = "i64", ok = "bool", ["näme"] = "string", at = "timestamp" }

local NAMES = {}
for name in pairs(KINDS) do NAMES[#NAMES + 1] = name end
table.sort(NAMES)

local ESCAPES = {
  "\\n", "\\\"", "\\\\", "\\/", "\\b", "\\f", "\\r", "\\t", "\\u00e9", "\\u0041", "\\ud83d\\ude00", "\\u2028",
}

local function text(rng, plain)
  local parts = {}
  for i = 1, rng:int(0, rng:chance(0.1) and 40 or 5) do
    parts[i] = rng:chance(0.3) and rng:pick(ESCAPES) or rng:pick { "a", "word ", "é", "日本", "1", "{", "]", ",", ":" }
  end
  return '"' .. (plain or table.concat(parts)) .. '"'
end

local function number(rng)
  local x = rng:pick {
    "0", "-0", "0.0", "1e5", "1E+2", "-2.5e-3", "123456789012345678901234567890", "0.1", "4.9e-324", "1e22", "-1e-400",
    ("%.17g"):format(rng:normal() * 10 ^ rng:int(-300, 300)), ("%.2f"):format(rng:normal() * 1000),
    tostring(rng:int(-1000, 1000)),
  }
  return rng:chance(0.1) and text(rng, x) or x -- as text it counts as well
end

local function any(rng, depth)
  local kind = rng:int(1, depth > 3 and 3 or 5)
  if kind == 1 then return text(rng) elseif kind == 2 then return number(rng) end
  if kind == 3 then return rng:pick { "true", "false", "null" } end
  local parts = {}
  for i = 1, rng:int(0, 3) do
    parts[i] = (kind == 4 and text(rng) .. ":" or "") .. any(rng, depth + 1)
  end
  return kind == 4 and "{" .. table.concat(parts, ",") .. "}" or "[" .. table.concat(parts, " ,") .. "]"
end

local makers = {
  f64 = number, string = text,
  i64 = function(rng) return ("%d"):format(rng:normal() * 10 ^ rng:int(0, 14)) end,
  bool = function(rng) return rng:pick { "true", "false" } end,
  timestamp = function(rng)
    return ('"%04d-%02d-%02dT%02d:%02d:%02d.%dZ"'):format(rng:int(1950, 2100), rng:int(1, 12), rng:int(1, 28),
      rng:int(0, 23), rng:int(0, 59), rng:int(0, 59), rng:int(1, 999999999))
  end,
}

local function random_lines(rng)
  local eol, lines = rng:pick { "\n", "\r\n" }, {}
  local orderly = rng:chance(0.5)
  for i = 1, rng:pick { 1, 2, 20, 300, rng:chance(0.1) and 5000 or 50 } do
    local members = {}
    for _, name in ipairs(NAMES) do
      local place = orderly and #members + 1 or rng:int(1, #members + 1)
      local key = ("%q"):format(name) .. (orderly and ":" or rng:pick { ":", " : ", ":\t" })
      local value = rng:chance(0.1) and "null" or makers[KINDS[name]](rng)
      if orderly or rng:chance(0.9) then table.insert(members, place, key .. value) end
      if not orderly and rng:chance(0.05) then members[#members + 1] = key .. makers[KINDS[name]](rng) end
    end
    if rng:chance(0.1) then
      local key = text(rng):gsub('"$', ' z"')
      table.insert(members, rng:int(1, #members + 1), key .. ":" .. any(rng, 1))
    end
    lines[i] = "{" .. table.concat(members, rng:pick { ",", " , " }) .. "}"
    if rng:chance(0.03) then lines[i] = lines[i] .. eol .. rng:pick { "", "  ", "\t" } end
  end
  return table.concat(lines, eol) .. (rng:chance(0.7) and eol or "")
end

describe("from_json beside Python's json", function()
  teardown(function()
    scratch.remove()
    pandas.stop()
  end)

  it("reads random lines", function()
    if not pandas.available then pending(pandas.reason) end
    helper.seeded(function(rng)
      local lines = random_lines(rng)
      local path = scratch.file(lines)
      local opts = { schema = KINDS, columns = NAMES, batch = rng:pick { 1, 7, 10000 } }
      local list = tw.from_json(path, opts):sink_to_list()
      tw.run()
      local want, row = pandas.read_json(path, KINDS).data, 0
      for _, f in ipairs(list) do
        local got = pandas.canonical(f).data
        for i = 1, #f do
          row = row + 1
          for name in pairs(KINDS) do
            if got[name][i] ~= want[name][row] then
              error(("row %d, column %q: got %s, expected %s\n%s"):format(row, name, helper.show(got[name][i]),
                helper.show(want[name][row]), lines), 0)
            end
          end
        end
      end
      assert.equal(#want.x, row)
      os.remove(path)
    end, ROUNDS)
  end)
end)
