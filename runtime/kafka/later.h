/* later.h -- records that wait for the next transaction.
 *
 * From the begin of a commit to the begin of the next transaction librdkafka takes no records.
 * What comes meanwhile is copied here, in order, one behind the other:
 *
 *     block | entry, key, value | entry, key, value |   -> block | entry, ...
 *             ^ begin                                 ^ end
 */
#ifndef TIDEWAY_KAFKA_LATER_H
#define TIDEWAY_KAFKA_LATER_H

#include <librdkafka/rdkafka.h>

#include "tideway.h"

/* Exported: spec/c/kafka/later.c. */

struct tw__later {
  struct tw__later_block *first, *last;
  int64_t count;
  int64_t bytes; /* of memory */
};

/* Put a record at the end; its bytes are copied. headers: taken, but on failure; NULL: none.
 * TW_OK or TW_ENOMEM. O(its bytes) */
int tw__later_push(struct tw__later *later, const tw_kafka_record *r,
                   rd_kafka_headers_t *headers);

/* The oldest, a view until it is dropped. Returns 0: there is none. */
int tw__later_first(const struct tw__later *later, tw_kafka_record *r,
                    rd_kafka_headers_t **headers);

/* Forget the oldest; its headers are somebody else's now. */
void tw__later_drop(struct tw__later *later);

/* Forget all, with their headers. */
void tw__later_clear(struct tw__later *later);

#endif
