--- database: the seeds' write_to_database example. Lines of JSON go into a database whose writes take
-- time; `emit` returns when the write is done, so nothing piles up. A buffer lets the reader run
-- ahead; a rate limit spares an interface that must not be asked too often.
--
-- The database is simulated: a table whose writes take 30 ms. On the virtual clock, so the times
-- are exact.
local tw = require "tideway"

local clock = tw.testing.clock()
local began, database

local function say(text, name)
  print(("%6.0f ms  %s %s"):format((clock:now() - began) * 1e3, text, name))
end

local function write_to_database(record)
  tw.sleep "30ms"
  database[#database + 1] = record
  say("          written", record.name)
end

local lines = {
  '{"name": "Alice", "amount": 100}',
  '{"name": "Bob", "amount": 200}',
  '{"name": "Charlie", "amount": 300}',
  '{"name": "Dan", "amount": 400}',
  '{"name": "Edith", "amount": 500}',
}

--- Emit all lines into a pipeline, one after the other.
local function process(title, build)
  print(title)
  began, database = clock:now(), {}
  local source = tw.stream()
  build(source)
  tw.spawn(function()
    for _, line in ipairs(lines) do
      source:emit(line) -- waits for the pipeline to clear
      say("emitted", line:match '"name": "(%a+)"')
    end
  end)
  clock:advance "10s"
  local total = 0
  for _, record in ipairs(database) do total = total + record.amount end
  print(("           %d records, %d in all\n"):format(#database, total))
end

process("every line waits for its write:", function(source)
  source:json():sink(write_to_database)
end)

process("up to two records wait in a buffer:", function(source)
  source:json():buffer(2):sink(write_to_database)
end)

process("one line every 50 ms at most, and a buffer:", function(source)
  source:rate_limit(0.050):json():buffer(100):sink(write_to_database)
end)

process("three writes at once:", function(source)
  source:json():map_async(write_to_database, { parallelism = 3 })
    :sink(function() end)
end)
