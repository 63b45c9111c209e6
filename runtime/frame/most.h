/* most.h -- the largest of the scores in a window, whose rows leave oldest first.
 *
 * Kept are the scores that are not below a later one, in a ring, oldest first: so they
 * never rise, and the first one is the largest of all. A score that leaves was dropped
 * long ago, or is that first one. Late scores are put in by the key of their row, behind
 * equal keys.
 */
#ifndef TIDEWAY_FRAME_MOST_H
#define TIDEWAY_FRAME_MOST_H

#include "core/mem.h"
#include "tideway.h"

#include <string.h>

struct tw__most {
  struct tw__most_entry {
    int64_t score, key;
  } * entry; /* mask + 1 places; NULL: none yet */
  uint32_t head, count, mask;
};

/* An integer for each number but NaN, in the same order, and back. */
static inline int64_t tw__most_of_num(double x) {
  int64_t bits;
  x += 0.0; /* -0 and 0 are one */
  memcpy(&bits, &x, sizeof bits);
  return bits ^ (int64_t)((uint64_t)(bits >> 63) >> 1);
}

static inline double tw__most_num(int64_t score) {
  double x;
  score ^= (int64_t)((uint64_t)(score >> 63) >> 1);
  memcpy(&x, &score, sizeof x);
  return x;
}

static inline struct tw__most_entry *tw__most_at(const struct tw__most *most,
                                                 uint32_t i) {
  return &most->entry[(most->head + i) & most->mask];
}

/* The largest; there must be one. */
static inline int64_t tw__most_score(const struct tw__most *most) {
  return tw__most_at(most, 0)->score;
}

static __attribute__((noinline, unused)) int tw__most_grow(struct tw__most *most) {
  uint32_t room = most->entry ? 2 * (most->mask + 1) : 4;
  struct tw__most_entry *entry = tw__malloc((size_t)room * sizeof *entry);
  if (!entry) return TW_ENOMEM;
  for (uint32_t i = 0; i < most->count; i++) entry[i] = *tw__most_at(most, i);
  tw__free(most->entry);
  most->entry = entry;
  most->mask = room - 1;
  most->head = 0;
  return TW_OK;
}

/* TW_OK, or TW_ENOMEM and nothing has changed. */
static inline int tw__most_add(struct tw__most *most, int64_t score, int64_t key) {
  uint32_t at = most->count, low;
  if (!most->entry || most->count > most->mask)
    if (tw__most_grow(most)) return TW_ENOMEM;
  while (at && tw__most_at(most, at - 1)->key > key) at--; /* a late one */
  if (at < most->count && tw__most_at(most, at)->score > score) return TW_OK;
  for (low = at; low && tw__most_at(most, low - 1)->score < score; low--) {
  }
  uint32_t gone = at - low;
  if (gone == 0)
    for (uint32_t i = most->count; i > at; i--)
      *tw__most_at(most, i) = *tw__most_at(most, i - 1);
  else
    for (uint32_t i = at; i < most->count; i++)
      *tw__most_at(most, i - gone + 1) = *tw__most_at(most, i);
  *tw__most_at(most, low) = (struct tw__most_entry){score, key};
  most->count += 1 - gone;
  return TW_OK;
}

/* The score of the oldest row leaves. */
static inline void tw__most_drop(struct tw__most *most, int64_t score) {
  if (!most->count || tw__most_score(most) != score) return;
  most->head++;
  most->count--;
}

#endif
