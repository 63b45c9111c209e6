--- tideway.host -- what the program around tideway wants to hear of. The `tideway` command fills it
-- in; elsewhere nothing is said.
return {
  stopping = nil, -- called with the name of the signal that has begun to end the run
  still = nil,    -- called when it has not ended half a second later
}
