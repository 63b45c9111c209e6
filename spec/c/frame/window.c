/* frame/window: the last rows, or those of a stretch of the index, late ones in their place. */
#include "made.h"

enum { ROWS = 4000 };

/* What has come so far, in the order of the window: (frame, row). */
static struct row {
  double index;
  int64_t id;
} held[ROWS];
static int64_t count;

static int64_t next_id;

/* index, id, text and a flag that is missing now and then. */
static tw_frame *batch(int type, int64_t n, double *clock, double jitter, int gaps) {
  tw_frame *frame = tw_frame_new(4, 3);
  tw_column *index = tw_column_new(type, 0, NULL),
            *id = tw_column_new(TW_COL_I64, 0, NULL);
  tw_column *text = made_column(TW_COL_STRING, n, 10, NULL);
  tw_column *flag = made_column(TW_COL_BOOL, n, 10, NULL);
  for (int64_t i = 0; i < n; i++) {
    *clock += (double)check_below(3);
    double x = *clock - (check_below(4) ? 0 : floor(check_unit() * jitter));
    if (check_below(100) < gaps)
      tw_column_put_null(index);
    else
      tw_column_put_num(index, x);
    tw_column_put_i64(id, next_id++);
  }
  tw_frame_take(frame, 0, id), tw_frame_take(frame, 1, text);
  tw_frame_take(frame, 2, flag), tw_frame_take(frame, 3, index);
  return frame;
}

static void insert(double index, int64_t id) {
  int64_t at = count++;
  CHECK(count < ROWS);
  for (; at > 0 && held[at - 1].index > index; at--) held[at] = held[at - 1];
  held[at] = (struct row){index, id};
}

static double index_of(const tw_column *col, int64_t i) {
  if (tw_column_is_null(col, i)) return NAN;
  if (col->type == TW_COL_F64) return col->f64[i];
  return col->type == TW_COL_I64 ? (double)col->i64[i] : (double)col->i64[i] / 1e9;
}

static void same_rows(const tw_frame *store, int64_t first, int64_t n,
                      const struct row *want, const char *what) {
  for (int64_t i = 0; i < n; i++)
    CHECKF(store->column[0]->i64[first + i] == want[i].id,
           "%s row %lld: %lld, not %lld", what, (long long)i,
           (long long)store->column[0]->i64[first + i], (long long)want[i].id);
}

static tw_frame *all[400]; /* every batch, to find the cells of a row again */
static int64_t first_id[400];
static int batches;

static void same_cells(const tw_frame *store, int64_t first, int64_t n) {
  for (int64_t i = first; i < first + n; i++) {
    int64_t id = store->column[0]->i64[i];
    int b = 0;
    while (b + 1 < batches && first_id[b + 1] <= id) b++;
    for (int k = 0; k < 4; k++)
      CHECK(made_same(store->column[k], i, all[b]->column[k], id - first_id[b]));
  }
}

/* A frame that is taken back leaves no trace. */
static void comes_and_goes(tw_window *win, const tw_frame *frame) {
  tw_frame *before = NULL, *after = NULL;
  int64_t rows = win->rows;
  int rc = win->store ? tw_window_rows(win, &before) : TW_OK;
  CHECK(!rc && !tw_window_add(win, frame));
  do {
    if (check_below(3) == 0) tw_mem_fail_at(1 + check_below(8));
    rc = tw_window_undo(win);
    tw_mem_fail_at(0);
    CHECK(rc == TW_OK || rc == TW_ENOMEM);
  } while (rc);
  CHECK(win->rows == rows && !win->left && tw_window_undo(win) == TW_EINVAL);
  CHECK(!tw_window_rows(win, &after) && (!before || tw_frame_equal(before, after)));
  tw_frame_release(before), tw_frame_release(after);
}

