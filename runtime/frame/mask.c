/* mask.c -- which rows: comparisons, their logic, positions, filter.
 *
 * Comparisons write a byte a row without branching on the data; so does the step from
 * bytes to positions (block.c).
 */
#include "core/mem.h"
#include "frame/block.h"
#include "frame/column.h"

#include <string.h>

/* ---- comparisons ---- */

#define COMPARE(out, expr, op, y, n)                                                   \
  switch (op) {                                                                        \
  case TW_EQ:                                                                          \
    for (int64_t i = 0; i < (n); i++) (out)[i] = (expr) == (y);                        \
    break;                                                                             \
  case TW_NE:                                                                          \
    for (int64_t i = 0; i < (n); i++) (out)[i] = (expr) != (y);                        \
    break;                                                                             \
  case TW_LT:                                                                          \
    for (int64_t i = 0; i < (n); i++) (out)[i] = (expr) < (y);                         \
    break;                                                                             \
  case TW_LE:                                                                          \
    for (int64_t i = 0; i < (n); i++) (out)[i] = (expr) <= (y);                        \
    break;                                                                             \
  case TW_GT:                                                                          \
    for (int64_t i = 0; i < (n); i++) (out)[i] = (expr) > (y);                         \
    break;                                                                             \
  default:                                                                             \
    for (int64_t i = 0; i < (n); i++) (out)[i] = (expr) >= (y);                        \
    break;                                                                             \
  }

/* A fresh mask for col. */
static int renew(tw_column **out, const tw_column *col, int op) {
  if (op < TW_EQ || op > TW_GE) return TW_EINVAL;
  return tw_column_renew(out, TW_COL_BOOL, NULL, col->len);
}

/* What holds of missing values: op is "not equal", or nothing. */
static void apply_valid(uint8_t *restrict mask, const tw_column *col, int op) {
  if (!col->valid) return;
  if (op == TW_NE)
    for (int64_t i = 0; i < col->len; i++)
      mask[i] = (uint8_t)(mask[i] | !tw__column_bit(col->valid, i));
  else
    for (int64_t i = 0; i < col->len; i++)
      mask[i] = (uint8_t)(mask[i] & tw__column_bit(col->valid, i));
}

static void compare_f64(uint8_t *restrict out, const double *restrict x, int op,
                        double y, int64_t n) {
  COMPARE(out, x[i], op, y, n)
}

static void compare_i64(uint8_t *restrict out, const int64_t *restrict x, int op,
                        int64_t y, int64_t n) {
  COMPARE(out, x[i], op, y, n)
}

static void compare_i64_num(uint8_t *restrict out, const int64_t *restrict x, int op,
                            double y, int64_t n) {
  COMPARE(out, (double)x[i], op, y, n)
}

static void compare_bool(uint8_t *restrict out, const uint8_t *restrict x, int op,
                         double y, int64_t n) {
  COMPARE(out, (double)x[i], op, y, n)
}

int tw_mask_i64(tw_column **out, const tw_column *col, int op, int64_t y) {
  if (col->type != TW_COL_I64 && col->type != TW_COL_TIMESTAMP) return TW_ETYPE;
  int rc = renew(out, col, op);
  if (rc) return rc;
  compare_i64((*out)->b, col->i64, op, y, col->len);
  apply_valid((*out)->b, col, op);
  return TW_OK;
}

int tw_mask_num(tw_column **out, const tw_column *col, int op, double y) {
  int64_t exact = 0;
  if (col->type == TW_COL_STRING) return TW_ETYPE;
  if (col->type == TW_COL_I64 && y >= -0x1p63 && y < 0x1p63 && (double)(int64_t)y == y)
    return tw_mask_i64(out, col, op, (int64_t)y);
  if (col->type == TW_COL_TIMESTAMP && tw__column_ns(y, &exact))
    return tw_mask_i64(out, col, op, exact);
  int rc = renew(out, col, op);
  if (rc) return rc;
  uint8_t *mask = (*out)->b;
  switch (col->type) {
  case TW_COL_F64: compare_f64(mask, col->f64, op, y, col->len); break;
  case TW_COL_BOOL: compare_bool(mask, col->b, op, y, col->len); break;
  default: compare_i64_num(mask, col->i64, op, y, col->len);
  }
  apply_valid(mask, col, op);
  return TW_OK;
}

/* Below 0, 0, above 0. */
static int compare_text(const tw_dict *dict, uint32_t code, const char *bytes,
                        int64_t len) {
  int64_t start = dict->start[code], own = dict->start[code + 1] - start;
  int64_t least = own < len ? own : len;
  int by = least ? memcmp(dict->bytes + start, bytes, (size_t)least) : 0;
  return by ? by : (own > len) - (own < len);
}

