/* view.c -- looking into borrowed bytes: find, compare, read a number.
 *
 * The search compares the first and the last byte of the needle at 64 (AVX2) or 16
 * (SSE2) positions at once and looks closer only where both agree; the last block
 * overlaps the one before, so that nothing outside of the bytes is ever read. After
 * Mula, "SIMD-friendly algorithms for substring searching", 2016. Bytes made to agree
 * in vain everywhere ("aaaa" in "aaaa...") would make that quadratic: once the closer
 * looks have cost more than a few times the bytes searched, memmem, which is linear,
 * does the rest.
 */
#define _GNU_SOURCE /* memmem */
#include "tideway.h"

#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

static int64_t find_linear(const char *hay, int64_t len, int64_t from,
                           const char *needle, int64_t nlen) {
  const char *at = memmem(hay + from, (size_t)(len - from), needle, (size_t)nlen);
  return at ? at - hay : -1;
}

#if defined(__x86_64__)

/* Where nlen bytes may start at hay + i .. hay + i + 63 (AVX2) or + 15 (SSE2), as bits.
 */
__attribute__((target("avx2"))) static inline uint64_t
candidates_avx2(const char *first, const char *final, __m256i a, __m256i b) {
  const __m256i *f = (const void *)first, *l = (const void *) final;
  const __m256i low = _mm256_and_si256(_mm256_cmpeq_epi8(_mm256_loadu_si256(f), a),
                                       _mm256_cmpeq_epi8(_mm256_loadu_si256(l), b));
  const __m256i high =
      _mm256_and_si256(_mm256_cmpeq_epi8(_mm256_loadu_si256(f + 1), a),
                       _mm256_cmpeq_epi8(_mm256_loadu_si256(l + 1), b));
  return (uint32_t)_mm256_movemask_epi8(low) |
         (uint64_t)(uint32_t)_mm256_movemask_epi8(high) << 32;
}

static inline uint64_t candidates_sse2(const char *first, const char *final, __m128i a,
                                       __m128i b) {
  const __m128i f = _mm_loadu_si128((const void *)first);
  const __m128i l = _mm_loadu_si128((const void *) final);
  return (uint32_t)_mm_movemask_epi8(
      _mm_and_si128(_mm_cmpeq_epi8(f, a), _mm_cmpeq_epi8(l, b)));
}

/* `last` is the last position at which the needle could start, from WIDTH - 1.
 * Positions that are looked at twice are harmless: they did not match before. */
#define FIND_BODY(WIDTH, VEC, SET1, CANDIDATES)                                        \
  const VEC a = SET1(needle[0]), b = SET1(needle[nlen - 1]);                           \
  int64_t spent = 0;                                                                   \
  for (int64_t i = 0;;) {                                                              \
    uint64_t mask = CANDIDATES(hay + i, hay + i + nlen - 1, a, b);                     \
    for (; mask; mask &= mask - 1) {                                                   \
      const int64_t at = i + __builtin_ctzll(mask);                                    \
      if (nlen <= 2 || !memcmp(hay + at + 1, needle + 1, (size_t)(nlen - 2)))          \
        return at;                                                                     \
      spent += nlen;                                                                   \
    }                                                                                  \
    if (i == last - (WIDTH - 1)) return -1;                                            \
    if (spent > 4096 + 4 * i) return find_linear(hay, last + nlen, i, needle, nlen);   \
    i += WIDTH;                                                                        \
    if (i > last - (WIDTH - 1)) i = last - (WIDTH - 1);                                \
  }

__attribute__((target("avx2"))) static int64_t
find_avx2(const char *hay, int64_t last, const char *needle, int64_t nlen) {
  FIND_BODY(64, __m256i, _mm256_set1_epi8, candidates_avx2)
}

static int64_t find_sse2(const char *hay, int64_t last, const char *needle,
                         int64_t nlen) {
  FIND_BODY(16, __m128i, _mm_set1_epi8, candidates_sse2)
}

#endif

static inline int64_t find(const char *ptr, int64_t len, const char *needle,
                           int64_t nlen) {
  const int64_t last = len - nlen;
  if (nlen <= 0) return nlen == 0 && len >= 0 ? 0 : -1;
  if (last < 0) return -1;
  if (nlen == 1) {
    const char *at = memchr(ptr, needle[0], (size_t)len);
    return at ? at - ptr : -1;
  }
#if defined(__x86_64__)
  if (last >= 63 && __builtin_cpu_supports("avx2"))
    return find_avx2(ptr, last, needle, nlen);
  if (last >= 15) return find_sse2(ptr, last, needle, nlen);
#endif
  return find_linear(ptr, len, 0, needle, nlen);
}

int64_t tw_view_find(const char *ptr, int64_t len, const char *needle, int64_t nlen) {
  return find(ptr, len, needle, nlen);
}

int tw_view_has(const char *ptr, int64_t len, const char *needle, int64_t nlen) {
  return find(ptr, len, needle, nlen) >= 0;
}

int tw_view_same(const char *ptr, const char *text, int64_t len) {
  return len == 0 || (len > 0 && !memcmp(ptr, text, (size_t)len));
}

int tw_view_number(const char *ptr, int64_t len, double *out) {
  static const double power[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                 1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
  const char *p = ptr, *end = ptr + len;
  int negative = 0, digits = 0, places = 0;
  uint64_t whole = 0;

  while (p < end && (*p == ' ' || *p == '\t')) p++;
  while (end > p && (end[-1] == ' ' || end[-1] == '\t')) end--;
  if (end - p > 32)
    return 0; /* more than this reads; the counts below cannot overflow */
  if (p < end && (*p == '-' || *p == '+')) negative = *p++ == '-';
  for (; p < end && (unsigned char)(*p - '0') < 10; p++, digits++)
    whole = whole * 10 + (unsigned char)(*p - '0');
  if (p < end && *p == '.')
    for (p++; p < end && (unsigned char)(*p - '0') < 10; p++, digits++, places++)
      whole = whole * 10 + (unsigned char)(*p - '0');

  /* Both operands exact: then the one division rounds rightly (Clinger, PLDI 1990). */
  if (p != end || digits == 0 || digits > 18 || places > 22 || whole >> 53) return 0;
  const double x = (double)whole / power[places];
  *out = negative ? -x : x;
  return 1;
}
