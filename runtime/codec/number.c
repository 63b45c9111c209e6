/* number.c -- decimal text to double and back: what number.h leaves to a call. */
#include "codec/number.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "codec/shortest.h"

const double tw__number_tens[23] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                    1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                    1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

#if LDBL_MANT_DIG == 64
/* The result has 64 bits and half a unit of error; it rounds as the true value does
 * unless its last 11 bits are exactly those of a tie between two doubles. */
static bool scale_extended(uint64_t mantissa, int64_t exp10, double *x) {
  static const long double tens[28] = {1e0L,  1e1L,  1e2L,  1e3L,  1e4L,  1e5L,  1e6L,
                                       1e7L,  1e8L,  1e9L,  1e10L, 1e11L, 1e12L, 1e13L,
                                       1e14L, 1e15L, 1e16L, 1e17L, 1e18L, 1e19L, 1e20L,
                                       1e21L, 1e22L, 1e23L, 1e24L, 1e25L, 1e26L, 1e27L};
  if (exp10 < -27 || exp10 > 27) return false;
  long double y = (long double)mantissa;
  if (exp10 < 0)
    y /= tens[-exp10];
  else
    y *= tens[exp10];
  uint64_t bits;
  memcpy(&bits, &y, sizeof bits);
  if ((bits & 0x7FF) == 0x400) return false;
  *x = (double)y;
  return true;
}
#endif

bool tw__number_scale(uint64_t mantissa, int64_t exp10, double *x) {
  if (mantissa == 0) {
    *x = 0;
    return true;
  }
  if (exp10 == 0) {
    *x = (double)mantissa;
    return true;
  }
  if (mantissa <= (1ull << 53) && exp10 >= -22 && exp10 <= 22) {
    double y = (double)mantissa;
    *x = exp10 < 0 ? y / tw__number_tens[-exp10] : y * tw__number_tens[exp10];
    return true;
  }
#if LDBL_MANT_DIG == 64
  return scale_extended(mantissa, exp10, x);
#else
  return false;
#endif
}

/* No double, and no midpoint between two, has more than 767 significant digits: of what
 * comes after them it only matters whether it is zero. */
enum { DIGITS_MAX = 770 };

double tw__number_slow(const char *first, const char *end) {
  char buf[DIGITS_MAX + 32];
  const char *p = first;
  int n = 0;
  int64_t exp10 = 0;
  bool point = false, rest = false;
  if (p < end && (*p == '-' || *p == '+')) {
    if (*p == '-') buf[n++] = '-';
    p++;
  }
  int start = n;
  for (; p < end && (*p == '.' || tw__number_digit(*p)); p++) {
    if (*p == '.') {
      point = true;
      continue;
    }
    if (n - start == DIGITS_MAX) {
      rest |= *p != '0';
      exp10 += !point;
      continue;
    }
    exp10 -= point;
    if (n > start || *p != '0') buf[n++] = *p;
  }
  if (n == start) buf[n++] = '0';
  if (rest) {
    buf[n++] = '1';
    exp10--;
  }
  if (p < end) { /* at the e */
    int64_t e = 0;
    p++;
    bool minus = *p == '-';
    if (*p == '-' || *p == '+') p++;
    for (; p < end; p++)
      if (e < 1000000000000) e = e * 10 + (*p - '0');
    exp10 += minus ? -e : e;
  }
  if (exp10 > 99999) exp10 = 99999;
  if (exp10 < -99999) exp10 = -99999;
  snprintf(buf + n, sizeof buf - (size_t)n, "e%d", (int)exp10);
  return strtod(buf, NULL);
}

static bool same_word(const char *p, const char *end, const char *word) {
  for (; *word; p++, word++)
    if (p == end || (*p | 0x20) != *word) return false;
  return p == end;
}

int tw__number_read(const char *first, const char *end, double *x) {
  const char *p = first;
  bool negative = p < end && *p == '-';
  if (p < end && (*p == '-' || *p == '+')) p++;
  if (p == end) return -1;
  if (!tw__number_digit(*p) && *p != '.') {
    if (same_word(p, end, "nan")) {
      *x = NAN;
      return 0;
    }
    if (!same_word(p, end, "inf") && !same_word(p, end, "infinity")) return -1;
    *x = negative ? -INFINITY : INFINITY;
    return 0;
  }
  uint64_t w = 0;
  const char *digits = p;
  p = tw__number_digits(p, end, &w);
  int64_t count = p - digits, exp10 = 0;
  if (p < end && *p == '.') {
    const char *fraction = ++p;
    p = tw__number_digits(p, end, &w);
    exp10 = fraction - p;
    count -= exp10;
  }
  if (count == 0) return -1;
  const char *e = p;
  if (p < end && (*p | 0x20) == 'e') {
    p++;
    if (p < end && (*p == '-' || *p == '+')) p++;
    if (p == end) return -1;
    for (; p < end && tw__number_digit(*p); p++) continue;
  }
  if (p != end) return -1;
  double y;
  if (e < p || count > 19 || !tw__number_scale(w, exp10, &y)) {
    *x = tw__number_slow(first, end);
    return 0;
  }
  *x = negative ? -y : y;
  return 0;
}

