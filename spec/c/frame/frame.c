/* frame/frame: rows out of columns, in frames that are written again when nobody holds them. */
#include "made.h"

static tw_dict *dict;

static void rows_of(const tw_frame *out, const tw_frame *from, const int32_t *at,
                    int64_t first, int64_t count) {
  CHECK(out->rows == count && tw_frame_whole(out) && out->schema == from->schema);
  for (int k = 0; k < out->columns; k++) {
    made_check(out->column[k]);
    for (int64_t i = 0; i < count; i++)
      CHECK(made_same(out->column[k], i, from->column[k], at ? at[i] : first + i));
  }
}

static void slices_gathers_tails(void) {
  tw_frame *out = NULL;
  for (int round = 0; round < 100; round++) {
    int64_t n = check_below(60);
    tw_frame *frame = made_frame(n, 10, check_below(2) ? dict : NULL), *kept = NULL;
    int64_t first = check_below(n + 1), count = check_below(n - first + 1);
    int32_t at[60];
    for (int64_t i = 0; i < count; i++) at[i] = (int32_t)check_below(n);
    if (check_below(4) == 0) tw_mem_fail_at(1 + check_below(6));
    int rc = tw_frame_slice(&out, frame, first, count);
    tw_mem_fail_at(0);
    if (!rc) rows_of(out, frame, NULL, first, count);
    if (!rc && check_below(3) == 0) kept = tw_frame_retain(out);
    rc = tw_frame_gather(&out, frame, at, count);
    CHECK(rc == TW_OK && out != kept);
    rows_of(out, frame, at, 0, count);
    if (kept) rows_of(kept, frame, NULL, first, count);
    tw_frame_release(kept);
    CHECK(tw_frame_tail(&out, frame, 5) == TW_OK);
    rows_of(out, frame, NULL, n < 5 ? 0 : n - 5, n < 5 ? n : 5);
    CHECK(tw_frame_slice(&out, frame, 0, n + 1) == TW_EINVAL);
    tw_frame_release(frame);
  }
  tw_frame_release(out);
}

static void appends(void) {
  for (int round = 0; round < 20; round++) {
    tw_frame *to = NULL, *want = NULL, *kept = NULL, *copy = NULL;
    for (int k = 0; k < 12; k++) {
      int64_t n = check_below(30);
      tw_frame *frame = made_frame(n, 10, check_below(2) ? dict : NULL);
      int64_t first = check_below(n + 1), rows = want ? want->rows : 0;
      while (tw_frame_append(&want, frame, first, n - first)) {
      }
      for (;;) {
        if (check_below(2)) tw_mem_fail_at(1 + check_below(25));
        int rc = tw_frame_append(&to, frame, first, n - first);
        tw_mem_fail_at(0);
        if (!rc) break;
        CHECK(rc == TW_ENOMEM && (to ? to->rows : 0) == rows);
        for (int c = 0; to && c < to->columns; c++) made_check(to->column[c]);
      }
      CHECK(tw_frame_whole(to) && tw_frame_equal(to, want));
      if (kept) CHECK(tw_frame_equal(kept, copy));
      if (check_below(4) == 0) {
        tw_frame_release(kept);
        kept = tw_frame_retain(to);
        CHECK(!tw_frame_slice(&copy, to, 0, to->rows));
      }
      tw_frame_release(frame);
    }
    CHECK(tw_frame_bytes(to) > to->rows * 20);
    tw_frame_release(to), tw_frame_release(want);
    tw_frame_release(kept), tw_frame_release(copy);
  }
}

static void takes_and_shares_columns(void) {
  tw_frame *a = made_frame(3, 0, dict), *b = NULL;
  CHECK(tw_frame_renew(&b, 2, 9) == TW_OK && b->schema == 9 && b->rows == 0);
  CHECK(!tw_frame_whole(b));
  tw_frame_set(b, 0, a->column[1]);
  tw_frame_set(b, 1, a->column[1]);
  CHECK(a->column[1]->refs == 3 && b->rows == 3 && tw_frame_whole(b));
  tw_frame_set(b, 1, a->column[0]);
  CHECK(a->column[1]->refs == 2);
  tw_frame *same = b;
  CHECK(tw_frame_renew(&b, 1, 9) == TW_OK && b == same && a->column[0]->refs == 1);
  CHECK(tw_frame_renew(&b, 2, 9) == TW_OK && b == same && b->column[1] == NULL);
  CHECK(tw_frame_renew(&b, 12, 9) == TW_OK && b->columns == 12 && !b->column[0]);
  tw_frame_set(b, 11, NULL);
  CHECK(tw_frame_new(-1, 0) == NULL && tw_frame_renew(&b, -1, 0) == TW_EINVAL);
  CHECK(tw_frame_append(&b, a, 0, 3) == TW_ETYPE &&
        tw_frame_append(&b, a, 2, 2) == TW_EINVAL);
  CHECK(!tw_frame_equal(a, b));
  tw_frame_release(a), tw_frame_release(b), tw_frame_release(NULL);
}

static void has_an_end_for_memory(void) {
  int64_t before = tw_mem_bytes();
  tw_mem_fail_at(1);
  CHECK(tw_frame_new(2, 0) == NULL);
  tw_mem_fail_at(0);
  CHECK(tw_mem_bytes() == before);
}

int main(int argc, char **argv) {
  check_open(argc, argv);
  dict = tw_dict_new();
  slices_gathers_tails();
  appends();
  takes_and_shares_columns();
  has_an_end_for_memory();
  tw_dict_release(dict);
  return check_close();
}
