--- workers -- work of a processor on the lines of a log, for the table of the same name.
--
--     tideway run [--workers N] bench/workers.lua (hash|json) FILE
local tw = require "tideway"

local kind, path = ...

--- FNV-1a, 32 bits, of a view's bytes.
local function hash(v)
  local h = 0x811C9DC5
  for i = 1, #v do
    h = bit.bxor(h, v:byte(i))
    -- times 16777619, without leaving what a double holds
    h = bit.tobit(h + bit.lshift(h, 1) + bit.lshift(h, 4) + bit.lshift(h, 7) + bit.lshift(h, 8) + bit.lshift(h, 24))
  end
  return h
end

local total = 0
local function add(x) total = (total + x) % 2 ^ 32 end

if kind == "hash" then
  tw.from_textfile(path, { view = true }):map(hash):sink(add)
else
  tw.from_textfile(path, { view = true }):json():filter(function(r) return r.n % 7 ~= 0 end)
    :sink(function(r) add(#r.text) end)
end
tw.run()
print(("%d"):format(total))
