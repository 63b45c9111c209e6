--- tideway.section -- what stands between a scatter and its gathers.
--
-- The nodes there (`node.section`) are part of the graph as all others, but nothing is compiled of
-- them: the scatter gives its elements to worker threads, each of which builds them once more from the
-- section's *plan*, and the gathers emit what comes back (tideway.lanes, tideway.worker).
jit.off(true, true)

local check = require "tideway.check"
local errors = require "tideway.errors"
local graph = require "tideway.graph"
local ship = require "tideway.ship"

local misuse = errors.misuse

local section = {}

-- What may stand there. FREE: each element by itself, on any worker. STATE: what comes out depends on
-- what came before, so that equal keys must go to one worker, or all to one. LATER: the same as FREE,
-- but what comes out comes later. WINDOW: how many elements are in flight. PACE: not in the workers,
-- but behind the gather, as it is about the order of all.
local FREE, STATE, LATER, WINDOW, PACE = 1, 2, 3, 4, 5
local RULES = {
  map = FREE, starmap = FREE, filter = FREE, remove = FREE, filter_map = FREE, flat_map = FREE, flatten = FREE,
  pluck = FREE, tap = FREE, decode = FREE, encode = FREE, to_batch = FREE, union = FREE,
  accumulate = STATE, enumerate = STATE, frequencies = STATE, reduce = STATE, unique = STATE, distinct = STATE,
  partition = STATE, partition_unique = STATE, sliding_window = STATE, take_last = STATE, skip = STATE, slice = STATE,
  zip = STATE, combine_latest = STATE, zip_latest = STATE,
  to_dataframe = FREE, columns = FREE, frames = FREE, -- of dataframes, what is about one frame
  map_async = LATER,
  buffer = WINDOW, rate_limit = PACE, delay = PACE,
}

--- A section, of a scatter's node.
function section.new(node, workers, keyed)
  return {
    scatter = node, workers = workers, keyed = keyed,
    members = {}, -- in the order in which they were built
    gathers = {},
    window = nil, -- elements in flight, where a buffer says so
    later = nil,  -- a member whose results come later
    state = nil,  -- a member that has a state
    version = 0,  -- counts its changes
  }
end

--- Its operator, as errors name it.
local function kind_of(node) return node.desc.kind or node.desc.name end

--- What the members say of the whole.
local function survey(S)
  S.window, S.later, S.state = nil, nil, nil
  for _, node in ipairs(S.members) do
    local rule = RULES[kind_of(node)]
    if rule == WINDOW then S.window = (S.window or 0) + node.args.n end
    if rule == LATER then S.later = S.later or node end
    if rule == STATE then S.state = S.state or node end
  end
end

--- Does a node in a section only say how many elements are in flight? In the workers it is left out.
function section.is_window(node) return node.section ~= nil and RULES[kind_of(node)] == WINDOW end

--- The workers build another one, from the next element on.
local function changed(S)
  survey(S)
  S.version = S.version + 1
  S.scatter.state.full = 0
end

local function check_member(S, node)
  local rule, kind = RULES[kind_of(node)], kind_of(node)
  if node.desc.sink or node.desc.open then
    misuse("%s: what is between scatter and gather runs in other threads; put gather() before it", kind)
  elseif not rule then
    misuse("%s: cannot stand between scatter and gather; put it after gather()", kind)
  elseif rule == STATE and not S.keyed and S.workers ~= 1 then
    misuse("%s: each worker would have a state of its own: give scatter a key, {key = fn}, so that equal keys "
      .. "come to the same worker, or one worker, {workers = 1}", kind)
  end
  for _, up in ipairs(node.ups) do
    if up.section and RULES[kind_of(up)] == PACE and rule ~= PACE then
      misuse("%s: %s is about the order of all elements, so between scatter and gather it must come last",
        kind, kind_of(up))
    end
  end
  return rule
end

--- Its settings as the workers get them.
local function options(node)
  local travels = node.desc.travels
  return travels and travels(node) or node.opts
end

--- Raise unless what a node was given can go to the workers.
local function check_luggage(node)
  local kind = kind_of(node)
  for _, given in ipairs { node.args, node.extra, options(node) } do
    for _, x in pairs(given) do
      local ok, err = pcall(ship.check, x, kind)
      if not ok then misuse("%s", err) end
    end
  end
end

