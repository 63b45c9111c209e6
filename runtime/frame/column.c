/* column.c -- one column of a frame: memory, values, missing values.
 *
 *     block  | tw_column | data: v0 | v1 | ... room ... || bits, room / 8 | 8 bytes |
 *                                                       ^ valid, or NULL: none is missing
 *
 * The block is one of class `block` (core/pool.h), all of it used. The data of a column
 * that has outgrown its block, or is larger than any, stand elsewhere; `block` is ~class.
 */
#include "frame/column.h"
#include "core/mem.h"
#include "core/pool.h"
#include "core/refs.h"
#include "frame/dict.h"

#include <math.h>
#include <string.h>

static const int8_t widths[] = {
    [TW_COL_F64] = 8,    [TW_COL_I64] = 8,       [TW_COL_BOOL] = 1,
    [TW_COL_STRING] = 4, [TW_COL_TIMESTAMP] = 8,
}; /* ORDER TW_COLUMN */

int tw_column_width(int type) {
  return type < TW_COL_F64 || type > TW_COL_TIMESTAMP ? 0 : widths[type];
}

/* ---- memory ---- */

/* Data in a block of over SMALL bytes stand on a multiple of 16. */
enum {
  BITS_SLACK = 8,
  DICT_MIN = 256,
  SMALL = 1032,
  HEAD = sizeof(tw_column),
  AHEAD = 8
};

static size_t data_size(int type, int64_t room) {
  size_t values = (size_t)room * (size_t)widths[type];
  return type == TW_COL_F64 ? values : values + (size_t)room / 8 + BITS_SLACK;
}

static uint8_t *place_of_bits(const tw_column *col) {
  return (uint8_t *)col->data + (size_t)col->room * (size_t)widths[col->type];
}

static int64_t round_room(int64_t room) {
  return (room + 7) & ~(int64_t)7;
}

/* The most values, a multiple of 8, that size bytes have place for. */
static int64_t room_in(int type, size_t size) {
  if (type == TW_COL_F64) return (int64_t)(size / 64 * 8);
  return (int64_t)((size - BITS_SLACK) / (8 * (size_t)widths[type] + 1) * 8);
}

/* Give it a block of `size_class` whose rest is for the data. */
static tw_column *new_inside(int type, int size_class) {
  tw_column *col = tw__pool_take(size_class);
  if (!col) return NULL;
  size_t size = tw__pool_size(size_class), head = size > SMALL ? HEAD + 8 : HEAD;
  *col = (tw_column){.data = (char *)col + head,
                     .room = room_in(type, size - head),
                     .type = (int16_t)type,
                     .block = (int16_t)size_class,
                     .refs = 1};
  return col;
}

static tw_column *new_outside(int type, int64_t room) {
  tw_column *col = tw__pool_take(0);
  if (!col) return NULL;
  *col = (tw_column){.data = tw__malloc(data_size(type, room)),
                     .room = room,
                     .type = (int16_t)type,
                     .block = ~0,
                     .refs = 1};
  if (col->data) return col;
  tw__pool_give(0, col);
  return NULL;
}

static void free_memory(tw_column *col) {
  if (col->block < 0) tw__free(col->data);
  tw__pool_give(col->block < 0 ? ~col->block : col->block, col);
}

tw_column *tw_column_new(int type, int64_t room, tw_dict *dict) {
  if (!tw_column_width(type) || room < 0 || room > INT64_MAX / 16) return NULL;
  room = round_room(room ? room : 1);
  size_t size = HEAD + data_size(type, room);
  int size_class = tw__pool_class(size > SMALL ? size + 8 : size);
  tw_column *col =
      size_class < 0 ? new_outside(type, room) : new_inside(type, size_class);
  if (!col || type != TW_COL_STRING) return col;
  col->dict = dict ? tw_dict_retain(dict) : tw_dict_new();
  if (col->dict) return col;
  free_memory(col);
  return NULL;
}

tw_column *tw_column_retain(tw_column *col) {
  tw__refs_up(&col->refs);
  return col;
}

