/* shortest.c -- the shortest decimal that reads back as a given double, by Schubfach.
 *
 * Every double x = c * 2^q rounds from the decimals between its two boundaries. The
 * paper shows that scaled by the power of ten that makes this interval between one and
 * ten units long, the candidates are its floor, the one above, and the same of one
 * digit less; to compare them with the boundaries, products with a 128-bit power of ten
 * are exact enough when they are rounded to odd. Names are the paper's.
 */
#include "codec/shortest.h"

#include <pthread.h>
#include <stdbool.h>
#include <string.h>

enum { TENS_MIN = -292, TENS_MAX = 324, LIMBS = 28 };

struct ten {
  uint64_t high, low;
};

/* 10^k as a 128-bit fraction with its highest bit set, rounded up. */
static struct ten tens[TENS_MAX - TENS_MIN + 1];
static pthread_once_t tens_made = PTHREAD_ONCE_INIT;

/* The highest 128 bits of a number, rounded up where others follow. */
static struct ten top_bits(const uint32_t limb[LIMBS], bool inexact) {
  int top = LIMBS - 1;
  while (!limb[top]) top--;
  int shift = __builtin_clz(limb[top]);
  uint32_t word[4];
  for (int i = 0; i < 4; i++) {
    uint32_t here = top - i >= 0 ? limb[top - i] : 0;
    uint32_t next = top - i >= 1 ? limb[top - i - 1] : 0;
    word[i] = shift ? here << shift | next >> (32 - shift) : here;
  }
  if (top >= 4 && (uint32_t)(limb[top - 4] << shift)) inexact = true;
  for (int i = top - 5; i >= 0; i--)
    if (limb[i]) inexact = true;
  struct ten ten = {(uint64_t)word[0] << 32 | word[1],
                    (uint64_t)word[2] << 32 | word[3]};
  if (inexact && ++ten.low == 0) ten.high++;
  return ten;
}

static void make_tens(void) {
  uint32_t five[LIMBS] = {1}; /* powers of five: those of two are in the exponent */
  for (int k = 0; k <= TENS_MAX; k++) {
    tens[k - TENS_MIN] = top_bits(five, false);
    uint64_t carry = 0;
    for (int i = 0; i < LIMBS; i++) {
      carry += (uint64_t)five[i] * 5;
      five[i] = (uint32_t)carry;
      carry >>= 32;
    }
  }
  uint32_t fraction[LIMBS] = {[LIMBS - 1] = 1}; /* floor(2^n / 5^k), n large enough */
  for (int k = -1; k >= TENS_MIN; k--) {
    uint64_t rest = 0;
    for (int i = LIMBS - 1; i >= 0; i--) {
      rest = rest << 32 | fraction[i];
      fraction[i] = (uint32_t)(rest / 5);
      rest %= 5;
    }
    tens[k - TENS_MIN] = top_bits(fraction, true);
  }
}

/* cp * g / 2^128, rounded to odd: the last bit is set when anything was lost. */
static uint64_t round_to_odd(struct ten g, uint64_t cp) {
  unsigned __int128 x = (unsigned __int128)g.low * cp;
  unsigned __int128 y = (unsigned __int128)g.high * cp + (uint64_t)(x >> 64);
  return (uint64_t)(y >> 64) | ((uint64_t)y > 1);
}

static void shortest(uint64_t c, int q, bool closer_below, uint64_t *digits,
                     int *exp10) {
  bool even = c % 2 == 0;
  uint64_t cbl = 4 * c - 2 + closer_below, cb = 4 * c, cbr = 4 * c + 2;
  int k = (q * 1262611 - (closer_below ? 524031 : 0)) >> 22; /* floor(log10(2^q ...)) */
  int h = q + ((-k * 1741647) >> 19) + 1;
  struct ten g = tens[-k - TENS_MIN];
  uint64_t lower = round_to_odd(g, cbl << h) + !even;
  uint64_t vb = round_to_odd(g, cb << h);
  uint64_t upper = round_to_odd(g, cbr << h) - !even;

  uint64_t s = vb / 4, sp = s / 10;
  *exp10 = k;
  if (s >= 10) { /* one digit less */
    bool below = lower <= 40 * sp, above = 40 * sp + 40 <= upper;
    if (below != above) {
      *digits = sp + above;
      *exp10 = k + 1;
      return;
    }
  }
  bool below = lower <= 4 * s, above = 4 * s + 4 <= upper;
  if (below != above) {
    *digits = s + above;
    return;
  }
  uint64_t middle = 4 * s + 2;
  *digits = s + (vb > middle || (vb == middle && (s & 1)));
}

void tw__shortest(double x, uint64_t *digits, int *exp10) {
  uint64_t bits;
  pthread_once(&tens_made, make_tens);
  memcpy(&bits, &x, sizeof bits);
  uint64_t fraction = bits & 0xFFFFFFFFFFFFFu;
  int exponent = (int)(bits >> 52 & 0x7FF);
  if (exponent)
    shortest(fraction | 1ull << 52, exponent - 1075, fraction == 0 && exponent > 1,
             digits, exp10);
  else
    shortest(fraction, -1074, false, digits, exp10);
  while (*digits % 10 == 0) {
    *digits /= 10;
    ++*exp10;
  }
}
