/* frame_cell.h -- single cells of text as values of a column's type.
 *
 * Numbers of up to eight bytes, point included, are taken as one word without a loop;
 * strings are looked up by two words in a small table in front of the dict, so that those
 * of up to sixteen bytes are neither hashed byte by byte nor compared through pointers.
 */
#ifndef TIDEWAY_CODEC_FRAME_CELL_H
#define TIDEWAY_CODEC_FRAME_CELL_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "codec/number.h"
#include "codec/scan.h"
#include "tideway.h"

/* ---- strings ---- */

struct tw__names_entry {
  uint64_t low,
      high; /* the bytes, zeros behind them; of more than 16: the first and last 8 */
  uint64_t len;  /* UINT64_MAX: free */
  uint32_t code; /* 32 bytes with what is left: two entries in a line of the cache */
};

/* The numbers in a dict of the short strings seen last. All zero: empty, of no dict. */
struct tw__names {
  tw_dict *dict; /* held */
  struct tw__names_entry *entry;
  void *memory; /* that the entries are in */
  uint64_t mask, factor;
  int64_t used;
};

void tw__names_fini(struct tw__names *names);

/* tw_column_code, past the table, which learns the string. The number, or TW_ENOMEM. */
int64_t tw__names_miss(struct tw__names *names, tw_column *col, const char *bytes,
                       int64_t len);

/* Where to begin to look for a string with these words. The upper bytes, in which names that
 * are alike differ, are folded down: a product's bits depend on what is below them only. */
static inline uint64_t tw__names_hash(uint64_t low, uint64_t high, uint64_t factor) {
  uint64_t x = low ^ (high << 23 | high >> 41);
  return (x ^ x >> 29) * factor >> 40;
}

/* The entry of a string with these words; NULL: the table has none. */
static inline const struct tw__names_entry *
tw__names_find(const struct tw__names *names, uint64_t low, uint64_t high,
               uint64_t len) {
  uint64_t at = tw__names_hash(low, high, names->factor);
  for (uint64_t i = 0; i < 4; i++) {
    const struct tw__names_entry *e = &names->entry[(at + i) & names->mask];
    if (!((e->low ^ low) | (e->high ^ high) | (e->len ^ len))) return e;
  }
  return NULL;
}

/* Whether a string of more than 16 bytes is the one of an entry with its words. */
static inline bool tw__names_same(const struct tw__names *names,
                                  const struct tw__names_entry *e, const char *bytes,
                                  uint64_t len) {
  const char *known = names->dict->bytes + names->dict->start[e->code];
  return tw__scan_same(known + 8, bytes + 8, len - 8);
}

/* Bytes tw__names_mask + 16 - n .. are n set ones and zeros behind them, n up to 16. */
extern const uint8_t tw__names_mask[32];

/* The words of a string of up to 16 bytes, where 16 can be read. */
static inline __attribute__((always_inline)) void
tw__names_load(const char *bytes, uint64_t len, uint64_t *low, uint64_t *high) {
  uint64_t mask[2];
  memcpy(low, bytes, 8);
  memcpy(high, bytes + 8, 8);
  memcpy(mask, tw__names_mask + 16 - len, 16); /* no branch: lengths are any */
  *low &= mask[0];
  *high &= mask[1];
}

/* The two words under which a string is looked up: its bytes, or the first and last eight. */
static inline void tw__names_words(const char *bytes, int64_t len, uint64_t *low,
                                   uint64_t *high) {
  uint64_t word[2] = {0, 0};
  if (len > 16) {
    memcpy(&word[0], bytes, 8);
    memcpy(&word[1], bytes + len - 8, 8);
  } else if (len) {
    memcpy(word, bytes, (size_t)len);
  }
  *low = word[0];
  *high = word[1];
}

/* tw_column_code, through the table. limit: up to where bytes may be read. */
static inline int64_t tw__names_add(struct tw__names *names, tw_column *col,
                                    const char *bytes, int64_t len, const char *limit) {
  uint64_t low, high;
  if (names->dict != col->dict) return tw__names_miss(names, col, bytes, len);
  if (len <= 16 && limit - bytes >= 16)
    tw__names_load(bytes, (uint64_t)len, &low, &high);
  else
    tw__names_words(bytes, len, &low, &high);
  const struct tw__names_entry *e = tw__names_find(names, low, high, (uint64_t)len);
  if (!e || (len > 16 && !tw__names_same(names, e, bytes, (uint64_t)len)))
    return tw__names_miss(names, col, bytes, len);
  return e->code;
}

