/* csv.c -- records of delimited fields (RFC 4180), one record at a time.
 *
 * A field that begins with a quote ends with one, two of them inside stand for one; any
 * other field is what stands between the delimiters, quotes included. A carriage return
 * or a newline at the end of the record is no part of it.
 */
#include <string.h>

#include "codec/decoder.h"
#include "codec/number.h"
#include "codec/out.h"
#include "codec/scan.h"
#include "codec/time.h"

typedef struct tw__decoder decoder;

/* The field after the quote at p - 1; after its closing one. */
static const char *quoted(decoder *dec, const char *p, const char *end, tw_slot *slot) {
  const char *first = p;
  p = tw__scan_either(p, end, '"', '"');
  if (p == end) return tw__decoder_fail(dec, p, TW_FAULT_END);
  if (end - p < 2 || p[1] != '"') {
    tw__decoder_string(slot, first, p);
    return p + 1;
  }
  char *out = tw__decoder_side(dec);
  if (!out) return tw__decoder_starve(dec);
  char *start = out;
  for (;;) {
    memcpy(out, first, (size_t)(p - first));
    out += p - first;
    if (p == end) return tw__decoder_fail(dec, p, TW_FAULT_END);
    if (end - p < 2 || p[1] != '"') break;
    *out++ = '"';
    first = p = p + 2;
    p = tw__scan_either(p, end, '"', '"');
  }
  tw__decoder_string(slot, start, out);
  dec->side_n += out - start;
  return p + 1;
}

static bool same_word(const tw_slot *slot, const char *word) {
  int32_t n = (int32_t)strlen(word);
  if (slot->len != n) return false;
  for (int32_t i = 0; i < n; i++)
    if ((slot->bytes[i] | 0x20) != word[i]) return false;
  return true;
}

static bool convert_bool(tw_slot *slot) {
  if (same_word(slot, "true") || (slot->len == 1 && *slot->bytes == '1'))
    slot->len = 1;
  else if (same_word(slot, "false") || (slot->len == 1 && *slot->bytes == '0'))
    slot->len = 0;
  else
    return false;
  slot->kind = TW_SLOT_BOOL;
  return true;
}

static bool convert_i64(tw_slot *slot, const char *first, const char *end) {
  int64_t x;
  if (tw__number_read_i64(first, end, &x)) return false;
  if (x >= -(1ll << 53) && x <= 1ll << 53)
    *slot = (tw_slot){.num = (double)x, .kind = TW_SLOT_NUM};
  else
    *slot = (tw_slot){.i64 = x, .kind = TW_SLOT_I64};
  return true;
}

/* The field as a value of its column's type; an empty one is missing. 0 or a fault. */
static int convert(tw_slot *slot, int type) {
  double x;
  const char *first = slot->bytes, *end = first + slot->len;
  while (first < end && *first == ' ') first++;
  while (end > first && end[-1] == ' ') end--;
  if (first == end) {
    *slot = (tw_slot){.kind = TW_SLOT_NULL};
    return 0;
  }
  if (type == TW_CSV_I64) return convert_i64(slot, first, end) ? 0 : TW_FAULT_NUMBER;
  if (type == TW_CSV_BOOL) {
    tw__decoder_string(slot, first, end);
    return convert_bool(slot) ? 0 : TW_FAULT_BOOL;
  }
  if (tw__number_read(first, end, &x) &&
      (type != TW_CSV_TIME || tw__time_iso(first, end, &x)))
    return type == TW_CSV_TIME ? TW_FAULT_TIME : TW_FAULT_NUMBER;
  *slot = (tw_slot){.num = x, .kind = TW_SLOT_NUM};
  return 0;
}

/* The fields of the record at p onto the tape. */
static const char *record(decoder *dec, const char *p, const char *end) {
  const char delimiter = dec->delimiter;
  for (int column = 0;; column++) {
    tw_slot *slot = tw__decoder_push(dec);
    if (!slot) return tw__decoder_starve(dec);
    const char *first = p;
    if (p < end && *p == '"' && delimiter != '"') {
      p = quoted(dec, p + 1, end, slot);
      if (!p) return NULL;
      if (p < end && *p != delimiter) return tw__decoder_fail(dec, p, TW_FAULT_QUOTE);
    } else {
      p = tw__scan_either(p, end, delimiter, delimiter);
      tw__decoder_string(slot, first, p);
    }
    int type = column < dec->column_n ? dec->column[column] : TW_CSV_STRING;
    int fault = type == TW_CSV_STRING ? 0 : convert(slot, type);
    if (fault) return tw__decoder_fail(dec, first, fault);
    if (p == end) return p;
    p++;
  }
}

