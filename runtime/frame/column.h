/* column.h -- what the files of frame/ know of a column beyond its fields.
 *
 * data and bitmap stand together: `room` values (a multiple of 8), then the bits and 8
 * bytes that may be read. So a missing value never takes memory, and valid is NULL or
 * points behind the values. Bits from len on are set. F64 has no bitmap.
 */
#ifndef TIDEWAY_FRAME_COLUMN_H
#define TIDEWAY_FRAME_COLUMN_H

#include "core/refs.h"
#include "tideway.h"

#include <math.h>
#include <stddef.h>

/* Whether value k is there; F64 not asked. */
static inline int tw__column_bit(const uint8_t *valid, int64_t k) {
  return valid[k >> 3] >> (k & 7) & 1;
}

/* Nanoseconds of seconds, the whole ones exact; 0 when they are too many. */
static inline int tw__column_ns(double seconds, int64_t *ns) {
  double whole = floor(seconds);
  if (!(fabs(whole) < 9.2e9)) return 0;
  *ns = (int64_t)whole * 1000000000 + llrint((seconds - whole) * 1e9);
  return 1;
}

/* Seconds of nanoseconds, rounded once. */
static inline double tw__column_seconds(int64_t ns) {
  int64_t whole = ns / 1000000000;
  return (double)whole + (double)(ns - whole * 1000000000) / 1e9;
}

/* Whether this holder may change the column. */
static inline int tw__column_mine(const tw_column *col) {
  return tw__refs_mine(&col->refs);
}

/* Cut back to the first len values; take the first n away. */
void tw__column_truncate(tw_column *col, int64_t len);
void tw__column_shift(tw_column *col, int64_t n);

#endif
