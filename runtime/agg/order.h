/* order.h -- a sorted multiset of numbers with a finger on one rank.
 *
 * A B+ tree: leaves of up to 64 sorted numbers, chained; above them nodes that know the
 * maximum of each child. Free places of a node hold +inf, so a search is a branch-free
 * count over all 64. The finger stands on an element and knows its rank; what comes and
 * goes moves it by one at most, so no node has to count what is below it.
 *
 *     node            | 5 9 inf ...  |
 *     leaves   | 1 2 5 inf ... | <-> | 7 8 9 inf ... |
 *                       ^ finger: leaf 0, place 2, rank 2
 *
 * Nothing is allocated after init: two neighbours below one node hold more than 32
 * together, which bounds the leaves by size / 15 and a few.
 */
#ifndef TIDEWAY_AGG_ORDER_H
#define TIDEWAY_AGG_ORDER_H

#include "core/text.h"

#include <stdint.h>

enum { TW__ORDER_CAP = 64, TW__ORDER_HEIGHT = 12 };

struct tw__order_leaf {
  double key[TW__ORDER_CAP];  /* sorted */
  uint32_t count, prev, next; /* 0: none; next also chains unused ones */
  uint32_t pad[13];
};

struct tw__order_node {
  double key[TW__ORDER_CAP];     /* the maximum of each child */
  uint32_t child[TW__ORDER_CAP]; /* leaves or nodes; child[0] also chains unused ones */
  uint32_t count;
  uint32_t pad[15];
};

struct tw__order {
  struct tw__order_leaf *leaves; /* from 1 */
  struct tw__order_node *nodes;  /* from 1 */
  uint32_t leaf_room, node_room; /* how many there are */
  uint32_t leaf_used, node_used; /* how many were ever taken */
  uint32_t leaf_free, node_free; /* chains of those given back */
  uint32_t root, height;         /* height 0: the root is a leaf */
  int64_t held;
  uint32_t finger_leaf, finger_at;
  int64_t finger_rank;
  struct tw__order_step {
    uint32_t node, at;
  } path[TW__ORDER_HEIGHT + 1]; /* of the last descent; [0] is the leaf */
};

/* An empty multiset for up to size numbers. TW_OK, or TW_ENOMEM; fini is due either
 * way. */
int tw__order_init(struct tw__order *order, int64_t size);
void tw__order_fini(struct tw__order *order);

/* Put x, no NaN, in. */
void tw__order_insert(struct tw__order *order, double x);

/* Take one element equal to x out; there must be one. */
void tw__order_remove(struct tw__order *order, double x);

/* The same as remove(old) and insert(x). */
void tw__order_replace(struct tw__order *order, double old, double x);

/* Put the finger on the element of a rank, 0 .. held - 1. Returns it, and in *next the
 * one after it (the same one at the end). O(distance). */
double tw__order_at(struct tw__order *order, int64_t rank, double *next);

/* Checks every invariant; 1 when all hold. For specs. */
int tw__order_verify(const struct tw__order *order);

#endif
