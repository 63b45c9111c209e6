--- spec.support.websocket -- the WebSocket protocol by hand, over plain sockets, for peers that
-- misbehave. Call it in a task.
local bit = require "bit"
local serving = require "support.serving"
local socket = require "support.socket"

local websocket = {}
local Peer = {}
Peer.__index = Peer

websocket.KEY = "dGhlIHNhbXBsZSBub25jZQ==" -- of RFC 6455, 1.3
websocket.ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

--- A request as a client sends it; fields change or (false) take out its own.
function websocket.request(fields, first)
  local all = {
    Host = "127.0.0.1", Upgrade = "websocket", Connection = "Upgrade",
    ["Sec-WebSocket-Key"] = websocket.KEY, ["Sec-WebSocket-Version"] = "13",
  }
  for name, value in pairs(fields or {}) do all[name] = value end
  local lines = { first or "GET / HTTP/1.1" }
  for name, value in pairs(all) do
    if value then lines[#lines + 1] = name .. ": " .. value end
  end
  return table.concat(lines, "\r\n") .. "\r\n\r\n"
end

--- One frame. opts: { fin = false, mask = false, rsv = bits, key = 4 bytes, long = true }
function websocket.frame(opcode, payload, opts)
  opts = opts or {}
  local masked = opts.mask ~= false
  local head = { (opts.fin == false and 0 or 128) + (opts.rsv or 0) + opcode }
  local bits, n = masked and 128 or 0, #payload
  if n < 126 and not opts.long then
    head[2] = bits + n
  elseif n < 65536 and not opts.long then
    head[2], head[3], head[4] = bits + 126, math.floor(n / 256), n % 256
  else
    head[2] = bits + 127
    for i = 7, 0, -1 do head[#head + 1] = math.floor(n / 256 ^ i) % 256 end
  end
  local text = string.char(unpack(head))
  if not masked then return text .. payload end
  local key = opts.key or "\1\2\3\4"
  local out = {}
  for i = 1, n do out[i] = string.char(bit.bxor(payload:byte(i), key:byte((i - 1) % 4 + 1))) end
  return text .. key .. table.concat(out)
end

--- A close frame's payload.
function websocket.reason(code, text) return string.char(math.floor(code / 256), code % 256) .. (text or "") end

local function unmask(payload, key)
  local out = {}
  for i = 1, #payload do out[i] = string.char(bit.bxor(payload:byte(i), key:byte((i - 1) % 4 + 1))) end
  return table.concat(out)
end

--- Bytes until there are n of them; nil when the other side closes.
function Peer:need(n)
  while #self.rest < n do
    local more, how = self.socket:receive "."
    self.rest = self.rest .. more
    if more == "" and how then return nil end
  end
  return true
end

function Peer:take(n)
  local text = self.rest:sub(1, n)
  self.rest = self.rest:sub(n + 1)
  return text
end

--- The next frame: opcode, payload, whether it was masked and final; nil when the other side closes.
function Peer:receive()
  if not self:need(2) then return nil end
  local a, b = self:take(2):byte(1, 2)
  local n, masked = b % 128, b >= 128
  local more = n == 126 and 2 or n == 127 and 8 or 0
  if more > 0 then
    if not self:need(more) then return nil end
    n = 0
    for _, byte in ipairs { self:take(more):byte(1, more) } do n = n * 256 + byte end
  end
  if not self:need(n + (masked and 4 or 0)) then return nil end
  local key = masked and self:take(4)
  local payload = self:take(n)
  return a % 16, key and unmask(payload, key) or payload, masked, a >= 128
end

--- Send a frame; as servers do where we are one.
function Peer:send(opcode, payload, opts)
  opts = opts or {}
  if opts.mask == nil then opts.mask = not self.server end
  return self.socket:send(websocket.frame(opcode, payload, opts))
end

function Peer:close() self.socket:close() end

--- Close in order: the code that the other side answers, and true when it ends the connection then.
function Peer:shut(code)
  self:send(8, websocket.reason(code))
  while true do
    local opcode, payload = self:receive()
    if not opcode then return nil end
    if opcode == 8 then
      self.socket:finish()
      return payload:byte(1) * 256 + payload:byte(2), self:receive() == nil
    end
  end
end

local function peer(s, rest, server) return setmetatable({ socket = s, rest = rest or "", server = server }, Peer) end

--- Connect, and be accepted. Returns the peer and the answer.
function websocket.connect(port, fields, first)
  local s = socket.connect(port)
  s:send(websocket.request(fields, first))
  local answer = s:receive "\r\n\r\n"
  local head, rest = answer:match "^(.-\r\n\r\n)(.*)$"
  if not head then error("no answer: " .. answer, 2) end
  return peer(s, rest), head
end

--- Take the next connection of a listening socket in. Returns the peer and the request.
function websocket.accept(listener, fields)
  local s = listener:accept()
  local request = s:receive "\r\n\r\n"
  local key = request:match "Sec%-WebSocket%-Key: (%S+)"
  s:send(websocket.answer(key, fields))
  return peer(s, "", true), request
end

--- Base64 of the SHA-1 of a key, by openssl.
function websocket.accepted(key)
  local pipe = assert(io.popen(("printf %%s '%s258EAFA5-E914-47DA-95CA-C5AB0DC85B11' | openssl sha1 -binary | base64")
    :format(key)))
  local text = pipe:read "*l"
  pipe:close()
  return text
end

function websocket.answer(key, fields)
  local all = {
    Upgrade = "websocket", Connection = "Upgrade", ["Sec-WebSocket-Accept"] = websocket.accepted(key),
  }
  for name, value in pairs(fields or {}) do all[name] = value end
  local lines = { "HTTP/1.1 101 Switching Protocols" }
  for name, value in pairs(all) do
    if value then lines[#lines + 1] = name .. ": " .. value end
  end
  return table.concat(lines, "\r\n") .. "\r\n\r\n"
end

websocket.eventually, websocket.quietly = serving.eventually, serving.quietly

return websocket
