/* packed.c -- tables as LuaJIT's string.buffer writes them, to slots or a tape.
 *
 * The format is in LuaJIT's documentation (ext_buffer.html, "Serialization Format
 * Specification"). Taken apart are tables of pairs and lists of what has a slot. What else
 * there may be (holes in lists, tables that are both, complex numbers) does not parse here;
 * string.buffer reads it.
 *
 * Tables of one kind differ in nothing but their values: between these stand the same
 * bytes, tags, counts and keys. That is a *layout*,
 *
 *     { id = 7, at = { x = 1 } }
 *     09 02 | 0f 00 <7> | 0f 01 09 01 0f 02 <1>       literals 09 02 0f 00, 0f 01 09 01 0f 02
 *
 * and a table whose literals are those of a layout needs no tape.
 */
#include <math.h>
#include <string.h>

#include "codec/decoder.h"
#include "codec/scan.h"

typedef struct tw__decoder decoder;

enum {
  TAG_FALSE = 0x01,
  TAG_TRUE = 0x02,
  TAG_INT = 0x06,
  TAG_NUM = 0x07,
  TAG_EMPTY = 0x08, /* a table of nothing */
  TAG_PAIRS = 0x09,
  TAG_LIST = 0x0C, /* from 1; its count is one more */
  TAG_META = 0x0E, /* with a metatable: there is but null's */
  TAG_DICT = 0x0F, /* a string of the dictionary */
  TAG_I64 = 0x10,
  TAG_U64 = 0x11,
  TAG_STRING = 0x20 /* and more: its length is added */
};

enum { LAYOUTS = TW_SHAPES, LITERALS = 1024, DICT = 128 };

struct layout {
  int skeleton, leaves;
  int shape; /* of the last table of it */
  uint8_t kinds[TW_SLOTS];
  uint16_t from[TW_SLOTS + 1]; /* where in text the literal before each leaf begins */
  char text[LITERALS];
};

struct tw__packed {
  int layout_n;
  struct layout *layout[LAYOUTS]; /* that of the record before is the first */
  int dict_n;
  tw_slot dict[DICT]; /* STRING, its bytes owned */
  /* of the record that is being parsed: */
  const char *first;
  int leaves; /* values of it so far; -1: too many */
  int inside; /* how many lists we are in: there are no leaves in them */
  int64_t begins[TW_SLOTS], ends[TW_SLOTS];
};

void tw__packed_forget(struct tw__packed *packed) {
  if (!packed) return;
  for (int i = 0; i < packed->layout_n; i++) tw__free(packed->layout[i]);
  for (int i = 0; i < packed->dict_n; i++) tw__free((void *)packed->dict[i].bytes);
  tw__free(packed);
}

static struct tw__packed *packed_of(decoder *dec) {
  if (!dec->packed) dec->packed = tw__calloc(1, sizeof *dec->packed);
  return dec->packed;
}

int tw_packed_dict(tw_decoder *pub, const char *text, int64_t len) {
  struct tw__packed *packed = packed_of((decoder *)pub);
  if (!packed) return TW_ENOMEM;
  if (packed->dict_n == DICT || len < 0 || len > INT32_MAX) return TW_EINVAL;
  char *copy = tw__mem_copy(text, len);
  if (!copy) return TW_ENOMEM;
  packed->dict[packed->dict_n++] =
      (tw_slot){.bytes = copy, .len = (int32_t)len, .kind = TW_SLOT_STRING};
  return TW_OK;
}

/* ---- scalars --------------------------------------------------------------- */

/* The number of 1, 2 or 5 bytes at p. Returns where it ends; NULL: there is none. */
static inline const char *count(const char *p, const char *end, uint32_t *n) {
  if (p >= end) return NULL;
  *n = (unsigned char)*p++;
  if (*n < 0xE0) return p;
  if (*n != 0xFF) {
    if (p == end) return NULL;
    *n = ((*n & 0x1F) << 8) + (unsigned char)*p + 0xE0;
    return p + 1;
  }
  if (end - p < 4) return NULL;
  memcpy(n, p, 4);
  return p + 4;
}

static const char *number(const char *p, const char *end, int tag, tw_slot *slot) {
  const int width = tag == TAG_INT ? 4 : 8;
  if (end - p < width) return NULL;
  if (tag == TAG_INT) {
    int32_t x;
    memcpy(&x, p, sizeof x);
    *slot = (tw_slot){.num = x, .kind = TW_SLOT_NUM};
  } else {
    double x;
    memcpy(&x, p, sizeof x);
    /* LuaJIT keeps its types in the bits of NaN: only the plain one may come in */
    *slot = (tw_slot){.num = x == x ? x : (double)NAN, .kind = TW_SLOT_NUM};
  }
  return p + width;
}

