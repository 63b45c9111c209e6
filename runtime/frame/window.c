/* window.c -- the rows of a window, in order, and which of them came and left.
 *
 * They stand in one frame; new ones are appended, old ones stay in front of the window
 * until there are more of them than of the others:
 *
 *     store  | gone | gone | left | left | row | row | row |        came: the last two
 *                            ^ left_first  ^ first   (rows = 3)
 *
 * A late batch is sorted and merged with the rows that belong behind its first one.
 */
#include "frame/window.h"
#include "core/mem.h"
#include "frame/column.h"

#include <math.h>
#include <string.h>

enum { GONE_MIN = 64, NAMES_MIN = 256 };

struct window {
  tw_window pub;
  int64_t n; /* the last n rows; 0: by value */
  double value;
  int64_t span; /* of an integer index: max - x < span */
  int late;     /* the last rows came by way of `sorted` */
  int index;
  tw_frame *came, *sorted, *merged; /* scratch */
  uint8_t *own;                     /* of each column: nobody else adds to its dict */
  int32_t *at;                      /* scratch, 2 * at_room */
  int64_t at_room;
};

static struct window *window_new(void) {
  return tw__calloc(1, sizeof(struct window));
}

tw_window *tw_window_open(int64_t n) {
  struct window *w = n < 1 ? NULL : window_new();
  if (!w) return NULL;
  w->n = n;
  w->index = -1;
  return &w->pub;
}

tw_window *tw_window_open_value(double value, int index) {
  struct window *w = !(value > 0) || isinf(value) || index < 0 ? NULL : window_new();
  if (!w) return NULL;
  w->value = value;
  w->index = index;
  return &w->pub;
}

void tw_window_close(tw_window *win) {
  struct window *w = (struct window *)win;
  if (!w) return;
  tw_frame_release(w->pub.store);
  tw_frame_release(w->came);
  tw_frame_release(w->sorted);
  tw_frame_release(w->merged);
  tw__free(w->own);
  tw__free(w->at);
  tw__free(w);
}

/* ---- the store ---- */

static int check_types(struct window *w, const tw_frame *frame) {
  const tw_frame *store = w->pub.store;
  if (w->index >= frame->columns) return TW_ETYPE;
  if (store && store->columns != frame->columns) return TW_ETYPE;
  for (int k = 0; store && k < frame->columns; k++)
    if (store->column[k]->type != frame->column[k]->type) return TW_ETYPE;
  if (w->n) return TW_OK;
  int type = frame->column[w->index]->type;
  double span = type == TW_COL_TIMESTAMP ? rint(w->value * 1e9) : ceil(w->value);
  if (type == TW_COL_STRING || type == TW_COL_BOOL) return TW_ETYPE;
  w->span = span < 0x1p63 ? (int64_t)span : INT64_MAX;
  return TW_OK;
}

/* Takes away what was in front of the window, when that is worth while. */
static void sweep(tw_window *win) {
  int64_t gone = win->first;
  win->left = win->came_rows = 0;
  win->left_first = gone;
  if (gone < GONE_MIN || gone < win->rows) return;
  for (int k = 0; k < win->store->columns; k++)
    tw__column_shift(win->store->column[k], gone);
  win->store->rows -= gone;
  win->first = win->left_first = 0;
}

/* Gives a string column of the store a dict of its own, with the strings that it has now. */
static int rename_strings(tw_column *col) {
  tw_dict *dict = tw_dict_new();
  uint32_t *code = tw__malloc((size_t)col->len * sizeof *code);
  int64_t number = dict && code ? 0 : TW_ENOMEM;
  for (int64_t i = 0; number >= 0 && i < col->len; i++) {
    int64_t len;
    const char *text = tw_column_text(col, i, &len);
    number = text ? tw_dict_add(dict, text, len) : 0;
    code[i] = (uint32_t)number;
  }
  if (number >= 0) {
    memcpy(col->code, code, (size_t)col->len * sizeof *code);
    tw_dict_release(col->dict);
    col->dict = dict;
  } else {
    tw_dict_release(dict);
  }
  tw__free(code);
  return number < 0 ? TW_ENOMEM : TW_OK;
}

/* While all strings are of one dict the store shares it. When they are not, it has its
 * own, which is made anew when most of its strings have left the window. */
