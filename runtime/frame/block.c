/* block.c -- loops over a block of values, for formulas and masks.
 *
 * Written once, compiled twice: for any processor, and for AVX2. Each step does one rounding
 * (or none), so both give the same bits. The makefile has this file compiled at -O3, which
 * makes vectors of the loops.
 */
#include "frame/block.h"
#include "frame/column.h"

#include <string.h>

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>
#define WIDE __attribute__((target("avx2,popcnt")))
int tw__block_wide(void) {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("popcnt");
}
#else
int tw__block_wide(void) {
  return 0;
}
#endif

/* ---- steps ---- */

/* The whole case of a step: out of x (and y) of some types. */
#define STEP(op, type, to, from, second, expr)                                         \
  case (op) << 3 | (type): {                                                           \
    to *restrict o = out;                                                              \
    const from *p = a;                                                                 \
    const second *q = b;                                                               \
    (void)p, (void)q;                                                                  \
    for (int64_t i = 0; i < n; i++) o[i] = (to)(expr);                                 \
    return 1;                                                                          \
  }

#define COMPARE(op, sign)                                                              \
  STEP(op, TW_COL_F64, uint8_t, double, double, p[i] sign q[i])                        \
  STEP(op, TW_COL_I64, uint8_t, int64_t, int64_t, p[i] sign q[i])                      \
  STEP(op, TW_COL_TIMESTAMP, uint8_t, int64_t, int64_t, p[i] sign q[i])

/* Whole numbers wrap. */
#define CALCULATE(op, sign)                                                            \
  STEP(op, TW_COL_F64, double, double, double, p[i] sign q[i])                         \
  STEP(op, TW_COL_I64, uint64_t, uint64_t, uint64_t, p[i] sign q[i])

static inline __attribute__((always_inline)) int
step(int op, int type, void *restrict out, const void *a, const void *b, int64_t n) {
  switch (op << 3 | type) {
    COMPARE(TW_EQ, ==)
    COMPARE(TW_NE, !=)
    COMPARE(TW_LT, <)
    COMPARE(TW_LE, <=)
    COMPARE(TW_GT, >)
    COMPARE(TW_GE, >=)
    CALCULATE(TW_FORMULA_ADD, +)
    CALCULATE(TW_FORMULA_SUB, -)
    CALCULATE(TW_FORMULA_MUL, *)
    STEP(TW_FORMULA_DIV, TW_COL_F64, double, double, double, p[i] / q[i])
    STEP(TW_FORMULA_NEG, TW_COL_F64, double, double, double, -p[i])
    STEP(TW_FORMULA_NEG, TW_COL_I64, uint64_t, uint64_t, uint64_t, -p[i])
    STEP(TW_FORMULA_ABS, TW_COL_F64, double, double, double, fabs(p[i]))
    STEP(TW_FORMULA_ABS, TW_COL_I64, uint64_t, uint64_t, uint64_t,
         p[i] >> 63 ? -p[i] : p[i])
    STEP(TW_FORMULA_NUMBER, TW_COL_I64, double, int64_t, int64_t, p[i])
    STEP(TW_FORMULA_NUMBER, TW_COL_BOOL, double, uint8_t, uint8_t, p[i])
    STEP(TW_FORMULA_NUMBER, TW_COL_TIMESTAMP, double, int64_t, int64_t,
         tw__column_seconds(p[i]))
    STEP(TW_FORMULA_NULL, TW_COL_F64, uint8_t, double, double, p[i] != p[i])
    STEP(TW_FORMULA_BOTH, TW_COL_BOOL, uint8_t, uint8_t, uint8_t, p[i] & q[i])
    STEP(TW_FORMULA_EITHER, TW_COL_BOOL, uint8_t, uint8_t, uint8_t, p[i] | q[i])
    STEP(TW_FORMULA_NEGATE, TW_COL_BOOL, uint8_t, uint8_t, uint8_t, p[i] ^ 1)
    STEP(TW__BLOCK_BLANK, TW_COL_F64, double, double, uint8_t, q[i] ? o[i] : NAN)
    STEP(TW__BLOCK_KEEP, TW_COL_BOOL, uint8_t, uint8_t, uint8_t, o[i] & q[i])
    STEP(TW__BLOCK_MISS, TW_COL_BOOL, uint8_t, uint8_t, uint8_t, o[i] | (q[i] ^ 1))
    STEP(TW__BLOCK_CODE, TW_COL_STRING, uint8_t, uint32_t, uint32_t, p[i] == q[0])
    STEP(TW__BLOCK_OTHER, TW_COL_STRING, uint8_t, uint32_t, uint32_t, p[i] != q[0])
  default: return 0;
  }
}

