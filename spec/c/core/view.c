/* view -- tw_view_find agrees with the plain loop, and reads nothing outside. */
#include "../check.h"
#include "tideway.h"

static int64_t plain_find(const char *hay, int64_t len, const char *needle, int64_t n) {
  for (int64_t i = 0; i + n <= len; i++)
    if (!memcmp(hay + i, needle, (size_t)n)) return i;
  return -1;
}

/* The bytes stand in a block of exactly their size, so that ASan sees any read outside.
 */
static void agrees(int64_t len, int letters) {
  char *hay = malloc((size_t)(len ? len : 1));
  char needle[70];
  for (int64_t i = 0; i < len; i++) hay[i] = (char)check_below(letters);
  for (int round = 0; round < 20; round++) {
    int64_t n = check_below(check_below(2) ? 5 : 70);
    if (len >= n && check_below(2)) {
      memcpy(needle, hay + check_below(len - n + 1), (size_t)n);
    } else {
      for (int64_t i = 0; i < n; i++) needle[i] = (char)check_below(letters);
    }
    const int64_t want = plain_find(hay, len, needle, n);
    const int64_t got = tw_view_find(hay, len, needle, n);
    CHECKF(got == want, "len %ld needle %ld: %ld, should be %ld", (long)len, (long)n,
           (long)got, (long)want);
    CHECK(tw_view_has(hay, len, needle, n) == (want >= 0));
  }
  free(hay);
}

/* "aaa...ab" in "aaa...": would take minutes when every position were compared in full.
 */
static void stays_linear(void) {
  const int64_t len = 4 << 20, n = 1 << 16;
  char *hay = malloc((size_t)len), *needle = malloc((size_t)n);
  memset(hay, 'a', (size_t)len);
  memset(needle, 'a', (size_t)n);
  needle[1] = 'b';
  CHECK(tw_view_find(hay, len, needle, n) == -1);
  needle[1] = 'a', needle[n - 2] = 'b';
  CHECK(tw_view_find(hay, len, needle, n) == -1);
  free(hay);
  free(needle);
}

static void reads_numbers(void) {
  for (int i = 0; i < 20000; i++) {
    char text[64];
    double x = 0, want;
    const int places = (int)check_below(8);
    snprintf(text, sizeof text, "%.*f", places,
             (check_unit() - 0.5) * (double)(1 << check_below(30)));
    if (tw_view_number(text, (int64_t)strlen(text), &x)) {
      want = strtod(text, NULL);
      CHECKF(x == want, "%s read as %.17g", text, x);
    }
  }
  const char *const others[] = {"",
                                "-",
                                ".",
                                "1e5",
                                "0x10",
                                "1 2",
                                "nan",
                                "inf",
                                "--1",
                                "12345678901234567890",
                                "9007199254740993"};
  for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
    double x = 7;
    CHECKF(tw_view_number(others[i], (int64_t)strlen(others[i]), &x) == 0, "%s",
           others[i]);
    CHECK(x == 7);
  }
}

int main(int argc, char **argv) {
  check_open(argc, argv);
  for (int i = 0; i < 3000; i++) agrees(check_below(200), 1 + (int)check_below(4));
  for (int i = 0; i < 50; i++) agrees(check_below(20000), 2 + (int)check_below(254));
  stays_linear();
  reads_numbers();
  return check_close();
}
