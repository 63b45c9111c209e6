/* frame/formula: random trees over random columns, row by row the same as by hand. */
#include "made.h"

enum { COLUMNS = 12, NODES = 40, OUTPUTS = 4 };

/* A value of one row. */
struct cell {
  double num;
  int64_t i64;
  int b, missing;
};

/* A tree as it was built. */
struct node {
  int op, type, column; /* op -1: a column, -2: a constant, -3: compared with text */
  struct cell constant;
  int a, b;
  char text[16];
  int64_t len;
};

static struct node nodes[NODES * 8];
static int count;
static tw_formula *formula;
static tw_frame *frame;
static tw_column *held;

static double special(void) {
  static const double list[] = {0.0, -0.0, INFINITY, -INFINITY, NAN, 2.5};
  return check_below(3) ? (double)(check_below(20) - 5) / 4 : list[check_below(6)];
}

/* The frame: two columns of each type, with and without missing values; the last one is
 * not in the frame when `held` is asked for. */
static void make_frame(int64_t n) {
  tw_dict *dict = tw_dict_new();
  frame = tw_frame_new(COLUMNS, 0);
  for (int k = 0; k < COLUMNS; k++) {
    int type = k % 6 < 5 ? k % 6 + 1 : TW_COL_F64;
    tw_column *col = made_column(type, n, k < 6 && type != TW_COL_F64 ? 0 : 20, dict);
    for (int64_t i = 0; type == TW_COL_F64 && i < n; i++) col->f64[i] = special();
    tw_frame_take(frame, k, col);
  }
  tw_dict_release(dict);
  tw_column_release(held);
  held = made_column(TW_COL_I64, n, 20, NULL);
}

static struct cell cell_of(const tw_column *col, int64_t i) {
  struct cell c = {.missing = tw_column_is_null(col, i)};
  if (col->type == TW_COL_F64) c.num = col->f64[i];
  if (col->type == TW_COL_BOOL) c.b = !c.missing && col->b[i];
  if (col->type == TW_COL_I64 || col->type == TW_COL_TIMESTAMP) c.i64 = col->i64[i];
  return c;
}

static int compared(int op, int less, int equal, int more) {
  switch (op) {
  case TW_EQ: return equal;
  case TW_NE: return !equal;
  case TW_LT: return less;
  case TW_LE: return less || equal;
  case TW_GT: return more;
  default: return more || equal;
  }
}

static struct cell evaluate(int at, int64_t i);

static struct cell compare_text(const struct node *node, int64_t i) {
  int64_t own;
  const char *s = tw_column_text(frame->column[nodes[node->a].column], i, &own);
  if (!s) return (struct cell){.b = node->b == TW_NE};
  int by = memcmp(s, node->text, (size_t)(own < node->len ? own : node->len));
  if (!by) by = (own > node->len) - (own < node->len);
  return (struct cell){.b = compared(node->b, by<0, by == 0, by> 0)};
}

static struct cell calculate(const struct node *node, struct cell x, struct cell y) {
  struct cell c = {.missing = x.missing || y.missing};
  uint64_t p = (uint64_t)x.i64, q = (uint64_t)y.i64;
  switch (node->op) {
  case TW_FORMULA_ADD: c.num = x.num + y.num, c.i64 = (int64_t)(p + q); break;
  case TW_FORMULA_SUB: c.num = x.num - y.num, c.i64 = (int64_t)(p - q); break;
  case TW_FORMULA_MUL: c.num = x.num * y.num, c.i64 = (int64_t)(p * q); break;
  case TW_FORMULA_DIV: c.num = x.num / y.num; break;
  case TW_FORMULA_NEG:
    c.num = -x.num, c.i64 = (int64_t)(0 - p), c.missing = x.missing;
    break;
  default:
    c.num = fabs(x.num), c.i64 = (int64_t)(x.i64 < 0 ? 0 - p : p),
    c.missing = x.missing;
  }
  if (node->type == TW_COL_F64) c.missing = c.num != c.num;
  return c;
}

