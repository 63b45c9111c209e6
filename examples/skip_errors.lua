--- skip_errors: without a policy an error reaches the emitter, its own text first; below
-- `on_error "skip"` it costs one element.
local tw = require "tideway"

local function half(x) return x / 2 end

local strict = tw.stream()
strict:map(half):sink(print)
local ok, err = pcall(strict.emit, strict, "three")
print(ok, (err:match "^[^\n]*"):match "attempt to .-$")

local lenient = tw.stream()
lenient:on_error("skip"):map(half):sink(print)
lenient:emit(2)
lenient:emit("three")
lenient:emit(4)
