/* keys.c -- numbers for the distinct keys of rows, and their order. */
#include "frame/keys.h"
#include "core/hash.h"
#include "core/mem.h"
#include "frame/column.h"
#include "frame/dict.h"

#include <math.h>
#include <string.h>

/* ---- integers to numbers ---- */

enum { FIRST_BITS = 6, NEAR_MIN = 1024, NEAR_EACH = 32 };

/* type: of the column whose numbers may be whole ones; else 0. */
static int table_init(struct tw__table *table, int type) {
  table->seed = tw__hash_seed();
  table->shift = 64 - FIRST_BITS;
  table->type = type == TW_COL_STRING ? 0 : type;
  table->place = tw__calloc((size_t)1 << FIRST_BITS, sizeof *table->place);
  return table->place ? TW_OK : TW_ENOMEM;
}

static void table_fini(struct tw__table *table) {
  tw__free(table->place);
  tw__free(table->near);
  tw__free(table->val);
}

/* The place of a key, or the free one where it belongs. */
static inline struct tw__place *find(const struct tw__table *table, uint64_t key) {
  uint64_t mask = ((uint64_t)1 << (64 - table->shift)) - 1;
  uint64_t i = tw__hash_num(key, table->seed) >> table->shift;
  while (table->place[i].number && table->place[i].key != key) i = (i + 1) & mask;
  return &table->place[i];
}

static int table_grow(struct tw__table *table) {
  struct tw__place *old = table->place;
  uint64_t places = (uint64_t)1 << (64 - table->shift);
  struct tw__place *place = tw__mem_zeros(2 * places, sizeof *place);
  if (!place) return TW_ENOMEM;
  table->place = place;
  table->shift--;
  for (uint64_t i = 0; i < places; i++)
    if (old[i].number) *find(table, old[i].key) = old[i];
  tw__free(old);
  return TW_OK;
}

/* The next number, for val. 0: no memory. */
static uint32_t table_next(struct tw__table *table, uint64_t val) {
  if (table->count + 1 >= table->room) {
    if (table->room >= UINT32_MAX / 2) return 0;
    uint32_t room = table->room ? 2 * table->room : 16;
    uint64_t *vals = tw__realloc(table->val, room * sizeof *vals);
    if (!vals) return 0;
    table->val = vals;
    table->room = room;
  }
  table->val[++table->count] = val;
  return table->count;
}

static __attribute__((noinline)) uint32_t table_add(struct tw__table *table,
                                                    uint64_t key) {
  if (table->count >= (uint32_t)1 << (63 - table->shift))
    if (table_grow(table)) return 0;
  uint32_t number = table_next(table, key);
  if (number) *find(table, key) = (struct tw__place){key, number};
  return number;
}

static inline uint32_t table_number(struct tw__table *table, uint64_t key) {
  uint32_t number = find(table, key)->number;
  return __builtin_expect(number != 0, 1) ? number : table_add(table, key);
}

/* The whole number that a key stands for, if it does. */
static int whole_of(const struct tw__table *table, uint64_t key, int64_t *whole) {
  const int64_t far = (int64_t)1 << 52;
  double x;
  if (table->type == TW_COL_F64) {
    memcpy(&x, &key, sizeof x);
    if (!(fabs(x) <= (double)far) || x != rint(x)) return 0;
    *whole = (int64_t)x;
    return 1;
  }
  *whole = (int64_t)key;
  return table->type && *whole <= far && *whole >= -far;
}

/* Puts a number into the array too, which grows to twice what it needs on the side where it
 * does. Without memory it stays as it is. */