static const char *whole(const char *p, const char *end, int kind, tw_slot *slot) {
  uint64_t x;
  if (end - p < 8) return NULL;
  memcpy(&x, p, sizeof x);
  *slot = (tw_slot){.u64 = x, .kind = kind};
  return p + 8;
}

/* A string of the dictionary, after its tag. */
static const char *known(const decoder *dec, const char *p, const char *end,
                         tw_slot *slot) {
  uint32_t n;
  p = count(p, end, &n);
  if (!p || n >= (uint32_t)dec->packed->dict_n) return NULL;
  *slot = dec->packed->dict[n];
  return p;
}

static inline const char *string(const char *p, const char *end, tw_slot *slot) {
  uint32_t n;
  p = count(p, end, &n); /* with its tag */
  if (!p) return NULL;
  n -= TAG_STRING;
  if (n > (uint64_t)(end - p) || n > INT32_MAX) return NULL;
  *slot = (tw_slot){.bytes = p, .len = (int32_t)n, .kind = TW_SLOT_STRING};
  return p + n;
}

/* What is no table, at p. NULL: it is one, or has no slot. */
static inline const char *scalar(const decoder *dec, const char *p, const char *end,
                                 tw_slot *slot) {
  if (p == end) return NULL;
  const int tag = (unsigned char)*p;
  if (tag >= TAG_STRING) return string(p, end, slot);
  p++;
  switch (tag) {
  case TAG_INT:
  case TAG_NUM: return number(p, end, tag, slot);
  case TAG_FALSE:
  case TAG_TRUE: *slot = (tw_slot){.len = tag - 1, .kind = TW_SLOT_BOOL}; return p;
  case TAG_DICT: return known(dec, p, end, slot);
  case TAG_I64: return whole(p, end, TW_SLOT_I64, slot);
  case TAG_U64: return whole(p, end, TW_SLOT_U64, slot);
  case TAG_META:
    if (end - p < 2 || p[0] != 0 || p[1] != TAG_EMPTY) return NULL;
    *slot = (tw_slot){.kind = TW_SLOT_NULL};
    return p + 2;
  default: return NULL;
  }
}

/* ---- any value, onto the tape ------------------------------------------------ */

static const char *value(decoder *dec, const char *p, const char *end, int depth);

static const char *list(decoder *dec, const char *p, const char *end, int node,
                        int depth) {
  uint32_t n;
  p = count(p, end, &n);
  if (!p || n == 0 || n - 1 > (uint64_t)(end - p)) return NULL;
  dec->packed->inside++;
  for (uint32_t i = 1; i < n && p; i++) p = value(dec, p, end, depth + 1);
  dec->packed->inside--;
  dec->pub.tape[node] =
      (tw_slot){.i64 = dec->tape_n, .len = (int32_t)(n - 1), .kind = TW_SLOT_LIST};
  return p;
}

/* Notes where a value of the skeleton stands. */
static void note_leaf(struct tw__packed *packed, const char *begin, const char *end) {
  if (packed->inside || packed->leaves < 0) return;
  if (packed->leaves == TW_SLOTS) {
    packed->leaves = -1;
    return;
  }
  packed->begins[packed->leaves] = begin - packed->first;
  packed->ends[packed->leaves++] = end - packed->first;
}

static const char *map(decoder *dec, const char *p, const char *end, int node,
                       int depth) {
  uint32_t n;
  p = count(p, end, &n);
  if (!p || n > (uint64_t)(end - p) / 2) return NULL;
  for (uint32_t i = 0; i < n; i++) {
    const int key = dec->tape_n;
    p = value(dec, p, end, depth + 1);
    if (!p || dec->pub.tape[key].kind != TW_SLOT_STRING) return NULL;
    const char *begin = p;
    p = value(dec, p, end, depth + 1);
    if (!p) return NULL;
    if (*begin != TAG_PAIRS) note_leaf(dec->packed, begin, p);
  }
  dec->pub.tape[node] =
      (tw_slot){.i64 = dec->tape_n, .len = (int32_t)n, .kind = TW_SLOT_MAP};
  return p;
}

static const char *value(decoder *dec, const char *p, const char *end, int depth) {
  const int node = dec->tape_n;
  tw_slot *slot = tw__decoder_push(dec);
  if (!slot || p == end || depth > TW_DEPTH) return NULL;
  switch (*p) {
  case TAG_EMPTY:
    *slot = (tw_slot){.i64 = dec->tape_n, .kind = TW_SLOT_MAP};
    return p + 1;
  case TAG_PAIRS: return map(dec, p + 1, end, node, depth);
  case TAG_LIST: return list(dec, p + 1, end, node, depth);
  default: return scalar(dec, p, end, slot);
  }
}

