/* frame_lanes.h -- cells of four rows at a time, where the processor has AVX2. */
#ifndef TIDEWAY_CODEC_FRAME_LANES_H
#define TIDEWAY_CODEC_FRAME_LANES_H

#include <stdbool.h>
#include <stdint.h>

enum { TW__LANES = 4 }; /* rows at a time */

/* Whether the processor has AVX2 and BMI2. */
bool tw__lanes_there(void);

/* Set by specs, which compare: as if it had not. */
extern bool tw__lanes_off;

/* Decimals, as tw__cell_short reads them, of up to eight bytes with their sign: those of
 * rows one after the other, four rows at a time while all four of them are of that kind.
 * text     len bytes.
 * pos      the field of the first row is text[pos[-1] + 1] .. text[pos[0] - 1], that of row i
 *          is found at pos + i * width.
 * is_last  a "\r" at the end of a cell does not belong to it.
 * out      room for n numbers.
 * Returns how many rows were read, from 0 to n; without AVX2 none. */
int64_t tw__lanes_f64(const char *text, int64_t len, const uint32_t *pos, int64_t width,
                      bool is_last, int64_t n, double *out);

#endif
