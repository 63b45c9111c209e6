/* refs.h -- how many hold an object: counted so that any thread may.
 *
 * A locked instruction costs some 20 cycles, and what is made for each batch is counted a
 * dozen times. While there is one thread it does without, as does libstdc++.
 */
#ifndef TIDEWAY_CORE_REFS_H
#define TIDEWAY_CORE_REFS_H

#include <stdint.h>

#if defined(__has_include)
#if __has_include(<sys/single_threaded.h>)
#include <sys/single_threaded.h>
#define tw__refs_alone() (__libc_single_threaded != 0)
#endif
#endif
#ifndef tw__refs_alone
#define tw__refs_alone() 0
#endif

/* Is the caller, who holds the object, the only one? Then it may change it. */
static inline int tw__refs_mine(const int32_t *refs) {
  return __atomic_load_n(refs, __ATOMIC_ACQUIRE) == 1;
}

/* One holder more. */
static inline void tw__refs_up(int32_t *refs) {
  if (tw__refs_alone())
    *refs += 1;
  else
    __atomic_fetch_add(refs, 1, __ATOMIC_RELAXED);
}

/* One holder less: was it the last one? */
static inline int tw__refs_down(int32_t *refs) {
  if (tw__refs_mine(refs)) return 1;
  if (tw__refs_alone()) return --*refs == 0;
  return __atomic_sub_fetch(refs, 1, __ATOMIC_ACQ_REL) == 0;
}

#endif
