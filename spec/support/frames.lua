--- support.frames -- random frames for specs, and the same rows as plain Lua.
local helper = require "helper"
local tw = helper.tw

local frames = {}

frames.types = { ts = "timestamp", name = "string", k = "i64", x = "f64", y = "f64", ok = "bool" }
local order = { "name", "k", "x", "y", "ok" }

--- Random rows; missing cells are nil.
function frames.rows(rng, n, from)
  local rows = {}
  for i = 1, n do
    local function maybe(x) if rng:chance(0.15) then return nil end return x end
    rows[i] = {
      ts = from + i, name = maybe(rng:pick { "Alice", "Bob", "Carl", "", "Z" }), k = maybe(rng:int(-4, 4)),
      x = maybe(rng:pick { rng:normal() * 10, rng:int(-3, 3) }), y = maybe(rng:int(-5, 5)), ok = maybe(rng:chance(0.5)),
    }
  end
  return rows
end

function frames.of(rows)
  local columns = {}
  for name in pairs(frames.types) do
    columns[name] = {}
    for i, row in ipairs(rows) do
      local x = row[name]
      if x == nil then x = tw.null end
      columns[name][i] = x
    end
  end
  return tw.frame(columns, { index = "ts", schema = frames.types, columns = order })
end

--- Frames of random size with rows numbered through. Returns them as frames and as rows.
function frames.random(rng, count)
  local list, lists, from = {}, {}, 0
  for i = 1, count or rng:int(1, 5) do
    lists[i] = frames.rows(rng, rng:pick { 0, 1, 1, 2, 7, 20 }, from)
    from = from + #lists[i]
    list[i] = frames.of(lists[i])
  end
  return list, lists
end

--- What comes out of build(df) for these frames; frames as tables of columns.
function frames.run(list, build, opts)
  local s = tw.stream()
  local df = s:to_dataframe(opts or { schema = frames.types, index = "ts" })
  local result, out = build(df, s), {}
  result.stream:sink(function(f) out[#out + 1] = type(f) == "cdata" and not tonumber(f) and f:to_table() or f end)
  for _, f in ipairs(list) do s:emit(f) end
  return out
end

--- A column of what fn says of every row, nil for a missing one.
function frames.column(rows, fn)
  local list = {}
  for i, row in ipairs(rows) do
    local x = fn(row)
    if x == nil or x ~= x then x = tw.null end
    list[i] = x
  end
  return list
end

--- The columns (name -> fn(row)) of every list of rows, with the index.
function frames.expected(lists, columns)
  local out = {}
  for i, rows in ipairs(lists) do
    out[i] = { ts = frames.column(rows, function(row) return row.ts end) }
    for name, fn in pairs(columns) do out[i][name] = frames.column(rows, fn) end
  end
  return out
end

return frames
