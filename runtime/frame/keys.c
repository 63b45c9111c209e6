/* keys.c -- numbers for the distinct keys of rows, and their order. */
#include "frame/keys.h"
#include "core/hash.h"
#include "core/mem.h"
#include "frame/column.h"

#include <string.h>

/* ---- integers to numbers ---- */

enum { FIRST_BITS = 6 };

static int table_init(struct tw__table *table) {
  table->seed = tw__hash_seed();
  table->shift = 64 - FIRST_BITS;
  table->place = tw__calloc((size_t)1 << FIRST_BITS, sizeof *table->place);
  return table->place ? TW_OK : TW_ENOMEM;
}

static void table_fini(struct tw__table *table) {
  tw__free(table->place);
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
  struct tw__place *place = tw__calloc(2 * places, sizeof *place);
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

/* ---- one column ---- */

static int numbers_of_f64(struct tw__table *table, const double *x, int64_t n,
                          uint32_t *number) {
  for (int64_t i = 0; i < n; i++) {
    double val = x[i] + 0.0; /* -0 and 0 are one */
    uint64_t bits;
    memcpy(&bits, &val, sizeof bits);
    number[i] = 0;
    if (val != val) continue;
    number[i] = table_number(table, bits);
    if (!number[i]) return TW_ENOMEM;
  }
  return TW_OK;
}

static int numbers_of_whole(struct tw__table *table, const tw_column *col,
                            int64_t first, int64_t n, uint32_t *number) {
  const uint8_t *valid = col->valid;
  int is_bool = col->type == TW_COL_BOOL;
  for (int64_t i = 0; i < n; i++) {
    number[i] = 0;
    if (valid && !tw__column_bit(valid, first + i)) continue;
    uint64_t key = is_bool ? col->b[first + i] : (uint64_t)col->i64[first + i];
    number[i] = table_number(table, key);
    if (!number[i]) return TW_ENOMEM;
  }
  return TW_OK;
}

/* What is known of a dict, all its strings with a place; it comes first. NULL: no
 * memory. */
static struct tw__key_dict *know(struct tw__key *key, tw_dict *dict) {
  struct tw__key_dict *known = key->known, found;
  int k = 0;
  while (k < TW__KEYS_KNOWN - 1 && known[k].dict && known[k].dict != dict) k++;
  found = known[k];
  if (found.dict != dict) {
    tw_dict_release(found.dict);
    tw__free(found.number);
    found = (struct tw__key_dict){.dict = tw_dict_retain(dict)};
  }
  memmove(&known[1], &known[0], (size_t)k * sizeof *known);
  known[0] = found;
  if (known->room > dict->count) return known;
  int64_t room = dict->count < 8 ? 16 : 2 * dict->count;
  uint32_t *number = tw__realloc(known->number, (size_t)room * sizeof *number);
  if (!number) return NULL;
  memset(number + known->room, 0, (size_t)(room - known->room) * sizeof *number);
  known->number = number;
  known->room = room;
  return known;
}

static int64_t add_text(tw_dict *to, const tw_dict *dict, uint64_t code) {
  int64_t start = dict->start[code];
  return tw_dict_add(to, dict->bytes + start, dict->start[code + 1] - start);
}

/* From the dict of the only source there was to one of its own. */
static int own_names(struct tw__key *key) {
  tw_dict *names = tw_dict_new();
  if (!names) return TW_ENOMEM;
  for (uint32_t number = 1; number <= key->table.count; number++) {
    int64_t code = add_text(names, key->names, key->table.val[number]);
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
  } else {
    int64_t name = add_text(key->names, known->dict, code);
    if (name < 0) return 0;
    number = (uint32_t)name + 1;
    if (number > key->table.count && !table_next(&key->table, (uint64_t)name)) return 0;
  }
  known->number[code] = number;
  return number;
}

static int numbers_of_strings(struct tw__key *key, const tw_column *col, int64_t first,
                              int64_t n, uint32_t *restrict number) {
  if (!n) return TW_OK;
  if (!key->names) key->names = tw_dict_retain(col->dict);
  if (!key->own && key->names != col->dict && own_names(key)) return TW_ENOMEM;
  struct tw__key_dict *known = know(key, col->dict);
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
  tw__free(key->rank);
}

/* ---- all columns ---- */

int tw__keys_init(struct tw__keys *keys, const int32_t *type, int columns) {
  *keys = (struct tw__keys){.columns = columns};
  if (columns < 1) return TW_EINVAL;
  keys->key = tw__calloc((size_t)columns, sizeof *keys->key);
  keys->pair = tw__calloc((size_t)columns, sizeof *keys->pair);
  if (!keys->key || !keys->pair) goto fail;
  for (int k = 0; k < columns; k++) {
    keys->key[k].type = type[k];
    if (type[k] != TW_COL_STRING && table_init(&keys->key[k].table)) goto fail;
    if (k > 0 && table_init(&keys->pair[k])) goto fail;
  }
  return TW_OK;

fail:
  tw__keys_fini(keys);
  return TW_ENOMEM;
}

void tw__keys_fini(struct tw__keys *keys) {
  for (int k = 0; k < keys->columns && keys->key; k++) key_fini(&keys->key[k]);
  for (int k = 1; k < keys->columns && keys->pair; k++) table_fini(&keys->pair[k]);
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

int tw__keys_numbers(struct tw__keys *keys, tw_column *const *col, const int32_t *at,
                     int64_t first, int64_t n, uint32_t *number) {
  int rc = column_numbers(&keys->key[0], col[at[0]], first, n, number);
  keys->count = keys->key[0].table.count;
  if (rc || keys->columns == 1) return rc;
  if (reserve_spare(keys, n)) return TW_ENOMEM;
  for (int k = 1; k < keys->columns; k++) {
    rc = column_numbers(&keys->key[k], col[at[k]], first, n, keys->spare);
    if (rc) return rc;
    struct tw__table *pair = &keys->pair[k];
    for (int64_t i = 0; i < n; i++) {
      uint32_t a = number[i], b = keys->spare[i];
      number[i] = 0;
      if (!a || !b) continue;
      number[i] = table_number(pair, (uint64_t)a << 32 | b);
      if (!number[i]) return TW_ENOMEM;
    }
    keys->count = pair->count;
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

int tw__keys_keep(struct tw__keys *to, const struct tw__keys *keys,
                  const uint32_t *number, int64_t n) {
  int32_t type[16], at[16];
  tw_column *col[16] = {NULL};
  uint32_t *given = tw__malloc((size_t)n * sizeof *given);
  int rc = TW_ENOMEM;
  *to = (struct tw__keys){0};
  if (!given) return rc;
  for (int k = 0; k < keys->columns; k++) type[k] = keys->key[k].type, at[k] = k;
  rc = tw__keys_init(to, type, keys->columns);
  for (int k = 0; k < keys->columns && !rc; k++)
    rc = tw__keys_column(keys, k, number, n, &col[k]);
  if (!rc && n) rc = tw__keys_numbers(to, col, at, 0, n, given);
  for (int k = 0; k < keys->columns; k++) tw_column_release(col[k]);
  tw__free(given);
  if (rc) tw__keys_fini(to);
  return rc;
}

/* ---- the order ---- */

/* An integer that comes before another when the key does: of a string its first 8 bytes,
 * which may be equal. */
static uint64_t rank_of(const struct tw__key *key, uint64_t val) {
  uint64_t rank = 0;
  switch (key->type) {
  case TW_COL_BOOL: return val;
  case TW_COL_F64: return val >> 63 ? ~val : val | (uint64_t)1 << 63;
  case TW_COL_STRING: {
    int64_t start = key->names->start[val], len = key->names->start[val + 1] - start;
    for (int64_t i = 0; i < 8; i++)
      rank = rank << 8 | (i < len ? (unsigned char)key->names->bytes[start + i] : 0);
    return rank;
  }
  default: return val ^ (uint64_t)1 << 63;
  }
}

static int rank_all(struct tw__key *key) {
  uint32_t count = key->table.count;
  if (count >= key->rank_room) {
    uint32_t room = count + count / 2 + 16;
    uint64_t *rank = tw__realloc(key->rank, room * sizeof *rank);
    if (!rank) return TW_ENOMEM;
    key->rank = rank;
    key->rank_room = room;
  }
  for (uint32_t number = key->rank_count + 1; number <= count; number++)
    key->rank[number] = rank_of(key, key->table.val[number]);
  key->rank_count = count;
  return TW_OK;
}

static int text_before(const struct tw__key *key, uint32_t a, uint32_t b) {
  const int64_t *s = &key->names->start[key->table.val[a]];
  const int64_t *t = &key->names->start[key->table.val[b]];
  int64_t a_len = s[1] - s[0], b_len = t[1] - t[0];
  int64_t len = a_len < b_len ? a_len : b_len;
  const char *bytes = key->names->bytes;
  int by = len ? memcmp(bytes + s[0], bytes + t[0], (size_t)len) : 0;
  return by ? by < 0 : a_len < b_len;
}

static int before(const struct tw__keys *keys, uint32_t a, uint32_t b) {
  for (int k = 0; k < keys->columns; k++) {
    const struct tw__key *key = &keys->key[k];
    uint32_t x = part(keys, a, k), y = part(keys, b, k);
    if (x == y) continue;
    if (key->rank[x] != key->rank[y]) return key->rank[x] < key->rank[y];
    return text_before(key, x, y); /* others that differ have other ranks */
  }
  return 0;
}

/* Merges list[0 .. m - 1] and list[m .. n - 1], both sorted, through spare. */
static void merge(const struct tw__keys *keys, uint32_t *list, int64_t m, int64_t n,
                  uint32_t *spare) {
  if (!m || m == n || before(keys, list[m - 1], list[m])) return;
  memcpy(spare, list, (size_t)m * sizeof *list);
  int64_t a = 0, b = m, to = 0;
  while (a < m && b < n)
    list[to++] = before(keys, list[b], spare[a]) ? list[b++] : spare[a++];
  memcpy(&list[to], &spare[a], (size_t)(m - a) * sizeof *list);
}

int tw__keys_sort(struct tw__keys *keys) {
  if (keys->ordered == keys->count) return TW_OK;
  for (int k = 0; k < keys->columns; k++)
    if (rank_all(&keys->key[k])) return TW_ENOMEM;
  if (reserve_spare(keys, keys->count)) return TW_ENOMEM;
  if (keys->order_room < keys->count) {
    uint32_t room = keys->count + keys->count / 2 + 16;
    uint32_t *order = tw__realloc(keys->order, room * sizeof *order);
    if (!order) return TW_ENOMEM;
    keys->order = order;
    keys->order_room = room;
  }
  int64_t old = keys->ordered, n = (int64_t)keys->count - old;
  uint32_t *list = &keys->order[old];
  for (int64_t i = 0; i < n; i++) list[i] = (uint32_t)(old + i + 1);
  for (int64_t width = 1; width < n; width *= 2)
    for (int64_t i = 0; i + width < n; i += 2 * width)
      merge(keys, &list[i], width, n - i < 2 * width ? n - i : 2 * width, keys->spare);
  merge(keys, keys->order, old, keys->count, keys->spare);
  keys->ordered = keys->count;
  return TW_OK;
}