/* ---- layouts ----------------------------------------------------------------- */

/* The values of a table of that layout, into the slots. Returns where it ends; NULL: it is of another one. */
static const char *fill(decoder *dec, const char *p, const char *end,
                        const struct layout *layout) {
  const char *text = layout->text;
  for (int i = 0; i < layout->leaves; i++) {
    const int n = layout->from[i + 1] - layout->from[i];
    tw_slot *slot = &dec->pub.slots[i];
    if (end - p <= n || !tw__scan_same(p, text, (size_t)n)) return NULL;
    p += n;
    text += n;
    const char *next = scalar(dec, p, end, slot);
    if (!next) {
      const int node = dec->tape_n;
      if (*p == TAG_PAIRS || !(next = value(dec, p, end, 1))) return NULL;
      *slot = dec->pub.tape[node];
      slot->i64 = node;
    }
    dec->kinds[i] = (uint8_t)slot->kind;
    p = next;
  }
  return p;
}

/* The shape of the values at hand, of that layout. */
static int shape_of(decoder *dec, struct layout *layout) {
  const size_t n = (size_t)layout->leaves;
  if (layout->shape && tw__scan_same((char *)dec->kinds, (char *)layout->kinds, n))
    return layout->shape;
  memset(dec->kinds + n, 0, TW_SLOTS - n);
  memcpy(layout->kinds, dec->kinds, n);
  return layout->shape = tw__decoder_shape(dec, layout->skeleton, layout->shape);
}

/* By a layout that is known, the last one first. Returns the shape and where the table
 * ends; -1: it has to be parsed. */
static int recall(decoder *dec, const char *bytes, const char *end, const char **next) {
  struct tw__packed *packed = dec->packed;
  for (int i = 0; i < packed->layout_n; i++) {
    struct layout *layout = packed->layout[i];
    tw__decoder_begin(dec, end - bytes);
    *next = fill(dec, bytes, end, layout);
    if (!*next) continue;
    packed->layout[i] = packed->layout[0];
    packed->layout[0] = layout;
    const int shape = shape_of(dec, layout);
    return shape > 0 ? shape : -1;
  }
  return -1;
}

/* The layout of the table that has just been parsed. Without memory, or when there are
 * enough, there is none. */
static void learn(struct tw__packed *packed, int skeleton, int values) {
  int64_t size = 0;
  if (!values || packed->leaves != values || packed->layout_n == LAYOUTS) return;
  for (int i = 0; i < values; i++)
    size += packed->begins[i] - (i ? packed->ends[i - 1] : 0);
  if (size > LITERALS) return;
  struct layout *layout = tw__malloc(sizeof *layout);
  if (!layout) return;
  *layout = (struct layout){.skeleton = skeleton, .leaves = values};
  for (int i = 0; i < values; i++) {
    const int64_t at = i ? packed->ends[i - 1] : 0, n = packed->begins[i] - at;
    memcpy(layout->text + layout->from[i], packed->first + at, (size_t)n);
    layout->from[i + 1] = (uint16_t)(layout->from[i] + n);
  }
  packed->layout[packed->layout_n++] = layout;
}

/* A table that is of no layout yet. Returns its shape, 0: it has none; -1: it does not
 * parse. */
static int parse(decoder *dec, const char *bytes, const char *end, const char **next) {
  struct tw__packed *packed = dec->packed;
  tw__decoder_begin(dec, end - bytes);
  packed->first = bytes;
  packed->leaves = packed->inside = 0;
  *next = value(dec, bytes, end, 0);
  if (!*next) return -1;
  const int skeleton = tw__decoder_flatten(dec);
  if (skeleton < 0) return 0;
  learn(packed, skeleton, dec->pub.filled);
  return dec->last_shape = tw__decoder_shape(dec, skeleton, dec->last_shape);
}

int tw_packed_decode(tw_decoder *pub, const char *bytes, int64_t len) {
  decoder *dec = (decoder *)pub;
  const char *next;
  if (!packed_of(dec)) return TW_ENOMEM;
  dec->pub.at = 0;
  if (!bytes || len < 1 || len > INT32_MAX || *bytes != TAG_PAIRS) return TW_EPARSE;
  int shape = recall(dec, bytes, bytes + len, &next);
  if (shape < 0) shape = parse(dec, bytes, bytes + len, &next);
  if (shape < 0) return TW_EPARSE;
  dec->pub.at = next - bytes;
  return shape;
}
