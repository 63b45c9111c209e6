std = "luajit"
max_line_length = 120
files["spec/**"] = { std = "+busted" }
files["bench/**"] = { std = "luajit" }
exclude_files = { "build/**" }
