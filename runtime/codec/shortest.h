/* shortest.h -- the shortest decimal that reads back as a given double. */
#ifndef TIDEWAY_CODEC_SHORTEST_H
#define TIDEWAY_CODEC_SHORTEST_H

#include <stdint.h>

/* digits * 10^exp10 is the decimal of fewest digits, and among those the nearest to x,
 * that rounds to x (finite, above 0). digits has no trailing zeros. Schubfach:
 * Giulietti, "The Schubfach way to render doubles", 2020. Constant time; the first call
 * makes a table. Any thread. */
void tw__shortest(double x, uint64_t *digits, int *exp10);

#endif
