/* keyset.c -- which keys have been seen: the memory of unique and its kin.
 *
 * An open-addressing table with linear probing; a slot holds the whole key (bytes of 8
 * and more behind a pointer), so a set without limit touches one cache line per key.
 * The tag is 29 bits of the key's hash over 3 bits of its kind; 0 marks an empty slot.
 * A slot is found at its tag's leading bits or after, and a key that leaves moves later
 * ones of its run back, so there are no tombstones (Knuth, TAOCP 3, 6.4, algorithm R).
 *
 *     slots   | . | tag key link | tag key link | . | ...       link: its node
 *     nodes   0 <-> most recent <-> ... <-> least recent <-> 0  with maxsize or ttl
 * only
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

enum { FIRST_BITS = 4, BITS_MAX = 29 };

struct bytes {
  uint32_t len;
  char text[];
};

struct slot {
  uint64_t key;
  uint32_t tag;
  uint32_t link; /* its node; unused in a plain set */
};

struct node {
  uint32_t newer, older; /* nodes; 0 stands at both ends */
  uint32_t slot;
};

struct tw_keyset {
  struct slot *slots;
  uint32_t mask, shift; /* slots - 1; 32 - log2(slots) */
  uint32_t count, room; /* keys held, and how many before the table grows */
  uint64_t seed;
  uint64_t maxsize;   /* 0: no limit */
  double ttl, now;    /* 0: for ever */
  struct node *nodes; /* room + 1, unused ones linked by older; NULL: plain */
  double *seen;       /* when, per node; NULL without ttl */
  uint32_t unused;    /* node */
  uint64_t last_key;  /* the last new key; */
  uint32_t last_tag;  /* 0: none, or it has left */
  uint32_t refs;      /* keys held that are REF */
  uint64_t *dropped;  /* references to report; there is always place for all refs too */
  uint32_t drops, dropped_room;
  int64_t text; /* bytes behind LONG keys */
};

static inline int ordered(const tw_keyset *ks) {
  return ks->nodes != NULL;
}

/* ---- the table ---- */

static inline uint32_t tag_of(uint64_t hash, enum kind kind) {
  return ((uint32_t)(hash >> 32) & ~7u) | (uint32_t)kind;
}

static inline struct bytes *bytes_of(uint64_t key) {
  return (struct bytes *)(uintptr_t)key;
}

/* Room for 5/8 of the slots: runs stay short, and 4 slots share a cache line. */
static int grow(tw_keyset *ks) {
  uint32_t bits = ks->slots ? 33 - ks->shift : FIRST_BITS;
  if (bits > BITS_MAX) return TW_ENOMEM;
  uint32_t places = 1u << bits, mask = places - 1, room = places / 8 * 5;
  struct slot *slots = NULL;
  if (ordered(ks)) {
    struct node *nodes = tw__realloc(ks->nodes, (room + 1) * sizeof *nodes);
    if (!nodes) return TW_ENOMEM;
    ks->nodes = nodes;
  }
  if (ks->ttl > 0) {
    double *seen = tw__realloc(ks->seen, (room + 1) * sizeof *seen);
    if (!seen) return TW_ENOMEM;
    ks->seen = seen;
  }
  slots = tw__calloc(places, sizeof *slots);
  if (!slots) return TW_ENOMEM;

  for (uint32_t i = 0; ks->slots && i <= ks->mask; i++) {
    if (!ks->slots[i].tag) continue;
    uint32_t at = ks->slots[i].tag >> (32 - bits);
    while (slots[at].tag) at = (at + 1) & mask;
    slots[at] = ks->slots[i];
    if (ordered(ks)) ks->nodes[slots[at].link].slot = at;
  }
  for (uint32_t i = room; ordered(ks) && i > ks->room; i--) {
    ks->nodes[i].older = ks->unused;
    ks->unused = i;
  }
  tw__free(ks->slots);
  ks->slots = slots;
  ks->mask = mask;
  ks->shift = 32 - bits;
  ks->room = room;
  return TW_OK;
}

/* The slot of a key that is compared by its 64 bits, or the empty one where it belongs.
 */
static inline struct slot *find(const tw_keyset *ks, uint64_t key, uint32_t tag) {
  struct slot *slots = ks->slots;
  uint32_t at = tag >> ks->shift;
  while (slots[at].tag && (slots[at].key != key || slots[at].tag != tag))
    at = (at + 1) & ks->mask;
  return &slots[at];
}

static struct slot *find_long(const tw_keyset *ks, const char *text, uint32_t len,
                              uint32_t tag) {
  struct slot *slots = ks->slots;
  for (uint32_t at = tag >> ks->shift;; at = (at + 1) & ks->mask) {
    if (!slots[at].tag) return &slots[at];
    if (slots[at].tag != tag) continue;
    const struct bytes *held = bytes_of(slots[at].key);
    if (held->len == len && !memcmp(held->text, text, len)) return &slots[at];
  }
}

