/* parts.h -- plain sums by number, of a piece of rows that is long beside the numbers.
 *
 * Adding a row to a compensated sum (agg/sum.h) costs more than all else that is done to
 * it. So the rows of a piece are added plainly first, and these sums are then put into the
 * compensated ones. Rows go to several tables in turn: a group whose rows follow each other
 * closely does not have to wait for its own last sum.
 */
#ifndef TIDEWAY_FRAME_PARTS_H
#define TIDEWAY_FRAME_PARTS_H

#include <stdint.h>
#include <string.h>

typedef double pair __attribute__((vector_size(16)));
typedef int64_t bits __attribute__((vector_size(16)));

enum { TW__PARTS = 2048 /* in all tables */ };

/* How many tables there are of `room` numbers for n rows; 0: adding row by row is better. */
static inline int64_t tw__parts_tables(int64_t room, int64_t n) {
  if (n < 3 * room || room > TW__PARTS) return 0;
  return room > TW__PARTS / 8 ? 1 : n < 16 * room ? 2 : 4;
}

/* {x, 1}; {0, 0} where it is missing. */
static inline pair tw__parts_counted(double x) {
  pair one = {x, 1}, both = {x, x};
  return (pair)((bits)one & (both == both));
}

/* {x, |x|}, likewise. */
static inline pair tw__parts_both(double x) {
  pair both = {x, x};
  bits sign = {-1, INT64_MAX};
  return (pair)((bits)both & sign & (both == both));
}

/* Makes part[0 .. room - 1] {sum, count} of what is there of x[0 .. n - 1], by number. 0:
 * it has not. */
static inline int tw__parts_sums(pair *part, int64_t room, const uint32_t *number,
                                 const double *x, int64_t n) {
  int64_t tables = tw__parts_tables(room, n), i = 0;
  pair *a = part, *b = tables == 1 ? a : part + room;
  pair *c = tables == 4 ? b + room : a, *d = tables == 4 ? c + room : b;
  if (!tables) return 0;
  memset(part, 0, (size_t)(tables * room) * sizeof *part);
  for (; i + 4 <= n; i += 4) {
    a[number[i]] += tw__parts_counted(x[i]);
    b[number[i + 1]] += tw__parts_counted(x[i + 1]);
    c[number[i + 2]] += tw__parts_counted(x[i + 2]);
    d[number[i + 3]] += tw__parts_counted(x[i + 3]);
  }
  for (; i < n; i++) a[number[i]] += tw__parts_counted(x[i]);
  for (int64_t g = 0; g < room; g++)
    for (int64_t t = 1; t < tables; t++) part[g] += part[g + t * room];
  return 1;
}

/* Makes part[0 .. room - 1] {sum, sum of |x|} and count[...], likewise. */
static inline int tw__parts_live(pair *part, int64_t *count, int64_t room,
                                 const uint32_t *number, const double *x, int64_t n) {
  int64_t tables = tw__parts_tables(room, n) > 1 ? 2 : 1, i = 0;
  pair *a = part, *b = tables == 1 ? a : part + room;
  if (!tw__parts_tables(room, n)) return 0;
  memset(part, 0, (size_t)(tables * room) * sizeof *part);
  memset(count, 0, (size_t)room * sizeof *count);
  for (; i + 2 <= n; i += 2) {
    a[number[i]] += tw__parts_both(x[i]);
    b[number[i + 1]] += tw__parts_both(x[i + 1]);
    count[number[i]] += x[i] == x[i];
    count[number[i + 1]] += x[i + 1] == x[i + 1];
  }
  if (i < n) {
    a[number[i]] += tw__parts_both(x[i]);
    count[number[i]] += x[i] == x[i];
  }
  for (int64_t g = 0; g < room && tables == 2; g++) part[g] += part[g + room];
  return 1;
}

#endif
