--- generate -- what an installation has besides code, from the descriptors and the manual.
--
--     tideway run bindings/cli/generate.lua man          the man page, tideway.1
--     tideway run bindings/cli/generate.lua annotations  every function, as LuaLS reads it (---@meta)
--     tideway run bindings/cli/generate.lua bash         completion for a shell: bash, zsh, fish
local catalog = require "tideway.catalog"
local docs = require "tideway.docs"
local manual = require "tideway.manual"

local lines = {}
local function add(fmt, ...) lines[#lines + 1] = select("#", ...) > 0 and fmt:format(...) or fmt end

local function trim(text) return (text:gsub("^%s+", ""):gsub("%s+$", "")) end

local COMMANDS = { "run", "eval", "check", "test", "help", "version" }

--- The lines of the usage text: command, what it does.
local function summaries()
  local list = {}
  for command, text in manual.usage:gmatch "\n  tideway (%l+)[^\n]-  +([^\n]+)" do list[command] = text end
  return list
end

--- All names that `tideway help` knows, sorted.
local function names()
  local seen, list = {}, {}
  local function note(name)
    if not seen[name] then list[#list + 1] = name end
    seen[name] = true
  end
  for _, row in ipairs(docs.kinds) do
    for _, name in ipairs(catalog[row[1]]) do note(name) end
  end
  for name in pairs(catalog.alias) do note(name) end
  for name in pairs(manual.topics) do note(name) end
  table.sort(list)
  return list
end

-- The man page --------------------------------------------------------------------------------

--- Text for troff: nothing in it is a request or an escape.
local function roff(text)
  return (text:gsub("\\", "\\e"):gsub("%-", "\\-"):gsub("\n([.'])", "\n\\&%1"):gsub("^([.'])", "\\&%1"))
end

--- Paragraphs; what is indented stands as it is.
local function body(text)
  local literal = false
  for line in (trim(text) .. "\n"):gmatch "([^\n]*)\n" do
    local indented = line:find "^  "
    if indented and not literal then add ".PP\n.EX" elseif literal and not indented and line ~= "" then add ".EE" end
    literal = indented or literal and line == ""
    add("%s", line == "" and (literal and "" or ".PP") or roff(line))
  end
  if literal then add ".EE" end
end

local function man()
  add('.TH TIDEWAY 1 "" "tideway %s" "User Commands"', require("tideway").version)
  add ".SH NAME\ntideway \\- run stream pipelines written in Lua"
  add ".SH SYNOPSIS"
  for _, command in ipairs(COMMANDS) do
    local call = manual.pages[command]:match "^tideway [^\n]+"
    add(".B tideway\n%s\n.br", roff((call:gsub("^tideway ", ""))))
  end
  add ".SH DESCRIPTION"
  body [[
tideway runs Lua scripts that build stream pipelines: sources (files, sockets, HTTP, Kafka), operators (windows,
joins, aggregates, dataframes) and sinks. Functions are the script's own, compiled by LuaJIT together with the
operators around them; bytes, windows, sockets and buffers are native.]]
  add ".SH COMMANDS"
  for _, command in ipairs(COMMANDS) do
    local page = manual.pages[command]
    add(".SS %s", roff(page:match "^[^\n]+"))
    body((page:gsub("^[^\n]+\n", "")))
  end
  for _, row in ipairs(docs.kinds) do
    add(".SH %s", row[2]:upper())
    add("%s", roff(table.concat(catalog[row[1]], ", ") .. "."))
    add ".PP"
    add("%s", "\\fBtideway help\\fR \\fINAME\\fR says what each one does.")
  end
  add ".SH EXIT STATUS"
  add "0 done, 1 failed, 2 misuse."
  add ".SH ENVIRONMENT\n.TP\n.B TIDEWAY_ROOT\nA source tree whose modules and library are taken."
  add ".TP\n.B TIDEWAY_LIB\nThe library, libtideway.so, that is taken."
  add ".SH SEE ALSO\n.BR luajit (1),\n.BR awk (1),\n.BR jq (1)"
end

-- Annotations for editors -------------------------------------------------------------------------

local TYPES = {
  ["function"] = "function", field = "string|number", count = "integer", number = "number", string = "string",
  boolean = "boolean", table = "table", stream = "tideway.Stream", duration = "string|number", any = "any",
}

--- A descriptor's type, for LuaLS: its text, and whether it may be left out.
local function type_of(text)
  local optional = text:sub(-1) == "?"
  local parts = {}
  for part in text:gsub("%?$", ""):gmatch "[^|]+" do parts[#parts + 1] = TYPES[trim(part)] or trim(part) end
  return table.concat(parts, "|"), optional
end

local KEYWORDS = { ["end"] = true, ["function"] = true, ["then"] = true, ["repeat"] = true }

local function comment(text)
  for line in (trim(text) .. "\n"):gmatch "([^\n]*)\n" do add("--- %s", line) end
end

--- A text of several lines, on one.
local function flat(text) return (trim(text or ""):gsub("%s*\n%s*", " ")) end

--- The class of a descriptor's settings; its name, nil when it has none.
local function settings_class(desc, kind)
  if type(desc.opts) ~= "table" or #desc.opts == 0 then return type(desc.opts) == "function" and "table" or nil end
  local class = ("tideway.settings.%s"):format(desc.name)
  if kind == "codec" then class = class .. "_codec" end
  add("---@class %s", class)
  for _, row in ipairs(desc.opts) do
    local what, optional = type_of(row[2])
    local name = KEYWORDS[row[1]] and ('["%s"]'):format(row[1]) or row[1]
    add("---@field %s%s %s %s", name, optional and "?" or "", what, flat(row[3]))
  end
  add ""
  return class
end

local RETURNS = { sink_to_list = "table" }

local function annotate(kind, desc, name, owner, separator)
  local class = settings_class(desc, kind)
  comment(desc.doc)
  local params = {}
  for _, row in ipairs(desc.args or {}) do
    if row == "..." then
      add "---@param ... any passed on to the function"
      params[#params + 1] = "..."
    else
      local what, optional = type_of(row[2])
      local param = KEYWORDS[row[1]] and row[1] .. "_" or row[1]
      add("---@param %s%s %s %s", param, optional and "?" or "", what, flat(row[3]))
      params[#params + 1] = param
    end
  end
  if class and params[#params] ~= "..." then
    add("---@param settings? %s", class)
    params[#params + 1] = "settings"
  end
  add("---@return %s", RETURNS[name] or "tideway.Stream")
  add("function %s%s%s(%s) end", owner, separator, name, table.concat(params, ", "))
  add ""
end

local function aliases_of(name)
  local list = { name }
  for alias, target in pairs(catalog.alias) do
    if target == name then list[#list + 1] = alias end
  end
  table.sort(list)
  return list
end

--- What is no operator: "tw.spawn(fn, ...)", "stream:emit(x, metadata?)".
local function topic(call, text)
  local owner, name, params = call:match "^([%w_.]+[.:])([%w_]+)%(([^()]*)%)$"
  if not owner then return end
  local list = {}
  for param in params:gmatch "[^,]+" do
    param = trim(param)
    if not param:find "^[%w_.]+%??$" then param = "settings?" end
    list[#list + 1] = (param:gsub("%?$", ""))
  end
  owner = owner:gsub("^stream:", "Stream:"):gsub("^upstream:", "Stream:"):gsub("^source:", "Stream:")
  if not owner:find "^tw%." and owner ~= "Stream:" then return end
  comment(text)
  for i, param in ipairs(list) do add("---@param %s%s any", param, i > 1 and param ~= "..." and "?" or "") end
  add("function %s%s(%s) end", owner, name, table.concat(list, ", "))
  add ""
end

local function annotations()
  add "---@meta tideway"
  add "-- Written by `make` from tideway's descriptors, for the Lua language server: its setting"
  add "-- workspace.library has to name this file's folder."
  add ""
  add "---@class tideway"
  add "---@field null any the element that stands for JSON's null"
  add "---@field version string"
  add "---@field worker {id: integer, count: integer, owns: fun(key: string|number|boolean): boolean}"
  add "---@field http table"
  add "---@field process table"
  add "---@field testing table"
  add "local tw = {}"
  add ""
  add "---@class tideway.Stream"
  add "local Stream = {}"
  add ""
  add "tw.http, tw.process, tw.testing = {}, {}, {}"
  add ""
  local sorted = {}
  for name in pairs(manual.topics) do sorted[#sorted + 1] = name end
  table.sort(sorted)
  local seen = {}
  for _, name in ipairs(sorted) do
    local row = manual.topics[name]
    if not seen[row[1]] then topic(row[1], row[2]) end
    seen[row[1]] = true
  end
  for _, row in ipairs(docs.kinds) do
    local kind = row[1]
    for _, name in ipairs(catalog[kind]) do
      local desc = docs.descriptor(kind, name)
      for _, alias in ipairs(aliases_of(name)) do
        if kind == "source" then
          annotate(kind, desc, alias, "tw", ".")
        else
          annotate(kind, desc, alias, "Stream", ":")
        end
      end
      if desc.join then annotate(kind, desc, name, "tw", ".") end
    end
  end
  add "return tw"
end

-- Completion ----------------------------------------------------------------------------------

local function bash()
  add "# bash completion for tideway"
  add "_tideway() {"
  add '  local word=${COMP_WORDS[COMP_CWORD]} command=${COMP_WORDS[1]}'
  add '  if [ "$COMP_CWORD" = 1 ]; then'
  add('    COMPREPLY=($(compgen -W "%s -e" -- "$word"))', table.concat(COMMANDS, " "))
  add '  elif [ "$command" = help ]; then'
  add('    COMPREPLY=($(compgen -W "%s %s" -- "$word"))', table.concat(COMMANDS, " "), table.concat(names(), " "))
  add '  elif [ "$command" = test ]; then'
  add '    COMPREPLY=($(compgen -f -- "$word"))'
  add '  elif [ "$command" = run ] && [ "${word#-}" != "$word" ]; then'
  add '    COMPREPLY=($(compgen -W "--workers --help" -- "$word"))'
  add '  elif [ "$command" = run ] || [ "$command" = check ]; then'
  add '    COMPREPLY=($(compgen -d -- "$word") $(compgen -f -X "!*.lua" -- "$word"))'
  add "  fi"
  add "}"
  add "complete -o filenames -F _tideway tideway"
end

local function zsh()
  local texts = summaries()
  add "#compdef tideway"
  add "local -a commands names"
  add "commands=("
  for _, command in ipairs(COMMANDS) do add("  %q", command .. ":" .. texts[command]:gsub(":", ",")) end
  add ")"
  add("names=(%s)", table.concat(names(), " "))
  add "if (( CURRENT == 2 )); then"
  add "  _describe command commands"
  add "else"
  add "  case $words[2] in"
  add "    help) _describe command commands; compadd -a names ;;"
  add "    run) _arguments '--workers=[run so many copies in threads]:number or auto:(auto 2 4 8)' '*:script:_files' ;;"
  add "    check) _files -g '*.lua' ;;"
  add "    test) _files ;;"
  add "  esac"
  add "fi"
end

local function fish()
  local texts = summaries()
  add "complete -c tideway -f"
  for _, command in ipairs(COMMANDS) do
    add("complete -c tideway -n __fish_use_subcommand -a %s -d '%s'", command, (texts[command]:gsub("'", "")))
  end
  add "complete -c tideway -n '__fish_seen_subcommand_from run check test' -F"
  add("complete -c tideway -n '__fish_seen_subcommand_from run' -l workers -x -a 'auto 2 4 8' -d '%s'",
    "run so many copies in threads")
  add("complete -c tideway -n '__fish_seen_subcommand_from help' -a '%s'", table.concat(names(), " "))
end

local what = { man = man, annotations = annotations, bash = bash, zsh = zsh, fish = fish }

if not what[arg[1]] then error("generate: man, annotations, bash, zsh or fish", 0) end
what[arg[1]]()
io.write(table.concat(lines, "\n"), "\n")
