/* cells.c -- the states behind reductions and group-by, and the loops that fill them. */
#include "frame/cells.h"
#include "agg/sum.h"
#include "agg/var.h"
#include "core/mem.h"
#include "frame/column.h"
#include "frame/most.h"
#include "frame/parts.h"

#include <math.h>
#include <string.h>

enum kind {
  COUNT, /* values, or rows */
  SUM,   /* compensated */
  MEAN,  /* likewise, and how many */
  WHOLE, /* integers: sum and mean, exact */
  VAR,   /* about a shift */
  LEAST, /* of F64 */
  MOST,
  WHOLE_LEAST, /* of integers */
  WHOLE_MOST,
  LIVE_SUM, /* sum and mean */
  LIVE_VAR,
  LIVE_MOST, /* or least: the largest score */
  KINDS
};

struct mean {
  struct tw__sum sum;
  int64_t n;
};

struct whole {
  __extension__ __int128 sum;
  int64_t n;
};

struct var {
  int64_t n;
  double k;
  struct tw__var_sums sums;
};

struct extreme {
  int64_t val, n;
};

struct live_sum {
  struct tw__sum sum;
  double mass, spent; /* sum of |x|: of what is held, of all that came and went */
  int64_t n;
  uint32_t plus, minus; /* infinities held */
};

struct live_var {
  int64_t n;
  double k;
  struct tw__var_sums sums;
  double spent; /* sum of (x - k)^2 of all that came and went */
  int64_t infinite;
};

static const size_t sizes[KINDS] = {
    [COUNT] = sizeof(int64_t),
    [SUM] = sizeof(struct tw__sum),
    [MEAN] = sizeof(struct mean),
    [WHOLE] = sizeof(struct whole),
    [VAR] = sizeof(struct var),
    [LEAST] = sizeof(double),
    [MOST] = sizeof(double),
    [WHOLE_LEAST] = sizeof(struct extreme),
    [WHOLE_MOST] = sizeof(struct extreme),
    [LIVE_SUM] = sizeof(struct live_sum),
    [LIVE_VAR] = sizeof(struct live_var),
    [LIVE_MOST] = sizeof(struct tw__most),
}; /* ORDER kind */

/* Rounding is about 1e-16 of what was spent: below 1e-10 of the result while spent is no
 * more than this many times what is held. */
static const double PATIENCE = 1e5;

/* ---- which kind ---- */

static int kind_of(int agg, int type, int live) {
  int whole = type != TW_COL_F64;
  switch (agg) {
  case TW_AGG_SIZE:
  case TW_AGG_COUNT: return COUNT;
  case TW_AGG_SUM: return whole ? WHOLE : live ? LIVE_SUM : SUM;
  case TW_AGG_MEAN: return whole ? WHOLE : live ? LIVE_SUM : MEAN;
  case TW_AGG_VAR:
  case TW_AGG_STD: return live ? LIVE_VAR : VAR;
  case TW_AGG_MIN: return live ? LIVE_MOST : whole ? WHOLE_LEAST : LEAST;
  case TW_AGG_MAX: return live ? LIVE_MOST : whole ? WHOLE_MOST : MOST;
  default: return -1;
  }
}

static int out_of(int agg, int type) {
  switch (agg) {
  case TW_AGG_SIZE:
  case TW_AGG_COUNT: return TW_COL_I64;
  case TW_AGG_SUM: return type == TW_COL_F64 ? TW_COL_F64 : TW_COL_I64;
  case TW_AGG_MIN:
  case TW_AGG_MAX: return type == TW_COL_BOOL ? TW_COL_I64 : type;
  default: return TW_COL_F64;
  }
}

static int type_fits(int agg, int type) {
  if (agg == TW_AGG_SIZE || agg == TW_AGG_COUNT) return 1;
  if (type == TW_COL_TIMESTAMP) return agg == TW_AGG_MIN || agg == TW_AGG_MAX;
  return type != TW_COL_STRING;
}

int tw__cells_init(struct tw__cells *c, int agg, int type, double ddof, int live) {
  int kind = kind_of(agg, type, live);
  if (kind < 0 || !(ddof >= 0) || isinf(ddof)) return TW_EINVAL;
  if (!tw_column_width(type) || !type_fits(agg, type)) return TW_ETYPE;
  *c = (struct tw__cells){
      .kind = kind, .agg = agg, .in = type, .out = out_of(agg, type), .ddof = ddof};
  return TW_OK;
}

/* ---- memory ---- */

static char *cell_at(const struct tw__cells *c, int64_t g) {
  return (char *)c->cell + (size_t)g * sizes[c->kind];
}

