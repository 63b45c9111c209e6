/* dict.c -- distinct strings under numbers.
 *
 * The texts stand one behind the other in the order of their numbers; an open hash table
 * of (tag, number) finds them, where a tag is 32 bits of the hash:
 *
 *     bytes  | a l i c e b o b . . .         start  | 0 | 5 | 8 |
 *     slots  | - | 5f1c0a33 1 | - | 90be77c2 0 | - | - | - | - |
 *
 * The order is a sorted list of the numbers and its inverse, the ranks. Strings that came
 * since it was made are sorted among themselves and merged into it.
 *
 * Of a frozen dict (dict.h) only the order may still change, under a lock.
 */
#include "frame/dict.h"

#include "core/hash.h"
#include "core/mem.h"
#include "core/refs.h"

#include <pthread.h>
#include <string.h>

/* FRAME, ROW: bytes that may be copied for a frame sent and for each of its rows, about what it
 * costs to make the frame. HEAVY: bytes that are worth a thought. */
enum {
  SLOTS_FIRST = 16,
  NOBODY = UINT32_MAX,
  FRAME = 4096,
  ROW = 128,
  HEAVY = 1 << 16
};

struct slot {
  uint32_t tag, number; /* NOBODY: free */
};

struct tw_dict_index {
  struct slot *slots;
  uint64_t mask, seed;
  char *bytes;    /* what the dict shows as const */
  int64_t *start; /* likewise, room + 1 */
  int64_t room, bytes_room;
  uint32_t *sorted, *rank; /* of the first `ordered` strings */
  int64_t ordered, order_room;
  int64_t credit; /* bytes that may be copied for the frames sent */
  int64_t begun;  /* strings that it was made with */
};

static struct slot *new_slots(uint64_t count) {
  struct slot *slots = tw__malloc(count * sizeof *slots);
  if (slots) memset(slots, 0xFF, count * sizeof *slots);
  return slots;
}

static void discard(tw_dict *dict, struct tw_dict_index *index) {
  if (index) {
    tw__free(index->bytes);
    tw__free(index->start);
    tw__free(index->slots);
    tw__free(index->sorted);
    tw__free(index->rank);
  }
  tw__free(index);
  tw__free(dict);
}

tw_dict *tw_dict_new(void) {
  tw_dict *dict = tw__calloc(1, sizeof *dict);
  struct tw_dict_index *index = tw__calloc(1, sizeof *index);
  if (!dict || !index) goto fail;
  dict->index = index;
  dict->refs = 1;
  index->start = tw__calloc(1, sizeof *index->start);
  index->slots = new_slots(SLOTS_FIRST);
  index->bytes = tw__malloc(1);
  if (!index->start || !index->slots || !index->bytes) goto fail;
  index->mask = SLOTS_FIRST - 1;
  index->seed = tw__hash_seed();
  dict->start = index->start;
  dict->bytes = index->bytes;
  return dict;

fail:
  discard(dict, index);
  return NULL;
}

tw_dict *tw_dict_retain(tw_dict *dict) {
  tw__refs_up(&dict->refs);
  return dict;
}

void tw_dict_release(tw_dict *dict) {
  if (!dict || !tw__refs_down(&dict->refs)) return;
  discard(dict, dict->index);
}

/* ---- the table ---- */

static int same(const tw_dict *dict, uint32_t number, const char *bytes, int64_t len) {
  const int64_t *start = &dict->start[number];
  return start[1] - start[0] == len &&
         (!len || !memcmp(dict->bytes + start[0], bytes, (size_t)len));
}

/* The slot where the string is or would be. */
static struct slot *find(const tw_dict *dict, const char *bytes, int64_t len,
                         uint64_t hash) {
  const struct tw_dict_index *index = dict->index;
  uint32_t tag = (uint32_t)(hash >> 32);
  for (uint64_t i = hash & index->mask;; i = (i + 1) & index->mask) {
    struct slot *slot = &index->slots[i];
    if (slot->number == NOBODY) return slot;
    if (slot->tag == tag && same(dict, slot->number, bytes, len)) return slot;
  }
}

