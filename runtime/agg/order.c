/* order.c -- a sorted multiset of numbers with a finger on one rank. */
#include "agg/order.h"
#include "core/mem.h"

#include <string.h>

enum { CAP = TW__ORDER_CAP, SPARSE = CAP / 2 };

typedef struct tw__order_leaf leaf;
typedef struct tw__order_node node;

#if defined __x86_64__ && defined __GNUC__
#define HAVE_AVX2 1
#endif

/* ---- nodes come and go ---- */

static void clear_keys(double *key, uint32_t from, uint32_t to) {
  for (uint32_t i = from; i < to; i++) key[i] = __builtin_inf();
}

static uint32_t take_leaf(struct tw__order *o) {
  uint32_t i = o->leaf_free;
  if (i)
    o->leaf_free = o->leaves[i].next;
  else
    i = ++o->leaf_used;
  leaf *l = &o->leaves[i];
  clear_keys(l->key, 0, CAP);
  l->count = l->prev = l->next = 0;
  return i;
}

static uint32_t take_node(struct tw__order *o) {
  uint32_t i = o->node_free;
  if (i)
    o->node_free = o->nodes[i].child[0];
  else
    i = ++o->node_used;
  clear_keys(o->nodes[i].key, 0, CAP);
  o->nodes[i].count = 0;
  return i;
}

static void drop_leaf(struct tw__order *o, uint32_t i) {
  leaf *l = &o->leaves[i];
  if (l->prev) o->leaves[l->prev].next = l->next;
  if (l->next) o->leaves[l->next].prev = l->prev;
  l->next = o->leaf_free;
  o->leaf_free = i;
}

static void drop_node(struct tw__order *o, uint32_t i) {
  o->nodes[i].child[0] = o->node_free;
  o->node_free = i;
}

/* Place 0 is never used. Nodes are a 16th of the leaves, and of themselves. */
int tw__order_init(struct tw__order *o, int64_t size) {
  uint64_t leaves = (uint64_t)size / 14 + 8, nodes = leaves / 12 + TW__ORDER_HEIGHT;
  memset(o, 0, sizeof *o);
  if (leaves >= UINT32_MAX) return TW_ENOMEM;
  if (size <= CAP) leaves = 1, nodes = 0;
  o->leaf_room = (uint32_t)leaves;
  o->node_room = (uint32_t)nodes;
  o->leaves = tw__malloc_aligned(64, (leaves + 1) * sizeof *o->leaves);
  o->nodes = tw__malloc_aligned(64, (nodes + 1) * sizeof *o->nodes);
  if (!o->leaves || !o->nodes) return TW_ENOMEM;
  o->root = take_leaf(o);
  return TW_OK;
}

void tw__order_fini(struct tw__order *o) {
  tw__free(o->leaves);
  tw__free(o->nodes);
}

/* ---- searching ---- */

typedef double four __attribute__((vector_size(32), may_alias));
typedef int64_t four_whole __attribute__((vector_size(32)));

/* How many of a node's keys are below x. */
static inline __attribute__((always_inline)) uint32_t below(const double *key,
                                                            double x) {
  const four *keys = (const four *)key;
  four wanted = {x, x, x, x};
  four_whole a = {0}, b = {0};
  for (int i = 0; i < CAP / 4; i += 2) { /* a comparison that holds is -1 */
    a += keys[i] < wanted;
    b += keys[i + 1] < wanted;
  }
  a += b;
  return (uint32_t) - (a[0] + a[1] + a[2] + a[3]);
}

/* One level of the way to x: from path[level].node to the child that x belongs to. */
static inline __attribute__((always_inline)) void descend(const struct tw__order *o,
                                                          struct tw__order_step *path,
                                                          uint32_t level, double x) {
  const node *n = &o->nodes[path[level].node];
  uint32_t i = below(n->key, x);
  if (i >= n->count) i = n->count - 1;
  path[level].at = i;
  path[level - 1].node = n->child[i];
}

/* The way to x: to the first element that is not below it, in the first leaf that has
 * one, else to the end of the last leaf. */
static inline __attribute__((always_inline)) void
find_one(const struct tw__order *o, struct tw__order_step *path, double x) {
  path[o->height].node = o->root;
  for (uint32_t level = o->height; level > 0; level--) descend(o, path, level, x);
  path[0].at = below(o->leaves[path[0].node].key, x);
}

/* Two ways side by side: their cache misses overlap. */
static inline __attribute__((always_inline)) void
find_two(const struct tw__order *o, struct tw__order_step *path, double x,
         struct tw__order_step *other, double y) {
  path[o->height].node = other[o->height].node = o->root;
  for (uint32_t level = o->height; level > 0; level--) {
    descend(o, path, level, x);
    descend(o, other, level, y);
  }
  path[0].at = below(o->leaves[path[0].node].key, x);
  other[0].at = below(o->leaves[other[0].node].key, y);
}

