--- bench.tables.alive -- 64 pipelines in one process, beside each alone.
local harness = require "harness"

local COUNT, LIMIT = 64, 1.5

return function(settings)
  local function measured(way, first, last, n)
    local out, failure = harness.capture(("%s%s/bench/alive.lua %s %d %d %d 2>&1"):format(
      settings.ours, settings.root, way, first, last, n))
    local ns, results = {}, {}
    for k, text, result in (out or ""):gmatch "(%d+)\t(%S+)\t(%S+)" do
      ns[tonumber(k)], results[tonumber(k)] = tonumber(text), result
    end
    return ns, failure, results
  end

  local lines = { { "way", "alone (median)", "together (median)", "together / alone: median", "worst",
    "over 1.5", "reached" } }
  for _, way in ipairs { "emit", "native" } do
    local n = way == "emit" and 500000 or 2000000
    local alone, together, failure = {}, {}, nil
    local first_results, differ = {}, 0
    for k = 1, COUNT do alone[k], together[k] = {}, {} end
    for _ = 1, settings.rounds do
      for k = 1, COUNT do
        local ns, why, results = measured(way, k, k, n)
        failure = failure or why
        if first_results[k] and first_results[k] ~= results[k] then differ = differ + 1 end
        first_results[k] = results[k]
        table.insert(alone[k], ns[k])
        if failure then break end
      end
      if failure then break end
      local ns, why, results = measured(way, 1, COUNT, n)
      failure = failure or why
      for k = 1, COUNT do
        if results[k] ~= first_results[k] then differ = differ + 1 end
        table.insert(together[k], ns[k])
      end
    end
    if failure then
      lines[#lines + 1] = { way, "-", "-", "-", "-", "-", "does not run: " .. failure:match "[^\n]*" }
    else
      local ratios, all_alone, all_together, worst, over = {}, {}, {}, 0, 0
      for k = 1, COUNT do
        local a, t = harness.median(alone[k]), harness.median(together[k])
        all_alone[k], all_together[k], ratios[k] = a, t, t / a
        if t / a > (ratios[worst] or 0) then worst = k end
        if t / a > LIMIT then
          over = over + 1
          io.stderr:write(("  %s: pipeline %d alone %.1f together %.1f\n"):format(way, k, a, t))
        end
      end
      local reached = differ > 0 and differ .. " results differ" or over == 0 and "ok" or "some slower"
      lines[#lines + 1] = { way, harness.number(harness.median(all_alone)),
        harness.number(harness.median(all_together)), ("%.2f"):format(harness.median(ratios)),
        ("%.2f (number %d)"):format(ratios[worst], worst), tostring(over), reached }
    end
  end
  return harness.markdown("64 pipelines alive in one process", ([[
Each within 1.5 times of alone is wanted. In iterations of a fixed loop (about 3 ns) timed beside
each; median of %d rounds. %s.]]):format(settings.rounds, harness.place()), lines)
end