static uint64_t hash_of(const tw_dict *dict, const char *bytes, int64_t len) {
  return tw__hash_bytes(bytes, (size_t)len, dict->index->seed);
}

/* Twice as many slots; never more than half of them are taken. */
static int grow_slots(tw_dict *dict) {
  struct tw_dict_index *index = dict->index;
  uint64_t mask = 2 * index->mask + 1;
  struct slot *slots = new_slots(mask + 1);
  if (!slots) return TW_ENOMEM;
  for (int64_t k = 0; k < dict->count; k++) {
    const char *text = dict->bytes + dict->start[k];
    uint64_t hash = hash_of(dict, text, dict->start[k + 1] - dict->start[k]);
    uint64_t i = hash & mask;
    while (slots[i].number != NOBODY) i = (i + 1) & mask;
    slots[i] = (struct slot){(uint32_t)(hash >> 32), (uint32_t)k};
  }
  tw__free(index->slots);
  index->slots = slots;
  index->mask = mask;
  return TW_OK;
}

static int make_room(tw_dict *dict, int64_t len) {
  struct tw_dict_index *index = dict->index;
  int64_t used = dict->start[dict->count];
  if (dict->count == index->room) {
    int64_t room = index->room ? 2 * index->room : 8;
    int64_t *start =
        tw__realloc(index->start, (size_t)(room + 1) * sizeof *index->start);
    if (!start) return TW_ENOMEM;
    dict->start = index->start = start;
    index->room = room;
  }
  if (len > index->bytes_room - used) {
    int64_t room = 2 * index->bytes_room + len + 64;
    char *bytes = tw__realloc(index->bytes, (size_t)room);
    if (!bytes) return TW_ENOMEM;
    dict->bytes = index->bytes = bytes;
    index->bytes_room = room;
  }
  if ((uint64_t)dict->count >= index->mask / 2) return grow_slots(dict);
  return TW_OK;
}

int64_t tw_dict_add(tw_dict *dict, const char *bytes, int64_t len) {
  uint64_t hash = hash_of(dict, bytes, len);
  struct slot *slot = find(dict, bytes, len, hash);
  if (slot->number != NOBODY) return slot->number;
  if (dict->frozen) return TW_EINVAL;
  if (dict->count >= NOBODY - 1 || make_room(dict, len)) return TW_ENOMEM;

  struct tw_dict_index *index = dict->index;
  int64_t end = index->start[dict->count] + len;
  if (len) memcpy(index->bytes + end - len, bytes, (size_t)len);
  index->start[dict->count + 1] = end;
  slot = find(dict, bytes, len, hash);
  *slot = (struct slot){(uint32_t)(hash >> 32), (uint32_t)dict->count};
  return dict->count++;
}

int64_t tw_dict_find(const tw_dict *dict, const char *bytes, int64_t len) {
  const struct slot *slot = find(dict, bytes, len, hash_of(dict, bytes, len));
  return slot->number == NOBODY ? -1 : (int64_t)slot->number;
}

/* ---- other threads ---- */

/* The bytes of a copy. */
static int64_t weight(const tw_dict *dict) {
  const struct tw_dict_index *index = dict->index;
  return dict->start[dict->count] + dict->count * (int64_t)sizeof *dict->start +
         (int64_t)((index->mask + 1) * sizeof *index->slots);
}

int tw__dict_freeze(tw_dict *dict, int64_t rows) {
  if (dict->frozen) return 1;
  dict->index->credit += FRAME + ROW * rows;
  const int64_t bytes = weight(dict), fresh = dict->count - dict->index->begun;
  if (bytes > dict->index->credit) return 0;
  dict->frozen = bytes > HEAVY && fresh > rows - rows / 8 ? 2 : 1;
  return 1;
}

