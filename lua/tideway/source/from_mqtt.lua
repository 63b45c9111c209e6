jit.off(true, true)

local C = require "tideway.declare" "mqtt"
local check = require "tideway.check"
local errors = require "tideway.errors"
local ffi = require "ffi"
local graph = require "tideway.graph"
local mqtt = require "tideway.mqtt"
local sched = require "tideway.sched"
local view = require "tideway.view"
require "tideway.metadata" -- which lends tickets

local misuse = errors.misuse
local CLOSED = 5 -- ORDER tw_mqtt_state
local FOR_EVER = 2 ^ 32 - 1
local PACKET_MAX = 268435455
local PATIENCE = 11 -- seconds to say goodbye: a little more than native code takes for it
local SPARE = 10000 -- tickets that are kept for others

local lib

-- Topics ------------------------------------------------------------------------------------------

--- Can this be subscribed to? # is the last level, + a whole one.
local function is_filter(text)
  if type(text) ~= "string" or text == "" or #text > 65535 or text:find "%z" then return false end
  local shared = text:match "^%$share/(.*)$"
  if shared then
    text = shared:match "^[^/+#]+/(.+)$"
    if not text then return false end
  end
  for level in (text .. "/"):gmatch "([^/]*)/" do
    if level:find "[+#]" and #level > 1 then return false end
  end
  return not text:find("#/", 1, true)
end

local function filters_of(op, topics)
  local list = type(topics) == "string" and { topics } or topics
  for i = 1, #list do
    if not is_filter(list[i]) then
      misuse("%s: topics[%d] must be a topic, with + for one level or # for the last ones, got %s", op, i,
        check.show(list[i]))
    end
  end
  if #list == 0 then misuse("%s: topics must name at least one topic", op) end
  return table.concat(list, "\0") .. "\0"
end

-- Tickets -----------------------------------------------------------------------------------------
--
-- As those of Kafka's messages (tideway.consumer): one serves message after message, until somebody has
-- retained it by the time the next one comes. Then that message is kept, and the ticket with it.

local function topic_of(m) return ffi.string(m.topic, m.topic_len) end

local Ticket = {
  __index = function(ticket, key)
    if key == "topic" then return topic_of(ticket.S.messages[ticket.S.at[0]]) end
  end,
  __shown = { "topic" }, -- in a worker (tideway.origins)
}

local function retain(ticket, n) ticket.holders = ticket.holders + (n or 1) end

local function release(ticket, n)
  local holders = ticket.holders - (n or 1)
  ticket.holders = holders
  if holders > 0 or not ticket.number then return end
  local S = ticket.S
  if S.native then lib.tw_mqtt_release(S.native, ticket.number) end
  ticket.number = false
  if not ticket.lent and #S.spare < SPARE then S.spare[#S.spare + 1] = ticket end
end

local function new_ticket(S)
  local spare = S.spare
  local n = #spare
  local ticket = spare[n]
  if ticket then
    spare[n] = nil
    return ticket
  end
  ticket = { S = S, holders = 0, number = false, lent = false, retain = retain, release = release,
    ref = false, list = false }
  ticket.ref = ticket
  ticket.list = { ticket }
  return setmetatable(ticket, Ticket)
end

--- The message that was delivered last is not through, or somebody may still look at its metadata.
local function keep(S)
  local ticket, at = S.ticket, S.at[0]
  local message = S.messages[at]
  if ticket.lent then rawset(ticket, "topic", topic_of(message)) end
  if ticket.holders > 0 and message.number ~= 0 then
    lib.tw_mqtt_keep(S.native, at)
    ticket.number = message.number
  end
  local fresh = new_ticket(S)
  S.ticket, S.task.metadata = fresh, fresh.list
  return fresh
end

jit.on(retain)
jit.on(release)
jit.on(new_ticket)
jit.on(keep)

-- The servant -------------------------------------------------------------------------------------

local function wake(S)
  if S.waiter then sched.wake(S.waiter) end
end

--- Is everything through that a stopped source has given?
local function through(S) return S.stopped and not S.out and lib.tw_mqtt_kept(S.native) == 0 end

--- Acknowledge what is through, and wait until the broker has seen that.
local function leave(S)
  sched.occupied(true)
  lib.tw_mqtt_disconnect(S.native)
  while S.native and lib.tw_mqtt_state(S.native) ~= CLOSED do sched.wait(S.id) end
  mqtt.close(S)
  sched.occupied(false)
