--- spec.support.mosquitto -- real brokers on loopback, and clients that are not ours.
--
--     local mosquitto = require "support.mosquitto"
--     if mosquitto.missing then return pending(mosquitto.missing) end
--     local broker = mosquitto.start()
--     broker:publish "-t letters -m a"
--     broker:stop()
--
-- Real processes, real sockets and real time.
local process = require "support.process"
local socket = require "support.socket"

local mosquitto = {}
local Broker = {}
Broker.__index = Broker

local function found(line) return os.execute(line .. " > /dev/null 2>&1") == 0 end

local PATH = "PATH=$PATH:/usr/sbin:/usr/local/sbin "
local loads, problem = pcall(function() return require "tideway.mqtt".load() end)
if not loads then
  mosquitto.missing = "MQTT: " .. tostring(problem)
elseif not found(PATH .. "command -v mosquitto") or not found "command -v mosquitto_pub" then
  mosquitto.missing = "mosquitto is not installed"
end

local function write(path, text)
  local file = assert(io.open(path, "wb"))
  file:write(text)
  file:close()
  return path
end

local running = {}

--- Start it, on the port that it has, and wait until it is there.
function Broker:start()
  self.process = process.start(("env PATH=$PATH:/usr/sbin:/usr/local/sbin mosquitto -v -c %s/conf"):format(self.dir))
  running[self] = true
  process.eventually("a broker", function() return self:log():find("running", 1, true) end)
  return self
end

--- A broker. opts: conf = further lines of its configuration, with %s for its folder; anonymous = false;
-- port.
function mosquitto.start(opts)
  opts = opts or {}
  local port = opts.port or socket.free_port()
  local dir = os.tmpname()
  os.remove(dir)
  assert(os.execute("mkdir -m 700 " .. dir) == 0)
  local lines = {
    "user root", "per_listener_settings false", "log_dest stderr", "max_queued_messages 0",
    "persistence true", "persistence_location " .. dir .. "/", "autosave_interval 3600",
    ("allow_anonymous %s"):format(opts.anonymous == false and "false" or "true"),
    ("listener %d 127.0.0.1"):format(port), ((opts.conf or ""):gsub("%%s", dir)), "",
  }
  write(dir .. "/conf", table.concat(lines, "\n"))
  local self = setmetatable({ dir = dir, port = port, url = "mqtt://127.0.0.1:" .. port }, Broker)
  if opts.before then opts.before(dir) end
  return self:start()
end

--- The password of anna, secret, and what she may do, in a broker's folder.
function mosquitto.guard(dir, rights)
  local script = [[cd DIR && touch passwords && chmod 600 passwords && mosquitto_passwd -b passwords anna secret &&
    printf 'user anna\nRIGHTS\n' > acl && chmod 600 acl]]
  assert(os.execute((script:gsub("DIR", dir):gsub("RIGHTS", rights))) == 0)
end

--- Call fn(said); returns what has been said on standard error, in this process. said() is what has been
-- said so far.
function mosquitto.silently(fn)
  local real, path = io.stderr, os.tmpname()
  local function said()
    io.stderr:flush()
    local file = assert(io.open(path))
    local text = file:read "*a"
    file:close()
    return text
  end
  io.stderr = assert(io.open(path, "w")) -- luacheck: ignore 122
  local ok, err = pcall(fn, said)
  local text = said()
  io.stderr:close()
  io.stderr = real -- luacheck: ignore 122
  os.remove(path)
  if not ok then error(err, 0) end
  return text
end

--- End it, in order (it saves what it has), by its pid.
function Broker:halt()
  if self.process then
    self.process:signal "TERM"
    self.process:wait(20)
  end
  self.process = nil
end

--- End it at once.
function Broker:kill()
  self.process:signal "KILL"
  self.process:wait(20)
  self.process = nil
end

function Broker:restart()
  self:halt()
  return self:start()
end

--- End it, and remove what it has written.
function Broker:stop()
  self:halt()
  running[self] = nil
  os.execute("rm -rf " .. self.dir)
end

--- After a test: none is left.
function mosquitto.clean()
  for broker in pairs(running) do broker:stop() end
end

--- What it has logged since it was started.
function Broker:log() return self.process:errors() end

--- How often its log says this.
function Broker:logged(pattern)
  local _, n = self:log():gsub(pattern, "")
  return n
end

--- Wait until its log says this so often (1).
function Broker:await(pattern, times)
  process.eventually(("%s %d times in the log of the broker"):format(pattern, times or 1), function()
    return self:logged(pattern) >= (times or 1)
  end)
end

--- mosquitto_pub with these arguments, until it is done.
function Broker:publish(arguments, input)
  local child = process.start(("mosquitto_pub -h 127.0.0.1 -p %d %s"):format(self.port, arguments))
  if input then child:write(input) end
  local status, out, err = child:wait(60)
  assert(status == 0, out .. err)
end

--- A line each to a topic, QoS 1.
function Broker:lines(topic, list, more)
  self:publish(("-l -q 1 -t %s %s"):format(topic, more or ""), table.concat(list, "\n") .. "\n")
end

--- mosquitto_sub in the background, which has subscribed when this returns.
function Broker:subscriber(arguments)
  local before = self:logged "Sending SUBACK"
  local child = process.start(("mosquitto_sub -h 127.0.0.1 -p %d %s"):format(self.port, arguments))
  self:await("Sending SUBACK", before + 1)
  return child
end

return mosquitto
