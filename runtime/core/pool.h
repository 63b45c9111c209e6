/* pool.h -- memory that comes and goes all the time: each thread keeps what it let go of.
 *
 * A block from the thread's own lists costs a few nanoseconds, one from libc with its
 * bookkeeping (mem.h) tens. For what is made for each batch, like columns. Any thread; a
 * block may be given back by another one than took it.
 */
#ifndef TIDEWAY_CORE_POOL_H
#define TIDEWAY_CORE_POOL_H

#include <stddef.h>
#include <stdint.h>

enum { TW__POOL_SMALL = 16, TW__POOL_CLASSES = 56 };

/* Blocks are of TW__POOL_CLASSES sizes:
 *
 *     class    0    1    2  ..   15  |   16    17    18    19    20 ..          55
 *     bytes   72  136  200  .. 1032  | 1288  1544  1800  2056  2568 .. 1048576 + 8
 *
 * 64 bytes apart, then four for each doubling; with the 8 bytes on top, what libc adds to a
 * block makes a multiple of 16. The class of the smallest that holds size bytes, or -1; and
 * the bytes of a class. */
static inline int tw__pool_class(size_t size) {
  size = size > 8 ? size - 9 : 0;
  if (size < 1024) return (int)(size / 64);
  int high = 63 - __builtin_clzll(size); /* from 10 on */
  int number = TW__POOL_SMALL + 4 * (high - 10) + (int)(size >> (high - 2) & 3);
  return number < TW__POOL_CLASSES ? number : -1;
}

static inline size_t tw__pool_size(int size_class) {
  if (size_class < TW__POOL_SMALL) return (size_t)(size_class + 1) * 64 + 8;
  int k = size_class - TW__POOL_SMALL;
  return ((size_t)(k % 4 + 5) << (k / 4 + 8)) + 8;
}

/* A block of that class, not cleared; NULL: no memory. It goes back with the same number
 * (a NULL block does not). */
void *tw__pool_take(int size_class);
void tw__pool_give(int size_class, void *block);

/* What the lists of this thread hold, and what is kept for all, in bytes; let go of both. */
int64_t tw__pool_bytes(void);
int64_t tw__pool_depot_bytes(void);
void tw__pool_trim(void);

#endif