/* ---- numbers ---- */

/* What eight digits are to be divided by when a point stood at 0 .. 7; 8: there was none. */
extern const double tw__cell_tens[9];

/* Decimals of up to eight bytes behind the sign, not in scientific notation. limit: up
 * to where may be read. False: look closer. */
static inline __attribute__((always_inline)) bool
tw__cell_short(const char *s, const char *e, const char *limit, double *x) {
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
  if (s == e) return false;
  bool negative = *s == '-';
  s += negative;
  uint64_t n = (uint64_t)(e - s), v;
  if (n - 1 > 7 || limit - s < 8) return false;
  memcpy(&v, s, sizeof v);
  v ^= 0x3030303030303030u; /* digits become 0 .. 9 */
  v <<= 64 - 8 * n;         /* leading zeros */
  uint64_t odd = ((v + 0x7676767676767676u) | v) & 0x8080808080808080u;
  unsigned whole = 8; /* digits before the point, leading zeros too */
  if (odd) {
    uint64_t at = odd >> 7; /* 1 in the place of the point */
    v ^= at * ('.' ^ '0');  /* which becomes a 0 */
    if ((odd & (odd - 1)) | (v & ((at << 8) - at)) | (n == 1)) return false;
    whole = (unsigned)__builtin_ctzll(odd) >> 3;
    v += (v & (at - 1)) * 255; /* the digits before it one place on, over it */
  }
  v = v * 10 + (v >> 8);
  v = ((v & 0x000000FF000000FFu) * 0x000F424000000064u +
       ((v >> 16) & 0x000000FF000000FFu) * 0x0000271000000001u) >>
      32;
  union {
    double num;
    uint64_t bits;
  } y = {.num = (double)(int64_t)v / tw__cell_tens[whole]};
  y.bits |= (uint64_t)negative << 63; /* no branch: signs are any */
  *x = y.num;
  return true;
#else
  (void)s, (void)e, (void)limit, (void)x;
  return false;
#endif
}

/* Longer decimals, as long as one division gives them exactly (number.h). False: look
 * closer. */
static inline bool tw__cell_decimal(const char *s, const char *e, const char *limit,
                                    double *x) {
  uint64_t w = 0;
  const char *p = s + (s < e && *s == '-'), *first = p;
  p = tw__number_digits(p, limit, &w);
  int64_t count = p - first, places = 0;
  if (p < e && *p == '.') {
    const char *point = p++;
    p = tw__number_digits(p, limit, &w);
    places = p - point - 1;
    count += places;
  }
  if (p != e || count < 1 || count > 18 || w > 1ull << 53) return false;
  double y = (double)(int64_t)w / tw__number_tens[places];
  *x = first > s ? -y : y;
  return true;
}

/* ---- any cell ---- */

/* The bytes s .. e, blanks around them not counted, as a number (as tw__number_read), a
 * whole one, a boolean (true, false, any case, 1, 0), nanoseconds since 1970 (ISO 8601
 * or a number of seconds). 0, or -1. */
int tw__cell_f64(const char *s, const char *e, double *x);
int tw__cell_i64(const char *s, const char *e, int64_t *x);
int tw__cell_bool(const char *s, const char *e, int *x);
int tw__cell_time(const char *s, const char *e, int64_t *ns);

/* ---- guessing ---- */

/* What cells have looked like, or'ed together. */
enum tw__look {
  TW__LOOK_NUMBER = 1,
  TW__LOOK_BROKEN = 2, /* a number with a fraction, an exponent, or too large */
  TW__LOOK_HUGE = 4,   /* whole, and no double has it */
  TW__LOOK_BOOL = 8,
  TW__LOOK_TIME = 16, /* ISO 8601 */
  TW__LOOK_TEXT = 32
};

/* How a cell looks; 0: empty. */
int tw__cell_look(const char *s, const char *e);

/* The type of a column of cells that looked so. */
int tw__cell_type(int looks);

#endif
