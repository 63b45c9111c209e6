/* frame_format.c -- what frames look like as csv and JSON, and that it is read back. */
#include <math.h>

#include "../frame/made.h"

static int text_is(const tw_out *out, const char *want) {
  return out->status == 0 && out->len == (int64_t)strlen(want) &&
         !memcmp(out->bytes, want, (size_t)out->len);
}

static const tw_slice head[5] = {
    {"{\"a\":", 5}, {",\"b\":", 5}, {",\"c\":", 5}, {",\"d\":", 5}, {",\"e\":", 5}};
static const int32_t order[5] = {0, 1, 2, 3, 4};

static void shows(void) {
  tw_frame *frame = tw_frame_new(5, 1);
  static const char *const texts[] = {"x", "", "a;\"b\"\n"};
  static const double nums[] = {1.5, -INFINITY, 1e300};
  static const int64_t times[] = {978330000000000000, 978330000120000000, -1};
  for (int k = 0; k < 5; k++) tw_frame_take(frame, k, tw_column_new(k + 1, 0, NULL));
  for (int i = 0; i < 3; i++) {
    tw_column_put_num(frame->column[0], nums[i]);
    tw_column_put_i64(frame->column[1], 9007199254740993 - i);
    tw_column_put_bool(frame->column[2], i == 1);
    tw_column_put_bytes(frame->column[3], texts[i], (int64_t)strlen(texts[i]));
    tw_column_put_i64(frame->column[4], times[i]);
  }
  for (int k = 0; k < 5; k++) tw_column_put_null(frame->column[k]);
  frame->rows = 4;
  tw_out *out = tw_out_open();
  tw_frame_csv_write(out, frame, 0, 4, order, 5, ';');
  CHECKF(text_is(out, "1.5;9007199254740993;false;x;2001-01-01 06:20:00\n"
                      "-inf;9007199254740992;true;\"\";2001-01-01 06:20:00.12\n"
                      "1e300;9007199254740991;false;\"a;\"\"b\"\"\n\";"
                      "1969-12-31 23:59:59.999999999\n;;;;\n"),
         "%.*s", (int)out->len, out->bytes);
  tw_out_clear(out);
  static const int32_t some[2] = {3, 0};
  tw_frame_csv_write(out, frame, 1, 1, some, 2, ',');
  CHECK(text_is(out, "\"\",-inf\n"));
  tw_out_clear(out);
  tw_frame_json_write(out, frame, 0, 4, order, head, 5);
  CHECKF(text_is(out,
                 "{\"a\":1.5,\"b\":9007199254740993,\"c\":false,\"d\":\"x\","
                 "\"e\":\"2001-01-01T06:20:00Z\"}\n"
                 "{\"a\":null,\"b\":9007199254740992,\"c\":true,\"d\":\"\","
                 "\"e\":\"2001-01-01T06:20:00.12Z\"}\n"
                 "{\"a\":1e300,\"b\":9007199254740991,\"c\":false,"
                 "\"d\":\"a;\\\"b\\\"\\n\",\"e\":\"1969-12-31T23:59:59.999999999Z\"}\n"
                 "{\"a\":null,\"b\":null,\"c\":null,\"d\":null,\"e\":null}\n"),
         "%.*s", (int)out->len, out->bytes);
  tw_out_clear(out);
  tw_frame_json_write(out, frame, 0, 2, order, head, 0);
  CHECK(text_is(out, "{}\n{}\n"));
  tw_out_close(out);
  tw_frame_release(frame);
}

/* Random frames come back from both. */
static void reads_back(void) {
  tw_frame *frame = made_frame(check_below(50), 20, NULL);
  tw_frame_text *csv = tw_frame_csv_open('|'), *json = tw_frame_json_open();
  tw_frame *back = tw_frame_new(5, 7);
  for (int k = 0; k < 5; k++) {
    tw_frame_csv_field(csv, k);
    tw_frame_json_field(json, head[k].ptr + 2, 1, k);
    tw_frame_take(back, k, tw_column_new(k + 1, 0, NULL));
  }
  tw_out *out = tw_out_open();
  tw_frame_csv_write(out, frame, 0, frame->rows, order, 5, '|');
  CHECK(tw_frame_csv_read(csv, back, out->bytes, out->len, 0, 100) == out->len);
  CHECK(tw_frame_equal(frame, back));
  tw_out_clear(out);
  for (int k = 0; k < 5; k++) tw_column_renew(&back->column[k], k + 1, NULL, 0);
  back->rows = 0;
  tw_frame_json_write(out, frame, 0, frame->rows, order, head, 5);
  CHECK(tw_frame_json_read(json, back, out->bytes, out->len, 0, 100) == out->len);
  CHECKF(tw_frame_equal(frame, back), "%.*s", (int)out->len, out->bytes);
  tw_out_close(out);
  tw_frame_csv_close(csv);
  tw_frame_json_close(json);
  tw_frame_release(frame);
  tw_frame_release(back);
}

static void memory_fails(void) {
  tw_frame *frame = made_frame(200, 0, NULL);
  for (int n = 1; n < 12; n++) {
    tw_out *out = tw_out_open();
    tw_mem_fail_at(n);
    tw_frame_json_write(out, frame, 0, 200, order, head, 5);
    tw_frame_csv_write(out, frame, 0, 200, order, 5, ',');
    int left = tw_mem_fail_at(0) != 0;
    CHECK(left ? out->status == 0 : out->status == TW_ENOMEM);
    tw_out_close(out);
  }
  tw_frame_release(frame);
}

int main(int argc, char **argv) {
  check_open(argc, argv);
  int64_t before = tw_mem_bytes();
  shows();
  for (int i = 0; i < 300; i++) reads_back();
  memory_fails();
  CHECK(tw_mem_bytes() == before);
  return check_close();
}
