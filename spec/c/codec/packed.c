/* packed.c -- tables of string.buffer with and without a layout that is known. */
#include "../check.h"

#include "tideway.h"

/* The shape of all of some bytes, which is what the decoder took. */
static int decode(tw_decoder *dec, const char *bytes, int64_t len) {
  const int shape = tw_packed_decode(dec, bytes, len);
  CHECK(shape < 0 || dec->at == len);
  return shape;
}
#define DECODE(dec, text) decode(dec, text, sizeof(text) - 1)

static void scalars(tw_decoder *dec) {
  static const char text[] = "\x09\x07"
                             "\x21"
                             "a\x06\xfe\xff\xff\xff"
                             "\x21"
                             "b\x07\x00\x00\x00\x00\x00\x00\xf8\x3f"
                             "\x21"
                             "c\x23"
                             "xyz"
                             "\x21"
                             "d\x02\x21"
                             "e\x0e\x00\x08\x21"
                             "f\x10\x05\x00\x00\x00\x00\x00\x00\x00\x21"
                             "g\x11\xff\xff\xff\xff\xff\xff\xff\xff";
  for (int round = 0; round < 3; round++) {
    const tw_slot *slots = dec->slots;
    CHECK(DECODE(dec, text) == 1);
    CHECK(slots[0].kind == TW_SLOT_NUM && slots[0].num == -2);
    CHECK(slots[1].kind == TW_SLOT_NUM && slots[1].num == 1.5);
    CHECK(slots[2].kind == TW_SLOT_STRING && slots[2].len == 3 &&
          !memcmp(slots[2].bytes, "xyz", 3));
    CHECK(slots[3].kind == TW_SLOT_BOOL && slots[3].len == 1);
    CHECK(slots[4].kind == TW_SLOT_NULL);
    CHECK(slots[5].kind == TW_SLOT_I64 && slots[5].i64 == 5);
    CHECK(slots[6].kind == TW_SLOT_U64 && slots[6].u64 == UINT64_MAX);
  }
  /* every beginning of it is too short, whether its layout is known or not */
  for (int64_t n = 0; n < (int64_t)sizeof text - 1; n++)
    CHECK(tw_packed_decode(dec, text, n) == TW_EPARSE);
}

/* { id = 7, at = { x = 1, y = { 1, 2 } } }, the keys from a dictionary */
static void nested(tw_decoder *dec) {
  static const char text[] = "\x09\x02\x0f\x00\x06\x07\x00\x00\x00\x0f\x01\x09\x02\x0f"
                             "\x02\x06\x01\x00\x00\x00\x0f\x03\x0c\x03\x06\x01\x00\x00"
                             "\x00\x06\x02\x00\x00\x00";
  CHECK(DECODE(dec, text) == TW_EPARSE); /* there is none yet */
  CHECK(!tw_packed_dict(dec, "id", 2) && !tw_packed_dict(dec, "at", 2) &&
        !tw_packed_dict(dec, "x", 1) && !tw_packed_dict(dec, "y", 1));
  const int shape = DECODE(dec, text);
  CHECK(shape > 0);
  for (int round = 0; round < 2; round++) {
    CHECK(DECODE(dec, text) == shape);
    CHECK(dec->slots[0].num == 7 && dec->slots[1].num == 1);
    CHECK(dec->slots[2].kind == TW_SLOT_LIST && dec->slots[2].len == 2);
    const tw_slot *list = dec->tape + dec->slots[2].i64;
    CHECK(list[0].kind == TW_SLOT_LIST && list[1].num == 1 && list[2].num == 2);
  }
  const tw_slot *tape = tw_decoder_shape(dec, shape);
  CHECK(tape && tape[0].len == 2 && tape[1].len == 2 &&
        !memcmp(tape[1].bytes, "id", 2) && tape[4].kind == TW_SLOT_MAP);
  /* the same keys, other kinds of values */
  const int other =
      DECODE(dec, "\x09\x02\x0f\x00\x02\x0f\x01\x09\x02\x0f\x02\x01\x0f\x03\x08");
  CHECK(other > 0 && other != shape);
}

int main(int argc, char **argv) {
  check_open(argc, argv);
  tw_decoder *dec = tw_decoder_open();
  scalars(dec);
  nested(dec);
  /* what string.buffer has to read: no table, a list, a hole, a number as a key, a table
   * with a metatable, one that is a list and more */
  CHECK(DECODE(dec, "\x02") == TW_EPARSE);
  CHECK(DECODE(dec, "\x0c\x02\x02") == TW_EPARSE);
  CHECK(DECODE(dec, "\x09\x01\x21"
                    "a\x0c\x03\x00\x02") == TW_EPARSE);
  CHECK(DECODE(dec, "\x09\x01\x06\x01\x00\x00\x00\x02") == TW_EPARSE);
  CHECK(DECODE(dec, "\x09\x01\x21"
                    "a\x0e\x00\x09\x01\x21"
                    "b\x02") == TW_EPARSE);
  CHECK(DECODE(dec, "\x09\x01\x21"
                    "a\x0d\x02\x02\x01\x21"
                    "b\x02") == TW_EPARSE);
  CHECK(tw_packed_decode(dec, NULL, 0) == TW_EPARSE);
  tw_decoder_close(dec);
  return check_close();
}
