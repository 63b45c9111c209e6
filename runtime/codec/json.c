/* json.c -- JSON texts to slots or a tape (RFC 8259).
 *
 * A record is first tried against the layouts of earlier ones: a layout is the text
 * between the values, so that a record of the same layout is compared piece by piece
 * and only its values are looked at:
 *
 *     {"name":"Alice","x":17}      pieces  {"name":   ,"x":   }     values  "Alice"  17
 *
 * Where a piece differs another layout that agrees so far is gone on with (an optional
 * field); when there is none, the parser below takes the record from its beginning, and
 * the layout is learnt for the next one.
 */
#include <string.h>

#include "codec/decoder.h"
#include "codec/number.h"
#include "codec/out.h"
#include "codec/scan.h"

enum {
  LAYOUTS = 8,
  PIECE_BYTES = 4096, /* of all pieces of a layout */
  LEARN_ALWAYS = 64,  /* so many misses are learnt from, after that */
  LEARN_EVERY = 64    /* only every so-manieth: texts may have no layout at all */
};

struct layout {
  int values;
  int skeleton;
  int shape; /* of the last record, or 0 */
  uint16_t from[TW_SLOTS + 1],
      len[TW_SLOTS + 1]; /* the piece before each value, the last */
  int8_t slot[TW_SLOTS]; /* where the value goes, -1: nowhere */
  char bytes[PIECE_BYTES];
};

struct tw__layouts {
  int count, current;
  uint32_t misses;
  uint8_t shared[LAYOUTS][LAYOUTS]; /* how many values on two layouts agree */
  struct layout layout[LAYOUTS];
};

typedef struct tw__decoder decoder;

void tw__json_forget(struct tw__layouts *layouts) {
  tw__free(layouts);
}

/* ---- the parser ---------------------------------------------------------- */

