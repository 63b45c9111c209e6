/* msgpack.c -- any bytes as MessagePack: never out of bounds, numbers and strings
 * return. */
#include <stdbool.h>

#include "fuzz.h"

const struct fuzz_seed fuzz_seeds[] = {
    FUZZ_SEED("\x82\xa1"
              "a\x01\xa1"
              "b\x93\xc0\xc2\xc3"),
    FUZZ_SEED("\x83\xa4name\xa5"
              "Alice\xa1x\x11\xa2ts\xcb\x41\xd9\x54\xfc\x40\x20\x00\x00"),
    FUZZ_SEED("\xdc\x00\x02\xd9\x01z\xc4\x01y"),
    FUZZ_SEED("\xde\x00\x01\xd3\x80\x00\x00\x00\x00\x00\x00\x00\xcf\xff\xff\xff\xff\xff"
              "\xff\xff\xff"),
    FUZZ_SEED("\x94\xd6\xff\x00\x00\x00\x01\xd7\xff\x00\x00\x00\x04\x00\x00\x00\x01\xca"
              "\x3f\x80"
              "\x00\x00\xc7\x0c\xff\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x01"),
    FUZZ_SEED("\xdd\x00\x00\x00\x01\xdf\x00\x00\x00\x01\xc3\xe0"),
    FUZZ_SEED("\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x90"),
};
const int fuzz_seed_count = sizeof fuzz_seeds / sizeof *fuzz_seeds;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static tw_decoder *warm, *back;
  static tw_out *out;
  fuzz_agree(&warm, tw_msgpack_decode, NULL, 0, data, size);

  if (!out) out = tw_out_open();
  if (!back) back = tw_decoder_open();
  tw_out_clear(out);
  tw_msgpack_string(out, (const char *)data, (int64_t)size);
  FUZZ_CHECK(tw_msgpack_decode(back, out->bytes, out->len) == 0);
  FUZZ_CHECK(back->tape[0].kind == TW_SLOT_STRING &&
             back->tape[0].len == (int32_t)size);
  FUZZ_CHECK(!size || !memcmp(back->tape[0].bytes, data, size));
  if (size >= 8) {
    double x;
    memcpy(&x, data, sizeof x);
    tw_out_clear(out);
    tw_msgpack_num(out, x);
    FUZZ_CHECK(tw_msgpack_decode(back, out->bytes, out->len) == 0);
    FUZZ_CHECK(back->tape[0].kind == TW_SLOT_NUM);
    FUZZ_CHECK(x != x || !memcmp(&back->tape[0].num, &x, 8));
  }
  return 0;
}
