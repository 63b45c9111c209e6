--- Reductions, windows, groups, rolling and cumulative columns, each recomputed from all rows.
local helper = require "helper"
local frames_of = require "support.frames"
local tw = helper.tw

local NAN = 0 / 0
local numeric = { "k", "x", "y", "ok" }

local function number(x)
  if x == true then return 1 elseif x == false then return 0 end
  return x
end

--- The values of a column that are there.
local function values(rows, name)
  local list = {}
  for _, row in ipairs(rows) do
    if row[name] ~= nil then list[#list + 1] = number(row[name]) end
  end
  return list
end

local plain = {}

function plain.count(list) return #list end
function plain.sum(list)
  local total = 0
  for _, x in ipairs(list) do total = total + x end
  return total
end
function plain.mean(list) return #list > 0 and plain.sum(list) / #list or NAN end
function plain.var(list, ddof)
  if #list <= (ddof or 1) then return NAN end
  local mean, total = plain.mean(list), 0
  for _, x in ipairs(list) do total = total + (x - mean) ^ 2 end
  return total / (#list - (ddof or 1))
end
function plain.std(list, ddof) return math.sqrt(plain.var(list, ddof)) end
function plain.min(list)
  local best = NAN
  for _, x in ipairs(list) do if best ~= best or x < best then best = x end end
  return best
end
function plain.max(list)
  local best = NAN
  for _, x in ipairs(list) do if best ~= best or x > best then best = x end end
  return best
end
function plain.quantile(list, q)
  if #list == 0 then return NAN end
  local sorted = {}
  for i, x in ipairs(list) do sorted[i] = x end
  table.sort(sorted)
  local at = (#sorted - 1) * q
  local i = math.floor(at)
  local low, high = sorted[i + 1], sorted[math.min(i + 2, #sorted)]
  return low + (high - low) * (at - i)
end
function plain.median(list) return plain.quantile(list, 0.5) end

local operations = {
  { "count" }, { "sum" }, { "mean" }, { "min" }, { "max" }, { "var" }, { "std" }, { "var", { ddof = 0 } },
}

-- Which rows a window has after each frame.
local windows = {
  all = function(seen) return seen end,
  rows = function(n)
    return function(seen)
      local rows = {}
      for i = math.max(1, #seen - n + 1), #seen do rows[#rows + 1] = seen[i] end
      return rows
    end
  end,
  value = function(value)
    return function(seen)
      local max, rows = -math.huge, {}
      for _, row in ipairs(seen) do max = math.max(max, row.ts) end
      for _, row in ipairs(seen) do
        if row.ts > max - value then rows[#rows + 1] = row end
      end
      table.sort(rows, function(a, b) return a.ts < b.ts end)
      return rows
    end
  end,
}

--- The results of fn(rows of the window) after each frame.
local function after_each(lists, rows_of, fn)
  local seen, out = {}, {}
  for i, rows in ipairs(lists) do
    for _, row in ipairs(rows) do seen[#seen + 1] = row end
    out[i] = fn(rows_of(seen))
  end
  return out
end

--- Every window there is, as function(df) and as rows.
local function each_window(rng, fn)
  local n, value = rng:int(1, 12), rng:pick { 1, 2.5, 7 }
  fn("all", function(df) return df end, windows.all)
  fn("expanding", function(df) return df:expanding() end, windows.all)
  fn("window " .. n, function(df) return df:window { n = n } end, windows.rows(n))
  fn("window value " .. value, function(df) return df:window { value = value } end, windows.value(value))
end

--- Frames whose rows do not come in the order of their index.
local function shuffled(rng, lists)
  local out = {}
  for i, rows in ipairs(lists) do
    local copy = {}
    for j, row in ipairs(rows) do copy[j] = row end
    for j = #copy, 2, -1 do
      local k = rng:int(1, j)
      copy[j], copy[k] = copy[k], copy[j]
    end
    out[i] = copy
  end
  return out
end

local function to_frames(lists)
  local list = {}
  for i, rows in ipairs(lists) do list[i] = frames_of.of(rows) end
  return list
end

describe("dataframe: reductions", function()
  it("of a column are numbers, of a dataframe tables, over all data and windows", function()
    helper.seeded(function(rng)
      local frames, lists = frames_of.random(rng, rng:int(1, 8))
      each_window(rng, function(what, window, rows_of)
        for _, op in ipairs(operations) do
          local name, opts = op[1], op[2]
          local column = rng:pick(numeric)
          local want = after_each(lists, rows_of, function(rows)
            return plain[name](values(rows, column), opts and opts.ddof)
          end)
          local got = frames_of.run(frames, function(df)
            local w = window(df)[column]
            return w[name](w, opts)
          end)
          local ok, err = pcall(helper.expect, want, got, 1e-9)
          assert(ok, ("%s of %s over %s: %s"):format(name, column, what, tostring(err)))
          local columns = name == "count" and { "k", "x", "y", "ok", "name" } or numeric
          want = after_each(lists, rows_of, function(rows)
            local t = {}
            for _, c in ipairs(columns) do t[c] = plain[name](values(rows, c), opts and opts.ddof) end
            return t
          end)
          got = frames_of.run(frames, function(df)
            local w = window(df)
            return w[name](w, opts)
          end)
          ok, err = pcall(helper.expect, want, got, 1e-9)
          assert(ok, ("%s over %s: %s"):format(name, what, tostring(err)))
        end
      end)
    end, 10)
  end)

  it("count cells by size, and values by value_counts", function()
    helper.seeded(function(rng)
      local frames, lists = frames_of.random(rng, rng:int(1, 6))
      each_window(rng, function(_, window, rows_of)
        helper.expect(after_each(lists, rows_of, function(rows) return #rows end),
          frames_of.run(frames, function(df) return window(df).name:size() end))
        helper.expect(after_each(lists, rows_of, function(rows) return #rows * 5 end),
          frames_of.run(frames, function(df) return window(df):size() end))
        for _, name in ipairs { "name", "k", "x", "ok" } do
          helper.expect(after_each(lists, rows_of, function(rows)
            local t = {}
            for _, row in ipairs(rows) do
              if row[name] ~= nil then t[row[name]] = (t[row[name]] or 0) + 1 end
            end
            return t
          end), frames_of.run(frames, function(df) return window(df)[name]:value_counts() end))
        end
      end)
    end, 10)
  end)

  it("take rows that come out of order to their place in a window by value", function()
    helper.seeded(function(rng)
      local _, lists = frames_of.random(rng, rng:int(1, 6))
      lists = shuffled(rng, lists)
      local value = rng:pick { 1, 3.5, 10 }
      helper.expect(after_each(lists, windows.value(value), function(rows)
        local t = {}
        for i, row in ipairs(rows) do t[i] = row.ts end
        return { ts = t, x = frames_of.column(rows, function(row) return row.x end) }
      end), frames_of.run(to_frames(lists), function(df) return df:window { value = value }.x:full() end))
      helper.expect(after_each(lists, windows.value(value), function(rows) return plain.sum(values(rows, "x")) end),
        frames_of.run(to_frames(lists), function(df) return df:window { value = value }.x:sum() end), 1e-9)
    end, 10)
  end)

  it("begin where start says", function()
    local frames = { frames_of.of { { ts = 1, x = 50 }, { ts = 2, x = 100 } }, frames_of.of { { ts = 3, x = 200 } } }
    helper.expect({ 160, 360 }, frames_of.run(frames, function(df) return df.x:sum { start = 10 } end))
    helper.expect({ 5, 6 }, frames_of.run(frames, function(df) return df.x:count { start = 3 } end))
    helper.expect({ 152 / 4, 352 / 5 }, frames_of.run(frames, function(df) return df.x:mean { start = { 2, 2 } } end))
    helper.expect({ 12, 13 }, frames_of.run(frames, function(df) return df.x:size { start = 10 } end))
  end)

  it("keep sums of i64 exact", function()
    local frames = { tw.frame { n = { 9007199254740993LL, 2LL } }, tw.frame { n = { -9007199254740993LL } } }
    helper.expect({ 9007199254740995LL, 2 },
      frames_of.run(frames, function(df) return df.n:sum() end, { schema = { n = "i64" } }))
  end)

  it("are calculated with", function()
    local frames = { frames_of.of { { ts = 1, x = 1, y = 2 }, { ts = 2, x = 3, y = 6 } } }
    helper.expect({ 0.5 }, frames_of.run(frames, function(df) return df.x:sum() / df.y:sum() end))
    helper.expect({ -3 }, frames_of.run(frames, function(df) return 1 - df.x:sum() end))
    helper.expect({ { x = 2, y = 4 } }, frames_of.run(frames, function(df)
      local part = df[{ "x", "y" }]
      return part:sum() / part:count()
    end))
    helper.expect({ { x = 1, y = 2 } }, frames_of.run(frames, function(df) return df[{ "x", "y" }]:mean() / 2 end))
  end)

  it("of whole results, like full, begin anew with each frame", function()
    local frames = { frames_of.of { { ts = 1, x = 1 }, { ts = 2, x = 2 } }, frames_of.of { { ts = 3, x = 4 } } }
    helper.expect({ 3, 6 }, frames_of.run(frames, function(df) return df:window(2):full().x:sum() end))
  end)

  it("of a large offset keep their variance, also as rows leave", function()
    helper.seeded(function(rng)
      local s = tw.stream()
      local df = s:to_dataframe { schema = { x = "f64" } }
      local out = df:window(20).x:var().stream:sink_to_list()
      local seen = {}
      for _ = 1, 100 do
        local list = {}
        for i = 1, rng:int(1, 5) do
          list[i] = 1e9 + rng:normal()
          seen[#seen + 1] = list[i]
        end
        s:emit(tw.frame { x = list })
        local held = {}
        for i = math.max(1, #seen - 19), #seen do held[#held + 1] = seen[i] - 1e9 end
        helper.expect({ plain.var(held) }, { out[#out] }, 1e-6)
      end
    end)
  end)
end)

describe("dataframe: groupby", function()
  local function grouped(rows, keys, columns, fn)
    local groups, order = {}, {}
    for _, row in ipairs(rows) do
      local parts, missing = {}, false
      for i, key in ipairs(keys) do
        parts[i] = key.fn(row)
        missing = missing or parts[i] == nil
      end
      if not missing then
        local id = {}
        for i, x in ipairs(parts) do id[i] = tostring(x) end
        id = table.concat(id, "|")
        if not groups[id] then
          groups[id] = { key = parts }
          order[#order + 1] = groups[id]
        end
        table.insert(groups[id], row)
      end
    end
    table.sort(order, function(a, b)
      for i = 1, #keys do
        local x, y = number(a.key[i]), number(b.key[i])
        if x ~= y then return x < y end
      end
      return false
    end)
    local t = {}
    for i, key in ipairs(keys) do
      t[key.name] = {}
      for j, group in ipairs(order) do t[key.name][j] = group.key[i] end
    end
    for _, name in ipairs(columns) do
      t[name] = {}
      for j, group in ipairs(order) do
        local y = fn(group, name)
        t[name][j] = y == y and y or tw.null
      end
    end
    return t
  end

  local keyed = {
    {
      by = function(df) return df:groupby "name" end,
      keys = { { name = "name", fn = function(r) return r.name end } },
    },
    { by = function(df) return df:groupby(df.ok) end, keys = { { name = "ok", fn = function(r) return r.ok end } } },
    {
      by = function(df) return df:groupby(df.k % 2) end,
      keys = { { name = "key", fn = function(r) return r.k and r.k % 2 end } },
    },
    {
      by = function(df) return df:groupby { "name", df.k % 2 } end,
      keys = {
        { name = "name", fn = function(r) return r.name end },
        { name = "key", fn = function(r) return r.k and r.k % 2 end },
      },
    },
  }

  it("aggregates per key, sorted, over all data and windows", function()
    helper.seeded(function(rng)
      local frames, lists = frames_of.random(rng, rng:int(1, 8))
      each_window(rng, function(what, window, rows_of)
        for _, spec in ipairs(keyed) do
          local op = rng:pick(operations)
          local name, opts = op[1], op[2]
          local want = after_each(lists, rows_of, function(rows)
            return grouped(rows, spec.keys, { "x", "y" }, function(group, column)
              return plain[name](values(group, column), opts and opts.ddof)
            end)
          end)
          local got = frames_of.run(frames, function(df)
            local g = spec.by(window(df))[{ "x", "y" }]
            return g[name](g, opts)
          end)
          local ok, err = pcall(helper.expect, want, got, 1e-9)
          assert(ok, ("%s over %s: %s"):format(name, what, tostring(err)))
          helper.expect(after_each(lists, rows_of, function(rows)
            return grouped(rows, spec.keys, { "size" }, function(group) return #group end)
          end), frames_of.run(frames, function(df) return spec.by(window(df)):size() end))
        end
      end)
    end, 10)
  end)

  it("leaves out text but for count, the keys and the index", function()
    local frames = { frames_of.of { { ts = 1, name = "a", k = 1, x = 2, y = 3, ok = true } } }
    local s = tw.stream()
    local df = s:to_dataframe { schema = frames_of.types, index = "ts" }
    assert.same({ "name", "k", "ok", "x", "y" }, df:groupby "name":sum():columns())
    assert.same({ "k", "name", "ok", "x", "y" }, df:groupby "k":count():columns())
    assert.same({ "k", "ok", "x", "y" }, df:groupby "k":mean():columns())
    helper.expect({ { name = { "a" }, x = { 2 } } },
      frames_of.run(frames, function(d) return d:groupby(d.name).x:sum() end))
  end)

  it("gives dataframes: columns, tails and calculations, the keys untouched", function()
    local frames = { frames_of.of {
      { ts = 1, name = "a", x = 2, y = 1 }, { ts = 2, name = "b", x = 3, y = 1 }, { ts = 3, name = "a", x = 4 },
    } }
    local function g(df) return df:groupby "name"[{ "x", "y" }] end
    helper.expect({ { x = { 3, 3 } } }, frames_of.run(frames, function(df) return g(df):mean().x end))
    helper.expect({ { name = { "b" }, x = { 3 }, y = { 1 } } },
      frames_of.run(frames, function(df) return g(df):sum():tail(1) end))
    helper.expect({ { name = { "a", "b" }, x = { 3, 3 }, y = { 1, 1 } } },
      frames_of.run(frames, function(df) return g(df):sum() / g(df):count() end))
    helper.expect({ { name = { "a", "b" }, x = { 60, 30 }, y = { 10, 10 } } },
      frames_of.run(frames, function(df) return g(df):sum() * 10 end))
    helper.expect({ { name = { "a" }, x = { 6 }, y = { 1 } } },
      frames_of.run(frames, function(df)
        local sums = g(df):sum()
        return sums[sums.x:gt(3)]
      end))
  end)

  it("keys by a column of another dataframe that comes along", function()
    local a, b = tw.stream(), tw.stream()
    local df, other = a:to_dataframe { schema = { x = "f64" } }, b:to_dataframe { schema = { g = "string" } }
    local out = df:groupby(other.g).x:sum().stream:map(function(f) return f:to_table() end):sink_to_list()
    a:emit(tw.frame { x = { 1, 2, 3 } })
    b:emit(tw.frame { g = { "u", "v", "u" } })
    assert.same({ { g = { "u", "v" }, x = { 4, 2 } } }, out)
  end)
end)

describe("dataframe: row by row", function()
  it("goes on over frames with cumsum cumprod cummin cummax", function()
    local steps = {
      cumsum = function(a, x) return a + x end, cumprod = function(a, x) return a * x end,
      cummin = math.min, cummax = math.max,
    }
    helper.seeded(function(rng)
      local frames, lists = frames_of.random(rng)
      for name, step in pairs(steps) do
        local states, want = {}, {}
        for i, rows in ipairs(lists) do
          want[i] = { ts = frames_of.column(rows, function(row) return row.ts end) }
          for _, c in ipairs(numeric) do
            want[i][c] = frames_of.column(rows, function(row)
              local x = number(row[c])
              if x == nil then return nil end
              states[c] = states[c] and step(states[c], x) or x
              return states[c]
            end)
          end
        end
        helper.expect(want, frames_of.run(frames, function(df) return df[name](df) end), 1e-9)
        for i in ipairs(want) do want[i] = { ts = want[i].ts, x = want[i].x } end
        helper.expect(want, frames_of.run(frames, function(df) return df.x[name](df.x) end), 1e-9)
      end
    end, 10)
  end)

  it("rolls over rows and durations, with min_periods", function()
    helper.seeded(function(rng)
      local frames, lists = frames_of.random(rng)
      local n = rng:int(1, 6)
      local value = rng:pick { 1, 2.5, 4 }
      local periods = rng:pick { false, 0, 1, n }
      local ops = {
        { "sum" }, { "mean" }, { "min" }, { "max" }, { "median" }, { "var" }, { "std" }, { "count" },
        { "quantile", rng:pick { 0, 0.25, 1 } },
      }
      for _, kind in ipairs { "rows", "value" } do
        for _, op in ipairs(ops) do
          local least = periods or (kind == "rows" and n or 1)
          local seen, want = {}, {}
          for i, rows in ipairs(lists) do
            want[i] = { ts = {}, x = {} }
            for j, row in ipairs(rows) do
              seen[#seen + 1] = row
              local held = {}
              for k = 1, #seen do
                if kind == "rows" and k > #seen - n or kind == "value" and seen[k].ts > row.ts - value then
                  held[#held + 1] = seen[k]
                end
              end
              local list = values(held, "x")
              local y
              if op[1] == "count" then
                y = #held >= least and #list or NAN
              else
                y = #list >= least and plain[op[1]](list, op[2]) or NAN
                if op[1] == "sum" and #list == 0 and least == 0 then y = 0 end
              end
              want[i].ts[j], want[i].x[j] = row.ts, y == y and y or tw.null
            end
          end
          local got = frames_of.run(frames, function(df)
            local r = df:rolling(kind == "rows" and n or value .. "s",
              periods and { min_periods = periods } or nil).x
            return r[op[1]](r, op[2])
          end)
          local ok, err = pcall(helper.expect, want, got, 1e-9)
          assert(ok, ("%s over %s (%d, %g), min_periods %s: %s"):format(op[1], kind, n, value, tostring(periods),
            tostring(err)))
        end
      end
    end, 5)
  end)

  it("rolls over whole dataframes, leaving text out", function()
    local frames = { frames_of.of { { ts = 1, name = "a", k = 1, x = 2, y = 3, ok = true } } }
    helper.expect({ { ts = { 1 }, k = { 1 }, x = { 2 }, y = { 3 }, ok = { 1 } } },
      frames_of.run(frames, function(df) return df:rolling(1):sum() end))
    helper.expect({ { ts = { 1 }, x = { 2 }, y = { 3 } } },
      frames_of.run(frames, function(df) return df:rolling(1)[{ "x", "y" }]:max() end))
  end)

  it("weights by ewm as pandas does", function()
    local function ewm(rows, alpha)
      local top, bottom, y = 0, 0, NAN
      for _, row in ipairs(rows) do
        top, bottom = top * (1 - alpha), bottom * (1 - alpha)
        if row.x then
          top, bottom = top + row.x, bottom + 1
          y = top / bottom
        end
      end
      return y
    end
    helper.seeded(function(rng)
      local frames, lists = frames_of.random(rng)
      local com = rng:unit() * 5
      local want = after_each(lists, windows.all, function(rows) return ewm(rows, 1 / (1 + com)) end)
      helper.expect(want, frames_of.run(frames, function(df) return df.x:ewm { com = com }:mean() end), 1e-9)
      want = after_each(lists, windows.all, function(rows) return ewm(rows, 2 / 4) end)
      helper.expect(want, frames_of.run(frames, function(df) return df.x:ewm { span = 3 }:mean() end), 1e-9)
      helper.expect(want, frames_of.run(frames, function(df) return df.x:ewm { alpha = 0.5 }:mean() end), 1e-9)
      helper.expect(want, frames_of.run(frames, function(df) return df.x:ewm { halflife = 1 }:mean() end), 1e-9)
    end, 10)
  end)
end)

describe("dataframe: columns that have no values at first", function()
  local void = tw.frame { k = { tw.null, tw.null }, name = { "a", "b" }, x = { tw.null, tw.null } }
  local later = tw.frame { k = { "p", "q" }, name = { "b", "c" }, x = { 5LL, 6LL } }

  for _, op in ipairs { "sum", "count", "mean", "min", "max", "var", "size" } do
    it("are grouped with the type that they get: " .. op, function()
      local function grouped(df)
        local g = df:groupby "name"
        return g[op](g)
      end
      local got = frames_of.run({ void, later, void }, grouped, { example = void })
      local want = frames_of.run({ later }, grouped, { schema = { k = "string", name = "string", x = "i64" } })[1]
      assert.same({ "a", "b" }, got[1].name)
      for i = 2, 3 do
        assert.same({ "a", "b", "c" }, got[i].name)
        local column = op == "size" and "size" or "x"
        assert.same(want[column][2], got[i][column][3])
      end
    end)
  end

  it("have a sum of 0 that can be calculated with", function()
    local got = frames_of.run({ void, later }, function(df) return df:groupby("name").x:sum() * 2 end,
      { example = void })
    assert.same({ { name = { "a", "b" }, x = { 0, 0 } }, { name = { "a", "b", "c" }, x = { 0, 10, 12 } } }, got)
  end)

  it("may be the key, of no group so far", function()
    local got = frames_of.run({ void, later, void }, function(df) return df:groupby("k").name:count() end,
      { example = void })
    assert.same({ k = {}, name = {} }, got[1])
    assert.same({ k = { "p", "q" }, name = { 1, 1 } }, got[3])
  end)

  it("are said to be of the wrong type when they turn out so", function()
    local s = tw.stream()
    s:to_dataframe { example = void }:groupby("name").k:sum().stream:sink_to_list()
    s:emit(void)
    local ok, message = pcall(s.emit, s, later)
    assert.is_false(ok)
    assert.matches('sum: column "k" is string', tostring(message), 1, true)
  end)

  it("go on from a state of when they had none", function()
    local states = frames_of.run({ void }, function(df) return df:groupby("name").x:mean { with_state = true } end,
      { example = void })
    local got = frames_of.run({ later }, function(df)
      return df:groupby("name").x:mean { with_state = true, start = states[1][1] }
    end, { schema = { k = "string", name = "string", x = "i64" } })
    assert.same({ name = { "a", "b", "c" }, x = { tw.null, 5, 6 } }, got[1][2]:to_table())
  end)
end)

describe("dataframe: functions of the user's", function()
  local function sum_of(frame)
    local total = 0
    for i = 1, #frame do total = total + (frame.x[i] or 0) end
    return total
  end

  it("aggregate what came and what left", function()
    helper.seeded(function(rng)
      local frames, lists = frames_of.random(rng, rng:int(1, 6))
      each_window(rng, function(_, window, rows_of)
        local calls = 0
        local agg = {
          initial = function() return 0 end,
          on_new = function(state, frame)
            calls = calls + 1
            state = state + sum_of(frame)
            return state, state
          end,
          on_old = function(state, frame)
            assert(#frame > 0)
            state = state - sum_of(frame)
            return state, state
          end,
        }
        helper.expect(after_each(lists, rows_of, function(rows) return plain.sum(values(rows, "x")) end),
          frames_of.run(frames, function(df) return window(df):aggregate(agg) end), 1e-9)
        assert.equal(#frames, calls)
      end)
    end, 10)
  end)

  it("see every incoming frame whole, then what left of it", function()
    local log = {}
    local agg = {
      initial = function() return 0 end,
      on_new = function(state, f) log[#log + 1] = { "new", f.x:to_table() } return state, state end,
      on_old = function(state, f) log[#log + 1] = { "old", f.x:to_table() } return state, state end,
    }
    local frames = { tw.frame { x = { 1, 2, 3 } }, tw.frame { x = { 4, 5 } }, tw.frame { x = {} } }
    frames_of.run(frames, function(df) return df:window(1):aggregate(agg) end, { schema = { x = "f64" } })
    assert.same({
      { "new", { 1, 2, 3 } }, { "old", { 1, 2 } }, { "new", { 4, 5 } }, { "old", { 3, 4 } }, { "new", {} },
    }, log)
  end)

  it("that fail leave the state as it was", function()
    local fail = false
    local agg = {
      initial = function() return 0 end,
      on_new = function(state, f) return state + sum_of(f), state + sum_of(f) end,
      on_old = function(state, f)
        if fail then error "boom" end
        return state - sum_of(f), state - sum_of(f)
      end,
    }
    local s = tw.stream()
    local df = s:to_dataframe { schema = { x = "f64" } }
    local out = df:window(2):aggregate(agg).stream:sink_to_list()
    s:emit(tw.frame { x = { 1, 2 } })
    fail = true
    assert.is_false(pcall(s.emit, s, tw.frame { x = { 4, 5, 6 } }))
    fail = false
    s:emit(tw.frame { x = { 8 } })
    assert.same({ 3, 10 }, out)
  end)

  it("that fail leave a window by value as it was, late rows and rows without an index too", function()
    helper.seeded(function(rng)
      local fail = false
      local agg = {
        initial = function() return 0 end,
        on_new = function(state, f) return state + sum_of(f), state + sum_of(f) end,
        on_old = function(state, f)
          if fail then error "boom" end
          return state - sum_of(f), state - sum_of(f)
        end,
      }
      local s, now, held, newest = tw.stream(), 0, {}, -math.huge
      local df = s:to_dataframe { schema = { t = "f64", x = "f64" }, index = "t" }
      local out, want = df:window("5s"):aggregate(agg).stream:sink_to_list(), {}
      for _ = 1, 30 do
        local t, x, had, max = {}, {}, {}, newest
        for i = 1, rng:int(0, 5) do
          now = now + rng:int(0, 2)
          t[i] = rng:chance(0.1) and tw.null or now - (rng:chance(0.4) and rng:int(0, 8) or 0)
          x[i] = rng:int(1, 9)
          if t[i] ~= tw.null then
            had[#had + 1] = { t[i], x[i] }
            max = math.max(max, t[i])
          end
        end
        fail = rng:chance(0.4)
        if pcall(s.emit, s, tw.frame({ t = t, x = x }, { index = "t" })) then
          local total = 0
          for _, row in ipairs(had) do held[#held + 1] = row end
          newest = max
          for _, row in ipairs(held) do total = total + (row[1] > max - 5 and row[2] or 0) end
          want[#want + 1] = total
        end
      end
      assert.same(want, out)
    end, 40)
  end)

  it("are given the rows of a window by apply, and frames by map_partitions", function()
    local frames = { tw.frame { x = { 1, 2 } }, tw.frame { x = { 3 } } }
    local opts = { schema = { x = "f64" } }
    assert.same({ 3, 5 }, frames_of.run(frames, function(df) return df:window(2):apply(sum_of) end, opts))
    assert.same({ 3, 3 }, frames_of.run(frames, function(df) return df:map_partitions(sum_of) end, opts))
    assert.same({ 3, 6 }, frames_of.run(frames, function(df)
      return df:accumulate_partitions(function(state, f) return state + sum_of(f) end, { start = 0 })
    end, opts))
    assert.same({ 6, 12 }, frames_of.run(frames, function(df)
      return df:map_partitions(function(f)
        local list = {}
        for i = 1, #f do list[i] = f.x[i] * 2 end
        return tw.frame { z = list }
      end).z:sum()
    end, opts))
  end)
end)

describe("dataframe: state", function()
  it("goes out with every result and back in, and is never changed", function()
    local makers = {
      function(df, o) return df:window(3, o).x:sum() end,
      function(df, o) return df:window({ value = 3, with_state = o.with_state, start = o.start }):mean() end,
      function(df, o) return df:expanding(o).x:var() end,
      function(df, o) return df:expanding(o):size() end,
      function(df, o) return df:ewm { com = 1, with_state = o.with_state, start = o.start }.x:mean() end,
      function(df, o) return df:rolling(3, o).x:mean() end,
      function(df, o) return df:groupby "name".x:mean(o) end,
      function(df, o) return df:window(4, o):groupby "name".x:sum() end,
      function(df, o) return df:window(4, o).name:value_counts() end,
      function(df, o) return df:window(2, o):full() end,
    }
    local function plain_of(y) return type(y) == "cdata" and y:to_table() or y end
    for i, make in ipairs(makers) do
      helper.seeded(function(rng)
        local frames = frames_of.random(rng, 6)
        local function run(list, o)
          local s, out = tw.stream(), {}
          local df = s:to_dataframe { schema = frames_of.types, index = "ts" }
          make(df, o).stream:sink(function(y)
            out[#out + 1] = o.with_state and { y[1], plain_of(y[2]) } or plain_of(y)
          end)
          for _, f in ipairs(list) do s:emit(f) end
          return out
        end
        local whole = run(frames, {})
        local halves = run({ frames[1], frames[2], frames[3] }, { with_state = true })
        local state = halves[3][1]
        helper.expect(whole[3], halves[3][2], 1e-9)
        for _ = 1, 2 do -- twice from the same state
          local rest = run({ frames[4], frames[5], frames[6] }, { start = state })
          local ok, err = pcall(helper.expect, { whole[4], whole[5], whole[6] }, rest, 1e-9)
          assert(ok, "maker " .. i .. ": " .. tostring(err))
        end
      end)
    end
  end)

  it("of something else is refused", function()
    local df = tw.stream():to_dataframe { schema = { x = "f64" } }
    helper.misuse(function() df:window(3, { start = 5 }).x:sum() end, "start", "state")
  end)
end)