#ifdef HAVE_AVX2
static int avx2;

__attribute__((constructor)) static void look_at_the_processor(void) {
  __builtin_cpu_init();
  avx2 = __builtin_cpu_supports("avx2") != 0;
}

__attribute__((target("avx2"))) static void
find_one_avx2(const struct tw__order *o, struct tw__order_step *path, double x) {
  find_one(o, path, x);
}

__attribute__((target("avx2"))) static void
find_two_avx2(const struct tw__order *o, struct tw__order_step *path, double x,
              struct tw__order_step *other, double y) {
  find_two(o, path, x, other, y);
}
#else
enum { avx2 = 0 };
#define find_one_avx2 find_one
#define find_two_avx2 find_two
#endif

static void find(const struct tw__order *o, struct tw__order_step *path, double x) {
  if (avx2)
    find_one_avx2(o, path, x);
  else
    find_one(o, path, x);
}

/* ---- changing nodes ---- */

static inline void open_gap(double *key, uint32_t at, uint32_t count) {
  memmove(&key[at + 1], &key[at], (count - at) * sizeof *key);
}

static inline void close_gap(double *key, uint32_t at, uint32_t count) {
  memmove(&key[at], &key[at + 1], (count - at - 1) * sizeof *key);
  key[count - 1] = __builtin_inf();
}

static void add_child(node *n, uint32_t at, double max, uint32_t child) {
  open_gap(n->key, at, n->count);
  memmove(&n->child[at + 1], &n->child[at], (n->count - at) * sizeof *n->child);
  n->key[at] = max;
  n->child[at] = child;
  n->count++;
}

static void take_child(node *n, uint32_t at) {
  close_gap(n->key, at, n->count);
  memmove(&n->child[at], &n->child[at + 1], (n->count - at - 1) * sizeof *n->child);
  n->count--;
}

/* The maximum of what is below path[level] has changed. */
static void set_max(struct tw__order *o, uint32_t level, double max) {
  for (; level <= o->height; level++) {
    node *n = &o->nodes[o->path[level].node];
    n->key[o->path[level].at] = max;
    if (o->path[level].at + 1 != n->count) return;
  }
}

/* ---- growing ---- */

static void grow_root(struct tw__order *o, double max) {
  uint32_t top = take_node(o);
  o->nodes[top].key[0] = max;
  o->nodes[top].child[0] = o->root;
  o->nodes[top].count = 1;
  o->root = top;
  o->height++;
  o->path[o->height].node = top;
  o->path[o->height].at = 0;
}

/* Sees to it that path[level] has a free place; path then leads where it led before. */
static void make_place(struct tw__order *o, uint32_t level) {
  uint32_t old = o->path[level].node, half = CAP / 2;
  node *n = &o->nodes[old];
  if (n->count < CAP) return;
  if (level == o->height)
    grow_root(o, n->key[CAP - 1]);
  else
    make_place(o, level + 1);

  uint32_t fresh = take_node(o);
  node *right = &o->nodes[fresh], *above = &o->nodes[o->path[level + 1].node];
  uint32_t at = o->path[level + 1].at;
  memcpy(right->key, &n->key[half], (CAP - half) * sizeof *n->key);
  memcpy(right->child, &n->child[half], (CAP - half) * sizeof *n->child);
  right->count = CAP - half;
  n->count = half;
  clear_keys(n->key, half, CAP);
  add_child(above, at + 1, above->key[at], fresh);
  above->key[at] = n->key[half - 1];
  if (o->path[level].at >= half) {
    o->path[level].node = fresh;
    o->path[level].at -= half;
    o->path[level + 1].at++;
  }
}

/* Splits the full leaf that path leads to; at is a place in it, returned as it is in
 * the leaf where path leads then. */
static uint32_t split_leaf(struct tw__order *o, uint32_t at) {
  uint32_t old = o->path[0].node, half = CAP / 2;
  if (!o->height)
    grow_root(o, o->leaves[old].key[CAP - 1]);
  else
    make_place(o, 1);

  uint32_t fresh = take_leaf(o);
  leaf *l = &o->leaves[old], *right = &o->leaves[fresh];
  node *above = &o->nodes[o->path[1].node];
  uint32_t place = o->path[1].at;
  memcpy(right->key, &l->key[half], (CAP - half) * sizeof *l->key);
  right->count = CAP - half;
  l->count = half;
  clear_keys(l->key, half, CAP);
  right->prev = old;
  right->next = l->next;
  l->next = fresh;
  if (right->next) o->leaves[right->next].prev = fresh;
  add_child(above, place + 1, above->key[place], fresh);
  above->key[place] = l->key[half - 1];
  if (o->finger_leaf == old && o->finger_at >= half) {
    o->finger_leaf = fresh;
    o->finger_at -= half;
  }
  if (at <= half) return at;
  o->path[0].node = fresh;
  o->path[1].at++;
  return at - half;
}

