/* logfmt.c -- any bytes as logfmt: never out of bounds, values written are read back.
 */
#include <stdbool.h>

#include "fuzz.h"

const struct fuzz_seed fuzz_seeds[] = {
    FUZZ_SEED("level=info msg=\"two words\" n=5 ok"),
    FUZZ_SEED("a=\"x\\\"y\\n\\u00e9\" c=d=e  name=  x=\"\""),
    FUZZ_SEED("ts=2026-11-21T08:00:00Z level=warn msg=retry name=x"),
    FUZZ_SEED(""),
    FUZZ_SEED("=x"),
    FUZZ_SEED("a=\"b"),
    FUZZ_SEED("a\"b=1"),
};
const int fuzz_seed_count = sizeof fuzz_seeds / sizeof *fuzz_seeds;

static void two_fields(tw_decoder *dec) {
  tw_decoder_field(dec, "name", 4);
  tw_decoder_field(dec, "x", 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static tw_decoder *whole, *fields, *back;
  static tw_out *out;
  fuzz_agree(&whole, tw_logfmt_decode, NULL, 0, data, size);
  fuzz_agree(&fields, tw_logfmt_decode, two_fields, 2, data, size);

  if (!out) out = tw_out_open();
  if (!back) {
    back = tw_decoder_open();
    tw_decoder_field(back, "k", 1);
  }
  tw_out_clear(out);
  tw_out_bytes(out, "k=", 2);
  tw_logfmt_value(out, (const char *)data, (int64_t)size);
  FUZZ_CHECK(tw_logfmt_decode(back, out->bytes, out->len) == 1);
  FUZZ_CHECK(back->slots[0].len == (int32_t)size);
  FUZZ_CHECK(!size || !memcmp(back->slots[0].bytes, data, size));
  return 0;
}
