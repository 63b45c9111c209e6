--- scatter_hash: work for several processors. A large log is parsed and the SHA-256 of each request
-- is computed, both in plain Lua and both in the workers; lines of text go there, short text comes back.
--
--     tideway run examples/scatter_hash.lua [WORKERS [COPIES]]     default: 2 workers, the log 100 times
--
-- With 1,000 copies, 200,000 lines, the busiest thread computed for 2.1 s with one worker and for 1.2 s with
-- two; reading, sending and counting took 0.5 s of the first thread beside them. (Processor time, as the
-- two cores were shared with other programs.)
local tw = require "tideway"
local bit = require "bit"
local here = arg[0]:match "^(.*/)" or "./"
local workers, copies = tonumber(arg[1] or 2), tonumber(arg[2] or 100)

-- SHA-256 (FIPS 180-4). The tables are upvalues, so each worker has its own.
local band, bnot, bxor, ror, rshift, tobit = bit.band, bit.bnot, bit.bxor, bit.ror, bit.rshift, bit.tobit

--- The first 32 bits of the fractional part of x.
local function fraction(x) return tobit(math.floor(x % 1 * 2 ^ 32)) end

local START, ROUND = {}, {}
do
  local n, prime = 0, 2
  while n < 64 do
    local is_prime = true
    for d = 2, math.floor(math.sqrt(prime)) do is_prime = is_prime and prime % d ~= 0 end
    if is_prime then
      n = n + 1
      if n <= 8 then START[n] = fraction(prime ^ (1 / 2)) end
      ROUND[n] = fraction(prime ^ (1 / 3))
    end
    prime = prime + 1
  end
end

local words, state = {}, {}

local function add_block()
  for i = 17, 64 do
    local x, y = words[i - 15], words[i - 2]
    local s0 = bxor(ror(x, 7), ror(x, 18), rshift(x, 3))
    local s1 = bxor(ror(y, 17), ror(y, 19), rshift(y, 10))
    words[i] = tobit(words[i - 16] + s0 + words[i - 7] + s1)
  end
  local a, b, c, d, e, f, g, h =
    state[1], state[2], state[3], state[4], state[5], state[6], state[7], state[8]
  for i = 1, 64 do
    local s1 = bxor(ror(e, 6), ror(e, 11), ror(e, 25))
    local t1 = h + s1 + bxor(band(e, f), band(bnot(e), g)) + ROUND[i] + words[i]
    local s0 = bxor(ror(a, 2), ror(a, 13), ror(a, 22))
    local t2 = s0 + bxor(band(a, b), band(a, c), band(b, c))
    h, g, f, e, d, c, b, a = g, f, e, tobit(d + t1), c, b, a, tobit(t1 + t2)
  end
  for i, x in ipairs { a, b, c, d, e, f, g, h } do state[i] = tobit(state[i] + x) end
end

local function sha256(text)
  local bits = #text * 8
  text = text .. "\128" .. ("\0"):rep((55 - #text) % 64)
  for i = 1, 8 do state[i] = START[i] end
  for at = 1, #text + 8, 64 do
    for i = 1, 16 do
      local p, q, r, s = text:byte(at + 4 * i - 4, at + 4 * i - 1)
      words[i] = p and p * 2 ^ 24 + q * 2 ^ 16 + r * 2 ^ 8 + s or i == 15 and 0 or bits
      words[i] = tobit(words[i])
    end
    add_block()
  end
  local hex = {}
  for i = 1, 8 do hex[i] = bit.tohex(state[i]) end
  return table.concat(hex)
end
assert(sha256 "abc" == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")

--- What a request is told by: who, what, when; nil for a line that is none.
local function request(line)
  local host, time, method, path, status = line:match '^(%S+) %S+ %S+ %[([^%]]+)%] "(%S+) ([^" ]+)[^"]*" (%d+)'
  if host then return ("%s %s %s %s %s"):format(time, host, method, path, status) end
end

-- A large file: the log again and again, each time with other hosts.
local path = os.tmpname()
do
  local log = {}
  for line in io.lines(here .. "data/access.log") do log[#log + 1] = line end
  local file = assert(io.open(path, "w"))
  for copy = 1, copies do
    for _, line in ipairs(log) do file:write(copy, ".", line, "\n") end
  end
  file:close()
end

tw.from_textfile(path)
  :scatter { workers = workers }
  :filter_map(request)
  :map(sha256)
  :map(function(hash) return hash:sub(1, 1) end)
  :gather()
  :frequencies()
  :take_last()
  :sink(function(counts)
    for digit in ("0123456789abcdef"):gmatch "." do print(digit, counts[digit]) end
  end)
tw.run()
os.remove(path)
