--- websocket: a chat server in one process: what any client says goes to all that listen. Browsers
-- would connect with new WebSocket("ws://..."); here three clients are streams of this program.
local tw = require "tideway"

-- The server: messages in on one port, out to everybody on another. Port 0: one that is free.
local said = tw.from_websocket(0)
local heard = said
  :take(4) -- only here: then the server goes
  :json()
  :filter(function(message) return message.text ~= "" end)
  :map(function(message) return message.who .. ": " .. message.text end)
  :to_websocket(0, { min_clients = 2 }) -- only here: so that both see everything

-- Two that listen.
local names, lines = { "ann", "bob" }, {}
for _, name in ipairs(names) do
  lines[name] = tw.from_websocket("ws://127.0.0.1:" .. heard:port()):sink_to_list()
end

-- One that speaks.
tw.from_iterable { "hello", "", "is anybody there?", "bye" }
  :map(function(text) return { who = "eve", text = text } end)
  :encode("json")
  :to_websocket("ws://127.0.0.1:" .. said:port())

tw.run()
for _, name in ipairs(names) do print(name .. " has heard: " .. table.concat(lines[name], " / ")) end