static int check_strings(struct window *w, const tw_frame *frame, int64_t count) {
  const tw_frame *store = w->pub.store;
  for (int k = 0; k < store->columns && count; k++) {
    tw_column *col = store->column[k];
    if (col->type != TW_COL_STRING || col->dict == frame->column[k]->dict) continue;
    if (!col->len) {
      tw_dict_release(col->dict);
      col->dict = tw_dict_retain(frame->column[k]->dict);
      w->own[k] = 0;
      continue;
    }
    if (w->own[k] && col->dict->count < NAMES_MIN + 4 * col->len) continue;
    if (rename_strings(col)) return TW_ENOMEM;
    w->own[k] = 1;
  }
  return TW_OK;
}

static int put(struct window *w, const tw_frame *frame, int64_t first, int64_t count) {
  if (check_strings(w, frame, count)) return TW_ENOMEM;
  return tw_frame_append(&w->pub.store, frame, first, count);
}

static int begin_store(struct window *w, const tw_frame *frame) {
  size_t columns = (size_t)frame->columns;
  if (!w->own) w->own = tw__calloc(columns ? columns : 1, 1);
  return w->own ? tw_frame_append(&w->pub.store, frame, 0, 0) : TW_ENOMEM;
}

tw_window *tw_window_copy(const tw_window *win) {
  const struct window *w = (const struct window *)win;
  struct window *copy = window_new();
  if (!copy) return NULL;
  copy->n = w->n, copy->value = w->value, copy->index = w->index, copy->span = w->span;
  copy->pub.rows = win->rows;
  copy->pub.through = win->through;
  if (!win->store ||
      !(tw_window_rows(win, &copy->pub.store) || begin_store(copy, win->store)))
    return &copy->pub;
  tw_window_close(&copy->pub);
  return NULL;
}

int tw_window_rows(const tw_window *win, tw_frame **out) {
  if (!win->store) return TW_EINVAL;
  return tw_frame_slice(out, win->store, win->first, win->rows);
}

/* The window begins at row first now, of which it has had those up to old_end before. */
static void move_on(tw_window *win, int64_t first, int64_t old_end) {
  win->left_first = win->first;
  win->left = first - win->first;
  win->first = first;
  win->rows = win->store->rows - first;
  win->anew = first >= old_end;
}

static int add_rows(struct window *w, const tw_frame *frame) {
  tw_window *win = &w->pub;
  int64_t skip = frame->rows > w->n && !win->through ? frame->rows - w->n : 0;
  int64_t end = win->first + win->rows;
  int rc = put(w, frame, skip, frame->rows - skip);
  if (rc) return rc;
  win->came = frame;
  win->came_first = skip;
  win->came_rows = frame->rows - skip;
  int64_t first = win->store->rows - w->n;
  move_on(win, first > win->first ? first : win->first, end);
  return TW_OK;
}

/* ---- the index ---- */

/* Whether there is an index at all in row i. */
static inline int has_index(const tw_column *col, int64_t i) {
  if (col->type == TW_COL_F64) return col->f64[i] - col->f64[i] == 0;
  return !col->valid || tw__column_bit(col->valid, i);
}

/* Whether row i of a comes before row j of b. */
static inline int before(const tw_column *a, int64_t i, const tw_column *b, int64_t j) {
  return a->type == TW_COL_F64 ? a->f64[i] < b->f64[j] : a->i64[i] < b->i64[j];
}

/* Whether row i of col is too old beside row `max` of newest. */
static inline int too_old(const struct window *w, const tw_column *col, int64_t i,
                          const tw_column *newest, int64_t max) {
  if (col->type == TW_COL_F64) return !(col->f64[i] > newest->f64[max] - w->value);
  return (uint64_t)newest->i64[max] - (uint64_t)col->i64[i] >= (uint64_t)w->span;
}

/* The first of rows i .. end - 1, sorted, that is not too old, or end: in steps that
 * double, then by halves. */
static int64_t first_young(const struct window *w, const tw_column *col, int64_t i,
                           int64_t end, const tw_column *newest, int64_t max) {
  int64_t step = 1;
  while (i < end && too_old(w, col, i, newest, max)) {
    int64_t next = i + step < end ? i + step : end;
    if (next < end && too_old(w, col, next, newest, max)) {
      i = next;
      step *= 2;
      continue;
    }
    for (i++; i < next;) {
      int64_t half = i + (next - i) / 2;
      if (too_old(w, col, half, newest, max))
        i = half + 1;
      else
        next = half;
    }
    return next;
  }
  return i;
}

