/* lines.c -- cutting bytes into records at a delimiter.
 *
 * For a delimiter of one byte 64 bytes at a time become a bit mask of where it stands,
 * and each set bit a slice. Longer delimiters are searched for.
 */
#include "tideway.h"

#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>

/* Cuts the whole blocks of 64 bytes; *start is where the current record starts. Returns
 * the count, and in *from where the rest, not looked at, starts. */
__attribute__((target("avx2"))) static int split_blocks(const char *end, char delim,
                                                        tw_slice *out, int max,
                                                        const char **start,
                                                        const char **from) {
  const __m256i wanted = _mm256_set1_epi8(delim);
  const char *at = *from, *record = *start;
  int n = 0;
  for (; end - at >= 64; at += 64) {
    const __m256i low = _mm256_loadu_si256((const __m256i *)(const void *)at);
    const __m256i high = _mm256_loadu_si256((const __m256i *)(const void *)(at + 32));
    uint64_t mask =
        (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(low, wanted)) |
        (uint64_t)(uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(high, wanted)) << 32;
    for (; mask; mask &= mask - 1) {
      const char *stop = at + __builtin_ctzll(mask);
      out[n].ptr = record;
      out[n].len = stop - record;
      record = stop + 1;
      if (++n == max) {
        *start = *from = record;
        return n;
      }
    }
  }
  *start = record;
  *from = at;
  return n;
}
#endif

static int split_byte(const char *bytes, int64_t len, char delim, tw_slice *out,
                      int max, int64_t *used) {
  const char *start = bytes, *from = bytes, *end = bytes + len;
  int n = 0;
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2"))
    n = split_blocks(end, delim, out, max, &start, &from);
#endif
  while (n < max && from < end) {
    const char *stop = memchr(from, delim, (size_t)(end - from));
    if (!stop) break;
    out[n++] = (tw_slice){start, stop - start};
    start = from = stop + 1;
  }
  *used = start - bytes;
  return n;
}

static int split_text(const char *bytes, int64_t len, const char *delim, int64_t dlen,
                      tw_slice *out, int max, int64_t *used) {
  int64_t start = 0;
  int n = 0;
  while (n < max) {
    const int64_t at = tw_view_find(bytes + start, len - start, delim, dlen);
    if (at < 0) break;
    out[n++] = (tw_slice){bytes + start, at};
    start += at + dlen;
  }
  *used = start;
  return n;
}

int tw_lines_split(const char *bytes, int64_t len, const char *delim, int64_t dlen,
                   tw_slice *out, int max, int64_t *used) {
  *used = 0;
  if (len < 0 || dlen < 1 || max < 0) return TW_EINVAL;
  if (len == 0 || max == 0) return 0;
  return dlen == 1 ? split_byte(bytes, len, *delim, out, max, used)
                   : split_text(bytes, len, delim, dlen, out, max, used);
}