static void put_near(struct tw__table *table, uint64_t key, uint32_t number) {
  int64_t whole, most = NEAR_MIN + NEAR_EACH * (int64_t)table->count;
  if (!whole_of(table, key, &whole)) return;
  int64_t low = table->width ? table->low : whole, end = low + table->width;
  if (whole < low) low = whole;
  if (whole >= end) end = whole + 1;
  if (end - low > table->width) {
    int64_t width = 2 * (end - low);
    if (width > most) return;
    uint32_t *near = tw__mem_zeros((size_t)width, sizeof *near);
    if (!near) return;
    if (table->width && whole < table->low) low = end - width;
    if (table->width)
      memcpy(near + (table->low - low), table->near,
             (size_t)table->width * sizeof *near);
    tw__free(table->near);
    table->near = near;
    table->low = low;
    table->width = width;
  }
  table->near[whole - table->low] = number;
}

enum { BLOCK = 64, CACHE = 1 << 19, MISS = UINT32_MAX };

/* The numbers of the keys for which number says MISS. Places that the caches do not hold
 * are asked for beforehand. */
static __attribute__((noinline)) int
look_up(struct tw__table *table, const uint64_t *key, int64_t n, uint32_t *number) {
  if (sizeof *table->place << (64 - table->shift) > CACHE)
    for (int64_t i = 0; i < n; i++) {
      uint64_t at = tw__hash_num(key[i], table->seed) >> table->shift;
      if (number[i] == MISS) __builtin_prefetch(&table->place[at]);
    }
  for (int64_t i = 0; i < n; i++) {
    if (number[i] != MISS) continue;
    number[i] = table_number(table, key[i]);
    if (!number[i]) return TW_ENOMEM;
    put_near(table, key[i], number[i]);
  }
  return TW_OK;
}

/* ---- one column ---- */

static int numbers_of_f64(struct tw__table *table, const double *x, int64_t n,
                          uint32_t *number) {
  uint64_t key[BLOCK];
  for (int64_t base = 0; base < n; base += BLOCK, x += BLOCK, number += BLOCK) {
    int64_t rows = n - base < BLOCK ? n - base : BLOCK;
    const uint32_t *near = table->near;
    double low = (double)table->low, end = low + (double)table->width;
    int misses = 0;
    for (int64_t i = 0; i < rows; i++) {
      double val = x[i] + 0.0; /* -0 and 0 are one */
      uint32_t got = 0;
      if (val >= low && val < end) {
        int64_t whole = (int64_t)val;
        if ((double)whole == val) got = near[whole - table->low];
      }
      if (!got && val == val) got = MISS, misses = 1;
      memcpy(&key[i], &val, sizeof val);
      number[i] = got;
    }
    if (misses && look_up(table, key, rows, number)) return TW_ENOMEM;
  }
  return TW_OK;
}

static inline uint64_t whole_at(const tw_column *col, int64_t i) {
  return col->type == TW_COL_BOOL ? col->b[i] : (uint64_t)col->i64[i];
}

static int numbers_of_whole(struct tw__table *table, const tw_column *col,
                            int64_t first, int64_t n, uint32_t *number) {
  const uint8_t *valid = col->valid;
  uint64_t key[BLOCK];
  for (int64_t end = first + n; first < end; first += BLOCK, number += BLOCK) {
    int64_t rows = end - first < BLOCK ? end - first : BLOCK;
    const uint32_t *near = table->near;
    uint64_t low = (uint64_t)table->low, width = (uint64_t)table->width;
    int misses = 0;
    for (int64_t i = 0; i < rows; i++) {
      key[i] = whole_at(col, first + i);
      uint32_t got = key[i] - low < width ? near[key[i] - low] : 0;
      if (!got) got = MISS;
      if (valid && !tw__column_bit(valid, first + i)) got = 0;
      misses |= got == MISS;
      number[i] = got;
    }
    if (misses && look_up(table, key, rows, number)) return TW_ENOMEM;
  }
  return TW_OK;
}

/* Looks all strings of a dict up that are known already. */
static void foresee(const struct tw__key *key, struct tw__key_dict *known) {
  const tw_dict *dict = known->dict;
  for (int64_t code = 0; code < dict->count; code++) {
    int64_t start = dict->start[code];
    int64_t name =
        tw_dict_find(key->names, dict->bytes + start, dict->start[code + 1] - start);
    known->number[code] = (uint32_t)(name + 1);
  }
}

