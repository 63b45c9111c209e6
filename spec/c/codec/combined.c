/* combined.c -- lines of web servers' logs, whole, short and broken. */
#include "../check.h"

#include "tideway.h"

static int decode(tw_decoder *dec, const char *text) {
  return tw_combined_decode(dec, text, (int64_t)strlen(text));
}

static int is(const tw_decoder *dec, int i, const char *want) {
  return dec->slots[i].len == (int32_t)strlen(want) &&
         !memcmp(dec->slots[i].bytes, want, strlen(want));
}

int main(int argc, char **argv) {
  check_open(argc, argv);
  static const char *const names[] = {
      "path", "status", "time", "http_user_agent", "remote_user", "protocol"};
  static const char line[] =
      "203.0.113.9 - alice [10/Oct/2000:13:55:36 -0700] \"GET /a b "
      "HTTP/1.0\" 200 2326 \"-\" \"a\\x22b\\\"c\"";
  tw_decoder *dec = tw_decoder_open();
  for (int i = 0; i < 6; i++)
    tw_decoder_field(dec, names[i], (int64_t)strlen(names[i]));
  CHECK(decode(dec, line) == 1);
  CHECK(is(dec, 0, "/a b") && dec->slots[1].num == 200 &&
        dec->slots[2].num == 971211336);
  CHECK(is(dec, 3, "a\"b\"c") && is(dec, 4, "alice") && is(dec, 5, "HTTP/1.0"));
  CHECK(decode(dec, "::1 - - [10/Oct/2000:13:55:37 +0000] \"GET /\" 404 -\r") == 2);
  CHECK(is(dec, 0, "/") && dec->slots[2].num == 971186137);
  CHECK(decode(dec, "h - - [10/Oct/2000:13:55:37 +0000] \"-\" 400 0 \"-\" \"-\"") == 3);

  /* no time at all, though a new decoder's last time is 26 zeros, too */
  static const char zeros[] =
      "h - - [\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0] \"-\" 400 0";
  tw_decoder *fresh = tw_decoder_open();
  tw_decoder_field(fresh, "time", 4);
  CHECK(tw_combined_decode(fresh, zeros, sizeof zeros - 1) == TW_EPARSE);
  CHECK(fresh->fault == TW_FAULT_TIME);
  tw_decoder_close(fresh);

  /* cut off anywhere it is no line, but where the common format ends */
  for (size_t n = 0; n < sizeof line - 1; n++) {
    char *cut = malloc(n + 1);
    memcpy(cut, line, n);
    int status = tw_combined_decode(dec, cut, (int64_t)n);
    const char *size = strstr(line, " 2326");
    size_t end = (size_t)(size - line) + 5;
    CHECKF((status < 0) == (n < end - 3 || n > end), "%.*s", (int)n, line);
    free(cut);
  }
  tw_decoder_close(dec);

  /* no time has been seen yet, and this is none either */
  char nul[60] = "h - - [";
  memcpy(nul + 7 + 26, "] \"GET /\" 200 0", 16);
  dec = tw_decoder_open();
  CHECK(tw_combined_decode(dec, nul, 7 + 26 + 15) == TW_EPARSE);
  CHECK(dec->fault == TW_FAULT_TIME && dec->at == 7);
  tw_decoder_close(dec);
  return check_close();
}
