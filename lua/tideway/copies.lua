--- tideway.copies -- `tideway run --workers N`: the first thread, which starts the copies of the script, has
-- the signals, and waits until all have ended.
jit.off(true, true)

local C = require "tideway.declare" ("metrics", "crew")
local ffi = require "ffi"
local sched = require "tideway.sched"
local signals = require "tideway.signals"

local copies = {}

local FAILED = 1 -- exit status

--- One a core.
function copies.cores() return C.tw_processors() end

--- Serve what the copies count. native: function() -> tw_metrics *. Returns the server, or nil and why not.
local function serve(address, native)
  local metrics = require "tideway.metrics"
  local server, err = require("tideway.exposition").serve(address.host, address.port,
    function() return metrics.read(native()) end)
  if server and address.port == 0 then
    io.stderr:write(("tideway: metrics at http://%s:%d/metrics\n"):format(address.host, server:port()))
  end
  return server, err
end

--- Run `count` copies, each in a thread with a Lua state of its own: require(module)[fn](member, id, count, ...).
-- furnish  the C function that gives a new state its modules (bindings/cli/main.c)
-- words    texts: the further arguments
-- address  { host =, port = } at which their metrics are served; nil: nowhere
-- Returns the exit status.
function copies.run(count, furnish, module, fn, words, address)
  local o, slices = ffi.new "tw_crew_options", ffi.new("tw_slice[?]", math.max(1, #words))
  for i, text in ipairs(words) do slices[i - 1].ptr, slices[i - 1].len = text, #text end
  o.count, o.furnish, o.module, o["function"] = count, furnish, module, fn
  o.words, o.word_count = slices, #words
  local crew, server
  if address then
    local err
    server, err = serve(address, function() return C.tw_crew_metrics(crew) end)
    if not server then
      io.stderr:write("tideway: run: --metrics: ", err, "\n")
      return FAILED
    end
    o.counts = 1
  end
  local function running() return C.tw_crew_running(crew) > 0 end
  signals.take { -- before there are copies: what they have begun is not to be cut off
    begin = function(name) C.tw_crew_stop(crew, name) end,
    under_way = running,
  }
  crew = C.tw_crew_open(sched.loop(), o)
  if crew == nil then
    signals.leave()
    error(("tideway: %d threads cannot be started"):format(count), 0)
  end
  local id = C.tw_crew_id(crew)
  sched.spawn(function()
    while running() do sched.wait(id) end
    if server then server:stop() end
  end)
  sched.run(function() end)
  signals.leave()
  local status = C.tw_crew_status(crew)
  C.tw_crew_close(crew)
  return status
end

return copies