/* What is known of a dict, all its strings with a place; it comes first. NULL: no
 * memory.
 * rows  that are to be looked up now */
static struct tw__key_dict *know(struct tw__key *key, tw_dict *dict, int64_t rows) {
  struct tw__key_dict *known = key->known, found;
  int k = 0, fresh = 0;
  while (k < TW__KEYS_KNOWN - 1 && known[k].dict && known[k].dict != dict) k++;
  found = known[k];
  if (found.dict != dict) {
    tw_dict_release(found.dict);
    found.dict = tw_dict_retain(dict);
    fresh = 1;
    if (found.room > 4 * dict->count + 64) {
      tw__free(found.number);
      found.number = NULL;
      found.room = 0;
    }
    if (found.room) memset(found.number, 0, (size_t)found.room * sizeof *found.number);
  }
  memmove(&known[1], &known[0], (size_t)k * sizeof *known);
  known[0] = found;
  if (known->room <= dict->count) {
    int64_t room = dict->count < 8 ? 16 : 2 * dict->count;
    uint32_t *number = tw__mem_grow(known->number, (size_t)known->room * sizeof *number,
                                    (size_t)room * sizeof *number);
    if (!number) return NULL;
    memset(number + known->room, 0, (size_t)(room - known->room) * sizeof *number);
    known->number = number;
    known->room = room;
  }
  if (fresh && key->own && dict->count <= rows) foresee(key, known);
  return known;
}

static int64_t add_text(tw_dict **to, const tw_dict *dict, uint64_t code) {
  int64_t start = dict->start[code];
  return tw__dict_put(to, dict->bytes + start, dict->start[code + 1] - start);
}

/* From the dict of the only source there was to one of its own. */
static int own_names(struct tw__key *key) {
  tw_dict *names = tw_dict_new();
  if (!names) return TW_ENOMEM;
  for (uint32_t number = 1; number <= key->table.count; number++) {
    int64_t code = add_text(&names, key->names, key->table.val[number]);
    if (code < 0) {
      tw_dict_release(names);
      return TW_ENOMEM;
    }
  }
  for (uint32_t number = 1; number <= key->table.count; number++)
    key->table.val[number] = number - 1;
  tw_dict_release(key->names);
  key->names = names;
  key->own = 1;
  return TW_OK;
}

/* The number of a string that its dict's array does not know yet; 0: no memory. */
static uint32_t new_string(struct tw__key *key, struct tw__key_dict *known,
                           uint32_t code) {
  uint32_t number;
  if (!key->own) {
    number = table_next(&key->table, code);
    if (code == key->even && number == code + 1) key->even = number;
  } else {
    int64_t name = add_text(&key->names, known->dict, code);
    if (name < 0) return 0;
    number = (uint32_t)name + 1;
    if (number > key->table.count && !table_next(&key->table, (uint64_t)name)) return 0;
  }
  known->number[code] = number;
  return number;
}

typedef uint32_t four __attribute__((vector_size(16)));

/* Whether all strings are among those whose number is the one in the dict and 1. The last
 * of these less a string that comes later is negative. */
static int even_numbers(const struct tw__key *key, const tw_column *col, int64_t first,
                        int64_t n, uint32_t *number) {
  const uint32_t *code = col->code + first;
  uint32_t last = key->even - 1, below = 0;
  four below_4 = {0}, last_4 = {last, last, last, last}, one_4 = {1, 1, 1, 1}, it;
  int64_t i = 0;
  if (key->own || !key->even || key->names->count > INT32_MAX) return 0;
  for (; i + 4 <= n; i += 4) {
    memcpy(&it, code + i, sizeof it);
    below_4 |= last_4 - it;
    it += one_4;
    memcpy(number + i, &it, sizeof it);
  }
  for (; i < n; i++) {
    below |= last - code[i];
    number[i] = code[i] + 1;
  }
  below |= below_4[0] | below_4[1] | below_4[2] | below_4[3];
  if (below >> 31) return 0;
  if (col->valid)
    for (i = 0; i < n; i++)
      if (!tw__column_bit(col->valid, first + i)) number[i] = 0;
  return 1;
}

