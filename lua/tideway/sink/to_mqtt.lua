jit.off(true, true)

local C = require "tideway.declare" "mqtt"
local check = require "tideway.check"
local errors = require "tideway.errors"
local ffi = require "ffi"
local mqtt = require "tideway.mqtt"
local null = require "tideway.null"
local sched = require "tideway.sched"
local underway = require "tideway.underway"
local view = require "tideway.view"

local misuse = errors.misuse
local istype, ctype = ffi.istype, view.ctype
local behind, occupy = underway.behind, underway.occupy
local WINDOW = 1000  -- messages on their way
local AGAIN_LATER = 10 -- attempts to connect, once it has been connected
local USER = 38      -- the id of a property

local lib

-- Elements ----------------------------------------------------------------------------------------

--- Bytes that can be handed to C, and their number.
local function text_of(node, what, x)
  if type(x) == "string" then return x, #x end
  if x == null then return "", 0 end
  if type(x) == "number" then
    x = tostring(x)
    return x, #x
  end
  if istype(ctype, x) then return x.ptr, #x end -- as long as nobody waits
  return error(("%s: %s must be text, got a %s%s"):format(node.kind, what, type(x),
    type(x) == "table" and ": encode it first" or ""), 0)
end
jit.on(text_of)

--- Can this be written to? Wildcards are for those who read.
local function is_topic(name)
  return type(name) == "string" and name ~= "" and #name <= 65535 and not name:find "[+#%z]"
end

