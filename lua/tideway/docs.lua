--- tideway.docs -- reference pages and `tideway help`, from the descriptors.
--
--     luajit lua/tideway/docs.lua            write lua/tideway/{op,source,...}/README.md
--     luajit lua/tideway/docs.lua --check    say which of them are not current, exit status 1
--
-- A page lists the names of one kind in the catalog's order; the same descriptors give the
-- same bytes.
local docs = {}

local as_script = ... ~= "tideway.docs"
if as_script then
  local root = arg[0]:match "^(.*)lua/tideway/docs%.lua$" or "./"
  docs.root = root
  package.path = ("%slua/?.lua;%slua/?/init.lua;%sbindings/ffi/?.lua;"):format(root, root, root)
    .. package.path
  package.cpath = root .. "build/?.so;" .. package.cpath
end

local catalog = require "tideway.catalog"

docs.kinds = {
  { "op", "Operators", "Methods of streams: `stream:NAME(...)` gives a new stream below it." },
  { "source", "Sources", "Functions of the module: `tw.NAME(...)` gives a stream that `tw.run()` starts."
    .. "\nEvery source also takes the settings `start = true` (start at once) and `name`." },
  { "sink", "Sinks", "Methods of streams at which a pipeline ends; a sink keeps all above it alive." },
  { "codec", "Codecs", "Names for `stream:decode(NAME, settings)` and `stream:encode(NAME, settings)`;"
    .. " `stream:NAME(settings)` decodes." },
  { "agg", "Aggregates", "Methods of numeric windows: `stream:sliding_window(n):NAME(...)`." },
}

local legend = [[
Types: `function`, `field` (a key: string or number), `count` (a whole number from 1), `number`,
`string`, `boolean`, `table`, `stream`, `duration` (seconds, or text like `"10ms"` `"2m"`), `any`;
`a|b` is either, `?` may be left out. `...` are further arguments, passed on to the function.
]]
local legend_op = "*Emits* says how many elements leave for one that came.\n"

--- The descriptor of a name of a kind.
function docs.descriptor(kind, name) return require("tideway." .. kind .. "." .. name) end

-- Values as Lua text ------------------------------------------------------------------------

local show

local function show_key(key)
  if type(key) == "string" and key:find "^[%a_][%w_]*$" then return key end
  return "[" .. show(key) .. "]"
end

