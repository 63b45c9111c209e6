/* msgpack.c -- MessagePack to slots or a tape, and back.
 *
 * Integers that a double holds become numbers, larger ones 64-bit integers; str and bin
 * become strings, the timestamp extension seconds. Other extensions have no Lua value.
 */
#include <math.h>
#include <string.h>

#include "codec/decoder.h"
#include "codec/out.h"

typedef struct tw__decoder decoder;

enum { EXT_TIME = -1 };

static uint64_t big_endian(const char *p, int n) {
  uint64_t x = 0;
  for (int i = 0; i < n; i++) x = x << 8 | (unsigned char)p[i];
  return x;
}

static void set_u64(tw_slot *slot, uint64_t x) {
  if (x <= 1ull << 53)
    *slot = (tw_slot){.num = (double)x, .kind = TW_SLOT_NUM};
  else if (x <= INT64_MAX)
    *slot = (tw_slot){.i64 = (int64_t)x, .kind = TW_SLOT_I64};
  else
    *slot = (tw_slot){.u64 = x, .kind = TW_SLOT_U64};
}

static void set_i64(tw_slot *slot, int64_t x) {
  if (x >= -(1ll << 53) && x <= 1ll << 53)
    *slot = (tw_slot){.num = (double)x, .kind = TW_SLOT_NUM};
  else
    *slot = (tw_slot){.i64 = x, .kind = TW_SLOT_I64};
}

static const char *value(decoder *dec, const char *p, const char *end, int depth);

static const char *list(decoder *dec, const char *p, const char *end, int64_t n,
                        int depth) {
  int node = dec->tape_n - 1;
  if (n > end - p) return tw__decoder_fail(dec, end, TW_FAULT_END);
  for (int64_t i = 0; i < n; i++)
    if (!(p = value(dec, p, end, depth + 1))) return NULL;
  dec->pub.tape[node] =
      (tw_slot){.i64 = dec->tape_n, .len = (int32_t)n, .kind = TW_SLOT_LIST};
  return p;
}

static bool is_key(const tw_slot *slot) {
  return slot->kind == TW_SLOT_STRING || slot->kind == TW_SLOT_BOOL ||
         (slot->kind == TW_SLOT_NUM && slot->num == slot->num);
}

static const char *map(decoder *dec, const char *p, const char *end, int64_t n,
                       int depth) {
  int node = dec->tape_n - 1;
  if (n > (end - p) / 2) return tw__decoder_fail(dec, end, TW_FAULT_END);
  for (int64_t i = 0; i < n; i++) {
    const char *first = p;
    int key = dec->tape_n;
    if (!(p = value(dec, p, end, depth + 1))) return NULL;
    if (!is_key(&dec->pub.tape[key])) return tw__decoder_fail(dec, first, TW_FAULT_KEY);
    if (!(p = value(dec, p, end, depth + 1))) return NULL;
  }
  dec->pub.tape[node] =
      (tw_slot){.i64 = dec->tape_n, .len = (int32_t)n, .kind = TW_SLOT_MAP};
  return p;
}

static const char *bytes(decoder *dec, const char *p, const char *end, int64_t n,
                         tw_slot *slot) {
  if (n > end - p) return tw__decoder_fail(dec, end, TW_FAULT_END);
  *slot = (tw_slot){.bytes = p, .len = (int32_t)n, .kind = TW_SLOT_STRING};
  return p + n;
}

/* An extension of n bytes whose type is at p; type_at is where its first byte was. */
static const char *extension(decoder *dec, const char *p, const char *end, int64_t n,
                             tw_slot *slot, const char *type_at) {
  if (n + 1 > end - p) return tw__decoder_fail(dec, end, TW_FAULT_END);
  if ((signed char)*p != EXT_TIME || (n != 4 && n != 8 && n != 12))
    return tw__decoder_fail(dec, type_at, TW_FAULT_TYPE);
  p++;
  uint64_t nanoseconds = 0;
  double seconds;
  if (n == 4) {
    seconds = (double)big_endian(p, 4);
  } else if (n == 8) {
    uint64_t both = big_endian(p, 8);
    nanoseconds = both >> 34;
    seconds = (double)(both & 0x3FFFFFFFF);
  } else {
    nanoseconds = big_endian(p, 4);
    seconds = (double)(int64_t)big_endian(p + 4, 8);
  }
  *slot = (tw_slot){.num = seconds + (double)nanoseconds * 1e-9, .kind = TW_SLOT_NUM};
  return p + n;
}

