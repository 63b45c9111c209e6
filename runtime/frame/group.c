/* group.c -- aggregates of the rows that have equal keys, also of windows.
 *
 * A batch goes through in pieces: each row gets the number of its group (keys.h, 0 when a
 * key is missing: cell 0 takes what nobody asks for), then each aggregate takes its column
 * in by these numbers (cells.h). Live groups count their rows; those without any are not
 * shown, and go when most of them are so.
 *
 * The last result is kept: while the groups are the same ones its key columns are good
 * for the next one too, and when few rows came in between only their cells are written.
 */
#include "core/mem.h"
#include "frame/cells.h"
#include "frame/column.h"
#include "frame/keys.h"
#include "frame/window.h"

#include <string.h>

enum { PIECE = 8192, ORDERED = 512, NUMBERS_MIN = 64 };

struct tw_group {
  int keys, cols, live;
  int32_t *key, *col, *agg; /* one block */
  double ddof;
  int ready; /* the types are known */
  int32_t key_type[TW__KEYS_MAX];
  struct tw__keys known;
  struct tw__cells *cells;
  int64_t *rows, rows_room; /* of each number, when live */
  int64_t alive;            /* groups with rows */
  uint32_t *number;         /* of a piece */
  tw_frame *last;           /* the last result; NULL: none that could be used */
  int same;                 /* groups have neither come nor gone since */
  uint32_t *shown, *place;  /* numbers in the last result; where each number is */
  int64_t shown_room;
  uint32_t *touched; /* numbers of rows since the last result */
  int64_t touches;   /* TOO_MANY: not known */
};

enum { TOUCHED_ROOM = 4096, TOO_MANY = -1 };

/* ---- open, close ---- */

tw_group *tw_group_open(const int32_t *key, int keys, const int32_t *col,
                        const int32_t *agg, int cols, double ddof, int live) {
  if (keys < 1 || keys > TW__KEYS_MAX || cols < 0) return NULL;
  tw_group *g = tw__calloc(1, sizeof *g);
  if (!g) return NULL;
  g->keys = keys, g->cols = cols, g->live = live, g->ddof = ddof;
  g->key = tw__calloc((size_t)(keys + 2 * cols), sizeof *g->key);
  g->cells = tw__calloc((size_t)cols, sizeof *g->cells);
  g->number = tw__malloc(PIECE * sizeof *g->number);
  g->touched = tw__malloc(TOUCHED_ROOM * sizeof *g->touched);
  if (!g->key || !g->cells || !g->number || !g->touched) goto fail;
  g->col = g->key + keys;
  g->agg = g->col + cols;
  memcpy(g->key, key, (size_t)keys * sizeof *key);
  if (cols) memcpy(g->col, col, (size_t)cols * sizeof *col);
  if (cols) memcpy(g->agg, agg, (size_t)cols * sizeof *agg);
  for (int k = 0; k < keys; k++)
    if (key[k] < 0) goto fail;
  for (int k = 0; k < cols; k++) {
    if (col[k] < 0 && agg[k] != TW_AGG_SIZE) goto fail;
    struct tw__cells probe;
    if (tw__cells_init(&probe, agg[k], TW_COL_F64, ddof, live)) goto fail;
  }
  return g;

fail:
  tw_group_close(g);
  return NULL;
}

static void fini_state(tw_group *g) {
  for (int k = 0; k < g->cols && g->cells; k++) tw__cells_fini(&g->cells[k]);
  tw__keys_fini(&g->known);
}

void tw_group_close(tw_group *g) {
  if (!g) return;
  fini_state(g);
  tw_frame_release(g->last);
  tw__free(g->key);
  tw__free(g->cells);
  tw__free(g->rows);
  tw__free(g->number);
  tw__free(g->shown);
  tw__free(g->place);
  tw__free(g->touched);
  tw__free(g);
}

static void forget_result(tw_group *g) {
  tw_frame_release(g->last);
  g->last = NULL;
  g->same = 0;
}

static int type_at(const tw_frame *frame, int at) {
  return at >= 0 && at < frame->columns && frame->column[at] ? frame->column[at]->type
                                                             : 0;
}

