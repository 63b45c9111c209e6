/* decoder.c -- what the decoders of records share: tape, slots, skeletons and shapes.
 */
#include "codec/decoder.h"

#include <string.h>

#include "codec/scan.h"

enum {
  TAPE_FIRST = 64,
  KEY_BYTES = 4096 /* of all keys of a skeleton */
};

tw_decoder *tw_decoder_open(void) {
  struct tw__decoder *dec = tw__calloc(1, sizeof *dec);
  return dec ? &dec->pub : NULL;
}

void tw_decoder_close(tw_decoder *pub) {
  struct tw__decoder *dec = (struct tw__decoder *)pub;
  if (!dec) return;
  for (int i = 0; i < dec->field_n; i++) tw__free(dec->field[i].name);
  for (int i = 0; i < dec->skeleton_n; i++) tw__free((void *)dec->skeleton[i].nodes);
  for (int i = 0; i < dec->shape_n; i++) tw__free(dec->shape[i].tape);
  tw__json_forget(dec->layouts);
  tw__packed_forget(dec->packed);
  tw__free(dec->field_tape);
  tw__free(dec->column);
  tw__free(dec->side);
  tw__free(dec->pub.tape);
  tw__free(dec);
}

int tw__decoder_grow(struct tw__decoder *dec) {
  int room = dec->tape_room ? 2 * dec->tape_room : TAPE_FIRST;
  if (dec->tape_room > (1 << 29)) return TW_ENOMEM;
  tw_slot *tape = tw__realloc(dec->pub.tape, (size_t)room * sizeof *tape);
  if (!tape) return TW_ENOMEM;
  dec->pub.tape = tape;
  dec->tape_room = room;
  return TW_OK;
}

char *tw__decoder_side(struct tw__decoder *dec) {
  int64_t need = dec->record_len;
  if (dec->side_room < need) { /* the first of this record, so nothing is lost */
    char *side = tw__malloc((size_t)need * 2);
    if (!side) return NULL;
    tw__free(dec->side);
    dec->side = side;
    dec->side_room = need * 2;
  }
  return dec->side + dec->side_n;
}

int tw__decoder_status(struct tw__decoder *dec, const char *text) {
  if (dec->starved) return TW_ENOMEM;
  dec->pub.at = dec->bad - text;
  return TW_EPARSE;
}

/* ---- fields -------------------------------------------------------------- */

int tw_decoder_field(tw_decoder *pub, const char *name, int64_t len) {
  struct tw__decoder *dec = (struct tw__decoder *)pub;
  if (dec->field_n == TW_SLOTS || len < 0 || len > INT32_MAX) return TW_EINVAL;
  char *copy = tw__mem_copy(name, len);
  if (!copy) return TW_ENOMEM;
  dec->field[dec->field_n].name = copy;
  dec->field[dec->field_n].len = (int32_t)len;
  dec->field_n++;
  return TW_OK;
}

static bool is_field(const struct tw__decoder *dec, int i, const char *name,
                     int64_t len) {
  return dec->field[i].len == len &&
         tw__scan_same(dec->field[i].name, name, (size_t)len);
}

int tw__decoder_find(const struct tw__decoder *dec, const char *name, int64_t len,
                     int guess) {
  if (guess < dec->field_n && is_field(dec, guess, name, len)) return guess;
  for (int i = 0; i < dec->field_n; i++)
    if (is_field(dec, i, name, len)) return i;
  return -1;
}

/* ---- skeletons ----------------------------------------------------------- */

static uint64_t mix(uint64_t hash, uint64_t x) {
  hash = (hash ^ x) * 0x9E3779B97F4A7C15u;
  return hash ^ hash >> 32;
}

static uint64_t hash_bytes(uint64_t hash, const char *bytes, int32_t len) {
  uint64_t x;
  for (; len >= 8; bytes += 8, len -= 8) {
    memcpy(&x, bytes, 8);
    hash = mix(hash, x);
  }
  x = (uint64_t)len << 56;
  if (len) memcpy(&x, bytes, (size_t)len);
  return mix(hash, x ^ (uint64_t)len << 56);
}

/* Is the node a map whose pairs belong to the skeleton? */
static bool is_inner(const tw_slot *node) {
  return node->kind == TW_SLOT_MAP && node->len > 0;
}

struct flattening {
  struct tw__decoder *dec;
  uint64_t hash;
  int values, nodes;
  int64_t key_bytes;
};

/* Fills the slots from the map at tape index i. Returns the index after it, -1 when it
 * goes beyond the limits. */