static void set_float(tw_slot *slot, const char *p, int n) {
  uint64_t bits = big_endian(p, n);
  double x;
  if (n == 8) {
    memcpy(&x, &bits, sizeof x);
  } else {
    uint32_t half = (uint32_t)bits;
    float f;
    memcpy(&f, &half, sizeof f);
    x = (double)f;
  }
  /* LuaJIT keeps its types in the bits of NaN: only the plain one may come in */
  *slot = (tw_slot){.num = x == x ? x : NAN, .kind = TW_SLOT_NUM};
}

/* A value of one of the types 0xC0 .. 0xDF, after its first byte; it goes into slot, the
 * last one of the tape. */
static const char *typed(decoder *dec, const char *p, const char *end, int depth,
                         tw_slot *slot) {
  /* bytes of the number, length or count that follows */
  static const uint8_t widths[32] = {0, 0, 0, 0, 1, 2, 4, 1, 2, 4, 4, 8, 1, 2, 4, 8,
                                     1, 2, 4, 8, 0, 0, 0, 0, 0, 1, 2, 4, 2, 4, 2, 4};
  const char *first = p - 1, *body = p;
  const unsigned type = (unsigned char)*first;
  const int width = widths[type - 0xC0];
  if (end - p < width) return tw__decoder_fail(dec, end, TW_FAULT_END);
  const uint64_t x = big_endian(p, width);
  p += width;
  switch (type) {
  case 0xC0: *slot = (tw_slot){.kind = TW_SLOT_NULL}; return p;
  case 0xC2:
  case 0xC3:
    *slot = (tw_slot){.len = (int32_t)type & 1, .kind = TW_SLOT_BOOL};
    return p;
  case 0xC4:
  case 0xC5:
  case 0xC6:
  case 0xD9:
  case 0xDA:
  case 0xDB: return bytes(dec, p, end, (int64_t)x, slot);
  case 0xC7:
  case 0xC8:
  case 0xC9: return extension(dec, p, end, (int64_t)x, slot, first);
  case 0xCA: set_float(slot, body, 4); return p;
  case 0xCB: set_float(slot, body, 8); return p;
  case 0xCC:
  case 0xCD:
  case 0xCE:
  case 0xCF: set_u64(slot, x); return p;
  case 0xD0: set_i64(slot, (int8_t)x); return p;
  case 0xD1: set_i64(slot, (int16_t)x); return p;
  case 0xD2: set_i64(slot, (int32_t)x); return p;
  case 0xD3: set_i64(slot, (int64_t)x); return p;
  case 0xD4:
  case 0xD5:
  case 0xD6:
  case 0xD7:
  case 0xD8: return extension(dec, p, end, 1 << (type - 0xD4), slot, first);
  case 0xDC:
  case 0xDD: return list(dec, p, end, (int64_t)x, depth);
  case 0xDE:
  case 0xDF: return map(dec, p, end, (int64_t)x, depth);
  default: return tw__decoder_fail(dec, first, TW_FAULT_TYPE);
  }
}

/* Any value, at p, onto the tape. Returns where it ends, or NULL. */
static const char *value(decoder *dec, const char *p, const char *end, int depth) {
  tw_slot *slot = tw__decoder_push(dec);
  if (!slot) return tw__decoder_starve(dec);
  if (p == end) return tw__decoder_fail(dec, p, TW_FAULT_END);
  const char *first = p;
  unsigned type = (unsigned char)*p++;
  if (type < 0x80) {
    set_u64(slot, type);
    return p;
  }
  if (type >= 0xE0) {
    set_i64(slot, (int64_t)type - 256);
    return p;
  }
  if ((type < 0xA0 || type >= 0xDC) && depth >= TW_DEPTH)
    return tw__decoder_fail(dec, first, TW_FAULT_DEPTH);
  if (type < 0x90) return map(dec, p, end, type & 15, depth);
  if (type < 0xA0) return list(dec, p, end, type & 15, depth);
  if (type < 0xC0) return bytes(dec, p, end, type & 31, slot);
  return typed(dec, p, end, depth, slot);
}

