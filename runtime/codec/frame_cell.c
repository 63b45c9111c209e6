/* frame_cell.c -- single cells of text as values of a column's type. */
#include "codec/frame_cell.h"

#include <math.h>

#include "codec/time.h"
#include "core/hash.h"
#include "core/mem.h"
#include "frame/column.h"

/* ---- strings ---- */

enum { NAMES_FIRST = 1024, NAMES_MAX = 1 << 18 };
#define NOBODY UINT64_MAX /* as a length: a free entry */

const uint8_t tw__names_mask[32] = {
    0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF,
    0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF,
};

const double tw__cell_tens[9] = {1e7, 1e6, 1e5, 1e4, 1e3, 1e2, 1e1, 1e0, 1e0};

void tw__names_fini(struct tw__names *names) {
  tw__free(names->memory);
  tw_dict_release(names->dict);
  *names = (struct tw__names){.dict = NULL};
}

static void forget(struct tw__names *names) {
  memset(names->entry, 0xFF, (size_t)(names->mask + 1) * sizeof *names->entry);
  names->used = 0;
}

/* An empty table of so many entries; what there was stays when there is no memory. */
static void resize(struct tw__names *names, uint64_t size) {
  char *memory = tw__malloc((size_t)(size + 1) * sizeof *names->entry);
  if (!memory) return;
  tw__free(names->memory);
  names->memory = memory;
  names->entry = (void *)(((uintptr_t)memory + 31) & ~(uintptr_t)31);
  names->mask = size - 1;
  names->factor = tw__hash_seed() | 1;
  forget(names);
}

static void remember(struct tw__names *names, uint64_t low, uint64_t high, uint64_t len,
                     uint32_t code) {
  uint64_t at = tw__names_hash(low, high, names->factor);
  struct tw__names_entry *to = &names->entry[at & names->mask];
  for (uint64_t i = 0; i < 4; i++) {
    struct tw__names_entry *e = &names->entry[(at + i) & names->mask];
    if (e->len == NOBODY) {
      to = e;
      break;
    }
  }
  names->used += to->len == NOBODY;
  *to = (struct tw__names_entry){low, high, len, code};
}

/* The table goes on with the copy of its dict, whose numbers are the same. */
static void follow(struct tw__names *names, tw_dict *dict) {
  tw_dict_release(names->dict);
  names->dict = tw_dict_retain(dict);
}

int64_t tw__names_miss(struct tw__names *names, tw_column *col, const char *bytes,
                       int64_t len) {
  const int64_t before = col->dict->count;
  const int known = names->dict == col->dict;
  int64_t code = tw_column_code(col, bytes, len);
  if (code < 0) return code;
  tw_dict *dict = col->dict;
  if (known && names->dict != dict) follow(names, dict);
  /* a full table learns what comes a second time */
  if (dict->count > before && names->dict == dict && names->used > NAMES_MAX / 2)
    return code;
  if (names->dict != dict) {
    if (names->entry)
      forget(names);
    else
      resize(names, NAMES_FIRST);
    if (!names->entry) return code; /* then without */
    follow(names, dict);
  }
  if (names->used > (int64_t)names->mask / 4 && names->mask + 1 < NAMES_MAX)
    resize(names, 4 * (names->mask + 1));
  uint64_t low, high;
  tw__names_words(bytes, len, &low, &high);
  remember(names, low, high, (uint64_t)len, (uint32_t)code);
  return code;
}

/* ---- any cell ---- */

static void trim(const char **s, const char **e) {
  while (*s < *e && (**s == ' ' || **s == '\t')) ++*s;
  while (*e > *s && ((*e)[-1] == ' ' || (*e)[-1] == '\t')) --*e;
}

int tw__cell_f64(const char *s, const char *e, double *x) {
  trim(&s, &e);
  return tw__number_read(s, e, x);
}

int tw__cell_i64(const char *s, const char *e, int64_t *x) {
  trim(&s, &e);
  return tw__number_read_i64(s, e, x);
}

static bool same_word(const char *s, const char *e, const char *word) {
  for (; *word; s++, word++)
    if (s == e || (*s | 0x20) != *word) return false;
  return s == e;
}

int tw__cell_bool(const char *s, const char *e, int *x) {
  trim(&s, &e);
  *x = same_word(s, e, "true") || (e - s == 1 && *s == '1');
  return *x || same_word(s, e, "false") || (e - s == 1 && *s == '0') ? 0 : -1;
}

enum { TIME_SECONDS = 19, TIME_MAX = 48 }; /* 2001-02-03 04:05:06; with all behind it */

/* Seconds that hold a fraction are read without it, so that nanoseconds are exact. */
static int read_iso(const char *s, const char *e, int64_t *ns) {
  char text[TIME_MAX];
  double seconds;
  int64_t part = 0;
  if (e - s > TIME_SECONDS + 1 && e - s < TIME_MAX &&
      (s[TIME_SECONDS] == '.' || s[TIME_SECONDS] == ',')) {
    const char *p = s + TIME_SECONDS + 1;
    int64_t unit = 100000000;
    for (; p < e && tw__number_digit(*p); p++, unit /= 10) part += (*p - '0') * unit;
    if (p == s + TIME_SECONDS + 1) return -1;
    memcpy(text, s, TIME_SECONDS);
    memcpy(text + TIME_SECONDS, p, (size_t)(e - p));
    e = text + TIME_SECONDS + (e - p);
    s = text;
  }
  if (tw__time_iso(s, e, &seconds) || !tw__column_ns(seconds, ns)) return -1;
  *ns += part;
  return 0;
}

int tw__cell_time(const char *s, const char *e, int64_t *ns) {
  double seconds;
  trim(&s, &e);
  if (!read_iso(s, e, ns)) return 0;
  return tw__number_read(s, e, &seconds) || !tw__column_ns(seconds, ns) ? -1 : 0;
}

/* ---- guessing ---- */

static int look_of_number(const char *s, const char *e, double x) {
  int64_t whole;
  if (isnan(x)) return TW__LOOK_NUMBER;
  if (tw__number_read_i64(s, e, &whole)) return TW__LOOK_NUMBER | TW__LOOK_BROKEN;
  bool huge = whole > 1ll << 53 || whole < -(1ll << 53);
  return TW__LOOK_NUMBER | (huge ? TW__LOOK_HUGE : 0);
}

int tw__cell_look(const char *s, const char *e) {
  double x;
  int64_t ns;
  trim(&s, &e);
  if (s == e) return 0;
  if (!tw__number_read(s, e, &x)) return look_of_number(s, e, x);
  if (same_word(s, e, "true") || same_word(s, e, "false")) return TW__LOOK_BOOL;
  return read_iso(s, e, &ns) ? TW__LOOK_TEXT : TW__LOOK_TIME;
}

int tw__cell_type(int looks) {
  switch (looks & ~(TW__LOOK_BROKEN | TW__LOOK_HUGE)) {
  case TW__LOOK_NUMBER:
    return looks == (TW__LOOK_NUMBER | TW__LOOK_HUGE) ? TW_COL_I64 : TW_COL_F64;
  case TW__LOOK_BOOL: return TW_COL_BOOL;
  case TW__LOOK_TIME: return TW_COL_TIMESTAMP;
  default: return TW_COL_STRING;
  }
}
