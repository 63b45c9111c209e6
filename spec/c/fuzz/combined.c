/* combined.c -- any bytes as a web server's log: never out of bounds, fields return. */
#include <stdbool.h>

#include "fuzz.h"

const struct fuzz_seed fuzz_seeds[] = {
    FUZZ_SEED("203.0.113.9 - alice [10/Oct/2000:13:55:36 -0700] \"GET /a?b=1 "
              "HTTP/1.0\" 200 2326 "
              "\"http://example.com/\" \"Mozilla/4.08\""),
    FUZZ_SEED("::1 - - [29/Feb/2024:23:59:60 +0000] \"\\x16\\x03\" 400 - \"-\" "
              "\"a\\x22\\\"b\" \"x\""),
    FUZZ_SEED("h - a b [01/Jan/1970:00:00:00 +0000] \"GET /\" 200 0"),
    FUZZ_SEED("-- log rotated --"),
    FUZZ_SEED(""),
};
const int fuzz_seed_count = sizeof fuzz_seeds / sizeof *fuzz_seeds;

static const char *const names[] = {
    "remote_addr",  "remote_user",     "request", "method",
    "path",         "protocol",        "status",  "body_bytes_sent",
    "http_referer", "http_user_agent", "time",    "nonsense"};
enum { NAMES = sizeof names / sizeof *names };

static void all_fields(tw_decoder *dec) {
  for (int i = 0; i < NAMES; i++)
    tw_decoder_field(dec, names[i], (int64_t)strlen(names[i]));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static tw_decoder *warm, *back;
  static tw_out *out;
  static const char head[] = "h - - [10/Oct/2000:13:55:36 -0700] ";
  fuzz_agree(&warm, tw_combined_decode, all_fields, NAMES, data, size);

  if (!out) out = tw_out_open();
  if (!back) {
    back = tw_decoder_open();
    tw_decoder_field(back, "request", 7);
  }
  tw_out_clear(out);
  tw_out_bytes(out, head, sizeof head - 1);
  tw_combined_quoted(out, (const char *)data, (int64_t)size);
  tw_out_bytes(out, " 200 0", 6);
  FUZZ_CHECK(tw_combined_decode(back, out->bytes, out->len) == 1);
  FUZZ_CHECK(back->slots[0].len == (int32_t)size);
  FUZZ_CHECK(!size || !memcmp(back->slots[0].bytes, data, size));
  return 0;
}
