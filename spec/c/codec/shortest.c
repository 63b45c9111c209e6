/* shortest.c -- no decimal of fewer digits reads back as the same double, none of as
 * many is nearer. */
#include "../check.h"

#include <math.h>

#include "codec/shortest.h"

static int length(uint64_t x) {
  int n = 0;
  for (; x; x /= 10) n++;
  return n;
}

static double read(uint64_t digits, int exp10) {
  char text[64];
  snprintf(text, sizeof text, "%llue%d", (unsigned long long)digits, exp10);
  return strtod(text, NULL);
}

static void verify(double x) {
  uint64_t digits = 0;
  int exp10 = 0;
  if (!(x > 0) || x - x != 0) return;
  tw__shortest(x, &digits, &exp10);
  CHECKF(digits && digits % 10, "%.17g: %llu", x, (unsigned long long)digits);
  CHECKF(read(digits, exp10) == x, "%.17g: %llue%d", x, (unsigned long long)digits,
         exp10);

  /* printf's digits are the nearest ones of their number */
  int n = length(digits);
  char text[64];
  snprintf(text, sizeof text, "%.*e", n - 1, x);
  if (strtod(text, NULL) == x) {
    char mine[64];
    snprintf(mine, sizeof mine, "%llu", (unsigned long long)digits);
    char *e = strchr(text, 'e');
    int k = 0;
    for (char *p = text; p < e; p++)
      if (*p != '.') CHECKF(*p == mine[k++], "%.17g: %s, printf %s", x, mine, text);
  }
  if (n == 1) return;
  snprintf(text, sizeof text, "%.*e", n - 2, x);
  CHECKF(strtod(text, NULL) != x, "%.17g has %d digits: %s", x, n - 1, text);
}

int main(int argc, char **argv) {
  check_open(argc, argv);
  static const double list[] = {5e-324,
                                1e-323,
                                2.2250738585072014e-308,
                                2.225073858507201e-308,
                                1.7976931348623157e308,
                                0.1,
                                0.3,
                                1,
                                10,
                                1e22,
                                1e23,
                                9e-265,
                                5e-7,
                                123456.789,
                                0x1p53,
                                0x1p54,
                                0x1p-44,
                                9007199254740993.0};
  for (size_t i = 0; i < sizeof list / sizeof *list; i++) verify(list[i]);
  for (int e = -1074; e < 1024; e++) { /* where the lower boundary is closer */
    double x = ldexp(1, e);
    verify(x);
    verify(nextafter(x, 0));
    verify(nextafter(x, INFINITY));
  }
  uint64_t digits;
  int exp10;
  tw__shortest(0x1p-44, &digits, &exp10);
  CHECK(digits == 5684341886080802 && exp10 == -29);
  for (int i = 0; i < (check_long ? 5000000 : 100000); i++) {
    uint64_t bits = check_u64() >> 1;
    double x;
    memcpy(&x, &bits, sizeof x);
    verify(x);
    verify((double)check_below(1000000000) / 1000);
    verify(check_unit());
  }
  return check_close();
}
