--- bench/peers/text_luajit.lua -- a plain loop: io.lines and find.
local count = 0
for line in io.lines(arg[1]) do
  if line:find("ERROR", 1, true) then count = count + 1 end
end
print(count)
