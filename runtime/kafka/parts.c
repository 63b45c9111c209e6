/* parts.c -- the partitions of a consumer, and what of them is not done with yet. */
#include "kafka/parts.h"

#include <string.h>

#include "core/mem.h"
#include "tideway.h"

enum { RING_MIN = 64 };

void tw__parts_free(struct tw__parts *parts) {
  for (int k = 0; k < parts->count; k++) {
    tw__free(parts->list[k].topic);
    tw__free(parts->list[k].ring);
  }
  tw__free(parts->list);
  memset(parts, 0, sizeof *parts);
}

static int is(const struct tw__part *part, const char *topic, int32_t partition) {
  return part->partition == partition && !strcmp(part->topic, topic);
}

int tw__parts_find(struct tw__parts *parts, const char *topic, int32_t partition) {
  /* messages come in runs of a partition, and the runs in turns */
  for (int i = 0, k = parts->last; i < parts->count; i++, k++) {
    if (k >= parts->count) k = 0;
    if (is(&parts->list[k], topic, partition)) return parts->last = k;
  }
  if (parts->count == parts->room) {
    int room = parts->room ? 2 * parts->room : 16;
    struct tw__part *list =
        tw__realloc(parts->list, (size_t)room * sizeof(struct tw__part));
    if (!list) return TW_ENOMEM;
    parts->list = list;
    parts->room = room;
  }
  char *name = tw__mem_copy(topic, (int64_t)strlen(topic));
  if (!name) return TW_ENOMEM;
  parts->list[parts->count] = (struct tw__part){
      .topic = name,
      .partition = partition,
      .origin = -1,
      .position = -1,
      .stored = -1,
      .mask = -1,
  };
  return parts->last = parts->count++;
}

static void renew(struct tw__parts *parts, struct tw__part *part) {
  parts->kept -= part->tail - part->head;
  for (int64_t n = part->head; n < part->tail; n++)
    if (part->ring[n & part->mask] < 0) parts->kept++; /* was counted out already */
  part->head = part->tail;
  part->epoch++;
  part->origin = part->position = part->stored = -1;
  part->going = part->at_end = part->stuck = 0;
}

void tw__parts_assign(struct tw__parts *parts, int part) {
  renew(parts, &parts->list[part]);
  parts->list[part].assigned = 1;
}

void tw__parts_revoke(struct tw__parts *parts, int part) {
  renew(parts, &parts->list[part]);
  parts->list[part].assigned = 0;
}

static int grow(struct tw__part *part) {
  int64_t room = part->mask < 0 ? RING_MIN : 2 * (part->mask + 1);
  int64_t *ring = tw__malloc((size_t)room * sizeof *ring);
  if (!ring) return TW_ENOMEM;
  for (int64_t n = part->head; n < part->tail; n++)
    ring[n & (room - 1)] = part->ring[n & part->mask];
  tw__free(part->ring);
  part->ring = ring;
  part->mask = room - 1;
  return TW_OK;
}

int64_t tw__parts_keep(struct tw__parts *parts, int k, int64_t offset) {
  struct tw__part *part = &parts->list[k];
  if (part->tail - part->head > part->mask && grow(part)) return TW_ENOMEM;
  part->ring[part->tail & part->mask] = offset;
  parts->kept++;
  return part->tail++;
}

int tw__parts_release(struct tw__parts *parts, int k, int64_t number) {
  struct tw__part *part = &parts->list[k];
  if (number < part->head || number >= part->tail) return 0;
  int64_t *entry = &part->ring[number & part->mask];
  if (*entry < 0) return 0;
  *entry = ~*entry;
  parts->kept--;
  int moved = number == part->head;
  while (part->head < part->tail && part->ring[part->head & part->mask] < 0)
    part->head++;
  return moved;
}

int64_t tw__part_watermark(const struct tw__part *part) {
  return part->head < part->tail ? part->ring[part->head & part->mask] : part->position;
}