static int get_ready(tw_group *g, const tw_frame *frame) {
  for (int k = 0; k < g->keys; k++) {
    g->key_type[k] = type_at(frame, g->key[k]);
    if (!g->key_type[k]) return TW_ETYPE;
  }
  for (int k = 0; k < g->cols; k++) {
    int type = type_at(frame, g->agg[k] == TW_AGG_SIZE ? g->key[0] : g->col[k]);
    int rc = tw__cells_init(&g->cells[k], g->agg[k], type, g->ddof, g->live);
    if (rc) return rc;
  }
  int rc = tw__keys_init(&g->known, g->key_type, g->keys);
  g->ready = !rc;
  return rc;
}

void tw_group_clear(tw_group *g) {
  fini_state(g);
  forget_result(g);
  g->ready = 0;
  g->alive = 0;
  if (g->rows) memset(g->rows, 0, (size_t)g->rows_room * sizeof *g->rows);
}

int64_t tw_group_count(const tw_group *g) {
  return g->live ? g->alive : g->known.count;
}

/* ---- rows ---- */

/* Cells and counters for all numbers that were given. */
static int reserve(tw_group *g) {
  int64_t room = (int64_t)g->known.count + 1;
  for (int k = 0; k < g->cols; k++)
    if (tw__cells_reserve(&g->cells[k], room)) return TW_ENOMEM;
  if (!g->live || room <= g->rows_room) return TW_OK;
  room = 2 * room;
  int64_t *rows = tw__realloc(g->rows, (size_t)room * sizeof *rows);
  if (!rows) return TW_ENOMEM;
  memset(rows + g->rows_room, 0, (size_t)(room - g->rows_room) * sizeof *rows);
  g->rows = rows;
  g->rows_room = room;
  return TW_OK;
}

static void touch(tw_group *g, int64_t n) {
  if (g->touches == TOO_MANY || !n) return;
  if (!g->same || n > TOUCHED_ROOM - g->touches || g->touches + n > g->known.count) {
    g->touches = TOO_MANY;
    return;
  }
  memcpy(g->touched + g->touches, g->number, (size_t)n * sizeof *g->touched);
  g->touches += n;
}

static int find_groups(tw_group *g, const tw_frame *frame, int64_t first, int64_t n) {
  uint32_t before = g->known.count;
  int rc = tw__keys_numbers(&g->known, frame->column, g->key, first, n, g->number);
  if (!rc) rc = reserve(g);
  if (g->known.count != before) g->same = 0;
  return rc;
}

/* Row counters of groups that get rows; number 0 is none. */
static void count_in(tw_group *g, int64_t n) {
  int64_t born = 0;
  g->rows[0] = 1;
  for (int64_t i = 0; i < n; i++) born += !g->rows[g->number[i]]++;
  g->alive += born;
  if (born) g->same = 0;
}

static void count_out(tw_group *g, int64_t n) {
  int64_t dead = 0;
  g->rows[0] = INT64_MAX;
  for (int64_t i = 0; i < n; i++) dead += !--g->rows[g->number[i]];
  g->alive -= dead;
  if (dead) g->same = 0;
}

/* Minimum and maximum ask where in the window the rows stand. */
static int add_ordered(tw_group *g, int k, const tw_frame *frame, int64_t first,
                       int64_t n, const tw_window *win) {
  int64_t spare[ORDERED];
  const tw_column *col = frame->column[g->col[k]];
  for (int64_t i = 0; i < n; i += ORDERED) {
    int64_t rows = n - i < ORDERED ? n - i : ORDERED;
    const int64_t *key = tw__window_keys(win, frame, first + i, rows, spare);
    if (tw__cells_add(&g->cells[k], g->number + i, col, first + i, rows, key))
      return TW_ENOMEM;
  }
  return TW_OK;
}

