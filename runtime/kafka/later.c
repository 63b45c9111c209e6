/* later.c -- records that wait for the next transaction. */
#include "kafka/later.h"

#include <string.h>

#include "core/mem.h"

enum { BLOCK = 64 * 1024 };

struct tw__later_block {
  struct tw__later_block *next;
  int64_t begin, end, room; /* in bytes */
  char bytes[];
};

struct entry {
  tw_kafka_record record; /* its value and key are not valid here */
  rd_kafka_headers_t *headers;
  int64_t size; /* of all of it */
  int has_value, has_key;
};

static int64_t align(int64_t size) {
  return (size + 7) & ~(int64_t)7;
}

/* The block that has room for so much more; NULL: no memory. */
static struct tw__later_block *block_for(struct tw__later *later, int64_t size) {
  struct tw__later_block *block = later->last;
  if (block && block->room - block->end >= size) return block;
  int64_t room = size > BLOCK ? size : BLOCK;
  block = tw__malloc(sizeof *block + (size_t)room);
  if (!block) return NULL;
  *block = (struct tw__later_block){.room = room};
  if (later->last)
    later->last->next = block;
  else
    later->first = block;
  later->last = block;
  later->bytes += room;
  return block;
}

int tw__later_push(struct tw__later *later, const tw_kafka_record *r,
                   rd_kafka_headers_t *headers) {
  int64_t key_len = r->key ? r->key_len : 0, value_len = r->value ? r->value_len : 0;
  int64_t size = align((int64_t)sizeof(struct entry) + key_len + value_len);
  struct tw__later_block *block = block_for(later, size);
  if (!block) return TW_ENOMEM;
  char *at = block->bytes + block->end;
  struct entry entry = {
      .record = *r,
      .headers = headers,
      .size = size,
      .has_value = r->value != NULL,
      .has_key = r->key != NULL,
  };
  memcpy(at, &entry, sizeof entry);
  if (key_len) memcpy(at + sizeof entry, r->key, (size_t)key_len);
  if (value_len) memcpy(at + sizeof entry + key_len, r->value, (size_t)value_len);
  block->end += size;
  later->count++;
  return TW_OK;
}

int tw__later_first(const struct tw__later *later, tw_kafka_record *r,
                    rd_kafka_headers_t **headers) {
  if (!later->count) return 0;
  const char *at = later->first->bytes + later->first->begin;
  struct entry entry;
  memcpy(&entry, at, sizeof entry);
  *r = entry.record;
  *headers = entry.headers;
  r->key = entry.has_key ? at + sizeof entry : NULL;
  r->value = NULL;
  if (entry.has_value) r->value = at + sizeof entry + (entry.has_key ? r->key_len : 0);
  return 1;
}

void tw__later_drop(struct tw__later *later) {
  struct tw__later_block *block = later->first;
  struct entry entry;
  memcpy(&entry, block->bytes + block->begin, sizeof entry);
  block->begin += entry.size;
  later->count--;
  if (block->begin < block->end) return;
  later->first = block->next;
  if (!later->first) later->last = NULL;
  later->bytes -= block->room;
  tw__free(block);
}

void tw__later_clear(struct tw__later *later) {
  tw_kafka_record r;
  rd_kafka_headers_t *headers;
  while (tw__later_first(later, &r, &headers)) {
    if (headers) rd_kafka_headers_destroy(headers);
    tw__later_drop(later);
  }
}