static int flatten(struct flattening *f, int i, int depth) {
  const tw_slot *tape = f->dec->pub.tape;
  int pairs = tape[i].len;
  if (depth > TW__DECODER_NEST) return -1;
  f->hash = mix(f->hash, (uint64_t)pairs);
  f->nodes += 1 + pairs;
  i++;
  while (pairs--) {
    if (tape[i].kind != TW_SLOT_STRING) return -1;
    f->hash = hash_bytes(f->hash, tape[i].bytes, tape[i].len);
    f->key_bytes += tape[i].len;
    if (f->key_bytes > KEY_BYTES) return -1;
    i++;
    if (is_inner(&tape[i])) {
      i = flatten(f, i, depth + 1);
      if (i < 0) return -1;
      continue;
    }
    if (f->values == TW_SLOTS) return -1;
    f->nodes++;
    f->hash = mix(f->hash, 77);
    int32_t kind = tape[i].kind;
    tw_slot *slot = &f->dec->pub.slots[f->values];
    *slot = tape[i];
    f->dec->kinds[f->values++] = (uint8_t)kind;
    if (kind == TW_SLOT_LIST || kind == TW_SLOT_MAP) {
      slot->i64 = i;
      i = (int)tape[i].i64;
    } else {
      i++;
    }
  }
  return i;
}

/* Is the map that the tape begins with of this skeleton? */
static bool fits(const tw_slot *tape, const struct tw__skeleton *skeleton) {
  const tw_slot *node = skeleton->nodes;
  for (int k = 0, i = 0, is_key = 0, left[TW__DECODER_NEST + 2], depth = 0;
       k < skeleton->count; k++, node++) {
    const tw_slot *here = &tape[i];
    if (is_key) {
      if (here->len != node->len ||
          !tw__scan_same(here->bytes, node->bytes, (size_t)node->len))
        return false;
      is_key = 0;
      i++;
      continue;
    }
    if ((k == 0 || is_inner(here)) != (node->kind == TW_SLOT_MAP)) return false;
    if (node->kind == TW_SLOT_MAP) {
      if (here->len != node->len) return false;
      left[depth++] = node->len;
      i++;
    } else {
      i = here->kind == TW_SLOT_LIST || here->kind == TW_SLOT_MAP ? (int)here->i64
                                                                  : i + 1;
    }
    while (depth && left[depth - 1] == 0) depth--;
    if (depth) left[depth - 1]--;
    is_key = 1;
  }
  return true;
}

/* Writes the skeleton of the map at index i. Returns the index after it. */
static int copy_map(const tw_slot *tape, int i, tw_slot **node, char **bytes) {
  int pairs = tape[i].len;
  *(*node)++ = (tw_slot){.len = pairs, .kind = TW_SLOT_MAP};
  i++;
  while (pairs--) {
    memcpy(*bytes, tape[i].bytes, (size_t)tape[i].len);
    *(*node)++ = (tw_slot){.bytes = *bytes, .len = tape[i].len, .kind = TW_SLOT_STRING};
    *bytes += tape[i].len;
    i++;
    if (is_inner(&tape[i])) {
      i = copy_map(tape, i, node, bytes);
      continue;
    }
    *(*node)++ = (tw_slot){.kind = TW_SLOT_NONE};
    i = tape[i].kind == TW_SLOT_LIST || tape[i].kind == TW_SLOT_MAP ? (int)tape[i].i64
                                                                    : i + 1;
  }
  return i;
}

static int add_skeleton(struct tw__decoder *dec, const struct flattening *f) {
  if (dec->skeleton_n == TW_SHAPES || dec->shape_n == TW_SHAPES) return -1;
  size_t size = (size_t)f->nodes * sizeof(tw_slot);
  tw_slot *nodes = tw__malloc(size + (size_t)f->key_bytes + 1);
  if (!nodes) return -1;
  tw_slot *node = nodes;
  char *bytes = (char *)nodes + size;
  copy_map(dec->pub.tape, 0, &node, &bytes);
  dec->skeleton[dec->skeleton_n] = (struct tw__skeleton){
      .hash = f->hash, .count = f->nodes, .values = f->values, .nodes = nodes};
  return dec->skeleton_n++;
}

int tw__decoder_flatten(struct tw__decoder *dec) {
  struct flattening f = {.dec = dec};
  memset(dec->kinds, 0, sizeof dec->kinds);
  if (flatten(&f, 0, 1) < 0) return -1;
  dec->pub.filled = f.values;
  for (int i = 0; i < dec->skeleton_n; i++) {
    const struct tw__skeleton *skeleton = &dec->skeleton[i];
    if (skeleton->hash == f.hash && skeleton->count == f.nodes &&
        skeleton->values == f.values && fits(dec->pub.tape, skeleton))
      return i;
  }
  return add_skeleton(dec, &f);
}

/* ---- shapes -------------------------------------------------------------- */

