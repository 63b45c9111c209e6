--- tideway.policy -- what becomes of an element whose user function failed.
--
-- `stream:on_error(policy)` governs everything below the stream, the nearest one above
-- counts. Calls that such a policy governs are made under xpcall in the fused text; the
-- error comes here, and the answer is the results to go on with, or false: the element is
-- dropped for all that it has not yet reached below that stream (below a flatten: the piece).
jit.off(true, true) -- never hot, and traces through it would hold on to graphs (DESIGN.md D5)

local errors = require "tideway.errors"
local graph = require "tideway.graph"
local check = require "tideway.check"
local hold = require "tideway.hold"
local metadata = require "tideway.metadata"
local sched = require "tideway.sched"
local tally = require "tideway.tally"

local policy = {}

local CANCELLED = sched.CANCELLED

local emit -- (stream, x, metadata), of tideway.stream, which needs this module

function policy.uses(deliver) emit = deliver end

local names = { "raise", "skip" }

--- Check a policy when it is set. Returns it in its inner form:
-- "raise", "skip", a stream, or { retry = n, backoff = seconds, next = policy }.
function policy.check(given)
  if given == "raise" or given == "skip" or check.is_stream(given) then return given end
  if type(given) == "string" then
    errors.misuse("on_error: unknown policy %s%s; known: raise, skip, {retry = n}, a stream",
      check.show(given), errors.suggestion(given, names))
  end
  if type(given) ~= "table" then
    errors.misuse('on_error: the policy must be "raise", "skip", {retry = n} or a stream, got %s',
      check.show(given))
  end
  local opts = check.settings("on_error", {
    { "retry", "count" }, { "backoff", "duration?" }, { "then", "any?" },
  }, given)
  local after = opts["then"]
  return {
    retry = opts.retry, backoff = opts.backoff or 0,
    next = after == nil and "raise" or policy.check(after),
  }
end

--- The limits (of timeout) that an element is under in a node stand still: it has failed.
-- Returns them, nil when there are none. Those of streams that are not above the node go on.
local function pause(node)
  local limit = sched.current.limit
  if not limit then return nil end
  local list, above = {}, graph.above(node)
  while limit do
    if graph.index_of(above, limit.node) then
      limit:pause()
      list[#list + 1] = limit
    end
    limit = limit.outer
  end
  return list
end

--- A governed call has failed: what now?
-- node, rule  where, and the policy in force; err  what; element  what the operator was given;
-- fn, ...  the call.
-- Returns true and the results of a further attempt, or false: drop the element. Raises
-- where the policy says so.
function policy.dispose(node, rule, err, element, fn, ...)
  if err == CANCELLED then error(err, 0) end -- nobody's failure
  if tally.on then tally.failed(node) end
  local limits = pause(node)
  while type(rule) == "table" and not check.is_stream(rule) do
    local wait = rule.backoff
    for _ = 1, rule.retry do
      if wait > 0 then sched.sleep(wait) end
      wait = wait * 2
      for _, limit in ipairs(limits or {}) do limit:again() end
      local ok, first, second = xpcall(fn, errors.handler, ...)
      if ok then return true, first, second end
      for _, limit in ipairs(limits or {}) do limit:pause() end
      err = first
      if err == CANCELLED then error(err, 0) end
      if tally.on then tally.failed(node) end
    end
    rule = rule.next
  end
  if rule == "raise" then error(err, 0) end
  node.errors = node.errors + 1
  if rule ~= "skip" then
    -- with the element's metadata: it is done with when the letter is
    local outward = node.desc.outward or hold.keep
    emit(rule, {
      element = outward(element), error = err, operator = tostring(node), metadata = metadata.current(),
    }, sched.current.metadata)
  end
  for _, limit in ipairs(limits or {}) do limit:resume() end
  return false
end

--- Emit a letter that comes from elsewhere (tideway.lanes) into a policy's stream.
function policy.post(handle, letter, list) emit(handle, letter, list) end

--- The same outside fused text. Returns the result, nil when the element is dropped.
function policy.settle(node, rule, err, element, fn, ...)
  local ok, value = policy.dispose(node, rule, err, element, fn, ...)
  return ok and value or nil
end

return policy
