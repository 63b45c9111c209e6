/* sliding.h -- sum, squares or the largest of the last n rows, row by row.
 *
 * The rows of the window stand in a ring of blocks of at most 64. What it holds is
 *
 *     | gone x x x | block | block | block | block | x x . . |
 *       head: ends   rest: front     acc: back       tail: from its
 *       from each                                    beginning
 *
 * so a result is four parts put together, and two of them (rest and acc) stay the same
 * from one border of a block to the next: within a block all there is to do is to go on
 * in the tail and to look up what is left of the head. The back becomes the front when
 * that is used up: then each of its blocks learns what is behind it. This is the
 * two-stacks queue (Tangwongsan, Hirzel, Schneider, DEBS 2017) over blocks, its flip n /
 * 64 steps. Nothing is ever subtracted: what has left, however large, has no part in
 * any result.
 */
#ifndef TIDEWAY_FRAME_SLIDING_H
#define TIDEWAY_FRAME_SLIDING_H

#include "tideway.h"

struct tw__sliding;

/* agg      TW_AGG_SUM, MEAN, VAR, STD, MIN or MAX.
 * ddof     of VAR and STD.
 * rows     of the window, from 1.
 * periods  so many values there must be for a result.
 * NULL: no memory. */
struct tw__sliding *tw__sliding_open(int agg, double ddof, int64_t rows,
                                     int64_t periods);
void tw__sliding_close(struct tw__sliding *s); /* taken; NULL is fine */
struct tw__sliding *tw__sliding_copy(const struct tw__sliding *s); /* NULL: no memory */

/* n rows come; out has a result for each. A value that is not finite is missing.
 * TW_OK, or TW_ENOMEM and nothing has changed. */
int tw__sliding_push(struct tw__sliding *s, const double *val, double *out, int64_t n);

#endif
