/* mem.c -- libc's allocator, counted and able to fail on purpose.
 *
 * A block's size is asked of the allocator (malloc_usable_size), so blocks carry no
 * header and the total counts what the process really pays. The countdown to the
 * failing allocation is one relaxed decrement and is skipped while none is wanted.
 */
#include "core/mem.h"
#include "core/pool.h"
#include "tideway.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#ifdef __APPLE__
#include <malloc/malloc.h>
#define usable_size malloc_size
#else
#include <malloc.h>
#define usable_size malloc_usable_size
#endif
#ifdef __linux__
#include <sys/mman.h>
#endif

enum { LARGE = 4 << 20 /* bytes */ };

static _Atomic int64_t in_use;
static _Atomic int64_t
    fail_after; /* allocations up to and with the failing one; 0: none */

__attribute__((constructor)) static void read_environment(void) {
  const char *text = getenv("TW_FAIL_AT");
  if (text) tw_mem_fail_at(strtoll(text, NULL, 10));
}

int64_t tw_mem_bytes(void) {
  return atomic_load_explicit(&in_use, memory_order_relaxed) - tw__pool_bytes() -
         tw__pool_depot_bytes();
}

int64_t tw_mem_fail_at(int64_t n) {
  return atomic_exchange_explicit(&fail_after, n > 0 ? n : 0, memory_order_relaxed);
}

/* Whether this allocation is the one that was told to fail. */
static int must_fail(void) {
  int64_t left = atomic_load_explicit(&fail_after, memory_order_relaxed);
  while (left > 0)
    if (atomic_compare_exchange_weak_explicit(
            &fail_after, &left, left - 1, memory_order_relaxed, memory_order_relaxed))
      return left == 1;
  return 0;
}

static void count_in(void *block) {
  if (block)
    atomic_fetch_add_explicit(&in_use, (int64_t)usable_size(block),
                              memory_order_relaxed);
}

int tw__mem_failing(void) {
  return atomic_load_explicit(&fail_after, memory_order_relaxed) != 0;
}

static void count_out(int64_t size) {
  atomic_fetch_sub_explicit(&in_use, size, memory_order_relaxed);
}

void *tw__malloc(size_t size) {
  void *block = must_fail() ? NULL : malloc(size ? size : 1);
  count_in(block);
  return block;
}

void *tw__calloc(size_t count, size_t size) {
  void *block = must_fail() ? NULL : calloc(count ? count : 1, size ? size : 1);
  count_in(block);
  return block;
}

void *tw__realloc(void *block, size_t size) {
  int64_t before = block ? (int64_t)usable_size(block) : 0;
  void *moved = must_fail() ? NULL : realloc(block, size ? size : 1);
  if (!moved) return NULL;
  count_out(before);
  count_in(moved);
  return moved;
}

/* Pages of 4 KB cost a walk through the tables of pages at nearly every access to a block
 * of many megabytes. The wish must come before the memory is written to. */
static void wish_large_pages(void *block, size_t size) {
#ifdef MADV_HUGEPAGE
  size_t page = (size_t)1 << 21;
  uintptr_t first = ((uintptr_t)block + page - 1) & ~(page - 1);
  uintptr_t end = ((uintptr_t)block + size) & ~(page - 1);
  if (first < end) madvise((void *)first, end - first, MADV_HUGEPAGE);
#else
  (void)block, (void)size;
#endif
}

void *tw__mem_grow(void *block, size_t used, size_t size) {
  if (size < LARGE) return tw__realloc(block, size);
  void *moved = tw__malloc(size);
  if (!moved) return NULL;
  wish_large_pages(moved, size);
  if (used) memcpy(moved, block, used);
  tw__free(block);
  return moved;
}

void *tw__mem_zeros(size_t count, size_t size) {
  void *block = tw__calloc(count, size);
  if (block && count * size >= LARGE) wish_large_pages(block, count * size);
  return block;
}

char *tw__mem_copy(const char *bytes, int64_t len) {
  char *copy = tw__malloc((size_t)len + 1);
  if (!copy) return NULL;
  if (len) memcpy(copy, bytes, (size_t)len);
  copy[len] = 0;
  return copy;
}

void *tw__malloc_aligned(size_t align, size_t size) {
  void *block = NULL;
  if (must_fail() || posix_memalign(&block, align, size ? size : 1)) return NULL;
  count_in(block);
  return block;
}

void tw__free(void *block) {
  if (!block) return;
  count_out((int64_t)usable_size(block));
  free(block);
}

/* ---- of a known size ---- */

void *tw__malloc_sized(size_t size) {
  void *block = must_fail() ? NULL : malloc(size);
  if (block) atomic_fetch_add_explicit(&in_use, (int64_t)size, memory_order_relaxed);
  return block;
}

void tw__free_sized(void *block, size_t size) {
  count_out((int64_t)size);
  free(block);
}
