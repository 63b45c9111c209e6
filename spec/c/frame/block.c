/* frame/block: steps and positions are those of plain arithmetic, with AVX2 and without. */
#include "frame/block.h"
#include "made.h"

enum { N = 600 };

static double special(void) {
  static const double list[] = {0.0, -0.0, INFINITY, -INFINITY, NAN, 1e308, 5e-324, 1};
  return check_below(3) ? check_unit() * 20 - 10 : list[check_below(8)];
}

static int64_t whole(void) {
  static const int64_t list[] = {INT64_MIN, INT64_MAX, 0, -1, 1, INT64_MIN + 1};
  return check_below(3) ? check_below(2000) - 1000 : list[check_below(6)];
}

static union {
  double f64[N];
  int64_t i64[N];
  uint64_t u64[N];
  uint8_t b[8 * N];
  uint32_t code[N];
} a, b, out[2];

static void fill(int type) {
  for (int i = 0; i < N; i++) switch (type) {
    case TW_COL_F64: a.f64[i] = special(), b.f64[i] = special(); break;
    case TW_COL_BOOL: a.b[i] = check_below(2) & 1, b.b[i] = check_below(2) & 1; break;
    case TW_COL_STRING: a.code[i] = (uint32_t)check_below(4), b.code[i] = 2; break;
    default: a.i64[i] = whole(), b.i64[i] = check_below(5) ? whole() : a.i64[i];
    }
}

static int same(double x, double y) {
  return x == y ? signbit(x) == signbit(y) : x != x && y != y;
}

static int compared(int op, int less, int equal) {
  switch (op) {
  case TW_EQ: return equal;
  case TW_NE: return !equal;
  case TW_LT: return less;
  case TW_LE: return less || equal;
  case TW_GT: return -1; /* the caller turns it round */
  default: return -1;
  }
}

static int want_bool(int op, int type, int i) {
  if (type == TW_COL_F64) {
    double x = a.f64[i], y = b.f64[i];
    if (op == TW_GT || op == TW_GE) return compared(op - 2, y < x, x == y);
    return compared(op, x < y, x == y);
  }
  int64_t x = a.i64[i], y = b.i64[i];
  if (op == TW_GT || op == TW_GE) return compared(op - 2, y < x, x == y);
  return compared(op, x < y, x == y);
}

static void check_f64(int op, int i, double got) {
  double x = a.f64[i], y = b.f64[i], want = 0;
  switch (op) {
  case TW_FORMULA_ADD: want = x + y; break;
  case TW_FORMULA_SUB: want = x - y; break;
  case TW_FORMULA_MUL: want = x * y; break;
  case TW_FORMULA_DIV: want = x / y; break;
  case TW_FORMULA_NEG: want = -x; break;
  default: want = fabs(x);
  }
  CHECKF(same(got, want), "op %d: %g, %g: %g, not %g", op, x, y, got, want);
}

static void check_i64(int op, int i, uint64_t got) {
  uint64_t x = a.u64[i], y = b.u64[i], want = 0;
  switch (op) {
  case TW_FORMULA_ADD: want = x + y; break;
  case TW_FORMULA_SUB: want = x - y; break;
  case TW_FORMULA_MUL: want = x * y; break;
  case TW_FORMULA_NEG: want = 0 - x; break;
  default: want = a.i64[i] < 0 ? 0 - x : x;
  }
  CHECKF(got == want, "op %d: %lld, %lld", op, (long long)a.i64[i],
         (long long)b.i64[i]);
}

