/* keyset.c -- which keys have been seen: the memory of unique and its kin.
 *
 * A chained hash table over two arrays. A node holds the whole key (bytes of 8 and more
 * behind a pointer); nodes are numbered from 1 and never move, so the order of being
 * seen is a list of numbers in an array of its own, which a set without maxsize and ttl
 * does not have. The tag is 29 bits of the key's hash over 3 bits of its kind.
 *
 *     buckets   | 0 | 3 | 0 | 1 | ...         by the leading bits of the tag
 *     nodes     | - | key tag chain | key tag chain | ...
 *     order     | 0 <-> most recent <-> ... <-> least recent <-> 0
 *
 * The key that a new one pushes out leaves at the *next* add, so that undo finds the
 * set as it was. count may therefore be maxsize + 1 (settle puts that right).
 */
#include "core/hash.h"
#include "core/mem.h"
#include "core/text.h"
#include "tideway.h"

#include <math.h>
#include <string.h>

enum kind {
  EMPTY,
  NUMBER,   /* bits of a double, never -0 */
  NEGATIVE, /* an int64_t that no double holds */
  POSITIVE, /* a uint64_t that no double holds */
  ATOM,     /* 0 false, 1 true, 2 null */
  SHORT,    /* up to 7 bytes, their number in the eighth */
  LONG,     /* pointer to a struct bytes */
  REF,
  KINDS
};

enum { FIRST_BITS = 5, BITS_MAX = 29 };

struct bytes {
  uint32_t len;
  char text[];
};

struct node {
  uint64_t key;
  uint32_t tag;
  uint32_t chain; /* the next node of the bucket, or the next unused one; 0: none */
};

struct order {
  uint32_t newer, older; /* nodes; 0 stands at both ends */
};

struct tw_keyset {
  uint32_t *buckets;
  struct node *nodes;  /* room + 1 */
  struct order *order; /* room + 1; NULL: neither maxsize nor ttl */
  double *seen;        /* room + 1, when; NULL: no ttl */
  uint64_t seed;
  uint64_t maxsize;     /* 0: no limit */
  uint32_t shift;       /* 32 - log2(buckets) */
  uint32_t count, room; /* keys held, and how many before the table grows */
  uint32_t unused;      /* nodes, chained */
  uint32_t last;        /* the last new key; 0: none, or it has left */
  uint32_t refs;        /* keys held that are REF */
  double ttl, now;      /* 0: for ever */
  uint64_t *dropped; /* references to report; there is always place for all refs too */
  uint32_t drops, dropped_room;
  int64_t text; /* bytes behind LONG keys */
};

/* ---- the table ---- */

static inline uint32_t tag_of(uint64_t hash, enum kind kind) {
  return ((uint32_t)(hash >> 32) & ~7u) | (uint32_t)kind;
}

static inline struct bytes *bytes_of(uint64_t key) {
  return (struct bytes *)(uintptr_t)key;
}

static inline uint32_t *bucket_of(const tw_keyset *ks, uint32_t tag) {
  return &ks->buckets[tag >> ks->shift];
}

static inline void chain_in(tw_keyset *ks, uint32_t i) {
  uint32_t *bucket = bucket_of(ks, ks->nodes[i].tag);
  ks->nodes[i].chain = *bucket;
  *bucket = i;
}

static inline void give_back(tw_keyset *ks, uint32_t i) {
  ks->nodes[i].chain = ks->unused;
  ks->unused = i;
}

/* An array with place for more, or NULL; the old one then still stands. */
static int enlarge(void *array, uint32_t room, size_t size) {
  void *old, *more;
  memcpy(&old, array, sizeof old);
  more = tw__realloc(old, ((size_t)room + 1) * size);
  if (!more) return TW_ENOMEM;
  memcpy(array, &more, sizeof more);
  return TW_OK;
}

