--- spec.support.certificate -- a certificate of its own, made by openssl.
local command = require "support.command"

local certificate = {}
local Certificate = {}
Certificate.__index = Certificate

--- A new one: {dir =, cert =, key =, both =}, paths; `both` has the two in one file.
-- name: whom it is for; default "localhost", with the address 127.0.0.1.
function certificate.make(name)
  local dir = os.tmpname()
  os.remove(dir)
  local status, _, err = command.shell(([[
    mkdir -m 700 %s && cd %s && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes \
      -days 2 -subj /CN=%s -addext subjectAltName=%s -keyout key -out cert && cat key cert > both
  ]]):format(dir, dir, name or "localhost", name and "DNS:" .. name or "DNS:localhost,IP:127.0.0.1"))
  assert(status == 0, err)
  return setmetatable({
    dir = dir, cert = dir .. "/cert", key = dir .. "/key", both = dir .. "/both",
  }, Certificate)
end

function Certificate:remove() os.execute("rm -rf " .. self.dir) end

return certificate