/* Puts x in where path leads. */
static void put_in(struct tw__order *o, double x) {
  uint32_t at = o->path[0].at;
  if (o->held++ == 0) {
    o->finger_leaf = o->path[0].node;
    o->finger_at = UINT32_MAX; /* becomes 0 below */
    o->finger_rank = 0;
  } else if (x <= o->leaves[o->finger_leaf].key[o->finger_at]) {
    o->finger_rank++;
  }
  if (__builtin_expect(o->leaves[o->path[0].node].count == CAP, 0))
    at = split_leaf(o, at);
  uint32_t i = o->path[0].node;
  leaf *l = &o->leaves[i];
  open_gap(l->key, at, l->count);
  l->key[at] = x;
  l->count++;
  if (o->finger_leaf == i && (o->finger_at == UINT32_MAX || at <= o->finger_at))
    o->finger_at++;
  if (at + 1 == l->count) set_max(o, 1, x);
}

void tw__order_insert(struct tw__order *o, double x) {
  find(o, o->path, x);
  put_in(o, x);
}

/* ---- shrinking ---- */

static void join_leaves(struct tw__order *o, uint32_t into, uint32_t from) {
  leaf *l = &o->leaves[into], *right = &o->leaves[from];
  memcpy(&l->key[l->count], right->key, right->count * sizeof *l->key);
  if (o->finger_leaf == from) {
    o->finger_leaf = into;
    o->finger_at += l->count;
  }
  l->count += right->count;
  drop_leaf(o, from);
}

static void join_nodes(struct tw__order *o, uint32_t into, uint32_t from) {
  node *n = &o->nodes[into], *right = &o->nodes[from];
  memcpy(&n->key[n->count], right->key, right->count * sizeof *n->key);
  memcpy(&n->child[n->count], right->child, right->count * sizeof *n->child);
  n->count += right->count;
  drop_node(o, from);
}

static uint32_t count_of(const struct tw__order *o, uint32_t level, uint32_t i) {
  return level ? o->nodes[i].count : o->leaves[i].count;
}

/* Joins two neighbours of a level, children at and at + 1 of above, when they are
 * sparse; then also their own two children that become neighbours by it. Whether that
 * happened. */
static int join(struct tw__order *o, uint32_t level, node *above, uint32_t at) {
  uint32_t left = above->child[at], right = above->child[at + 1];
  uint32_t seam = count_of(o, level, left);
  if (seam + count_of(o, level, right) > SPARSE) return 0;
  if (level)
    join_nodes(o, left, right);
  else
    join_leaves(o, left, right);
  above->key[at] = above->key[at + 1];
  take_child(above, at + 1);
  if (level) join(o, level - 1, &o->nodes[left], seam - 1);
  return 1;
}

/* Takes the empty path[level] out of the node above it. */
static void drop_empty(struct tw__order *o, uint32_t level) {
  uint32_t at = o->path[level + 1].at;
  node *above = &o->nodes[o->path[level + 1].node];
  if (level)
    drop_node(o, o->path[level].node);
  else
    drop_leaf(o, o->path[0].node);
  take_child(above, at);
  if (at == above->count && at) set_max(o, level + 2, above->key[at - 1]);
}

/* path[0] has become smaller: restores what is promised about neighbours, upwards.
 * Whether anything had to be done. */
static int tidy(struct tw__order *o) {
  uint32_t level = 0;
  for (; level < o->height; level++) {
    uint32_t at = o->path[level + 1].at,
             count = count_of(o, level, o->path[level].node);
    node *above = &o->nodes[o->path[level + 1].node];
    if (!count)
      drop_empty(o, level);
    else if (at + 1 < above->count && join(o, level, above, at)) {
    } else if (!at || !join(o, level, above, at - 1))
      break;
  }
  while (o->height && o->nodes[o->root].count == 1) {
    uint32_t top = o->root;
    o->root = o->nodes[top].child[0];
    o->height--;
    drop_node(o, top);
  }
  return level > 0;
}

/* The finger's element has left: it points to the next one, or back to the last one. */
static void finger_lost(struct tw__order *o) {
  const leaf *l = &o->leaves[o->finger_leaf];
  if (o->finger_at < l->count) return;
  if (l->next) {
    o->finger_leaf = l->next;
    o->finger_at = 0;
    return;
  }
  o->finger_rank--;
  if (!l->count && l->prev) o->finger_leaf = l->prev;
  o->finger_at = o->leaves[o->finger_leaf].count - 1;
}

/* Takes the element out that path leads to, which is x. Whether the tree has another
 * shape then. */
