--- registry: what is noted is released once its object is gone, by whatever registry it is noticed.
local ffi = require "ffi"
local registry = require "tideway.registry"

ffi.cdef "typedef struct spec_thing { int x; } spec_thing;"

describe("registry", function()
  --- A registry, and how often each pointer has been released.
  local function counting()
    local released = {}
    local note = registry.new("spec_thing *", function(array, n)
      for i = 0, n - 1 do
        local at = tonumber(ffi.cast("intptr_t", array[i]))
        released[at] = (released[at] or 0) + 1
      end
    end)
    return note, released
  end

  local function pointer(i) return ffi.cast("spec_thing *", i) end

  it("has room for all that is held when another one calls the collector", function()
    local note, released = counting()
    local other = counting()
    local held = {}
    -- its own look has been at 2,048; another's comes just before its next, and moves that
    for i = 1, 4000 do held[i] = note(pointer(i), {}, 0) end
    other(pointer(1), {}, 2 ^ 26)
    for i = 4001, 9000 do
      held[i] = note(pointer(i), {}, 0)
      if i % 1500 == 0 then other(pointer(i), {}, 2 ^ 26) end
    end
    assert.is_nil(next(released))
    for i = #held, 1, -1 do held[i] = nil end
    for i = 1, 5 do
      collectgarbage()
      other(pointer(i), {}, 2 ^ 26)
    end
    local count = 0
    for i = 1, 9000 do
      if released[i] == 1 then count = count + 1 end
    end
    assert.equal(9000, count)
  end)

  it("calls the collector for much memory only, however many objects there are", function()
    local note = counting()
    local held, steps, collect = {}, 0, collectgarbage
    for i = 1, 200000 do held[i] = note(pointer(i), {}, 0) end
    rawset(_G, "collectgarbage", function(what) -- a heap that is smaller than what the registry has room for
      if what == "count" then return 1000 end
      steps = steps + 1
    end)
    note(pointer(1), {}, 2 ^ 26)
    local called = steps
    for i = 1, 100 do note(pointer(i), {}, 1000) end
    rawset(_G, "collectgarbage", collect)
    assert.is_true(called > 0 and #held == 200000)
    assert.equal(called, steps)
  end)
end)
