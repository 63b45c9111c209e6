--- tideway.producer -- what writes to Kafka: sends, takes reports, lets go of what has arrived.
--
-- A record is on its way until librdkafka reports it (tideway.underway). Until then the metadata of its
-- element is retained, and the run goes on. When librdkafka's queue is full, who sends waits.
jit.off(true, true)

local check = require "tideway.check"
local errors = require "tideway.errors"
local ffi = require "ffi"
local graph = require "tideway.graph"
local kafka = require "tideway.kafka"
local null = require "tideway.null"
local sched = require "tideway.sched"
local underway = require "tideway.underway"
local view = require "tideway.view"
local C = require "tideway.declare" "kafka"

local misuse = errors.misuse
local istype, ctype = ffi.istype, view.ctype
local behind, occupy, release = underway.behind, underway.occupy, underway.release

local producer = {}
local lib

-- Settings ----------------------------------------------------------------------------------------

producer.SETTINGS = kafka.settings {
  { "topic", "string|function", "its name, or a function of the element" },
  { "key", "function|string?", "a function of the element, or the name of a field; default: x.key of tables" },
  { "value", "function|string?", "the same; default: the element, or x.value of tables" },
  { "partition", "function|number?", "from 0; default: as the key says, see librdkafka's `partitioner`" },
  { "headers", "function|table?", "name -> value; default: x.headers of tables" },
}

--- The conf of a node's producer. fixed: settings that cannot be others; values: more that are not
-- librdkafka's own.
function producer.conf(node, fixed, values)
  -- no record twice and none before another, though librdkafka may have to send again
  local all = { ["enable.idempotence"] = true }
  for name, value in pairs(values or {}) do all[name] = value end
  if node.opts.brokers == "embedded" then all["linger.ms"] = 1 end
  return kafka.conf(node.kind, node.opts, all, fixed or {})
end

-- Fields --------------------------------------------------------------------------------------------

--- A function of the element that gives what a setting says; nil where it says nothing.
local function getter(given)
  if type(given) == "string" then
    return function(x)
      if type(x) == "table" then return x[given] end
    end
  end
  return given
end

local function refuse(node, what, x)
  local kind = x == null and "null" or type(x)
  error(("%s: %s must be text, got a %s%s"):format(node.kind, what, kind,
    kind == "table" and ": encode it first" or ""), 0)
end

--- Text that can be handed to C, and its length; nil, 0 for null.
local function text_of(node, what, x)
  if type(x) == "string" then return x, #x end
  if x == null or x == nil then return nil, 0 end
  if type(x) == "number" then
    x = tostring(x)
    return x, #x
  end
  if istype(ctype, x) then return x.ptr, #x end -- as long as nobody waits
  return refuse(node, what, x)
end

local function topic_number(P, name)
  local number = P.topics[name]
  if number then return number end
  if not kafka.is_topic(name) then
    error(("%s: topic must be the name of a topic (letters, digits, . _ -), got %s"):format(P.node.kind,
      check.show(name)), 0)
  end
  if P.embedded then kafka.embedded():topic(name) end
  number = lib.tw_producer_topic(P.native, name)
  if number < 0 then error(("%s: %s"):format(P.node.kind, ffi.string(lib.tw_producer_error(P.native))), 0) end
  P.topics[name] = number
  P.names[number] = name
  return number
end

local function partition_of(node, at)
  if at == nil or type(at) == "number" and at >= 0 and at % 1 == 0 then return at end
  error(("%s: partition must be a whole number from 0, got %s"):format(node.kind, check.show(at)), 0)
end
jit.on(partition_of)

local function header_text(node, name, value)
  return text_of(node, ("header %q"):format(tostring(name)), value)
end

local function put_headers(node, P, map)
  if type(map) ~= "table" then
    error(("%s: headers must be a table name -> text, got %s"):format(node.kind, check.show(map)), 0)
  end
  for name, value in pairs(map) do -- all or none
    if type(name) ~= "string" then
      error(("%s: the name of a header must be text, got %s"):format(node.kind, check.show(name)), 0)
    end
    header_text(node, name, value)
  end
  for name, value in pairs(map) do
    local text, len = header_text(node, name, value)
    if lib.tw_producer_header(P.native, name, text, len) ~= 0 then error("kafka: no memory", 0) end
  end