int tw_csv_decode(tw_decoder *pub, const char *text, int64_t len) {
  decoder *dec = (decoder *)pub;
  if (!text || len < 0 || len > INT32_MAX) return TW_EINVAL;
  const char *first = text, *end = text + len;
  tw__decoder_begin(dec, len);
  if (end > first && end[-1] == '\n') end--;
  if (end > first && end[-1] == '\r') end--;
  if (end - first >= 3 && !memcmp(first, "\xEF\xBB\xBF", 3)) first += 3;
  if (!tw__decoder_push(dec)) return TW_ENOMEM;
  if (!record(dec, first, end)) return tw__decoder_status(dec, text);

  int n = dec->tape_n - 1;
  dec->pub.filled = n;
  dec->pub.tape[0] = (tw_slot){.i64 = dec->tape_n, .len = n, .kind = TW_SLOT_LIST};
  if (dec->pub.width && n != dec->pub.width) {
    dec->bad = first;
    dec->pub.fault = TW_FAULT_WIDTH;
    return tw__decoder_status(dec, text);
  }
  if (n > TW_SLOTS) return 0;
  memcpy(dec->pub.slots, dec->pub.tape + 1, (size_t)n * sizeof(tw_slot));
  memset(dec->kinds, 0, sizeof dec->kinds);
  for (int i = 0; i < n; i++) dec->kinds[i] = (uint8_t)dec->pub.slots[i].kind;
  return dec->last_shape = tw__decoder_shape(dec, 0, dec->last_shape);
}

int tw_csv_delimiter(tw_decoder *pub, int delimiter) {
  if (delimiter < 0 || delimiter > 255) return TW_EINVAL;
  ((decoder *)pub)->delimiter = (char)delimiter;
  return TW_OK;
}

int tw_csv_width(tw_decoder *pub, int columns) {
  decoder *dec = (decoder *)pub;
  if (columns < 0) return TW_EINVAL;
  dec->pub.width = columns;
  dec->last_shape = 0;
  for (int i = 0; i < dec->shape_n; i++) tw__free(dec->shape[i].tape);
  dec->shape_n = 0;
  return TW_OK;
}

int tw_csv_type(tw_decoder *pub, int column, int type) {
  decoder *dec = (decoder *)pub;
  if (column < 0 || column >= (1 << 20) || type < TW_CSV_STRING || type > TW_CSV_TIME)
    return TW_EINVAL;
  if (column >= dec->column_n) {
    uint8_t *types = tw__realloc(dec->column, (size_t)column + 1);
    if (!types) return TW_ENOMEM;
    memset(types + dec->column_n, TW_CSV_STRING, (size_t)(column + 1 - dec->column_n));
    dec->column = types;
    dec->column_n = column + 1;
  }
  dec->column[column] = (uint8_t)type;
  return TW_OK;
}

/* ---- writing ------------------------------------------------------------- */

void tw_csv_field(tw_out *out, const char *bytes, int64_t len, int delimiter) {
  bool plain = !len || *bytes != ' ';
  for (int64_t i = 0; plain && i < len; i++)
    plain = bytes[i] != (char)delimiter && bytes[i] != '"' && bytes[i] != '\n' &&
            bytes[i] != '\r';
  if (plain && len >= 3 && !memcmp(bytes, "\xEF\xBB\xBF", 3)) plain = false;
  if (plain) {
    tw_out_bytes(out, bytes, len);
    return;
  }
  char *to = tw__out_room(out, 2 * len + 2);
  if (!to) return;
  char *first = to;
  *to++ = '"';
  for (int64_t i = 0; i < len; i++) {
    if (bytes[i] == '"') *to++ = '"';
    *to++ = bytes[i];
  }
  *to++ = '"';
  out->len += to - first;
}
