/* csv.c -- any bytes as csv: never out of bounds, fields written are read back. */
#include <stdbool.h>

#include "fuzz.h"

const struct fuzz_seed fuzz_seeds[] = {
    FUZZ_SEED("a,b,c"),
    FUZZ_SEED(
        "1.5,\"x \"\"y\"\", z\",true,2001-01-01 06:20:00.25+02:00,9007199254740993"),
    FUZZ_SEED(",,,,"),
    FUZZ_SEED("\"\""),
    FUZZ_SEED("\"a"),
    FUZZ_SEED("\"a\"b"),
    FUZZ_SEED("a\"b,c\r\n"),
    FUZZ_SEED("\xEF\xBB\xBF-1e5,inf,0,1700000000,-12"),
};
const int fuzz_seed_count = sizeof fuzz_seeds / sizeof *fuzz_seeds;

static void plain(tw_decoder *dec) {
  tw_csv_delimiter(dec, ',');
}

static void typed(tw_decoder *dec) {
  static const int types[] = {TW_CSV_F64, TW_CSV_STRING, TW_CSV_BOOL, TW_CSV_TIME,
                              TW_CSV_I64};
  tw_csv_delimiter(dec, ',');
  tw_csv_width(dec, 5);
  for (int i = 0; i < 5; i++) {
    char name = (char)('a' + i);
    tw_csv_type(dec, i, types[i]);
    tw_decoder_field(dec, &name, 1);
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static tw_decoder *one, *two, *back;
  static tw_out *out;
  fuzz_agree(&one, tw_csv_decode, plain, 0, data, size);
  fuzz_agree(&two, tw_csv_decode, typed, 5, data, size);

  if (!out) out = tw_out_open();
  if (!back) {
    back = tw_decoder_open();
    plain(back);
  }
  tw_out_clear(out);
  tw_csv_field(out, (const char *)data, (int64_t)size, ',');
  tw_out_bytes(out, ",", 1);
  tw_csv_field(out, (const char *)data, (int64_t)size, ',');
  FUZZ_CHECK(tw_csv_decode(back, out->bytes, out->len) > 0 && back->filled == 2);
  for (int i = 0; i < 2; i++) {
    FUZZ_CHECK(back->slots[i].len == (int32_t)size);
    FUZZ_CHECK(!size || !memcmp(back->slots[i].bytes, data, size));
  }
  return 0;
}