static int numbers_of_strings(struct tw__key *key, const tw_column *col, int64_t first,
                              int64_t n, uint32_t *restrict number) {
  if (!n) return TW_OK;
  if (!key->names) key->names = tw_dict_retain(col->dict);
  if (!key->own && key->names != col->dict && own_names(key)) return TW_ENOMEM;
  /* who holds a column of keys may have put strings into its dict */
  if (key->own && key->names->count != key->table.count && own_names(key))
    return TW_ENOMEM;
  if (even_numbers(key, col, first, n, number)) return TW_OK;
  struct tw__key_dict *known = know(key, col->dict, n);
  if (!known) return TW_ENOMEM;
  const uint32_t *restrict map = known->number, *restrict code = col->code + first;
  uint32_t misses = 0;
  for (int64_t i = 0; i < n; i++) {
    number[i] = map[code[i]];
    misses |= number[i] == 0;
  }
  if (col->valid)
    for (int64_t i = 0; i < n; i++)
      if (!tw__column_bit(col->valid, first + i)) number[i] = 0;
  if (!misses) return TW_OK;
  for (int64_t i = 0; i < n; i++) {
    if (number[i] || (col->valid && !tw__column_bit(col->valid, first + i))) continue;
    number[i] = known->number[code[i]]; /* by an earlier row */
    if (!number[i]) number[i] = new_string(key, known, code[i]);
    if (!number[i]) return TW_ENOMEM;
  }
  return TW_OK;
}

static int column_numbers(struct tw__key *key, const tw_column *col, int64_t first,
                          int64_t n, uint32_t *number) {
  if (key->type == TW_COL_STRING) return numbers_of_strings(key, col, first, n, number);
  if (key->type == TW_COL_F64)
    return numbers_of_f64(&key->table, col->f64 + first, n, number);
  return numbers_of_whole(&key->table, col, first, n, number);
}

static void key_fini(struct tw__key *key) {
  table_fini(&key->table);
  tw_dict_release(key->names);
  for (int k = 0; k < TW__KEYS_KNOWN; k++) {
    tw_dict_release(key->known[k].dict);
    tw__free(key->known[k].number);
  }
}

/* ---- all columns ---- */

int tw__keys_init(struct tw__keys *keys, const int32_t *type, int columns) {
  *keys = (struct tw__keys){.columns = columns};
  if (columns < 1) return TW_EINVAL;
  keys->key = tw__calloc((size_t)columns, sizeof *keys->key);
  keys->pair = tw__calloc((size_t)columns, sizeof *keys->pair);
  keys->level = tw__calloc(2 * (size_t)columns, sizeof *keys->level);
  if (!keys->key || !keys->pair || !keys->level) goto fail;
  for (int k = 0; k < columns; k++) {
    keys->key[k].type = type[k];
    if (type[k] != TW_COL_STRING && table_init(&keys->key[k].table, type[k])) goto fail;
    if (k > 0 && table_init(&keys->pair[k], 0)) goto fail;
  }
  return TW_OK;

fail:
  tw__keys_fini(keys);
  return TW_ENOMEM;
}

void tw__keys_fini(struct tw__keys *keys) {
  for (int k = 0; k < keys->columns && keys->key; k++) key_fini(&keys->key[k]);
  for (int k = 1; k < keys->columns && keys->pair; k++) table_fini(&keys->pair[k]);
  for (int k = 0; k < 2 * keys->columns && keys->level; k++) {
    tw__free(keys->level[k].list);
    tw__free(keys->level[k].place);
  }
  tw__free(keys->level);
  tw__free(keys->other);
  tw__free(keys->key);
  tw__free(keys->pair);
  tw__free(keys->order);
  tw__free(keys->spare);
  *keys = (struct tw__keys){0};
}