local function show_table(t)
  local parts, keys = {}, {}
  for i = 1, #t do parts[i] = show(t[i]) end
  for key in pairs(t) do
    if not (type(key) == "number" and key >= 1 and key <= #t and key % 1 == 0) then
      keys[#keys + 1] = key
    end
  end
  table.sort(keys, function(a, b)
    if type(a) == type(b) and type(a) ~= "table" and type(a) ~= "boolean" then return a < b end
    return tostring(a) < tostring(b)
  end)
  for _, key in ipairs(keys) do parts[#parts + 1] = show_key(key) .. " = " .. show(t[key]) end
  return "{" .. table.concat(parts, ", ") .. "}"
end

function show(x)
  if type(x) == "string" then return (("%q"):format(x):gsub("\\\n", "\\n"):gsub("\r", "\\r")) end
  if type(x) == "table" and x == require "tideway.null" then return "tw.null" end
  if type(x) == "table" then return show_table(x) end
  if type(x) == "number" then
    if x ~= x then return "nan" end
    if x == math.huge or x == -math.huge then return x > 0 and "inf" or "-inf" end
    if x % 1 == 0 and math.abs(x) < 1e15 then return ("%d"):format(x) end
    return ("%.10g"):format(x)
  end
  return tostring(x)
end
docs.show = show

--- "--> 2, 4": what an example gives, element by element, or the lines that it prints.
local function results(desc)
  if desc.prints then return (desc.prints:gsub("\n$", ""):gsub("[^\n]+", "--> %0")) end
  local parts = {}
  for i = 1, #desc.gives do parts[i] = show(desc.gives[i]) end
  return "--> " .. (#parts > 0 and table.concat(parts, ", ") or "nothing")
end

-- Descriptors as text -----------------------------------------------------------------------

local function trim(text) return (text:gsub("^%s+", ""):gsub("%s+$", "")) end

--- Text of several indented lines, without their common indentation.
local function dedent(text)
  local least
  for spaces in ("\n" .. text):gmatch "\n( *)[^%s]" do
    if not least or #spaces < #least then least = spaces end
  end
  text = ("\n" .. text):gsub("\n" .. (least or ""), "\n")
  return trim(text)
end

local function has_settings(desc)
  return type(desc.opts) == "function" or desc.opts and #desc.opts > 0
end

--- "filter(pred?, ...)"
local function signature(desc, name)
  local parts = {}
  for i, row in ipairs(desc.args or {}) do
    if row == "..." then
      parts[i] = "..."
    else
      parts[i] = row[1] .. (row[2]:sub(-1) == "?" and "?" or "")
    end
  end
  if has_settings(desc) then parts[#parts + 1] = "{settings}" end
  return ("%s(%s)"):format(name or desc.name, table.concat(parts, ", "))
end

--- How a signature is called: the prefix of its kind.
local prefixes = { op = "stream:", source = "tw.", sink = "stream:", codec = "stream:", agg = "window:" }

local function aliases_of(name)
  local list = {}
  for alias, target in pairs(catalog.alias) do
    if target == name then list[#list + 1] = alias end
  end
  table.sort(list)
  return list
end

local function cell(text) return (trim(text or ""):gsub("%s*\n%s*", " "):gsub("|", "\\|")) end

local function rows(add, title, list)
  if type(list) == "function" then -- of decode and encode
    add "Settings: the codec's own."
    add ""
    return
  end
  add(("| %s | type | |"):format(title))
  add "| --- | --- | --- |"
  for _, row in ipairs(list) do
    if row == "..." then
      add "| `...` | any | passed on to the function |"
    else
      add(("| `%s` | %s | %s |"):format(row[1], cell(row[2]), cell(row[3])))
    end
  end
  add ""
end

local function section(add, kind, desc)
  add(("## %s"):format(desc.name))
  add ""
  add(("`%s%s`"):format(prefixes[kind], signature(desc)))
  local also = aliases_of(desc.name)
  if #also > 0 then add(("also called `%s`"):format(table.concat(also, "`, `"))) end
  add ""
  add(dedent(desc.doc))
  add ""
  if #(desc.args or {}) > 0 then rows(add, "argument", desc.args) end
  if has_settings(desc) then rows(add, "setting", desc.opts) end
  if kind == "op" then
    add(("Emits: %s"):format(desc.outputs))
    add ""
  end
  if desc.example then
    add "```lua"
    add(dedent(desc.example))
    add(results(desc))
    add "```"
    add ""
  end
end

--- The page of a kind, as Markdown.
function docs.page(kind, title, intro)
  local lines = {}
  local function add(line) lines[#lines + 1] = line end
  add(("# %s"):format(title))
  add ""
  add("<!-- Written by `make docs` from the descriptors in this folder; change those. -->")
  add ""
  add(intro)
  add ""
  add(legend .. (kind == "op" and legend_op or ""))
  local names = {}
  for i, name in ipairs(catalog[kind]) do names[i] = ("[%s](#%s)"):format(name, name) end
  add(table.concat(names, " · "))
  add ""
  for _, name in ipairs(catalog[kind]) do section(add, kind, docs.descriptor(kind, name)) end
  return (table.concat(lines, "\n"):gsub("%s+$", "") .. "\n")
end

-- Help --------------------------------------------------------------------------------------

local function help_rows(add, list)
  if type(list) == "function" then return add "  the codec's own" end
  local width = 0
  for _, row in ipairs(list) do
    if row ~= "..." then width = math.max(width, #row[1] + #row[2] + 1) end
  end
  for _, row in ipairs(list) do
    if row == "..." then
      add(("  %-" .. width .. "s  passed on to the function"):format("..."))
    else
      add((("  %-" .. width .. "s  %s"):format(row[1] .. " " .. row[2], cell(row[3]):gsub("\\|", "|"))
        :gsub("%s+$", "")))
    end
  end
end

local function help_one(add, kind, desc)
  add(prefixes[kind] .. signature(desc))
  add ""
  add(dedent(desc.doc))
  add ""
  if #(desc.args or {}) > 0 then
    add "arguments"
    help_rows(add, desc.args)
    add ""
  end
  if has_settings(desc) then
    add "settings"
    help_rows(add, desc.opts)
    add ""
  end
  if desc.example then
    add "example"
    for line in dedent(desc.example):gmatch "[^\n]+" do add("  " .. line) end
    for line in results(desc):gmatch "[^\n]+" do add("  " .. line) end
    add ""
  end
end

--- What `tideway help NAME` prints, or nil when there is no such name.
function docs.help(name)
  name = catalog.alias[name] or name
  local lines = {}
  local function add(line) lines[#lines + 1] = line end
  for _, row in ipairs(docs.kinds) do
    for _, known in ipairs(catalog[row[1]]) do
      if known == name then help_one(add, row[1], docs.descriptor(row[1], name)) end
    end
  end
  return #lines > 0 and table.concat(lines, "\n") or nil
end

-- As a script -------------------------------------------------------------------------------

--- For every kind that has names: its page's path and text.
function docs.pages()
  local pages = {}
  for _, row in ipairs(docs.kinds) do
    local kind, title, intro = row[1], row[2], row[3]
    if #catalog[kind] > 0 then
      pages[#pages + 1] = { "lua/tideway/" .. kind .. "/README.md", docs.page(kind, title, intro) }
    end
  end
  return pages
end

local function read(path)
  local file = io.open(path, "rb")
  local text = file and file:read "*a"
  if file then file:close() end
  return text
end

local function main(option)
  local passed, failed = 0, 0
  for _, page in ipairs(docs.pages()) do
    local path = docs.root .. page[1]
    if read(path) == page[2] then
      passed = passed + 1
    elseif option == "--check" then
      failed = failed + 1
      print(page[1] .. ": not what the descriptors say; run make docs")
    else
      local file = assert(io.open(path, "wb"))
      assert(file:write(page[2]))
      file:close()
      print(page[1])
    end
  end
  if option == "--check" then print(("%d passed, %d failed"):format(passed, failed)) end
  os.exit(failed == 0 and 0 or 1)
end

if as_script then main(...) end

return docs
