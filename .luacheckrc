std = "luajit"
max_line_length = 120
ignore = {
  "212/self", -- methods that do not need theirs
  "581",      -- not (x > y) is not x <= y when one is NaN
}
-- specs set references to nil and look what the collector does
files["spec/**"] = { std = "+busted", ignore = { "231", "311", "331" } }
files["bindings/nginx/**"] = { std = "luajit+ngx_lua" }
files["examples/nginx/**"] = { std = "luajit+ngx_lua" }
files["bench/**"] = { std = "luajit" }
exclude_files = { "build/**" }
