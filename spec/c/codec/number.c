/* number.c -- numbers are read as strtod reads them and written so that they come back.
 */
#include "../check.h"

#include <math.h>

#include "codec/number.h"

static double json(const char *text, size_t len) {
  char *exact = malloc(len); /* its end is what ASan guards */
  const char *bad = NULL;
  double x = NAN;
  memcpy(exact, text, len);
  const char *end = tw__number_json(exact, exact + len, &x, &bad);
  CHECKF(end == exact + len, "%.*s", (int)len, text);
  free(exact);
  return x;
}

static void agrees(const char *text) {
  double want = strtod(text, NULL), got = json(text, strlen(text)), plain = NAN;
  CHECKF(want == got && signbit(want) == signbit(got), "%s: %.17g, got %.17g", text,
         want, got);
  CHECK(tw__number_read(text, text + strlen(text), &plain) == 0 && plain == want);
}

static void returns(double x) {
  char text[TW__NUMBER_TEXT + 1];
  int len = tw__number_write(text, x);
  CHECK(len > 0 && len <= 25);
  text[len] = 0;
  double back = json(text, (size_t)len);
  CHECKF(!memcmp(&back, &x, sizeof x), "%.17g written as %s", x, text);
  /* not longer than what printf finds by trying */
  char tried[40];
  for (int digits = 1; digits <= 17; digits++) {
    snprintf(tried, sizeof tried, "%.*g", digits, x);
    if (strtod(tried, NULL) == x) break;
  }
  int mine = 0, theirs = 0, zeros = 0;
  for (const char *p = text; *p && *p != 'e'; p++) {
    if (!tw__number_digit(*p) || (*p == '0' && !mine && !zeros)) continue;
    if (*p == '0')
      zeros++;
    else
      mine += zeros + 1, zeros = 0;
  }
  zeros = 0;
  for (const char *p = tried; *p && *p != 'e'; p++) {
    if (!tw__number_digit(*p) || (*p == '0' && !theirs && !zeros)) continue;
    if (*p == '0')
      zeros++;
    else
      theirs += zeros + 1, zeros = 0;
  }
  CHECKF(mine <= theirs, "%s for %s", text, tried);
}

static double random_double(void) {
  uint64_t bits = check_u64();
  double x;
  memcpy(&x, &bits, sizeof x);
  return x - x == 0 ? x : 0;
}

static void random_text(void) {
  char text[80];
  int n = 0;
  if (check_below(2)) text[n++] = '-';
  text[n++] = (char)('1' + check_below(9));
  for (int64_t k = check_below(22); k > 0; k--)
    text[n++] = (char)('0' + check_below(10));
  if (check_below(2)) {
    text[n++] = '.';
    for (int64_t k = 1 + check_below(22); k > 0; k--)
      text[n++] = (char)('0' + check_below(10));
  }
  if (check_below(3) == 0)
    n += snprintf(text + n, 20, "%c%+d", "eE"[check_below(2)],
                  (int)check_below(660) - 330);
  text[n] = 0;
  agrees(text);
}

/* Half-way between two doubles, and just beside it. */
static void ties(void) {
  for (int i = 0; i < 2000; i++) {
    double x = ldexp(1 + check_unit(), (int)check_below(100) - 20),
           y = nextafter(x, 1e300);
    char text[400];
    long double middle = ((long double)x + (long double)y) / 2;
    snprintf(text, sizeof text, "%.*Lf", 90, middle);
    agrees(text);
    snprintf(text, sizeof text, "%.*Lf1", 90, middle);
    agrees(text);
    snprintf(text, sizeof text, "%.*Lg", 18 + (int)check_below(4), middle);
    agrees(text);
  }
}

static void no_numbers(void) {
  static const char *const list[] = {"-",    "",        "+",     ".",    "1e", "1e+",
                                     "a",    "--1",     "1.2.3", "0x10", "1 ", " 1",
                                     "nano", "infinit", "1e5x",  "e5"};
  for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
    double x;
    CHECKF(tw__number_read(list[i], list[i] + strlen(list[i]), &x) == -1, "%s",
           list[i]);
  }
  static const char *const broken[] = {"-", "1.", "1.e5", "1e", "1e-", "-a", "."};
  for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
    double x;
    const char *bad = NULL;
    CHECK(!tw__number_json(broken[i], broken[i] + strlen(broken[i]), &x, &bad) && bad);
  }
}

static void integers(void) {
  char text[32];
  for (int i = 0; i < 10000; i++) {
    int64_t x = (int64_t)(check_u64() >> check_below(64)), back = 0;
    if (check_below(2)) x = -x;
    text[tw__number_write_i64(text, x)] = 0;
    CHECK(strtoll(text, NULL, 10) == x);
    CHECK(!tw__number_read_i64(text, text + strlen(text), &back) && back == x);
  }
  int64_t x;
  CHECK(!tw__number_read_i64("-9223372036854775808", text, &x) || 1);
  static const char low[] = "-9223372036854775808", high[] = "9223372036854775808";
  CHECK(tw__number_read_i64(low, low + sizeof low - 1, &x) == 0 && x == INT64_MIN);
  CHECK(tw__number_read_i64(high, high + sizeof high - 1, &x) == -1);
}

int main(int argc, char **argv) {
  check_open(argc, argv);
  static const char *const list[] = {
      "0",
      "-0",
      "0.0",
      "1",
      "-1",
      "3.25",
      "1700000000.5",
      "12345678",
      "123456789",
      "0.1",
      "1e22",
      "1e23",
      "9007199254740993",
      "9007199254740992.9999",
      "18446744073709551615",
      "1e400",
      "-1e400",
      "1e-400",
      "5e-324",
      "2.4703282292062327e-324",
      "2.4703282292062328e-324",
      "2.2250738585072011e-308",
      "2.2250738585072014e-308",
      "1.7976931348623157e308",
      "1.7976931348623159e308",
      "0.000000000000000000000000000000000000000000000001",
      "1e99999999999999999999",
      "1e-99999999999999999999",
      "0e99999999999999999999",
      "10000000000000000000000000000000000000000000000000000000000000000000000000000000"
      "0000"};
  for (size_t i = 0; i < sizeof list / sizeof *list; i++) agrees(list[i]);
  int rounds = check_long ? 1000000 : 20000;
  for (int i = 0; i < rounds; i++) random_text();
  ties();
  no_numbers();
  integers();

  static const double some[] = {0,
                                -0.0,
                                1,
                                0.1,
                                3.25,
                                1e21,
                                1e20,
                                1e-7,
                                1e-6,
                                5e-324,
                                1.0 / 3,
                                1.7976931348623157e308,
                                2.2250738585072014e-308,
                                0x1p53,
                                123456789.125,
                                1e15,
                                1e16,
                                0.3,
                                0.1 + 0.2,
                                1e23,
                                9.5e-3};
  for (size_t i = 0; i < sizeof some / sizeof *some; i++) returns(some[i]);
  for (int i = 0; i < rounds; i++) {
    returns(random_double());
    returns((double)check_below(1000000) / (double)(1 + check_below(1000)));
    returns((double)check_below(100000000) / 1000);
  }

  /* thousands of digits, where only the last one tells */
  char long_text[3000] = "9007199254740993.";
  memset(long_text + 17, '0', 2900);
  long_text[2917] = 0;
  agrees(long_text);
  strcpy(long_text + 2917, "1");
  agrees(long_text);
  return check_close();
}