static void empty(struct tw__cells *c, int64_t first, int64_t end) {
  memset(cell_at(c, first), 0, (size_t)(end - first) * sizes[c->kind]);
  if (c->kind != LEAST && c->kind != MOST) return;
  double *val = c->cell;
  for (int64_t g = first; g < end; g++) val[g] = NAN;
}

static void free_rings(struct tw__cells *c, int64_t first) {
  struct tw__most *most = c->cell;
  if (c->kind != LIVE_MOST) return;
  for (int64_t g = first; g < c->room; g++) tw__free(most[g].entry);
}

void tw__cells_fini(struct tw__cells *c) {
  free_rings(c, 0);
  tw__free(c->cell);
  c->cell = NULL;
  c->room = 0;
}

int tw__cells_reserve(struct tw__cells *c, int64_t room) {
  if (room <= c->room) {
    c->used = room;
    return TW_OK;
  }
  int64_t used = room;
  if (room < 2 * c->room) room = 2 * c->room;
  size_t size = sizes[c->kind];
  void *cell = tw__mem_grow(c->cell, (size_t)c->room * size, (size_t)room * size);
  if (!cell) return TW_ENOMEM;
  c->cell = cell;
  empty(c, c->room, room);
  c->room = room;
  c->used = used;
  return TW_OK;
}

void tw__cells_clear(struct tw__cells *c) {
  c->stale = 0;
  if (!c->room) return;
  if (c->kind != LIVE_MOST) {
    empty(c, 0, c->room);
    return;
  }
  struct tw__most *most = c->cell; /* rings are kept */
  for (int64_t g = 0; g < c->room; g++) most[g].head = most[g].count = 0;
}

int tw__cells_copy(struct tw__cells *to, const struct tw__cells *c, int64_t used) {
  *to = *c;
  to->cell = NULL;
  to->room = 0;
  if (!used) return TW_OK;
  if (tw__cells_reserve(to, used)) return TW_ENOMEM;
  memcpy(to->cell, c->cell, (size_t)used * sizes[c->kind]);
  if (c->kind != LIVE_MOST) return TW_OK;
  struct tw__most *most = to->cell;
  int64_t g = 0;
  for (; g < used; g++) {
    const struct tw__most_entry *entry = most[g].entry;
    size_t size = ((size_t)most[g].mask + 1) * sizeof *entry;
    if (!entry) continue;
    most[g].entry = tw__malloc(size);
    if (!most[g].entry) break;
    memcpy(most[g].entry, entry, size);
  }
  if (g == used) return TW_OK;
  for (; g < used; g++) most[g].entry = NULL; /* they are c's */
  tw__cells_fini(to);
  return TW_ENOMEM;
}

int tw__cells_void(const struct tw__cells *c, int64_t used) {
  size_t size = sizes[c->kind];
  static const char zero[sizeof(struct live_sum)];
  const double *val = c->cell;
  for (int64_t g = 0; g < used && g < c->room; g++) {
    if (c->kind == LEAST || c->kind == MOST) {
      if (val[g] == val[g]) return 0;
    } else if (c->kind == LIVE_MOST) {
      if (((const struct tw__most *)c->cell)[g].count) return 0;
    } else if (memcmp(cell_at(c, g), zero, size) != 0) {
      return 0;
    }
  }
  return 1;
}

void tw__cells_keep(struct tw__cells *c, const uint32_t *from, int64_t n,
                    int64_t first) {
  size_t size = sizes[c->kind];
  char spare[sizeof(struct live_sum)];
  for (int64_t i = 0; i < n; i++) {
    if (from[i] == first + i) continue;
    char *a = cell_at(c, first + i),
         *b = cell_at(c, from[i]); /* rings must not be lost */
    memcpy(spare, a, size);
    memcpy(a, b, size);
    memcpy(b, spare, size);
  }
}

/* ---- one value ---- */

static inline void one_sum(struct tw__sum *cell, double x) {
  tw__sum_add(cell, x);
}

static inline void one_mean(struct mean *cell, double x) {
  tw__sum_add(&cell->sum, x);
  cell->n++;
}

static inline void one_whole(struct whole *cell, int64_t x) {
  cell->sum += x;
  cell->n++;
}

static inline void one_whole_less(struct whole *cell, int64_t x) {
  cell->sum -= x;
  cell->n--;
}

/* Puts the shift at the mean. Done at every doubling, so that it is the mean of at least
 * half of the values: see agg/var.h. */
static __attribute__((noinline)) void centre(double *k, struct tw__var_sums *sums,
                                             double n) {
  double mean = *k + sums->s1 / n;
  if (!(mean - mean == 0)) return;
  *sums = tw__var_shift(*sums, n, *k - mean);
  *k = mean;
}