int tw_mask_bytes(tw_column **out, const tw_column *col, int op, const char *bytes,
                  int64_t len) {
  if (col->type != TW_COL_STRING) return TW_ETYPE;
  int rc = renew(out, col, op);
  if (rc) return rc;
  uint8_t *mask = (*out)->b;
  const uint32_t *code = col->code;
  if (op == TW_EQ || op == TW_NE) {
    int64_t number = tw_dict_find(col->dict, bytes, len);
    if (op == TW_EQ)
      for (int64_t i = 0; i < col->len; i++) mask[i] = code[i] == number;
    else
      for (int64_t i = 0; i < col->len; i++) mask[i] = code[i] != number;
  } else if (col->dict->count) {
    COMPARE(mask, compare_text(col->dict, code[i], bytes, len), op, 0, col->len)
  } else {
    memset(mask, 0, (size_t)col->len);
  }
  apply_valid(mask, col, op);
  return TW_OK;
}

int tw_mask_null(tw_column **out, const tw_column *col) {
  int rc = renew(out, col, TW_EQ);
  if (rc) return rc;
  uint8_t *mask = (*out)->b;
  if (col->type == TW_COL_F64)
    for (int64_t i = 0; i < col->len; i++) mask[i] = col->f64[i] != col->f64[i];
  else if (!col->valid)
    memset(mask, 0, (size_t)col->len);
  else
    for (int64_t i = 0; i < col->len; i++) mask[i] = !tw__column_bit(col->valid, i);
  return TW_OK;
}

/* ---- logic ---- */

static int pair(tw_column **out, const tw_column *a, const tw_column *b) {
  if (a->type != TW_COL_BOOL || b->type != TW_COL_BOOL) return TW_ETYPE;
  if (a->len != b->len) return TW_EINVAL;
  return tw_column_renew(out, TW_COL_BOOL, NULL, a->len);
}

/* Missing values are 0 as bytes, so the bitmaps need not be looked at. */
int tw_mask_both(tw_column **out, const tw_column *a, const tw_column *b) {
  int rc = pair(out, a, b);
  if (rc) return rc;
  uint8_t *restrict mask = (*out)->b;
  for (int64_t i = 0; i < a->len; i++) mask[i] = a->b[i] & b->b[i];
  return TW_OK;
}

int tw_mask_either(tw_column **out, const tw_column *a, const tw_column *b) {
  int rc = pair(out, a, b);
  if (rc) return rc;
  uint8_t *restrict mask = (*out)->b;
  for (int64_t i = 0; i < a->len; i++) mask[i] = a->b[i] | b->b[i];
  return TW_OK;
}

int tw_mask_negate(tw_column **out, const tw_column *a) {
  int rc = pair(out, a, a);
  if (rc) return rc;
  uint8_t *restrict mask = (*out)->b;
  for (int64_t i = 0; i < a->len; i++) mask[i] = a->b[i] ^ 1;
  return TW_OK;
}

/* ---- selections ---- */

tw_selection *tw_selection_open(void) {
  return tw__calloc(1, sizeof(tw_selection));
}

void tw_selection_close(tw_selection *sel) {
  if (!sel) return;
  tw__free(sel->at);
  tw__free(sel);
}

int tw_selection_reserve(tw_selection *sel, int64_t room) {
  if (room <= sel->room) return TW_OK;
  if (room > INT32_MAX) return TW_ENOMEM;
  room += room / 2 + 16;
  int32_t *at = tw__realloc(sel->at, (size_t)room * sizeof *at);
  if (!at) return TW_ENOMEM;
  sel->at = at;
  sel->room = room;
  return TW_OK;
}

int64_t tw_selection_of_bytes(tw_selection *sel, const uint8_t *mask, int64_t n) {
  if (tw_selection_reserve(sel, n)) return TW_ENOMEM;
  return sel->count = tw__block_select(sel->at, 0, mask, n, tw__block_wide());
}

int64_t tw_selection_of(tw_selection *sel, const tw_column *mask) {
  if (mask->type != TW_COL_BOOL) return TW_ETYPE;
  return tw_selection_of_bytes(sel, mask->b, mask->len);
}

int tw_frame_filter(tw_frame **out, const tw_frame *frame, const tw_column *mask,
                    tw_selection *sel) {
  if (mask->type != TW_COL_BOOL) return TW_ETYPE;
  if (mask->len != frame->rows) return TW_EINVAL;
  int64_t count = tw_selection_of(sel, mask);
  return count < 0 ? (int)count : tw_frame_gather(out, frame, sel->at, count);
}
