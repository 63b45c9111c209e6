/* combined.c -- lines of web servers' logs: the combined format, or the common one,
 * which lacks the two last fields, or nginx's "main", which has one more.
 *
 *     203.0.113.9 - alice [10/Oct/2000:13:55:36 -0700] "GET /a HTTP/1.0" 200 26 "-" "-"
 */
#include <string.h>

#include "codec/decoder.h"
#include "codec/number.h"
#include "codec/out.h"
#include "codec/scan.h"
#include "codec/time.h"

/* ORDER COMBINED (lua/tideway/codec/combined.lua) */
enum {
  REMOTE_ADDR,
  REMOTE_USER,
  TIME_LOCAL,
  REQUEST,
  METHOD,
  PATH,
  PROTOCOL,
  STATUS,
  BODY_BYTES_SENT,
  HTTP_REFERER,
  HTTP_USER_AGENT,
  TIME,
  HTTP_X_FORWARDED_FOR,
  NAMES
};

static const char *const names[NAMES] = {"remote_addr",
                                         "remote_user",
                                         "time_local",
                                         "request",
                                         "method",
                                         "path",
                                         "protocol",
                                         "status",
                                         "body_bytes_sent",
                                         "http_referer",
                                         "http_user_agent",
                                         "time",
                                         "http_x_forwarded_for"};

typedef struct tw__decoder decoder;

/* Where each field wanted comes from; -1 for a name that there is not. */
static void find_sources(decoder *dec) {
  dec->sourced = true;
  for (int i = 0; i < dec->field_n; i++) {
    dec->source[i] = -1;
    for (int k = 0; k < NAMES; k++)
      if (strlen(names[k]) == (size_t)dec->field[i].len &&
          !memcmp(names[k], dec->field[i].name, (size_t)dec->field[i].len))
        dec->source[i] = (int8_t)k;
  }
}

/* The word at p, which ends at a blank; its end. */
static const char *token(decoder *dec, const char *p, const char *end, tw_slot *slot) {
  const char *q = tw__scan_either(p, end, ' ', ' ');
  if (q == end || q == p) return tw__decoder_stop(dec, q, end);
  tw__decoder_string(slot, p, q);
  return q + 1;
}

/* What a server wrote as \xHH \" \\ \n \t ...: back to the bytes themselves. */
static const char *unescape(decoder *dec, const char *p, const char *end,
                            tw_slot *slot) {
  char *out = tw__decoder_side(dec);
  if (!out) return tw__decoder_starve(dec);
  char *first = out;
  while (p < end) {
    if (*p != '\\' || end - p < 2) {
      *out++ = *p++;
      continue;
    }
    int high = end - p >= 4 ? tw__scan_hex(p[2]) : -1;
    int low = end - p >= 4 ? tw__scan_hex(p[3]) : -1;
    if (p[1] == 'x' && high >= 0 && low >= 0) {
      *out++ = (char)(high << 4 | low);
      p += 4;
      continue;
    }
    static const char letter[] = "\"\\nrtbfv", means[] = "\"\\\n\r\t\b\f\v";
    const char *which = p[1] ? strchr(letter, p[1]) : NULL;
    if (which)
      *out++ = means[which - letter];
    else
      *out++ = *p, *out++ = p[1];
    p += 2;
  }
  tw__decoder_string(slot, first, out);
  dec->side_n += out - first;
  return p;
}

/* The quoted text at p; after it. */
static const char *quoted(decoder *dec, const char *p, const char *end, tw_slot *slot) {
  bool escapes = false;
  if (p == end || *p != '"') return tw__decoder_stop(dec, p, end);
  const char *first = ++p;
  for (;;) {
    p = tw__scan_either(p, end, '"', '\\');
    if (p == end) return tw__decoder_stop(dec, p, end);
    if (*p == '"') break;
    escapes = true;
    p += end - p >= 2 ? 2 : 1;
  }
  tw__decoder_string(slot, first, p);
  if (escapes && !unescape(dec, first, p, slot)) return NULL;
  return p + 1;
}

/* METHOD PATH PROTOCOL, when the request is made of these: of broken ones servers write
 * what came. */
static void split_request(tw_slot *slots) {
  const char *p = slots[REQUEST].bytes, *end = p + slots[REQUEST].len;
  const char *one = memchr(p, ' ', (size_t)(end - p));
  if (!one || one == p) return;
  const char *two = end;
  while (two > one && two[-1] != ' ') two--; /* a path may have blanks in it */
  if (two == end) return;
  if (two - 1 <= one) { /* HTTP/0.9 */
    tw__decoder_string(&slots[METHOD], p, one);
    tw__decoder_string(&slots[PATH], one + 1, end);
    return;
  }
  tw__decoder_string(&slots[METHOD], p, one);
  tw__decoder_string(&slots[PATH], one + 1, two - 1);
  tw__decoder_string(&slots[PROTOCOL], two, end);
}

/* A count, or "-" for none. */
static const char *count(decoder *dec, const char *p, const char *end, tw_slot *slot) {
  uint64_t x = 0;
  const char *q = tw__number_digits(p, end, &x);
  if (q == p && p < end && *p == '-') q++;
  if (q == p || q - p > 15)
    return tw__decoder_fail(dec, p, p < end ? TW_FAULT_NUMBER : TW_FAULT_END);
  if (q < end && *q != ' ') return tw__decoder_stop(dec, q, end);
  *slot = (tw_slot){.num = (double)x, .kind = TW_SLOT_NUM};
  return q;
}

