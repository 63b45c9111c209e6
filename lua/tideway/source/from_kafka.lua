local consumer = require "tideway.consumer"
local ffi = require "ffi"
local null = require "tideway.null"
local source = require "tideway.source.from_textfile"
local view = require "tideway.view"

local name_out, value_out, len_out = ffi.new "const char *[1]", ffi.new "const char *[1]", ffi.new "int64_t[1]"

--- The headers of message i, nil when it has none. Of several with one name, the last.
local function headers(S, lib, i)
  local map
  local k = 0
  while lib.tw_consumer_header(S.consumer, i, k, name_out, value_out, len_out) == 1 do
    map = map or {}
    map[ffi.string(name_out[0])] = value_out[0] ~= nil and ffi.string(value_out[0], len_out[0]) or null
    k = k + 1
  end
  return map
end

--- Message i as a table.
local function full(S, lib, i)
  local m = S.messages[i]
  local topic, partition = consumer.topic_of(S, m.part)
  local at = tonumber(lib.tw_consumer_timestamp(S.consumer, i))
  return {
    topic = topic, partition = partition, offset = tonumber(m.offset),
    key = m.key ~= nil and ffi.string(m.key, m.key_len) or nil,
    value = m.value ~= nil and ffi.string(m.value, m.value_len) or null,
    timestamp = at >= 0 and at / 1000 or nil,
    headers = headers(S, lib, i),
  }
end

return {
  full = full, -- for sources of the same messages

  name = "from_kafka",
  doc = [[The values of the messages of Kafka topics, as strings (null: a tombstone); with full = true tables
{topic =, partition =, offset =, key =, value =, timestamp =, headers =}. Offsets are committed when everything
made of a message, and of all before it in its partition, has left the pipeline: at least once. Members
of a group share the partitions; one that is not heard of for conf["session.timeout.ms"] is taken for dead; below
about 2000 members fall out, as librdkafka looks at its heartbeats once a second. A topic that is not there, and brokers
that cannot be reached, are waited for, and named on standard error. It reads ahead up to 256 MB
(conf["queued.max.messages.kbytes"]); while the pipeline waits, partitions are paused. brokers = "embedded" is a
cluster in this process, for tests and examples. tw.metadata() has topic, partition and offset.]],
  args = {},
  opts = consumer.settings {
    { "full", "boolean?", "give tables, not only values" },
    { "view", "boolean?", "give views of the values instead of strings: faster" },
  },
  outputs = "1",
  example = [[ (function()
  tw.from_iterable{"a", "b"}:to_kafka{topic = "letters", brokers = "embedded",
    key = function() return "one partition, one order" end}
  return tw.from_kafka{topics = {"letters"}, brokers = "embedded", group = "readers"}:take(2)
end)() ]],
  gives = { "a", "b" },

  new = function(node, fields)
    if node.opts.view then
      node.view = view.new()
      view.passes(node, node.view)
    end
    consumer.new(node, fields)
  end,

  open = function(node)
    if not node.view then node.view = view.new() end -- for decoders
    consumer.open(node)
  end,

  pull = consumer.pull,

  loop = function(b, node)
    b:line "local m, at, cut = S.messages, S.at, S.cut"
    if node.opts.full then
      b:line("local lib = %s", b:constant(require("tideway.kafka").load()))
      return function()
        consumer.begin(b)
        return b:let(node, ("%s(S, lib, i)"):format(b:constant(full)))
      end
    end
    local nothing = b:constant(null)
    if not node.opts.view and not source.only_decoded(node) then
      return function()
        consumer.begin(b)
        return b:let(node, ("m[i].value ~= nil and ffi_string(m[i].value, m[i].value_len) or %s"):format(nothing))
      end
    end
    b:line "local v, epoch = S.view, S.epoch"
    return function()
      consumer.begin(b)
      local x = b:let(node, "v")
      b:line("if m[i].value == nil then %s = %s else", x, nothing)
      b:line "v.ptr, v.len, v.born = m[i].value, m[i].value_len, epoch[0] end"
      return x
    end
  end,

  leave = consumer.leave, close = consumer.close, cancel = consumer.cancel, place = consumer.place,
  destroyed = consumer.destroyed,
}
