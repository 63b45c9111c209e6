--- tideway.outlet -- the outputs to the host, by their names: mailboxes that output(name) fills and
-- the host empties.
jit.off(true, true)

local C = require "tideway.ffi"
local sched = require "tideway.sched"

local outlet = { MAX_RECORDS = 100000, MAX_BYTES = 2 ^ 24 }

local outlets = {} -- name -> outlet

--- The outlet of that name: { name =, box = the mailbox once it is open, id = of it, waiting =, queue = }.
function outlet.named(name)
  local out = outlets[name]
  if not out then
    out = { name = name, waiting = false, queue = sched.queue("output") }
    outlets[name] = out
  end
  return out
end

--- Its mailbox, which lives as long as the loop.
function outlet.open(out)
  if not out.box then
    local box = C.tw_mailbox_open(sched.loop(), outlet.MAX_RECORDS, outlet.MAX_BYTES, C.TW_OUTWARD)
    if box == nil then error("output: no memory", 0) end
    out.box, out.id = box, C.tw_mailbox_id(box)
  end
  return out.box
end

--- The host is gone: what is in them is, too.
function outlet.close_all()
  for name, out in pairs(outlets) do
    if out.box then C.tw_mailbox_close(out.box) end
    out.box = nil
    outlets[name] = nil
  end
end

return outlet