end

--- The broker sends no more before it has acknowledgements, and they wait for more to come.
local function look_at_window(S)
  if S.told or lib.tw_mqtt_kept(S.native) < S.window then return end
  S.told = true
  io.stderr:write(("%s: %d messages are held; the broker sends no more before one of them is through "
    .. "(maxsize)\n"):format(tostring(S.node), S.window))
end

local function attend(S)
  while S.native do
    if not S.stopped then S.failed = mqtt.keep_up(S, mqtt.most(S, math.huge)) end
    if not S.native then break end
    if through(S) or lib.tw_mqtt_state(S.native) == CLOSED then return leave(S) end
    wake(S)
    sched.wait(S.id)
  end
end

--- The run is over: what has stopped says goodbye, whatever is still held. Closing at once with
-- something unread would take the last acknowledgements along.
local function finish(S)
  if not (S.stopped and S.native) then return end
  lib.tw_mqtt_disconnect(S.native)
  local deadline = C.tw_clock_seconds() + PATIENCE
  while S.native and lib.tw_mqtt_state(S.native) ~= CLOSED and C.tw_clock_seconds() < deadline do
    sched.step(10)
  end
  mqtt.close(S)
end

-- The source --------------------------------------------------------------------------------------

--- The message on its way, if there is one, has been delivered, and with it the batch.
local function back(S)
  if not S.out then return end
  S.out = false
  if S.tickets then
    if S.at[0] >= 0 and (S.ticket.holders ~= 0 or S.ticket.lent) then keep(S) end
    S.task.metadata = nil
  end
  if S.native then lib.tw_mqtt_back(S.native) end
  S.view.ptr = nil
  view.expire()
end

local property = ffi.new "tw_mqtt_property"
local NAMES = { [3] = "content_type", [8] = "response_topic", [9] = "correlation" }
local USER = 38

--- Message i as a table.
local function full(S, i)
  local m = S.messages[i]
  local x = {
    topic = topic_of(m), payload = ffi.string(m.payload, m.payload_len), qos = m.qos,
    retained = m.retained == 1, duplicate = m.duplicate == 1,
  }
  local k = 0
  while m.properties_len > 0 do
    local id = lib.tw_mqtt_property_of(S.native, i, k, property)
    if id == 0 then break end
    if id == USER then
      x.properties = x.properties or {}
      x.properties[ffi.string(property.name, property.name_len)] = ffi.string(property.value, property.value_len)
    elseif NAMES[id] then
      x[NAMES[id]] = ffi.string(property.value, property.value_len)
    end
    k = k + 1
  end
  return x
end
jit.on(full)
jit.on(topic_of)