static void agrees(tw_window *win, int64_t n, double value, int type, int through,
                   double jitter) {
  double clock = 1000;
  static struct row gone[ROWS];
  win->through = through;
  count = next_id = batches = 0;
  for (int round = 0; round < 60; round++) {
    int64_t rows = check_below(3) ? check_below(6) : check_below(60);
    int64_t from = next_id, before = count, left = 0, came = 0;
    tw_frame *frame = batch(type, rows, &clock, check_below(2) ? jitter : 0, n ? 0 : 5);
    if (check_below(3) == 0) comes_and_goes(win, frame);
    first_id[batches] = from;
    all[batches++] = frame;
    int rc;
    do {
      if (check_below(3) == 0) tw_mem_fail_at(1 + check_below(20));
      rc = tw_window_add(win, frame);
      tw_mem_fail_at(0);
      CHECK(rc == TW_OK || rc == TW_ENOMEM);
      if (rc) {
        CHECK(win->rows == before);
        if (win->store) same_rows(win->store, win->first, win->rows, held, "failed");
      }
    } while (rc);
    double max = count ? held[count - 1].index : -INFINITY;
    for (int64_t i = 0; i < rows; i++) {
      double x = index_of(frame->column[3], i);
      if (n) x = (double)(from + i);
      if (x != x) continue;
      came++;
      insert(x, from + i);
      if (x > max) max = x;
    }
    while (left < count && (n ? count - left > n : held[left].index <= max - value))
      left++;
    memcpy(gone, held, (size_t)left * sizeof *gone);
    count -= left;
    memmove(held, held + left, (size_t)count * sizeof *held);
    CHECK(win->rows == count);
    same_rows(win->store, win->first, count, held, "held");
    same_cells(win->store, win->first, count);
    CHECK(win->left_first + win->left == win->first);
    if (through) { /* everything is shown */
      CHECKF(win->left == left && win->came_rows == came, "%lld %lld",
             (long long)win->left, (long long)left);
      same_rows(win->store, win->left_first, left, gone, "left");
    } else { /* of what comes and leaves at once neither need be shown */
      int64_t shown = win->left - win->came_rows;
      CHECK(shown == left - came && win->left <= left);
    }
    if (win->anew)
      for (int64_t i = 0; i < count; i++) CHECK(held[i].id >= from);
    if (check_below(10) == 0) {
      tw_window *copy = tw_window_copy(win);
      tw_frame *a = NULL, *b = NULL;
      CHECK(copy && !tw_window_rows(win, &a) && !tw_window_rows(copy, &b));
      CHECK(tw_frame_equal(a, b) && a->rows == count);
      tw_frame_release(a), tw_frame_release(b);
      tw_window_close(win);
      win = copy;
    }
  }
  while (batches) tw_frame_release(all[--batches]);
  tw_window_close(win);
}

static void refuses(void) {
  CHECK(!tw_window_open(0) && !tw_window_open_value(0, 1) &&
        !tw_window_open_value(NAN, 1));
  CHECK(!tw_window_open_value(1, -1) && !tw_window_open_value(INFINITY, 0));
  tw_frame *a = made_frame(3, 0, NULL), *b = tw_frame_new(1, 0), *out = NULL;
  tw_window *win = tw_window_open_value(1, 3);
  CHECK(tw_window_undo(win) == TW_EINVAL);
  CHECK(tw_window_add(win, a) == TW_ETYPE && tw_window_rows(win, &out) == TW_EINVAL);
  tw_window_close(win);
  win = tw_window_open(4);
  tw_frame_set(b, 0, a->column[0]);
  CHECK(tw_window_add(win, b) == TW_OK && tw_window_add(win, a) == TW_ETYPE &&
        win->rows == 3);
  tw_window_close(win), tw_window_close(NULL);
  tw_frame_release(a), tw_frame_release(b);
  tw_mem_fail_at(1);
  CHECK(!tw_window_open(3));
  tw_mem_fail_at(0);
}

int main(int argc, char **argv) {
  check_open(argc, argv);
  for (int round = 0; round < (check_long ? 300 : 20); round++) {
    int64_t n = 1 + check_below(40);
    double value = (double)(1 + check_below(40));
    int type = (int[]){TW_COL_F64, TW_COL_I64, TW_COL_TIMESTAMP}[check_below(3)];
    agrees(tw_window_open(n), n, 0, type, (int)check_below(2), 0);
    agrees(tw_window_open_value(value, 3), 0, value, type, (int)check_below(2),
           check_below(2) ? 0 : 2 * value);
  }
  refuses();
  return check_close();
}
