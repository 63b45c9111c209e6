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
for _, row in ipairs(dump.traces(tw.run)) do
  local ours = row.source and row.source:find "lua/tideway/" and row.reason and row.reason:find "blacklisted"
  if ours or row.source and row.source:find "^=tideway:" then
    print(row.event, row.trace, row.reason or row.link .. " " .. row.to)
  end
end
