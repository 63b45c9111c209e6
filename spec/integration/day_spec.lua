--- A day in fast motion: logs rotate, followers are killed, servers and clients come and go. At
-- least once, nothing lost; and nothing doubled on a day without a kill.
--
-- An hour takes as long as it takes: whoever needs something waits for it. Two things need a clock
-- that goes on as in a day: what tells rotated files from each other is the time of their last
-- change, so that a TICK of the file system's clock passes between turns; and a new file that is
-- empty when it is looked at, then filled and copied and truncated before the next look, cannot be
-- told from one that has always been empty, so that a copy waits until something of it has been seen.
local helper = require "helper"
local process = require "support.process"
local scratch = require "support.scratch"
local socket = require "support.socket"
local tw = helper.tw

local eventually = process.eventually

local HOURS, KEPT, PATIENCE, TICK = 24, 100, 60, 0.012

-- Logs ------------------------------------------------------------------------------------------

local Log = {}
Log.__index = Log

local function new_log(dir, name)
  return setmetatable({
    name = name, path = ("%s/%s.log"):format(dir, name), written = 0, -- numbers so far
    first = 1,     -- number at the beginning of the present file
    seen = {},     -- number -> it has come
    missing = 1,   -- the lowest that has not
    again = 0,     -- how often one came again
  }, Log)
end