/* Empties a slot; later ones of its run move back to where they are found. */
static void vacate(tw_keyset *ks, uint32_t hole) {
  struct slot *slots = ks->slots;
  uint32_t mask = ks->mask;
  for (uint32_t at = (hole + 1) & mask; slots[at].tag; at = (at + 1) & mask) {
    uint32_t home = slots[at].tag >> ks->shift;
    if (((at - home) & mask) < ((at - hole) & mask)) continue;
    slots[hole] = slots[at];
    if (ordered(ks)) ks->nodes[slots[hole].link].slot = hole;
    hole = at;
  }
  slots[hole].tag = EMPTY;
}

/* ---- the order of being seen ---- */

static inline void unlink_node(struct node *nodes, uint32_t i) {
  nodes[nodes[i].newer].older = nodes[i].older;
  nodes[nodes[i].older].newer = nodes[i].newer;
}

/* Links a node in as the most recent one, which nodes[0].older is. */
static inline void link_node(struct node *nodes, uint32_t i) {
  nodes[i].newer = 0;
  nodes[i].older = nodes[0].older;
  nodes[nodes[i].older].newer = i;
  nodes[0].older = i;
}

/* ---- leaving ---- */

/* Takes a key out; what it stands for is the caller's. */
static void take_out(tw_keyset *ks, struct slot *slot) {
  if (slot->tag == ks->last_tag && slot->key == ks->last_key) ks->last_tag = 0;
  if ((slot->tag & 7) == REF) ks->refs--;
  if (ordered(ks)) {
    uint32_t node = slot->link;
    unlink_node(ks->nodes, node);
    ks->nodes[node].older = ks->unused;
    ks->unused = node;
  }
  ks->count--;
  vacate(ks, (uint32_t)(slot - ks->slots));
}

static void free_long(tw_keyset *ks, const struct slot *slot) {
  if ((slot->tag & 7) != LONG) return;
  ks->text -= (int64_t)(sizeof(struct bytes) + bytes_of(slot->key)->len);
  tw__free(bytes_of(slot->key));
}

static void forget(tw_keyset *ks, uint32_t node) {
  struct slot *slot = &ks->slots[ks->nodes[node].slot];
  if ((slot->tag & 7) == REF) ks->dropped[ks->drops++] = slot->key;
  free_long(ks, slot);
  take_out(ks, slot);
}

/* Lets the key go that the last new one has pushed out. */
static inline void settle(tw_keyset *ks) {
  if (ks->maxsize && ks->count > ks->maxsize) forget(ks, ks->nodes[0].newer);
}

/* ---- coming ---- */

static inline void seen_again(tw_keyset *ks, const struct slot *slot) {
  if (!ordered(ks)) return;
  uint32_t node = slot->link;
  if (ks->nodes[0].older != node) {
    unlink_node(ks->nodes, node);
    link_node(ks->nodes, node);
  }
  if (ks->seen) ks->seen[node] = ks->now;
}

/* Puts a key that is not there into the empty slot found for it. */
static int put_in(tw_keyset *ks, struct slot *slot, uint64_t key, uint32_t tag) {
  if (ks->count >= ks->room) {
    if (grow(ks)) return TW_ENOMEM;
    uint32_t at = tag >> ks->shift;
    while (ks->slots[at].tag) at = (at + 1) & ks->mask;
    slot = &ks->slots[at];
  }
  slot->key = ks->last_key = key;
  slot->tag = ks->last_tag = tag;
  ks->count++;
  if (ordered(ks)) {
    uint32_t node = slot->link = ks->unused;
    ks->unused = ks->nodes[node].older;
    ks->nodes[node].slot = (uint32_t)(slot - ks->slots);
    link_node(ks->nodes, node);
    if (ks->seen) ks->seen[node] = ks->now;
  }
  return 1;
}

static inline int add(tw_keyset *ks, uint64_t key, enum kind kind) {
  uint32_t tag = tag_of(tw__hash_u64(key, ks->seed), kind);
  settle(ks);
  struct slot *slot = find(ks, key, tag);
  if (!slot->tag) return put_in(ks, slot, key, tag);
  seen_again(ks, slot);
  return 0;
}

int tw_keyset_add_num(tw_keyset *ks, double x) {
  uint64_t key;
  if (isnan(x)) return TW_EINVAL;
  x += 0.0; /* -0 becomes 0 */
  memcpy(&key, &x, sizeof key);
  return add(ks, key, NUMBER);
}