static inline void one_var(struct var *cell, double x) {
  if (cell->n == 0) cell->k = x;
  double y = x - cell->k;
  cell->sums.s1 += y;
  cell->sums.s2 += y * y;
  cell->n++;
  if (__builtin_expect((cell->n & (cell->n - 1)) == 0 && cell->n > 2, 0))
    centre(&cell->k, &cell->sums, (double)cell->n);
}

static inline void one_least(double *cell, double x) {
  if (!(*cell <= x)) *cell = x;
}

static inline void one_most(double *cell, double x) {
  if (!(*cell >= x)) *cell = x;
}

static inline void one_whole_least(struct extreme *cell, int64_t x) {
  if (!cell->n++ || x < cell->val) cell->val = x;
}

static inline void one_whole_most(struct extreme *cell, int64_t x) {
  if (!cell->n++ || x > cell->val) cell->val = x;
}

static inline int live_sum_stale(const struct live_sum *cell) {
  return cell->spent > PATIENCE * cell->mass;
}

static inline int one_live_sum(struct live_sum *cell, double x) {
  cell->n++;
  if (__builtin_expect(x - x != 0, 0)) {
    cell->plus += x > 0, cell->minus += x < 0;
    return 0;
  }
  tw__sum_add(&cell->sum, x);
  cell->mass += fabs(x);
  cell->spent += fabs(x);
  return 0;
}

static inline int one_live_sum_less(struct live_sum *cell, double x) {
  cell->n--;
  if (__builtin_expect(cell->n == 0, 0)) {
    *cell = (struct live_sum){.n = 0};
    return 0;
  }
  if (__builtin_expect(x - x != 0, 0)) {
    cell->plus -= x > 0, cell->minus -= x < 0;
    return 0;
  }
  tw__sum_add(&cell->sum, -x);
  cell->mass -= fabs(x);
  cell->spent += fabs(x);
  return live_sum_stale(cell);
}

/* Of one value there is no variance, however stale. */
static inline int live_var_stale(const struct live_var *cell) {
  double n = (double)cell->n - (double)cell->infinite;
  double s1 = cell->sums.s1, square = cell->sums.s2 * n - s1 * s1;
  return n > 1 && cell->spent * n > PATIENCE * square;
}

static inline int one_live_var(struct live_var *cell, double x) {
  cell->n++;
  if (__builtin_expect(x - x != 0, 0)) {
    cell->infinite++;
    return 0;
  }
  int64_t n = cell->n - cell->infinite;
  if (n == 1) cell->k = x;
  double y = x - cell->k;
  cell->sums.s1 += y;
  cell->sums.s2 += y * y;
  cell->spent += y * y;
  if (__builtin_expect((n & (n - 1)) == 0 && n > 2, 0))
    centre(&cell->k, &cell->sums, (double)n);
  return live_var_stale(cell);
}

static inline int one_live_var_less(struct live_var *cell, double x) {
  cell->n--;
  if (__builtin_expect(x - x != 0, 0)) {
    cell->infinite--;
    return 0;
  }
  if (__builtin_expect(cell->n == cell->infinite, 0)) {
    cell->sums = (struct tw__var_sums){0, 0};
    cell->spent = 0;
    return 0;
  }
  double y = x - cell->k;
  cell->sums.s1 -= y;
  cell->sums.s2 -= y * y;
  cell->spent += y * y;
  return live_var_stale(cell);
}

/* ---- live minimum and maximum ---- */

static int64_t score_at(const tw_column *col, int64_t i) {
  if (col->type == TW_COL_F64) return tw__most_of_num(col->f64[i]);
  return col->type == TW_COL_BOOL ? col->b[i] : col->i64[i];
}

static int add_live_most(struct tw__cells *c, const uint32_t *number,
                         const tw_column *col, int64_t first, int64_t n,
                         const int64_t *key) {
  struct tw__most *cell = c->cell;
  int64_t flip = c->agg == TW_AGG_MIN ? -1 : 0;
  for (int64_t i = 0; i < n; i++) {
    if (tw_column_is_null(col, first + i)) continue;
    int64_t score = score_at(col, first + i) ^ flip;
    if (tw__most_add(&cell[number ? number[i] : 0], score, key ? key[i] : 0))
      return TW_ENOMEM;
  }
  return TW_OK;
}

static void drop_live_most(struct tw__cells *c, const uint32_t *number,
                           const tw_column *col, int64_t first, int64_t n) {
  struct tw__most *cell = c->cell;
  int64_t flip = c->agg == TW_AGG_MIN ? -1 : 0;
  for (int64_t i = 0; i < n; i++) {
    if (tw_column_is_null(col, first + i)) continue;
    tw__most_drop(&cell[number ? number[i] : 0], score_at(col, first + i) ^ flip);
  }
}

