--- tideway.dataframe.partitions -- whole frames: checking, emitting, and functions on them.
jit.off(true, true) -- never hot, and traces through it would hold on to graphs (DESIGN.md D5)

local C = require "tideway.declare" "frames"
local check = require "tideway.check"
local errors = require "tideway.errors"
local frame = require "tideway.frame"
local object = require "tideway.dataframe.object"
local plans = require "tideway.dataframe.plan"
local result = require "tideway.dataframe.result"
local schema = require "tideway.schema"
local stream = require "tideway.stream"

local misuse = errors.misuse
local methods, frame_of, plan_of = object.methods, object.frame_of, object.plan_of
local outputs_of, materialise, stream_of = plans.outputs, plans.materialise, plans.stream_of
local new_result = result.new

local function fits(df, x)
  if not frame.is(x) then misuse("dataframe: the element must be a frame, got %s", check.show(x)) end
  local have = frame.schema_of(x)
  for _, item in ipairs(outputs_of(plan_of(df))) do
    local at = have.position[item.name]
    if not at then
      misuse("dataframe: column %q is missing%s", item.name, errors.suggestion(item.name, have.names))
    end
    local kind, want = have.types[at], item.e.type
    if want ~= 0 and kind ~= want then
      local col = x._frame.column[at - 1]
      if C.tw_column_null_count(col) ~= col.len then
        misuse("dataframe: column %q must be %s, the frame's is %s", item.name, schema.word(want), schema.word(kind))
      end
    end
  end
end

--- Does a frame fit this dataframe? Raises, naming the column and both types, or returns it.
function methods.verify(self, x)
  fits(frame_of(self), x)
  return x
end

--- Emit a frame into the stream that the dataframe was made of.
function methods.emit(self, x, metadata)
  local base = plan_of(frame_of(self)).base
  if not base.root then misuse "emit: this dataframe is computed; emit into the stream that it comes from" end
  stream.wrap(base.node.ups[1]):emit(x, metadata)
end

--- A schema whose unknown types are f64.
local function known(s)
  local names, types = {}, {}
  for i = 1, s.total do types[i] = s.types[i] == 0 and 1 or s.types[i] end
  for i = 1, s.count do names[i] = s.names[i] end
  return schema.of_columns(names, types, s.index, types[s.total])
end

--- A dataframe over the frames of a stream whose schema is that of an example, or what it is
-- as a stream when the example is no frame.
local function from_example(handle, example, updating)
  if not frame.is(example) then return new_result(handle) end
  local df = handle:to_dataframe { example = example }
  local base = plan_of(df).base
  base.root, base.updating = false, updating
  return df
end

--- fn(frame, ...) for each frame. Called on the example (or an empty frame) when the pipeline is
-- built: where it gives a frame the result is a dataframe, else a stream of what it gives.
function methods.map_partitions(self, fn, ...)
  check.value("map_partitions", "fn", "function", fn)
  local df = frame_of(self)
  local base = materialise(plan_of(df), true)
  local example = base.example and base.example()
  local ok, gives
  if example and #example > 0 then
    ok, gives = true, fn(example, ...)
  else
    ok, gives = pcall(fn, frame.empty(known(base.schema)), ...)
  end
  return from_example(stream_of(base):map(fn, ...), ok and gives or nil, base.updating)
end

--- state = fn(state, frame) for each frame, which is emitted; the settings are accumulate's.
function methods.accumulate_partitions(self, fn, opts)
  check.value("accumulate_partitions", "fn", "function", fn)
  local frames = stream_of(materialise(plan_of(frame_of(self)), true))
  return new_result(opts ~= nil and frames:accumulate(fn, opts) or frames:accumulate(fn))
end
