/* decoder.c -- shapes are found again, their number is bounded, memory may run out. */
#include "../check.h"

#include <stdbool.h>

#include "core/mem.h"
#include "tideway.h"

static int decode(tw_decoder *dec, const char *text) {
  return tw_json_decode(dec, text, (int64_t)strlen(text));
}

static void same_shape_same_number(void) {
  tw_decoder *dec = tw_decoder_open();
  int first = decode(dec, "{\"a\":1,\"b\":{\"c\":\"x\",\"d\":[]}}");
  CHECK(first == 1);
  CHECK(decode(dec, "{ \"a\" : 2, \"b\" : { \"c\" : \"y\", \"d\" : [1] } }") == first);
  CHECK(decode(dec, "{\"a\":2,\"b\":{\"c\":null,\"d\":[1]}}") == 2);
  CHECK(decode(dec, "{\"b\":{\"c\":\"x\",\"d\":[]},\"a\":1}") == 3);
  CHECK(decode(dec, "{\"a\":1,\"b\":{\"c\":\"x\",\"d\":[]}}") == first);
  const tw_slot *shape = tw_decoder_shape(dec, first);
  static const int kinds[] = {TW_SLOT_MAP,    TW_SLOT_STRING, TW_SLOT_NUM,
                              TW_SLOT_STRING, TW_SLOT_MAP,    TW_SLOT_STRING,
                              TW_SLOT_STRING, TW_SLOT_STRING, TW_SLOT_LIST};
  for (int i = 0; i < 9; i++)
    CHECKF(shape[i].kind == kinds[i], "node %d: %d", i, shape[i].kind);
  CHECK(!tw_decoder_shape(dec, 0) && !tw_decoder_shape(dec, 4));
  tw_decoder_close(dec);
}

static void limits(void) {
  tw_decoder *dec = tw_decoder_open();
  char text[4096];
  for (int i = 0; i < 1000; i++) {
    snprintf(text, sizeof text, "{\"k%d\":%d}", i, i);
    int shape = decode(dec, text);
    CHECK(shape == (i < TW_SHAPES ? i + 1 : 0));
  }
  tw_decoder_close(dec);

  dec = tw_decoder_open(); /* as many values as there are slots, and one more */
  for (int n = TW_SLOTS; n <= TW_SLOTS + 1; n++) {
    int len = sprintf(text, "{");
    for (int i = 0; i < n; i++)
      len += sprintf(text + len, "%s\"k%d\":%d", i ? "," : "", i, i);
    sprintf(text + len, "}");
    for (int round = 0; round < 3; round++)
      CHECK((decode(dec, text) > 0) == (n == TW_SLOTS));
  }
  tw_decoder_close(dec);

  dec = tw_decoder_open();
  for (int i = 0; i < TW_SLOTS; i++) CHECK(!tw_decoder_field(dec, "x", 1));
  CHECK(tw_decoder_field(dec, "x", 1) == TW_EINVAL);
  tw_decoder_close(dec);
}

/* Fields whose kinds come in more mixtures than there are shapes. */
static void many_kinds(void) {
  tw_decoder *dec = tw_decoder_open();
  for (int i = 0; i < 6; i++) {
    char name = (char)('a' + i);
    tw_decoder_field(dec, &name, 1);
  }
  for (int i = 0; i < 5000; i++) {
    static const char *const values[] = {"1",    "\"s\"", "null",
                                         "true", "[2]",   "{\"z\":3}"};
    static const int kinds[] = {TW_SLOT_NUM,  TW_SLOT_STRING, TW_SLOT_NULL,
                                TW_SLOT_BOOL, TW_SLOT_LIST,   TW_SLOT_MAP};
    char text[256];
    int want[6], len = sprintf(text, "{\"first\":0");
    for (int k = 0; k < 6; k++) {
      int64_t which = check_below(7);
      want[k] = which < 6 ? kinds[which] : TW_SLOT_NONE;
      if (which < 6) len += sprintf(text + len, ",\"%c\":%s", 'a' + k, values[which]);
    }
    sprintf(text + len, "}");
    int shape = decode(dec, text);
    CHECK(shape > 0);
    const tw_slot *tape = shape <= TW_SHAPES ? tw_decoder_shape(dec, shape) : NULL;
    for (int k = 0; k < 6; k++)
      CHECKF((tape ? tape[2 + 2 * k].kind : dec->slots[k].kind) == want[k], "%s", text);
  }
  tw_decoder_close(dec);
}

/* The n-th allocation fails: a status, and the next record is taken. */
static void no_memory(void) {
  static const char *const texts[] = {
      "{\"a\":[1,2,3],\"b\":\"x\\n\",\"c\":{\"d\":null}}",
      "{\"a\":[],\"b\":\"\\u00e9\",\"c\":{\"d\":1}}", "[1,2]"};
  for (int64_t n = 1; n < 20; n++) {
    tw_mem_fail_at(n);
    tw_decoder *dec = tw_decoder_open();
    for (int i = 0; dec && i < 3; i++) {
      int status = decode(dec, texts[i]);
      CHECK(status >= 0 || status == TW_ENOMEM);
      if (status > 0) tw_decoder_shape(dec, status);
    }
    tw_mem_fail_at(0);
    for (int i = 0; dec && i < 3; i++) CHECK(decode(dec, texts[i]) >= 0);
    tw_decoder_close(dec);
  }
}

int main(int argc, char **argv) {
  check_open(argc, argv);
  same_shape_same_number();
  limits();
  many_kinds();
  no_memory();
  tw_decoder_close(NULL);
  return check_close();
}