/* ---- loops over rows ---- */

enum { STRIDE = 16, CACHE = 1 << 19 };

/* Cells that the caches do not hold are asked for some rows ahead. */
#define ROWS(present, action)                                                          \
  for (int64_t base = 0; base < n; base += STRIDE) {                                   \
    int64_t end = base + STRIDE < n ? base + STRIDE : n;                               \
    if (big)                                                                           \
      for (int64_t i = end; i < end + STRIDE && i < n; i++)                            \
        __builtin_prefetch(&cell[number[i]], 1);                                       \
    for (int64_t i = base; i < end; i++)                                               \
      if (present) action;                                                             \
  }

#define CELLS(cell_type)                                                               \
  cell_type *cell = c->cell;                                                           \
  const uint8_t *valid = col->valid;                                                   \
  int big = (size_t)c->room * sizeof *cell > CACHE;

#define BIT (!valid || tw__column_bit(valid, first + i))

/* The loops of a kind over F64 or, as doubles, over the others; one(cell, x). */
#define LOOP_NUM(name, cell_type, one)                                                 \
  static void name(struct tw__cells *c, const uint32_t *number, const tw_column *col,  \
                   int64_t first, int64_t n) {                                         \
    CELLS(cell_type)                                                                   \
    if (col->type == TW_COL_F64) {                                                     \
      const double *x = col->f64 + first;                                              \
      ROWS(x[i] == x[i], one(&cell[number[i]], x[i]))                                  \
    } else if (col->type == TW_COL_BOOL) {                                             \
      const uint8_t *x = col->b + first;                                               \
      ROWS(BIT, one(&cell[number[i]], (double)x[i]))                                   \
    } else {                                                                           \
      const int64_t *x = col->i64 + first;                                             \
      ROWS(BIT, one(&cell[number[i]], (double)x[i]))                                   \
    }                                                                                  \
  }

#define LOOP_WHOLE(name, cell_type, one)                                               \
  static void name(struct tw__cells *c, const uint32_t *number, const tw_column *col,  \
                   int64_t first, int64_t n) {                                         \
    CELLS(cell_type)                                                                   \
    if (col->type == TW_COL_BOOL) {                                                    \
      const uint8_t *x = col->b + first;                                               \
      ROWS(BIT, one(&cell[number[i]], x[i]))                                           \
    } else {                                                                           \
      const int64_t *x = col->i64 + first;                                             \
      ROWS(BIT, one(&cell[number[i]], x[i]))                                           \
    }                                                                                  \
  }

#define LOOP_LIVE(name, cell_type, one)                                                \
  static void name(struct tw__cells *c, const uint32_t *number, const tw_column *col,  \
                   int64_t first, int64_t n) {                                         \
    CELLS(cell_type)                                                                   \
    int stale = 0;                                                                     \
    if (col->type == TW_COL_F64) {                                                     \
      const double *x = col->f64 + first;                                              \
      ROWS(x[i] == x[i], stale |= one(&cell[number[i]], x[i]))                         \
    } else if (col->type == TW_COL_BOOL) {                                             \
      const uint8_t *x = col->b + first;                                               \
      ROWS(BIT, stale |= one(&cell[number[i]], (double)x[i]))                          \
    } else {                                                                           \
      const int64_t *x = col->i64 + first;                                             \
      ROWS(BIT, stale |= one(&cell[number[i]], (double)x[i]))                          \
    }                                                                                  \
    c->stale |= stale;                                                                 \
  }

LOOP_NUM(add_sum, struct tw__sum, one_sum)
LOOP_NUM(add_mean, struct mean, one_mean)
LOOP_NUM(add_var, struct var, one_var)
LOOP_NUM(add_least, double, one_least)
LOOP_NUM(add_most, double, one_most)
LOOP_WHOLE(add_whole, struct whole, one_whole)
LOOP_WHOLE(drop_whole, struct whole, one_whole_less)
LOOP_WHOLE(add_whole_least, struct extreme, one_whole_least)
LOOP_WHOLE(add_whole_most, struct extreme, one_whole_most)
LOOP_LIVE(add_live_sum, struct live_sum, one_live_sum)
LOOP_LIVE(drop_live_sum, struct live_sum, one_live_sum_less)
LOOP_LIVE(add_live_var, struct live_var, one_live_var)
LOOP_LIVE(drop_live_var, struct live_var, one_live_var_less)

