--- support.ledger -- counters of references that know how often they called back.
local ledger = {}

--- A counter and how often its callback ran.
function ledger.counted(initial)
  local ref = { fired = 0 }
  ref.counter = require("tideway").ref_counter {
    initial = initial or 0,
    callback = function() ref.fired = ref.fired + 1 end,
  }
  return ref
end

--- new: never retained; held: retained; done: came to zero and said so once. Else what is wrong.
function ledger.state(ref)
  local count = ref.counter:count()
  if count == 0 and ref.fired == 1 then return "done" end
  if count == 0 and ref.fired == 0 then return "new" end
  if count > 0 and ref.fired == 0 then return "held" end
  return ("count %d, fired %d"):format(count, ref.fired)
end

return ledger