static struct cell evaluate(int at, int64_t i) {
  const struct node *node = &nodes[at];
  if (node->op == -1)
    return cell_of(node->column < 0 ? held : frame->column[node->column], i);
  if (node->op == -2) return node->constant;
  if (node->op == -3) return compare_text(node, i);
  struct cell x = evaluate(node->a, i), y = evaluate(node->b, i);
  int type = nodes[node->a].type;
  if (node->op <= TW_GE) {
    int less = type == TW_COL_F64 ? x.num < y.num : x.i64 < y.i64;
    int more = type == TW_COL_F64 ? x.num > y.num : x.i64 > y.i64;
    int equal = type == TW_COL_F64 ? x.num == y.num : x.i64 == y.i64;
    if (x.missing || y.missing) return (struct cell){.b = node->op == TW_NE};
    return (struct cell){.b = compared(node->op, less, equal, more)};
  }
  switch (node->op) {
  case TW_FORMULA_NULL: return (struct cell){.b = x.missing};
  case TW_FORMULA_BOTH: return (struct cell){.b = x.b && y.b};
  case TW_FORMULA_EITHER: return (struct cell){.b = x.b || y.b};
  case TW_FORMULA_NEGATE: return (struct cell){.b = !x.b};
  case TW_FORMULA_NUMBER: {
    struct cell c = {.missing = x.missing};
    int64_t whole = x.i64 / 1000000000;
    c.num = type == TW_COL_BOOL ? x.b
            : type == TW_COL_I64
                ? (double)x.i64
                : (double)whole + (double)(x.i64 - whole * 1000000000) / 1e9;
    if (c.missing) c.num = NAN;
    return c;
  }
  default: return calculate(node, x, y);
  }
}

static int number[NODES * 8]; /* of the node's value in the formula */

static int add(struct node node, int value) {
  CHECKF(value >= 0, "op %d type %d: %d", node.op, node.type, value);
  nodes[count] = node;
  number[count] = value;
  return count++;
}

/* A tree of a type, added to the formula. */
static int grow(int type, int depth) {
  struct node node = {.type = type};
  if (type == TW_COL_BOOL && depth > 0 && check_below(4) == 0) { /* of a string */
    node.op = -3, node.b = (int)check_below(6);
    node.len = snprintf(node.text, sizeof node.text, "t%d", (int)check_below(25) - 5);
    int k = check_below(2) ? 3 : 9;
    node.a = add((struct node){.op = -1, .type = TW_COL_STRING, .column = k},
                 tw_formula_column(formula, TW_COL_STRING, k));
    return add(node,
               tw_formula_text(formula, node.b, number[node.a], node.text, node.len));
  }
  if (depth == 0 || check_below(4) == 0) {
    if (check_below(3)) {
      static const int places[][3] = {{0},       {0, 6, 11}, {1, 7, -1},
                                      {2, 8, 8}, {3, 9, 9},  {4, 10, 10}};
      node.op = -1, node.column = places[type][check_below(3)];
      if (node.column < 0) return add(node, tw_formula_held(formula, type, &held));
      return add(node, tw_formula_column(formula, type, node.column));
    }
    node.op = -2;
    double x = special();
    int64_t y = (check_below(20) - 5) * 1000000007;
    node.constant = (struct cell){.num = x, .i64 = y, .b = (int)(y & 1)};
    if (type == TW_COL_F64) node.constant.missing = x != x;
    if (type == TW_COL_F64) return add(node, tw_formula_num(formula, x));
    if (type == TW_COL_BOOL) return add(node, tw_formula_bool(formula, (int)(y & 1)));
    return add(node, tw_formula_i64(formula, type, y));
  }
  int of = type;
  if (type == TW_COL_F64) {
    node.op = TW_FORMULA_ADD + (int)check_below(7);
    static const int types[] = {TW_COL_I64, TW_COL_BOOL, TW_COL_TIMESTAMP};
    if (node.op == TW_FORMULA_NUMBER) of = types[check_below(3)];
  } else if (type == TW_COL_I64) {
    static const int ops[] = {TW_FORMULA_ADD, TW_FORMULA_SUB, TW_FORMULA_MUL,
                              TW_FORMULA_NEG, TW_FORMULA_ABS};
    node.op = ops[check_below(5)];
  } else if (type == TW_COL_BOOL && check_below(2)) {
    static const int types[] = {TW_COL_F64, TW_COL_I64, TW_COL_TIMESTAMP};
    node.op = (int)check_below(6);
    of = types[check_below(3)];
  } else if (type == TW_COL_BOOL) {
    node.op = TW_FORMULA_NULL + (int)check_below(4);
    if (node.op == TW_FORMULA_NULL) of = 1 + (int)check_below(3);
  } else {
    return grow(type, 0);
  }
  int unary = node.op == TW_FORMULA_NEG || node.op == TW_FORMULA_ABS ||
              node.op == TW_FORMULA_NUMBER || node.op == TW_FORMULA_NULL ||
              node.op == TW_FORMULA_NEGATE;
  node.a = grow(of, depth - 1);
  node.b = unary ? node.a : grow(of, depth - 1);
  return add(node, tw_formula_step(formula, node.op, number[node.a], number[node.b]));
}

