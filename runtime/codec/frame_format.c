/* frame_format.c -- the rows of frames as csv and as lines of JSON. */
#include <math.h>

#include "codec/number.h"
#include "codec/out.h"
#include "codec/time.h"
#include "frame/column.h"

enum { TIME_TEXT = 40 };

/* ISO 8601 in UTC, as short as it is exact, day and time with `between`. Returns the length. */
static int time_text(char text[TIME_TEXT], int64_t ns, char between) {
  int64_t seconds = ns / 1000000000, part = ns % 1000000000;
  if (part < 0) {
    part += 1000000000;
    seconds--;
  }
  int n = tw__time_iso_write(text, seconds);
  text[10] = between;
  if (part) {
    text[n++] = '.';
    for (int64_t unit = 100000000; part; part %= unit, unit /= 10)
      text[n++] = (char)('0' + part / unit);
  }
  return n;
}

static void put_bool(tw_out *out, int x) {
  tw_out_bytes(out, x ? "true" : "false", x ? 4 : 5);
}

static void csv_cell(tw_out *out, const tw_column *col, int64_t i, int delimiter) {
  char text[TIME_TEXT];
  if (tw_column_is_null(col, i)) return;
  switch (col->type) {
  case TW_COL_F64:
    if (isinf(col->f64[i]))
      tw_out_bytes(out, col->f64[i] < 0 ? "-inf" : "inf", col->f64[i] < 0 ? 4 : 3);
    else
      tw_out_num(out, col->f64[i]);
    break;
  case TW_COL_I64: tw_out_i64(out, col->i64[i]); break;
  case TW_COL_BOOL: put_bool(out, col->b[i]); break;
  case TW_COL_TIMESTAMP:
    tw_out_bytes(out, text, time_text(text, col->i64[i], ' '));
    break;
  default: {
    int64_t len;
    const char *bytes = tw_column_text(col, i, &len);
    if (len)
      tw_csv_field(out, bytes, len, delimiter);
    else
      tw_out_bytes(out, "\"\"", 2);
  }
  }
}

void tw_frame_csv_write(tw_out *out, const tw_frame *frame, int64_t first,
                        int64_t count, const int32_t *order, int n, int delimiter) {
  const char between = (char)delimiter;
  for (int64_t i = first; i < first + count; i++) {
    for (int k = 0; k < n; k++) {
      if (k) tw_out_bytes(out, &between, 1);
      csv_cell(out, frame->column[order[k]], i, delimiter);
    }
    tw_out_bytes(out, "\n", 1);
  }
}

static void json_cell(tw_out *out, const tw_column *col, int64_t i) {
  char text[TIME_TEXT];
  if (tw_column_is_null(col, i) || (col->type == TW_COL_F64 && isinf(col->f64[i]))) {
    tw_out_bytes(out, "null", 4);
    return;
  }
  switch (col->type) {
  case TW_COL_F64: tw_out_num(out, col->f64[i]); break;
  case TW_COL_I64: tw_out_i64(out, col->i64[i]); break;
  case TW_COL_BOOL: put_bool(out, col->b[i]); break;
  case TW_COL_TIMESTAMP:
    tw_out_bytes(out, "\"", 1);
    tw_out_bytes(out, text, time_text(text, col->i64[i], 'T'));
    tw_out_bytes(out, "Z\"", 2);
    break;
  default: {
    int64_t len;
    const char *bytes = tw_column_text(col, i, &len);
    tw_json_string(out, bytes, len);
  }
  }
}

void tw_frame_json_write(tw_out *out, const tw_frame *frame, int64_t first,
                         int64_t count, const int32_t *order, const tw_slice *head,
                         int n) {
  for (int64_t i = first; i < first + count; i++) {
    if (!n) tw_out_bytes(out, "{", 1);
    for (int k = 0; k < n; k++) {
      tw_out_bytes(out, head[k].ptr, head[k].len);
      json_cell(out, frame->column[order[k]], i);
    }
    tw_out_bytes(out, "}\n", 2);
  }
}
