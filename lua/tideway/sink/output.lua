local C = require "tideway.ffi"
local ffi = require "ffi"
local outlet = require "tideway.outlet"
local sched = require "tideway.sched"
local sending = require "tideway.sending"
local view = require "tideway.view"

local istype, ctype = ffi.istype, view.ctype
local TW_OK, TW_AGAIN, TW_EINVAL = C.TW_OK, C.TW_AGAIN, C.TW_EINVAL

--- Wait until the host has taken what is there. One waits for the mailbox, the others for that one.
local function wait(out)
  if out.waiting then return sched.park(out.queue) end
  out.waiting = true
  local ok, err = pcall(sched.wait, out.id)
  out.waiting = false
  while out.queue.first do sched.hand(out.queue) end
  if not ok then error(err, 0) end
end

--- There was no room, or no memory. A view is a text before it waits, as then it ends.
local function put_anew(out, x, status)
  local text = sending.text("output", x)
  while status == TW_AGAIN do
    wait(out)
    status = C.tw_mailbox_put(out.box, text, #text)
  end
  if status == TW_EINVAL then
    error(("output '%s': an element of %d bytes, at most %d fit"):format(out.name, #text, outlet.MAX_BYTES), 0)
  end
  if status ~= TW_OK then error(("output '%s': no memory"):format(out.name), 0) end
end
jit.off(put_anew, true)

local function put(box, x)
  if type(x) == "string" then return C.tw_mailbox_put(box, x, #x) end
  if istype(ctype, x) then return C.tw_mailbox_put(box, x.ptr, #x) end
  local text = sending.text("output", x)
  return C.tw_mailbox_put(box, text, #text)
end

return {
  name = "output",
  doc = [[Give each element, a string, number or view, to the host: a C program that has called
tw_output_listen for this name. The host gets them when the turn is over in which they came; up to
100,000 elements or 16 MB wait for it, then the pipeline does. Several streams may have one output.]],
  args = { { "name", "string" } },
  outputs = "0",
  sink = true,
  example = [[ tw.from_iterable{"a", 1.5}:output("alerts") ]],
  gives = {},

  new = function(node) node.state = outlet.named(node.args.name) end,

  emit = function(b, node, x)
    local out = node.state
    b:effect(node, function(element)
      local status = put(out.box or outlet.open(out), element)
      if status ~= TW_OK then put_anew(out, element, status) end
    end, x)
  end,
}
