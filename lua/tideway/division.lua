--- tideway.division -- which files, and which parts of them, the copies of a script read (`tideway run
-- --workers N`): together each record once.
--
--     more files than copies   file k is read by copy (k - 1) % N + 1
--     fewer                    each plain file is cut into N parts between records; an archive, a pipe, what
--                              cannot be cut, is read by one copy as above
--     standard input           is read by the first copy
--
-- What a script has opened itself, every copy has opened, and reads. All copies go by the list and the
-- sizes that the first one to look has found, as files may grow and come meanwhile.
jit.off(true, true)

local C = require "tideway.declare" "files"
local crew = require "tideway.crew"

local division = {}

division.opts = {
  { "divide", "boolean?", "of `tideway run --workers`: false: every copy reads all of it; default true" },
}

--- Does this copy read standard input?
function division.reads_input() return crew.id == 1 end

--- Is this open file standard input?
function division.is_input(file) return file == "-" or file == io.stdin end

--- Where the copies look at something: a name that is the same in all of them, each time another one.
local function occasion(node, what)
  node.occasions = (node.occasions or 0) + 1
  return ("%s %s %d %d"):format(what, node.kind, node.id, node.occasions)
end

--- Has the delimiter a beginning that is also its end? Then where records end depends on where one begins.
local function overlaps(delimiter)
  for k = 1, #delimiter - 1 do
    if delimiter:sub(1, k) == delimiter:sub(-k) then return true end
  end
  return false
end

local function boundary(op, path, at, delimiter)
  local start = tonumber(C.tw_part_start(path, at, delimiter, #delimiter))
  if start < 0 then error(("%s: %s cannot be read"):format(op, path), 0) end
  return start
end

--- The part of a plain file that is this copy's, or nil: none, or the file cannot be cut.
local function part(node, path, size, delimiter)
  local first = boundary(node.kind, path, math.floor(size * (crew.id - 1) / crew.count), delimiter)
  local stop = crew.id < crew.count
    and boundary(node.kind, path, math.floor(size * crew.id / crew.count), delimiter) or 0
  if stop > 0 and stop <= first or crew.id < crew.count and stop == 0 then return nil end
  return { path = path, start = first, stop = stop }
end

local function split(text)
  local list = {}
  for path in text:gmatch "([^%z]+)%z" do list[#list + 1] = path end
  return list
end

--- What this copy reads of `paths`: an array of paths and of parts, {path =, start =, stop = (0: the end)}.
-- node       the source's
-- delimiter  between records; nil: files are not cut
-- is_plain   function(path): is it no archive?
-- Returns also the agreed list of all paths.
function division.of(node, paths, delimiter, is_plain)
  if not crew.divided() or node.opts.divide == false then return paths, paths end
  paths = split(crew.agree(occasion(node, "files"), table.concat(paths, "\0") .. "\0"))
  local cuts = delimiter and #paths < crew.count and not overlaps(delimiter)
  local mine = {}
  for k, path in ipairs(paths) do
    local size = cuts and is_plain(path) and tonumber(C.tw_part_size(path)) or -1
    if size >= 0 then
      size = tonumber(crew.agree(occasion(node, "size"), ("%d"):format(size)))
      mine[#mine + 1] = part(node, path, size, delimiter)
    elseif (k - 1) % crew.count + 1 == crew.id then
      mine[#mine + 1] = path
    end
  end
  return mine, paths
end

return division