static int64_t rows(void) {
  static const int64_t list[] = {0, 1, 2, 7, 511, 512, 513, 1024, 1500};
  return check_below(2) ? list[check_below(9)] : check_below(100);
}

static void check_cell(const tw_column *col, int64_t j, int at, int64_t i) {
  struct cell want = evaluate(at, i);
  int missing = tw_column_is_null(col, j);
  if (nodes[at].type == TW_COL_BOOL && nodes[at].op != -1) want.missing = 0;
  CHECKF(missing == want.missing, "op %d, row %lld: %d", nodes[at].op, (long long)i,
         missing);
  if (missing || want.missing) return;
  switch (nodes[at].type) {
  case TW_COL_F64:
    CHECKF(col->f64[j] == want.num, "op %d, row %lld: %g, not %g", nodes[at].op,
           (long long)i, col->f64[j], want.num);
    break;
  case TW_COL_BOOL: CHECK(col->b[j] == want.b); break;
  default: CHECK(col->i64[j] == want.i64);
  }
}

/* Which rows there should be, and whether the columns have what they should. */
static void check_rows(const tw_frame *out, int filter, const int *trees,
                       const tw_selection *sel, int64_t n) {
  int64_t j = 0;
  for (int64_t i = 0; i < n; i++) {
    if (filter >= 0 && !evaluate(filter, i).b) continue;
    if (filter == -2 && (j >= sel->count || sel->at[j] != i)) continue;
    if (filter != -1) CHECK(sel->at[j] == i);
    for (int k = 0; k < OUTPUTS; k++) check_cell(out->column[k], j, trees[k], i);
    j++;
  }
  CHECKF(out->rows == j, "%lld rows, not %lld", (long long)out->rows, (long long)j);
  CHECK(tw_frame_whole(out) && out->schema == 77);
  for (int k = 0; k < OUTPUTS; k++) made_check(out->column[k]);
}

static void agrees(int narrow) {
  tw_frame *out = NULL, *shared = NULL;
  tw_selection *sel = tw_selection_open();
  for (int round = 0; round < (check_long ? 3000 : 300); round++) {
    int kind = (int)check_below(3), trees[OUTPUTS], filter = kind == 0 ? -1 : -2;
    formula = tw_formula_open(OUTPUTS), count = 0;
    if (narrow) tw_formula_narrow(formula);
    if (kind == 2) {
      filter = grow(TW_COL_BOOL, (int)check_below(4));
      CHECK(tw_formula_filter(formula, number[filter]) == TW_OK);
    }
    for (int k = 0; k < OUTPUTS; k++) {
      static const int types[] = {TW_COL_F64, TW_COL_I64, TW_COL_BOOL,
                                  TW_COL_TIMESTAMP};
      trees[k] = grow(types[k], (int)check_below(4));
      CHECK(tw_formula_give(formula, k, number[trees[k]]) == TW_OK);
    }
    for (int run = 0; run < 3; run++) {
      int64_t n = rows();
      make_frame(n);
      CHECK(tw_selection_reserve(sel, n) == TW_OK);
      sel->count = 0;
      for (int64_t i = 0; kind == 1 && i < n; i++)
        if (check_below(2)) sel->at[sel->count++] = (int32_t)i;
      if (check_below(4) == 0) tw_mem_fail_at(1 + check_below(6));
      int rc = tw_formula_run(formula, &out, frame, 77, kind == 0 ? NULL : sel);
      tw_mem_fail_at(0);
      CHECKF(rc == TW_OK || rc == TW_ENOMEM, "%d", rc);
      if (rc) {
        if (kind == 1 && sel->room < n) continue;
        CHECK(tw_formula_run(formula, &out, frame, 77, kind == 0 ? NULL : sel) ==
              TW_OK);
      }
      check_rows(out, filter, trees, sel, n);
      if (check_below(2)) { /* somebody keeps it: the next one is another */
        tw_frame_release(shared);
        shared = tw_frame_retain(out);
      }
      tw_frame_release(frame);
    }
    tw_formula_close(formula);
  }
  tw_frame_release(out), tw_frame_release(shared), tw_selection_close(sel);
  tw_column_release(held), held = NULL;
}