static int reserve_spare(struct tw__keys *keys, int64_t room) {
  if (room <= keys->spare_room) return TW_OK;
  uint32_t *spare = tw__realloc(keys->spare, (size_t)room * sizeof *spare);
  if (!spare) return TW_ENOMEM;
  keys->spare = spare;
  keys->spare_room = room;
  return TW_OK;
}

/* Makes number[i], that of the columns before, that of the pair with more[i]. */
static int numbers_of_pairs(struct tw__table *pair, const uint32_t *more, int64_t n,
                            uint32_t *number) {
  uint64_t key[BLOCK];
  for (int64_t base = 0; base < n; base += BLOCK, more += BLOCK, number += BLOCK) {
    int64_t rows = n - base < BLOCK ? n - base : BLOCK;
    for (int64_t i = 0; i < rows; i++) {
      key[i] = (uint64_t)number[i] << 32 | more[i];
      number[i] = number[i] && more[i] ? MISS : 0;
    }
    if (look_up(pair, key, rows, number)) return TW_ENOMEM;
  }
  return TW_OK;
}

int tw__keys_numbers(struct tw__keys *keys, tw_column *const *col, const int32_t *at,
                     int64_t first, int64_t n, uint32_t *number) {
  int rc = column_numbers(&keys->key[0], col[at[0]], first, n, number);
  keys->count = keys->key[0].table.count;
  if (rc || keys->columns == 1) return rc;
  if (reserve_spare(keys, n)) return TW_ENOMEM;
  for (int k = 1; k < keys->columns; k++) {
    rc = column_numbers(&keys->key[k], col[at[k]], first, n, keys->spare);
    if (rc) return rc;
    if (numbers_of_pairs(&keys->pair[k], keys->spare, n, number)) return TW_ENOMEM;
    keys->count = keys->pair[k].count;
  }
  return TW_OK;
}

/* The number in column k of a key. */
static inline uint32_t part(const struct tw__keys *keys, uint32_t number, int k) {
  for (int c = keys->columns - 1; c > 0; c--) {
    uint64_t val = keys->pair[c].val[number];
    if (c == k) return (uint32_t)val;
    number = (uint32_t)(val >> 32);
  }
  return number;
}

int tw__keys_column(const struct tw__keys *keys, int k, const uint32_t *number,
                    int64_t n, tw_column **out) {
  const struct tw__key *key = &keys->key[k];
  const uint64_t *val = key->table.val;
  int rc = tw_column_renew(out, key->type, key->names, n);
  if (rc) return rc;
  for (int64_t i = 0; i < n; i++) {
    uint64_t one = val[part(keys, number[i], k)];
    switch (key->type) {
    case TW_COL_BOOL: (*out)->b[i] = (uint8_t)one; break;
    case TW_COL_STRING: (*out)->code[i] = (uint32_t)one; break;
    default: (*out)->i64[i] = (int64_t)one; /* or the bits of a double */
    }
  }
  return TW_OK;
}

/* The array that belongs to the dict of the only source goes over, with the entries of all
 * numbers forgotten: it may be much larger than they are many. */
static void hand_over(struct tw__key *to, struct tw__key *key) {
  if (!key->names || key->own) return;
  for (int k = 0; k < TW__KEYS_KNOWN; k++) {
    struct tw__key_dict *known = &key->known[k];
    if (known->dict != key->names) continue;
    for (uint32_t number = 1; number <= key->table.count; number++)
      known->number[key->table.val[number]] = 0;
    to->names = tw_dict_retain(key->names);
    to->known[0] = *known;
    *known = (struct tw__key_dict){NULL};
    return;
  }
}

