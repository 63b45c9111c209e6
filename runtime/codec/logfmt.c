/* logfmt.c -- key=value pairs of log lines, values quoted where they need it.
 *
 *     level=info msg="two words" url=/a?b=1 ok
 *
 * Blanks and control characters separate pairs. A key has no quote in it; a value that
 * does not begin with one goes on to the next blank, whatever is in it.
 */
#include <string.h>

#include "codec/decoder.h"
#include "codec/out.h"
#include "codec/scan.h"

typedef struct tw__decoder decoder;

static bool is_blank(char c) {
  return (unsigned char)c <= ' ';
}

/* Where the code point of four hexadecimal digits has been written, NULL: they are
 * none. */
static char *code_point(const char *p, const char *end, char *out) {
  const int32_t c = tw__scan_hex4(p, end);
  if (c < 0) return NULL;
  return tw__scan_utf8(out, c >= 0xD800 && c <= 0xDFFF ? 0xFFFD : (uint32_t)c);
}

/* The quoted value after the quote at p - 1; after its closing one. */
static const char *quoted(decoder *dec, const char *p, const char *end, tw_slot *slot) {
  const char *first = p;
  p = tw__scan_either(p, end, '"', '\\');
  if (p < end && *p == '"') {
    tw__decoder_string(slot, first, p);
    return p + 1;
  }
  char *out = tw__decoder_side(dec);
  if (!out) return tw__decoder_starve(dec);
  char *start = out;
  for (;;) {
    memcpy(out, first, (size_t)(p - first));
    out += p - first;
    if (p == end) return tw__decoder_stop(dec, p, end);
    if (*p == '"') break;
    if (end - p < 2) return tw__decoder_stop(dec, end, end);
    static const char letter[] = "\"\\/bfnrt", means[] = "\"\\/\b\f\n\r\t";
    const char *which = p[1] ? strchr(letter, p[1]) : NULL;
    if (which) {
      *out++ = means[which - letter];
      p += 2;
    } else {
      char *next = p[1] == 'u' ? code_point(p + 2, end, out) : NULL;
      if (!next) return tw__decoder_fail(dec, p, TW_FAULT_ESCAPE);
      out = next;
      p += 6;
    }
    first = p;
    p = tw__scan_either(p, end, '"', '\\');
  }
  tw__decoder_string(slot, start, out);
  dec->side_n += out - start;
  return p + 1;
}

/* What comes after a key: "=value", or nothing for true. */
static const char *value(decoder *dec, const char *p, const char *end, tw_slot *slot) {
  if (p == end || *p != '=') {
    *slot = (tw_slot){.len = 1, .kind = TW_SLOT_BOOL};
    return p;
  }
  p++;
  if (p < end && *p == '"') {
    p = quoted(dec, p + 1, end, slot);
    if (p && p < end && !is_blank(*p)) return tw__decoder_fail(dec, p, TW_FAULT_QUOTE);
    return p;
  }
  const char *first = p;
  while (p < end && !is_blank(*p)) p++;
  tw__decoder_string(slot, first, p);
  return p;
}

/* The key at p; its end. */
static const char *key(decoder *dec, const char *p, const char *end, tw_slot *slot) {
  const char *first = p;
  while (p < end && !is_blank(*p) && *p != '=' && *p != '"') p++;
  if (p == first || (p < end && *p == '"')) return tw__decoder_stop(dec, p, end);
  tw__decoder_string(slot, first, p);
  return p;
}

static const char *blanks(const char *p, const char *end) {
  while (p < end && is_blank(*p)) p++;
  return p;
}

static int decode_fields(decoder *dec, const char *text, const char *end) {
  int guess = 0;
  tw_slot name, other;
  memset(dec->kinds, 0, sizeof dec->kinds);
  for (const char *p = blanks(text, end); p < end; p = blanks(p, end)) {
    p = key(dec, p, end, &name);
    if (!p) return tw__decoder_status(dec, text);
    int field = tw__decoder_find(dec, name.bytes, name.len, guess);
    tw_slot *slot = field < 0 ? &other : &dec->pub.slots[field];
    p = value(dec, p, end, slot);
    if (!p) return tw__decoder_status(dec, text);
    if (field < 0) continue;
    dec->kinds[field] = (uint8_t)slot->kind;
    guess = field + 1;
  }
  return dec->last_shape = tw__decoder_shape(dec, 0, dec->last_shape);
}

int tw_logfmt_decode(tw_decoder *pub, const char *text, int64_t len) {
  decoder *dec = (decoder *)pub;
  int32_t pairs = 0;
  if (!text || len < 0 || len > INT32_MAX) return TW_EINVAL;
  const char *end = text + len;
  tw__decoder_begin(dec, len);
  if (dec->field_n) return decode_fields(dec, text, end);

  if (!tw__decoder_push(dec)) return TW_ENOMEM;
  for (const char *p = blanks(text, end); p < end; p = blanks(p, end)) {
    tw_slot *slot = tw__decoder_push(dec);
    if (!slot) return TW_ENOMEM;
    p = key(dec, p, end, slot);
    if (!p) return tw__decoder_status(dec, text);
    slot = tw__decoder_push(dec);
    if (!slot) return TW_ENOMEM;
    p = value(dec, p, end, slot);
    if (!p) return tw__decoder_status(dec, text);
    pairs++;
  }
  dec->pub.tape[0] = (tw_slot){.i64 = dec->tape_n, .len = pairs, .kind = TW_SLOT_MAP};
  int skeleton = tw__decoder_flatten(dec);
  if (skeleton < 0) return 0;
  return dec->last_shape = tw__decoder_shape(dec, skeleton, dec->last_shape);
}

/* ---- writing ------------------------------------------------------------- */

int tw_logfmt_is_key(const char *bytes, int64_t len) {
  for (int64_t i = 0; i < len; i++)
    if (is_blank(bytes[i]) || bytes[i] == '=' || bytes[i] == '"') return 0;
  return len > 0;
}

void tw_logfmt_value(tw_out *out, const char *bytes, int64_t len) {
  bool plain = true;
  for (int64_t i = 0; plain && i < len; i++)
    plain = !is_blank(bytes[i]) && bytes[i] != '"' && bytes[i] != '=' &&
            bytes[i] != '\\' && bytes[i] != 127;
  if (plain)
    tw_out_bytes(out, bytes, len);
  else
    tw_json_string(out, bytes, len);
}
