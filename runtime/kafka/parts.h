/* parts.h -- the partitions of a consumer, and what of them is not done with yet.
 *
 * Messages of a partition are handed out in the order of their offsets. Most are through when
 * the next one is handed out; those that are not are *kept*, in a ring in that order. The
 * watermark, before which all is done with, is the offset of the oldest one that is kept,
 * or, when there is none, the one after the last that was handed out.
 */
#ifndef TIDEWAY_KAFKA_PARTS_H
#define TIDEWAY_KAFKA_PARTS_H

#include <stdint.h>

/* Exported: spec/c/kafka/parts.c. */

struct tw__part {
  char *topic;
  int32_t partition;
  int32_t epoch; /* counts the assignments */
  int assigned;
  int going;      /* to be given up */
  int lot;        /* which call of assign it came with */
  int stuck;      /* its committed offset could not be fetched: nothing is read of it */
  int at_end;     /* the end has been reached */
  int64_t origin; /* what was handed out first since it was assigned; -1: nothing */
  int64_t position;   /* after what was handed out last; -1: nothing was */
  int64_t stored;     /* the watermark that was stored; -1: none */
  int64_t *ring;      /* offsets; ~offset: released. Entry n is ring[n & mask] */
  int64_t mask;       /* -1: no ring yet */
  int64_t head, tail; /* numbers: the oldest that is kept, the next */
};

struct tw__parts {
  struct tw__part *list;
  int count, room;
  int last; /* that was looked for */
  int64_t kept;
};

void tw__parts_free(struct tw__parts *parts);

/* The number of a partition, new when there was none; TW_ENOMEM. */
int tw__parts_find(struct tw__parts *parts, const char *topic, int32_t partition);

/* It is assigned from now on, or no more; what was kept of it is forgotten. */
void tw__parts_assign(struct tw__parts *parts, int part);
void tw__parts_revoke(struct tw__parts *parts, int part);

/* Keep the message with this offset. Returns its number, or TW_ENOMEM. */
int64_t tw__parts_keep(struct tw__parts *parts, int part, int64_t offset);

/* Returns 1 when the watermark has moved. Unknown numbers are ignored. */
int tw__parts_release(struct tw__parts *parts, int part, int64_t number);

/* All before is done with; -1: not known. */
int64_t tw__part_watermark(const struct tw__part *part);

#endif
