--- tideway.request -- what a from_http_server{full = true} gives: one request as a table.
jit.off(true, true)

local check = require "tideway.check"
local errors = require "tideway.errors"
local ffi = require "ffi"

local misuse = errors.misuse
local request = {}

-- Headers ------------------------------------------------------------------------------------

--- Headers are kept under their lower-case names, and found however they are written.
local Headers = {
  __index = function(self, name)
    return type(name) == "string" and rawget(self, name:lower()) or nil
  end,
}

--- Add a header; a name that comes again is joined by ", ".
local function add(headers, name, value)
  headers[name] = rawget(headers, name) and headers[name] .. ", " .. value or value
end

--- The header lines of an answer.
function request.headers(head)
  local headers = setmetatable({}, Headers)
  for name, value in head:gmatch "([^\r\n:]+):[ \t]*([^\r\n]*)" do
    add(headers, name:lower(), (value:gsub("[ \t]+$", "")))
  end
  return headers
end

--- Headers to send, as lines with this ending, in the order of their names; no value can
-- smuggle in another.
function request.lines(op, headers, ending)
  local lines = {}
  for name, value in pairs(headers) do
    if type(name) ~= "string" or not name:find "^[%w!#$%%&'*+.^_`|~-]+$" then
      misuse("%s: %s is no name of a header", op, check.show(name))
    end
    if type(value) == "number" then value = tostring(value) end
    if type(value) ~= "string" or value:find "[\r\n%z]" then
      misuse("%s: the header %s must be a text of one line, got %s", op, name, check.show(value))
    end
    lines[#lines + 1] = name .. ": " .. value .. ending
  end
  table.sort(lines)
  return table.concat(lines)
end

-- The address ----------------------------------------------------------------------------------

local function decode(text)
  return (text:gsub("%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end))
end

--- The path of a target ("/a%20b?c" is "/a b"); of "http://host/a" as well.
function request.path(target)
  if target:find "^/[^%%?#]*$" then return target end
  target = target:gsub("^%a[%w+.-]*://[^/?#]*", "")
  local path = decode(target:match "^[^?#]*")
  return path == "" and "/" or path
end

local function query_of(target)
  local query = {}
  if not target:find("?", 1, true) then return query end
  for pair in (target:match "%?([^#]*)" or ""):gmatch "[^&]+" do
    local name, value = pair:match "^([^=]*)=?(.*)$"
    query[decode(name:gsub("%+", " "))] = decode(value:gsub("%+", " "))
  end
  return query
end

-- Requests ----------------------------------------------------------------------------------------

local Request = {}
Request.__index = Request

-- What a request is answered by; not a field, so that a request can be encoded as it is.
local tickets = setmetatable({}, { __mode = "k" })

--- Say what goes out once the pipeline is through with the request; the last word counts.
-- body  a string or number; nil: none
-- opts  {status = 200, headers = {...}}; the type is text/plain unless a header says otherwise
function Request:respond(body, opts)
  local ticket = tickets[self]
  if not ticket then misuse "respond: must be called on a request, as request:respond(...)" end
  if body == nil then body = "" end
  if type(body) == "number" then body = tostring(body) end
  if type(body) ~= "string" then
    misuse("respond: the body must be a string, got %s", check.show(body))
  end
  opts = check.settings("respond", { { "status", "count?" }, { "headers", "table?" } }, opts)
  local status = opts.status or 200
  if status < 200 or status > 599 then
    misuse("respond: status must be from 200 to 599, got %d", status)
  end
  local head = opts.headers and request.lines("respond", opts.headers, "\r\n") or ""
  local lower = "\n" .. head:lower()
  for _, name in ipairs { "content-length", "transfer-encoding", "connection" } do
    if lower:find("\n" .. name .. ":", 1, true) then
      misuse("respond: the server itself says the header %s", name)
    end
  end
  if body ~= "" and not lower:find("\ncontent-type:", 1, true) then
    head = head .. "Content-Type: text/plain; charset=utf-8\r\n"
  end
  if ticket.over then error("respond: the request has been answered already", 0) end
  ticket.given = { status = status, head = head, body = body }
end

local ADDRESS = 64
local address = ffi.new("char[?]", ADDRESS)

--- The headers of a native request: name 0 value 0 ...
local function headers_of(text)
  local headers, at = setmetatable({}, Headers), 1
  while at <= #text do
    local colon = text:find("\0", at, true)
    local stop = text:find("\0", colon + 1, true)
    add(headers, text:sub(at, colon - 1), text:sub(colon + 1, stop - 1))
    at = stop + 1
  end
  return headers
end

--- The table of a native request; its bytes are copied.
function request.new(lib, server, r, ticket)
  local target = ffi.string(r.target)
  local self = setmetatable({
    method = ffi.string(r.method), target = target, path = request.path(target),
    query = query_of(target), headers = headers_of(ffi.string(r.headers, r.headers_len)),
    body = ffi.string(r.body, r.body_len),
    remote = lib.tw_httpd_peer(server, r.id, address, ADDRESS) == 0 and ffi.string(address) or nil,
  }, Request)
  tickets[self] = ticket
  return self
end

return request
