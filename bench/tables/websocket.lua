--- bench.tables.websocket -- messages of 100 bytes from one end of a WebSocket to the other, each of
-- which is a process of ours or of Python's websockets.
local harness = require "harness"

local number = harness.number

local COUNT, FEW = 1e6, 5e4 -- ours, Python's

return function(settings)
  local ours = ("%stimeout -s KILL 60 %s %s/bench/websocket.lua"):format(settings.env, settings.luajit, settings.root)
  local python = ("timeout -s KILL 60 %s %s/bench/peers/websocket_python.py"):format(settings.python, settings.root)
  local ways = {
    { "Python's websockets to itself", python, python, FEW },
    { "Python's websockets to tideway", python, ours, FEW },
    { "tideway to Python's websockets", ours, python, FEW },
    { "tideway to tideway", ours, ours, COUNT, own = true },
  }
  local lines = { { "what", "messages/s", "CPU to send one, ns", "CPU to take one, ns" } }
  for _, way in ipairs(ways) do
    local rates, sent, taken = {}, {}, {}
    if way[1]:find(settings.match, 1, true) and (way.own or not settings.only_ours) then
      for _ = 1, settings.rounds do
        local text = harness.capture(([[
          exec 3<&1; dir=$(mktemp -d); mkfifo "$dir/port"
          %s take %d > "$dir/port" & exec 4< "$dir/port"; read port <&4
          %s send %d "$port" && cat <&4; rm -r "$dir"]]):format(way[3], way[4], way[2], way[4]))
        local _, sending, rate, taking = (text or ""):match "(%d+) (%d+)%s+(%d+) (%d+)"
        rates[#rates + 1], sent[#sent + 1], taken[#taken + 1] = tonumber(rate), tonumber(sending), tonumber(taking)
      end
      lines[#lines + 1] = #rates == 0 and { way[1], "does not run", "-", "-" } or {
        way[1], number(harness.median(rates)), number(harness.median(sent)), number(harness.median(taken)),
      }
    end
  end
  return harness.markdown("WebSockets", ([[
One connection over loopback, text messages of 100 bytes, both processes on the same cores. What tideway sends is
confirmed by the other end. Medians of %d rounds. %s.]]):format(settings.rounds, harness.place()), lines)
end
