--- bench.tables.http -- from_http_server under wrk, beside a bare server in C and streamz'.
--
-- wrk has no rate of its own: for half load its connections pause between requests.
local harness = require "harness"

local number = harness.number

local SECONDS, CONNECTIONS, IDLE, PAUSE = 3, 32, 5000, 4 -- PAUSE: ms, on average

--- Figures of one server. command: starts it on the port that is its last argument.
local function measure(settings, command, idle)
  return harness.capture(("%s/bench/tools/http.sh %d %d %d %d %s 2> /dev/null"):format(settings.root, SECONDS,
    CONNECTIONS, PAUSE, idle and IDLE or 0, command))
end

--- "1.23ms", "800.00us" or "1.2s" of wrk in ms.
local function ms(text)
  local value, unit = (text or ""):match "^([%d.]+)(%a+)$"
  return value and tonumber(value) * (({ us = 1e-3, ms = 1, s = 1e3 })[unit] or 0)
end

local function parse(text)
  if not text then return {} end
  local lines = {}
  for line in text:gmatch "[^\n]+" do lines[#lines + 1] = line end
  local rate, cpu, bad = (lines[1] or ""):match "^(%S+) (%S+) (%S+)"
  local late = (lines[2] or ""):match "^(%S+)"
  local base, after = (lines[3] or ""):match "^(%d+) (%d+)"
  return {
    rate = tonumber(rate), cpu = tonumber(cpu), bad = tonumber(bad), late = ms(late),
    idle = after and (tonumber(after) - tonumber(base)) / 1024, all = after and tonumber(after) / 1024,
  }
end

--- Figures of all ways, the medians of rounds in which each has its turn. ways: name -> {command, idle}.
local function measure_all(settings, ways)
  local all, names = {}, { "c", "body", "full", "peer" }
  for _ = 1, settings.rounds do
    for _, name in ipairs(names) do
      all[name] = all[name] or {}
      if name == "body" or name == "full" or not settings.only_ours then
        for key, value in pairs(parse(measure(settings, unpack(ways[name])))) do
          all[name][key] = all[name][key] or {}
          table.insert(all[name][key], value)
        end
      end
    end
  end
  for _, figures in pairs(all) do
    for key, values in pairs(figures) do figures[key] = harness.median(values) end
  end
  return all
end

return function(settings)
  if not harness.capture "command -v wrk" then
    return "## HTTP\n\nwrk is not installed; left out.\n"
  end
  local serve = settings.ours:gsub("timeout 60 ", "") .. settings.root .. "/bench/http.lua"
  -- a round of each in turn: what disturbs one disturbs the others
  local ways = {
    body = { serve, true }, full = { serve .. " full" }, c = { settings.build .. "/http" },
    peer = { ("%s %s/bench/peers/http_streamz.py"):format(settings.python, settings.root) },
  }
  local all = measure_all(settings, ways)
  local body, full, c, peer = all.body, all.full, all.c, all.peer
  local function verdict(value, limit, least)
    if not value then return "does not run" end
    return (least and value >= limit or not least and value <= limit) and "ok" or "missed"
  end
  local function per_core(figures) return figures.cpu and 1e6 / figures.cpu end
  local lines = { { "what", "tideway", "full = true", "C", "streamz", "goal", "" } }
  local function row(name, key, goal, limit, least)
    local function shown(figures)
      local value = type(key) == "function" and key(figures) or type(key) == "string" and figures[key]
      return number(value or nil), value or nil
    end
    local text, value = shown(body)
    lines[#lines + 1] = {
      name, text, (shown(full)), (shown(c)), (shown(peer)), goal or "-", limit and verdict(value, limit, least) or "-",
    }
  end
  row("requests/s, keep-alive", "rate", ">= 30,000", 30000, true)
  row("CPU per request, us", "cpu", c.cpu and "<= 3 times C's", c.cpu and 3 * c.cpu)
  row("requests/s of a core to itself", per_core, ">= 30,000", 30000, true)
  row("99th percentile at half load, ms", "late", "<= 10", 10)
  row(("%d idle connections, MB"):format(IDLE), "idle", "<= 50", 50)
  row("answers other than 200", "bad", "0", 0)
  return harness.markdown("HTTP", ([[
POST of 100 bytes by wrk, %d connections, which shares the %s cores with the server and all else; a pipeline that
counts. C is llhttp on libuv without limits, timeouts or a pipeline (`ceiling/http.c`). Medians of %d rounds of %d s.
%s.]]):format(CONNECTIONS, harness.capture "nproc", settings.rounds,
    SECONDS, harness.place()), lines)
end