static void count_by(struct tw__cells *c, const uint32_t *number, const tw_column *col,
                     int64_t first, int64_t n, int64_t by) {
  CELLS(int64_t)
  if (c->agg == TW_AGG_SIZE) {
    ROWS(1, cell[number[i]] += by)
  } else if (col->type == TW_COL_F64) {
    const double *x = col->f64 + first;
    ROWS(1, cell[number[i]] += x[i] == x[i] ? by : 0)
  } else if (valid) {
    ROWS(1, cell[number[i]] += BIT ? by : 0)
  } else {
    ROWS(1, cell[number[i]] += by)
  }
}

/* ---- many rows into few sums ---- */

/* Whether they were added this way. */
static int add_parts(struct tw__cells *c, const uint32_t *number, const double *x,
                     int64_t n) {
  pair part[TW__PARTS];
  struct tw__sum *sum = c->cell;
  struct mean *mean = c->cell;
  if (!tw__parts_sums(part, c->used, number, x, n)) return 0;
  for (int64_t g = 0; g < c->used; g++) {
    if (part[g][1] == 0) continue;
    if (c->kind == MEAN) mean[g].n += (int64_t)part[g][1];
    tw__sum_add(c->kind == MEAN ? &mean[g].sum : &sum[g], part[g][0]);
  }
  return 1;
}

/* The plain sum of n values, and that of their |x|. What rounding loses of n is no more than
 * n times what it loses of one. */
static int many_live_sum(struct live_sum *cell, double sum, double mass, int64_t n,
                         int sign) {
  cell->n += sign * n;
  if (cell->n == 0) {
    *cell = (struct live_sum){.n = 0};
    return 0;
  }
  tw__sum_add(&cell->sum, sign * sum);
  cell->mass += sign * mass;
  cell->spent += (double)n * mass;
  return sign < 0 && live_sum_stale(cell);
}

/* Not of infinities, which are counted. */
static int live_parts(struct tw__cells *c, const uint32_t *number, const double *x,
                      int64_t n, int sign) {
  pair part[TW__PARTS];
  int64_t count[TW__PARTS], used = c->used;
  struct live_sum *cell = c->cell;
  double all = 0;
  if (!tw__parts_live(part, count, used, number, x, n)) return 0;
  for (int64_t g = 0; g < used; g++) all += part[g][1];
  if (!(all - all == 0)) return 0;
  for (int64_t g = 0; g < used; g++, cell++) {
    if (count[g])
      c->stale |= many_live_sum(cell, part[g][0], part[g][1], count[g], sign);
  }
  return 1;
}

static void add_rows(struct tw__cells *c, const uint32_t *number, const tw_column *col,
                     int64_t first, int64_t n) {
  if (col->type == TW_COL_F64) {
    const double *x = col->f64 + first;
    if ((c->kind == SUM || c->kind == MEAN) && add_parts(c, number, x, n)) return;
    if (c->kind == LIVE_SUM && live_parts(c, number, x, n, 1)) return;
  }
  switch (c->kind) {
  case COUNT: count_by(c, number, col, first, n, 1); return;
  case SUM: add_sum(c, number, col, first, n); return;
  case MEAN: add_mean(c, number, col, first, n); return;
  case WHOLE: add_whole(c, number, col, first, n); return;
  case VAR: add_var(c, number, col, first, n); return;
  case LEAST: add_least(c, number, col, first, n); return;
  case MOST: add_most(c, number, col, first, n); return;
  case WHOLE_LEAST: add_whole_least(c, number, col, first, n); return;
  case WHOLE_MOST: add_whole_most(c, number, col, first, n); return;
  case LIVE_SUM: add_live_sum(c, number, col, first, n); return;
  default: add_live_var(c, number, col, first, n);
  }
}

static void drop_rows(struct tw__cells *c, const uint32_t *number, const tw_column *col,
                      int64_t first, int64_t n) {
  if (c->kind == LIVE_SUM && col->type == TW_COL_F64)
    if (live_parts(c, number, col->f64 + first, n, -1)) return;
  switch (c->kind) {
  case COUNT: count_by(c, number, col, first, n, -1); return;
  case WHOLE: drop_whole(c, number, col, first, n); return;
  case LIVE_SUM: drop_live_sum(c, number, col, first, n); return;
  case LIVE_VAR: drop_live_var(c, number, col, first, n); return;
  default: return;
  }
}

/* ---- all rows into one cell ---- */

static const uint32_t zeros[256];

static inline pair load_pair(const double *x) {
  pair v;
  memcpy(&v, x, sizeof v);
  return v;
}

