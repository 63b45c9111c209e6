local helper = require "helper"
local tw = helper.tw

describe("random_dataframe", function()
  local clock

  before_each(function() clock = tw.testing.clock() end)
  after_each(function() clock:restore() end)

  it("does what its example says", function()
    helper.example("random_dataframe", "source", clock)
  end)

  local function frames(opts, duration)
    local df = tw.random_dataframe(opts)
    local out = df.stream:sink_to_list()
    df.stream:start()
    clock:advance(duration)
    df.stream:stop()
    return out
  end

  it("gives a row every freq and a frame every interval, under its index ts", function()
    local out = frames({ freq = "100ms", interval = "500ms" }, 2)
    assert.equal(4, #out)
    local count = 0
    for _, f in ipairs(out) do
      assert.same({ "x", "y", "z" }, f:columns())
      assert.same({ ts = "timestamp", x = "f64", y = "f64", z = "f64" }, f:types())
      assert.equal(5, #f)
      for i = 1, #f do
        count = count + 1
        assert.is_true(math.abs(f.ts[i] - count / 10) < 1e-6)
      end
    end
  end)

  it("has the same rows for the same seed, others for another", function()
    local function seeded(seed)
      return frames({ freq = "1ms", interval = "10ms", seed = seed }, "50ms")[1].x:to_table()
    end
    local first = seeded(7)
    assert.same(first, seeded(7))
    assert.is_false(helper.same(first, seeded(8)))
  end)

  it("has x uniform, y Poisson and z normal", function()
    local out = frames({ freq = "1ms", interval = "1s", seed = 5 }, 20)
    local n, sums, squares = 0, { x = 0, y = 0, z = 0 }, { x = 0, y = 0, z = 0 }
    for _, f in ipairs(out) do
      for i = 1, #f do
        n = n + 1
        for name in pairs(sums) do
          sums[name] = sums[name] + f:col(name)[i]
          squares[name] = squares[name] + f:col(name)[i] ^ 2
        end
        assert(f.x[i] > 0 and f.x[i] < 1 and f.y[i] % 1 == 0 and f.y[i] >= 0)
      end
    end
    assert.equal(20000, n)
    local function near(want, name, got) assert(math.abs(want - got) < 0.05, name .. got) end
    near(0.5, "x ", sums.x / n)
    near(1, "y ", sums.y / n)
    near(0, "z ", sums.z / n)
    near(1 / 12, "x ", squares.x / n - (sums.x / n) ^ 2)
    near(1, "y ", squares.y / n - (sums.y / n) ^ 2)
    near(1, "z ", squares.z / n - (sums.z / n) ^ 2)
  end)

  it("refuses what does not fit", function()
    helper.misuse(function() tw.random_dataframe { freq = 0 } end, "freq")
    helper.misuse(function() tw.random_dataframe { frq = 1 } end, "frq", "freq")
  end)
end)
