--- Run by fused_spec in a process of its own: `luajit traces.lua NAME`. Prints what LuaJIT made of
-- the generated text of one graph, a row a line: EVENT TRACE LINK-OR-REASON; and where it gave up for
-- good on a function of ours that the text calls.
package.path = "./lua/?.lua;./spec/?.lua;" .. package.path
local tw = require "tideway"
local dump = require "tideway.dump"
local graphs = require "jit.graphs"

local name, elements = arg[1], tonumber(arg[2] or 100000)
local source = tw.from_range(1, elements)
graphs[name](source)
local given_up = 0
for _, row in ipairs(dump.traces(tw.run)) do
  if row.source and row.source:find "^=tideway:" then
    print(row.event, row.trace, row.reason or row.link .. " " .. row.to)
  elseif row.source and row.source:find "lua/tideway/" and row.reason and row.reason:find "blacklisted" then
    given_up = given_up + 1
  end
end
-- once or twice is found a way round; where there is none, it goes on
if given_up > 25 then print("abort", 0, "blacklisted functions, " .. given_up .. " times") end