local function field(text)
  if #text > 65535 then error("to_mqtt: a property is longer than 65535 bytes", 0) end
  return string.char(math.floor(#text / 256), #text % 256) .. text
end

--- User properties as MQTT 5 writes them, in the order of their names.
local function properties_of(node, map)
  if type(map) ~= "table" then
    error(("%s: properties must be a table name -> text, got %s"):format(node.kind, check.show(map)), 0)
  end
  local list = {}
  for name, value in pairs(map) do
    local text = text_of(node, ("property %q"):format(tostring(name)), value)
    list[#list + 1] = string.char(USER) .. field(tostring(name)) .. field(tostring(text))
  end
  table.sort(list)
  return table.concat(list)
end

-- What has arrived, and what has not (tideway.underway) ----------------------------------------------

local deliver

--- Messages that have not arrived: { record (or nil), why } each.
local function sort_out(P, failed)
  local rule, raised, count = underway.rule_of(P.node), nil, 0
  for _, item in ipairs(failed) do
    local record, why = item[1], item[2]
    local err = ("%s: %s"):format(P.node.kind, why)
    if record and record.waiter then
      record.failed = err
      sched.wake(record.waiter)
    elseif rule == "raise" or not (record and record.list) then
      raised, count = raised or err, count + 1
    else
      underway.lose(P, record, rule, err, deliver)
    end
  end
  if raised then
    local text = ("%s; %d message%s not arrived"):format(raised, count, count == 1 and " has" or "s have")
    sched.spawn(error, true, text, 0) -- it stops the run
  end
end

local function refusal(P, code) return ("%s: %s"):format(P.address, ffi.string(lib.tw_mqtt_reason(code))) end

--- Take the reports there are: release what has arrived. Returns what has failed or is waited for.
-- why  what is wrong with those that have been given up
local function reports(P, why)
  local held, failed = P.held, nil
  while P.native do
    local n = lib.tw_mqtt_reports(P.native)
    local list = lib.tw_mqtt_report_of(P.native)
    for i = 0, n - 1 do
      local id, code = tonumber(list[i].id), list[i].error
      local record = held[id]
      held[id] = nil
      if code ~= 0 then
        failed = failed or {}
        failed[#failed + 1] = { record, code < 0 and why or refusal(P, code) }
      elseif record.waiter then
        record.arrived = true
        sched.wake(record.waiter)
      else
        underway.release(record)
      end
    end
    if n == 0 then break end
  end
  return failed
end

--- There is no connection, and there will be none: what is on its way is lost. The next element has it
-- tried again.
local function give_up(P, why)
  P.gave_up = true
  lib.tw_mqtt_drop(P.native)
  sort_out(P, reports(P, why) or {})
end

local function attend(P)
  while P.native do
    local failed, pending = reports(P), lib.tw_mqtt_pending(P.native)
    if failed then sort_out(P, failed) end
    if pending < P.pending then mqtt.progress(P) end
    P.pending = pending
    local why = not P.gave_up and mqtt.keep_up(P, mqtt.most(P, AGAIN_LATER))
    if not P.native then break end
    if why then give_up(P, why) end
    underway.room(P)
    if lib.tw_mqtt_pending(P.native) == 0 then
      occupy(P, false)
      if P.leaving then mqtt.close(P) break end
    end
    sched.wait(P.id)
  end
  underway.room(P)
  occupy(P, false)
end

-- Sending -------------------------------------------------------------------------------------------

--- The client of a node, opened when the first element comes: a graph that is only built connects
-- to nobody.
local function connect(node)
  local S = node.state
  local P = mqtt.open(node, S.at, {
    clean = node.opts.client_id and node.opts.protocol == "3.1.1" and 0 or 1, qos = S.qos,
    in_flight = node.opts.maxsize or WINDOW,
  })
  underway.open(P)
  P.record, P.pending = ffi.new "tw_mqtt_record", 0 -- that wait, when last looked at
  S.client = P
  mqtt.at_end(P, mqtt.close) -- after a run that has failed also with something on its way
  sched.spawn(attend, true, P)
  return P
end

--- The message could not be sent: wait for room and try again, or raise. A loop of its own: in send
-- it would keep the loop of the source from being compiled.
local function again(node, P, status, topic, text, len, properties)
  local r, id = P.record, P.record.id
  if type(text) == "cdata" then text = ffi.string(text, len) end -- of a view
  while status == C.TW_AGAIN do
    underway.has_room(P, "to_mqtt")
    if not P.native then
      status = C.TW_EIO
      break
    end
    r.topic, r.topic_len, r.payload, r.payload_len = topic, #topic, text, len
    r.properties, r.properties_len, r.id = properties, #properties, id
    status = lib.tw_mqtt_publish(P.native, r)
  end
  if status == 0 then return end
  underway.drop(P, tonumber(id))
  local why = not P.native and "closed" or status == C.TW_ENOMEM and "no memory"
    or ffi.string(lib.tw_mqtt_error(P.native))
  error(("%s: %s: %s"):format(node.kind, topic, why), 0)
end

--- Send element x of a node.
-- watch  a record of the caller's who waits until it has arrived (deliver), or nil
local function send(node, x, watch)
  local S = node.state
  local P = S.client
  if not P or not P.native then P = connect(node) end
  if behind(P) and not watch then underway.has_room(P, "to_mqtt") end
  if P.gave_up then
    P.gave_up, P.attempts, P.been_up = false, 0, false
    lib.tw_mqtt_connect(P.native)
  end
  local topic, payload, properties = S.topic, x, S.properties
  if S.topic_of then
    topic = S.topic_of(x)
    if not is_topic(topic) then
      error(("%s: topic must be one that can be written to, got %s"):format(node.kind, check.show(topic)), 0)
    end
  end
  if type(x) == "table" and x ~= null then
    payload = x.payload
    if properties == nil then properties = x.properties end
  end
  if S.payload_of then payload = S.payload_of(x) end
  if S.properties_of then properties = S.properties_of(x) end
  if payload == nil then payload = x end
  local text, len = text_of(node, "the payload", payload)
  properties = properties and properties_of(node, properties) or ""
  local r, id = P.record, 0
  if watch or S.lenient or sched.current.metadata then
    id = underway.hold(P, watch or underway.record_of(node, S.lenient, x))
  end
  r.topic, r.topic_len, r.payload, r.payload_len = topic, #topic, text, len
  r.properties, r.properties_len = properties, #properties
  r.qos, r.retain, r.id = S.qos, S.retain, id
  local status = lib.tw_mqtt_publish(P.native, r)
  if not P.busy then occupy(P, true) end
  if status ~= 0 then again(node, P, status, topic, text, len, properties) end
end
jit.on(send)
jit.on(is_topic)

--- Send element x of a node, and wait until it has arrived; raises when it does not.
function deliver(node, x)
  local watch = { waiter = {} }
  send(node, x, watch)
  sched.suspend(watch.waiter, "to_mqtt")
  if not watch.arrived then error(watch.failed or "to_mqtt: closed", 0) end
end

--- Nothing more will come; what is on its way arrives before.
local function leave(node)
  local P = node.state.client
  if not P or not P.native then return end
  P.leaving = true
  C.tw_loop_wake(sched.loop(), P.id)
end

return {
  name = "to_mqtt",
  doc = [[Publish each element to a topic of an MQTT broker: text, a number, null (an empty payload, which
also clears a retained message), or a table with payload and properties, such as from_mqtt{full = true} gives.
With qos = 1 or 2 an element is through, and its metadata released, when the broker has acknowledged it; with
0 when the system has taken it. `maxsize` may be on their way; then the emitter waits. A connection that breaks
is made again and what was not acknowledged is sent again, so that with 1 it may come twice, with 2 only
when the broker has lost the session. The run ends when everything has arrived; what does not goes by the
error policy.]],
  args = {},
  opts = mqtt.settings {
    { "topic", "string|function", "or a function of the element" },
    { "qos", "number?", "0, 1 or 2; default 0" },
    { "retain", "boolean?", "the broker keeps the last message of each topic for who comes later" },
    { "payload", "function?", "of the element; default: the element, or x.payload of tables" },
    { "properties", "function|table?", "name -> value (MQTT 5); default: x.properties of tables" },
    { "maxsize", "count?", "how many may be on their way; default 1000" },
    { "retries", "number?", "further attempts to connect in a row; default 7 at the start, 10 later" },
  },
  outputs = "0",
  sink = true,
  example = [[ (function()
  local probe = tw.from_tcp(0)
  local port = probe:port() -- one that is free
  probe:destroy()
  local broker = tw.from_process({"mosquitto", "-p", tostring(port)}, {check = false, stderr = "ignore"})
  local to = "mqtt://127.0.0.1:" .. port
  tw.from_mqtt{url = to, topics = "letters/+"}:take(1):on_end(function() tw.spawn(function() broker:stop() end) end)
    :sink(function(x) list[#list + 1] = x end)
  return tw.from_iterable{"a"}:to_mqtt{url = to, topic = function(x) return "letters/" .. x end, retain = true}
end)() ]],
  gives = { "a" },

  new = function(node)
    local opts = node.opts
    lib = mqtt.load()
    if type(opts.topic) == "string" and not is_topic(opts.topic) then
      misuse("%s: topic must be one that can be written to, without + and #, got %s", node.kind,
        check.show(opts.topic))
    end
    local properties = opts.properties
    node.state = {
      at = mqtt.check(node), qos = mqtt.check_qos(node.kind, opts.qos), retain = opts.retain and 1 or 0,
      topic = type(opts.topic) == "string" and opts.topic or nil,
      topic_of = type(opts.topic) ~= "string" and opts.topic or nil,
      payload_of = opts.payload, lenient = false, client = false,
      properties = type(properties) == "table" and properties or nil,
      properties_of = type(properties) == "function" and properties or nil,
    }
  end,

  --- The text for an element: found out here, when the graph is compiled, is which policy is in force.
  emit = function(b, node, x)
    node.state.lenient = underway.rule_of(node) ~= "raise"
    b:call(node, send, b:constant(node), x)
  end,

  finish = leave,
  destroyed = leave,
}