/* The sum of what is there in n values, and how many that are. */
static inline double sum_of(const double *x, int64_t n, int64_t *count) {
  pair a = {0, 0}, b = a, c = a, d = a;
  bits some = {0, 0};
  int64_t i = 0;
  for (; i + 8 <= n; i += 8) {
    pair p = load_pair(x + i), q = load_pair(x + i + 2);
    pair r = load_pair(x + i + 4), s = load_pair(x + i + 6);
    bits pm = p == p, qm = q == q, rm = r == r, sm = s == s;
    a += (pair)((bits)p & pm), b += (pair)((bits)q & qm);
    c += (pair)((bits)r & rm), d += (pair)((bits)s & sm);
    some -= (pm + qm) + (rm + sm);
  }
  a = (a + b) + (c + d);
  double sum = a[0] + a[1];
  int64_t there = some[0] + some[1];
  for (; i < n; i++)
    if (x[i] == x[i]) sum += x[i], there++;
  *count = there;
  return sum;
}

/* The sum of (x - k)^2 of what is there, and of (x - k), which is about 0. */
static inline double squares_of(const double *x, int64_t n, double k, double *rest) {
  pair s = {0, 0}, t = s, u = s, v = s, shift = {k, k};
  int64_t i = 0;
  for (; i + 4 <= n; i += 4) {
    pair p = load_pair(x + i) - shift, q = load_pair(x + i + 2) - shift;
    p = (pair)((bits)p & (p == p));
    q = (pair)((bits)q & (q == q));
    s += p * p, t += q * q;
    u += p, v += q;
  }
  s += t, u += v;
  double squares = s[0] + s[1], sum = u[0] + u[1];
  for (; i < n; i++) {
    double y = x[i] - k;
    if (y == y) squares += y * y, sum += y;
  }
  *rest = sum;
  return squares;
}

enum { BLOCK = 512 };

static void sum_all(struct tw__sum *cell, int64_t *n_cell, const double *x, int64_t n) {
  struct tw__sum sum = *cell;
  int64_t count, all = 0;
  for (int64_t i = 0; i < n; i += BLOCK) {
    tw__sum_add(&sum, sum_of(x + i, n - i < BLOCK ? n - i : BLOCK, &count));
    all += count;
  }
  *cell = sum;
  if (n_cell) *n_cell += all;
}

/* The sum of |x| of what is there. */
static inline double mass_of(const double *x, int64_t n) {
  pair a = {0, 0}, b = a;
  const bits size = {INT64_MAX, INT64_MAX};
  int64_t i = 0;
  for (; i + 4 <= n; i += 4) {
    pair p = load_pair(x + i), q = load_pair(x + i + 2);
    a += (pair)((bits)p & size & (p == p));
    b += (pair)((bits)q & size & (q == q));
  }
  a += b;
  double mass = a[0] + a[1];
  for (; i < n; i++) mass += x[i] == x[i] ? fabs(x[i]) : 0;
  return mass;
}

/* Whether all of them were finite; else none has gone in (or out). */
static int live_all(struct tw__cells *c, const double *x, int64_t n, int sign) {
  double mass = mass_of(x, n);
  if (!(mass - mass == 0)) return 0;
  for (int64_t i = 0; i < n; i += BLOCK) {
    int64_t count, len = n - i < BLOCK ? n - i : BLOCK;
    double sum = sum_of(x + i, len, &count);
    if (n > BLOCK) mass = mass_of(x + i, len);
    if (count) c->stale |= many_live_sum(c->cell, sum, mass, count, sign);
  }
  return 1;
}

static void var_all(struct var *cell, const double *x, int64_t n) {
  for (int64_t i = 0; i < n; i += BLOCK) {
    int64_t count, len = n - i < BLOCK ? n - i : BLOCK;
    double sum = sum_of(x + i, len, &count), rest;
    if (!count) continue;
    struct tw__var more = {.n = (double)count, .k = sum / (double)count};
    more.sums.s2 = squares_of(x + i, len, more.k, &rest);
    more.sums.s1 = rest;
    struct tw__var var = {(double)cell->n, cell->k, cell->sums};
    if (!(sum - sum == 0)) { /* infinite: as IEEE arithmetic has it */
      more.k = 0;
      more.sums = (struct tw__var_sums){NAN, NAN};
    }
    var = tw__var_join(var, more);
    *cell = (struct var){(int64_t)var.n, var.k, var.sums};
  }
}

