--- frequencies: how often each element has come so far.
local tw = require "tideway"

local source = tw.stream()
source:frequencies():sink(function(counts)
  local words = {}
  for word in pairs(counts) do words[#words + 1] = word end
  table.sort(words)
  for i, word in ipairs(words) do words[i] = word .. "=" .. counts[word] end
  print(table.concat(words, " "))
end)

for word in ("the cat and the dog and the mouse"):gmatch "%a+" do source:emit(word) end
