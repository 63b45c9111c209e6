--- A busted output handler: each failure in full, then one line `N passed, N failed`.
return function(options)
  local busted = require "busted"
  local handler = require "busted.outputHandlers.base"()

  handler.suiteEnd = function()
    local function show(kind, list)
      for _, item in ipairs(list) do
        local trace = item.trace or {}
        local at = trace.short_src and (trace.short_src .. ":" .. (trace.currentline or 0)) or "?"
        io.write("\n", kind, " ", at, ": ", tostring(item.name), "\n")
        local message = item.message
        if type(message) ~= "string" then message = require "pl.pretty".write(message) end
        io.write("  ", (message or ""):gsub("\n", "\n  "), "\n")
        if options.verbose and trace.traceback then io.write(trace.traceback, "\n") end
      end
    end
    show("FAILED", handler.failures)
    show("ERROR", handler.errors)
    local failed = handler.failuresCount + handler.errorsCount
    io.write(("\n%d passed, %d failed"):format(handler.successesCount, failed))
    if handler.pendingsCount > 0 then io.write((", %d skipped"):format(handler.pendingsCount)) end
    io.write("\n")
    io.flush()
    return nil, true
  end

  busted.subscribe({ "suite", "end" }, handler.suiteEnd)
  return handler
end