static void extreme_all(double *cell, const double *x, int64_t n, int most) {
  double a = *cell, b = a, c = a, d = a;
  int64_t i = 0;
  if (n && a != a) { /* the first one that is there */
    while (i < n && x[i] != x[i]) i++;
    if (i == n) return;
    a = b = c = d = x[i];
  }
  if (most)
    for (; i + 4 <= n; i += 4) {
      a = x[i] > a ? x[i] : a, b = x[i + 1] > b ? x[i + 1] : b;
      c = x[i + 2] > c ? x[i + 2] : c, d = x[i + 3] > d ? x[i + 3] : d;
    }
  else
    for (; i + 4 <= n; i += 4) {
      a = x[i] < a ? x[i] : a, b = x[i + 1] < b ? x[i + 1] : b;
      c = x[i + 2] < c ? x[i + 2] : c, d = x[i + 3] < d ? x[i + 3] : d;
    }
  for (; i < n; i++)
    if (most ? x[i] > a : x[i] < a) a = x[i];
  if (most) {
    a = b > a ? b : a, c = d > c ? d : c;
    *cell = c > a ? c : a;
  } else {
    a = b < a ? b : a, c = d < c ? d : c;
    *cell = c < a ? c : a;
  }
}

static void whole_all(struct whole *cell, const tw_column *col, int64_t first,
                      int64_t n) {
  const int64_t *x = col->i64 + first;
  for (int64_t i = 0; i < n; i += BLOCK) { /* halves of words cannot overflow */
    int64_t low = 0, high = 0, end = i + BLOCK < n ? i + BLOCK : n;
    for (int64_t k = i; k < end; k++) {
      low += (int64_t)(x[k] & 0xFFFFFFFF);
      high += x[k] >> 32;
    }
    __extension__ __int128 wide = high;
    cell->sum += wide * 4294967296 + low;
  }
  cell->n += n;
}

/* Whether a loop made for one cell has taken the values. */
static int add_all(struct tw__cells *c, const tw_column *col, int64_t first,
                   int64_t n) {
  int64_t count = 0;
  if (c->kind == COUNT &&
      (c->agg == TW_AGG_SIZE || (col->type != TW_COL_F64 && !col->valid))) {
    *(int64_t *)c->cell += n;
    return 1;
  }
  if (c->kind == WHOLE && !col->valid && col->type == TW_COL_I64) {
    whole_all(c->cell, col, first, n);
    return 1;
  }
  if (col->type != TW_COL_F64) return 0;
  const double *x = col->f64 + first;
  struct mean *mean = c->cell;
  switch (c->kind) {
  case COUNT:
    sum_of(x, n, &count);
    *(int64_t *)c->cell += count;
    return 1;
  case SUM: sum_all(c->cell, NULL, x, n); return 1;
  case MEAN: sum_all(&mean->sum, &mean->n, x, n); return 1;
  case LIVE_SUM: return live_all(c, x, n, 1);
  case VAR: var_all(c->cell, x, n); return 1;
  case LEAST: extreme_all(c->cell, x, n, 0); return 1;
  case MOST: extreme_all(c->cell, x, n, 1); return 1;
  default: return 0;
  }
}

/* ---- in and out ---- */

int tw__cells_add(struct tw__cells *c, const uint32_t *number, const tw_column *col,
                  int64_t first, int64_t n, const int64_t *key) {
  if (c->kind == LIVE_MOST) return add_live_most(c, number, col, first, n, key);
  if (number) {
    add_rows(c, number, col, first, n);
  } else if (!add_all(c, col, first, n)) {
    for (; n > 0; n -= 256, first += 256)
      add_rows(c, zeros, col, first, n < 256 ? n : 256);
  }
  return TW_OK;
}

void tw__cells_drop(struct tw__cells *c, const uint32_t *number, const tw_column *col,
                    int64_t first, int64_t n) {
  if (c->kind == LIVE_MOST) {
    drop_live_most(c, number, col, first, n);
  } else if (number) {
    drop_rows(c, number, col, first, n);
  } else if (c->kind != LIVE_SUM || col->type != TW_COL_F64 ||
             !live_all(c, col->f64 + first, n, -1)) {
    for (; n > 0; n -= 256, first += 256)
      drop_rows(c, zeros, col, first, n < 256 ? n : 256);
  }
}

/* ---- results ---- */

static double live_total(const struct live_sum *cell) {
  if (cell->plus && cell->minus) return NAN;
  if (cell->plus || cell->minus) return cell->plus ? INFINITY : -INFINITY;
  return tw__sum_value(cell->sum);
}

static double spread(const struct tw__cells *c, double square, double n) {
  double var = n - c->ddof > 0 ? square / (n - c->ddof) : NAN;
  return c->agg == TW_AGG_STD ? sqrt(var) : var;
}

static double whole_num(const struct whole *cell) {
  return (double)cell->sum;
}

double tw__cells_held(const struct tw__cells *c, int64_t g) {
  if (c->kind == MEAN) return (double)((const struct mean *)c->cell + g)->n;
  if (c->kind == WHOLE) return (double)((const struct whole *)c->cell + g)->n;
  return (double)((const struct live_sum *)c->cell + g)->n;
}