int tw__number_read_i64(const char *first, const char *end, int64_t *x) {
  const char *p = first;
  bool negative = p < end && *p == '-';
  if (p < end && (*p == '-' || *p == '+')) p++;
  if (p == end) return -1;
  uint64_t w = 0, limit = (uint64_t)INT64_MAX + negative;
  for (; p < end; p++) {
    if (!tw__number_digit(*p)) return -1;
    uint64_t d = (uint64_t)(*p - '0');
    if (w > (limit - d) / 10) return -1;
    w = w * 10 + d;
  }
  *x = negative ? (int64_t)(0 - w) : (int64_t)w;
  return 0;
}

int tw__number_write_u64(char *text, uint64_t x) {
  static const char pairs[] = "00010203040506070809101112131415161718192021222324"
                              "25262728293031323334353637383940414243444546474849"
                              "50515253545556575859606162636465666768697071727374"
                              "75767778798081828384858687888990919293949596979899";
  char buf[20];
  int n = 20;
  for (; x >= 100; x /= 100) {
    n -= 2;
    memcpy(buf + n, pairs + 2 * (x % 100), 2);
  }
  if (x >= 10) {
    n -= 2;
    memcpy(buf + n, pairs + 2 * x, 2);
  } else {
    buf[--n] = (char)('0' + x);
  }
  memcpy(text, buf + n, (size_t)(20 - n));
  return 20 - n;
}

int tw__number_write_i64(char *text, int64_t x) {
  if (x >= 0) return tw__number_write_u64(text, (uint64_t)x);
  text[0] = '-';
  return 1 + tw__number_write_u64(text + 1, 0 - (uint64_t)x);
}

/* The digits d[0 .. n - 1] with the decimal point after point of them, as text. */
static int layout(char *text, const char *d, int n, int point) {
  int len = 0;
  if (point > 21 || point < -5) { /* d.ddde+x */
    text[len++] = d[0];
    if (n > 1) {
      text[len++] = '.';
      memcpy(text + len, d + 1, (size_t)(n - 1));
      len += n - 1;
    }
    text[len++] = 'e';
    return len + tw__number_write_i64(text + len, point - 1);
  }
  if (point <= 0) { /* 0.000ddd */
    memcpy(text, "0.000000", 8);
    len = 2 - point;
    memcpy(text + len, d, (size_t)n);
    return len + n;
  }
  for (int i = 0; i < n || i < point; i++) {
    if (i == point) text[len++] = '.';
    text[len++] = i < n ? d[i] : '0';
  }
  return len;
}

int tw__number_write(char text[TW__NUMBER_TEXT], double x) {
  int len = 0;
  if (signbit(x)) {
    text[len++] = '-';
    x = -x;
  }
  if (x < 0x1p53 && x == (double)(int64_t)x)
    return len + tw__number_write_u64(text + len, (uint64_t)x);
  char d[20];
  uint64_t digits;
  int exp10;
  tw__shortest(x, &digits, &exp10);
  int n = tw__number_write_u64(d, digits);
  return len + layout(text + len, d, n, n + exp10);
}

/* Puts a '.' for the locale's decimal point, which printf has written. */
static int without_locale(char *text) {
  char *point = text + strspn(text, "+-0123456789einf");
  if (*point) {
    const char *after = point + strcspn(point, "0123456789");
    *point = '.';
    memmove(point + 1, after, strlen(after) + 1);
  }
  return (int)strlen(text);
}

int tw__number_tostring(char text[TW__NUMBER_TEXT], double x) {
  const double size = fabs(x);
  if (x != x) return (int)strlen(strcpy(text, "nan"));
  if (size >= 1e-4 && size < 1e14) return tw__number_write(text, x);
  for (int digits = 14; digits <= 17; digits++) {
    snprintf(text, TW__NUMBER_TEXT, "%.*g", digits, x);
    if (strtod(text, NULL) == x) break;
  }
  return without_locale(text);
}