static int keep(struct tw__keys *to, struct tw__keys *keys, const uint32_t *number,
                int64_t n, int compact) {
  int32_t type[TW__KEYS_MAX], at[TW__KEYS_MAX];
  tw_column *col[TW__KEYS_MAX] = {NULL};
  uint32_t *given = tw__malloc((size_t)n * sizeof *given);
  int rc = TW_ENOMEM;
  *to = (struct tw__keys){0};
  if (!given) return rc;
  for (int k = 0; k < keys->columns; k++) type[k] = keys->key[k].type, at[k] = k;
  rc = tw__keys_init(to, type, keys->columns);
  for (int k = 0; k < keys->columns && !rc; k++)
    rc = tw__keys_column(keys, k, number, n, &col[k]);
  for (int k = 0; k < keys->columns && !rc && compact; k++)
    hand_over(&to->key[k], &keys->key[k]);
  if (!rc && n) rc = tw__keys_numbers(to, col, at, 0, n, given);
  for (int k = 0; k < keys->columns; k++) tw_column_release(col[k]);
  tw__free(given);
  if (rc) tw__keys_fini(to);
  return rc;
}

int tw__keys_keep(struct tw__keys *to, const struct tw__keys *keys,
                  const uint32_t *number, int64_t n) {
  struct tw__keys from = *keys; /* which is only read */
  return keep(to, &from, number, n, 0);
}

int tw__keys_compact(struct tw__keys *keys, const uint32_t *number, int64_t n) {
  struct tw__keys kept;
  int rc = keep(&kept, keys, number, n, 1);
  if (rc) return rc;
  tw__keys_fini(keys);
  *keys = kept;
  return TW_OK;
}

/* ---- the order ----
 *
 * What is sorted are 64-bit ranks. Those of numbers are exact; that of a string is 8
 * bytes of it, behind what all strings have in common, and the text decides where they
 * are equal. Keys of several columns rank by their places in the orders before. New
 * numbers are sorted among themselves and merged into the list.
 */

enum { SMALL = 48, DEEP = 256 };

static int64_t text_len(const struct tw__key *key, uint64_t val) {
  return key->names->start[val + 1] - key->names->start[val];
}

static const unsigned char *text_of(const struct tw__key *key, uint64_t val) {
  return (const unsigned char *)key->names->bytes + key->names->start[val];
}

/* 8 bytes of a string, zeros behind its end. */
static uint64_t word_of(const struct tw__key *key, uint64_t val, int64_t from) {
  const unsigned char *text = text_of(key, val);
  int64_t len = text_len(key, val);
  uint64_t word = 0;
  for (int64_t i = from; i < from + 8; i++) word = word << 8 | (i < len ? text[i] : 0);
  return word;
}

static uint64_t rank_of(const struct tw__key *key, uint32_t number) {
  uint64_t val = key->table.val[number];
  switch (key->type) {
  case TW_COL_BOOL: return val;
  case TW_COL_F64: return val >> 63 ? ~val : val | (uint64_t)1 << 63;
  case TW_COL_STRING: return word_of(key, val, key->skip);
  default: return val ^ (uint64_t)1 << 63;
  }
}

static int text_before(const struct tw__key *key, uint32_t a, uint32_t b) {
  uint64_t x = key->table.val[a], y = key->table.val[b];
  int64_t a_len = text_len(key, x), b_len = text_len(key, y);
  int64_t len = a_len < b_len ? a_len : b_len;
  int by = len ? memcmp(text_of(key, x), text_of(key, y), (size_t)len) : 0;
  return by ? by < 0 : a_len < b_len;
}

/* texts: of strings, else NULL. */
static inline int before(const struct tw__key *texts, const struct tw__ranked *a,
                         const struct tw__ranked *b) {
  if (a->rank != b->rank || !texts) return a->rank < b->rank;
  return text_before(texts, a->number, b->number);
}

