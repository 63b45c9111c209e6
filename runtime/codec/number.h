/* number.h -- decimal text to double and back, exact and without the locale.
 *
 * Reading: up to 19 digits are gathered in a 64-bit integer, eight at a time; then the
 * result is exact after one double operation (Clinger, PLDI 1990), or after one in the
 * 64-bit mantissa of x87 unless that lies on a rounding boundary; else strtod decides,
 * on a text without a decimal point, which is where a locale could interfere.
 */
#ifndef TIDEWAY_CODEC_NUMBER_H
#define TIDEWAY_CODEC_NUMBER_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum { TW__NUMBER_TEXT = 32 }; /* characters that every number fits into */

/* Ten to the power of 0 .. 22, the powers that a double holds exactly. */
extern const double tw__number_tens[23];

/* The double nearest to the number whose text is first .. end (a valid JSON number,
 * sign, fraction and exponent optional, of any length). O(length). */
double tw__number_slow(const char *first, const char *end);

/* mantissa * 10^exp10, correctly rounded, when that takes no more than one operation;
 * false when it does not. */
bool tw__number_scale(uint64_t mantissa, int64_t exp10, double *x);

/* Writes the shortest decimal that reads back as x (finite): integers without a
 * fraction, exponents below 1e-6 and from 1e21 on, as JavaScript does. Returns the
 * length. */
int tw__number_write(char text[TW__NUMBER_TEXT], double x);

/* Writes any double as Lua's tostring does, with as many digits more as it takes to read back
 * the same; inf, -inf and nan, too. Returns the length. */
int tw__number_tostring(char text[TW__NUMBER_TEXT], double x);

/* Writes an integer. Returns the length. */
int tw__number_write_u64(char *text, uint64_t x);
int tw__number_write_i64(char *text, int64_t x);

/* Reads the number that the whole of first .. end is, as Lua's tonumber would in base
 * 10 but stricter: no blanks, no hexadecimal; a leading '+', ".5" and "5." are let
 * through, nan, inf and infinity (any case) too. 0, or -1 when it is none. */
int tw__number_read(const char *first, const char *end, double *x);

/* The same for an integer of 64 bits; -1 also when it is out of range. */
int tw__number_read_i64(const char *first, const char *end, int64_t *x);

static inline bool tw__number_digit(char c) {
  return (unsigned char)(c - '0') <= 9;
}

/* Adds the digits at p to *w (which may overflow: the caller counts them). Returns
 * where they end. Where eight bytes can be read their number costs no branch. */
static inline const char *tw__number_digits(const char *p, const char *end,
                                            uint64_t *w) {
  static const uint32_t tens[9] = {1,      10,      100,      1000,     10000,
                                   100000, 1000000, 10000000, 100000000};
  uint64_t sum = *w;
  while (end - p >= 8) {
    uint64_t v;
    memcpy(&v, p, sizeof v);
#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
    v = __builtin_bswap64(v);
#endif
    v ^= 0x3030303030303030u; /* digits become 0 .. 9, all else 10 .. 255 */
    uint64_t odd = ((v + 0x7676767676767676u) | v) & 0x8080808080808080u;
    unsigned n = odd ? (unsigned)__builtin_ctzll(odd) >> 3 : 8;
    if (n == 0) break;
    v <<= 64 - 8 * n; /* leading zeros for what is missing */
    v = v * 10 + (v >> 8);
    v = ((v & 0x000000FF000000FFu) * 0x000F424000000064u +
         ((v >> 16) & 0x000000FF000000FFu) * 0x0000271000000001u) >>
        32;
    sum = sum * tens[n] + v;
    p += n;
    if (n < 8) {
      *w = sum;
      return p;
    }
  }
  for (; p < end && tw__number_digit(*p); p++) sum = sum * 10 + (uint64_t)(*p - '0');
  *w = sum;
  return p;
}

/* The end of the digits at p. */
static inline const char *tw__number_span(const char *p, const char *end) {
  for (; end - p >= 8; p += 8) {
    uint64_t v;
    memcpy(&v, p, sizeof v);
#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
    v = __builtin_bswap64(v);
#endif
    v ^= 0x3030303030303030u;
    uint64_t odd = ((v + 0x7676767676767676u) | v) & 0x8080808080808080u;
    if (odd) return p + (__builtin_ctzll(odd) >> 3);
  }
  while (p < end && tw__number_digit(*p)) p++;
  return p;
}

/* The end of the JSON number at p, NULL when it is none. Its value is not looked at. */
static inline const char *tw__number_skip(const char *p, const char *end) {
  p += *p == '-';
  const char *digits = p;
  p = tw__number_span(p, end);
  if (p == digits || (*digits == '0' && p - digits > 1)) return NULL;
  if (p < end && *p == '.') {
    digits = ++p;
    p = tw__number_span(p, end);
    if (p == digits) return NULL;
  }
  if (p < end && (*p | 0x20) == 'e') {
    p++;
    if (p < end && (*p == '-' || *p == '+')) p++;
    digits = p;
    p = tw__number_span(p, end);
    if (p == digits) return NULL;
  }
  return p;
}

/* Reads the JSON number at p (p < end, at a digit or '-'). Returns where it ends, or
 * NULL with *bad where a digit was expected. */
static inline const char *tw__number_json(const char *p, const char *end, double *x,
                                          const char **bad) {
  const char *first = p;
  uint64_t w = 0;
  int64_t exp10 = 0;
  bool negative = *p == '-';
  p += negative;
  const char *digits = p;
  if (p < end && *p == '0') {
    p++;
  } else {
    p = tw__number_digits(p, end, &w);
    if (p == digits) {
      *bad = p;
      return NULL;
    }
  }
  int64_t count = p - digits;
  if (p < end && *p == '.') {
    const char *fraction = ++p;
    p = tw__number_digits(p, end, &w);
    if (p == fraction) {
      *bad = p;
      return NULL;
    }
    exp10 = -(p - fraction);
    count -= exp10;
  }
  if (p < end && (*p | 0x20) == 'e') {
    p++;
    bool minus = p < end && *p == '-';
    if (p < end && (*p == '-' || *p == '+')) p++;
    const char *power = p;
    int64_t e = 0;
    for (; p < end && tw__number_digit(*p); p++)
      if (e < 100000) e = e * 10 + (*p - '0');
    if (p == power) {
      *bad = p;
      return NULL;
    }
    exp10 += minus ? -e : e;
  }
  double y;
  if (__builtin_expect(count <= 19 && w <= (1ull << 53) && exp10 <= 0 && exp10 >= -22,
                       1)) {
    y = (double)(int64_t)w;
    if (exp10) y /= tw__number_tens[-exp10];
  } else if (count > 19 || !tw__number_scale(w, exp10, &y)) {
    *x = tw__number_slow(first, p);
    return p;
  }
  *x = negative ? -y : y;
  return p;
}

#endif
