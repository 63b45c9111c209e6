--- tideway.crew -- the copies of a script that `tideway run --workers N` runs: which one this Lua state
-- is, and what it shares with the others (runtime/engine/crew.c). Without --workers it is the only one.
require "tideway.traversal" -- before any module takes `pairs` or `next`

local C = require "tideway.ffi"
local errors = require "tideway.errors"
local ffi = require "ffi"
local key = require "tideway.key"
local null = require "tideway.null"
local view = require "tideway.view"

local share_num, share_bytes = C.tw_share_num, C.tw_share_bytes

local crew = {
  id = 1, count = 1,
  output = nil, -- io.stdout of a copy, which has no descriptor of its own
}

local member -- native; nil where there are no others

-- Keys ----------------------------------------------------------------------------------------

local function share_of_other(x)
  if view.is(x) then return share_bytes(x.ptr, #x, crew.count) end
  if type(x) == "cdata" then
    local k = key.of("owns", x)
    if type(k) == "number" then return share_num(k, crew.count) end
    if tonumber(x) then
      local text = tostring(x):gsub("U?LL$", "")
      return share_bytes(text, #text, crew.count)
    end
  end
  if type(x) == "boolean" or x == null then
    local text = tostring(x)
    return share_bytes(text, #text, crew.count)
  end
  error(("owns: a key must be a string, a number or a boolean, got %s"):format(
    x == nil and "nil" or "a " .. type(x)), 0)
end

--- Is this key this copy's? It is for exactly one of them; the same in every run.
local function owns(x)
  if type(x) == "string" then return share_bytes(x, #x, crew.count) == crew.id - 1 end
  if type(x) == "number" then
    if x ~= x then error("owns: NaN cannot be a key", 0) end
    return share_num(x, crew.count) == crew.id - 1
  end
  return share_of_other(x) == crew.id - 1
end
crew.owns = owns

--- What scripts see as tw.worker.
crew.worker = { id = 1, count = 1, owns = owns }

--- This state works for copy `id` of `count`.
function crew.be(id, count)
  crew.id, crew.count = id, count
  crew.worker.id, crew.worker.count = id, count
end

--- This state is copy `id` of `count`. native: its tw_member *.
function crew.join(native, id, count)
  require "tideway.declare" ("metrics", "crew")
  member = ffi.cast("tw_member *", native)
  crew.output = io.stdout
  crew.be(id, count)
end

--- Are there other copies?
function crew.divided() return crew.count > 1 end

-- What is shared ------------------------------------------------------------------------------

local function has(owner, what)
  if owner < 0 then error("tideway: no memory", 0) end
  if owner ~= crew.id then
    errors.misuse("%s: worker %d has it; with --workers each copy needs one of its own: make it with tw.worker.id",
      what, owner)
  end
end

--- Raise, at the user's line, unless this copy is the only one that writes the file.
-- op  who asks
function crew.claim_file(op, path)
  if member then has(C.tw_member_claim_path(member, path), ("%s: %s"):format(op, path)) end
end

--- The same of a name that only one client of a broker can have.
function crew.claim_name(op, what, name)
  if member then
    has(C.tw_member_claim(member, what .. " " .. name), ("%s: %s %q"):format(op, what, name))
  end
end

--- The text that the first copy has given for a name: `text`, if this is the first.
function crew.agree(name, text)
  if not member then return text end
  local agreed = ffi.new "tw_slice[1]"
  if C.tw_member_agree(member, name, text, #text, agreed) ~= 0 then error("tideway: no memory", 0) end
  return ffi.string(agreed[0].ptr, agreed[0].len)
end

-- The end -------------------------------------------------------------------------------------

--- Why the copies are to stop: the name of a signal, "failure", or nil.
function crew.reason()
  local reason = C.tw_member_reason(member)
  return reason ~= nil and ffi.string(reason) or nil
end

--- Have the loop report the id that this returns when the copies are to stop, while watched.
function crew.attach(loop)
  local id = C.tw_member_attach(member, loop)
  if id == 0 then error("tideway: no memory", 0) end
  return id
end
function crew.watch(on) C.tw_member_watch(member, on and 1 or 0) end

-- Counts --------------------------------------------------------------------------------------

--- What all copies have counted (tideway.metrics): native.
function crew.metrics() return C.tw_member_metrics(member) end

--- Is this copy to count?
function crew.counts() return C.tw_metrics_wanted(C.tw_member_metrics(member)) ~= 0 end

--- All copies are to count.
function crew.count_all()
  if not crew.counts() then C.tw_member_want(member) end
end

--- End this copy at once.
function crew.exit(status) C.tw_member_exit(member, status) end

--- Is this state one of several copies, or run as such?
function crew.joined() return member ~= nil end

return crew
