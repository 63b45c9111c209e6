--- tideway.kafka -- what sources and sinks of Kafka share: librdkafka, its settings, the cluster
-- in this process.
--
-- librdkafka is in a library of its own beside the core (runtime/kafka/), loaded when the
-- first of them is built.
jit.off(true, true)

local check = require "tideway.check"
local crew = require "tideway.crew"
local errors = require "tideway.errors"
local extra = require "tideway.extra"
local ffi = require "ffi"
local host = require "tideway.host"

local misuse = errors.misuse
local ERROR_SIZE = 512
local PARTITIONS = 4 -- of the topics of the embedded cluster, as many as librdkafka's mock gives them

local kafka = { ERROR_SIZE = ERROR_SIZE }

local lib

--- The library; raises, with what to install, where there is none.
function kafka.load()
  lib = lib or extra.load "kafka"
  return lib
end

--- The settings that all have.
kafka.COMMON = {
  { "brokers", "string?", 'host:port, ...; or "embedded": a cluster in this process' },
  { "conf", "table?", "librdkafka's settings by their own names" },
}

--- COMMON and further rows.
function kafka.settings(rows)
  local list = {}
  for _, row in ipairs(kafka.COMMON) do list[#list + 1] = row end
  for _, row in ipairs(rows) do list[#list + 1] = row end
  return list
end

-- The embedded cluster ------------------------------------------------------------------------

local Cluster = {}
Cluster.__index = Cluster

local cluster

--- Make a topic with so many partitions (default 4). One that is there stays as it is.
function Cluster:topic(name, partitions)
  if not self.topics[name] then
    self.topics[name] = partitions or PARTITIONS
    if lib.tw_kafka_cluster_topic(self.native, name, self.topics[name]) ~= 0 then
      error(("kafka: %q can be no topic"):format(name), 0)
    end
  end
  return self
end

--- The cluster of this process, made when it is first used. {brokers = "host:port, ..."}
function kafka.embedded()
  if not cluster then
    kafka.load()
    -- one for all copies of a script
    local native = (crew.divided() and lib.tw_kafka_cluster_share or lib.tw_kafka_cluster_open)(1)
    if native == nil then error("kafka: the embedded cluster could not be made", 0) end
    cluster = setmetatable({
      native = native, brokers = ffi.string(lib.tw_kafka_cluster_brokers(native)),
      topics = {}, groups = {},
    }, Cluster)
    -- a userdata: consumers and producers among the cdata are finalized before it
    local guard = newproxy(true)
    getmetatable(guard).__gc = function() lib.tw_kafka_cluster_close(native) end
    cluster.guard = guard
  end
  return cluster
end

-- Settings --------------------------------------------------------------------------------------

local function text_of(op, name, value)
  local kind = type(value)
  if kind == "string" then return value end
  if kind == "boolean" then return tostring(value) end
  if kind == "number" and value % 1 == 0 then return ("%d"):format(value) end
  if kind == "number" then return ("%.17g"):format(value) end
  misuse("%s: conf[%q] must be a string, a number or a boolean, got %s", op, name, check.show(value))
end

--- librdkafka's settings. op: whose, for messages; values: ours, which conf overrides; fixed: ours,
-- which it cannot. Returns a tw_kafka_conf, which the caller has to hand on.
function kafka.conf(op, opts, values, fixed)
  kafka.load()
  local all = {}
  for name, value in pairs(values) do all[name] = value end
  for name, value in pairs(opts.conf or {}) do
    if type(name) ~= "string" then misuse("%s: conf must be a table name -> value", op) end
    if fixed[name] ~= nil then
      misuse("%s: conf[%q] cannot be set, tideway needs it to be %s", op, name, tostring(fixed[name]))
    end
    all[name] = value
  end
  for name, value in pairs(fixed) do all[name] = value end
  if opts.brokers == "embedded" then
    all["bootstrap.servers"] = kafka.embedded().brokers
  elseif opts.brokers then
    all["bootstrap.servers"] = opts.brokers
  end
  if all["bootstrap.servers"] == "" then misuse('%s: brokers must name at least one "host:port"', op) end
  if not all["bootstrap.servers"] and not all["metadata.broker.list"] then
    misuse('%s: needs brokers = "host:port" (or "embedded")', op)
  end
  local names = {}
  for name in pairs(all) do names[#names + 1] = name end
  table.sort(names)
  local conf = lib.tw_kafka_conf_open()
  if conf == nil then error("kafka: no memory", 0) end
  local message = ffi.new("char[?]", ERROR_SIZE)
  for _, name in ipairs(names) do
    local ok, text = pcall(text_of, op, name, all[name])
    if not ok or lib.tw_kafka_conf_set(conf, name, text, message, ERROR_SIZE) ~= 0 then
      lib.tw_kafka_conf_close(conf)
      if not ok then error(text, 0) end
      local why = ffi.string(message):gsub("%s+$", "")
      local shown = ("%q"):format(text)
      if why:find "^Invalid value" and not why:find(shown, 1, true) then why = why .. ": " .. shown end
      misuse("%s: conf: %s", op, why)
    end
  end
  return conf
end

--- Can this be the name of a topic? Kafka's own rule.
function kafka.is_topic(name)
  return type(name) == "string" and #name <= 249 and name:find "^[%w._-]+$" and name ~= "." and name ~= ".."
end

--- Does the user want to see librdkafka's own log?
function kafka.loud(opts) return opts.conf and opts.conf.debug and 1 or 0 end

--- Tell a person.
function kafka.notice(node, text)
  if text ~= nil then host.say(("%s: %s"):format(tostring(node), ffi.string(text))) end
end

-- The end -----------------------------------------------------------------------------------------

local closers = setmetatable({}, { __mode = "k" }) -- state -> function that closes what has stopped

--- fn(state) is called at the end of each run while the state is there.
function kafka.at_end(state, fn) closers[state] = fn end

--- The run is over: what has stopped leaves its groups.
function kafka.finish()
  local failure
  for state, fn in pairs(closers) do
    local ok, err = pcall(fn, state)
    failure = failure or (not ok and err) or nil
  end
  if failure then error(failure, 0) end
end

return kafka
