/* frame/keys: equal keys have one number, others another, and they can be sorted. */
#include "made.h"

#include "frame/keys.h"

enum { MODEL = 3000 };

static tw_frame *model; /* row i - 1 has number i */

static int64_t model_find(const tw_frame *frame, int64_t row) {
  for (int64_t i = 0; i < model->rows; i++) {
    int same = 1;
    for (int k = 0; k < frame->columns; k++)
      same &= made_same(frame->column[k], row, model->column[k], i);
    if (same) return i + 1;
  }
  return 0;
}

static int missing(const tw_frame *frame, int64_t row) {
  for (int k = 0; k < frame->columns; k++)
    if (tw_column_is_null(frame->column[k], row)) return 1;
  return 0;
}

/* Below 0, 0, above 0: values i and j of one column. */
static int compare(const tw_column *col, int64_t i, int64_t j) {
  int64_t m, n;
  switch (col->type) {
  case TW_COL_F64: return (col->f64[i] > col->f64[j]) - (col->f64[i] < col->f64[j]);
  case TW_COL_BOOL: return col->b[i] - col->b[j];
  case TW_COL_STRING: {
    const char *s = tw_column_text(col, i, &m), *t = tw_column_text(col, j, &n);
    int by = memcmp(s, t, (size_t)(m < n ? m : n));
    return by ? by : (m > n) - (m < n);
  }
  default: return (col->i64[i] > col->i64[j]) - (col->i64[i] < col->i64[j]);
  }
}

static void check_order(struct tw__keys *keys) {
  while (tw__keys_sort(keys)) {
  }
  CHECK(keys->ordered == model->rows);
  for (uint32_t i = 1; i < keys->ordered; i++) {
    int by = 0;
    for (int k = 0; k < model->columns && !by; k++)
      by = compare(model->column[k], keys->order[i - 1] - 1, keys->order[i] - 1);
    CHECK(by < 0);
  }
}

static tw_column *long_texts(int64_t n) {
  tw_column *col = tw_column_new(TW_COL_STRING, n, NULL);
  char text[40];
  for (int64_t i = 0; i < n; i++) {
    int len =
        snprintf(text, sizeof text, "%s%d", check_below(2) ? "the same for long " : "",
                 (int)check_below(12));
    if (check_below(9) == 0)
      tw_column_put_null(col);
    else
      tw_column_put_bytes(col, text, check_below(4) ? len : 0);
  }
  return col;
}