/* Twice as many; half as many keys as buckets, so that chains are short. */
static int grow(tw_keyset *ks) {
  uint32_t bits = ks->buckets ? 33 - ks->shift : FIRST_BITS;
  if (bits > BITS_MAX) return TW_ENOMEM;
  uint32_t room = 1u << (bits - 1);
  if (enlarge(&ks->nodes, room, sizeof *ks->nodes)) return TW_ENOMEM;
  if (ks->order && enlarge(&ks->order, room, sizeof *ks->order)) return TW_ENOMEM;
  if (ks->ttl > 0 && enlarge(&ks->seen, room, sizeof *ks->seen)) return TW_ENOMEM;
  uint32_t *buckets = tw__calloc(2 * (size_t)room, sizeof *buckets);
  if (!buckets) return TW_ENOMEM;

  tw__free(ks->buckets);
  ks->buckets = buckets;
  ks->shift = 32 - bits;
  for (uint32_t i = 1; i <= ks->room; i++) chain_in(ks, i); /* all are in use */
  for (uint32_t i = room; i > ks->room; i--) give_back(ks, i);
  ks->room = room;
  return TW_OK;
}

/* The node of a key that is compared by its 64 bits, or 0. */
static inline uint32_t find(const tw_keyset *ks, uint64_t key, uint32_t tag) {
  const struct node *nodes = ks->nodes;
  uint32_t i = *bucket_of(ks, tag);
  while (i && (nodes[i].key != key || nodes[i].tag != tag)) i = nodes[i].chain;
  return i;
}

static uint32_t find_long(const tw_keyset *ks, const char *text, uint32_t len,
                          uint32_t tag) {
  for (uint32_t i = *bucket_of(ks, tag); i; i = ks->nodes[i].chain) {
    if (ks->nodes[i].tag != tag) continue;
    const struct bytes *held = bytes_of(ks->nodes[i].key);
    if (held->len == len && !memcmp(held->text, text, len)) return i;
  }
  return 0;
}

/* ---- the order of being seen ---- */

static inline void unlink_node(struct order *order, uint32_t i) {
  order[order[i].newer].older = order[i].older;
  order[order[i].older].newer = order[i].newer;
}

/* Links a node in as the most recent one, which order[0].older is. */
static inline void link_node(struct order *order, uint32_t i) {
  order[i].newer = 0;
  order[i].older = order[0].older;
  order[order[i].older].newer = i;
  order[0].older = i;
}

/* ---- leaving ---- */

/* Takes a key out, and frees its bytes. */
static void take_out(tw_keyset *ks, uint32_t i) {
  struct node *node = &ks->nodes[i];
  uint32_t *at = bucket_of(ks, node->tag);
  while (*at != i) at = &ks->nodes[*at].chain;
  *at = node->chain;
  if (ks->order) unlink_node(ks->order, i);
  if (i == ks->last) ks->last = 0;
  if ((node->tag & 7) == REF) ks->refs--;
  if ((node->tag & 7) == LONG) {
    ks->text -= (int64_t)(sizeof(struct bytes) + bytes_of(node->key)->len);
    tw__free(bytes_of(node->key));
  }
  give_back(ks, i);
  ks->count--;
}

static inline void forget(tw_keyset *ks, uint32_t i) {
  if ((ks->nodes[i].tag & 7) == REF) ks->dropped[ks->drops++] = ks->nodes[i].key;
  take_out(ks, i);
}

/* Lets the key go that the last new one has pushed out. */
static inline void settle(tw_keyset *ks) {
  if (ks->maxsize && ks->count > ks->maxsize) forget(ks, ks->order[0].newer);
}

/* ---- coming ---- */

static inline void seen_again(tw_keyset *ks, uint32_t i) {
  if (!ks->order) return;
  if (ks->order[0].older != i) {
    unlink_node(ks->order, i);
    link_node(ks->order, i);
  }
  if (ks->seen) ks->seen[i] = ks->now;
}

/* Puts a key in that is not there. */
static inline int put_in(tw_keyset *ks, uint64_t key, uint32_t tag) {
  if (__builtin_expect(!ks->unused, 0) && grow(ks)) return TW_ENOMEM;
  uint32_t i = ks->last = ks->unused;
  ks->unused = ks->nodes[i].chain;
  ks->nodes[i].key = key;
  ks->nodes[i].tag = tag;
  chain_in(ks, i);
  ks->count++;
  if (ks->order) link_node(ks->order, i);
  if (ks->seen) ks->seen[i] = ks->now;
  return 1;
}

