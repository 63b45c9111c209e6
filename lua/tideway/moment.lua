--- tideway.moment -- points in time: seconds, ISO 8601 text and the 64-bit nanoseconds since
-- 1970 that timestamp columns hold.
local ffi = require "ffi"

local moment = {}

local int64 = ffi.typeof "int64_t"
local floor = math.floor
local BILLION = 1000000000LL
local FAR = 9223372036 -- seconds that nanoseconds can hold, about

--- Seconds of a number of nanoseconds: the double nearest to it.
function moment.seconds(ns)
  local whole = ns / BILLION
  return tonumber(whole) + tonumber(ns - whole * BILLION) / 1e9
end

--- Nanoseconds of seconds; nil when they are no number that fits.
function moment.from_seconds(seconds)
  if not (seconds > -FAR and seconds < FAR) then return nil end
  local whole = floor(seconds)
  return int64(whole) * BILLION + int64(floor((seconds - whole) * 1e9 + 0.5))
end

local function day_number(y, m, d) -- days from 1970-01-01, proleptic Gregorian (Hinnant)
  if m <= 2 then y = y - 1 end
  local era = floor(y / 400)
  local yoe = y - era * 400
  local doy = floor((153 * (m + (m > 2 and -3 or 9)) + 2) / 5) + d - 1
  return era * 146097 + yoe * 365 + floor(yoe / 4) - floor(yoe / 100) + doy - 719468
end

local month_days = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 }

local function days_in(y, m)
  if m == 2 and y % 4 == 0 and (y % 100 ~= 0 or y % 400 == 0) then return 29 end
  return month_days[m]
end

local function offset_of(zone)
  if zone == "" or zone == "Z" or zone == "z" then return 0 end
  local sign, h, m = zone:match "^([+-])(%d%d):?(%d%d)$"
  if not sign then sign, h = zone:match "^([+-])(%d%d)$" end
  if not sign then return nil end
  local seconds = tonumber(h) * 3600 + (tonumber(m) or 0) * 60
  return sign == "-" and -seconds or seconds
end

--- Nanoseconds of ISO 8601 text: 2001-02-03, after a T or blank 04:05, 04:05:06, 04:05:06.789,
-- then Z or an offset; without one it is UTC. nil when it is none.
function moment.from_text(text)
  local y, m, d, rest = text:match "^%s*(%d%d%d%d)-(%d%d)-(%d%d)(.-)%s*$"
  if not y then return nil end
  y, m, d = tonumber(y), tonumber(m), tonumber(d)
  if m < 1 or m > 12 or d < 1 or d > days_in(y, m) then return nil end
  local seconds, ns = 0, 0
  if rest ~= "" then
    local h, min, after = rest:match "^[Tt ](%d%d):(%d%d)(.*)$"
    if not h or tonumber(h) > 23 or tonumber(min) > 59 then return nil end
    seconds = tonumber(h) * 3600 + tonumber(min) * 60
    local s, zone = after:match "^:(%d%d)(.*)$"
    if s then
      if tonumber(s) > 60 then return nil end
      seconds = seconds + tonumber(s)
      local fraction, behind = zone:match "^[.,](%d+)(.*)$"
      if fraction then ns, zone = tonumber((fraction .. "000000000"):sub(1, 9)), behind end
    else
      zone = after
    end
    local offset = offset_of(zone)
    if not offset then return nil end
    seconds = seconds - offset
  end
  local total = day_number(y, m, d) * 86400 + seconds
  if not (total > -FAR and total < FAR) then return nil end
  return int64(total) * BILLION + int64(ns)
end

local function date_of(days)
  days = days + 719468
  local era = floor(days / 146097)
  local doe = days - era * 146097
  local yoe = floor((doe - floor(doe / 1460) + floor(doe / 36524) - floor(doe / 146096)) / 365)
  local doy = doe - (365 * yoe + floor(yoe / 4) - floor(yoe / 100))
  local mp = floor((5 * doy + 2) / 153)
  local d = doy - floor((153 * mp + 2) / 5) + 1
  local m = mp + (mp < 10 and 3 or -9)
  return yoe + era * 400 + (m <= 2 and 1 or 0), m, d
end

--- ISO 8601 text of nanoseconds, in UTC, as short as it is exact: 2001-02-03 04:05:06.789.
function moment.text(ns)
  local whole = ns / BILLION
  local part = ns - whole * BILLION
  if part < 0 then whole, part = whole - 1, part + BILLION end
  local seconds, fraction = tonumber(whole), tonumber(part)
  local days = floor(seconds / 86400)
  local y, m, d = date_of(days)
  local rest = seconds - days * 86400
  local text = ("%04d-%02d-%02d %02d:%02d:%02d"):format(y, m, d, floor(rest / 3600),
    floor(rest / 60) % 60, rest % 60)
  if fraction > 0 then text = text .. (("%.9f"):format(fraction / 1e9):sub(2):gsub("0+$", "")) end
  return text
end

return moment