/* By rank alone, equal ones in any order: least byte first. */
static void sort_ranks(struct tw__ranked *list, uint32_t n, struct tw__ranked *other) {
  uint32_t count[8][256];
  struct tw__ranked *from = list, *to = other;
  memset(count, 0, sizeof count);
  for (uint32_t i = 0; i < n; i++)
    for (int b = 0; b < 8; b++) count[b][list[i].rank >> 8 * b & 255]++;
  for (int b = 0; b < 8; b++) {
    uint32_t at = 0;
    if (count[b][from[0].rank >> 8 * b & 255] == n) continue; /* the same for all */
    for (int c = 0; c < 256; c++) {
      uint32_t more = count[b][c];
      count[b][c] = at;
      at += more;
    }
    for (uint32_t i = 0; i < n; i++)
      to[count[b][from[i].rank >> 8 * b & 255]++] = from[i];
    struct tw__ranked *swap = from;
    from = to;
    to = swap;
  }
  if (from != list) memcpy(list, from, n * sizeof *list);
}

static void sort_few(const struct tw__key *texts, struct tw__ranked *list, uint32_t n) {
  for (uint32_t i = 1; i < n; i++) {
    struct tw__ranked one = list[i];
    uint32_t at = i;
    for (; at > 0 && before(texts, &one, &list[at - 1]); at--) list[at] = list[at - 1];
    list[at] = one;
  }
}

/* Merges list[0 .. m - 1] and list[m .. n - 1]. */
static void merge(const struct tw__key *texts, struct tw__ranked *list, uint32_t m,
                  uint32_t n, struct tw__ranked *other) {
  uint32_t a = 0, b = m, to = 0;
  if (!m || m == n || before(texts, &list[m - 1], &list[m])) return;
  memcpy(other, list, m * sizeof *list);
  while (a < m && b < n)
    list[to++] = before(texts, &list[b], &other[a]) ? list[b++] : other[a++];
  memcpy(&list[to], &other[a], (m - a) * sizeof *list);
}

/* By comparing the texts: of strings that are the same for very long. */
static void sort_texts(const struct tw__key *texts, struct tw__ranked *list, uint32_t n,
                       struct tw__ranked *other) {
  for (uint32_t width = 1; width < n; width *= 2)
    for (uint32_t i = 0; i + width < n; i += 2 * width)
      merge(texts, &list[i], width, n - i < 2 * width ? n - i : 2 * width, other);
}

/* from: where in the strings the ranks are taken. Those that are equal are sorted by the
 * next 8 bytes, and have their own ranks again afterwards. */
static void sort_list(const struct tw__key *texts, struct tw__ranked *list, uint32_t n,
                      struct tw__ranked *other, int64_t from) {
  if (n <= SMALL) {
    sort_few(texts, list, n);
    return;
  }
  sort_ranks(list, n, other);
  for (uint32_t i = 0, end; texts && i < n; i = end) {
    uint64_t rank = list[i].rank;
    int64_t longest = 0;
    for (end = i; end < n && list[end].rank == rank; end++) {
      int64_t len = text_len(texts, texts->table.val[list[end].number]);
      longest = len > longest ? len : longest;
    }
    if (end - i <= SMALL || longest <= from + 8) {
      sort_few(texts, list + i,
               end - i); /* the others differ in length only: 8 at most */
      continue;
    }
    if (from > texts->skip + DEEP) {
      sort_texts(texts, list + i, end - i, other);
      continue;
    }
    for (uint32_t k = i; k < end; k++)
      list[k].rank = word_of(texts, texts->table.val[list[k].number], from + 8);
    sort_list(texts, list + i, end - i, other, from + 8);
    for (uint32_t k = i; k < end; k++) list[k].rank = rank;
  }
}

static int reserve_level(struct tw__keys *keys, struct tw__level *level,
                         uint32_t count) {
  uint32_t room = count + count / 2 + 16;
  if (count > keys->other_room) {
    struct tw__ranked *other = tw__realloc(keys->other, room * sizeof *other);
    if (!other) return TW_ENOMEM;
    keys->other = other;
    keys->other_room = room;
  }
  if (count < level->room) return TW_OK;
  struct tw__ranked *list = tw__realloc(level->list, room * sizeof *list);
  if (!list) return TW_ENOMEM;
  level->list = list;
  uint32_t *place = tw__realloc(level->place, room * sizeof *place);
  if (!place) return TW_ENOMEM;
  level->place = place;
  level->room = room;
  return TW_OK;
}