static inline int add(tw_keyset *ks, uint64_t key, uint64_t hash, enum kind kind) {
  uint32_t tag = tag_of(hash, kind);
  settle(ks);
  uint32_t i = find(ks, key, tag);
  if (!i) return put_in(ks, key, tag);
  seen_again(ks, i);
  return 0;
}

static int add_other(tw_keyset *ks, uint64_t key, enum kind kind) {
  return add(ks, key, tw__hash_u64(key + (uint64_t)kind, ks->seed), kind);
}

int tw_keyset_add_num(tw_keyset *ks, double x) {
  uint64_t key;
  if (isnan(x)) return TW_EINVAL;
  x += 0.0; /* -0 becomes 0 */
  memcpy(&key, &x, sizeof key);
  return add(ks, key, tw__hash_num(key, ks->seed), NUMBER);
}

int tw_keyset_add_bool(tw_keyset *ks, int x) {
  return add_other(ks, x != 0, ATOM);
}

int tw_keyset_add_null(tw_keyset *ks) {
  return add_other(ks, 2, ATOM);
}

int tw_keyset_add_i64(tw_keyset *ks, int64_t x) {
  double num = (double)x;
  if (num < 0x1p63 && (int64_t)num == x) return tw_keyset_add_num(ks, num);
  return add_other(ks, (uint64_t)x, x < 0 ? NEGATIVE : POSITIVE);
}

int tw_keyset_add_u64(tw_keyset *ks, uint64_t x) {
  double num = (double)x;
  if (num < 0x1p64 && (uint64_t)num == x) return tw_keyset_add_num(ks, num);
  return add_other(ks, x, POSITIVE);
}

static int add_long(tw_keyset *ks, const char *text, uint32_t len) {
  uint32_t tag = tag_of(tw__hash_bytes(text, len, ks->seed), LONG);
  settle(ks);
  uint32_t i = find_long(ks, text, len, tag);
  if (i) {
    seen_again(ks, i);
    return 0;
  }
  struct bytes *held = tw__malloc(sizeof *held + len);
  if (!held) return TW_ENOMEM;
  held->len = len;
  memcpy(held->text, text, len);
  int rc = put_in(ks, (uintptr_t)held, tag);
  if (rc < 0)
    tw__free(held);
  else
    ks->text += (int64_t)(sizeof *held + len);
  return rc;
}

int tw_keyset_add_bytes(tw_keyset *ks, const char *bytes, size_t len) {
  uint64_t key = 0;
  if (len > UINT32_MAX) return TW_ENOMEM;
  if (len > 7) return add_long(ks, bytes, (uint32_t)len);
  if (len) memcpy(&key, bytes, len);
  ((char *)&key)[7] = (char)len;
  return add_other(ks, key, SHORT);
}

/* Sees to it that all references held, and one more, can be reported. */
static int reserve_drops(tw_keyset *ks) {
  uint64_t need = (uint64_t)ks->drops + ks->refs + 1;
  if (need <= ks->dropped_room) return TW_OK;
  uint32_t room = ks->dropped_room ? 2 * ks->dropped_room : 16;
  uint64_t *dropped = tw__realloc(ks->dropped, room * sizeof *dropped);
  if (!dropped) return TW_ENOMEM;
  ks->dropped = dropped;
  ks->dropped_room = room;
  return TW_OK;
}

int tw_keyset_add_ref(tw_keyset *ks, uint64_t id) {
  if (!id) return TW_EINVAL;
  if (ks->order && reserve_drops(ks)) return TW_ENOMEM;
  int rc = add_other(ks, id, REF);
  if (rc == 1) ks->refs++;
  return rc;
}

/* ---- all the rest ---- */