static void numbers(int columns) {
  int32_t type[4], at[4] = {0, 1, 2, 3};
  tw_dict *dict = tw_dict_new(), *others[6];
  struct tw__keys keys, kept;
  for (int k = 0; k < 6; k++) others[k] = tw_dict_new();
  int dicts = (int)check_below(3);
  model = tw_frame_new(columns, 0);
  for (int k = 0; k < columns; k++) {
    type[k] = (int32_t)(1 + check_below(5));
    if (check_below(3) == 0) type[k] = TW_COL_STRING;
    tw_frame_take(model, k, tw_column_new(type[k], 0, NULL));
  }
  CHECK(tw__keys_init(&keys, type, columns) == TW_OK);
  for (int round = 0; round < 25; round++) {
    int64_t n = check_below(80);
    uint32_t number[80];
    tw_frame *frame = tw_frame_new(columns, 0);
    for (int k = 0; k < columns; k++) {
      tw_dict *one = dicts == 0 ? dict : dicts == 1 ? NULL : others[check_below(6)];
      tw_column *col =
          dicts == 1 && check_below(2) && type[k] == TW_COL_STRING
              ? long_texts(n)
              : made_column(type[k], n, 10, type[k] == TW_COL_STRING ? one : NULL);
      if (type[k] == TW_COL_F64 && n) col->f64[0] = check_below(2) ? 0.0 : -0.0;
      tw_frame_take(frame, k, col);
    }
    int64_t first = check_below(n + 1);
    CHECK(tw__keys_numbers(&keys, frame->column, at, first, n - first, number) ==
          TW_OK);
    for (int64_t i = first; i < n; i++) {
      if (missing(frame, i)) {
        CHECK(number[i - first] == 0);
        continue;
      }
      int64_t want = model_find(frame, i);
      if (!want) {
        CHECK(!tw_frame_append(&model, frame, i, 1));
        want = model->rows;
      }
      CHECKF(number[i - first] == want, "%u, not %lld", number[i - first],
             (long long)want);
    }
    CHECK(keys.count == model->rows);
    tw_frame_release(frame);
    if (check_below(4) == 0) check_order(&keys);
    if (check_below(6)) continue;
    /* some of them in keys of their own */
    uint32_t some[MODEL];
    int64_t m = 0;
    tw_frame *rest = NULL;
    for (uint32_t i = 1; i <= keys.count; i++)
      if (check_below(2)) some[m++] = i;
    if (check_below(2)) tw_mem_fail_at(1 + check_below(30));
    int rc = tw__keys_keep(&kept, &keys, some, m);
    tw_mem_fail_at(0);
    CHECK(rc == TW_OK || rc == TW_ENOMEM);
    if (rc) continue;
    if (check_below(2)) {
      CHECK(!tw__keys_compact(&keys, some, m));
      tw__keys_fini(&kept);
      kept = keys;
      memset(&keys, 0, sizeof keys);
    }
    CHECK(kept.count == m);
    CHECK(!tw_frame_append(&rest, model, 0, 0));
    for (int64_t i = 0; i < m; i++)
      CHECK(!tw_frame_append(&rest, model, some[i] - 1, 1));
    tw__keys_fini(&keys);
    tw_frame_release(model);
    keys = kept;
    model = rest;
  }
  check_order(&keys);
  tw_column *out = NULL;
  for (int k = 0; k < columns; k++) {
    if (keys.count) CHECK(!tw__keys_column(&keys, k, keys.order, keys.ordered, &out));
    for (uint32_t i = 0; i < keys.ordered; i++)
      CHECK(made_same(out, i, model->column[k], keys.order[i] - 1));
  }
  tw_column_release(out);
  tw__keys_fini(&keys);
  tw_frame_release(model);
  tw_dict_release(dict);
  for (int k = 0; k < 6; k++) tw_dict_release(others[k]);
}

/* Long strings that differ late, or in zeros at the end. */
static void sorts_texts(int64_t n, int64_t same) {
  struct tw__keys keys;
  int32_t type[] = {TW_COL_STRING}, at[] = {0};
  tw_column *col = tw_column_new(TW_COL_STRING, n, NULL);
  uint32_t *number = tw__malloc((size_t)n * sizeof *number);
  char *text = tw__calloc((size_t)same + 40, 1);
  for (int64_t i = 0; i < n; i++) {
    memset(text, 'x', (size_t)same);
    int64_t len = same + snprintf(text + same, 32, "%d", (int)check_below(n * 2));
    if (check_below(20) == 0) text[check_below(same + 1)] = 'a';
    if (check_below(20) == 0) text[len++] = 0, len += check_below(12);
    tw_column_put_bytes(col, text, check_below(30) ? len : check_below(len));
    memset(text, 0, (size_t)same + 40);
  }
  CHECK(tw__keys_init(&keys, type, 1) == TW_OK);
  for (int64_t first = 0; first < n;) {
    int64_t count = 1 + check_below(n - first);
    CHECK(!tw__keys_numbers(&keys, &col, at, first, count, number));
    if (check_below(2)) tw_mem_fail_at(1 + check_below(4));
    int rc = tw__keys_sort(&keys);
    tw_mem_fail_at(0);
    CHECK(rc == TW_ENOMEM || rc == TW_OK);
    if (rc) CHECK(tw__keys_sort(&keys) == TW_OK);
    tw_column *out = NULL;
    CHECK(!tw__keys_column(&keys, 0, keys.order, keys.ordered, &out));
    for (int64_t i = 1; i < out->len; i++) CHECK(compare(out, i - 1, i) < 0);
    tw_column_release(out);
    first += count;
  }
  tw__keys_fini(&keys), tw_column_release(col), tw__free(number), tw__free(text);
}

