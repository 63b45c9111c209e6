/* packed.c -- any bytes as a table of string.buffer: never out of bounds, and what was
 * learnt before changes nothing. */
#include <stdbool.h>

#include "fuzz.h"

const struct fuzz_seed fuzz_seeds[] = {
    FUZZ_SEED("\x09\x02\x21"
              "a\x06\x01\x00\x00\x00\x21"
              "b\x22xy"),
    FUZZ_SEED("\x09\x02\x21"
              "a\x07\x00\x00\x00\x00\x00\x00\xf8\x3f\x21"
              "c\x09\x01\x21"
              "d\x02"),
    FUZZ_SEED("\x09\x02\x21"
              "a\x01\x21"
              "c\x09\x01\x21"
              "d\x0c\x03\x0e\x00\x08\x09\x01\x21"
              "e\x01"),
    FUZZ_SEED("\x09\x01\x21"
              "a\x10\x00\x00\x00\x00\x00\x00\x00\x80"),
    FUZZ_SEED("\x09\x01\xe0\x01"
              "a\xff\x21\x00\x00\x00"
              "b"),
};
const int fuzz_seed_count = sizeof fuzz_seeds / sizeof *fuzz_seeds;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static tw_decoder *warm;
  fuzz_agree(&warm, tw_packed_decode, NULL, 0, data, size);
  return 0;
}
