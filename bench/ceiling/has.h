/* has.h -- whether some bytes contain ERROR: searched with AVX2 where there is AVX2, the first
 * and the last byte of the word, 32 places at a time. Reads nothing outside of them. */
#ifndef BENCH_HAS_H
#define BENCH_HAS_H

#include <immintrin.h>
#include <stddef.h>
#include <string.h>

enum { HAS_LEN = 5, HAS_SPAN = 32 + HAS_LEN - 1 };

__attribute__((target("avx2"))) static inline int has_here(const char *p) {
  const __m256i first = _mm256_set1_epi8('E'), after = _mm256_set1_epi8('R');
  __m256i a = _mm256_loadu_si256((const __m256i *)p);
  __m256i b = _mm256_loadu_si256((const __m256i *)(p + HAS_LEN - 1));
  unsigned bits = (unsigned)_mm256_movemask_epi8(
      _mm256_and_si256(_mm256_cmpeq_epi8(a, first), _mm256_cmpeq_epi8(b, after)));
  for (; bits; bits &= bits - 1)
    if (memcmp(p + __builtin_ctz(bits), "ERROR", HAS_LEN) == 0) return 1;
  return 0;
}

static inline int has_plain(const char *p, size_t len) {
  return memmem(p, len, "ERROR", HAS_LEN) != NULL;
}

__attribute__((target("avx2"))) static inline int has_avx2(const char *p, size_t len) {
  if (len < HAS_SPAN) return has_plain(p, len);
  const char *last = p + len - HAS_SPAN;
  for (; p < last; p += 32)
    if (has_here(p)) return 1;
  return has_here(last);
}

static inline int (*has_best(void))(const char *, size_t) {
  return __builtin_cpu_supports("avx2") ? has_avx2 : has_plain;
}

#endif