/* Strings that come later are found out about. */
static void dicts_grow(void) {
  tw_dict *dict = tw_dict_new();
  tw_frame *out = NULL, *in = tw_frame_new(1, 0);
  tw_selection *sel = tw_selection_open();
  formula = tw_formula_open(1);
  int text = tw_formula_column(formula, TW_COL_STRING, 0);
  int late = tw_formula_text(formula, TW_EQ, text, "late", 4);
  int above = tw_formula_text(formula, TW_GE, text, "m", 1);
  CHECK(!tw_formula_filter(formula,
                           tw_formula_step(formula, TW_FORMULA_EITHER, late, above)));
  CHECK(!tw_formula_give(formula, 0, text));
  static const char *const words[] = {"a", "late", "z", "a", "late", "late"};
  for (int k = 0; k < 6; k++) {
    if (k == 4) { /* another dict, in which codes mean other strings */
      tw_dict_release(dict);
      dict = tw_dict_new();
    }
    tw_column *col = tw_column_new(TW_COL_STRING, 1, dict);
    tw_column_put_null(col);
    CHECK(!tw_column_put_bytes(col, words[k], (int64_t)strlen(words[k])));
    tw_frame_take(in, 0, col);
    CHECK(!tw_formula_run(formula, &out, in, 1, sel));
    CHECKF(out->rows == (words[k][0] != 'a'), "%s", words[k]);
  }
  tw_formula_close(formula), tw_selection_close(sel);
  tw_frame_release(in), tw_frame_release(out), tw_dict_release(dict);
}

static void refuses(void) {
  tw_frame *out = NULL;
  tw_selection *sel = tw_selection_open();
  tw_formula *f = tw_formula_open(2);
  make_frame(3);
  int x = tw_formula_column(f, TW_COL_F64, 0), k = tw_formula_column(f, TW_COL_I64, 1);
  int s = tw_formula_column(f, TW_COL_STRING, 3), b = tw_formula_bool(f, 1);
  CHECK(tw_formula_column(f, TW_COL_F64, 0) == x);
  CHECK(tw_formula_column(f, TW_COL_I64, 0) == TW_EINVAL);
  CHECK(tw_formula_column(f, 0, 0) == TW_EINVAL &&
        tw_formula_column(f, 1, -1) == TW_EINVAL);
  CHECK(tw_formula_i64(f, TW_COL_BOOL, 1) == TW_EINVAL);
  CHECK(tw_formula_step(f, TW_FORMULA_ADD, x, k) == TW_ETYPE);
  CHECK(tw_formula_step(f, TW_FORMULA_DIV, k, k) == TW_ETYPE);
  CHECK(tw_formula_step(f, TW_EQ, s, s) == TW_ETYPE);
  CHECK(tw_formula_step(f, TW_FORMULA_OPS, x, x) == TW_EINVAL);
  CHECK(tw_formula_step(f, TW_EQ, x, 99) == TW_EINVAL);
  CHECK(tw_formula_text(f, TW_EQ, x, "", 0) == TW_ETYPE);
  CHECK(tw_formula_text(f, TW_FORMULA_ADD, s, "", 0) == TW_EINVAL);
  CHECK(tw_formula_filter(f, x) == TW_ETYPE);
  int before = tw_formula_step(f, TW_FORMULA_ADD, x, x);
  CHECK(tw_formula_filter(f, b) == TW_OK && tw_formula_filter(f, b) == TW_EINVAL);
  CHECK(tw_formula_give(f, 0, before) == TW_EINVAL); /* its rows are not those */
  int once = tw_formula_step(f, TW_FORMULA_ADD, x, x);
  CHECK(tw_formula_give(f, 2, once) == TW_EINVAL);
  CHECK(tw_formula_give(f, 0, once) == TW_OK);
  CHECK(tw_formula_give(f, 1, once) == TW_EINVAL);
  CHECK(tw_formula_give(f, 0, x) == TW_EINVAL);
  CHECK(tw_formula_step(f, TW_FORMULA_ADD, once, x) == TW_EINVAL);
  CHECK(tw_formula_run(f, &out, frame, 1, NULL) == TW_EINVAL);
  CHECK(tw_formula_run(f, &out, frame, 1, sel) == TW_OK);
  CHECK(out->rows == 3 && out->columns == 2 && !out->column[1]);
  tw_column *col = frame->column[0];
  frame->column[0] = frame->column[1], frame->column[1] = col;
  CHECK(tw_formula_run(f, &out, frame, 1, sel) == TW_ETYPE);
  tw_frame_release(frame), frame = tw_frame_new(1, 0);
  CHECK(tw_formula_run(f, &out, frame, 1, sel) == TW_ETYPE);
  tw_frame_release(frame), tw_frame_release(out), tw_selection_close(sel);
  tw_formula_close(f), tw_formula_close(NULL);
  tw_column_release(held), held = NULL;
}