/* The time in brackets at p; after it. Lines of one second share their time. */
static const char *time_local(decoder *dec, const char *p, const char *end,
                              tw_slot *slots) {
  int64_t seconds;
  if (p == end || *p != '[') return tw__decoder_stop(dec, p, end);
  p++;
  if (end - p <= TW__TIME_LOG) return tw__decoder_stop(dec, end, end);
  if (!*dec->time_text || memcmp(p, dec->time_text, TW__TIME_LOG)) {
    if (tw__time_log(p, &seconds)) return tw__decoder_fail(dec, p, TW_FAULT_TIME);
    memcpy(dec->time_text, p, TW__TIME_LOG);
    dec->time = (double)seconds;
  }
  tw__decoder_string(&slots[TIME_LOCAL], p, p + TW__TIME_LOG);
  slots[TIME] = (tw_slot){.num = dec->time, .kind = TW_SLOT_NUM};
  p += TW__TIME_LOG;
  if (*p != ']') return tw__decoder_stop(dec, p, end);
  return p + 1;
}

static const char *blank(decoder *dec, const char *p, const char *end) {
  return p < end && *p == ' ' ? p + 1 : tw__decoder_stop(dec, p, end);
}

static const char *line(decoder *dec, const char *p, const char *end, tw_slot *slots) {
  tw_slot ident;
  if (!(p = token(dec, p, end, &slots[REMOTE_ADDR]))) return NULL;
  if (!(p = token(dec, p, end, &ident))) return NULL;
  const char *user = p;
  for (;;) { /* a user name may have blanks in it */
    p = tw__scan_either(p, end, ' ', ' ');
    if (end - p < 2) return tw__decoder_stop(dec, end, end);
    if (p[1] == '[') break;
    p++;
  }
  tw__decoder_string(&slots[REMOTE_USER], user, p);
  if (!(p = time_local(dec, p + 1, end, slots))) return NULL;
  if (!(p = blank(dec, p, end))) return NULL;
  if (!(p = quoted(dec, p, end, &slots[REQUEST]))) return NULL;
  split_request(slots);
  if (!(p = blank(dec, p, end))) return NULL;
  if (!(p = count(dec, p, end, &slots[STATUS]))) return NULL;
  if (!(p = blank(dec, p, end))) return NULL;
  if (!(p = count(dec, p, end, &slots[BODY_BYTES_SENT]))) return NULL;
  static const int more[] = {HTTP_REFERER, HTTP_USER_AGENT, HTTP_X_FORWARDED_FOR};
  for (int i = 0; i < 3 && p < end; i++) {
    if (!(p = blank(dec, p, end))) return NULL;
    if (!(p = quoted(dec, p, end, &slots[more[i]]))) return NULL;
    if (i == 0 && p == end)
      return tw__decoder_stop(dec, p, end); /* cut off before the agent */
  }
  return p < end ? tw__decoder_stop(dec, p, end) : p;
}

int tw_combined_decode(tw_decoder *pub, const char *text, int64_t len) {
  decoder *dec = (decoder *)pub;
  tw_slot slots[NAMES];
  if (!text || len < 0 || len > INT32_MAX) return TW_EINVAL;
  const char *end = text + len;
  if (!dec->sourced) find_sources(dec);
  tw__decoder_begin(dec, len);
  memset(slots, 0, sizeof slots);
  if (len && end[-1] == '\r') end--;
  if (!line(dec, text, end, slots)) return tw__decoder_status(dec, text);
  for (int i = 0; i < dec->field_n; i++) {
    tw_slot *slot = &dec->pub.slots[i];
    if (dec->source[i] >= 0)
      *slot = slots[dec->source[i]];
    else
      slot->kind = TW_SLOT_NONE;
    dec->kinds[i] = (uint8_t)slot->kind;
  }
  return dec->last_shape = tw__decoder_shape(dec, 0, dec->last_shape);
}

/* ---- writing ------------------------------------------------------------- */

void tw_combined_quoted(tw_out *out, const char *bytes, int64_t len) {
  static const char hex[] = "0123456789ABCDEF";
  char *to = tw__out_room(out, 4 * len + 2);
  if (!to) return;
  char *first = to;
  *to++ = '"';
  for (int64_t i = 0; i < len; i++) {
    unsigned char c = (unsigned char)bytes[i];
    if (c >= 32 && c < 127 && c != '"' && c != '\\') {
      *to++ = (char)c;
      continue;
    }
    *to++ = '\\';
    *to++ = 'x';
    *to++ = hex[c >> 4];
    *to++ = hex[c & 15];
  }
  *to++ = '"';
  out->len += to - first;
}

void tw_combined_time(tw_out *out, double seconds) {
  char text[TW__TIME_LOG + 1];
  if (!(seconds > -6e10 && seconds < 2.5e11)) seconds = 0; /* years 0 .. 9999 */
  tw__time_log_write(text, (int64_t)seconds);
  tw_out_bytes(out, text, TW__TIME_LOG);
}