/* What stands for a skeleton with any kinds. */
static int loose(struct tw__decoder *dec, int skeleton) {
  int values = dec->field_n;
  if (!values) {
    if (!dec->skeleton_n) return 0;
    values = dec->skeleton[skeleton].values;
    if (dec->skeleton[skeleton].count != 1 + 2 * values) return 0;
  }
  for (int i = 0; i < values; i++) dec->pub.slots[i].kind = dec->kinds[i];
  return TW_SHAPES + 1 + skeleton;
}

int tw__decoder_shape(struct tw__decoder *dec, int skeleton, int hint) {
  int values = dec->field_n      ? dec->field_n
               : dec->skeleton_n ? dec->skeleton[skeleton].values
                                 : TW_SLOTS;
  size_t words = (size_t)(values + 7) / 8 * 8;
  if (hint > 0 && hint <= dec->shape_n && dec->shape[hint - 1].skeleton == skeleton &&
      tw__scan_same((char *)dec->kinds, (char *)dec->shape[hint - 1].kinds, words))
    return hint;
  for (int i = 0; i < dec->shape_n; i++)
    if (dec->shape[i].skeleton == skeleton &&
        tw__scan_same((char *)dec->kinds, (char *)dec->shape[i].kinds, words))
      return i + 1;

  if (dec->shape_n == TW_SHAPES) return loose(dec, skeleton);
  if (!dec->field_n && dec->skeleton_n &&
      dec->skeleton[skeleton].shapes >= TW__DECODER_VARIANTS)
    return loose(dec, skeleton);
  if (!dec->field_n && dec->skeleton_n) dec->skeleton[skeleton].shapes++;
  struct tw__shape *shape = &dec->shape[dec->shape_n++];
  shape->skeleton = skeleton;
  shape->tape = NULL;
  memcpy(shape->kinds, dec->kinds, sizeof shape->kinds);
  return dec->shape_n;
}

/* shape NULL: of any kinds. */
static tw_slot *field_tape(const struct tw__decoder *dec,
                           const struct tw__shape *shape) {
  tw_slot *tape = tw__malloc((size_t)(1 + 2 * dec->field_n) * sizeof *tape);
  if (!tape) return NULL;
  tw_slot *node = tape;
  *node++ = (tw_slot){.len = dec->field_n, .kind = TW_SLOT_MAP};
  for (int i = 0; i < dec->field_n; i++) {
    *node++ = (tw_slot){
        .bytes = dec->field[i].name, .len = dec->field[i].len, .kind = TW_SLOT_STRING};
    *node++ = (tw_slot){.kind = shape ? shape->kinds[i] : TW_SLOT_NONE};
  }
  return tape;
}

static tw_slot *skeleton_tape(const struct tw__skeleton *skeleton,
                              const struct tw__shape *shape) {
  size_t size = (size_t)skeleton->count * sizeof(tw_slot);
  tw_slot *tape = tw__malloc(size);
  if (!tape) return NULL;
  memcpy(tape, skeleton->nodes, size);
  for (int i = 0, value = 0; i < skeleton->count; i++)
    if (tape[i].kind == TW_SLOT_NONE) tape[i].kind = shape->kinds[value++];
  return tape;
}

/* Of records without names, by csv. */
static tw_slot *list_tape(const struct tw__shape *shape) {
  int n = 0;
  while (n < TW_SLOTS && shape->kinds[n]) n++;
  tw_slot *tape = tw__malloc((size_t)(1 + n) * sizeof *tape);
  if (!tape) return NULL;
  tape[0] = (tw_slot){.len = n, .kind = TW_SLOT_LIST};
  for (int i = 0; i < n; i++) tape[1 + i] = (tw_slot){.kind = shape->kinds[i]};
  return tape;
}

const tw_slot *tw_decoder_shape(const tw_decoder *pub, int number) {
  struct tw__decoder *dec = (struct tw__decoder *)(uintptr_t)pub;
  if (number > TW_SHAPES) {
    int skeleton = number - TW_SHAPES - 1;
    if (dec->field_n && skeleton == 0 && !dec->field_tape)
      dec->field_tape = field_tape(dec, NULL);
    if (dec->field_n) return skeleton == 0 ? dec->field_tape : NULL;
    return skeleton < dec->skeleton_n ? dec->skeleton[skeleton].nodes : NULL;
  }
  if (number < 1 || number > dec->shape_n) return NULL;
  struct tw__shape *shape = &dec->shape[number - 1];
  if (!shape->tape)
    shape->tape = dec->field_n ? field_tape(dec, shape)
                  : dec->skeleton_n
                      ? skeleton_tape(&dec->skeleton[shape->skeleton], shape)
                      : list_tape(shape);
  return shape->tape;
}