tw_keyset *tw_keyset_open(int64_t maxsize, double ttl) {
  if (maxsize < 0 || !(ttl >= 0) || isinf(ttl)) return NULL;
  tw_keyset *ks = tw__calloc(1, sizeof *ks);
  if (!ks) return NULL;
  ks->maxsize = (uint64_t)maxsize;
  ks->ttl = ttl;
  ks->seed = tw__hash_seed();
  if (maxsize || ttl > 0) {
    ks->order = tw__calloc(1, sizeof *ks->order);
    if (!ks->order) goto fail;
  }
  if (grow(ks)) goto fail;
  return ks;

fail:
  tw__free(ks->seen);
  tw__free(ks->order);
  tw__free(ks->nodes);
  tw__free(ks);
  return NULL;
}

void tw_keyset_close(tw_keyset *ks) {
  if (!ks) return;
  tw_keyset_clear(ks);
  tw__free(ks->dropped);
  tw__free(ks->seen);
  tw__free(ks->order);
  tw__free(ks->nodes);
  tw__free(ks->buckets);
  tw__free(ks);
}

int64_t tw_keyset_count(const tw_keyset *ks) {
  int pushed_out = ks->maxsize && ks->count > ks->maxsize;
  return ks->count - (uint32_t)pushed_out;
}

void tw_keyset_clear(tw_keyset *ks) {
  for (size_t b = 0; b < 2 * (size_t)ks->room; b++)
    while (ks->buckets[b]) take_out(ks, ks->buckets[b]);
  ks->drops = 0;
}

void tw_keyset_now(tw_keyset *ks, double seconds) {
  if (!ks->seen) return;
  settle(ks);
  ks->now = seconds;
  for (uint32_t i; (i = ks->order[0].newer) && seconds - ks->seen[i] >= ks->ttl;)
    forget(ks, i);
}

int tw_keyset_undo(tw_keyset *ks) {
  if (!ks->last) return 0;
  take_out(ks, ks->last);
  return 1;
}

uint64_t tw_keyset_dropped_ref(tw_keyset *ks) {
  return ks->drops ? ks->dropped[--ks->drops] : 0;
}

int64_t tw_keyset_bytes(const tw_keyset *ks) {
  size_t each = 2 * sizeof *ks->buckets + sizeof *ks->nodes;
  if (ks->order) each += sizeof *ks->order;
  if (ks->seen) each += sizeof *ks->seen;
  size_t bytes = sizeof *ks + ks->room * each + ks->dropped_room * sizeof *ks->dropped;
  return (int64_t)bytes + ks->text;
}

static void dump_key(struct tw__text *text, const struct node *node) {
  tw_value val = {.u64 = node->key};
  uint64_t key = node->key;
  switch (node->tag & 7) {
  case NUMBER: val.type = TW_NUM; break;
  case NEGATIVE: val.type = TW_I64; break;
  case POSITIVE: val.type = TW_U64; break;
  case ATOM: val.type = key == 2 ? TW_NULL : TW_BOOL; break;
  case SHORT:
    val.bytes = (char *)&key;
    val.len = (uint32_t)val.bytes[7];
    val.type = TW_BYTES;
    break;
  case LONG:
    val.bytes = bytes_of(key)->text;
    val.len = bytes_of(key)->len;
    val.type = TW_BYTES;
    break;
  default: val.type = TW_REF;
  }
  tw__text_add(text, " ");
  tw__text_value(text, &val);
}

int64_t tw_keyset_dump(const tw_keyset *ks, char *buf, int64_t size) {
  struct tw__text text;
  tw__text_init(&text, buf, size);
  int64_t count = tw_keyset_count(ks);
  tw__text_add(&text, "keys, %lld:", (long long)count);
  if (ks->order) {
    for (uint32_t i = ks->order[0].older; i && count--; i = ks->order[i].older)
      dump_key(&text, &ks->nodes[i]);
    return text.len;
  }
  for (size_t b = 0; b < 2 * (size_t)ks->room; b++)
    for (uint32_t i = ks->buckets[b]; i; i = ks->nodes[i].chain)
      dump_key(&text, &ks->nodes[i]);
  return text.len;
}