/* The first of rows i .. end - 1 that comes after row j of other. */
static int64_t first_after(const tw_column *col, int64_t i, int64_t end,
                           const tw_column *other, int64_t j) {
  while (i < end) {
    int64_t half = i + (end - i) / 2;
    if (before(other, j, col, half))
      end = half;
    else
      i = half + 1;
  }
  return i;
}

const int64_t *tw__window_keys(const tw_window *win, const tw_frame *frame,
                               int64_t first, int64_t n, int64_t *spare) {
  const struct window *w = (const struct window *)win;
  if (w->n) return NULL;
  const tw_column *col = frame->column[w->index];
  if (col->type != TW_COL_F64) return col->i64 + first;
  for (int64_t i = 0; i < n; i++) {
    double x = col->f64[first + i] + 0.0;
    int64_t bits;
    memcpy(&bits, &x, sizeof bits);
    spare[i] = bits ^ (int64_t)((uint64_t)(bits >> 63) >> 1);
  }
  return spare;
}

const tw_frame *tw__window_fresh(const tw_window *win, int64_t *first, int64_t *rows) {
  const struct window *w = (const struct window *)win;
  *rows = win->came_rows;
  *first = w->late ? win->came_first : win->store->rows - win->came_rows;
  return w->late ? win->came : win->store;
}

/* ---- by value, in order ---- */

static int in_order(const tw_window *win, const tw_column *col, int index) {
  int64_t n = col->len;
  if (!n) return 1;
  if (!has_index(col, 0)) return 0;
  if (win->rows) {
    const tw_column *own = win->store->column[index];
    if (before(col, 0, own, win->first + win->rows - 1)) return 0;
  }
  int falls = 0;
  if (col->type == TW_COL_F64) {
    for (int64_t i = 1; i < n; i++) falls |= !(col->f64[i] >= col->f64[i - 1]);
    return !falls && has_index(col, n - 1);
  }
  for (int64_t i = 1; i < n; i++) falls |= col->i64[i] < col->i64[i - 1];
  return !falls && (!col->valid || !col->nulls);
}

static int add_in_order(struct window *w, const tw_frame *frame) {
  tw_window *win = &w->pub;
  const tw_column *col = frame->column[w->index];
  int64_t n = frame->rows, end = win->first + win->rows, skip = 0;
  if (n && !win->through) skip = first_young(w, col, 0, n, col, n - 1);
  int rc = put(w, frame, skip, n - skip);
  if (rc) return rc;
  win->came = frame;
  win->came_first = skip;
  win->came_rows = n - skip;
  const tw_column *own = win->store->column[w->index];
  int64_t first = win->first, stop = win->store->rows;
  if (n) first = first_young(w, own, first, stop, own, stop - 1);
  move_on(win, first, end);
  return TW_OK;
}

/* ---- by value, late rows ---- */

static int reserve_at(struct window *w, int64_t n) {
  if (n <= w->at_room) return TW_OK;
  if (n > INT32_MAX / 4) return TW_ENOMEM;
  n += n / 2 + 16;
  int32_t *at = tw__realloc(w->at, 2 * (size_t)n * sizeof *at);
  if (!at) return TW_ENOMEM;
  w->at = at;
  w->at_room = n;
  return TW_OK;
}

/* Sorts positions by the index, equal ones as they stand. */
static void sort(int32_t *at, int64_t n, int32_t *spare, const tw_column *col) {
  for (int64_t width = 1; width < n; width *= 2)
    for (int64_t i = 0; i + width < n; i += 2 * width) {
      int64_t m = i + width, end = n < i + 2 * width ? n : i + 2 * width;
      if (!before(col, at[m], col, at[m - 1])) continue;
      memcpy(spare, &at[i], (size_t)width * sizeof *at);
      int64_t a = 0, b = m, to = i;
      while (a < width && b < end)
        at[to++] = before(col, at[b], col, spare[a]) ? at[b++] : spare[a++];
      memcpy(&at[to], &spare[a], (size_t)(width - a) * sizeof *at);
    }
}

/* Makes win->came the rows that have an index, and w->sorted these in their order. */
static int sort_batch(struct window *w, const tw_frame *frame) {
  const tw_column *col = frame->column[w->index];
  int64_t n = 0;
  if (reserve_at(w, frame->rows)) return TW_ENOMEM;
  for (int64_t i = 0; i < frame->rows; i++)
    if (has_index(col, i)) w->at[n++] = (int32_t)i;
  const tw_frame *came = frame;
  if (n < frame->rows) {
    int rc = tw_frame_gather(&w->came, frame, w->at, n);
    if (rc) return rc;
    came = w->came;
  }
  sort(w->at, n, w->at + w->at_room, col);
  int rc = tw_frame_gather(&w->sorted, frame, w->at, n);
  w->pub.came = came;
  return rc;
}

