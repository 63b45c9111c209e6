--- tideway.confined -- what Lua's own functions are in a worker's thread.
--
-- The process is not a worker's to end, and its standard output is shared: what one call of print or
-- io.write gives stays in one piece.
jit.off(true, true)

local confined = {}

local function text_of(separator, ...)
  local list = { ... }
  for i = 1, select("#", ...) do list[i] = tostring(list[i]) end
  return table.concat(list, separator)
end

local function exit() error("os.exit: cannot be called in a worker", 2) end

local function say(...) io.stdout:write(text_of("\t", ...) .. "\n") end

local function write(given)
  return function(...)
    for i = 1, select("#", ...) do
      local kind = type((select(i, ...)))
      if kind ~= "string" and kind ~= "number" then return given(...) end -- which says what is wrong
    end
    return given(text_of("", ...))
  end
end

--- Put them in place of Lua's own, before functions that name them are copied into this state.
function confined.install()
  os.exit = exit -- luacheck: ignore
  print = say -- luacheck: ignore
  io.write = write(io.write) -- luacheck: ignore
end

return confined
