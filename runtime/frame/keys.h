/* keys.h -- numbers for the distinct keys of rows, from 1 in the order of their coming.
 *
 * A number, boolean or timestamp is looked up in a hash table, a whole one that is near
 * to others in an array before that; a string by its number in the dict of its column,
 * through an array per dict, unless both are the same but for 1. A key of several columns
 * is built pair by pair: (number of the columns so far, number in this one) is looked up
 * in a hash table again.
 */
#ifndef TIDEWAY_FRAME_KEYS_H
#define TIDEWAY_FRAME_KEYS_H

#include "tideway.h"

enum { TW__KEYS_KNOWN = 4, TW__KEYS_MAX = 16 /* columns */ };

/* Integers of 64 bits to numbers. Those of whole numbers stand in an array too, if it is
 * not much larger than they are many. */
struct tw__table {
  struct tw__place {
    uint64_t key;
    uint32_t number; /* 0: free */
  } * place;
  uint64_t seed;
  uint32_t shift; /* 64 - log2(places) */
  uint32_t count;
  uint64_t *val;  /* what each number stands for, from 1 */
  uint32_t room;  /* of val */
  int32_t type;   /* of the column; 0: no whole numbers */
  uint32_t *near; /* numbers of low .. low + width - 1; 0: not known */
  int64_t low, width;
};

/* The keys of one column. */
struct tw__key {
  int type;
  int own;                /* names is nobody else's, and string k has number k + 1 */
  struct tw__table table; /* strings: only val, the number in names */
  tw_dict *names;
  uint32_t even;        /* strings 0 .. even - 1 of names have numbers 1 .. even */
  struct tw__key_dict { /* dicts of columns, the one used last first */
    tw_dict *dict;
    uint32_t *number; /* of each string; 0: not known */
    int64_t room;
  } known[TW__KEYS_KNOWN];
  int64_t skip; /* bytes with which all strings that were sorted begin */
};

/* Numbers in the order of what they stand for. */
struct tw__level {
  struct tw__ranked {
    uint64_t rank; /* does not fall along the list; of strings it may be equal */
    uint32_t number;
  } * list;
  uint32_t *place; /* in the list, by number */
  uint32_t count, room;
};

struct tw__keys {
  int columns;
  struct tw__key *key;
  struct tw__table *pair; /* from 1 */
  uint32_t count;         /* numbers given */
  uint32_t *order;        /* numbers sorted by key, `ordered` of them */
  uint32_t ordered, order_room;
  struct tw__level *level; /* of each column, then of each pair, from columns + 1 */
  uint32_t *spare;
  int64_t spare_room;
  struct tw__ranked *other; /* to sort into */
  uint32_t other_room;
};

/* For columns of these types. TW_OK, TW_ENOMEM; TW_EINVAL when there are none. */
int tw__keys_init(struct tw__keys *keys, const int32_t *type, int columns);
void tw__keys_fini(struct tw__keys *keys);

/* The numbers of rows first .. first + n - 1 of the columns col[at[0]], ...; new ones for
 * new keys; 0 where one is missing. TW_OK; TW_ENOMEM, and then the keys are of no use. */
int tw__keys_numbers(struct tw__keys *keys, tw_column *const *col, const int32_t *at,
                     int64_t first, int64_t n, uint32_t *number);

/* Brings order up to date. TW_OK or TW_ENOMEM. */
int tw__keys_sort(struct tw__keys *keys);

/* Make *out the values that column k of the key has in these numbers. */
int tw__keys_column(const struct tw__keys *keys, int k, const uint32_t *number,
                    int64_t n, tw_column **out);

/* Give up all numbers but number[0 .. n - 1], which become 1 .. n. O(numbers). TW_OK;
 * TW_ENOMEM, and then the keys are of no use. */
int tw__keys_compact(struct tw__keys *keys, const uint32_t *number, int64_t n);

/* Other keys in which number[i] of these has number i + 1. TW_OK or TW_ENOMEM. */
int tw__keys_keep(struct tw__keys *to, const struct tw__keys *keys,
                  const uint32_t *number, int64_t n);

#endif