/* With as much room again for what is to come. NULL: no memory. */
static tw_dict *copy(const tw_dict *from) {
  const struct tw_dict_index *old = from->index;
  size_t slots = (size_t)(old->mask + 1) * sizeof *old->slots;
  size_t used = (size_t)from->start[from->count], count = (size_t)from->count;
  struct tw_dict_index *index = tw__calloc(1, sizeof *index);
  tw_dict *dict = tw__calloc(1, sizeof *dict);
  if (!dict || !index) goto fail;
  index->start = tw__malloc((2 * count + 9) * sizeof *index->start);
  index->slots = tw__malloc(slots);
  index->bytes = tw__malloc(2 * used + 64);
  if (!index->start || !index->slots || !index->bytes) goto fail;
  memcpy(index->start, old->start, (count + 1) * sizeof *index->start);
  memcpy(index->slots, old->slots, slots);
  memcpy(index->bytes, old->bytes, used);
  index->room = 2 * from->count + 8;
  index->bytes_room = (int64_t)(2 * used + 64);
  index->mask = old->mask;
  index->seed = old->seed;
  index->begun = from->count;
  *dict = (tw_dict){.count = from->count,
                    .bytes = index->bytes,
                    .start = index->start,
                    .index = index,
                    .refs = 1};
  return dict;

fail:
  discard(dict, index);
  return NULL;
}

int64_t tw__dict_put(tw_dict **at, const char *bytes, int64_t len) {
  int64_t number = tw_dict_add(*at, bytes, len);
  if (number != TW_EINVAL) return number;
  tw_dict *dict = copy(*at);
  if (!dict) return TW_ENOMEM;
  number = tw_dict_add(dict, bytes, len);
  if (number < 0) {
    tw_dict_release(dict);
    return number;
  }
  tw_dict_release(*at);
  *at = dict;
  return number;
}

/* ---- the order ---- */

static int before(const tw_dict *dict, uint32_t a, uint32_t b) {
  int64_t a_len = dict->start[a + 1] - dict->start[a];
  int64_t b_len = dict->start[b + 1] - dict->start[b];
  int64_t len = a_len < b_len ? a_len : b_len;
  int by_bytes = len ? memcmp(dict->bytes + dict->start[a],
                              dict->bytes + dict->start[b], (size_t)len)
                     : 0;
  return by_bytes ? by_bytes < 0 : a_len < b_len;
}

/* Merges list[0 .. m - 1] and list[m .. n - 1], both sorted, through spare. */
static void merge(const tw_dict *dict, uint32_t *list, int64_t m, int64_t n,
                  uint32_t *spare) {
  if (!m || m == n || before(dict, list[m - 1], list[m])) return;
  memcpy(spare, list, (size_t)m * sizeof *list);
  int64_t a = 0, b = m, to = 0;
  while (a < m && b < n)
    list[to++] = before(dict, list[b], spare[a]) ? list[b++] : spare[a++];
  memcpy(&list[to], &spare[a], (size_t)(m - a) * sizeof *list);
}

static void sort(const tw_dict *dict, uint32_t *list, int64_t n, uint32_t *spare) {
  for (int64_t width = 1; width < n; width *= 2)
    for (int64_t i = 0; i + width < n; i += 2 * width)
      merge(dict, &list[i], width, n - i < 2 * width ? n - i : 2 * width, spare);
}

static const uint32_t *order(tw_dict *dict) {
  struct tw_dict_index *index = dict->index;
  if (index->ordered == dict->count) return index->rank;
  if (index->order_room < dict->count) {
    size_t size = (size_t)index->room * sizeof *index->sorted;
    uint32_t *sorted = tw__realloc(index->sorted, size);
    if (!sorted) return NULL;
    index->sorted = sorted;
    uint32_t *rank = tw__realloc(index->rank, size);
    if (!rank) return NULL;
    index->rank = rank;
    index->order_room = index->room;
  }
  uint32_t *list = index->sorted;
  int64_t old = index->ordered;
  for (int64_t k = old; k < dict->count; k++) list[k] = (uint32_t)k;
  sort(dict, &list[old], dict->count - old, index->rank);
  merge(dict, list, old, dict->count, index->rank);
  for (int64_t k = 0; k < dict->count; k++) index->rank[list[k]] = (uint32_t)k;
  index->ordered = dict->count;
  return index->rank;
}

const uint32_t *tw_dict_order(tw_dict *dict) {
  static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
  if (!dict->frozen) return order(dict);
  pthread_mutex_lock(&lock);
  const uint32_t *rank = order(dict);
  pthread_mutex_unlock(&lock);
  return rank;
}