local function admit(S, node)
  local rule = check_member(S, node)
  local state, later = rule == STATE and node or S.state, rule == LATER and node or S.later
  if state and later then
    misuse("%s: between scatter and gather there cannot be both %s, which keeps a state, and %s, whose results come "
      .. "later", kind_of(node), kind_of(state), kind_of(later))
  end
  if rule ~= PACE and not node.args.ports then check_luggage(node) end
  node.section = S
  S.members[#S.members + 1] = node
  changed(S)
end

--- `down` is about to be below `up` (both are connected already). Raises where it cannot.
function section.join(up, down)
  local S = up.section
  local scatter = down.section and down.section.scatter == down
  if scatter and not S then return end -- it begins here
  if S and down.desc.name == "gather" then
    if down.gathers and down.gathers ~= S then misuse "gather: its streams come from two different scatters" end
    down.gathers = S
    if not graph.index_of(S.gathers, down) then S.gathers[#S.gathers + 1] = down end
    changed(S)
    return
  end
  for _, other in ipairs(down.ups) do
    if other.section ~= S then
      misuse("%s: one of its streams is between scatter and gather, and another is not", kind_of(down))
    end
  end
  if not S then
    misuse("connect: %s is between scatter and gather, and %s is not", tostring(down), tostring(up))
  end
  if graph.on_cycle(down) then misuse("%s: there cannot be a ring between scatter and gather", kind_of(down)) end
  if down.section and not scatter then
    changed(S)
  else
    admit(S, down)
  end
end

--- Take a node out of a list.
local function drop(list, node)
  local i = graph.index_of(list, node)
  if i then table.remove(list, i) end
end

--- A node has lost a stream above it, perhaps the last one.
function section.leave(node)
  local S = node.section or node.gathers
  if not node.ups[1] then
    drop(S.members, node)
    drop(S.gathers, node)
    local below = node.out_region
    if below and below.busy then below.attention = true end -- the batch that it is emitting ends
  end
  changed(S)
end

--- Is the gather (still) one of the section's?
function section.has(S, gather) return graph.index_of(S.gathers, gather) ~= nil end

--- What is to be gathered of a stream: the node below which the gather goes, and those at the end
-- that then come after it (rate_limit, delay), first to last.
function section.tail(node)
  local after = {}
  while node.section and RULES[kind_of(node)] == PACE and node ~= node.section.scatter do
    table.insert(after, 1, node)
    node = node.ups[1]
  end
  return node, after
end

--- Let the nodes of a tail be ordinary ones.
function section.release(nodes)
  for _, node in ipairs(nodes) do
    drop(node.section.members, node)
    changed(node.section)
    node.section = nil
  end
end

-- The plan ----------------------------------------------------------------------------------------

--- Is the node needed for a gather?
local function leads(S, node, known)
  if known[node] == nil then
    known[node] = false
    for _, down in ipairs(node.downs) do
      if down.gathers == S or down.section == S and leads(S, down, known) then known[node] = true end
    end
  end
  return known[node]
end

--- Members in an order in which each comes after those above it.
local function sorted(S)
  local list, place, known = {}, { [S.scatter] = 0 }, {}
  local function visit(node)
    if place[node] then return end
    for _, up in ipairs(node.ups) do visit(up) end
    list[#list + 1] = node
    place[node] = #list
  end
  for _, node in ipairs(S.members) do
    if leads(S, node, known) then visit(node) end
  end
  return list, place
end

--- The policy in force above a node, as far as it is the section's matter: in the inner form, a stream
-- as a number into `letters`.
local function policy_of(policy, letters)
  if type(policy) ~= "table" then return policy end
  if not check.is_stream(policy) then
    return { retry = policy.retry, backoff = policy.backoff, next = policy_of(policy.next, letters) }
  end
  letters[#letters + 1] = policy
  return { letter = #letters }
end

local function ups_of(node, place)
  local ups = {}
  for i, up in ipairs(node.ups) do ups[i] = place[up] end
  return ups
end

--- The ports of a join with the nodes as their places.
local function ports_of(args, place)
  local ports = {}
  for i, port in ipairs(args.ports) do
    ports[i] = port.up and { up = place[port.up] } or { literal = port.literal }
  end
  return { ports = ports, n = args.n }
end

--- What a worker needs to build the section: plain data and functions, for ship.pack.
-- Returns it, the members in its order, and the streams that its policies name.
function section.plan(S)
  local list, place = sorted(S)
  local letters, nodes, gathers = {}, {}, {}
  for i, node in ipairs(list) do
    nodes[i] = {
      op = kind_of(node), kind = node.kind, ups = ups_of(node, place), where = node.where, name = node.name,
      skip = section.is_window(node) or nil, policy = policy_of(node.policy, letters),
      args = node.args.ports and ports_of(node.args, place) or node.args,
      extra = node.extra, opts = options(node), desc = node.desc.of_frames and node.desc or nil,
    }
  end
  for i, gather in ipairs(S.gathers) do
    gathers[i] = { ups = ups_of(gather, place), where = gather.where, name = gather.name }
  end
  local above = S.scatter.policy and S.scatter or graph.governor(S.scatter)
  return {
    nodes = nodes, gathers = gathers, later = S.later ~= nil, state = S.state ~= nil,
    where = S.scatter.where, name = S.scatter.name,
    policy = above and policy_of(above.policy, letters),
  }, list, letters
end

return section
