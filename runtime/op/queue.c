/* queue.c -- the FIFO of values behind windows, partitions, zip and collect.
 *
 * A ring of values that doubles when it is full; it never shrinks. head counts elements
 * ever taken out, tail elements ever put in; both only grow.
 *
 *     vals  | e8 | e9 | . | . | . | . | . | e7 |      head = 7, tail = 10, mask = 7
 *
 * A pane of numbers alone is dropped without a look at it: others == 0 says so.
 */
#include "core/mem.h"
#include "core/text.h"
#include "tideway.h"

#include <string.h>

enum { FIRST_ROOM = 1024 };

static uint32_t first_places(int64_t room) {
  uint32_t places = 4;
  while (places < room && places < FIRST_ROOM) places *= 2;
  return places;
}

tw_queue *tw_queue_open(int64_t room) {
  uint32_t places = first_places(room);
  tw_queue *q = tw__calloc(1, sizeof *q);
  if (!q) return NULL;
  q->vals = tw__malloc(places * sizeof *q->vals);
  if (!q->vals) {
    tw__free(q);
    return NULL;
  }
  q->mask = places - 1;
  return q;
}

void tw_queue_close(tw_queue *q) {
  if (!q) return;
  tw_queue_drop(q, INT64_MAX);
  tw__free(q->vals);
  tw__free(q);
}

/* Twice the places: the elements move to where the longer mask expects them. */
static int grow(tw_queue *q) {
  uint64_t places = (uint64_t)q->mask + 1;
  if (places > UINT32_MAX / 2) return TW_ENOMEM;
  tw_value *vals = tw__realloc(q->vals, 2 * places * sizeof *vals);
  if (!vals) return TW_ENOMEM;
  uint32_t mask = (uint32_t)(2 * places - 1);
  /* an element stays where it is, or goes as many places up as there were */
  for (uint64_t i = q->head; i != q->tail; i++)
    if ((i & mask) != (i & q->mask)) vals[i & mask] = vals[i & q->mask];
  q->vals = vals;
  q->mask = mask;
  return TW_OK;
}

static inline int full(const tw_queue *q) {
  return q->tail - q->head > q->mask;
}

static inline tw_value *next_place(tw_queue *q) {
  return &q->vals[q->tail & q->mask];
}

int tw_queue_push_num(tw_queue *q, double x) {
  if (__builtin_expect(full(q), 0) && grow(q)) return TW_ENOMEM;
  *next_place(q) = (tw_value){.num = x, .type = TW_NUM};
  q->tail++;
  return TW_OK;
}

static int push_other(tw_queue *q, tw_value val) {
  if (full(q) && grow(q)) return TW_ENOMEM;
  *next_place(q) = val;
  q->tail++;
  q->others++;
  return TW_OK;
}

int tw_queue_push_bool(tw_queue *q, int x) {
  return push_other(q, (tw_value){.u64 = x != 0, .type = TW_BOOL});
}

int tw_queue_push_null(tw_queue *q) {
  return push_other(q, (tw_value){.type = TW_NULL});
}

int tw_queue_push_i64(tw_queue *q, int64_t x) {
  return push_other(q, (tw_value){.i64 = x, .type = TW_I64});
}

int tw_queue_push_u64(tw_queue *q, uint64_t x) {
  return push_other(q, (tw_value){.u64 = x, .type = TW_U64});
}

int tw_queue_push_bytes(tw_queue *q, const char *bytes, size_t len) {
  if (len > UINT32_MAX) return TW_ENOMEM;
  char *copy = tw__malloc(len);
  if (!copy) return TW_ENOMEM;
  if (len) memcpy(copy, bytes, len);
  tw_value val = {.bytes = copy, .len = (uint32_t)len, .type = TW_BYTES};
  if (push_other(q, val)) {
    tw__free(copy);
    return TW_ENOMEM;
  }
  q->text += (int64_t)len;
  return TW_OK;
}

int tw_queue_push_ref(tw_queue *q, uint64_t id) {
  if (push_other(q, (tw_value){.u64 = id, .type = TW_REF})) return TW_ENOMEM;
  q->refs++;
  return TW_OK;
}

/* What has to happen to an element that leaves. */
static void let_go(tw_queue *q, tw_value *val) {
  if (val->type == TW_NUM) return;
  q->others--;
  if (val->type == TW_REF) q->refs--;
  if (val->type != TW_BYTES) return;
  q->text -= val->len;
  tw__free((void *)(uintptr_t)val->bytes);
}

int64_t tw_queue_drop(tw_queue *q, int64_t n) {
  int64_t held = (int64_t)(q->tail - q->head);
  if (n <= 0) return 0;
  if (n > held) n = held;
  for (int64_t k = 0; k < n && q->others; k++)
    let_go(q, &q->vals[(q->head + (uint64_t)k) & q->mask]);
  q->head += (uint64_t)n;
  return n;
}

int tw_queue_remove(tw_queue *q, int64_t k) {
  if (k < 0 || (uint64_t)k >= q->tail - q->head) return TW_EINVAL;
  uint64_t at = q->head + (uint64_t)k;
  let_go(q, &q->vals[at & q->mask]);
  for (; at > q->head; at--) q->vals[at & q->mask] = q->vals[(at - 1) & q->mask];
  q->head++;
  return TW_OK;
}

int64_t tw_queue_bytes(const tw_queue *q) {
  return (int64_t)(sizeof *q + ((size_t)q->mask + 1) * sizeof *q->vals) + q->text;
}

int64_t tw_queue_dump(const tw_queue *q, char *buf, int64_t size) {
  struct tw__text text;
  tw__text_init(&text, buf, size);
  tw__text_add(&text, "queue of %llu/%llu:", (unsigned long long)(q->tail - q->head),
               q->mask + 1ull);
  for (uint64_t i = q->head; i != q->tail; i++) {
    tw__text_add(&text, " ");
    tw__text_value(&text, &q->vals[i & q->mask]);
  }
  return text.len;
}
