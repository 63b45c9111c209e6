--- tideway.standin -- references of elements that are in another thread.
--
-- In a worker of a scatter each element with metadata has a stand-in: the reference in the first entry
-- of what came of its metadata (hidden, when there is no entry). It goes where the metadata goes, so that
-- operators count here who holds the element, and the answers say what the emitter's side has to know of
-- it (tideway.origins, with the rows that are written here).
local sched = require "tideway.sched"

local standin = {}

local MANY = 1000 -- stand-ins that are kept before any are looked for that nobody has

local Standin = {}
Standin.__index = Standin

--- A row of the next answer.
local function row_of(W, what)
  local notes = W.notes
  if not notes then
    notes = {}
    W.notes = notes
  end
  local row = notes[what]
  if not row then
    row = {}
    notes[what] = row
  end
  return row
end

local function note(W, what, x)
  local row = row_of(W, what)
  row[#row + 1] = x
end

local function note_two(W, what, x, y)
  local row = row_of(W, what)
  local n = #row
  row[n + 1], row[n + 2] = x, y
end

function Standin:retain(n) self.holders = self.holders + (n or 1) end

function Standin:release(n)
  self.holders = self.holders - (n or 1)
  if self.holders > 0 or not self.kept then return end
  local W = self.W
  self.kept = false
  W.kept[self.number], W.known[self.number], W.keeps = nil, nil, W.keeps - 1
  note_two(W, "done", W.at, self.number)
  if not W.reader.p then W.speak(W) end
end

function Standin:failed()
  local W = self.W
  if W.at_hand ~= self then note_two(W, "failed", W.at, self.number) end
end

--- How many holders there are here.
function Standin:count() return self.holders end

--- Put a reference with a number into the metadata that came with an element.
function standin.place(list, ref)
  if list[1] then list[1].ref = ref else list.hidden = { { ref = ref } } end
  return list
end

--- A stand-in for the element with this number, in the metadata that came with it.
function standin.new(W, number, list)
  local self = setmetatable({ W = W, number = number, holders = 0, kept = false }, Standin)
  standin.place(list, self)
  return self
end

--- Those that nobody has any more, so that nobody will release them: what failed, what was dropped.
local function look_for_lost(W)
  for number in pairs(W.kept) do
    if not W.known[number] then
      W.kept[number], W.keeps = nil, W.keeps - 1
      note(W, "lost", number)
    end
  end
  W.scan_at = math.max(MANY, 2 * W.keeps)
end
jit.off(look_for_lost)

--- The element at hand is through here, or (failed) its delivery has ended and holds it for ever. Who else
-- does will release it.
function standin.through(W, self, failed)
  if self.holders == (failed and 1 or 0) then return end
  note(W, "kept", W.at)
  self.kept = true
  W.kept[self.number], W.known[self.number], W.keeps = true, self, W.keeps + 1
  if W.keeps > W.scan_at then look_for_lost(W) end
end

--- Write the numbers in a list behind what is in a row.
local function numbers(row, list, deep)
  for i = 1, #list do
    local ref = list[i].ref
    if ref and ref.number then row[#row + 1] = ref.number end
  end
  if deep and list.hidden then numbers(row, list.hidden, true) end
end

local function write(row, list)
  local at = #row + 1
  row[at] = 0
  if list then numbers(row, list, false) end
  row[at] = #row - at
  at = #row + 1
  row[at] = 0
  if list and list.hidden then numbers(row, list.hidden, true) end
  row[at] = #row - at
  return row
end

--- A result has this metadata (nil: none), which is not that of its element.
function standin.result(W, number, list)
  local row = row_of(W, "lists")
  row[#row + 1] = number
  write(row, list)
end

--- The metadata of a letter as it is sent, nil when it is its element's own.
function standin.letter(list, own)
  if list == own then return nil end
  return write({}, list)
end

--- What a worker W has to know of them. speak: its function (W): there is something to be told
function standin.state(W, speak)
  W.speak = speak
  W.own, W.at_hand = nil, nil -- the metadata of the element at hand, its stand-in
  W.before, W.seen = 0, 0     -- elements that came before those of this parcel; and with them
  W.notes = nil               -- the rows of the next answer
  W.kept, W.keeps, W.scan_at = {}, 0, MANY -- number -> true: what is held here, or was when it was lost
  W.known = setmetatable({}, { __mode = "v" }) -- number -> stand-in
  return W
end

--- The metadata at hand.
function standin.list() return sched.current.metadata end

return standin