static void steps(int wide) {
  for (int round = 0; round < 20; round++)
    for (int op = TW_EQ; op < TW_FORMULA_OPS; op++)
      for (int type = TW_COL_F64; type <= TW_COL_TIMESTAMP; type++) {
        fill(type);
        int64_t from = check_below(8), n = check_below(N - 8 - 1);
        size_t width = (size_t)tw_column_width(type);
        const char *x = (const char *)&a + (size_t)from * width;
        const char *y = (const char *)&b + (size_t)from * width;
        memset(out, 0xA5, sizeof out);
        if (!tw__block_step(op, type, &out[wide], x, y, n, wide)) continue;
        for (int i = 0; i < n; i++) {
          int at = (int)from + i;
          if (op <= TW_GE)
            CHECK(out[wide].b[i] == want_bool(op, type, at));
          else if (op == TW_FORMULA_NULL)
            CHECK(out[wide].b[i] == (a.f64[at] != a.f64[at]));
          else if (op == TW_FORMULA_BOTH)
            CHECK(out[wide].b[i] == (a.b[at] && b.b[at]));
          else if (op == TW_FORMULA_EITHER)
            CHECK(out[wide].b[i] == (a.b[at] || b.b[at]));
          else if (op == TW_FORMULA_NEGATE)
            CHECK(out[wide].b[i] == !a.b[at]);
          else if (op == TW_FORMULA_NUMBER && type == TW_COL_BOOL)
            CHECK(out[wide].f64[i] == a.b[at]);
          else if (op == TW_FORMULA_NUMBER && type == TW_COL_I64)
            CHECK(out[wide].f64[i] == (double)a.i64[at]);
          else if (op == TW_FORMULA_NUMBER)
            CHECK(out[wide].f64[i] ==
                  (double)(a.i64[at] / 1000000000) +
                      (double)(a.i64[at] - a.i64[at] / 1000000000 * 1000000000) / 1e9);
          else if (type == TW_COL_F64)
            check_f64(op, at, out[wide].f64[i]);
          else
            check_i64(op, at, out[wide].u64[i]);
        }
        int bytes = op <= TW_GE || op >= TW_FORMULA_NULL;
        CHECK(out[wide].b[bytes ? n : 8 * n] == 0xA5); /* nothing behind the end */
      }
}

static void missing_and_codes(int wide) {
  for (int round = 0; round < 40; round++) {
    int64_t n = check_below(N);
    fill(TW_COL_BOOL);
    for (int i = 0; i < n; i++) out[0].f64[i] = i;
    tw__block_step(TW__BLOCK_BLANK, TW_COL_F64, &out[0], NULL, &b, n, wide);
    for (int i = 0; i < n; i++) CHECK(same(out[0].f64[i], b.b[i] ? (double)i : NAN));
    memcpy(&out[0], &a, sizeof a), memcpy(&out[1], &a, sizeof a);
    tw__block_step(TW__BLOCK_KEEP, TW_COL_BOOL, &out[0], NULL, &b, n, wide);
    tw__block_step(TW__BLOCK_MISS, TW_COL_BOOL, &out[1], NULL, &b, n, wide);
    for (int i = 0; i < n; i++) {
      CHECK(out[0].b[i] == (b.b[i] ? a.b[i] : 0));
      CHECK(out[1].b[i] == (b.b[i] ? a.b[i] : 1));
    }
    fill(TW_COL_STRING);
    tw__block_step(TW__BLOCK_CODE, TW_COL_STRING, &out[0], &a, &b, n, wide);
    tw__block_step(TW__BLOCK_OTHER, TW_COL_STRING, &out[1], &a, &b, n, wide);
    for (int i = 0; i < n; i++)
      CHECK(out[0].b[i] == (a.code[i] == 2) && out[1].b[i] == (a.code[i] != 2));
  }
}

static void selects(int wide) {
  for (int round = 0; round < 300; round++) {
    int64_t n = check_below(round < 200 ? 70 : N), from = check_below(8), j = 0;
    uint8_t mask[N + 8];
    int often = (int)check_below(5); /* 0: never, 4: always */
    for (int64_t i = 0; i < n; i++) mask[from + i] = check_below(4) < often;
    int32_t *at = malloc((size_t)n * sizeof *at + 1); /* so that ASan sees the end */
    int64_t count = tw__block_select(at, 1000, mask + from, n, wide);
    for (int64_t i = 0; i < n; i++)
      if (mask[from + i]) CHECK(j < count && at[j++] == 1000 + i);
    CHECK(j == count);
    free(at);
  }
}

int main(int argc, char **argv) {
  check_open(argc, argv);
  for (int wide = 0; wide <= tw__block_wide(); wide++) {
    steps(wide);
    missing_and_codes(wide);
    selects(wide);
  }
  CHECK(!tw__block_step(TW_FORMULA_ADD, TW_COL_STRING, NULL, NULL, NULL, 0, 0));
  CHECK(!tw__block_step(TW_FORMULA_DIV, TW_COL_I64, NULL, NULL, NULL, 0, 0));
  CHECK(!tw__block_step(TW_FORMULA_BOTH, TW_COL_F64, NULL, NULL, NULL, 0, 0));
  return check_close();
}
