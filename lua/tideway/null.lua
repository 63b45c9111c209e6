--- tideway.null -- the element that stands for JSON's and Kafka's null: one table, compared
-- by identity.
return setmetatable({}, { __tostring = function() return "null" end })