void tw_column_release(tw_column *col) {
  if (!col || !tw__refs_down(&col->refs)) return;
  if (col->dict) tw_dict_release(col->dict);
  free_memory(col);
}

void tw_column_release_all(tw_column **cols, int64_t n) {
  for (int64_t i = 0; i < n; i++) {
    if (i + AHEAD < n) __builtin_prefetch(cols[i + AHEAD], 1);
    tw_column_release(cols[i]);
  }
}

/* A larger place for the data. */
static void *move(tw_column *col, int64_t room) {
  size_t size = data_size(col->type, room);
  if (col->block < 0) return tw__realloc(col->data, size);
  void *data = tw__malloc(size);
  if (!data) return NULL;
  col->block = (int16_t)~col->block;
  return memcpy(data, col->data, data_size(col->type, col->room));
}

int tw_column_reserve(tw_column *col, int64_t room) {
  if (room <= col->room) return TW_OK;
  if (room > INT64_MAX / 16) return TW_ENOMEM;
  room = round_room(room < 2 * col->room ? 2 * col->room : room);
  size_t bits = (size_t)col->room / 8, more = (size_t)(room - col->room) / 8;
  void *data = move(col, room);
  if (!data) return TW_ENOMEM;
  col->data = data;
  uint8_t *old = place_of_bits(col);
  col->room = room;
  if (!col->valid) return TW_OK;
  col->valid = place_of_bits(col);
  memmove(col->valid, old, bits);
  memset(col->valid + bits, 0xFF, more);
  return TW_OK;
}

/* A new column in the place of what is there. */
static int replace(tw_column **out, int type, tw_dict *dict, int64_t room) {
  tw_column *old = *out;
  *out = tw_column_new(type, room, dict);
  tw_column_release(old);
  return *out ? TW_OK : TW_ENOMEM;
}

/* Strings of its own for a column, when most of those in its dict are of columns gone by. */
static int renew_dict(tw_column *col, tw_dict *dict, int64_t len) {
  if (!dict && col->dict->count <= DICT_MIN + 4 * len && col->dict->frozen != 2)
    return TW_OK;
  if (dict == col->dict) return TW_OK;
  dict = dict ? tw_dict_retain(dict) : tw_dict_new();
  if (!dict) return TW_ENOMEM;
  tw_dict_release(col->dict);
  col->dict = dict;
  return TW_OK;
}

int tw_column_renew(tw_column **out, int type, tw_dict *dict, int64_t len) {
  tw_column *col = *out;
  if (!tw_column_width(type) || len < 0) return TW_EINVAL;
  int fits = col && col->type == type && tw__column_mine(col);
  if (!fits || len > col->room) {
    int64_t room = fits && len < 2 * col->room ? 2 * col->room : len;
    if (replace(out, type, fits && !dict ? col->dict : dict, room)) return TW_ENOMEM;
    col = *out;
  }
  if (type == TW_COL_STRING && renew_dict(col, dict, len)) return TW_ENOMEM;
  col->valid = NULL;
  col->nulls = 0;
  col->len = len;
  return TW_OK;
}

int64_t tw_column_bytes(const tw_column *col) {
  if (col->block >= 0) return (int64_t)tw__pool_size(col->block);
  return (int64_t)(tw__pool_size(~col->block) + data_size(col->type, col->room));
}

/* ---- missing values ---- */

/* The whole bitmap is written, so that the bits behind len are set too. */
uint8_t *tw_column_bitmap(tw_column *col) {
  if (!col->valid && col->type != TW_COL_F64) {
    col->valid = place_of_bits(col);
    memset(col->valid, 0xFF, (size_t)col->room / 8 + BITS_SLACK);
  }
  return col->valid;
}

static void clear_value(tw_column *col, int64_t k) {
  int width = widths[col->type];
  memset((char *)col->data + k * width, 0, (size_t)width);
}