static inline const char *blanks(const char *p, const char *end) {
  while (p < end && (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t')) p++;
  return p;
}

/* The code point of the escape whose u is at p - 1; *next after it. */
static int32_t escaped(const char *p, const char *end, const char **next) {
  int32_t c = tw__scan_hex4(p, end);
  *next = p + 4;
  if (c < 0xD800 || c > 0xDFFF) return c;
  if (c < 0xDC00 && end - p >= 10 && p[4] == '\\' && p[5] == 'u') {
    int32_t low = tw__scan_hex4(p + 6, end);
    if (low >= 0xDC00 && low <= 0xDFFF) {
      *next = p + 10;
      return 0x10000 + ((c - 0xD800) << 10) + (low - 0xDC00);
    }
  }
  return 0xFFFD;
}

/* A string from first on, with a backslash at p. */
static const char *unescape(decoder *dec, const char *first, const char *p,
                            const char *end, tw_slot *slot) {
  char *out = tw__decoder_side(dec);
  if (!out) return tw__decoder_starve(dec);
  char *start = out;
  for (;;) {
    memcpy(out, first, (size_t)(p - first));
    out += p - first;
    if (p == end || *p != '\\') break;
    if (++p == end) break;
    static const char plain[] = "\"\\/bfnrt", means[] = "\"\\/\b\f\n\r\t";
    const char *which = *p ? strchr(plain, *p) : NULL;
    if (which) {
      *out++ = means[which - plain];
      p++;
    } else if (*p == 'u') {
      int32_t c = escaped(p + 1, end, &p);
      if (c < 0) return tw__decoder_fail(dec, p - 6, TW_FAULT_ESCAPE);
      out = tw__scan_utf8(out, (uint32_t)c);
    } else {
      return tw__decoder_fail(dec, p - 1, TW_FAULT_ESCAPE);
    }
    first = p;
    p = tw__scan_string(p, end);
  }
  if (p == end || *p != '"') return tw__decoder_stop(dec, p, end);
  slot->bytes = start;
  slot->len = (int32_t)(out - start);
  slot->kind = TW_SLOT_STRING;
  dec->side_n += out - start;
  return p + 1;
}

/* The string after the quote at p - 1. */
static inline const char *string(decoder *dec, const char *p, const char *end,
                                 tw_slot *slot) {
  const char *q = tw__scan_string(p, end);
  if (q < end && *q == '"') {
    slot->bytes = p;
    slot->len = (int32_t)(q - p);
    slot->kind = TW_SLOT_STRING;
    return q + 1;
  }
  if (q < end && *q == '\\') return unescape(dec, p, q, end, slot);
  return tw__decoder_stop(dec, q, end);
}

static const char *word(decoder *dec, const char *p, const char *end, tw_slot *slot) {
  const char *name = *p == 't' ? "true" : *p == 'f' ? "false" : "null";
  slot->kind = *p == 'n' ? TW_SLOT_NULL : TW_SLOT_BOOL;
  slot->len = *p == 't';
  for (; *name; p++, name++)
    if (p == end || *p != *name) return tw__decoder_stop(dec, p, end);
  return p;
}

/* Any value that is no list or map. */
static inline const char *scalar(decoder *dec, const char *p, const char *end,
                                 tw_slot *slot) {
  const char *bad;
  if (p == end) return tw__decoder_stop(dec, p, end);
  if (*p == '"') return string(dec, p + 1, end, slot);
  if (tw__number_digit(*p) || *p == '-') {
    p = tw__number_json(p, end, &slot->num, &bad);
    slot->kind = TW_SLOT_NUM;
    return p ? p : tw__decoder_stop(dec, bad, end);
  }
  if (*p == 't' || *p == 'f' || *p == 'n') return word(dec, p, end, slot);
  return tw__decoder_stop(dec, p, end);
}

static const char *value(decoder *dec, const char *p, const char *end, int depth);

/* The members after the bracket at p - 1; the node of the list is pushed already. */
static const char *list(decoder *dec, const char *p, const char *end, int depth) {
  int node = dec->tape_n - 1;
  int32_t len = 0;
  p = blanks(p, end);
  if (p < end && *p == ']') {
    p++;
  } else {
    for (;;) {
      p = value(dec, p, end, depth + 1);
      if (!p) return NULL;
      len++;
      p = blanks(p, end);
      if (p == end || (*p != ',' && *p != ']')) return tw__decoder_stop(dec, p, end);
      if (*p++ == ']') break;
      p = blanks(p, end);
    }
  }
  dec->pub.tape[node] = (tw_slot){.i64 = dec->tape_n, .len = len, .kind = TW_SLOT_LIST};
  return p;
}

static const char *map(decoder *dec, const char *p, const char *end, int depth) {
  int node = dec->tape_n - 1;
  int32_t len = 0;
  p = blanks(p, end);
  if (p < end && *p == '}') {
    p++;
  } else {
    for (;;) {
      if (p == end || *p != '"') return tw__decoder_stop(dec, p, end);
      tw_slot *key = tw__decoder_push(dec);
      if (!key) return tw__decoder_starve(dec);
      p = string(dec, p + 1, end, key);
      if (!p) return NULL;
      p = blanks(p, end);
      if (p == end || *p != ':') return tw__decoder_stop(dec, p, end);
      p = value(dec, blanks(p + 1, end), end, depth + 1);
      if (!p) return NULL;
      len++;
      p = blanks(p, end);
      if (p == end || (*p != ',' && *p != '}')) return tw__decoder_stop(dec, p, end);
      if (*p++ == '}') break;
      p = blanks(p, end);
    }
  }
  dec->pub.tape[node] = (tw_slot){.i64 = dec->tape_n, .len = len, .kind = TW_SLOT_MAP};
  return p;
}

/* Any value, at p, onto the tape. Returns where it ends, or NULL. */
static const char *value(decoder *dec, const char *p, const char *end, int depth) {
  tw_slot *slot = tw__decoder_push(dec);
  if (!slot) return tw__decoder_starve(dec);
  if (p < end && (*p == '{' || *p == '[')) {
    if (depth >= TW_DEPTH) return tw__decoder_fail(dec, p, TW_FAULT_DEPTH);
    return *p == '{' ? map(dec, p + 1, end, depth) : list(dec, p + 1, end, depth);
  }
  return scalar(dec, p, end, slot);
}

/* A value for a slot: what is nested stays on the tape. */
static const char *slot_value(decoder *dec, const char *p, const char *end,
                              tw_slot *slot) {
  if (p == end || (*p != '{' && *p != '[')) return scalar(dec, p, end, slot);
  int node = dec->tape_n;
  p = value(dec, p, end, 1);
  if (!p) return NULL;
  *slot = (tw_slot){
      .i64 = node, .len = dec->pub.tape[node].len, .kind = dec->pub.tape[node].kind};
  return p;
}

/* A value that nobody wants, verified all the same. */
static const char *unwanted(decoder *dec, const char *p, const char *end) {
  tw_slot slot;
  int node = dec->tape_n;
  int64_t side = dec->side_n;
  p = slot_value(dec, p, end, &slot);
  dec->tape_n = node;
  dec->side_n = side;
  return p;
}

/* The fields asked for of the map at p, into slots. Returns where it ends, or NULL. */
static const char *fields(decoder *dec, const char *p, const char *end) {
  int guess = 0;
  memset(dec->kinds, 0, sizeof dec->kinds);
  if (p == end) return tw__decoder_stop(dec, p, end);
  if (*p != '{') {
    if (!value(dec, p, end, 0)) return NULL;
    return tw__decoder_fail(dec, p, TW_FAULT_FIELDS);
  }
  p = blanks(p + 1, end);
  if (p < end && *p == '}') return p + 1;
  for (;;) {
    tw_slot key;
    if (p == end || *p != '"') return tw__decoder_stop(dec, p, end);
    p = string(dec, p + 1, end, &key);
    if (!p) return NULL;
    p = blanks(p, end);
    if (p == end || *p != ':') return tw__decoder_stop(dec, p, end);
    p = blanks(p + 1, end);
    int field = tw__decoder_find(dec, key.bytes, key.len, guess);
    if (field < 0) {
      p = unwanted(dec, p, end);
    } else {
      guess = field + 1;
      p = slot_value(dec, p, end, &dec->pub.slots[field]);
      dec->kinds[field] = (uint8_t)dec->pub.slots[field].kind;
    }
    if (!p) return NULL;
    p = blanks(p, end);
    if (p == end || (*p != ',' && *p != '}')) return tw__decoder_stop(dec, p, end);
    if (*p++ == '}') return p;
    p = blanks(p, end);
  }
}

/* ---- layouts ------------------------------------------------------------- */

static inline bool piece_at(const struct layout *lay, int k, const char *p,
                            const char *end) {
  return end - p >= lay->len[k] &&
         tw__scan_same(lay->bytes + lay->from[k], p, lay->len[k]);
}

/* Another layout that agrees with the current one up to value k and has the text at p
 * next; -1: none. */
static int switch_layout(const struct tw__layouts *all, int k, const char *p,
                         const char *end) {
  for (int i = 0; i < all->count; i++)
    if (i != all->current && all->shared[all->current][i] >= k &&
        all->layout[i].values >= k && piece_at(&all->layout[i], k, p, end))
      return i;
  return -1;
}

/* Takes the record by one of the layouts known. Returns its shape, 0 when it can have
 * none; -1: by none of them. */
static int speculate(decoder *dec, const char *p, const char *end) {
  struct tw__layouts *all = dec->layouts;
  struct layout *lay = &all->layout[all->current];
  const bool by_field = dec->field_n > 0;
  memset(dec->kinds, 0, sizeof dec->kinds);
  for (int k = 0;; k++) {
    if (__builtin_expect(!piece_at(lay, k, p, end), 0)) {
      int other = switch_layout(all, k, p, end);
      if (other < 0) return -1;
      all->current = other;
      lay = &all->layout[other];
    }
    p += lay->len[k];
    if (k == lay->values) break;
    int to = lay->slot[k];
    bool number = p < end && (tw__number_digit(*p) || *p == '-');
    if (to < 0) {
      p = number ? tw__number_skip(p, end) : unwanted(dec, p, end);
      if (!p) return -1;
      continue;
    }
    tw_slot *slot = &dec->pub.slots[to];
    if (number) {
      const char *bad;
      p = tw__number_json(p, end, &slot->num, &bad);
      slot->kind = TW_SLOT_NUM;
    } else if (p < end && *p == '"') {
      p = string(dec, p + 1, end, slot);
    } else {
      p = slot_value(dec, p, end, slot);
    }
    if (!p) return -1;
    /* what is flattened must not have come in one piece */
    if (slot->kind == TW_SLOT_MAP && slot->len > 0 && !by_field) return -1;
    dec->kinds[to] = (uint8_t)slot->kind;
  }
  if (p != end && blanks(p, end) != end) return -1;
  dec->pub.filled = lay->values;
  lay->shape = tw__decoder_shape(dec, lay->skeleton, lay->shape);
  return lay->shape;
}

/* The end of a string or anything nested, in a text known to be valid. */
static const char *skip_string(const char *p, const char *end) {
  for (p++; *p != '"'; p++) {
    p = tw__scan_either(p, end, '"', '\\');
    if (*p == '"') break;
    p++;
  }
  return p + 1;
}

static const char *skip(const char *p, const char *end) {
  int depth = 0;
  do {
    if (*p == '"') {
      p = skip_string(p, end);
    } else if (*p == '{' || *p == '[') {
      depth++;
      p++;
    } else if (*p == '}' || *p == ']') {
      depth--;
      p++;
    } else if (*p == ',' || *p == ':' || *p == ' ' || *p == '\t' || *p == '\n' ||
               *p == '\r') {
      p++;
    } else {
      while (p < end && !strchr(",:]} \t\r\n", *p)) p++;
    }
  } while (depth);
  return p;
}

struct lesson {
  const decoder *dec;
  struct layout *lay;
  const char *piece, *end; /* where the piece at hand begins; of the text */
  int used;                /* bytes of pieces */
};

/* The piece ends at p. False when the layout is too large. */
static bool end_piece(struct lesson *lesson, const char *p) {
  struct layout *lay = lesson->lay;
  int64_t len = p - lesson->piece;
  if (len > PIECE_BYTES - lesson->used) return false;
  memcpy(lay->bytes + lesson->used, lesson->piece, (size_t)len);
  lay->from[lay->values] = (uint16_t)lesson->used;
  lay->len[lay->values] = (uint16_t)len;
  lesson->used += (int)len;
  return true;
}

/* Adds the map at p. Returns where it ends, NULL when it makes no layout. */
static const char *learn_map(struct lesson *lesson, const char *p) {
  const decoder *dec = lesson->dec;
  struct layout *lay = lesson->lay;
  const char *end = lesson->end;
  p = blanks(p + 1, end);
  while (*p != '}') {
    if (*p == ',') p = blanks(p + 1, end);
    const char *key = p + 1;
    p = skip_string(p, end);
    const char *key_end = p - 1;
    p = blanks(blanks(p, end) + 1, end);
    if (!dec->field_n && *p == '{' && *blanks(p + 1, end) != '}') {
      p = learn_map(lesson, p);
      if (!p) return NULL;
    } else {
      int slot = lay->values;
      if (dec->field_n) {
        if (memchr(key, '\\', (size_t)(key_end - key))) return NULL;
        slot = tw__decoder_find(dec, key, key_end - key, 0);
      }
      if (lay->values == TW_SLOTS || !end_piece(lesson, p)) return NULL;
      lay->slot[lay->values++] = (int8_t)slot;
      p = skip(p, end);
      lesson->piece = p;
    }
    p = blanks(p, end);
  }
  return p + 1;
}

static int shared_values(const struct layout *a, const struct layout *b) {
  int k = 0;
  while (k < a->values && k < b->values && a->slot[k] == b->slot[k] &&
         a->len[k] == b->len[k] &&
         !memcmp(a->bytes + a->from[k], b->bytes + b->from[k], a->len[k]))
    k++;
  return k;
}

/* Learns the layout of a valid text, a map. */
static void learn(decoder *dec, const char *text, const char *end, int skeleton,
                  int shape) {
  struct tw__layouts *all = dec->layouts;
  if (*text != '{') return;
  if (!all) {
    all = dec->layouts = tw__calloc(1, sizeof *all);
    if (!all) return; /* then without */
  }
  uint32_t misses = all->misses++;
  if (misses >= LEARN_ALWAYS && misses % LEARN_EVERY) return;
  int i = all->count < LAYOUTS ? all->count : (all->current + 1) % LAYOUTS;
  struct layout *lay = &all->layout[i];
  struct layout before = *lay;
  struct lesson lesson = {.dec = dec, .lay = lay, .piece = text, .end = end};
  lay->values = 0;
  lay->skeleton = skeleton;
  lay->shape = shape;
  const char *p = learn_map(&lesson, blanks(text, end));
  if (!p || !end_piece(&lesson, p)) {
    *lay = before;
    return;
  }
  if (i == all->count) all->count++;
  all->current = i;
  for (int j = 0; j < all->count; j++)
    all->shared[i][j] = all->shared[j][i] =
        (uint8_t)shared_values(&all->layout[i], &all->layout[j]);
}

/* ---- the whole ----------------------------------------------------------- */

static int decode_fields(decoder *dec, const char *text, const char *first,
                         const char *end) {
  const char *p = fields(dec, first, end);
  if (p) {
    p = blanks(p, end);
    if (p < end) p = tw__decoder_stop(dec, p, end);
  }
  if (!p) return tw__decoder_status(dec, text);
  learn(dec, text, end, 0, 0);
  return tw__decoder_shape(dec, 0, 0);
}

int tw_json_decode(tw_decoder *pub, const char *text, int64_t len) {
  decoder *dec = (decoder *)pub;
  if (!text || len < 0 || len > INT32_MAX) return TW_EINVAL;
  const char *end = text + len, *first = text;
  if (dec->layouts && dec->layouts->count) {
    tw__decoder_begin(dec, len);
    int shape = speculate(dec, text, end);
    if (shape > 0) return shape;
  }
  tw__decoder_begin(dec, len);
  if (len >= 3 && !memcmp(text, "\xEF\xBB\xBF", 3)) first += 3; /* a byte order mark */
  first = blanks(first, end);
  if (dec->field_n) return decode_fields(dec, text, first, end);

  const char *p = value(dec, first, end, 0);
  if (p) {
    p = blanks(p, end);
    if (p < end) p = tw__decoder_stop(dec, p, end);
  }
  if (!p) return tw__decoder_status(dec, text);
  if (dec->pub.tape[0].kind != TW_SLOT_MAP) return 0;
  int skeleton = tw__decoder_flatten(dec);
  int shape = skeleton < 0 ? 0 : tw__decoder_shape(dec, skeleton, 0);
  if (shape) learn(dec, text, end, skeleton, shape);
  return shape;
}

/* ---- writing ------------------------------------------------------------- */

void tw_json_string(tw_out *out, const char *bytes, int64_t len) {
  const char *p = bytes, *end = bytes + len;
  bool plain = tw__scan_string(p, end) == end;
  char *to = tw__out_room(out, (plain ? len : 6 * len) + 2); /* \u0000 for every byte */
  if (!to) return;
  char *first = to;
  *to++ = '"';
  for (;;) {
    const char *q = plain ? end : tw__scan_string(p, end);
    memcpy(to, p, (size_t)(q - p));
    to += q - p;
    if (q == end) break;
    static const char special[] = "\"\\\b\f\n\r\t", letter[] = "\"\\bfnrt";
    static const char hex[] = "0123456789abcdef";
    const char *which = *q ? strchr(special, *q) : NULL;
    *to++ = '\\';
    if (which) {
      *to++ = letter[which - special];
    } else {
      memcpy(to, "u00", 3);
      to[3] = hex[*q >> 4];
      to[4] = hex[*q & 15];
      to += 5;
    }
    p = q + 1;
  }
  *to++ = '"';
  out->len += to - first;
}
