/* frame_cast.c -- a column as one of another type. */
#include <math.h>

#include "codec/frame_cell.h"
#include "codec/number.h"
#include "codec/time.h"
#include "frame/column.h"

enum { CELL_TEXT = 48 };

/* ---- to text ---- */

static int64_t time_text(char *text, int64_t ns) {
  int64_t seconds = ns / 1000000000, part = ns % 1000000000;
  if (part < 0) {
    part += 1000000000;
    seconds--;
  }
  int64_t n = tw__time_iso_write(text, seconds);
  if (part) text[n++] = '.';
  for (int64_t unit = 100000000; part; part %= unit, unit /= 10)
    text[n++] = (char)('0' + part / unit);
  return n;
}

static int64_t text_of(const tw_column *col, int64_t i, char text[CELL_TEXT]) {
  switch (col->type) {
  case TW_COL_F64:
    if (!isinf(col->f64[i])) return tw__number_write(text, col->f64[i]);
    memcpy(text, "-inf", 4);
    if (col->f64[i] < 0) return 4;
    memcpy(text, "inf", 3);
    return 3;
  case TW_COL_I64: return tw__number_write_i64(text, col->i64[i]);
  case TW_COL_BOOL: memcpy(text, col->b[i] ? "true" : "false", 5); return 5 - col->b[i];
  default: return time_text(text, col->i64[i]);
  }
}

static int put_text(tw_column *to, const tw_column *col, int64_t i) {
  char text[CELL_TEXT];
  int64_t code = tw_column_code(to, text, text_of(col, i, text));
  if (code < 0) return TW_ENOMEM;
  to->code[i] = (uint32_t)code;
  return TW_OK;
}

/* ---- from text ---- */

static int read_text(tw_column *to, const tw_column *col, int64_t i) {
  int64_t len;
  const char *s = tw_column_text(col, i, &len);
  int truth = 0, rc;
  switch (to->type) {
  case TW_COL_F64: return tw__cell_f64(s, s + len, &to->f64[i]) ? TW_ETYPE : TW_OK;
  case TW_COL_I64: return tw__cell_i64(s, s + len, &to->i64[i]) ? TW_ETYPE : TW_OK;
  case TW_COL_BOOL:
    rc = tw__cell_bool(s, s + len, &truth);
    to->b[i] = (uint8_t)truth;
    return rc ? TW_ETYPE : TW_OK;
  default: return tw__cell_time(s, s + len, &to->i64[i]) ? TW_ETYPE : TW_OK;
  }
}

/* ---- between numbers ---- */

static int to_whole(double x, int64_t *out) {
  if (!(x >= -0x1p63 && x < 0x1p63)) return TW_ETYPE;
  *out = (int64_t)x;
  return TW_OK;
}

static int from_num(tw_column *to, int64_t i, double x) {
  switch (to->type) {
  case TW_COL_I64: return to_whole(x, &to->i64[i]);
  case TW_COL_BOOL: to->b[i] = x != 0; return TW_OK;
  default: return tw__column_ns(x, &to->i64[i]) ? TW_OK : TW_ETYPE;
  }
}

static int from_whole(tw_column *to, int64_t i, int64_t x) {
  switch (to->type) {
  case TW_COL_F64: to->f64[i] = (double)x; return TW_OK;
  case TW_COL_I64: to->i64[i] = x; return TW_OK;
  case TW_COL_BOOL: to->b[i] = x != 0; return TW_OK;
  default:
    return __builtin_mul_overflow(x, (int64_t)1000000000, &to->i64[i]) ? TW_ETYPE
                                                                       : TW_OK;
  }
}

static int from_time(tw_column *to, int64_t i, int64_t ns) {
  if (to->type == TW_COL_BOOL) return from_whole(to, i, ns);
  if (to->type == TW_COL_I64) return from_whole(to, i, ns / 1000000000);
  to->f64[i] = tw__column_seconds(ns);
  return TW_OK;
}

static int cast_one(tw_column *to, const tw_column *col, int64_t i) {
  if (to->type == TW_COL_STRING) return put_text(to, col, i);
  switch (col->type) {
  case TW_COL_F64: return from_num(to, i, col->f64[i]);
  case TW_COL_I64: return from_whole(to, i, col->i64[i]);
  case TW_COL_BOOL: return from_whole(to, i, col->b[i]);
  case TW_COL_STRING: return read_text(to, col, i);
  default: return from_time(to, i, col->i64[i]);
  }
}

int tw_column_cast(tw_column **out, const tw_column *col, int type, int64_t *row) {
  *row = -1;
  if (type == col->type) return tw_column_slice(out, col, 0, col->len);
  int rc = tw_column_renew(out, type, NULL, col->len);
  if (rc) return rc;
  tw_column *to = *out;
  for (int64_t i = 0; i < col->len; i++) {
    if (tw_column_is_null(col, i)) {
      tw_column_set_null(to, i);
      continue;
    }
    if (type == TW_COL_STRING) to->code[i] = 0;
    rc = cast_one(to, col, i);
    if (rc) {
      *row = rc == TW_ETYPE ? i : -1;
      return rc;
    }
  }
  return TW_OK;
}
