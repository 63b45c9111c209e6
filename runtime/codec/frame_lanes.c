/* frame_lanes.c -- four decimals at a time, one in each 64-bit lane of a vector.
 *
 * The eight bytes from the cell's beginning are moved up so that its last byte is the top
 * one and what is below it zeros; the point is taken out by moving the digits before it up
 * by one place; eight digits become a number by three multiplications of pairs; and one
 * division, which is exact as in number.h, puts the point back:
 *
 *     "-12.7\nBe"  ^ "00000000"   without sign   moved up       without point    / 10^1
 *     - 1 2 . 7 ...                1 2 . 7 ...   0 0 0 0 1 2 . 7   0 0 0 0 0 1 2 7   12.7
 */
#include "codec/frame_lanes.h"

#include <string.h>

bool tw__lanes_off;

#if defined(__x86_64__)
#include <immintrin.h>

bool tw__lanes_there(void) {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi2") &&
         !tw__lanes_off;
}

/* The number of those rows, up to n, whose cells have eight bytes that can be read. */
static int64_t readable(int64_t len, const uint32_t *pos, int64_t width, int64_t n) {
  while (n > 0 && len < (int64_t)pos[(n - 1) * width] + 8) n--;
  return n;
}

/* What four lanes hold. */
typedef __m256i lanes;

/* The eight bytes at each address; gathering them in one instruction is slower on
 * processors that must keep its data from leaking. */
__attribute__((target("avx2"))) static inline lanes
four_words(const void *a, const void *b, const void *c, const void *d) {
  long long w[TW__LANES];
  memcpy(&w[0], a, sizeof *w);
  memcpy(&w[1], b, sizeof *w);
  memcpy(&w[2], c, sizeof *w);
  memcpy(&w[3], d, sizeof *w);
  return _mm256_set_epi64x(w[3], w[2], w[1], w[0]);
}

/* Eight digits, the first in the lowest byte, as a number. */
__attribute__((target("avx2"))) static inline lanes eight_digits(lanes v) {
  v = _mm256_maddubs_epi16(v, _mm256_set1_epi16(10 | 1 << 8));
  v = _mm256_madd_epi16(v, _mm256_set1_epi32(100 | 1 << 16));
  v = _mm256_or_si256(v, _mm256_srli_epi64(v, 16));
  return _mm256_madd_epi16(v, _mm256_set1_epi64x(10000 | 1 << 16));
}

__attribute__((target("avx2"))) static int64_t read_lanes(const char *text,
                                                          const uint32_t *pos,
                                                          int64_t width, bool is_last,
                                                          int64_t n, double *out) {
  const lanes one = _mm256_set1_epi64x(1), seven = _mm256_set1_epi64x(7),
              eight = _mm256_set1_epi64x(8);
  const lanes zero = _mm256_setzero_si256(), ones = _mm256_set1_epi8(1);
  const lanes low = _mm256_set1_epi64x(UINT32_MAX);
  /* the upper halves of 1e0 .. 1e7, whose lower ones are 0 */
  const lanes tens = _mm256_setr_epi32(0x3FF00000, 0x40240000, 0x40590000, 0x408F4000,
                                       0x40C38800, 0x40F86A00, 0x412E8480, 0x416312D0);
  int64_t i = 0;
  for (; i + TW__LANES <= n; i += TW__LANES, pos += TW__LANES * width) {
    const lanes ends =
        four_words(pos - 1, pos - 1 + width, pos - 1 + 2 * width,
                   pos - 1 + 3 * width); /* where it begins, less 1; ends */
    lanes v = four_words(text + (uint32_t)(pos[-1] + 1),
                         text + (uint32_t)(pos[width - 1] + 1),
                         text + (uint32_t)(pos[2 * width - 1] + 1),
                         text + (uint32_t)(pos[3 * width - 1] + 1));
    lanes size =
        _mm256_sub_epi32(_mm256_srli_epi64(ends, 32), _mm256_add_epi32(ends, one));
    size = _mm256_and_si256(size, low);
    lanes bad = _mm256_cmpgt_epi64(size, eight);

    v = _mm256_xor_si256(v, _mm256_set1_epi8('0'));
    const lanes minus = _mm256_cmpeq_epi64(
        _mm256_and_si256(v, _mm256_set1_epi64x(0xFF)), _mm256_set1_epi64x('-' ^ '0'));
    v = _mm256_srlv_epi64(v, _mm256_and_si256(minus, eight));
    size = _mm256_add_epi64(size, minus);
    v = _mm256_sllv_epi64(v, _mm256_slli_epi64(_mm256_sub_epi64(eight, size), 3));
    if (is_last) {
      const lanes cr =
          _mm256_cmpeq_epi64(_mm256_srli_epi64(v, 56), _mm256_set1_epi64x('\r' ^ '0'));
      v = _mm256_sllv_epi64(v, _mm256_and_si256(cr, eight));
      size = _mm256_add_epi64(size, cr);
    }

    const lanes odd = _mm256_cmpeq_epi8(_mm256_max_epu8(v, _mm256_set1_epi8(10)), v);
    const lanes point = _mm256_cmpeq_epi8(v, _mm256_set1_epi8('.' ^ '0'));
    const lanes at = _mm256_and_si256(point, ones); /* a 1 in the place of the point */
    const lanes under = _mm256_sub_epi64(at, one);
    const lanes whole = _mm256_cmpeq_epi64(at, zero); /* no point */
    bad = _mm256_or_si256(bad, _mm256_xor_si256(odd, point));
    bad = _mm256_or_si256(bad, _mm256_and_si256(at, under)); /* two points */
    bad = _mm256_or_si256(
        bad, _mm256_cmpgt_epi64(_mm256_add_epi64(_mm256_set1_epi64x(2), whole), size));
    if (!_mm256_testz_si256(bad, bad)) break;

    const lanes before = _mm256_andnot_si256(whole, under);
    v = _mm256_andnot_si256(point, v);
    const lanes digits = _mm256_and_si256(v, before);
    v = _mm256_or_si256(_mm256_xor_si256(v, digits), _mm256_slli_epi64(digits, 8));
    v = eight_digits(v);

    lanes places = _mm256_sad_epu8(_mm256_and_si256(before, ones), zero);
    places = _mm256_andnot_si256(whole, _mm256_sub_epi64(seven, places));
    const lanes power =
        _mm256_slli_epi64(_mm256_permutevar8x32_epi32(tens, places), 32);
    const __m256d base = _mm256_set1_pd(0x1p52); /* whose last bits count ones */
    __m256d x = _mm256_castsi256_pd(_mm256_or_si256(v, _mm256_castpd_si256(base)));
    x = _mm256_div_pd(_mm256_sub_pd(x, base), _mm256_castsi256_pd(power));
    x = _mm256_or_pd(x, _mm256_castsi256_pd(_mm256_slli_epi64(minus, 63)));
    _mm256_storeu_pd(out + i, x);
  }
  return i;
}

int64_t tw__lanes_f64(const char *text, int64_t len, const uint32_t *pos, int64_t width,
                      bool is_last, int64_t n, double *out) {
  if (!tw__lanes_there()) return 0;
  n = readable(len, pos, width, n);
  return is_last ? read_lanes(text, pos, width, true, n, out)
                 : read_lanes(text, pos, width, false, n, out);
}

#else

bool tw__lanes_there(void) {
  return false;
}

int64_t tw__lanes_f64(const char *text, int64_t len, const uint32_t *pos, int64_t width,
                      bool is_last, int64_t n, double *out) {
  (void)text, (void)len, (void)pos, (void)width, (void)is_last, (void)n, (void)out;
  return 0;
}

#endif
