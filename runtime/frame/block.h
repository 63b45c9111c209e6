/* block.h -- loops over a block of values, for formulas and masks. */
#ifndef TIDEWAY_FRAME_BLOCK_H
#define TIDEWAY_FRAME_BLOCK_H

#include "tideway.h"

enum { TW__BLOCK = 512 }; /* values of a block: a few of them stay in the first cache */

/* What a step does beside enum tw_formula_op, from there on. The first three change out,
 * by the bytes b, 0 where a value is missing. */
enum {
  TW__BLOCK_BLANK = TW_FORMULA_OPS, /* F64: NaN where it is missing */
  TW__BLOCK_KEEP,                   /* BOOL: 0 where it is missing */
  TW__BLOCK_MISS,                   /* BOOL: 1 where it is missing */
  TW__BLOCK_CODE,                   /* STRING to BOOL: whether the code is b[0] */
  TW__BLOCK_OTHER                   /* whether it is not */
};

/* 1 where the processor has the wide instructions (AVX2) that `wide` below asks for. */
int tw__block_wide(void);

/* out[i] = a[i] OP b[i] for n values.
 * type  of the operands; what has one takes b for whatever it is. Returns 1, or 0: there
 *       is no such step, and nothing was done (n may be 0 to ask).
 * wide  the results are the same. */
int tw__block_step(int op, int type, void *out, const void *a, const void *b, int64_t n,
                   int wide);

/* base + i for each i < n with mask[i] 1, not 0, into `at`, which has place for n. Returns how
 * many. */
int64_t tw__block_select(int32_t *at, int32_t base, const uint8_t *mask, int64_t n,
                         int wide);

#endif