/* A filter that leaves all rows gives the frame itself, one that leaves none the same frame
 * again and again. */
static void makes_no_frame_without_need(void) {
  tw_selection *sel = tw_selection_open();
  tw_formula *f = tw_formula_open(2);
  tw_frame *out = NULL, *none;
  int x = tw_formula_column(f, TW_COL_F64, 0), k = tw_formula_column(f, TW_COL_F64, 1);
  tw_formula_filter(f, tw_formula_step(f, TW_GT, x, tw_formula_num(f, 0)));
  CHECK(!tw_formula_give(f, 0, x) && !tw_formula_give(f, 1, k));
  frame = tw_frame_new(2, 7);
  for (int i = 0; i < 2; i++)
    tw_frame_take(frame, i, tw_column_new(TW_COL_F64, 3, NULL));
  for (int i = 0; i < 3; i++)
    tw_column_put_num(frame->column[0], 1), tw_column_put_num(frame->column[1], i);
  frame->rows = 3;
  CHECK(!tw_formula_run(f, &out, frame, 7, sel) && out == frame && out->refs == 2);
  CHECK(!tw_formula_run(f, &out, frame, 8, sel) && out != frame && out->rows == 3);
  CHECK(out->column[1] == frame->column[1] && frame->refs == 1);
  for (int i = 0; i < 3; i++) frame->column[0]->f64[i] = -1;
  CHECK(!tw_formula_run(f, &out, frame, 7, sel) && !out->rows && out->columns == 2);
  none = out;
  CHECK(!tw_formula_run(f, &out, frame, 7, sel) && out == none && !out->rows);
  frame->column[0]->f64[1] = 1;
  CHECK(!tw_formula_run(f, &out, frame, 7, sel) && out != none && out->rows == 1);
  CHECK(none->rows == 0 && out->column[1]->f64[0] == 1);
  tw_frame_release(out), tw_frame_release(frame);
  tw_selection_close(sel), tw_formula_close(f);
}

/* Each allocation of a formula in the making fails once. */
static void runs_out_of_memory(void) {
  for (int fail = 1; fail < 60; fail++) {
    tw_mem_fail_at(fail);
    tw_formula *f = tw_formula_open(3);
    int x = f ? tw_formula_column(f, TW_COL_F64, 0) : -1;
    for (int k = 0; f && x >= 0 && k < 12; k++) {
      int y = tw_formula_step(f, TW_FORMULA_ADD, x, tw_formula_num(f, k));
      CHECK(y >= 0 || y == TW_ENOMEM || y == TW_EINVAL);
      if (y >= 0) x = y;
      int s = tw_formula_column(f, TW_COL_STRING, 1);
      if (s >= 0) tw_formula_text(f, TW_EQ, s, "text", 4);
    }
    if (f && x > 0) tw_formula_give(f, 0, x);
    tw_mem_fail_at(0);
    tw_formula_close(f);
  }
}

int main(int argc, char **argv) {
  check_open(argc, argv);
  agrees(0);
  agrees(1);
  dicts_grow();
  refuses();
  makes_no_frame_without_need();
  runs_out_of_memory();
  return check_close();
}