static double mean_of(const struct tw__cells *c, int64_t g) {
  double n = tw__cells_held(c, g);
  if (!(n > 0)) return NAN;
  if (c->kind == MEAN) return tw__sum_value(((const struct mean *)c->cell)[g].sum) / n;
  if (c->kind == WHOLE) return whole_num((const struct whole *)c->cell + g) / n;
  return live_total((const struct live_sum *)c->cell + g) / n;
}

static double spread_of(const struct tw__cells *c, int64_t g) {
  const struct var *var = (const struct var *)c->cell + g;
  const struct live_var *live = (const struct live_var *)c->cell + g;
  if (c->kind == VAR)
    return var->n ? spread(c, tw__var_square(var->sums, (double)var->n), (double)var->n)
                  : NAN;
  if (live->infinite || !live->n) return NAN;
  double square = live->n > 1 ? tw__var_square(live->sums, (double)live->n) : 0;
  return spread(c, square, (double)live->n);
}

static int extreme_of(const struct tw__cells *c, int64_t g, double *num, int64_t *i64) {
  const struct extreme *extreme = (const struct extreme *)c->cell + g;
  const struct tw__most *most = (const struct tw__most *)c->cell + g;
  if (c->kind == LEAST || c->kind == MOST) {
    *num = ((const double *)c->cell)[g];
    return TW_COL_F64;
  }
  if (c->kind == LIVE_MOST) {
    if (!most->count) return 0;
    int64_t score = tw__most_score(most) ^ (c->agg == TW_AGG_MIN ? -1 : 0);
    *i64 = score;
    if (c->out == TW_COL_F64) *num = tw__most_num(score);
    return c->out;
  }
  *i64 = extreme->val;
  return extreme->n ? c->out : 0;
}

int tw__cells_value(const struct tw__cells *c, int64_t g, double *num, int64_t *i64) {
  const struct whole *whole = (const struct whole *)c->cell + g;
  switch (c->agg) {
  case TW_AGG_SIZE:
  case TW_AGG_COUNT: *i64 = ((const int64_t *)c->cell)[g]; return TW_COL_I64;
  case TW_AGG_SUM:
    if (c->kind == SUM) *num = tw__sum_value(((const struct tw__sum *)c->cell)[g]);
    if (c->kind == LIVE_SUM) *num = live_total((const struct live_sum *)c->cell + g);
    if (c->kind != WHOLE) return TW_COL_F64;
    *i64 = (int64_t)whole->sum;
    if (*i64 == whole->sum) return TW_COL_I64;
    *num = whole_num(whole); /* more than 64 bits: only who takes a number has it */
    return 0;
  case TW_AGG_MEAN: *num = mean_of(c, g); return TW_COL_F64;
  case TW_AGG_VAR:
  case TW_AGG_STD: *num = spread_of(c, g); return TW_COL_F64;
  default: return extreme_of(c, g, num, i64);
  }
}

void tw__cells_put(const struct tw__cells *c, int64_t g, tw_column *col, int64_t at) {
  double num = 0;
  int64_t i64 = 0;
  int type = tw__cells_value(c, g, &num, &i64);
  if (type == TW_COL_F64)
    col->f64[at] = num;
  else if (type)
    col->i64[at] = i64;
  else
    tw_column_set_null(col, at);
}

/* value: of cell g, as tw__cells_value has it. */
#define WRITE(value)                                                                   \
  for (int64_t i = 0; i < n; i++) {                                                    \
    int64_t g = number[i];                                                             \
    if (big && i + STRIDE < n) __builtin_prefetch(cell_at(c, number[i + STRIDE]));     \
    out[i] = value;                                                                    \
  }

void tw__cells_write(const struct tw__cells *c, const uint32_t *number, int64_t n,
                     tw_column *col) {
  const struct tw__sum *sum = c->cell;
  const struct mean *mean = c->cell;
  const struct live_sum *live = c->cell;
  double *out = col->f64;
  int big = (size_t)c->room * sizes[c->kind] > CACHE;
  if (c->kind == SUM) {
    WRITE(tw__sum_value(sum[g]))
  } else if (c->kind == MEAN) {
    WRITE(mean[g].n ? tw__sum_value(mean[g].sum) / (double)mean[g].n : NAN)
  } else if (c->kind == LIVE_SUM && c->agg == TW_AGG_SUM) {
    WRITE(live_total(&live[g]))
  } else if (c->kind == LIVE_SUM) {
    WRITE(live[g].n > 0 ? live_total(&live[g]) / (double)live[g].n : NAN)
  } else {
    for (int64_t i = 0; i < n; i++) tw__cells_put(c, number[i], col, i);
  }
}