--- Append n lines, also a line in two pieces, to the file of that name or the one that is still
-- open.
function Log:write(rng, n)
  local file = self.open or assert(io.open(self.path, "ab"))
  for _ = 1, n do
    self.written = self.written + 1
    local text = ("%s %d %s\n"):format(self.name, self.written, ("."):rep(rng:int(0, 60)))
    if rng:chance(0.02) then
      local cut = rng:int(1, #text - 1)
      file:write(text:sub(1, cut))
      file:flush()
      text = text:sub(cut + 1)
    end
    file:write(text)
  end
  file:flush()
  if not self.open then file:close() end
end

--- As after a signal: what is written from now on goes to the file of that name.
function Log:reopen()
  if self.open then self.open:close() end
  self.open = nil
end

function Log:shift()
  process.sleep(TICK)
  for i = KEPT, 1, -1 do os.rename(("%s.%d"):format(self.path, i), ("%s.%d"):format(self.path, i + 1)) end
end

--- By renaming. The writer may go on in the file that it has open for a while.
function Log:rename(rng)
  self:reopen()
  if rng:chance(0.5) then self.open = io.open(self.path, "ab") end
  self:shift()
  os.rename(self.path, self.path .. ".1")
  if self.open then
    self:write(rng, rng:int(0, 20))
    process.sleep(TICK)
    self:reopen()
  end
  self.first = self.written + 1
  if rng:chance(0.5) then self:write(rng, 0) end -- the new file is there at once
end

--- By copying and truncating; the writer waits meanwhile, as otherwise what it writes in between is
-- lost by that.
function Log:copy_and_truncate()
  self:reopen()
  local text = scratch.read(self.path)
  if not text then return end
  self:shift()
  scratch.write(self.path .. ".1", text)
  process.sleep(TICK)
  scratch.write(self.path, "")
  self.first = self.written + 1
end

--- Deleted, and made anew: only what has been seen can be.
function Log:delete(rng)
  self:reopen()
  os.remove(self.path)
  self.first = self.written + 1
  if rng:chance(0.5) then self:write(rng, rng:int(1, 5)) end
end

-- The follower ------------------------------------------------------------------------------------

local FOLLOWER = [[
local tw = require "tideway"
local out = assert(io.open("%s/out", "a"))
out:setvbuf "line"
tw.from_textfile("%s/*.log", {follow = true, position = "%s/position"%s}):sink(function(x)
  out:write(x, "\n")
end)
tw.run()
]]

local Follower = {}
Follower.__index = Follower

local function new_follower(dir, logs, env, settings)
  local self = setmetatable({
    dir = dir, line = ("%s build/bin/tideway run %s/follower.lua"):format(env, dir), logs = logs,
  }, Follower)
  scratch.write(dir .. "/follower.lua", FOLLOWER:format(dir, dir, dir, settings))
  self.out = assert(io.open(scratch.write(dir .. "/out", ""), "rb"))
  return self
end

function Follower:start()
  if not self.run then self.run = process.start(self.line) end
end

function Follower:kill()
  if not self.run then return end
  self.run:signal "KILL"
  eventually("its end", function() return not self.run:running() end, PATIENCE)
  self.run = nil
  process.sleep(TICK)
end

function Follower:take(line)
  local name, number, rest = line:match "^(%a+) (%d+) (%.*)\n$"
  local log = self.logs[name]
  assert(log and rest, "no line that was written: " .. line)
  number = tonumber(number)
  assert(number <= log.written, "a line that was never written: " .. line)
  if log.seen[number] then log.again = log.again + 1 end
  log.seen[number] = true
  while log.seen[log.missing] do log.missing = log.missing + 1 end
end

--- Look at what has come since.
function Follower:look()
  local text = self.out:read "*a"
  if text == "" then self.out:seek("cur", 0) end -- past the end that was there
  text = (self.rest or "") .. text
  local at = 1
  for line, stop in text:gmatch "([^\n]*\n)()" do
    self:take(line)
    at = stop
  end
  self.rest = text:sub(at)
  if self.run and not self.run:running() then
    error("the follower has ended: " .. select(3, self.run:wait()), 0)
  end
end

--- Wait until everything of a log has come up to this number.
function Follower:has(log, number)
  local last = os.time() + PATIENCE
  self:look()
  while log.missing <= number do
    assert(os.time() < last, ("%s %d has not come (of %d)"):format(log.name, log.missing, log.written))
    process.sleep(0.01)
    self:look()
  end
end

--- One log, once.
local function rotate(rng, follower, log)
  local how = rng:int(1, 10)
  if how <= 4 then
    log:rename(rng)
  elseif how <= 8 then
    if follower.run and log.written >= log.first then follower:has(log, log.first) end
    if not follower.run or log.written >= log.first then log:copy_and_truncate() end
  elseif follower.run then
    follower:has(log, log.written)
    log:delete(rng)
  end
end

--- kills: how likely the follower is killed at each of many moments.
local function day_of_logs(rng, env, settings, kills)
  local dir = os.tmpname()
  os.remove(dir)
  assert(os.execute("mkdir -m 700 " .. dir) == 0)
  local logs = {}
  for _, name in ipairs { "web", "app", "db" } do
    local log = new_log(dir, name)
    logs[name], logs[#logs + 1] = log, log
    log:write(rng, rng:int(0, 3))
  end
  local follower = new_follower(dir, logs, env, settings)
  follower:start()
  eventually("the first position file", function() return scratch.read(dir .. "/position") end, PATIENCE)

  local killed = 0
  for _ = 1, HOURS do
    for _ = 1, rng:int(1, 3) do
      for _, log in ipairs(logs) do log:write(rng, rng:chance(0.2) and rng:int(500, 3000) or rng:int(0, 40)) end
      if rng:chance(0.3) then process.sleep(rng:int(0, 40) / 1000) end
      if rng:chance(kills) and follower.run then
        follower:kill()
        killed = killed + 1
      end
      if rng:chance(0.6) then follower:start() end
    end
    for _, log in ipairs(logs) do
      rotate(rng, follower, log)
      if rng:chance(kills / 3) and follower.run then -- in the middle of it
        follower:kill()
        killed = killed + 1
      end
    end
  end
  for _, log in ipairs(logs) do
    log:reopen()
    log:write(rng, 1)
  end
  follower:start()
  for _, log in ipairs(logs) do follower:has(log, log.written) end
  follower.run:signal "TERM"
  local status, _, errors = follower.run:wait(PATIENCE)
  follower.run = nil
  follower:look()
  assert.equal("", errors)
  assert.equal(0, status)
  for _, log in ipairs(logs) do
    assert.equal(log.written + 1, log.missing)
    if killed == 0 then assert.equal(0, log.again) end
  end
  follower.out:close()
  os.execute("rm -r " .. dir)
end

-- Sockets -------------------------------------------------------------------------------------------

local function wait_for(what, cond)
  for _ = 1, PATIENCE * 1000 do
    if cond() then return end
    tw.sleep "1ms"
  end
  error("has not come: " .. what, 2)
end

describe("a day in fast motion", function()
  it("of rotated, truncated and deleted logs and killed followers loses nothing", function()
    helper.seeded(function(rng) day_of_logs(rng, "", "", 0.3) end)
  end)

  it("loses nothing without inotify, either", function()
    helper.seeded(function(rng)
      day_of_logs(rng, "env TW_NO_INOTIFY=1", [[, poll_interval = "20ms"]], 0.3)
    end)
  end)

  it("doubles nothing when nobody is killed", function()
    helper.seeded(function(rng)
      day_of_logs(rng, rng:chance(0.5) and "" or "env TW_NO_INOTIFY=1", "", 0)
    end)
  end)

  -- A server goes in order: it closes its side, and reads on until the sender has closed its own.
  it("of a server that goes and comes back loses and doubles nothing of to_tcp", function()
    helper.seeded(function(rng)
      local PER_HOUR = 40
      local listener, port = socket.listen()
      local seen, last, hour = {}, 0, 1
      local source = tw.stream()
      source:to_tcp("127.0.0.1:" .. port, { backoff = "1ms", retries = 1000 })
      local function take(line)
        local number = tonumber((line:match "^line (%d+)$"))
        assert(number and not seen[number], line)
        seen[number] = true
        while seen[last + 1] do last = last + 1 end
      end
      tw.run(function()
        local writer = tw.spawn(function()
          for i = 1, HOURS * PER_HOUR do
            source:emit("line " .. i)
            if rng:chance(0.1) then tw.sleep(rng:int(0, 2) / 1000) end
          end
        end)
        while last < HOURS * PER_HOUR do
          local client, text = listener:accept(), ""
          local leaves = hour < HOURS and last + rng:int(1, 2 * PER_HOUR) or math.huge
          repeat
            local more, why = client:receive(".")
            text = text .. more
            local at = 1
            for line, stop in text:gmatch "([^\n]*)\n()" do
              take(line)
              at = stop
            end
            text = text:sub(at)
            if last >= leaves then
              client:finish()
              listener:close()
              leaves = math.huge
            end
          until why or last == HOURS * PER_HOUR
          client:close()
          assert.equal("", text)
          hour = hour + 1
          if not listener.fd then
            tw.sleep(rng:int(0, 10) / 1000) -- nobody is there
            listener = socket.listen(nil, port)
          end
        end
        writer:wait()
      end)
      listener:close()
      assert.equal(HOURS * PER_HOUR, last)
    end)
  end)

  -- A client whose connection breaks cannot know what has arrived: it comes back and says all again.
  it("of clients that vanish loses nothing of from_tcp, and gives no half lines", function()
    helper.seeded(function(rng)
      local CLIENTS, seen, left = 6, {}, 6
      local source = tw.from_tcp(0)
      source:sink(function(x)
        assert(x:find "^%d+ %d+ %d+ end$", x)
        seen[x] = true
      end)
      local port = source:port()
      local function say(client, hour, lines)
        local c, vanishes = socket.connect(port), rng:chance(0.4)
        for i = 1, vanishes and rng:int(0, lines) or lines do
          c:send(("%d %d %d end\n"):format(client, hour, i))
          if rng:chance(0.05) then tw.sleep "1ms" end
        end
        if vanishes then c:send(("%d %d"):format(client, hour)) end
        if vanishes then c:reset() else c:close() end
        return not vanishes
      end
      local want = 0
      tw.run(function()
        for client = 1, CLIENTS do
          tw.spawn(function()
            for hour = 1, HOURS do
              local lines = rng:int(1, 60)
              for i = 1, lines do
                want = want + 1
                seen[("%d %d %d end"):format(client, hour, i)] = seen[("%d %d %d end"):format(client, hour, i)] or false
              end
              while not say(client, hour, lines) do tw.sleep(0) end
            end
            left = left - 1
          end)
        end
        wait_for("every line", function()
          if left > 0 then return false end
          for _, came in pairs(seen) do
            if not came then return false end
          end
          return true
        end)
        source:stop()
      end)
      local count = 0
      for _ in pairs(seen) do count = count + 1 end
      assert.equal(want, count)
      assert.equal(0, source:counts().open)
    end)
  end)
end)