static void truncate(tw_frame *frame, int64_t rows) {
  for (int k = 0; k < frame->columns; k++) tw__column_truncate(frame->column[k], rows);
  frame->rows = rows;
}

/* Merges rows p .. end - 1 of the store with the sorted ones from end on. */
static int merge(struct window *w, int64_t p, int64_t end) {
  tw_frame *store = w->pub.store;
  const tw_column *col = store->column[w->index];
  int64_t a = p, b = end, n = 0;
  if (reserve_at(w, store->rows - p)) return TW_ENOMEM;
  while (a < end && b < store->rows)
    w->at[n++] = (int32_t)(before(col, b, col, a) ? b++ : a++);
  while (a < end) w->at[n++] = (int32_t)a++;
  while (b < store->rows) w->at[n++] = (int32_t)b++;
  int rc = tw_frame_gather(&w->merged, store, w->at, n);
  if (rc) return rc;
  truncate(store, p);
  return tw_frame_append(&w->pub.store, w->merged, 0, n); /* there is place */
}

static int add_late(struct window *w, const tw_frame *frame) {
  tw_window *win = &w->pub;
  int64_t end = win->first + win->rows;
  int rc = sort_batch(w, frame);
  if (!rc) rc = put(w, w->sorted, 0, w->sorted->rows);
  if (rc) return rc;
  if (w->sorted->rows) {
    const tw_column *own = win->store->column[w->index];
    int64_t p = first_after(own, win->first, end, w->sorted->column[w->index], 0);
    if (p < end) rc = merge(w, p, end);
    if (rc) {
      truncate(win->store, end);
      return rc;
    }
  }
  win->came_first = 0;
  win->came_rows = win->came->rows;
  w->late = 1;
  const tw_column *own = win->store->column[w->index];
  int64_t first = win->first, stop = win->store->rows;
  if (stop > first) first = first_young(w, own, first, stop, own, stop - 1);
  int anew = win->rows == 0;
  move_on(win, first, end);
  win->anew = anew;
  return TW_OK;
}

int tw_window_add(tw_window *win, const tw_frame *frame) {
  struct window *w = (struct window *)win;
  int rc = check_types(w, frame);
  if (!rc && !win->store) rc = begin_store(w, frame);
  if (rc) return rc;
  if (win->store->rows > INT32_MAX / 4 - frame->rows) return TW_ENOMEM;
  sweep(win);
  win->anew = 0;
  win->came = NULL;
  w->late = 0;
  if (w->n) return add_rows(w, frame);
  if (in_order(win, frame->column[w->index], w->index)) return add_in_order(w, frame);
  return add_late(w, frame);
}

/* ---- taking back ---- */

/* Makes w->at the rows p .. end - 1 of the store that did not come with w->sorted, and
 * returns how many; among equal ones those that came last stand last. */
static int64_t older(const struct window *w, int64_t p, int64_t end) {
  const tw_column *col = w->pub.store->column[w->index];
  const tw_column *late = w->sorted->column[w->index];
  int64_t n = end - p - w->sorted->rows, k = n, j = w->sorted->rows;
  for (int64_t i = end; i > p; i--)
    if (j && !before(late, j - 1, col, i - 1) && !before(col, i - 1, late, j - 1))
      j--;
    else
      w->at[--k] = (int32_t)(i - 1);
  return n;
}

static int take_late(struct window *w) {
  tw_window *win = &w->pub;
  int64_t p = win->left_first, end = win->store->rows;
  if (reserve_at(w, end - p)) return TW_ENOMEM;
  int64_t n = older(w, p, end);
  int rc = tw_frame_gather(&w->merged, win->store, w->at, n);
  if (rc) return rc;
  truncate(win->store, p);
  return tw_frame_append(&win->store, w->merged, 0, n); /* there is place */
}

int tw_window_undo(tw_window *win) {
  struct window *w = (struct window *)win;
  if (!win->store || !win->came) return TW_EINVAL;
  if (w->late) {
    int rc = take_late(w);
    if (rc) return rc;
  } else {
    truncate(win->store, win->store->rows - win->came_rows);
  }
  win->first = win->left_first;
  win->rows = win->store->rows - win->first;
  win->left = win->came_rows = 0;
  win->came = NULL;
  return TW_OK;
}
