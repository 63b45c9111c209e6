--- tideway.view -- strings that were never made: bytes in a native buffer behind a reused object.
--
-- A source or codec keeps one view object and sets its fields for every element:
--
--     local v = view.new()
--     v.ptr, v.len, v.born = slice.ptr, slice.len, epoch[0]     -- for each element
--     v.ptr = nil; view.expire()                                -- when the bytes go away
--
-- A view is valid until the function that got it returns or suspends; after that every method
-- raises. Views of views (`v:sub`) cannot be reached when the bytes go away, so views remember
-- the epoch at which they were born, and `view.expire()` ends all views of this Lua state that
-- did not say born = 0: called after a batch, and by the scheduler when a task suspends.
-- Nothing here allocates, `sub`, `string` and what they return excepted.
local ffi = require "ffi"
local C = require "tideway.ffi"

local tonumber, type, error = tonumber, type, error
local band = require("bit").band
local ffi_string, istype = ffi.string, ffi.istype

local view = {}

local epoch = ffi.new("double[1]", 1)
view.epoch = epoch

--- End the validity of all views that are not born = 0.
function view.expire() epoch[0] = epoch[0] + 1 end

local function invalid()
  error("view: no longer valid (the function that got it has returned or suspended; "
    .. "v:string() gives a copy to keep)", 3)
end

local ctype
local number_out = ffi.new "double[1]"

local function dead(v)
  return v.ptr == nil or (v.born ~= 0 and v.born ~= epoch[0])
end

-- The range i .. j of a string of n bytes, as string.sub understands it: from 1, inclusive.
-- Written so that NaN, too, becomes a place inside.
local function range(n, i, j)
  if i < 0 then i = n + i + 1 end
  if j < 0 then j = n + j + 1 end
  if not (i >= 1) then i = 1 end
  if not (j <= n) then j = n end
  return i, j
end

local function needle_of(name, text)
  if type(text) == "string" then return text end
  if istype(ctype, text) then return text:string() end
  error(("view: %s takes a string, got %s"):format(name, type(text)), 3)
end

local methods = {}

--- Is `text` anywhere in it? Plain, no patterns.
function methods.has(v, text)
  if dead(v) then invalid() end
  if type(text) ~= "string" then text = needle_of("has", text) end
  return C.tw_view_has(v.ptr, v.len, text, #text) ~= 0
end

--- First and last position of `text` at or after `init`, as string.find(s, text, init, true).
function methods.find(v, text, init)
  if dead(v) then invalid() end
  if type(text) ~= "string" then text = needle_of("find", text) end
  local n, from = tonumber(v.len), 0
  if init then
    if init > 0 then from = init - 1 elseif init < 0 then from = n + init end
    if from < 0 then from = 0 elseif from > n then from = n end
  end
  local at = tonumber(C.tw_view_find(v.ptr + from, n - from, text, #text))
  if at < 0 then return nil end
  return from + at + 1, from + at + #text
end

--- The byte at i (default 1; negative from the end), nil outside.
function methods.byte(v, i)
  if dead(v) then invalid() end
  local n = tonumber(v.len)
  i = i or 1
  if i < 0 then i = n + i + 1 end
  if not (i >= 1 and i <= n) then return nil end -- NaN neither
  return (band(v.ptr[i - 1], 255))
end

function methods.starts(v, text)
  if dead(v) then invalid() end
  if type(text) ~= "string" then text = needle_of("starts", text) end
  return v.len >= #text and C.tw_view_same(v.ptr, text, #text) ~= 0
end

function methods.ends(v, text)
  if dead(v) then invalid() end
  if type(text) ~= "string" then text = needle_of("ends", text) end
  local n = #text
  return v.len >= n and C.tw_view_same(v.ptr + (tonumber(v.len) - n), text, n) ~= 0
end

function methods.eq(v, text)
  if dead(v) then invalid() end
  if type(text) ~= "string" then text = needle_of("eq", text) end
  return v.len == #text and C.tw_view_same(v.ptr, text, #text) ~= 0
end

--- The bytes i .. j as a view of its own, valid no longer than this one.
function methods.sub(v, i, j)
  if dead(v) then invalid() end
  i, j = range(tonumber(v.len), i or 1, j or -1)
  if j < i then return ctype(v.ptr, 0, epoch[0]) end
  return ctype(v.ptr + (i - 1), j - i + 1, epoch[0])
end

--- What tonumber gives for the bytes i .. j: a number or nil.
function methods.number(v, i, j)
  if dead(v) then invalid() end
  i, j = range(tonumber(v.len), i or 1, j or -1)
  if j < i then return nil end
  local ptr, n = v.ptr + (i - 1), j - i + 1
  if C.tw_view_number(ptr, n, number_out) ~= 0 then return number_out[0] end
  return (tonumber((ffi_string(ptr, n))))
end

function methods.string(v)
  if dead(v) then invalid() end
  return (ffi_string(v.ptr, v.len))
end

ctype = ffi.metatype("tw_view", {
  __index = methods,
  __len = function(v)
    if dead(v) then invalid() end
    return (tonumber(v.len))
  end,
  __tostring = methods.string,
})
view.ctype = ctype
view.methods = methods

local passed = setmetatable({}, { __mode = "k" }) -- node -> the view object that it passes on

--- Note that a source's node passes on this object as its elements.
function view.passes(node, object) passed[node] = object end

--- The objects that nodes above one (or itself) pass on.
function view.above(node)
  local list = {}
  if next(passed) then
    for _, up in ipairs(require("tideway.graph").above(node)) do list[#list + 1] = passed[up] end
  end
  return list
end

--- Does nobody but decoders see what a source gives? They take a view as well, and the string need not
-- be made.
function view.only_decoded(node)
  for _, down in ipairs(node.downs) do
    if down.kind ~= "decode" or #down.ups > 1 then return false end
  end
  return #node.downs > 0
end

--- A view of nothing yet: its methods raise until its fields are set.
function view.new()
  if not view.made then
    view.made = true
    if view.on_made then view.on_made() end -- from now on waits end the validity of views
  end
  return ctype(nil, 0, 0)
end

--- Is x a view?
function view.is(x) return (istype(ctype, x)) end

--- The string of a view; anything else is given back as it is.
function view.text(x)
  if type(x) ~= "cdata" or not istype(ctype, x) then return x end
  if dead(x) then invalid() end
  return (ffi_string(x.ptr, x.len))
end

return view
