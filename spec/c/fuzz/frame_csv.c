/* frame_csv.c -- any bytes as rows of csv: never out of bounds, the same wherever the text is
 * cut, and what is written is read back. */
#include "frame.h"

const struct fuzz_seed fuzz_seeds[] = {
    FUZZ_SEED(
        "1,2,true,x,2001-01-01 06:20:00.5\n-1.25,-7,0,\"a \"\"b\"\", c\",1.5\r\n"),
    FUZZ_SEED(",,,,\n\n,,,\"\",\n"),
    FUZZ_SEED("1,1,1,\"a\nb\",1\n1,1,1,a\"b,1\n1,1,1,\"a\"b,1\n"),
    FUZZ_SEED("1,1,1,\"a,1\n1,1,1,b,1\n1,2,3\n"),
    FUZZ_SEED(
        "nan,9223372036854775807,TRUE, x ,1e9\n inf ,-1, false,\xFF\xFE,1970-01-01"),
    FUZZ_SEED("1.5,1,1,a,1\n-22.75,2,0,b,2\n3,3,1,a,3\n.5,4,0,b,4\n-0,5,1,a,5\n"
              "6.,6,0,cc,6\n7.25,7,1,a,7\n8,8,0,b,8\n9,9,1,a,9\n"),
    FUZZ_SEED("12345678,123456789012345678,1,abcdefghijklmnop,1\n"
              "1234.5678,1,1,abcdefghijklmnopqrstuvwxyz,1\n.5,5.,1,q,2\n"),
};
const int fuzz_seed_count = sizeof fuzz_seeds / sizeof *fuzz_seeds;

static tw_frame_text *open_reader(void) {
  tw_frame_text *r = tw_frame_csv_open(',');
  for (int k = 0; k < 5; k++) FUZZ_CHECK(!tw_frame_csv_field(r, k));
  return r;
}

static const struct fuzz_reader csv = {open_reader, tw_frame_csv_read,
                                       tw_frame_csv_close};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const int32_t order[5] = {0, 1, 2, 3, 4};
  const char *text = (const char *)data;
  tw_frame *whole = fuzz_read_all(&csv, text, size);

  tw_out *out = tw_out_open();
  tw_frame_csv_write(out, whole, 0, whole->rows, order, 5, ',');
  FUZZ_CHECK(fuzz_reads_as(&csv, out, whole));
  tw_frame_csv_record(text, (int64_t)size, 1, ',');
  FUZZ_CHECK(tw_frame_csv_guess(whole->column[3]) > 0);
  tw_out_close(out);
  tw_frame_release(whole);
  return 0;
}