/* win: whose order of rows counts; NULL: that of coming. */
static int add_piece(tw_group *g, const tw_frame *frame, int64_t first, int64_t n,
                     const tw_window *win) {
  int rc = find_groups(g, frame, first, n);
  if (rc) return rc;
  if (g->live) count_in(g, n);
  touch(g, n);
  for (int k = 0; !rc && k < g->cols; k++) {
    int at = g->agg[k] == TW_AGG_SIZE ? g->key[0] : g->col[k];
    if (win && (g->agg[k] == TW_AGG_MIN || g->agg[k] == TW_AGG_MAX))
      rc = add_ordered(g, k, frame, first, n, win);
    else
      rc = tw__cells_add(&g->cells[k], g->number, frame->column[at], first, n, NULL);
  }
  return rc;
}

static int drop_piece(tw_group *g, const tw_frame *frame, int64_t first, int64_t n) {
  int rc = find_groups(g, frame, first, n);
  if (rc) return rc;
  count_out(g, n);
  touch(g, n);
  for (int k = 0; k < g->cols; k++)
    tw__cells_drop(&g->cells[k], g->number,
                   frame->column[g->agg[k] == TW_AGG_SIZE ? g->key[0] : g->col[k]],
                   first, n);
  return TW_OK;
}

/* A column that had no values so far has got its type. */
static int retype(tw_group *g, struct tw__cells *cells, int type) {
  struct tw__cells other;
  int64_t used = (int64_t)g->known.count + 1;
  if (!tw__cells_void(cells, used)) return TW_ETYPE;
  int rc = tw__cells_init(&other, cells->agg, type, g->ddof, g->live);
  if (!rc) rc = tw__cells_reserve(&other, used);
  if (rc) return rc;
  tw__cells_fini(cells);
  *cells = other;
  g->touches = TOO_MANY;
  return TW_OK;
}

static int check(tw_group *g, const tw_frame *frame, int64_t first, int64_t count) {
  if (first < 0 || count < 0 || first > frame->rows - count) return TW_EINVAL;
  for (int k = 0; k < g->keys && g->ready; k++) {
    if (type_at(frame, g->key[k]) == g->key_type[k]) continue;
    if (g->known.count) return TW_ETYPE;
    tw_group_clear(g);
  }
  if (!g->ready) return get_ready(g, frame);
  for (int k = 0; k < g->cols; k++) {
    if (g->agg[k] == TW_AGG_SIZE || type_at(frame, g->col[k]) == g->cells[k].in)
      continue;
    int rc = retype(g, &g->cells[k], type_at(frame, g->col[k]));
    if (rc) return rc;
  }
  return TW_OK;
}

static int add(tw_group *g, const tw_frame *frame, int64_t first, int64_t count,
               const tw_window *win) {
  int rc = check(g, frame, first, count);
  for (; !rc && count > 0; first += PIECE, count -= PIECE)
    rc = add_piece(g, frame, first, count < PIECE ? count : PIECE, win);
  return rc;
}

/* Other columns, of which some were there before. */
static int take_columns(tw_group *g, const int32_t *col, const int32_t *agg, int cols,
                        struct tw__cells *cells) {
  for (int k = 0; k < cols; k++) {
    if (tw__cells_init(&cells[k], agg[k], TW_COL_F64, g->ddof, g->live))
      return TW_EINVAL;
    if (col[k] < 0 && agg[k] != TW_AGG_SIZE) return TW_EINVAL;
    if (tw__cells_reserve(&cells[k], (int64_t)g->known.count + 1)) return TW_ENOMEM;
  }
  for (int k = 0; k < cols; k++)
    for (int j = 0; j < g->cols; j++)
      if (g->col[j] == col[k] && g->agg[j] == agg[k]) {
        struct tw__cells swap = g->cells[j];
        g->cells[j] = cells[k];
        cells[k] = swap;
        break;
      }
  return TW_OK;
}

