/* decoder.h -- the inside of tw_decoder: tape, unescaped bytes, and the shapes learnt.
 *
 * A *skeleton* is the nesting and the keys of a record without its values; a *shape* is
 * a skeleton with the kind of each value. Lua has one constructor per shape, written
 * out with constant keys. Records beyond the limits (slots, levels, shapes) have no
 * shape and are read from the tape.
 */
#ifndef TIDEWAY_CODEC_DECODER_H
#define TIDEWAY_CODEC_DECODER_H

#include <stdbool.h>
#include <stdint.h>

#include "codec/time.h"
#include "core/mem.h"
#include "tideway.h"

enum {
  TW__DECODER_NEST = 16,    /* levels of maps in a skeleton; the Lua parser takes 200 */
  TW__DECODER_VARIANTS = 12 /* shapes of one skeleton; then one with any kinds */
};

struct tw__skeleton {
  uint64_t hash;
  int count;            /* of nodes */
  int values;           /* of slots */
  int shapes;           /* how many have been made of it */
  const tw_slot *nodes; /* MAP, then key, value ...; a value is a MAP again or NONE */
};

struct tw__shape {
  int skeleton;
  uint8_t kinds[TW_SLOTS]; /* zero past the values */
  tw_slot *tape;           /* what tw_decoder_shape gives, made when asked for */
};

struct tw__layouts; /* json.c */
struct tw__packed;  /* packed.c */

struct tw__decoder {
  tw_decoder pub;
  uint8_t kinds[TW_SLOTS]; /* of the slots filled; zero past them */
  const char *bad;         /* where parsing stopped */
  bool starved;            /* it stopped for want of memory */
  int tape_n, tape_room;
  char *side; /* bytes that had escapes; as long as the longest record that had some */
  int64_t side_n, side_room, record_len;
  int field_n;
  struct {
    char *name;
    int32_t len;
  } field[TW_SLOTS];
  tw_slot *field_tape; /* owned: the fields as a skeleton, made when asked for */
  int skeleton_n, shape_n;
  struct tw__skeleton skeleton[TW_SHAPES];
  struct tw__shape shape[TW_SHAPES];
  int last_shape;              /* of the record before, or 0 */
  struct tw__layouts *layouts; /* json: owned; NULL until the first one */
  struct tw__packed *packed;   /* packed: owned; NULL until the first one */

  bool sourced;            /* combined: source is filled in */
  int8_t source[TW_SLOTS]; /* which part of the line a field is, -1: none */
  char time_text[TW__TIME_LOG];
  double time; /* of time_text */

  char delimiter;  /* csv */
  uint8_t *column; /* owned: enum tw_csv_type of the first column_n columns */
  int column_n;
};

/* A slot of the bytes first .. end. */
static inline void tw__decoder_string(tw_slot *slot, const char *first,
                                      const char *end) {
  *slot =
      (tw_slot){.bytes = first, .len = (int32_t)(end - first), .kind = TW_SLOT_STRING};
}

/* Forgets the record before this one, which has len bytes. */
static inline void tw__decoder_begin(struct tw__decoder *dec, int64_t len) {
  dec->record_len = len;
  dec->tape_n = 0;
  dec->side_n = 0;
  dec->starved = false;
}

/* Makes room for one more node. 0 or TW_ENOMEM. */
int tw__decoder_grow(struct tw__decoder *dec);

/* One more node on the tape, not yet filled in; NULL: no memory. It moves with the
 * next. */
static inline tw_slot *tw__decoder_push(struct tw__decoder *dec) {
  if (dec->tape_n == dec->tape_room && tw__decoder_grow(dec)) return NULL;
  return &dec->pub.tape[dec->tape_n++];
}

/* Where the next unescaped bytes of the record go; all of them together must not be
 * more than its own. Add to side_n what was written. NULL: no memory. */
char *tw__decoder_side(struct tw__decoder *dec);

/* Parsing stopped at p. Returns NULL. */
static inline const char *tw__decoder_fail(struct tw__decoder *dec, const char *p,
                                           int fault) {
  dec->bad = p;
  dec->pub.fault = fault;
  return NULL;
}

/* The byte at p may not be there, or there should be one. Returns NULL. */
static inline const char *tw__decoder_stop(struct tw__decoder *dec, const char *p,
                                           const char *end) {
  return tw__decoder_fail(dec, p, p < end ? TW_FAULT_BYTE : TW_FAULT_END);
}

/* There was no memory to go on. Returns NULL. */
static inline const char *tw__decoder_starve(struct tw__decoder *dec) {
  dec->starved = true;
  return NULL;
}

/* The status of a record, starting at text, that did not parse. */
int tw__decoder_status(struct tw__decoder *dec, const char *text);

/* The number of the field of that name, from 0, -1 when it is none; guess is tried
 * first. */
int tw__decoder_find(const struct tw__decoder *dec, const char *name, int64_t len,
                     int guess);

/* Takes what is on the tape, a map, as slots. Returns its skeleton's number, from 0, or
 * -1 when it has none within the limits; then the tape has to be read. */
int tw__decoder_flatten(struct tw__decoder *dec);

/* The shape of a skeleton with the kinds at hand, from 1; hint is tried first. Where no
 * more may be made: what stands for the skeleton alone, above TW_SHAPES, and the kinds
 * are in the slots; 0 when it has maps within, or there are no names. With fields there
 * is one skeleton, number 0. */
int tw__decoder_shape(struct tw__decoder *dec, int skeleton, int hint);

/* Frees layouts (json.c). */
void tw__json_forget(struct tw__layouts *layouts);

/* The same of packed.c. */
void tw__packed_forget(struct tw__packed *packed);

#endif