/* Sorts what is behind the first level->count of the list, `count` in all. */
static void sort_level(struct tw__keys *keys, struct tw__level *level, uint32_t count,
                       const struct tw__key *texts) {
  uint32_t old = level->count;
  sort_list(texts, level->list + old, count - old, keys->other,
            texts ? texts->skip : 0);
  merge(texts, level->list, old, count, keys->other);
  for (uint32_t i = 0; i < count; i++) level->place[level->list[i].number] = i;
  level->count = count;
}

/* How far the strings from number `first` on begin as all before. */
static int64_t common(const struct tw__key *key, uint32_t first) {
  const uint64_t *val = key->table.val;
  const unsigned char *model = text_of(key, val[1]);
  int64_t skip = first == 1 ? text_len(key, val[1]) : key->skip;
  for (uint32_t number = first; number <= key->table.count; number++) {
    const unsigned char *text = text_of(key, val[number]);
    int64_t len = text_len(key, val[number]), i = 0;
    if (len < skip) skip = len;
    while (i < skip && text[i] == model[i]) i++;
    skip = i;
  }
  return skip;
}

static int sort_column(struct tw__keys *keys, int k) {
  struct tw__key *key = &keys->key[k];
  struct tw__level *level = &keys->level[k];
  uint32_t old = level->count, count = key->table.count;
  const struct tw__key *texts = key->type == TW_COL_STRING ? key : NULL;
  if (old == count) return TW_OK;
  if (reserve_level(keys, level, count)) return TW_ENOMEM;
  if (texts) {
    int64_t skip = common(key, old + 1);
    if (skip != key->skip) {
      key->skip = skip;
      for (uint32_t i = 0; i < old; i++)
        level->list[i].rank = rank_of(key, level->list[i].number);
    }
  }
  for (uint32_t i = old; i < count; i++)
    level->list[i] = (struct tw__ranked){rank_of(key, i + 1), i + 1};
  sort_level(keys, level, count, texts);
  return TW_OK;
}

/* Those before have been sorted: places have moved, but not their order. */
static int sort_pair(struct tw__keys *keys, int k) {
  const struct tw__table *pair = &keys->pair[k];
  struct tw__level *level = &keys->level[keys->columns + k];
  const uint32_t *a = keys->level[k == 1 ? 0 : keys->columns + k - 1].place;
  const uint32_t *b = keys->level[k].place;
  uint32_t count = pair->count;
  if (reserve_level(keys, level, count)) return TW_ENOMEM;
  for (uint32_t i = 0; i < count; i++) {
    uint32_t number = i < level->count ? level->list[i].number : i + 1;
    uint64_t val = pair->val[number];
    uint64_t rank = (uint64_t)a[val >> 32] << 32 | b[(uint32_t)val];
    level->list[i] = (struct tw__ranked){rank, number};
  }
  sort_level(keys, level, count, NULL);
  return TW_OK;
}

int tw__keys_sort(struct tw__keys *keys) {
  if (keys->ordered == keys->count) return TW_OK;
  int columns = keys->columns;
  for (int k = 0; k < columns; k++)
    if (sort_column(keys, k)) return TW_ENOMEM;
  for (int k = 1; k < columns; k++)
    if (sort_pair(keys, k)) return TW_ENOMEM;
  if (keys->order_room < keys->count) {
    uint32_t room = keys->count + keys->count / 2 + 16;
    uint32_t *order = tw__realloc(keys->order, room * sizeof *order);
    if (!order) return TW_ENOMEM;
    keys->order = order;
    keys->order_room = room;
  }
  const struct tw__level *last = &keys->level[columns == 1 ? 0 : 2 * columns - 1];
  for (uint32_t i = 0; i < keys->count; i++) keys->order[i] = last->list[i].number;
  keys->ordered = keys->count;
  return TW_OK;
}
