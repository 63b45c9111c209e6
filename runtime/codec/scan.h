/* scan.h -- looking for the byte that ends something, sixteen bytes at a time. */
#ifndef TIDEWAY_CODEC_SCAN_H
#define TIDEWAY_CODEC_SCAN_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

/* The first of a quote, a backslash or a control character at or after p; end when
 * there is none. */
static inline const char *tw__scan_string(const char *p, const char *end) {
#ifdef __SSE2__
  const __m128i quote = _mm_set1_epi8('"'), back = _mm_set1_epi8('\\');
  const __m128i control = _mm_set1_epi8(0x1F);
  for (; end - p >= 16; p += 16) {
    __m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
    __m128i hit =
        _mm_or_si128(_mm_or_si128(_mm_cmpeq_epi8(v, quote), _mm_cmpeq_epi8(v, back)),
                     _mm_cmpeq_epi8(_mm_min_epu8(v, control), v));
    int mask = _mm_movemask_epi8(hit);
    if (mask) return p + __builtin_ctz((unsigned)mask);
  }
#endif
  for (; p < end; p++)
    if (*p == '"' || *p == '\\' || (unsigned char)*p < 0x20) break;
  return p;
}

/* The first byte equal to a or b at or after p; end when there is none. */
static inline const char *tw__scan_either(const char *p, const char *end, char a,
                                          char b) {
#ifdef __SSE2__
  const __m128i va = _mm_set1_epi8(a), vb = _mm_set1_epi8(b);
  for (; end - p >= 16; p += 16) {
    __m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
    int mask =
        _mm_movemask_epi8(_mm_or_si128(_mm_cmpeq_epi8(v, va), _mm_cmpeq_epi8(v, vb)));
    if (mask) return p + __builtin_ctz((unsigned)mask);
  }
#endif
  for (; p < end; p++)
    if (*p == a || *p == b) break;
  return p;
}

/* Are the n bytes at a and b equal? For short runs, without a call. */
static inline bool tw__scan_same(const char *a, const char *b, size_t n) {
  uint64_t x, y;
  if (n >= 8) {
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
      memcpy(&x, a + i, 8);
      memcpy(&y, b + i, 8);
      if (x != y) return false;
    }
    memcpy(&x, a + n - 8, 8);
    memcpy(&y, b + n - 8, 8);
    return x == y;
  }
  if (n >= 4) {
    uint32_t u, v, s, t;
    memcpy(&u, a, 4);
    memcpy(&v, b, 4);
    memcpy(&s, a + n - 4, 4);
    memcpy(&t, b + n - 4, 4);
    return !((u ^ v) | (s ^ t));
  }
  for (size_t i = 0; i < n; i++)
    if (a[i] != b[i]) return false;
  return true;
}

/* The value of a hexadecimal digit, -1 for any other byte. */
static inline int tw__scan_hex(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  c = (char)(c | 0x20);
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The value of four hexadecimal digits at p; -1 when they are not. */
static inline int32_t tw__scan_hex4(const char *p, const char *end) {
  int32_t c = 0;
  if (end - p < 4) return -1;
  for (int i = 0; i < 4; i++) {
    int d = tw__scan_hex(p[i]);
    if (d < 0) return -1;
    c = c << 4 | d;
  }
  return c;
}

/* Writes a code point as UTF-8 (1 .. 4 bytes). Returns the end. */
static inline char *tw__scan_utf8(char *out, uint32_t c) {
  if (c < 0x80) {
    *out++ = (char)c;
    return out;
  }
  if (c < 0x800) {
    *out++ = (char)(0xC0 | c >> 6);
  } else {
    if (c < 0x10000) {
      *out++ = (char)(0xE0 | c >> 12);
    } else {
      *out++ = (char)(0xF0 | c >> 18);
      *out++ = (char)(0x80 | (c >> 12 & 0x3F));
    }
    *out++ = (char)(0x80 | (c >> 6 & 0x3F));
  }
  *out++ = (char)(0x80 | (c & 0x3F));
  return out;
}

#endif
