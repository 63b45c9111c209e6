/* pool.c -- lists of free blocks, one for each class and thread.
 *
 * A free block begins with the address of the next one. Lists hold KEPT_MAX bytes at most
 * and are freed when their thread ends, those of the process when the library goes. A thread
 * that is given more of a class than it takes, since others send it theirs, keeps none of
 * that: it goes to the *depot*, one for all threads, where they find it again. (To libc it
 * would go back under the lock of their arena, which is trimmed and grown all the time: 100,000
 * page faults for 20,000 frames from two workers.) While an allocation is to fail on purpose,
 * and under AddressSanitizer, which is to see each use of what is free, blocks come from libc.
 */
#include "core/pool.h"
#include "core/mem.h"

#include <pthread.h>
#include <stdatomic.h>

enum {
  KEPT_MAX = 32 << 20, /* by a thread */
  DEPOT_MAX = 48 << 20 /* what frames of one collection stand for (tideway.registry) */
};

struct pool {
  void *head[TW__POOL_CLASSES];
  int64_t lent[TW__POOL_CLASSES]; /* blocks taken and not given back */
  int64_t bytes;                  /* in the lists */
};

static struct depot {
  pthread_mutex_t lock;
  void *head[TW__POOL_CLASSES];
  _Atomic uint64_t filled; /* bit k: there are some of class k */
  _Atomic int64_t bytes;
} depot = {.lock = PTHREAD_MUTEX_INITIALIZER};

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

static void free_list(void **head, int size_class) {
  for (void *block = *head, *next; block; block = next) {
    next = *(void **)block;
    tw__free_sized(block, tw__pool_size(size_class));
  }
  *head = NULL;
}

/* ---- the depot ---- */

static void *take_from_depot(int size_class) {
  const uint64_t bit = (uint64_t)1 << size_class;
  if (!(atomic_load_explicit(&depot.filled, memory_order_relaxed) & bit)) return NULL;
  pthread_mutex_lock(&depot.lock);
  void *block = depot.head[size_class];
  if (block) {
    depot.head[size_class] = *(void **)block;
    depot.bytes -= (int64_t)tw__pool_size(size_class);
  }
  if (!depot.head[size_class]) depot.filled &= ~bit;
  pthread_mutex_unlock(&depot.lock);
  return block;
}

/* Returns whether there was place for it. */
static int give_to_depot(int size_class, void *block) {
  const int64_t size = (int64_t)tw__pool_size(size_class);
  pthread_mutex_lock(&depot.lock);
  const int place = depot.bytes <= DEPOT_MAX - size;
  if (place) {
    *(void **)block = depot.head[size_class];
    depot.head[size_class] = block;
    depot.filled |= (uint64_t)1 << size_class;
    depot.bytes += size;
  }
  pthread_mutex_unlock(&depot.lock);
  return place;
}

static void trim_depot(void) {
  pthread_mutex_lock(&depot.lock);
  for (int k = 0; k < TW__POOL_CLASSES; k++) free_list(&depot.head[k], k);
  depot.filled = 0;
  depot.bytes = 0;
  pthread_mutex_unlock(&depot.lock);
}

/* ---- the lists of a thread ---- */

static void trim(struct pool *pool) {
  for (int k = 0; k < TW__POOL_CLASSES; k++) free_list(&pool->head[k], k);
  pool->bytes = 0;
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
  trim_depot();
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

int64_t tw__pool_depot_bytes(void) {
  return atomic_load_explicit(&depot.bytes, memory_order_relaxed);
}

void tw__pool_trim(void) {
  if (mine) trim(mine);
  trim_depot();
}

/* ---- blocks ---- */

static void *take_other(int size_class) {
  void *block = ready ? take_from_depot(size_class) : NULL;
  return block ? block : tw__malloc_sized(tw__pool_size(size_class));
}

void *tw__pool_take(int size_class) {
  struct pool *pool = mine ? mine : tw__mem_failing() ? NULL : open_pool();
  void *block = pool ? pool->head[size_class] : NULL;
  if (pool) pool->lent[size_class]++;
  if (tw__mem_failing()) return tw__malloc_sized(tw__pool_size(size_class));
  if (!block) return take_other(size_class);
  void *next = *(void **)block;
  pool->head[size_class] = next;
  pool->bytes -= (int64_t)tw__pool_size(size_class);
  __builtin_prefetch(next, 1); /* it may have been free for long */
  return block;
}

void tw__pool_give(int size_class, void *block) {
  struct pool *pool = tw__mem_failing() ? NULL : mine ? mine : open_pool();
  const int64_t size = (int64_t)tw__pool_size(size_class);
  const int own = pool && pool->lent[size_class] > 0;
  if (own) pool->lent[size_class]--;
  if (!own || pool->bytes > KEPT_MAX - size) {
    if (!pool || !give_to_depot(size_class, block)) tw__free_sized(block, (size_t)size);
    return;
  }
  *(void **)block = pool->head[size_class];
  pool->head[size_class] = block;
  pool->bytes += size;
}