/* Whole numbers near to each other and far, in any order. */
static void whole(int type) {
  static const int64_t far[] = {INT64_MIN, INT64_MAX, (int64_t)1 << 52,
                                -7,        0,         12345678};
  enum { N = 3000 };
  struct tw__keys keys;
  int32_t types[] = {type}, at[] = {0};
  uint32_t number[N];
  int64_t centre = far[2 + check_below(4)], span = 1 + check_below(20000);
  tw_column *col = tw_column_new(type, 0, NULL), *out = NULL;
  for (int64_t i = 0; i < N; i++) {
    int64_t x = centre + check_below(span) - span / 2;
    if (check_below(20) == 0) x = far[check_below(6)];
    if (type == TW_COL_I64)
      tw_column_put_i64(col, x);
    else if (check_below(30) == 0)
      tw_column_put_num(col, check_below(2) ? INFINITY : -INFINITY);
    else
      tw_column_put_num(col, (double)x + (check_below(20) ? 0 : 0.5));
    if (check_below(20) == 0) tw_column_set_null(col, i);
  }
  CHECK(!tw__keys_init(&keys, types, 1));
  for (int64_t first = 0; first < N;) {
    int64_t n = 1 + check_below(N - first);
    if (check_below(2)) tw_mem_fail_at(1 + check_below(20));
    int rc = tw__keys_numbers(&keys, &col, at, first, n, number + first);
    tw_mem_fail_at(0);
    CHECK(rc == TW_OK || rc == TW_ENOMEM);
    if (!rc) first += n;
  }
  int64_t seen = 0;
  for (int64_t i = 0; i < N; i++) {
    CHECK((number[i] == 0) == tw_column_is_null(col, i) && number[i] <= keys.count);
    if (!number[i]) continue;
    CHECK(!tw__keys_column(&keys, 0, &number[i], 1, &out) && made_same(out, 0, col, i));
    seen |= number[i] == keys.count;
  }
  CHECK(seen && !tw__keys_sort(&keys));
  CHECK(!tw__keys_column(&keys, 0, keys.order, keys.ordered, &out));
  for (int64_t i = 1; i < out->len; i++) CHECK(compare(out, i - 1, i) < 0);
  tw__keys_fini(&keys), tw_column_release(col), tw_column_release(out);
}

static void many(void) {
  struct tw__keys keys;
  int32_t type[] = {TW_COL_I64, TW_COL_I64}, at[] = {0, 1};
  tw_column *a = tw_column_new(TW_COL_I64, 100000, NULL),
            *b = tw_column_new(TW_COL_I64, 100000, NULL);
  uint32_t *number = tw__malloc(100000 * sizeof *number);
  for (int64_t i = 0; i < 100000; i++)
    tw_column_put_i64(a, i % 50000), tw_column_put_i64(b, i % 3);
  tw_column *col[] = {a, b};
  CHECK(!tw__keys_init(&keys, type, 2) &&
        !tw__keys_numbers(&keys, col, at, 0, 100000, number));
  CHECK(keys.count == 100000);
  for (uint32_t i = 0; i < 100000; i++) CHECK(number[i] == i + 1);
  tw__keys_fini(&keys), tw_column_release(a), tw_column_release(b), tw__free(number);
}

static void has_an_end_for_memory(void) {
  struct tw__keys keys;
  int32_t type[] = {TW_COL_I64, TW_COL_STRING};
  int64_t before = tw_mem_bytes();
  CHECK(tw__keys_init(&keys, type, 0) == TW_EINVAL);
  for (int n = 1; n <= 4; n++) {
    tw_mem_fail_at(n);
    CHECK(tw__keys_init(&keys, type, 2) == TW_ENOMEM);
  }
  tw_mem_fail_at(0);
  CHECK(tw_mem_bytes() == before);
}

int main(int argc, char **argv) {
  check_open(argc, argv);
  for (int round = 0; round < (check_long ? 300 : 12); round++)
    for (int columns = 1; columns <= 4; columns++) numbers(columns);
  for (int round = 0; round < 4; round++) {
    sorts_texts(2000, 0), sorts_texts(2000, 30);
    sorts_texts(500, 400), sorts_texts(20, 10);
  }
  for (int round = 0; round < 30; round++) whole(round & 1 ? TW_COL_I64 : TW_COL_F64);
  many();
  has_an_end_for_memory();
  return check_close();
}
