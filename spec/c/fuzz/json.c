/* json.c -- any bytes as JSON: never out of bounds, the same by layout as without. */
#include <stdbool.h>

#include "fuzz.h"

const struct fuzz_seed fuzz_seeds[] = {
    FUZZ_SEED("{\"name\":\"Alice\",\"x\":17,\"amount\":3.25,\"ts\":1700000000.5}"),
    FUZZ_SEED(
        "{\"name\":\"Alice\",\"x\":17,\"note\":\"opt\",\"amount\":-3.25e-7,\"ts\":1}"),
    FUZZ_SEED("{\"name\":\"\\u00e9\\ud83d\\ude00\\n\",\"x\":null,\"amount\":true}"),
    FUZZ_SEED(
        "{ \"a\" : [ 1 , { \"b\" : [ ] } ] , \"c\" : { \"x\" : { \"name\" : 0 } } }"),
    FUZZ_SEED("{\"a\":{\"b\":{\"c\":1},\"d\":{}},\"x\":[[],[1,2,\"y\"]],\"a\":2}"),
    FUZZ_SEED("[1,2.5,-0,1e400,123456789012345678901234567890,0.1e-5]"),
    FUZZ_SEED("\"text\\\\\\\"\""),
    FUZZ_SEED("  null "),
    FUZZ_SEED("\xEF\xBB\xBF{}"),
    FUZZ_SEED("[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]"),
};
const int fuzz_seed_count = sizeof fuzz_seeds / sizeof *fuzz_seeds;

static void two_fields(tw_decoder *dec) {
  tw_decoder_field(dec, "name", 4);
  tw_decoder_field(dec, "x", 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static tw_decoder *whole, *fields, *back;
  static tw_out *out;
  fuzz_agree(&whole, tw_json_decode, NULL, 0, data, size);
  fuzz_agree(&fields, tw_json_decode, two_fields, 2, data, size);

  /* any bytes written as a string are read back */
  if (!out) out = tw_out_open();
  if (!back) back = tw_decoder_open();
  tw_out_clear(out);
  tw_json_string(out, (const char *)data, (int64_t)size);
  FUZZ_CHECK(tw_json_decode(back, out->bytes, out->len) == 0);
  FUZZ_CHECK(back->tape[0].kind == TW_SLOT_STRING &&
             back->tape[0].len == (int32_t)size);
  FUZZ_CHECK(!size || !memcmp(back->tape[0].bytes, data, size));

  if (size >= 8) { /* and any number */
    double x;
    memcpy(&x, data, sizeof x);
    if (x - x == 0) {
      tw_out_clear(out);
      tw_out_num(out, x);
      FUZZ_CHECK(out->len <= 25);
      FUZZ_CHECK(tw_json_decode(back, out->bytes, out->len) == 0);
      FUZZ_CHECK(back->tape[0].kind == TW_SLOT_NUM &&
                 !memcmp(&back->tape[0].num, &x, 8));
    }
  }
  return 0;
}
