--- bench.harness -- what the tables share: running programs, medians, markdown.
local harness = {}

--- Quote a word for the shell.
function harness.quote(word) return "'" .. tostring(word):gsub("'", "'\\''") .. "'" end

--- Run a shell command; its standard output without the last newline, or nil when it fails.
function harness.capture(command)
  local pipe = assert(io.popen(command .. "; printf '\\n%d' $?", "r"))
  local text = pipe:read "*a"
  pipe:close()
  local out, status = text:match "^(.*)\n(%d+)$"
  if tonumber(status) ~= 0 then return nil, out, tonumber(status) end
  return (out:gsub("\n$", ""))
end

function harness.median(values)
  local sorted = {}
  for i, value in ipairs(values) do sorted[i] = value end
  if #sorted == 0 then return nil end
  table.sort(sorted)
  local middle = math.floor(#sorted / 2)
  return #sorted % 2 == 1 and sorted[middle + 1] or (sorted[middle] + sorted[middle + 1]) / 2
end

--- A number for a reader: three significant digits, thousands without a fraction.
function harness.number(value)
  if not value then return "-" end
  if value >= 100 then return ("%.0f"):format(value) end
  if value >= 10 then return ("%.1f"):format(value) end
  return ("%.2f"):format(value)
end

--- Markdown text: a heading, paragraphs, and a table whose first row names the columns.
function harness.markdown(title, notes, lines)
  local out = { "## " .. title, "", notes, "" }
  for i, cells in ipairs(lines) do
    out[#out + 1] = "| " .. table.concat(cells, " | ") .. " |"
    if i == 1 then
      local rule = { "---" }
      for k = 2, #cells do rule[k] = "---:" end
      out[#out + 1] = "|" .. table.concat(rule, "|") .. "|"
    end
  end
  return table.concat(out, "\n") .. "\n"
end

--- Where this run stands: machine, load, versions.
function harness.place()
  local model = harness.capture "sed -n 's/^model name.*: //p' /proc/cpuinfo | head -1" or "?"
  local load = harness.capture "cut -d' ' -f1 /proc/loadavg" or "?"
  local commit = harness.capture "git rev-parse --short HEAD 2>/dev/null" or "?"
  return ("%s x %s, load %s at the start, %s, commit %s, %s"):format(
    harness.capture "nproc" or "?", model, load, jit.version, commit, os.date "!%Y-%m-%d %H:%MZ")
end

--- How much slower the peers are now than when the limits in ns were set, at least 1.
function harness.pace(settings)
  local python = harness.server(("%s %s/bench/peers/ops_streamz.py 2>/dev/null"):format(
    settings.python, settings.root))
  local ratios = {}
  for name, usual in pairs { ["source.sink"] = 1933, map = 3426, ["accumulate(+)"] = 3429 } do
    local ns = tonumber((python.ask(("time %s\t20000"):format(name)) or ""):match "^[%d.]+")
    if ns then ratios[#ratios + 1] = ns / usual end
  end
  python.close()
  return math.max(1, harness.median(ratios) or 1)
end

--- A program that answers one line for every line it is given.
function harness.server(command)
  local fifo = harness.capture "mktemp -u /tmp/tideway-bench.XXXXXX"
  assert(os.execute("mkfifo " .. fifo))
  local answers = assert(io.popen(command .. " < " .. fifo, "r"))
  local questions = assert(io.open(fifo, "r+")) -- for reading too: never a broken pipe
  questions:setvbuf "line"
  local server = {}
  local gone = false -- the program is missing, or has ended
  function server.ask(line)
    if gone then return nil end
    questions:write(line, "\n")
    local answer = answers:read "*l"
    gone = answer == nil
    return answer
  end
  function server.close()
    questions:close()
    answers:close()
    os.remove(fifo)
  end
  return server
end

return harness