return {
  name = "from_mqtt",
  doc = [[The payloads of the messages that an MQTT broker has for these topics, as strings; with full = true
tables {topic =, payload =, qos =, retained =, duplicate =}, and properties, content_type, response_topic and
correlation where MQTT 5 has brought them. With qos = 1 or 2 a message is acknowledged when, and only when,
everything made of it has left the pipeline, in order. With a client_id the broker keeps what comes while we are away
and what was not acknowledged: at least once across any crash and disconnection. How many messages it lets be
unacknowledged is up to the broker, too; a pipeline that holds more of them stands still. A connection
that breaks is made again, without end. tw.metadata() has topic.]],
  args = {},
  opts = mqtt.settings {
    { "topics", "string|table", "topics, with + for any one level, # for all further ones" },
    { "qos", "number?", "0: at most once; 1, 2: at least once; default 0" },
    { "full", "boolean?", "give tables, not only payloads" },
    { "view", "boolean?", "give views of the payloads instead of strings: faster" },
    { "clean", "boolean?", "true: forget what the broker has kept for the client_id; default: without one" },
    { "expiry", "duration?", "how long the broker keeps that when we are away (MQTT 5); default: for ever" },
    { "maxsize", "count?", "messages of QoS 1 and 2 that may be unacknowledged (MQTT 5); default 65535" },
    { "max_message", "count?", "bytes; a larger one is an error; default: what MQTT allows" },
    { "retries", "number?", "further attempts to connect; default 7 at the start, later without end" },
  },
  outputs = "1",
  example = [[ (function()
  local probe = tw.from_tcp(0)
  local port = probe:port() -- one that is free
  probe:destroy()
  local broker = tw.from_process({"mosquitto", "-p", tostring(port)}, {check = false, stderr = "ignore"})
  tw.from_iterable{"hello"}:to_mqtt{host = "127.0.0.1", port = port, topic = "greetings/en", retain = true}
  local greetings = tw.from_mqtt{host = "127.0.0.1", port = port, topics = "greetings/#"}:take(1)
  greetings:on_end(function() tw.spawn(function() broker:stop() end) end)
  return greetings
end)() ]],
  gives = { "hello" },

  new = function(node)
    local opts = node.opts
    lib = mqtt.load()
    local S = { qos = mqtt.check_qos(node.kind, opts.qos), filters = filters_of(node.kind, opts.topics) }
    S.at = mqtt.check(node)
    S.clean = opts.clean
    if S.clean == nil then S.clean = opts.client_id == nil end
    if not S.clean and (opts.client_id or "") == "" then
      misuse("%s: clean = false needs a client_id: what the broker keeps is kept for that", node.kind)
    end
    if (opts.max_message or 0) > PACKET_MAX then
      misuse("%s: max_message must be at most %d", node.kind, PACKET_MAX)
    end
    node.mqtt = S
    node.view = view.new()
    if opts.view then view.passes(node, node.view) end
    if S.qos > 0 then graph.carry(node) end
  end,

  open = function(node)
    local opts, N = node.opts, node.mqtt
    local S = mqtt.open(node, N.at, {
      filters = N.filters, filters_len = #N.filters, qos = N.qos, clean = N.clean and 1 or 0,
      expiry_s = math.min(FOR_EVER, math.ceil(opts.expiry or FOR_EVER)), max_message = opts.max_message or 0,
    })
    S.at, S.view, S.epoch = lib.tw_mqtt_at(S.native), node.view, view.epoch
    S.window, S.spare, S.tickets = opts.maxsize or mqtt.MAX_IN_FLIGHT, {}, N.qos > 0
    S.ticket = S.tickets and new_ticket(S)
    node.state = S
    mqtt.at_end(S, finish)
    sched.spawn(attend, true, S)
  end,

  pull = function(node)
    local S = node.state
    S.task = sched.current
    back(S)
    while node.running do
      local n = lib.tw_mqtt_next(S.native)
      if n > 0 then
        mqtt.progress(S)
        S.out, S.messages = true, lib.tw_mqtt_messages(S.native)
        if S.tickets then S.task.metadata = S.ticket.list end
        return n
      end
      if S.failed then error(("%s: %s"):format(node.kind, S.failed), 0) end
      look_at_window(S)
      S.waiter = {}
      sched.suspend(S.waiter, node.kind)
      S.waiter = nil
    end
    return nil
  end,

  loop = function(b, node)
    local tickets = node.mqtt.qos > 0
    b:line "local m, at = S.messages, S.at"
    if not node.opts.full then b:line "local v, epoch = S.view, S.epoch" end
    local function begin()
      if tickets then
        b:line "local t = S.ticket"
        b:line("if (t.holders ~= 0 or t.lent) and at[0] >= 0 then %s(S) end", b:constant(keep))
      end
      b:line "at[0] = i"
    end
    return function()
      begin()
      if node.opts.full then return b:let(node, ("%s(S, i)"):format(b:constant(full))) end
      if not node.opts.view and not view.only_decoded(node) then
        return b:let(node, "ffi_string(m[i].payload, m[i].payload_len)")
      end
      b:line "v.ptr, v.len, v.born = m[i].payload, m[i].payload_len, epoch[0]"
      return b:let(node, "v")
    end
  end,

  --- The source's task leaves, its last element through.
  leave = function(node) back(node.state) end,

  close = function(node)
    local S = node.state
    if S.stopped or not S.native then return end
    S.stopped = true
    lib.tw_mqtt_stop(S.native)
    C.tw_loop_wake(sched.loop(), S.id)
  end,

  cancel = function(node) wake(node.state) end,

  --- Where the element on its way comes from, for error messages.
  place = function(node)
    local S = node.state
    return S and S.out and S.at[0] >= 0 and topic_of(S.messages[S.at[0]]) or nil
  end,
}
