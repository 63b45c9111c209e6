/* csv.c -- fields, quotes and types of csv records. */
#include "../check.h"

#include "tideway.h"

static int decode(tw_decoder *dec, const char *text) {
  return tw_csv_decode(dec, text, (int64_t)strlen(text));
}

static int is(const tw_decoder *dec, int i, const char *want) {
  return dec->slots[i].kind == TW_SLOT_STRING &&
         dec->slots[i].len == (int32_t)strlen(want) &&
         !memcmp(dec->slots[i].bytes, want, strlen(want));
}

int main(int argc, char **argv) {
  check_open(argc, argv);
  tw_decoder *dec = tw_decoder_open();
  CHECK(tw_csv_delimiter(dec, 300) == TW_EINVAL && !tw_csv_delimiter(dec, ','));
  CHECK(decode(dec, "a,\"b \"\"x\"\", y\",\r\n") > 0 && dec->filled == 3);
  CHECK(is(dec, 0, "a") && is(dec, 1, "b \"x\", y") && is(dec, 2, ""));
  CHECK(decode(dec, "") > 0 && dec->filled == 1 && is(dec, 0, ""));
  CHECK(decode(dec, "\"a") == TW_EPARSE && dec->fault == TW_FAULT_END && dec->at == 2);
  CHECK(decode(dec, "\"a\"b") == TW_EPARSE && dec->fault == TW_FAULT_QUOTE &&
        dec->at == 3);

  CHECK(!tw_csv_width(dec, 4) && tw_csv_type(dec, -1, 0) == TW_EINVAL);
  CHECK(tw_csv_type(dec, 0, 9) == TW_EINVAL);
  CHECK(!tw_csv_type(dec, 0, TW_CSV_F64) && !tw_csv_type(dec, 1, TW_CSV_I64) &&
        !tw_csv_type(dec, 2, TW_CSV_BOOL) && !tw_csv_type(dec, 3, TW_CSV_TIME));
  int shape = decode(dec, " 1.5 ,9007199254740993,TRUE,2001-01-01 06:20");
  CHECK(shape > 0 && dec->slots[0].num == 1.5 &&
        dec->slots[1].i64 == 9007199254740993 && dec->slots[2].len == 1 &&
        dec->slots[3].num == 978330000);
  CHECK(decode(dec, ",,,") != shape && dec->slots[2].kind == TW_SLOT_NULL);
  CHECK(decode(dec, "\"2\",7,0,12") > 0 && dec->slots[0].num == 2 &&
        dec->slots[1].num == 7);
  CHECK(decode(dec, "x,,,") == TW_EPARSE && dec->fault == TW_FAULT_NUMBER &&
        dec->at == 0);
  CHECK(decode(dec, ",1.5,,") == TW_EPARSE && dec->fault == TW_FAULT_NUMBER &&
        dec->at == 1);
  CHECK(decode(dec, ",,yes,") == TW_EPARSE && dec->fault == TW_FAULT_BOOL);
  CHECK(decode(dec, ",,,now") == TW_EPARSE && dec->fault == TW_FAULT_TIME);
  CHECK(decode(dec, ",,") == TW_EPARSE && dec->fault == TW_FAULT_WIDTH &&
        dec->filled == 3);
  tw_decoder_close(dec);
  return check_close();
}
