/* frame_lanes.c -- four decimals at a time: agreement with one at a time. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../check.h"

#include "codec/frame_cell.h"
#include "codec/frame_lanes.h"

enum { ROWS = 40, WIDTH_MAX = 6 };

static int make_cell(char *to) {
  static const char *const odd[] = {
      "",         "-",        ".",         "-.",        "1.2.3", "+1", "1e5",
      "--1",      "-0",       "0.",        ".5",        "-.25",  "1 ", "12345678",
      "1234567.", "-1234567", "-12345678", "123456789", "\"1\"", "nan"};
  static const char bytes[] = "0123456789.-+e\r ";
  int64_t kind = check_below(40);
  if (kind == 0) return sprintf(to, "%s", odd[check_below(20)]);
  if (kind == 1) {
    int n = (int)check_below(10);
    for (int i = 0; i < n; i++) to[i] = bytes[check_below(16)];
    return n;
  }
  int digits = 1 + (int)check_below(7), n = 0;
  if (check_below(3) == 0) to[n++] = '-', digits -= digits > 6;
  int64_t point = check_below(digits + 4);
  if (digits > 6) point = 99;
  for (int i = 0; i < digits; i++) {
    if (i == point) to[n++] = '.';
    to[n++] = (char)('0' + check_below(10));
  }
  return n;
}

/* Rows of `width` fields; column k of them in lanes and by hand. */
static void agree(void) {
  int64_t width = 1 + check_below(WIDTH_MAX), n = check_below(ROWS + 1), len = 0;
  char buf[ROWS * WIDTH_MAX * 16];
  uint32_t ends[ROWS * WIDTH_MAX + 1], *pos = ends + 1;
  bool crlf = check_below(4) == 0;
  ends[0] = UINT32_MAX;
  for (int64_t i = 0; i < n * width; i++) {
    len += make_cell(buf + len);
    if (crlf && (i + 1) % width == 0 && check_below(20)) buf[len++] = '\r';
    pos[i] = (uint32_t)len;
    if (i < n * width - 1 || check_below(2)) buf[len++] = ',';
  }
  char *text = malloc((size_t)len + !len); /* its end is guarded */
  if (!text) abort();
  memcpy(text, buf, (size_t)len);
  for (int64_t k = 0; k < width; k++) {
    bool is_last = k == width - 1;
    for (int64_t i = 0; i < n;) {
      double out[ROWS] = {0};
      int64_t got =
          tw__lanes_f64(text, len, pos + i * width + k, width, is_last, n - i, out);
      CHECK(got >= 0 && got <= n - i);
      for (int64_t j = 0; j < got; j++) {
        const uint32_t *at = pos + (i + j) * width + k;
        const char *s = text + (uint32_t)(at[-1] + 1), *e = text + at[0];
        double want, plain;
        if (is_last && e > s && e[-1] == '\r') e--;
        CHECKF(tw__cell_short(s, e, text + len, &want), "%.*s", (int)(e - s), s);
        CHECKF(!memcmp(&want, &out[j], 8), "%.*s: %.17g", (int)(e - s), s, out[j]);
        CHECK(!tw__number_read(s, e, &plain) && !memcmp(&want, &plain, 8));
      }
      i += got + 1; /* past one that may be the reason */
    }
  }
  free(text);
}

/* Rows that all are of that kind are taken, but for those at the text's end. */
static void takes(void) {
  const char text[] =
      "-12.5;x\n0;y\n.25;z\n1234567.;u\n7;v\n8;w\n-9.99;long enough\n1;longer\n";
  const double want[] = {-12.5, 0, .25, 1234567, 7, 8, -9.99, 1};
  uint32_t ends[17] = {UINT32_MAX};
  double out[8];
  int n = 0;
  for (uint32_t i = 0; text[i]; i++)
    if (text[i] == ';' || text[i] == '\n') ends[++n] = i;
  int64_t got = tw__lanes_f64(text, sizeof text - 1, ends + 1, 2, false, 8, out);
  CHECK(got == (tw__lanes_there() ? 8 : 0) && !memcmp(out, want, (size_t)got * 8));
  CHECK(tw__lanes_f64(text, sizeof text - 1, ends + 1, 2, false, 3, out) == 0);
  CHECK(tw__lanes_f64(text, sizeof text - 1, ends + 1, 2, false, 0, out) == 0);
}

int main(int argc, char **argv) {
  check_open(argc, argv);
  takes();
  for (int i = 0; i < (check_long ? 200000 : 5000); i++) agree();
  return check_close();
}
