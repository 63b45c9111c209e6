--- bench/follow.lua -- follows a log of `follow grow`, and prints what `follow read` does:
-- `luajit bench/follow.lua FILE view|string`.
local C = require "tideway.ffi"
local ffi = require "ffi"
local tw = require "tideway"

local SAMPLES, SETTLED = 2 ^ 20, 5e5 -- microseconds after the first line

local delay, delays, first, last = ffi.new("double[?]", SAMPLES), 0, nil, 0
local source = tw.from_textfile(arg[1], { follow = true, view = arg[2] == "view" })

local function finish()
  local list = {}
  for i = 0, delays - 1 do list[i + 1] = delay[i] end
  table.sort(list)
  print(("%.3f %.3f %.3f"):format(list[math.floor(#list / 2) + 1] / 1e3,
    list[math.floor(#list * 0.99) + 1] / 1e3, last / 1e3))
  io.stdout:flush()
  source:stop()
end

local lines, ended = 0, false
source:sink(function(line)
  if #line == 3 then
    if not ended then finish() end
    ended = true
    return
  end
  lines = lines + 1
  if lines % 64 ~= 1 and lines > 5000 then return end -- each of a slow log's first ones
  local written = type(line) == "string" and tonumber(line:sub(1, 17)) or line:number(1, 17)
  first = first or written
  last = C.tw_clock_seconds() * 1e6 - written
  if written > first + SETTLED and delays < SAMPLES then
    delay[delays], delays = last, delays + 1
  end
end)
tw.run()