int tw_keyset_add_bool(tw_keyset *ks, int x) {
  return add(ks, x != 0, ATOM);
}

int tw_keyset_add_null(tw_keyset *ks) {
  return add(ks, 2, ATOM);
}

int tw_keyset_add_i64(tw_keyset *ks, int64_t x) {
  double num = (double)x;
  if (num < 0x1p63 && (int64_t)num == x) return tw_keyset_add_num(ks, num);
  return add(ks, (uint64_t)x, x < 0 ? NEGATIVE : POSITIVE);
}

int tw_keyset_add_u64(tw_keyset *ks, uint64_t x) {
  double num = (double)x;
  if (num < 0x1p64 && (uint64_t)num == x) return tw_keyset_add_num(ks, num);
  return add(ks, x, POSITIVE);
}

static int add_long(tw_keyset *ks, const char *text, uint32_t len) {
  uint32_t tag = tag_of(tw__hash_bytes(text, len, ks->seed), LONG);
  settle(ks);
  struct slot *slot = find_long(ks, text, len, tag);
  if (slot->tag) {
    seen_again(ks, slot);
    return 0;
  }
  struct bytes *held = tw__malloc(sizeof *held + len);
  if (!held) return TW_ENOMEM;
  held->len = len;
  memcpy(held->text, text, len);
  int rc = put_in(ks, slot, (uintptr_t)held, tag);
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
  return add(ks, key, SHORT);
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
  if (ordered(ks) && reserve_drops(ks)) return TW_ENOMEM;
  int rc = add(ks, id, REF);
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
    ks->nodes = tw__calloc(1, sizeof *ks->nodes);
    if (!ks->nodes) goto fail;
  }
  if (grow(ks)) goto fail;
  return ks;

fail:
  tw__free(ks->seen);
  tw__free(ks->nodes);
  tw__free(ks);
  return NULL;
}

void tw_keyset_close(tw_keyset *ks) {
  if (!ks) return;
  tw_keyset_clear(ks);
  tw__free(ks->dropped);
  tw__free(ks->seen);
  tw__free(ks->nodes);
  tw__free(ks->slots);
  tw__free(ks);
}

int64_t tw_keyset_count(const tw_keyset *ks) {
  int pushed_out = ks->maxsize && ks->count > ks->maxsize;
  return ks->count - (uint32_t)pushed_out;
}

void tw_keyset_clear(tw_keyset *ks) {
  for (uint32_t i = 0; i <= ks->mask; i++) {
    free_long(ks, &ks->slots[i]);
    ks->slots[i].tag = EMPTY;
  }
  ks->unused = 0;
  for (uint32_t i = ks->room; ordered(ks) && i > 0; i--) {
    ks->nodes[i].older = ks->unused;
    ks->unused = i;
  }
  if (ordered(ks)) ks->nodes[0] = (struct node){0};
  ks->count = ks->refs = ks->drops = ks->last_tag = 0;
}

void tw_keyset_now(tw_keyset *ks, double seconds) {
  if (!ks->seen) return;
  settle(ks);
  ks->now = seconds;
  for (uint32_t node;
       (node = ks->nodes[0].newer) && seconds - ks->seen[node] >= ks->ttl;)
    forget(ks, node);
}

int tw_keyset_undo(tw_keyset *ks) {
  if (!ks->last_tag) return 0;
  struct slot *slot = find(ks, ks->last_key, ks->last_tag);
  free_long(ks, slot);
  take_out(ks, slot);
  return 1;
}

uint64_t tw_keyset_dropped_ref(tw_keyset *ks) {
  return ks->drops ? ks->dropped[--ks->drops] : 0;
}

int64_t tw_keyset_bytes(const tw_keyset *ks) {
  size_t places = (size_t)ks->mask + 1, nodes = (size_t)ks->room + 1;
  size_t bytes = sizeof *ks + places * sizeof *ks->slots;
  if (ks->nodes) bytes += nodes * sizeof *ks->nodes;
  if (ks->seen) bytes += nodes * sizeof *ks->seen;
  return (int64_t)(bytes + ks->dropped_room * sizeof *ks->dropped) + ks->text;
}

static void dump_key(struct tw__text *text, const struct slot *slot) {
  tw_value val = {.u64 = slot->key};
  uint64_t key = slot->key;
  switch (slot->tag & 7) {
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
  if (ordered(ks)) {
    for (uint32_t node = ks->nodes[0].older; node && count--;
         node = ks->nodes[node].older)
      dump_key(&text, &ks->slots[ks->nodes[node].slot]);
    return text.len;
  }
  for (uint32_t i = 0; i <= ks->mask; i++)
    if (ks->slots[i].tag) dump_key(&text, &ks->slots[i]);
  return text.len;
}