static int step_plain(int op, int type, void *out, const void *a, const void *b,
                      int64_t n) {
  return step(op, type, out, a, b, n);
}

/* ---- rows ---- */

static int64_t select_plain(int32_t *restrict at, int32_t base,
                            const uint8_t *restrict mask, int64_t n) {
  int64_t count = 0;
  for (int64_t i = 0; i < n; i++) {
    at[count] = base + (int32_t)i;
    count += mask[i];
  }
  return count;
}

#ifdef WIDE

WIDE static int step_wide(int op, int type, void *out, const void *a, const void *b,
                          int64_t n) {
  return step(op, type, out, a, b, n);
}

/* The numbers of the bits that are set in a byte, one in each byte from the lowest on: the
 * largest is put in first, and moved up by each below it. */
#define SHIFT(val, byte, bit)                                                          \
  ((val) << ((byte) >> (bit)&1) * 8 | (uint64_t)((byte) >> (bit)&1) * (bit))
#define BITS(byte)                                                                     \
  SHIFT(SHIFT(SHIFT(SHIFT(SHIFT(SHIFT(SHIFT(SHIFT(UINT64_C(0), byte, 7), byte, 6),     \
                                      byte, 5),                                        \
                                byte, 4),                                              \
                          byte, 3),                                                    \
                    byte, 2),                                                          \
              byte, 1),                                                                \
        byte, 0)
#define BITS_4(byte) BITS(byte), BITS((byte) + 1), BITS((byte) + 2), BITS((byte) + 3)
#define BITS_16(byte)                                                                  \
  BITS_4(byte), BITS_4((byte) + 4), BITS_4((byte) + 8), BITS_4((byte) + 12)
#define BITS_64(byte)                                                                  \
  BITS_16(byte), BITS_16((byte) + 16), BITS_16((byte) + 32), BITS_16((byte) + 48)

static const uint64_t set_bits[256] = {BITS_64(0), BITS_64(64), BITS_64(128),
                                       BITS_64(192)};

/* Eight rows at a time: eight positions are written, as many counted as there are. */
WIDE static int64_t select_wide(int32_t *restrict at, int32_t base,
                                const uint8_t *restrict mask, int64_t n) {
  int64_t count = 0, i = 0;
  for (; i + 32 <= n; i += 32) {
    __m256i bytes = _mm256_loadu_si256((const __m256i *)(const void *)(mask + i));
    uint32_t bits = (uint32_t)_mm256_movemask_epi8(_mm256_slli_epi16(bytes, 7));
    for (int k = 0; k < 32; k += 8) {
      uint32_t byte = bits >> k & 255;
      __m128i few = _mm_loadl_epi64((const __m128i *)(const void *)&set_bits[byte]);
      __m256i rows = _mm256_add_epi32(_mm256_cvtepu8_epi32(few),
                                      _mm256_set1_epi32(base + (int32_t)i + k));
      _mm256_storeu_si256((__m256i *)(void *)(at + count), rows);
      count += __builtin_popcount(byte);
    }
  }
  return count + select_plain(at + count, base + (int32_t)i, mask + i, n - i);
}

#else
#define step_wide   step_plain
#define select_wide select_plain
#endif

int tw__block_step(int op, int type, void *out, const void *a, const void *b, int64_t n,
                   int wide) {
  return wide ? step_wide(op, type, out, a, b, n) : step_plain(op, type, out, a, b, n);
}

int64_t tw__block_select(int32_t *at, int32_t base, const uint8_t *mask, int64_t n,
                         int wide) {
  return wide ? select_wide(at, base, mask, n) : select_plain(at, base, mask, n);
}