int tw_msgpack_decode(tw_decoder *pub, const char *text, int64_t len) {
  decoder *dec = (decoder *)pub;
  if (!text || len < 0 || len > INT32_MAX) return TW_EINVAL;
  const char *end = text + len;
  tw__decoder_begin(dec, len);
  const char *p = value(dec, text, end, 0);
  if (p && p < end) p = tw__decoder_fail(dec, p, TW_FAULT_BYTE);
  if (!p) return tw__decoder_status(dec, text);
  if (dec->pub.tape[0].kind != TW_SLOT_MAP) return 0;
  int skeleton = tw__decoder_flatten(dec);
  if (skeleton < 0) return 0;
  return dec->last_shape = tw__decoder_shape(dec, skeleton, dec->last_shape);
}

/* ---- writing ------------------------------------------------------------- */

static void put(tw_out *out, unsigned type, uint64_t x, int n) {
  char *to = tw__out_room(out, 9);
  if (!to) return;
  *to++ = (char)type;
  for (int i = n - 1; i >= 0; i--) *to++ = (char)(x >> (8 * i));
  out->len += 1 + n;
}

void tw_msgpack_u64(tw_out *out, uint64_t x) {
  if (x < 0x80)
    put(out, (unsigned)x, 0, 0);
  else if (x <= UINT8_MAX)
    put(out, 0xCC, x, 1);
  else if (x <= UINT16_MAX)
    put(out, 0xCD, x, 2);
  else if (x <= UINT32_MAX)
    put(out, 0xCE, x, 4);
  else
    put(out, 0xCF, x, 8);
}

void tw_msgpack_i64(tw_out *out, int64_t x) {
  if (x >= 0)
    tw_msgpack_u64(out, (uint64_t)x);
  else if (x >= -32)
    put(out, (unsigned)(x + 256), 0, 0);
  else if (x >= INT8_MIN)
    put(out, 0xD0, (uint64_t)x, 1);
  else if (x >= INT16_MIN)
    put(out, 0xD1, (uint64_t)x, 2);
  else if (x >= INT32_MIN)
    put(out, 0xD2, (uint64_t)x, 4);
  else
    put(out, 0xD3, (uint64_t)x, 8);
}

void tw_msgpack_num(tw_out *out, double x) {
  if (x >= -0x1p53 && x <= 0x1p53 && x == (double)(int64_t)x &&
      !(x == 0 && signbit(x))) {
    tw_msgpack_i64(out, (int64_t)x);
    return;
  }
  uint64_t bits;
  memcpy(&bits, &x, sizeof bits);
  put(out, 0xCB, bits, 8);
}

void tw_msgpack_string(tw_out *out, const char *text, int64_t len) {
  if (len < 32)
    put(out, 0xA0 | (unsigned)len, 0, 0);
  else if (len <= UINT8_MAX)
    put(out, 0xD9, (uint64_t)len, 1);
  else if (len <= UINT16_MAX)
    put(out, 0xDA, (uint64_t)len, 2);
  else
    put(out, 0xDB, (uint64_t)len, 4);
  tw_out_bytes(out, text, len);
}

void tw_msgpack_list(tw_out *out, int64_t n) {
  if (n < 16)
    put(out, 0x90 | (unsigned)n, 0, 0);
  else if (n <= UINT16_MAX)
    put(out, 0xDC, (uint64_t)n, 2);
  else
    put(out, 0xDD, (uint64_t)n, 4);
}

void tw_msgpack_map(tw_out *out, int64_t n) {
  if (n < 16)
    put(out, 0x80 | (unsigned)n, 0, 0);
  else if (n <= UINT16_MAX)
    put(out, 0xDE, (uint64_t)n, 2);
  else
    put(out, 0xDF, (uint64_t)n, 4);
}

void tw_msgpack_byte(tw_out *out, int byte) {
  put(out, (unsigned)byte, 0, 0);
}