int tw_column_set_null(tw_column *col, int64_t k) {
  if (k < 0 || k >= col->len) return TW_EINVAL;
  if (col->type == TW_COL_F64) {
    col->f64[k] = NAN;
    return TW_OK;
  }
  uint8_t *valid = tw_column_bitmap(col);
  col->nulls += tw__column_bit(valid, k);
  valid[k >> 3] = (uint8_t)(valid[k >> 3] & ~(1 << (k & 7)));
  clear_value(col, k);
  return TW_OK;
}

int64_t tw_column_settle(tw_column *col) {
  col->nulls = 0;
  if (!col->valid) return 0;
  for (int64_t k = col->len; k & 7; k++)
    col->valid[k >> 3] = (uint8_t)(col->valid[k >> 3] | 1 << (k & 7));
  for (int64_t i = 0; i < (col->len + 7) / 8; i++) {
    unsigned gone = (uint8_t)~col->valid[i];
    for (; gone; gone &= gone - 1, col->nulls++)
      clear_value(col, 8 * i + __builtin_ctz(gone));
  }
  if (!col->nulls) col->valid = NULL;
  return col->nulls;
}

void tw__column_truncate(tw_column *col, int64_t len) {
  for (int64_t k = len; col->valid && k < col->len; k++) {
    col->nulls -= !tw__column_bit(col->valid, k);
    col->valid[k >> 3] = (uint8_t)(col->valid[k >> 3] | 1 << (k & 7));
  }
  col->len = len;
  if (!col->nulls) col->valid = NULL;
}

static void shift_bits(tw_column *col, int64_t n) {
  uint8_t *valid = col->valid;
  int64_t bytes = (col->len + 7) / 8;
  for (int64_t k = 0; k < n; k++) col->nulls -= !tw__column_bit(valid, k);
  for (int64_t i = 0, from = n >> 3; from < bytes; i++, from++) {
    int next = from + 1 < bytes ? valid[from + 1] : 0xFF;
    valid[i] = (uint8_t)((valid[from] | next << 8) >> (n & 7));
  }
  for (int64_t k = col->len - n; k < col->len; k++)
    valid[k >> 3] = (uint8_t)(valid[k >> 3] | 1 << (k & 7));
  if (!col->nulls) col->valid = NULL;
}

void tw__column_shift(tw_column *col, int64_t n) {
  size_t width = (size_t)widths[col->type];
  if (col->valid) shift_bits(col, n);
  col->len -= n;
  memmove(col->data, (char *)col->data + (size_t)n * width, (size_t)col->len * width);
}

int tw_column_is_null(const tw_column *col, int64_t k) {
  if (col->type == TW_COL_F64) return col->f64[k] != col->f64[k];
  return col->valid && !tw__column_bit(col->valid, k);
}

int64_t tw_column_null_count(const tw_column *col) {
  int64_t count = 0;
  if (col->type != TW_COL_F64) return col->nulls;
  for (int64_t k = 0; k < col->len; k++) count += col->f64[k] != col->f64[k];
  return count;
}

const char *tw_column_text(const tw_column *col, int64_t k, int64_t *len) {
  *len = 0;
  if (col->type != TW_COL_STRING || tw_column_is_null(col, k)) return NULL;
  const int64_t *start = &col->dict->start[col->code[k]];
  *len = start[1] - start[0];
  return col->dict->bytes + start[0];
}

/* ---- appending values ---- */

int tw_column_put_null(tw_column *col) {
  if (tw_column_reserve(col, col->len + 1)) return TW_ENOMEM;
  col->len++;
  return tw_column_set_null(col, col->len - 1);
}

int tw_column_put_num(tw_column *col, double x) {
  int64_t ns = 0;
  if (col->type == TW_COL_STRING) return TW_ETYPE;
  if (x != x) return tw_column_put_null(col);
  if (col->type == TW_COL_I64 && !(x >= -0x1p63 && x < 0x1p63)) return TW_ETYPE;
  if (col->type == TW_COL_TIMESTAMP && !tw__column_ns(x, &ns)) return TW_ETYPE;
  if (tw_column_reserve(col, col->len + 1)) return TW_ENOMEM;
  switch (col->type) {
  case TW_COL_F64: col->f64[col->len++] = x; break;
  case TW_COL_I64: col->i64[col->len++] = (int64_t)x; break;
  case TW_COL_BOOL: col->b[col->len++] = x != 0; break;
  default: col->i64[col->len++] = ns; break;
  }
  return TW_OK;
}

