/* fuzz.h -- what the fuzz targets share: a main for runs without libFuzzer, and a dump.
 *
 * A target defines LLVMFuzzerTestOneInput and fuzz_seeds and includes this once. With
 * clang -DTW_LIBFUZZER -fsanitize=fuzzer,address the engine is libFuzzer; without, main
 * mutates the seeds: 20,000 rounds, or the number in TW_FUZZ_ROUNDS.
 */
#ifndef TIDEWAY_SPEC_FUZZ_H
#define TIDEWAY_SPEC_FUZZ_H

#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../check.h"
#include "tideway.h"

struct fuzz_seed {
  const char *bytes;
  int64_t len;
};
#define FUZZ_SEED(text)                                                                \
  { text, sizeof(text) - 1 }

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What must hold of every input: aborts, so that libFuzzer keeps the input, too. */
#define FUZZ_CHECK(cond)                                                               \
  do {                                                                                 \
    if (!(cond)) {                                                                     \
      fprintf(stderr, "%s:%d: %s does not hold\n", __FILE__, __LINE__, #cond);         \
      abort();                                                                         \
    }                                                                                  \
  } while (0)

/* ---- dump ---------------------------------------------------------------- */

struct fuzz_text {
  char *bytes;
  size_t len, room;
};

static void fuzz_put(struct fuzz_text *text, const char *bytes, size_t len) {
  if (text->len + len > text->room) {
    text->room = 2 * (text->len + len) + 256;
    text->bytes = realloc(text->bytes, text->room);
    if (!text->bytes) abort();
  }
  if (len) memcpy(text->bytes + text->len, bytes, len);
  text->len += len;
}

static int64_t fuzz_put_value(struct fuzz_text *text, const tw_slot *tape, int64_t i) {
  char buf[64];
  const tw_slot *slot = &tape[i++];
  switch (slot->kind) {
  case TW_SLOT_NUM: {
    uint64_t bits;
    memcpy(&bits, &slot->num, sizeof bits);
    fuzz_put(text, buf, (size_t)snprintf(buf, sizeof buf, "n%" PRIx64 " ", bits));
    break;
  }
  case TW_SLOT_STRING:
    fuzz_put(text, buf, (size_t)snprintf(buf, sizeof buf, "s%d:", slot->len));
    fuzz_put(text, slot->bytes, (size_t)slot->len);
    break;
  case TW_SLOT_BOOL:
    fuzz_put(text, slot->len ? "true " : "false ", slot->len ? 5 : 6);
    break;
  case TW_SLOT_NULL: fuzz_put(text, "null ", 5); break;
  case TW_SLOT_I64:
  case TW_SLOT_U64:
    fuzz_put(text, buf, (size_t)snprintf(buf, sizeof buf, "i%" PRIx64 " ", slot->u64));
    break;
  case TW_SLOT_LIST:
    fuzz_put(text, "[", 1);
    for (int32_t k = 0; k < slot->len; k++) i = fuzz_put_value(text, tape, i);
    fuzz_put(text, "]", 1);
    break;
  case TW_SLOT_MAP:
    fuzz_put(text, "{", 1);
    for (int32_t k = 0; k < 2 * slot->len; k++) i = fuzz_put_value(text, tape, i);
    fuzz_put(text, "}", 1);
    break;
  default: fuzz_put(text, "? ", 2);
  }
  return i;
}

static void fuzz_put_slot(struct fuzz_text *text, const tw_decoder *dec, int slot,
                          int kind) {
  tw_slot copy = dec->slots[slot];
  if (kind == TW_SLOT_LIST || kind == TW_SLOT_MAP) {
    fuzz_put_value(text, dec->tape, copy.i64);
    return;
  }
  copy.kind = kind;
  fuzz_put_value(text, &copy, 0);
}

/* The value of a record by its shape; any: the kinds are those of the slots. Returns
 * the index after it. */
static int fuzz_put_shape(struct fuzz_text *text, const tw_decoder *dec,
                          const tw_slot *shape, int i, int *slot, bool any) {
  const tw_slot *node = &shape[i++];
  bool named = node->kind == TW_SLOT_MAP;
  fuzz_put(text, named ? "{" : "[", 1);
  for (int32_t k = 0; k < node->len; k++) {
    if (named) i = (int)fuzz_put_value(text, shape, i);
    if (named && shape[i].kind == TW_SLOT_MAP && shape[i].len > 0) {
      i = fuzz_put_shape(text, dec, shape, i, slot, any);
    } else {
      int kind = any ? dec->slots[*slot].kind : shape[i].kind;
      fuzz_put_slot(text, dec, (*slot)++, kind);
      i++;
    }
  }
  fuzz_put(text, named ? "}" : "]", 1);
  return i;
}

/* The record that a decode function of status has just taken apart, as text: the same
 * for the same value, whether it came in slots or on the tape. fields: how many were
 * asked for. Where nothing came, "error". */
static void fuzz_dump(struct fuzz_text *text, const tw_decoder *dec, int status,
                      int fields) {
  int slot = 0;
  text->len = 0;
  if (status < 0) {
    fuzz_put(text, "error", 5);
  } else if (status > 0 && !fields) {
    const tw_slot *shape = tw_decoder_shape(dec, status);
    FUZZ_CHECK(shape);
    fuzz_put_shape(text, dec, shape, 0, &slot, status > TW_SHAPES);
  } else if (fields) {
    const tw_slot *shape = tw_decoder_shape(dec, status);
    FUZZ_CHECK(shape && shape[0].len == fields);
    for (int i = 0; i < fields; i++)
      fuzz_put_slot(text, dec, i,
                    status > TW_SHAPES ? dec->slots[i].kind : shape[2 + 2 * i].kind);
  } else {
    fuzz_put_value(text, dec->tape, 0);
  }
}

typedef int fuzz_decode(tw_decoder *dec, const char *bytes, int64_t len);

/* A decoder that has seen other records takes this one as a new one does. warm: kept by
 * the target, renewed now and then; setup may be NULL. */
__attribute__((unused)) static void fuzz_agree(tw_decoder **warm, fuzz_decode *decode,
                                               void (*setup)(tw_decoder *), int fields,
                                               const uint8_t *data, size_t size) {
  static struct fuzz_text one, two;
  static int uses;
  if (*warm && ++uses % 500 == 0) {
    tw_decoder_close(*warm);
    *warm = NULL;
  }
  if (!*warm) {
    *warm = tw_decoder_open();
    if (setup) setup(*warm);
  }
  tw_decoder *fresh = tw_decoder_open();
  if (setup) setup(fresh);
  const char *bytes = (const char *)data;
  int status = decode(fresh, bytes, (int64_t)size);
  fuzz_dump(&one, fresh, status, fields);
  for (int round = 0; round < 2; round++) {
    int again = decode(*warm, bytes, (int64_t)size);
    fuzz_dump(&two, *warm, again, fields);
    FUZZ_CHECK((again < 0) == (status < 0));
    FUZZ_CHECK(one.len == two.len && !memcmp(one.bytes, two.bytes, one.len));
    if (status == TW_EPARSE) {
      FUZZ_CHECK((*warm)->fault == fresh->fault && (*warm)->at == fresh->at);
      FUZZ_CHECK(fresh->at >= 0 && fresh->at <= (int64_t)size);
    }
  }
  tw_decoder_close(fresh);
}

/* ---- a plain engine ------------------------------------------------------ */

#ifndef TW_LIBFUZZER

extern const struct fuzz_seed fuzz_seeds[];
extern const int fuzz_seed_count;

enum { FUZZ_ROOM = 4096 };

static int64_t fuzz_mutate(char *buf, int64_t len) {
  const struct fuzz_seed *seed = &fuzz_seeds[check_below(fuzz_seed_count)];
  int64_t at = check_below(len + 1), n = 1 + check_below(8);
  switch (check_below(6)) {
  case 0: /* change a byte */
    if (at < len) buf[at] = (char)check_u64();
    return len;
  case 1: /* change a bit */
    if (at < len) buf[at] = (char)(buf[at] ^ 1 << check_below(8));
    return len;
  case 2: /* take some out */
    if (n > len - at) n = len - at;
    memmove(buf + at, buf + at + n, (size_t)(len - at - n));
    return len - n;
  case 3: /* cut off */ return at;
  case 4: { /* repeat some */
    if (n > len - at) n = len - at;
    if (len + n > FUZZ_ROOM) return len;
    memmove(buf + at + n, buf + at, (size_t)(len - at));
    return len + n;
  }
  default: { /* put in some of another seed */
    int64_t from = check_below(seed->len + 1);
    if (n > seed->len - from) n = seed->len - from;
    if (len + n > FUZZ_ROOM) return len;
    memmove(buf + at + n, buf + at, (size_t)(len - at));
    memcpy(buf + at, seed->bytes + from, (size_t)n);
    return len + n;
  }
  }
}

int main(int argc, char **argv) {
  check_open(argc, argv);
  const char *text = getenv("TW_FUZZ_ROUNDS");
  long rounds = text ? atol(text) : check_long ? 1000000 : 20000;
  for (long round = 0; round < rounds; round++) {
    char buf[FUZZ_ROOM];
    const struct fuzz_seed *seed = &fuzz_seeds[round % fuzz_seed_count];
    int64_t len = seed->len, mutations = round < fuzz_seed_count ? 0 : check_below(5);
    memcpy(buf, seed->bytes, (size_t)len);
    while (mutations--) len = fuzz_mutate(buf, len);
    uint8_t *exact = malloc(len ? (size_t)len : 1); /* its end is what ASan guards */
    if (!exact) abort();
    memcpy(exact, buf, (size_t)len);
    LLVMFuzzerTestOneInput(exact, (size_t)len);
    free(exact);
    check_count++;
  }
  return check_close();
}

#endif
#endif
