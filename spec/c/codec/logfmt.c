/* logfmt.c -- pairs, bare keys and quotes of logfmt lines. */
#include "../check.h"

#include "tideway.h"

static int decode(tw_decoder *dec, const char *text) {
  return tw_logfmt_decode(dec, text, (int64_t)strlen(text));
}

static int is(const tw_decoder *dec, int i, const char *want) {
  return dec->slots[i].len == (int32_t)strlen(want) &&
         !memcmp(dec->slots[i].bytes, want, strlen(want));
}

int main(int argc, char **argv) {
  check_open(argc, argv);
  tw_decoder *dec = tw_decoder_open();
  int shape = decode(dec, "level=info msg=\"two \\\"words\\\"\" n= ok");
  CHECK(shape > 0 && is(dec, 0, "info") && is(dec, 1, "two \"words\"") &&
        is(dec, 2, ""));
  CHECK(tw_decoder_shape(dec, shape)[8].kind == TW_SLOT_BOOL && dec->slots[3].len == 1);
  CHECK(decode(dec, "\tlevel=warn  msg=x n=a=b\"c ok\r\n") == shape &&
        is(dec, 2, "a=b\"c"));
  CHECK(decode(dec, "") > 0);
  CHECK(decode(dec, "a =x") == TW_EPARSE && dec->fault == TW_FAULT_BYTE &&
        dec->at == 2);
  CHECK(decode(dec, "a=\"b") == TW_EPARSE && dec->fault == TW_FAULT_END &&
        dec->at == 4);
  CHECK(decode(dec, "a=\"b\"c") == TW_EPARSE && dec->fault == TW_FAULT_QUOTE &&
        dec->at == 5);
  CHECK(decode(dec, "a=\"\\q\"") == TW_EPARSE && dec->fault == TW_FAULT_ESCAPE &&
        dec->at == 3);
  CHECK(tw_logfmt_is_key("a-b", 3) && !tw_logfmt_is_key("a b", 3) &&
        !tw_logfmt_is_key("", 0));
  tw_decoder_close(dec);
  return check_close();
}
