/* frame_json.c -- any bytes as lines of JSON: never out of bounds, the same wherever the text is
 * cut, and what is written is read back. */
#include <math.h>

#include "frame.h"

const struct fuzz_seed fuzz_seeds[] = {
    FUZZ_SEED(
        "{\"a\":1,\"b\":2,\"c\":true,\"d\":\"x\",\"e\":\"2001-01-01T06:20:00.5Z\"}\n"
        "{\"a\":-1.25,\"b\":-7,\"c\":false,\"d\":\"\\u00e9\\n\",\"e\":1.5}\r\n"),
    FUZZ_SEED(
        "{}\n\n  \n{\"a\":null,\"z\":[1,{\"q\":\"\\\"\"}],\"d\":{\"k\":[null,1e5]}}\n"),
    FUZZ_SEED(
        "{\"d\":1e999,\"a\":\"1.5\",\"b\":\"9007199254740993\"}\n17\n[1]\n\"x\"\n"),
    FUZZ_SEED(
        "{\"a\":1}}\n{\"a\":tru}\n{\"a\"\n{\"c\":2}\n{\"e\":\"now\"}\n{\"b\":1.5}"),
    FUZZ_SEED("{\"d\":\"\\ud83d\\ude00\",\"d\":\"twice\",\"c\":\"TRUE\"}"),
};
const int fuzz_seed_count = sizeof fuzz_seeds / sizeof *fuzz_seeds;

static tw_frame_text *open_reader(void) {
  tw_frame_text *r = tw_frame_json_open();
  for (int k = 0; k < 5; k++) FUZZ_CHECK(!tw_frame_json_field(r, &"abcde"[k], 1, k));
  return r;
}

static const struct fuzz_reader json = {open_reader, tw_frame_json_read,
                                        tw_frame_json_close};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const int32_t order[5] = {0, 1, 2, 3, 4};
  static const tw_slice head[5] = {
      {"{\"a\":", 5}, {",\"b\":", 5}, {",\"c\":", 5}, {",\"d\":", 5}, {",\"e\":", 5}};
  const char *text = (const char *)data;
  tw_frame *whole = fuzz_read_all(&json, text, size);

  tw_out *out = tw_out_open();
  tw_column *as_text = NULL; /* i64 beyond 2^53 is only exact as text */
  int64_t row;
  FUZZ_CHECK(!tw_column_cast(&as_text, whole->column[1], TW_COL_STRING, &row));
  tw_frame *shown = NULL;
  FUZZ_CHECK(!tw_frame_slice(&shown, whole, 0, whole->rows));
  tw_frame_take(shown, 1, as_text);
  for (int64_t i = 0; i < whole->rows; i++)
    if (isinf(whole->column[0]->f64[i])) whole->column[0]->f64[i] = NAN;
  tw_frame_json_write(out, shown, 0, shown->rows, order, head, 5);
  FUZZ_CHECK(fuzz_reads_as(&json, out, whole));
  tw_frame_release(shown);
  tw_column *names = tw_column_new(TW_COL_STRING, 0, NULL);
  tw_column *kinds = tw_column_new(TW_COL_I64, 0, NULL);
  FUZZ_CHECK(!tw_frame_json_guess(text, (int64_t)size, 1, 100, names, kinds));
  FUZZ_CHECK(names->len == kinds->len);
  tw_column_release(names);
  tw_column_release(kinds);
  tw_out_close(out);
  tw_frame_release(whole);
  return 0;
}