int tw_group_columns(tw_group *g, const int32_t *col, const int32_t *agg, int cols) {
  struct tw__cells *cells = tw__calloc((size_t)cols, sizeof *cells);
  int32_t *key = tw__malloc((size_t)(g->keys + 2 * cols) * sizeof *key);
  int rc = cells && key ? take_columns(g, col, agg, cols, cells) : TW_ENOMEM;
  if (rc) {
    for (int k = 0; k < cols && cells; k++) tw__cells_fini(&cells[k]);
    tw__free(cells);
    tw__free(key);
    return rc;
  }
  for (int k = 0; k < g->cols; k++) tw__cells_fini(&g->cells[k]);
  memcpy(key, g->key, (size_t)g->keys * sizeof *key);
  memcpy(key + g->keys, col, (size_t)cols * sizeof *col);
  memcpy(key + g->keys + cols, agg, (size_t)cols * sizeof *agg);
  tw__free(g->cells);
  tw__free(g->key);
  g->cells = cells;
  g->key = key;
  g->col = key + g->keys;
  g->agg = g->col + cols;
  g->cols = cols;
  forget_result(g);
  return TW_OK;
}

/* Half a batch is none. */
static int settle(tw_group *g, int rc) {
  if (rc == TW_ENOMEM) tw_group_clear(g);
  return rc;
}

int tw_group_add(tw_group *g, const tw_frame *frame, int64_t first, int64_t count) {
  return settle(g, add(g, frame, first, count, NULL));
}

/* ---- windows ---- */

/* Numbers that have no rows any more are given up. */
static int compact(tw_group *g) {
  int64_t n = 0;
  if (g->known.count < NUMBERS_MIN || g->alive > g->known.count / 4) return TW_OK;
  uint32_t *number = tw__malloc((size_t)g->alive * sizeof *number);
  if (!number) return TW_ENOMEM;
  for (uint32_t i = 1; i <= g->known.count; i++)
    if (g->rows[i]) number[n++] = i;
  int rc = tw__keys_compact(&g->known, number, n);
  if (!rc) {
    for (int k = 0; k < g->cols; k++) tw__cells_keep(&g->cells[k], number, n, 1);
    for (int64_t i = 0; i < n; i++) g->rows[i + 1] = g->rows[number[i]];
    memset(&g->rows[n + 1], 0, (size_t)(g->rows_room - n - 1) * sizeof *g->rows);
    g->same = 0;
  }
  tw__free(number);
  return rc;
}

static int fill_anew(tw_group *g, const tw_window *win) {
  for (int k = 0; k < g->cols; k++) tw__cells_clear(&g->cells[k]);
  if (g->rows) memset(g->rows, 0, (size_t)g->rows_room * sizeof *g->rows);
  g->alive = 0;
  g->same = 0;
  return add(g, win->store, win->first, win->rows, win);
}

static int stale(const tw_group *g) {
  int any = 0;
  for (int k = 0; k < g->cols; k++) any |= g->cells[k].stale;
  return any;
}

int tw_group_slide(tw_group *g, const tw_window *win) {
  if (!g->live || !win->store) return TW_EINVAL;
  int rc = check(g, win->store, 0, 0);
  if (rc) return rc;
  if (win->anew) {
    rc = fill_anew(g, win);
  } else {
    int64_t first, count;
    const tw_frame *came = tw__window_fresh(win, &first, &count);
    rc = add(g, came, first, count, win);
    first = win->left_first, count = win->left;
    for (; !rc && count > 0; first += PIECE, count -= PIECE)
      rc = drop_piece(g, win->store, first, count < PIECE ? count : PIECE);
    if (!rc && stale(g)) rc = fill_anew(g, win);
  }
  return settle(g, rc ? rc : compact(g));
}

/* ---- results ---- */

/* shown: the numbers of groups that have rows, sorted by key; place: the inverse. */
static int list_groups(tw_group *g) {
  if (tw__keys_sort(&g->known)) return TW_ENOMEM;
  int64_t count = (int64_t)g->known.count + 1, n = 0;
  if (count > g->shown_room) {
    count += count / 2;
    uint32_t *shown = tw__realloc(g->shown, (size_t)count * sizeof *shown);
    if (!shown) return TW_ENOMEM;
    g->shown = shown;
    uint32_t *place = tw__realloc(g->place, (size_t)count * sizeof *place);
    if (!place) return TW_ENOMEM;
    g->place = place;
    g->shown_room = count;
  }
  for (uint32_t i = 0; i < g->known.count; i++) {
    uint32_t number = g->known.order[i];
    if (g->live && !g->rows[number]) continue;
    g->place[number] = (uint32_t)n;
    g->shown[n++] = number;
  }
  return TW_OK;
}

