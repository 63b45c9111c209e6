--- tideway.host -- what the program around tideway wants to hear of, and what it decides. The
-- `tideway` command, a C host (tideway.embed) and nginx fill it in; by themselves
-- programs hear of errors on standard error, and nothing else.
local host = {
  stopping = nil, -- called with the name of the signal that has begun to end the run
  still = nil,    -- called when it has not ended half a second later
  runs = nil,     -- text: how the host runs the loop; then tw.run is a misuse
  failed = nil,   -- called with an input's node and the error of one of its elements: the input goes on
}

--- Say a line that nobody asked for: a client was let go, a request failed.
function host.say(line) io.stderr:write(line, "\n") end

return host
