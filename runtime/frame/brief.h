/* brief.h -- sum, squares or the largest of the last few rows, row by row.
 *
 * What sliding.h does, for windows of at most 32 rows: sums of 2, 4, 8, ... neighbours are
 * made for all rows that come at once, and those that make up the window added:
 *
 *     rows      a b c d e f g h i j k l      the last 10 up to l:
 *     sums of 2                     k+l
 *     sums of 8     c+d+e+f+g+h+i+j
 *
 * The rows before are kept; the next result goes over them anew.
 */
#ifndef TIDEWAY_FRAME_BRIEF_H
#define TIDEWAY_FRAME_BRIEF_H

#include "tideway.h"

enum { TW__BRIEF_ROWS = 32 };

struct tw__brief;

/* As tw__sliding_open; rows at most TW__BRIEF_ROWS. */
struct tw__brief *tw__brief_open(int agg, double ddof, int64_t rows, int64_t periods);
void tw__brief_close(struct tw__brief *b);                   /* taken; NULL is fine */
struct tw__brief *tw__brief_copy(const struct tw__brief *b); /* NULL: no memory */

/* As tw__sliding_push, without a way to fail. */
void tw__brief_push(struct tw__brief *b, const double *val, double *out, int64_t n);

#endif