/* Only the cells of the rows that came or left since the last result, when it is known
 * which and no value can be missing where others are not NaN. */
static int write_touched(tw_group *g, tw_frame *frame) {
  if (!g->same || g->touches == TOO_MANY || g->touches > frame->rows) return 0;
  for (int k = 0; k < g->cols; k++) {
    const tw_column *col = frame->column[g->keys + k];
    if (!tw__column_mine(col) || col->valid) return 0;
  }
  for (int k = 0; k < g->cols; k++) {
    tw_column *col = frame->column[g->keys + k];
    for (int64_t i = 0; i < g->touches; i++)
      if (g->touched[i])
        tw__cells_put(&g->cells[k], g->touched[i], col, g->place[g->touched[i]]);
  }
  return 1;
}

/* The frame to write: the last one when only the caller holds it besides, else a new
 * one, which has the key columns of the last one when they still hold good. */
static int begin_result(tw_group *g, tw_frame **out, int schema) {
  tw_frame *last = g->last;
  int columns = g->keys + g->cols;
  if (last && last == *out && __atomic_load_n(&last->refs, __ATOMIC_ACQUIRE) == 2) {
    last->schema = schema;
    return TW_OK;
  }
  tw_frame *frame = tw_frame_new(columns, schema);
  if (!frame) return TW_ENOMEM;
  if (last && g->same)
    for (int k = 0; k < g->keys; k++) tw_frame_set(frame, k, last->column[k]);
  tw_frame_release(last);
  tw_frame_release(*out);
  g->last = tw_frame_retain(frame);
  g->touches = TOO_MANY;
  *out = frame;
  return TW_OK;
}

int tw_group_result(tw_group *g, tw_frame **out, int schema) {
  if (!g->ready) return TW_EINVAL;
  int rc = begin_result(g, out, schema);
  if (rc) return rc;
  tw_frame *frame = *out;
  int64_t n = tw_group_count(g);
  if (write_touched(g, frame)) {
    g->touches = 0;
    return TW_OK;
  }
  if (!g->same) {
    rc = list_groups(g);
    for (int k = 0; !rc && k < g->keys; k++)
      rc = tw__keys_column(&g->known, k, g->shown, n, &frame->column[k]);
  }
  for (int k = 0; !rc && k < g->cols; k++) {
    tw_column **col = &frame->column[g->keys + k];
    rc = tw_column_renew(col, g->cells[k].out, NULL, n);
    if (!rc) tw__cells_write(&g->cells[k], g->shown, n, *col);
  }
  if (rc) {
    forget_result(g);
    return rc;
  }
  frame->rows = n;
  g->same = 1;
  g->touches = 0;
  return TW_OK;
}

/* ---- copy ---- */

tw_group *tw_group_copy(const tw_group *g) {
  tw_group *copy =
      tw_group_open(g->key, g->keys, g->col, g->agg, g->cols, g->ddof, g->live);
  if (!copy || !g->ready) return copy;
  int64_t count = g->known.count;
  memcpy(copy->key_type, g->key_type, sizeof g->key_type);
  uint32_t *number = tw__malloc((size_t)count * sizeof *number);
  if (!number) goto fail;
  for (int64_t i = 0; i < count; i++) number[i] = (uint32_t)i + 1;
  int rc = tw__keys_keep(&copy->known, &g->known, number, count);
  tw__free(number);
  if (rc) goto fail;
  for (int k = 0; k < g->cols; k++) {
    int64_t used = g->cells[k].room < count + 1 ? g->cells[k].room : count + 1;
    if (tw__cells_copy(&copy->cells[k], &g->cells[k], used)) goto fail;
  }
  if (reserve(copy)) goto fail;
  if (g->rows) memcpy(copy->rows, g->rows, (size_t)(count + 1) * sizeof *g->rows);
  copy->alive = g->alive;
  copy->ready = 1;
  return copy;

fail:
  tw_group_close(copy);
  return NULL;
}