static int take_out(struct tw__order *o, double x) {
  uint32_t at = o->path[0].at, i = o->path[0].node;
  leaf *l = &o->leaves[i];
  int before = x <= o->leaves[o->finger_leaf].key[o->finger_at];
  close_gap(l->key, at, l->count);
  l->count--;
  o->held--;
  if (o->finger_leaf == i && at == o->finger_at)
    finger_lost(o);
  else if (before) {
    o->finger_rank--;
    if (o->finger_leaf == i) o->finger_at--;
  }
  if (__builtin_expect(l->count && at == l->count, 0)) set_max(o, 1, l->key[at - 1]);
  return l->count <= SPARSE && tidy(o);
}

void tw__order_remove(struct tw__order *o, double x) {
  find(o, o->path, x);
  take_out(o, x);
}

/* Replaces the element that path leads to by x, which belongs at place `to` of the same
 * leaf: what is between moves by one. The finger stays on its place and rank. */
static void replace_inside(struct tw__order *o, uint32_t to, double x) {
  uint32_t from = o->path[0].at;
  leaf *l = &o->leaves[o->path[0].node];
  double *key = l->key, max = key[l->count - 1];
  if (to > from) {
    to--;
    memmove(&key[from], &key[from + 1], (to - from) * sizeof *key);
  } else {
    memmove(&key[to + 1], &key[to], (from - to) * sizeof *key);
  }
  key[to] = x;
  if (key[l->count - 1] != max) set_max(o, 1, key[l->count - 1]);
}

/* Both ways are looked for before anything is moved, so that the searches overlap. The
 * way to x stays true without old unless the tree changes its shape. */
void tw__order_replace(struct tw__order *o, double old, double x) {
  struct tw__order_step path[TW__ORDER_HEIGHT + 1];
  if (avx2)
    find_two_avx2(o, path, x, o->path, old);
  else
    find_two(o, path, x, o->path, old);
  if (path[0].node == o->path[0].node) {
    replace_inside(o, path[0].at, x);
    return;
  }
  if (take_out(o, old))
    find(o, o->path, x);
  else
    memcpy(o->path, path, (o->height + 1) * sizeof *path);
  put_in(o, x);
}

/* ---- ranks ---- */

double tw__order_at(struct tw__order *o, int64_t rank, double *next) {
  const leaf *l = &o->leaves[o->finger_leaf];
  for (; o->finger_rank < rank; o->finger_rank++) {
    if (++o->finger_at < l->count) continue;
    o->finger_leaf = l->next;
    o->finger_at = 0;
    l = &o->leaves[o->finger_leaf];
  }
  for (; o->finger_rank > rank; o->finger_rank--) {
    if (o->finger_at--) continue;
    o->finger_leaf = l->prev;
    l = &o->leaves[o->finger_leaf];
    o->finger_at = l->count - 1;
  }
  double x = l->key[o->finger_at];
  if (o->finger_at + 1 < l->count)
    *next = l->key[o->finger_at + 1];
  else
    *next = l->next ? o->leaves[l->next].key[0] : x;
  return x;
}

/* ---- checking ---- */

/* Whether a subtree is sound; *max becomes its maximum, *held grows. */
static int sound(const struct tw__order *o, uint32_t level, uint32_t i, double *max,
                 int64_t *held) {
  const double *key = level ? o->nodes[i].key : o->leaves[i].key;
  uint32_t count = count_of(o, level, i), before = 0;
  if (!count || count > CAP) return 0;
  for (uint32_t k = 1; k < count; k++)
    if (key[k - 1] > key[k]) return 0;
  for (uint32_t k = count; k < CAP; k++)
    if (key[k] != __builtin_inf()) return 0;
  *max = key[count - 1];
  if (!level) *held += count;
  for (uint32_t k = 0; level && k < count; k++) {
    double child_max;
    uint32_t child = o->nodes[i].child[k], n = count_of(o, level - 1, child);
    if (!sound(o, level - 1, child, &child_max, held) || child_max != key[k]) return 0;
    if (k && before + n <= SPARSE) return 0;
    if (k && level == 1 && o->leaves[child].prev != o->nodes[i].child[k - 1]) return 0;
    before = n;
  }
  return 1;
}

int tw__order_verify(const struct tw__order *o) {
  double max;
  int64_t held = 0, rank = o->finger_at;
  if (!o->held) return !o->height && !o->leaves[o->root].count;
  if (!sound(o, o->height, o->root, &max, &held) || held != o->held) return 0;
  if (o->leaf_used > o->leaf_room || o->node_used > o->node_room) return 0;
  for (uint32_t i = o->leaves[o->finger_leaf].prev; i; i = o->leaves[i].prev)
    rank += o->leaves[i].count;
  return rank == o->finger_rank && o->finger_at < o->leaves[o->finger_leaf].count;
}
