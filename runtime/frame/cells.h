/* cells.h -- one aggregate of one column for many groups: an array of small states.
 *
 * *Live* cells give values back. What is subtracted from a sum leaves its rounding
 * behind: a live cell knows what has ever gone through it (spent), and when that is so
 * much more than what it holds that the rounding could be seen, it says it is stale: all
 * cells are then to be cleared and filled anew from the window. Infinities are counted
 * instead of added. Minimum and maximum keep every value that can still become it.
 */
#ifndef TIDEWAY_FRAME_CELLS_H
#define TIDEWAY_FRAME_CELLS_H

#include "tideway.h"

struct tw__cells {
  void *cell;
  int64_t room, used; /* cells; those that were asked for last */
  double ddof;
  int32_t kind; /* enum kind of cells.c */
  int32_t agg;
  int32_t in;    /* column type of the values */
  int32_t out;   /* of the result */
  int32_t stale; /* fill anew */
};

/* Empty cells, for a column of this type; arguments as tw_reduce_open. TW_OK, TW_EINVAL,
 * TW_ETYPE. No memory is taken; room is 0. */
int tw__cells_init(struct tw__cells *c, int agg, int type, double ddof, int live);
void tw__cells_fini(struct tw__cells *c);

/* Place for room cells, the new ones empty; all of them empty; another one like it, with
 * `used` cells. TW_OK or TW_ENOMEM. */
int tw__cells_reserve(struct tw__cells *c, int64_t room);
void tw__cells_clear(struct tw__cells *c);
int tw__cells_copy(struct tw__cells *to, const struct tw__cells *c, int64_t used);

/* Whether no value stands in any of the first `used` cells. */
int tw__cells_void(const struct tw__cells *c, int64_t used);

/* Keep only the cells from[0 .. n - 1] (ascending, none below its new number), which get the numbers first ..
 * first + n - 1; the others must be empty. */
void tw__cells_keep(struct tw__cells *c, const uint32_t *from, int64_t n,
                    int64_t first);

/* Values first .. first + n - 1 of col into (out of) cells number[0 .. n - 1], or all
 * into cell 0 when number is NULL.
 * key  of live minimum and maximum: where each stands in the window; NULL: behind all.
 * TW_OK, or TW_ENOMEM (live minimum and maximum), and then they are to be cleared. */
int tw__cells_add(struct tw__cells *c, const uint32_t *number, const tw_column *col,
                  int64_t first, int64_t n, const int64_t *key);
void tw__cells_drop(struct tw__cells *c, const uint32_t *number, const tw_column *col,
                    int64_t first, int64_t n);

/* The result of cell g: TW_COL_F64 and *num, or TW_COL_I64 (TIMESTAMP) and *i64; 0: none. */
int tw__cells_value(const struct tw__cells *c, int64_t g, double *num, int64_t *i64);

/* The result of cell g as value at of a column, or those of cells number[0 .. n - 1] as its
 * values from 0 on; missing where there is none. */
void tw__cells_put(const struct tw__cells *c, int64_t g, tw_column *col, int64_t at);
void tw__cells_write(const struct tw__cells *c, const uint32_t *number, int64_t n,
                     tw_column *col);

/* How many values a mean is of. */
double tw__cells_held(const struct tw__cells *c, int64_t g);

#endif
