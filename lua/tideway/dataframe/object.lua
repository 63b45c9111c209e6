--- tideway.dataframe.object -- what users hold: dataframes, columns, windows, and what is begun on them.
--
-- The inside of an object stands under a key that nobody else has: { plan =, single = is it a column,
-- stream = its stream, once asked for } of a dataframe, { df =, spec = } of the others. The files of
-- the methods add to `methods` and `window_methods`; tideway.dataframe makes classes of them.
jit.off(true, true) -- never hot, and traces through it would hold on to graphs (DESIGN.md D5)

local errors = require "tideway.errors"
local plans = require "tideway.dataframe.plan"

local misuse = errors.misuse
local materialise, stream_of = plans.materialise, plans.stream_of

local object = {}

local P = {} -- the key of an object's inside
local Frame, Window = {}, {} -- metatables
object.P, object.Frame, object.Window = P, Frame, Window
object.Rolling, object.GroupBy, object.Ewm = {}, {}, {}

object.methods = {}        -- of dataframes, columns and windows
object.window_methods = {} -- of windows; those that say nothing else go to the rows before

local function inside(x) return type(x) == "table" and rawget(x, P) or nil end

local function is_frame(x) return type(x) == "table" and getmetatable(x) == Frame end
local function is_window(x) return type(x) == "table" and getmetatable(x) == Window end

--- The dataframe that an argument is, that of a window too.
local function frame_of(x)
  if is_window(x) then return inside(x).df end
  return is_frame(x) and x or nil
end

local function new_frame(plan, single)
  return setmetatable({ [P] = { plan = plan, single = single or false } }, Frame)
end

local function plan_of(df) return inside(df).plan end

--- The one column of a dataframe that is one.
local function single(df, op)
  if not inside(df).single then
    misuse("%s: takes a column (df.name), this is a dataframe of several", op)
  end
  return plan_of(df).cols[1]
end

--- Put a dataframe where self has one: a window stays a window.
local function like(self, df)
  if not is_window(self) then return df end
  return setmetatable({ [P] = { df = df, spec = inside(self).spec } }, Window)
end

--- The stream of a dataframe's frames.
local function stream_for(df)
  local self = inside(df)
  if not self.stream then self.stream = stream_of(materialise(self.plan, true)) end
  return self.stream
end

object.inside, object.is_frame, object.is_window, object.frame_of = inside, is_frame, is_window, frame_of
object.new_frame, object.plan_of, object.single = new_frame, plan_of, single
object.like, object.stream_for = like, stream_for

return object
