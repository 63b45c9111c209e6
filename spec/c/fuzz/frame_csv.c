/* frame_csv.c -- any bytes as rows of csv: never out of bounds, the same wherever the text is
 * cut, and what is written is read back. */
#include <stdbool.h>

#include "fuzz.h"

const struct fuzz_seed fuzz_seeds[] = {
    FUZZ_SEED(
        "1,2,true,x,2001-01-01 06:20:00.5\n-1.25,-7,0,\"a \"\"b\"\", c\",1.5\r\n"),
    FUZZ_SEED(",,,,\n\n,,,\"\",\n"),
    FUZZ_SEED("1,1,1,\"a\nb\",1\n1,1,1,a\"b,1\n1,1,1,\"a\"b,1\n"),
    FUZZ_SEED("1,1,1,\"a,1\n1,1,1,b,1\n1,2,3\n"),
    FUZZ_SEED(
        "nan,9223372036854775807,TRUE, x ,1e9\n inf ,-1, false,\xFF\xFE,1970-01-01"),
    FUZZ_SEED("12345678,123456789012345678,1,abcdefghijklmnop,1\n"
              "1234.5678,1,1,abcdefghijklmnopqrstuvwxyz,1\n.5,5.,1,q,2\n"),
};
const int fuzz_seed_count = sizeof fuzz_seeds / sizeof *fuzz_seeds;

static const int types[5] = {TW_COL_F64, TW_COL_I64, TW_COL_BOOL, TW_COL_STRING,
                             TW_COL_TIMESTAMP};

static tw_frame_text *open_reader(void) {
  tw_frame_text *r = tw_frame_csv_open(',');
  for (int k = 0; k < 5; k++) FUZZ_CHECK(!tw_frame_csv_field(r, k));
  return r;
}

static tw_frame *new_frame(void) {
  tw_frame *frame = tw_frame_new(5, 1);
  for (int k = 0; k < 5; k++) tw_frame_take(frame, k, tw_column_new(types[k], 0, NULL));
  return frame;
}

/* All good rows, and in *wrong a sum over those that were not. */
static tw_frame *read_all(const char *text, size_t size, size_t step, uint64_t *wrong) {
  tw_frame_text *r = open_reader();
  tw_frame *frame = new_frame();
  size_t from = 0, shown = step;
  *wrong = 0;
  for (;;) {
    if (shown > size) shown = size;
    char *part = malloc(shown - from + (shown == from)); /* its end is guarded */
    if (shown > from) memcpy(part, text + from, shown - from);
    int64_t used = tw_frame_csv_read(r, frame, part, (int64_t)(shown - from),
                                     shown == size, (int64_t)size + 1);
    FUZZ_CHECK(used >= 0 && (size_t)used <= shown - from);
    FUZZ_CHECK(tw_frame_whole(frame));
    if (r->fault) {
      FUZZ_CHECK(r->record >= part && r->record + r->record_len <= part + used);
      *wrong = *wrong * 31 + (uint64_t)r->fault * 7 + (uint64_t)r->row;
      for (int64_t i = 0; i < r->record_len; i++)
        *wrong = *wrong * 33 + (uint8_t)r->record[i];
    }
    bool fault = r->fault != 0;
    free(part);
    from += (size_t)used;
    if (fault) continue;
    if (shown == size) break;
    shown += step;
  }
  FUZZ_CHECK(from == size);
  tw_frame_csv_close(r);
  return frame;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const int32_t order[5] = {0, 1, 2, 3, 4};
  const char *text = (const char *)data;
  uint64_t a, b, c;
  tw_frame *whole = read_all(text, size, size + 1, &a);
  tw_frame *parts = read_all(text, size, 1 + size % 7, &b);
  FUZZ_CHECK(a == b && tw_frame_equal(whole, parts));

  tw_out *out = tw_out_open();
  tw_frame_csv_write(out, whole, 0, whole->rows, order, 5, ',');
  tw_frame *back = read_all(out->bytes, (size_t)out->len, 1000, &c);
  FUZZ_CHECK(c == 0 && tw_frame_equal(whole, back));
  tw_frame_csv_record(text, (int64_t)size, 1, ',');
  FUZZ_CHECK(tw_frame_csv_guess(whole->column[3]) > 0);
  tw_out_close(out);
  tw_frame_release(whole);
  tw_frame_release(parts);
  tw_frame_release(back);
  return 0;
}
