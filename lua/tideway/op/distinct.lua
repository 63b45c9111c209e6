local unique = require "tideway.op.unique"

return {
  name = "distinct",
  doc = "unique() without settings: every element once.",
  args = {},
  outputs = "0..1",
  state = "the elements, native",
  example = [[ tw.from_iterable{"a", "b", "a"}:distinct() ]],
  gives = { "a", "b" },
  new = unique.new,
  emit = unique.emit,
}
