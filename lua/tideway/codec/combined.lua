--- tideway.codec.combined -- lines of web servers' logs to tables and back.
local C = require "tideway.declare" "codecs"
local errors = require "tideway.errors"
local null = require "tideway.null"
local record = require "tideway.record"
local text_out = require "tideway.out"
local view = require "tideway.view"

local out_open, out_text = text_out.open, text_out.text

local type, tonumber, tostring = type, tonumber, tostring

-- ORDER COMBINED (runtime/codec/combined.c)
local names = {
  "remote_addr", "remote_user", "time_local", "request", "method", "path", "protocol", "status",
  "body_bytes_sent", "http_referer", "http_user_agent", "time", "http_x_forwarded_for",
}
local known = {}
for _, name in ipairs(names) do known[name] = true end

local function decoder(opts)
  local fields = opts and opts.fields or names
  for _, name in ipairs(fields) do
    if not known[name] then
      errors.misuse("combined: there is no field %s; known: %s", tostring(name),
        table.concat(names, ", "))
    end
  end
  return (record.decoder("combined", "tw_combined_decode", fields))
end

-- The text of a field: a string or view as it is, a missing one "-".
local function text_of(value, name)
  local x = value[name]
  if type(x) == "string" then return x end
  if x == nil or x == null then return "-" end
  if type(x) == "number" then return (tostring(x)) end
  if view.is(x) then return x:string() end
  error(("combined: cannot encode a %s as %s"):format(type(x), name), 0)
end

-- A field that stands bare in the line must not hold what ends it.
local function put_word(out, value, name, pattern)
  local text = text_of(value, name)
  if text == "" then text = "-" end
  if text:find(pattern) then
    error(("combined: cannot encode %s as %s"):format(record.quoted(text), name), 0)
  end
  C.tw_out_bytes(out, text, #text)
end

local function put_count(out, value, name)
  local x = value[name]
  if x == nil or x == null then
    C.tw_out_bytes(out, name == "status" and "0" or "-", 1)
    return
  end
  x = tonumber(x)
  if not x or x < 0 or x % 1 ~= 0 or x >= 1e15 then
    error(("combined: %s must be a whole number from 0"):format(name), 0)
  end
  C.tw_out_num(out, x)
end

local function put_quoted(out, text) C.tw_combined_quoted(out, text, #text) end

local function request_of(value)
  if value.request ~= nil or value.method == nil then return text_of(value, "request") end
  local request = text_of(value, "method") .. " " .. text_of(value, "path")
  if value.protocol == nil then return request end
  return request .. " " .. text_of(value, "protocol")
end

local function put_line(out, value)
  put_word(out, value, "remote_addr", "[%c ]")
  C.tw_out_bytes(out, " - ", 3)
  put_word(out, value, "remote_user", "%c")
  C.tw_out_bytes(out, " [", 2)
  if value.time_local == nil and type(value.time) == "number" then
    C.tw_combined_time(out, value.time)
  else
    put_word(out, value, "time_local", "[%c%]]")
  end
  C.tw_out_bytes(out, "] ", 2)
  put_quoted(out, request_of(value))
  C.tw_out_bytes(out, " ", 1)
  put_count(out, value, "status")
  C.tw_out_bytes(out, " ", 1)
  put_count(out, value, "body_bytes_sent")
  C.tw_out_bytes(out, " ", 1)
  put_quoted(out, text_of(value, "http_referer"))
  C.tw_out_bytes(out, " ", 1)
  put_quoted(out, text_of(value, "http_user_agent"))
  if value.http_x_forwarded_for ~= nil then
    C.tw_out_bytes(out, " ", 1)
    put_quoted(out, text_of(value, "http_x_forwarded_for"))
  end
end

local function encoder()
  local out = out_open "combined"
  return function(value)
    if type(value) ~= "table" or value == null then
      error(("combined: encode takes tables, got %s"):format(value == null and "null"
        or "a " .. type(value)), 0)
    end
    C.tw_out_clear(out)
    put_line(out, value)
    return out_text(out, "combined")
  end
end

return {
  name = "combined",
  doc = [[
Lines of web servers' logs (nginx, Apache: the combined format, the common one without its two last
fields, or nginx's "main" with one more) to tables with nginx's names: `remote_addr remote_user
time_local request method path protocol status body_bytes_sent http_referer http_user_agent
http_x_forwarded_for`, and `time` in seconds since 1970. `status` and `body_bytes_sent` are numbers,
all others strings; an absent value is `"-"`, as in the log. Escapes (`\x22`, `\"`) are undone. A
request that is no request line has no `method`, `path` and `protocol`.

Encoding writes such a line, `time` in UTC where there is no `time_local`, the request from `method`,
`path` and `protocol` where there is none.]],
  opts = {
    { "fields", "table?", "array of the names to read; default: all" },
  },
  example = [[ tw.from_iterable{
  '203.0.113.9 - alice [10/Oct/2000:13:55:36 -0700] "GET /a HTTP/1.0" 200 2326 "-" "curl/8.5.0"',
}:combined{ fields = { "path", "status", "time" } } ]],
  gives = { { path = "/a", status = 200, time = 971211336 } },

  decoder = decoder,
  encoder = encoder,
}
