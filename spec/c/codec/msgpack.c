/* msgpack.c -- every type of MessagePack, and integers of all sizes there and back. */
#include "../check.h"

#include "tideway.h"

static const tw_slot *decode(tw_decoder *dec, const char *bytes, int64_t len) {
  return tw_msgpack_decode(dec, bytes, len) == 0 ? dec->tape : NULL;
}

static void integers(tw_decoder *dec) {
  tw_out *out = tw_out_open();
  for (int i = 0; i < 20000; i++) {
    int64_t x = (int64_t)(check_u64() >> check_below(64));
    if (check_below(2)) x = -x;
    tw_out_clear(out);
    tw_msgpack_i64(out, x);
    const tw_slot *slot = decode(dec, out->bytes, out->len);
    CHECK(slot &&
          (slot->kind == TW_SLOT_NUM ? (int64_t)slot->num == x
                                     : slot->kind == TW_SLOT_I64 && slot->i64 == x));
  }
  tw_out_clear(out);
  tw_msgpack_u64(out, UINT64_MAX);
  const tw_slot *slot = decode(dec, out->bytes, out->len);
  CHECK(slot && slot->kind == TW_SLOT_U64 && slot->u64 == UINT64_MAX);
  tw_out_close(out);
}

static void lengths(tw_decoder *dec) {
  static const int64_t list[] = {0, 1, 31, 32, 255, 256, 65535, 65536, 70000};
  tw_out *out = tw_out_open();
  char *text = calloc(1, 70000);
  for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
    tw_out_clear(out);
    tw_msgpack_string(out, text, list[i]);
    const tw_slot *slot = decode(dec, out->bytes, out->len);
    CHECK(slot && slot->kind == TW_SLOT_STRING && slot->len == list[i]);
    tw_out_clear(out);
    tw_msgpack_list(out, list[i]);
    for (int64_t k = 0; k < list[i]; k++) tw_msgpack_num(out, (double)k);
    slot = decode(dec, out->bytes, out->len);
    CHECK(slot && slot->kind == TW_SLOT_LIST && slot->len == list[i]);
    tw_out_clear(out);
    tw_msgpack_map(out, list[i]);
    for (int64_t k = 0; k < list[i]; k++) {
      tw_msgpack_num(out, (double)k);
      tw_msgpack_byte(out, 0xC3);
    }
    if (list[i]) {
      slot = decode(dec, out->bytes, out->len);
      CHECK(slot && slot->kind == TW_SLOT_MAP && slot->len == list[i]);
    }
  }
  free(text);
  tw_out_close(out);
}

int main(int argc, char **argv) {
  check_open(argc, argv);
  tw_decoder *dec = tw_decoder_open();
  integers(dec);
  lengths(dec);
  const tw_slot *slot = decode(dec, "\xd6\xff\x00\x00\x00\x05", 6);
  CHECK(slot && slot->num == 5);
  slot = decode(dec, "\xd7\xff\x77\x35\x94\x00\x00\x00\x00\x05", 10);
  CHECK(slot && slot->num == 5.5);
  slot = decode(dec, "\xca\x3f\xc0\x00\x00", 5);
  CHECK(slot && slot->num == 1.5);
  CHECK(!decode(dec, "\xc1", 1) && dec->fault == TW_FAULT_TYPE);
  CHECK(!decode(dec, "\xd4\x01\x00", 3) && dec->fault == TW_FAULT_TYPE && dec->at == 0);
  CHECK(!decode(dec, "\x81\xc0\x01", 3) && dec->fault == TW_FAULT_KEY && dec->at == 1);
  CHECK(!decode(dec, "\x92\x01", 2) && dec->fault == TW_FAULT_END);
  CHECK(!decode(dec, "\xdd\xff\xff\xff\xff\x01", 6) && dec->fault == TW_FAULT_END);
  CHECK(!decode(dec, "\x01\x02", 2) && dec->fault == TW_FAULT_BYTE);
  char deep[TW_DEPTH + 1];
  memset(deep, '\x91', sizeof deep);
  CHECK(!decode(dec, deep, TW_DEPTH + 1) && dec->fault == TW_FAULT_DEPTH);
  tw_decoder_close(dec);
  return check_close();
}