int tw_column_put_i64(tw_column *col, int64_t x) {
  if (col->type == TW_COL_STRING || col->type == TW_COL_BOOL) return TW_ETYPE;
  if (tw_column_reserve(col, col->len + 1)) return TW_ENOMEM;
  if (col->type == TW_COL_F64)
    col->f64[col->len++] = (double)x;
  else
    col->i64[col->len++] = x;
  return TW_OK;
}

int tw_column_put_bool(tw_column *col, int x) {
  if (col->type != TW_COL_BOOL) return TW_ETYPE;
  if (tw_column_reserve(col, col->len + 1)) return TW_ENOMEM;
  col->b[col->len++] = x != 0;
  return TW_OK;
}

int64_t tw_column_code(tw_column *col, const char *bytes, int64_t len) {
  return tw__dict_put(&col->dict, bytes, len);
}

int tw_column_put_bytes(tw_column *col, const char *bytes, int64_t len) {
  if (col->type != TW_COL_STRING) return TW_ETYPE;
  if (tw_column_reserve(col, col->len + 1)) return TW_ENOMEM;
  int64_t code = tw_column_code(col, bytes, len);
  if (code < 0) return TW_ENOMEM;
  col->code[col->len++] = (uint32_t)code;
  return TW_OK;
}

/* ---- from other columns ---- */

/* Says which of the next count values are missing, as from has it from `first` on. */
static void copy_bits(tw_column *col, const tw_column *from, int64_t first,
                      int64_t count) {
  if (!from->valid) return;
  uint8_t *valid = tw_column_bitmap(col);
  for (int64_t i = 0, k = col->len; i < count; i++, k++) {
    if (tw__column_bit(from->valid, first + i)) continue;
    valid[k >> 3] = (uint8_t)(valid[k >> 3] & ~(1 << (k & 7)));
    col->nulls++;
  }
  if (!col->nulls) col->valid = NULL;
}

/* The numbers that strings of another dict have in col's, each looked up once when the
 * dict is not much larger than what is asked. */
static int recode(tw_column *col, const tw_column *from, int64_t first, int64_t count) {
  const tw_dict *dict = from->dict;
  uint32_t *to = &col->code[col->len], *known = NULL;
  if (dict->count / 4 <= count && count > 8) {
    size_t size = (size_t)dict->count * sizeof *known;
    known = tw__malloc(size);
    if (!known) return TW_ENOMEM;
    memset(known, 0xFF, size);
  }
  for (int64_t i = 0; i < count; i++) {
    uint32_t code = from->code[first + i];
    to[i] = 0;
    if (from->valid && !tw__column_bit(from->valid, first + i)) continue;
    if (known && known[code] != UINT32_MAX) {
      to[i] = known[code];
      continue;
    }
    int64_t start = dict->start[code];
    int64_t number =
        tw_column_code(col, dict->bytes + start, dict->start[code + 1] - start);
    if (number < 0) {
      tw__free(known);
      return TW_ENOMEM;
    }
    to[i] = (uint32_t)number;
    if (known) known[code] = to[i];
  }
  tw__free(known);
  return TW_OK;
}

int tw_column_append(tw_column *col, const tw_column *from, int64_t first,
                     int64_t count) {
  if (col->type != from->type) return TW_ETYPE;
  if (first < 0 || count < 0 || first > from->len - count) return TW_EINVAL;
  if (tw_column_reserve(col, col->len + count)) return TW_ENOMEM;
  size_t width = (size_t)widths[col->type];
  char *to = (char *)col->data + (size_t)col->len * width;
  const char *data = (const char *)from->data + (size_t)first * width;
  if (col->dict == from->dict)
    memmove(to, data, (size_t)count * width);
  else if (recode(col, from, first, count))
    return TW_ENOMEM;
  copy_bits(col, from, first, count);
  col->len += count;
  return TW_OK;
}