end

-- Reports ---------------------------------------------------------------------------------------------

local deliver

--- A record has not arrived. record: what is known of it, if anything. Raises where the policy says so.
local function lost(P, record, why, place)
  local node = record and record.node or P.node
  local err = ("%s: a record was not delivered%s: %s"):format(node.kind, place, why)
  if P.on_lost then return P.on_lost(P, err) end
  local rule = record and record.node and underway.rule_of(node) or "raise"
  if rule == "raise" then error(err, 0) end
  underway.lose(P, record, rule, err, deliver)
end

--- Take the reports there are: release what has arrived. Returns an array of what has failed or is waited
-- for, or nil.
local function reports(P)
  local held, failed = P.held, nil
  while P.native do
    local n = lib.tw_producer_reports(P.native)
    local list = lib.tw_producer_report(P.native)
    for i = 0, n - 1 do
      local id, code = tonumber(list[i].id), list[i].error
      local record = held[id]
      held[id] = nil
      if code ~= 0 or record.waiter then
        failed = failed or {}
        failed[#failed + 1] = { record, code, list[i].topic, list[i].partition }
      else
        release(record)
      end
    end
    if n == 0 then break end
  end
  return failed
end
jit.on(reports)

--- " to topic[partition]", as far as it is known.
local function place_of(topic, partition)
  if topic == nil then return "" end
  return partition < 0 and " to " .. ffi.string(topic) or (" to %s[%d]"):format(ffi.string(topic), partition)
end

--- Deal with what has failed, or is waited for: { record, code, topic, partition } each.
local function sort_out(P, failed)
  local raised
  for _, item in ipairs(failed) do
    local record, code = item[1], item[2]
    if record and record.waiter then
      record.code, record.place = code, place_of(item[3], item[4])
      sched.wake(record.waiter)
    else
      if record and not record.list then record = { list = record } end
      local why = ffi.string(lib.tw_kafka_error_text(code))
      local ok, err = pcall(lost, P, record, why, place_of(item[3], item[4]))
      -- it stops the run; we go on with what is still on its way
      if not ok and not raised then sched.spawn(error, true, err, 0) end
      raised = raised or not ok
    end
  end
end

local function attend(P)
  while P.native do
    kafka.notice(P.node, lib.tw_producer_notice(P.native))
    local failed = reports(P)
    underway.room(P)
    if failed then sort_out(P, failed) end
    if not P.native then break end
    if lib.tw_producer_pending(P.native) == 0 then occupy(P, false) end
    if P.stepping and lib.tw_producer_stepped(P.native) ~= C.TW_AGAIN then sched.wake(P.stepping) end
    sched.wait(P.id)
  end
end

-- Sending -----------------------------------------------------------------------------------------------

local function unsent(node, P, status)
  local why = ffi.string(lib.tw_producer_error(P.native))
  -- a transaction is done again, but for what would be so again
  if P.on_lost and status ~= C.TW_EINVAL then return P.on_lost(P, why) end
  error(("%s: %s"):format(node.kind, why), 0)
end

--- The record could not be sent: wait for room and try again, or raise. A loop of its own: in put it
-- would keep the loop of the source from being compiled. The arguments keep the texts alive.
local function again(node, P, id, status, text, len, key_text, key_len, number, partition, headers)
  local r = P.record
  if type(text) == "cdata" then text = ffi.string(text, len) end -- of a view
  if type(key_text) == "cdata" then key_text = ffi.string(key_text, key_len) end
  while status == C.TW_AGAIN do
    underway.has_room(P, "to_kafka")
    if P.doomed then return end
    if not P.native then error(("%s: closed"):format(node.kind), 0) end
    r.value, r.value_len, r.key, r.key_len = text, len, key_text, key_len
    r.topic, r.partition, r.id, r.timestamp = number, partition, id, 0
    if headers then put_headers(node, P, headers) end
    status = lib.tw_producer_send(P.native, r)
  end
  if status == 0 then return end
  underway.drop(P, id)
  unsent(node, P, status)
end

--- Send a record of element x.
local function put(node, P, S, x, topic, key, value, headers, watch)
  local r = P.record
  local number = P.topics[topic] or topic_number(P, topic)
  local at = S.partition
  if type(at) == "function" then at = partition_of(node, at(x)) end
  local text, len = text_of(node, "the value", value)
  local key_text, key_len = text_of(node, "the key", key)
  r.value, r.value_len, r.key, r.key_len = text, len, key_text, key_len
  r.topic, r.partition, r.id, r.timestamp = number, at or -1, 0, 0
  if headers then put_headers(node, P, headers) end
  local list, id = sched.current.metadata, 0
  local status
  if P.on_lost or not list and not S.lenient then -- a transaction is through as a whole
    status = lib.tw_producer_send(P.native, r)
  else
    local ticket = list and list[1]
    local from = ticket and ticket.S
    if from and not S.lenient and from.ticket == ticket and from.consumer and list[2] == nil and not list.hidden then
      -- the message that is just being delivered: C keeps it, without any work in Lua
      status = lib.tw_producer_send_kept(P.native, r, from.consumer)
    else
      id = underway.hold(P, watch or underway.record_of(node, S.lenient, x))
      r.id = id
      status = lib.tw_producer_send(P.native, r)
    end
  end
  if status ~= 0 then
    if status == C.TW_AGAIN then
      if id == 0 and not P.on_lost then id = underway.hold(P, underway.record_of(node, S.lenient, x)) end
      again(node, P, id, status, text, len, key_text, key_len, number, at or -1, headers)
    else
      underway.drop(P, id)
      unsent(node, P, status)
    end
  end
end
jit.on(put)
jit.on(text_of)

--- The transaction that a node is part of: that of the tw.exactly_once above it.
local function transaction(node)
  for _, up in ipairs(graph.above(node)) do
    if up.desc.transaction then return up end
  end
end

--- Begin a step of a transaction (TW_TXN in tideway.h). consumer: the native one, or nil.
function producer.start(P, step, consumer) lib.tw_producer_step(P.native, step, consumer) end

--- Wait for its end. Returns TW_OK, or what is wrong and why.
function producer.await(P)
  sched.occupied(true)
  local ok, err = true, nil
  while ok and P.native and lib.tw_producer_stepped(P.native) == C.TW_AGAIN do
    P.stepping = {}
    ok, err = pcall(sched.suspend, P.stepping, "exactly_once")
  end
  P.stepping = nil
  sched.occupied(false)
  if not ok then error(err, 0) end
  if not P.native then return C.TW_EIO, "closed" end
  local status = lib.tw_producer_stepped(P.native)
  return status, status ~= C.TW_OK and ffi.string(lib.tw_producer_error(P.native)) or nil
end

--- Nothing is sent any more until the transaction has been aborted: P.doomed is why.
function producer.doom(P, why)
  P.doomed = P.doomed or why
  underway.room(P) -- who waits for it goes on
end

--- The producer of a node, opened when the first element comes: a graph that is only built
-- connects to nobody.
local function connect(node)
  local S = node.state
  local source = transaction(node)
  if source and not (source.state and source.state.producer) then
    error(("%s: it is below a %s that has not been started"):format(node.kind, source.kind), 0)
  end
  S.producer = source and source.state.producer or producer.open(node, producer.conf(node))
  return S.producer
end

--- Send element x of a node.
-- watch  a record of the caller's who waits until it has arrived (deliver), or nil
function producer.send(node, x, watch)
  local S = node.state
  local P = S.producer
  if not P or not P.native then P = connect(node) end
  if P.doomed then return end -- all of it is done again, see exactly_once
  if behind(P) and not watch then underway.has_room(P, "to_kafka") end
  local topic, key, value, headers = S.topic, nil, x, S.headers
  if S.topic_of then topic = S.topic_of(x) end
  if type(x) == "table" and x ~= null then
    value = x.value
    if not S.key then key = x.key end
    if headers == nil then headers = x.headers end
  end
  if S.key then key = S.key(x) end
  if S.value then value = S.value(x) end
  if S.headers_of then headers = S.headers_of(x) end
  if value == nil then
    if not S.value then value = x end
    refuse(node, "the value", value)
  end
  put(node, P, S, x, topic, key, value, headers, watch)
  if not P.busy then occupy(P, true) end
end
jit.on(producer.send)

--- Send element x of a node, and wait until it has arrived; raises when it does not.
function deliver(node, x)
  local watch = { waiter = {}, code = nil }
  producer.send(node, x, watch)
  while not watch.code do sched.suspend(watch.waiter, "to_kafka") end
  if watch.code ~= 0 then
    local why = ffi.string(lib.tw_kafka_error_text(watch.code))
    error(("%s: a record was not delivered%s: %s"):format(node.kind, watch.place, why), 0)
  end
end

--- Close it; what is still on its way has a little time.
local function close(P)
  local native = P.native
  if not native then return end
  P.native = false
  occupy(P, false)
  underway.room(P) -- who waits for it is told
  if P.stepping then sched.wake(P.stepping) end
  lib.tw_producer_close(ffi.gc(native, nil))
  C.tw_loop_wake(sched.loop(), P.id) -- the servant leaves
end
producer.close = close

--- A producer for a node. conf: of kafka.conf.
function producer.open(node, conf)
  lib = kafka.load()
  local message = ffi.new("char[?]", kafka.ERROR_SIZE)
  local native = lib.tw_producer_open(sched.loop(), conf, kafka.loud(node.opts), message, kafka.ERROR_SIZE)
  if native == nil then error(("%s: %s"):format(node.kind, ffi.string(message)), 0) end
  local P = underway.open {
    node = node, native = ffi.gc(native, lib.tw_producer_close), id = lib.tw_producer_id(native),
    embedded = node.opts.brokers == "embedded", topics = {}, names = {}, record = ffi.new "tw_kafka_record",
  }
  sched.spawn(attend, true, P)
  return P
end

--- Check the settings of a sink's node.
function producer.new(node)
  local opts = node.opts
  lib = kafka.load()
  if type(opts.topic) == "string" and not kafka.is_topic(opts.topic) then
    misuse("%s: topic must be the name of a topic (letters, digits, . _ -), got %s", node.kind,
      check.show(opts.topic))
  end
  local at = opts.partition
  if type(at) == "number" and (at < 0 or at % 1 ~= 0) then
    misuse("%s: partition must be a whole number from 0, got %s", node.kind, check.show(at))
  end
  local headers = opts.headers
  node.state = {
    topic = type(opts.topic) == "string" and opts.topic or nil,
    topic_of = type(opts.topic) ~= "string" and opts.topic or nil,
    key = getter(opts.key), value = getter(opts.value), partition = at,
    headers = type(headers) == "table" and headers or nil,
    headers_of = type(headers) == "function" and headers or nil,
    lenient = false, producer = false,
  }
end

--- Check what depends on what is above it.
function producer.built(node)
  local source, opts = transaction(node), node.opts
  for _, up in ipairs(source and graph.above(node) or {}) do
    if up.desc.transaction and up ~= source then
      misuse("%s: it is below two %s, and a record is part of one transaction", node.kind, up.kind)
    end
  end
  if source and (opts.brokers or opts.conf) then
    misuse("%s: brokers and conf are those of the %s above it", node.kind, source.kind)
  elseif not source then
    lib.tw_kafka_conf_close(producer.conf(node)) -- a wrong setting is an error now
  end
  local brokers = source and source.opts.brokers or opts.brokers
  if brokers == "embedded" and node.state.topic then kafka.embedded():topic(opts.topic) end
end

--- The text for an element: found out here, when the graph is compiled, is which policy is in force.
function producer.emit(b, node, x)
  node.state.lenient = underway.rule_of(node) ~= "raise"
  b:call(node, producer.send, b:constant(node), x)
end

--- Is anything on its way, or being disposed of?
local function at_work(P) return P.native and (lib.tw_producer_pending(P.native) > 0 or P.lost > 0) end

--- The node is destroyed, or its stream has ended: the producer goes when all has arrived. Another one is
-- opened should more elements come.
function producer.leave(node)
  local P = node.state.producer
  if not P or P.node ~= node then return end -- a transaction's
  if not at_work(P) then return close(P) end
  sched.spawn(function()
    while at_work(P) do underway.has_room(P, "to_kafka") end
    close(P)
  end, true)
end

return producer
