/* pool.c -- lists of free blocks, one for each class and thread.
 *
 * A free block begins with the address of the next one. Lists hold KEPT_MAX bytes at most
 * and are freed when their thread ends, those of the process when the library goes. A thread
 * that is given more than it takes, since others send it theirs, keeps none of that. While
 * an allocation is to fail on purpose, and under AddressSanitizer, which is to see each
 * use of what is free, blocks come from libc.
 */
#include "core/pool.h"
#include "core/mem.h"

#include <pthread.h>

enum { KEPT_MAX = 32 << 20 };

struct pool {
  void *head[TW__POOL_CLASSES];
  int64_t bytes; /* in the lists */
  int64_t lent;  /* taken and not given back */
};

/* The model needs no call for the address; glibc has room for it in libraries loaded late. */
#ifdef __GLIBC__
static __thread struct pool *mine __attribute__((tls_model("initial-exec")));
#else
static __thread struct pool *mine;
#endif

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { KEEPS = 0 };
#else
enum { KEEPS = 1 };
#endif

static pthread_key_t key;
static int ready;

/* ---- the lists of a thread ---- */

static void trim(struct pool *pool) {
  for (int k = 0; k < TW__POOL_CLASSES; k++)
    for (void *block = pool->head[k], *next; block; block = next) {
      next = *(void **)block;
      tw__free_sized(block, tw__pool_size(k));
    }
  *pool = (struct pool){.lent = pool->lent};
}

static void finish(void *pool) {
  trim(pool);
  tw__free_sized(pool, sizeof(struct pool));
  mine = NULL;
}

__attribute__((constructor)) static void start(void) {
  ready = KEEPS && !pthread_key_create(&key, finish);
}

__attribute__((destructor)) static void stop(void) {
  if (ready) pthread_key_delete(key);
  ready = 0;
  if (mine) finish(mine);
}

static struct pool *open_pool(void) {
  struct pool *pool = ready ? tw__malloc_sized(sizeof *pool) : NULL;
  if (!pool) return NULL;
  *pool = (struct pool){.bytes = 0};
  if (pthread_setspecific(key, pool)) {
    tw__free_sized(pool, sizeof *pool);
    return NULL;
  }
  return mine = pool;
}

int64_t tw__pool_bytes(void) {
  return mine ? mine->bytes + (int64_t)sizeof *mine : 0;
}

void tw__pool_trim(void) {
  if (mine) trim(mine);
}

/* ---- blocks ---- */

void *tw__pool_take(int size_class) {
  struct pool *pool = mine ? mine : tw__mem_failing() ? NULL : open_pool();
  void *block = pool ? pool->head[size_class] : NULL;
  if (pool) pool->lent += (int64_t)tw__pool_size(size_class);
  if (!block || tw__mem_failing()) return tw__malloc_sized(tw__pool_size(size_class));
  void *next = *(void **)block;
  pool->head[size_class] = next;
  pool->bytes -= (int64_t)tw__pool_size(size_class);
  __builtin_prefetch(next, 1); /* it may have been free for long */
  return block;
}

void tw__pool_give(int size_class, void *block) {
  struct pool *pool = tw__mem_failing() ? NULL : mine ? mine : open_pool();
  int64_t size = (int64_t)tw__pool_size(size_class);
  int own = pool && pool->lent >= size;
  if (own) pool->lent -= size;
  if (!own || pool->bytes > KEPT_MAX - size) {
    tw__free_sized(block, (size_t)size);
    return;
  }
  *(void **)block = pool->head[size_class];
  pool->head[size_class] = block;
  pool->bytes += size;
}