int tw_column_slice(tw_column **out, const tw_column *col, int64_t first,
                    int64_t count) {
  if (first < 0 || count < 0 || first > col->len - count) return TW_EINVAL;
  int rc = tw_column_renew(out, col->type, col->dict, count);
  if (rc) return rc;
  (*out)->len = 0;
  return tw_column_append(*out, col, first, count);
}

/* ---- gather ---- */

/* Rows whose lines are asked for ahead of their use, and bytes of what is written: which lines
 * are needed is not for the processor to guess, and the memory written has often left the
 * cache. A tenth of a filter of 10,000 rows. */
enum { ROWS_AHEAD = 128, BYTES_AHEAD = 2048 };

#define GATHER(name, type)                                                             \
  static void name(type *to, const type *from, const int32_t *at, int64_t n) {         \
    int64_t i = 0;                                                                     \
    for (; i + 8 + ROWS_AHEAD <= n; i += 8) {                                          \
      __builtin_prefetch(from + at[i + ROWS_AHEAD]);                                   \
      __builtin_prefetch(from + at[i + ROWS_AHEAD + 4]);                               \
      __builtin_prefetch((char *)(to + i) + BYTES_AHEAD, 1);                           \
      for (int64_t k = i; k < i + 8; k++) to[k] = from[at[k]];                         \
    }                                                                                  \
    for (; i + 4 <= n; i += 4) {                                                       \
      type a = from[at[i]], b = from[at[i + 1]], c = from[at[i + 2]];                  \
      type d = from[at[i + 3]];                                                        \
      to[i] = a, to[i + 1] = b, to[i + 2] = c, to[i + 3] = d;                          \
    }                                                                                  \
    for (; i < n; i++) to[i] = from[at[i]];                                            \
  }
GATHER(gather_8, uint64_t)
GATHER(gather_4, uint32_t)

static void gather_bits(tw_column *col, const uint8_t *from, const int32_t *at,
                        int64_t n) {
  uint8_t *valid = tw_column_bitmap(col);
  for (int64_t i = 0; i < n; i += 8) {
    unsigned byte = 0xFF;
    for (int64_t j = 0; j < 8 && i + j < n; j++)
      byte ^= (unsigned)!tw__column_bit(from, at[i + j]) << j;
    valid[i >> 3] = (uint8_t)byte;
    col->nulls += 8 - __builtin_popcount(byte);
  }
  if (!col->nulls) col->valid = NULL;
}

int tw_column_gather(tw_column **out, const tw_column *col, const int32_t *at,
                     int64_t count) {
  int rc = tw_column_renew(out, col->type, col->dict, count);
  if (rc) return rc;
  switch (widths[col->type]) {
  case 8: gather_8((*out)->data, col->data, at, count); break;
  case 4: gather_4((*out)->code, col->code, at, count); break;
  default:
    for (int64_t i = 0; i < count; i++) (*out)->b[i] = col->b[at[i]];
  }
  if (col->valid) gather_bits(*out, col->valid, at, count);
  return TW_OK;
}

/* ---- equality ---- */

static int same_value(const tw_column *a, const tw_column *b, int64_t k) {
  if (tw_column_is_null(a, k) != tw_column_is_null(b, k)) return 0;
  if (tw_column_is_null(a, k)) return 1;
  if (a->type == TW_COL_F64) return a->f64[k] == b->f64[k];
  if (a->type == TW_COL_BOOL) return a->b[k] == b->b[k];
  if (a->type != TW_COL_STRING) return a->i64[k] == b->i64[k];
  if (a->dict == b->dict) return a->code[k] == b->code[k];
  int64_t a_len, b_len;
  const char *a_text = tw_column_text(a, k, &a_len);
  const char *b_text = tw_column_text(b, k, &b_len);
  return a_len == b_len && !memcmp(a_text, b_text, (size_t)a_len);
}

int tw_column_equal(const tw_column *a, const tw_column *b) {
  if (a->type != b->type || a->len != b->len) return 0;
  for (int64_t k = 0; k < a->len; k++)
    if (!same_value(a, b, k)) return 0;
  return 1;
}
