--- bench.tables.mqtt -- MQTT in and out with QoS 1, beside C on libmosquitto and paho-mqtt.
--
-- A mosquitto of its own for each measurement, on the same cores.
local harness = require "harness"

local number, quote, median = harness.number, harness.quote, harness.median

local N = 30000
local C, PAHO, OURS = "C, libmosquitto", "paho-mqtt", "tideway"
local ROWS = {
  { C, "read" }, { PAHO, "read" }, { OURS, "read", { [1] = 1, [2] = 0.33 } },
  { C, "write" }, { PAHO, "write" }, { OURS, "write", { [4] = 1, [5] = 0.33 } },
}

-- $1: the folder, $2: the command, with PORT for the port; $3: how many messages are kept for it.
local SCRIPT = [[
PATH=$PATH:/usr/sbin
port=$((20000 + $$ % 10000))
printf 'listener %s 127.0.0.1\nallow_anonymous true\nmax_queued_messages 0\n' $port > "$1/conf"
echo max_inflight_messages 1000 >> "$1/conf"
mosquitto -c "$1/conf" > /dev/null 2>&1 &
broker=$!
trap 'kill $broker' EXIT
until mosquitto_sub -p $port -i bench -c -q 1 -t bench -E 2> /dev/null; do
  kill -0 $broker 2> /dev/null || exit 1
  sleep 0.1
done
yes xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx |
  head -n "$3" | mosquitto_pub -p $port -q 1 -l -t bench
eval "$(echo "$2" | sed "s/PORT/$port/")"
]]

local function command_of(settings, row)
  local words = ("%s PORT %d 2> /dev/null"):format(row[2], N)
  if row[1] == C then return ("timeout 60 %s/mqtt %s"):format(settings.build, words) end
  if row[1] == OURS then return ("%s%s/bench/mqtt.lua %s"):format(settings.ours, settings.root, words) end
  return ("timeout 60 %s %s/bench/peers/mqtt_paho.py %s"):format(settings.python, settings.root, words)
end

local function measure(settings)
  local dir = harness.capture "mktemp -d /tmp/tideway-bench.XXXXXX"
  local seen = {}
  for _ = 1, settings.rounds do
    for i, row in ipairs(ROWS) do
      if row[1]:find(settings.match, 1, true) and (row[1] == OURS or not settings.only_ours) then
        local text = harness.capture(("sh -c %s sh %s %s %d"):format(quote(SCRIPT), quote(dir),
          quote(command_of(settings, row)), row[2] == "read" and N or 1))
        local rate, cpu = (text or ""):match "^(%S+)\t(%S+)"
        seen[i] = seen[i] or { rate = {}, cpu = {} }
        if rate then
          table.insert(seen[i].rate, tonumber(rate))
          table.insert(seen[i].cpu, tonumber(cpu))
        end
      end
    end
  end
  os.execute("rm -rf " .. quote(dir))
  return seen
end

--- The CPU of a row beside others': goals are by their numbers.
local function judge(row, figures, seen)
  local beside, missed = {}, #figures.cpu == 0
  for other = 1, #ROWS do
    local goal, theirs = row[3] and row[3][other], seen[other] and seen[other].cpu
    if goal and not missed and theirs and #theirs > 0 then
      local ratio = median(figures.cpu) / median(theirs)
      beside[#beside + 1] = ("%s x %s (<= %g)"):format(number(ratio), ROWS[other][1], goal)
      missed = missed or ratio > goal
    end
  end
  return table.concat(beside, "; "), missed and "missed" or #beside > 0 and "ok" or ""
end

return function(settings)
  local seen = measure(settings)
  local lines = { { "what", "k messages/s", "CPU, ns a message", "beside", "reached" } }
  for i, row in ipairs(ROWS) do
    local figures = seen[i]
    if figures then
      local beside, reached = judge(row, figures, seen)
      local some = #figures.rate > 0
      lines[#lines + 1] = {
        ("%s, %s"):format(row[1], row[2]), some and number(median(figures.rate)) or "-",
        some and number(median(figures.cpu)) or "-", beside, reached,
      }
    end
  end
  return harness.markdown("MQTT", ("Messages of 100 bytes, QoS 1: %d read that the broker has kept, or written "
    .. "until all are acknowledged. The broker is mosquitto, on the same cores."):format(N), lines)
end
