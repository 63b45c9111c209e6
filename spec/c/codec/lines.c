/* lines -- splitting agrees with the plain loop, for any delimiter, room and length. */
#include "../check.h"
#include "tideway.h"

/* The record that starts at *at, plainly. Returns 0 when it does not end. */
static int plain_next(const char *bytes, int64_t len, const char *delim, int64_t dlen,
                      int64_t *at, tw_slice *record) {
  for (int64_t i = *at; i + dlen <= len; i++) {
    if (memcmp(bytes + i, delim, (size_t)dlen)) continue;
    *record = (tw_slice){bytes + *at, i - *at};
    *at = i + dlen;
    return 1;
  }
  return 0;
}

static void agrees(void) {
  const int64_t len = check_below(3) ? check_below(600) : check_below(70);
  const int letters = 2 + (int)check_below(check_below(2) ? 3 : 60);
  const int64_t dlen = 1 + (check_below(2) ? 0 : check_below(4));
  const int max = (int)check_below(check_below(2) ? 12 : 700);
  char *bytes = malloc((size_t)len + 1), delim[4];
  tw_slice *out = malloc(((size_t)max + 1) * sizeof *out), want;
  for (int64_t i = 0; i < len; i++) bytes[i] = (char)check_below(letters);
  for (int64_t i = 0; i < dlen; i++) delim[i] = (char)check_below(2);
  char *exact = malloc((size_t)(len ? len : 1)); /* so that ASan sees reads outside */
  memcpy(exact, bytes, (size_t)len);

  int64_t used = -1, at = 0;
  const int n = tw_lines_split(exact, len, delim, dlen, out, max, &used);
  CHECK(n >= 0 && n <= max);
  for (int i = 0; i < n; i++) {
    CHECK(plain_next(exact, len, delim, dlen, &at, &want));
    CHECKF(out[i].ptr == want.ptr && out[i].len == want.len, "record %d of %d", i, n);
  }
  CHECKF(used == at, "used %ld, should be %ld", (long)used, (long)at);
  if (n < max) CHECK(!plain_next(exact, len, delim, dlen, &at, &want));
  free(bytes);
  free(exact);
  free(out);
}

int main(int argc, char **argv) {
  check_open(argc, argv);
  for (int i = 0; i < 20000; i++) agrees();
  tw_slice out[1];
  int64_t used = 7;
  CHECK(tw_lines_split("a", 1, "", 0, out, 1, &used) == TW_EINVAL);
  CHECK(tw_lines_split("", 0, "\n", 1, out, 1, &used) == 0 && used == 0);
  return check_close();
}
