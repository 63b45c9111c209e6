/* mem.h -- where all native memory comes from.
 *
 * libc's allocator with a running total of the bytes in use and a way to make a chosen
 * allocation fail: tw_mem_fail_at(n), or TW_FAIL_AT=n in the environment, which counts
 * from the first allocation of the process. Any thread.
 */
#ifndef TIDEWAY_CORE_MEM_H
#define TIDEWAY_CORE_MEM_H

#include <stddef.h>
#include <stdint.h>

/* Exported: the libraries beside the core use it, too. */
#pragma GCC visibility push(default)

/* As their namesakes in libc: new memory, or NULL and nothing has changed. A size of 0
 * gives a block of its own. tw__free(NULL) does nothing. What came from here goes back
 * here, never to free(). */
void *tw__malloc(size_t size) __attribute__((malloc));
void *tw__calloc(size_t count, size_t size) __attribute__((malloc));
void *tw__realloc(void *block, size_t size);
void tw__free(void *block);

/* As tw__realloc (of a block of which only the first `used` bytes matter) and tw__calloc,
 * for arrays that are accessed here and there: large ones get large pages. */
void *tw__mem_grow(void *block, size_t used, size_t size);
void *tw__mem_zeros(size_t count, size_t size) __attribute__((malloc));

/* The len bytes at bytes, new, and a 0 after them. */
char *tw__mem_copy(const char *bytes, int64_t len);

/* Memory whose address is a multiple of align, a power of two from sizeof(void *). It
 * goes back through tw__free; tw__realloc would lose the alignment. */
void *tw__malloc_aligned(size_t align, size_t size);

#pragma GCC visibility pop

/* As tw__malloc and tw__free, for who knows the size of its blocks: they count as just
 * that, and the allocator is not asked. They only go together. */
void *tw__malloc_sized(size_t size) __attribute__((malloc));
void tw__free_sized(void *block, size_t size);

/* Is an allocation to fail on purpose? */
int tw__mem_failing(void);

#endif
