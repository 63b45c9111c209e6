/* frame_csv.c -- rows of csv to the columns of a frame.
 *
 * Some kilobytes at a time, in three passes that stay in the first-level cache: bit masks
 * of where delimiters, newlines and quotes stand, 64 bytes each; from them the positions
 * at which fields end (delimiters and newlines within quotes left out); then column by
 * column the cells between those positions, in one loop per type.
 *
 *     text   H a m b u r g ; 1 2 . 0 \n B u l a w a y o ; 8 . 9 \n
 *     pos                  7        12                21      25
 *     line                 0         1                 0       1
 *
 * In a regular row every position but the last is that of a delimiter and the last that of
 * a newline, which the bits say for many rows at once; rows that are not, and empty lines,
 * are looked at one by one.
 */
#include "codec/decoder.h"
#include "codec/frame_cell.h"
#include "codec/frame_lanes.h"
#include "codec/scan.h"
#include "core/mem.h"
#include "frame/column.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

enum {
  UNROLLED = 12,
  BLOCKS = 192,         /* of 64 bytes that are looked at in one go */
  RECORD_MAX = 16 << 20 /* a longer one has a quote that nobody closes */
};

struct masks {
  uint64_t delim, line, quote;
};

struct field {
  int column; /* of the frame; -1: nowhere */
  struct tw__names names;
};

struct reader {
  tw_frame_text pub;
  char delimiter;
  struct field *field;
  int fields, field_room;
  uint32_t *pos;  /* the end of each field; one more in front of pos[0] */
  uint64_t *line; /* bit i: pos[i] is that of a newline, or the end of the text */
  int64_t n, pos_room;
  struct masks masks[BLOCKS];
  char *side; /* a cell without its quotes */
  int64_t side_room;
};

tw_frame_text *tw_frame_csv_open(int delimiter) {
  if (delimiter < 0 || delimiter > 255 || memchr("\"\r\n", delimiter, 3)) return NULL;
  struct reader *r = tw__calloc(1, sizeof *r);
  if (!r) return NULL;
  r->delimiter = (char)delimiter;
  return &r->pub;
}

void tw_frame_csv_close(tw_frame_text *pub) {
  struct reader *r = (struct reader *)pub;
  if (!r) return;
  for (int k = 0; k < r->fields; k++) tw__names_fini(&r->field[k].names);
  tw__free(r->field);
  tw__free(r->pos ? r->pos - 1 : NULL);
  tw__free(r->line);
  tw__free(r->side);
  tw__free(r);
}

int tw_frame_csv_field(tw_frame_text *pub, int column) {
  struct reader *r = (struct reader *)pub;
  if (column < -1) return TW_EINVAL;
  if (r->fields == r->field_room) {
    int room = r->field_room ? 2 * r->field_room : 8;
    struct field *field = tw__realloc(r->field, (size_t)room * sizeof *field);
    if (!field) return TW_ENOMEM;
    r->field = field;
    r->field_room = room;
  }
  r->field[r->fields++] = (struct field){.column = column};
  r->pub.width = r->fields;
  return TW_OK;
}

/* ---- where fields end ---- */

#if defined(__x86_64__)
__attribute__((target("avx2"))) static void
look_fast(const char *p, int blocks, char delimiter, struct masks *masks) {
  const __m256i delim = _mm256_set1_epi8(delimiter), line = _mm256_set1_epi8('\n');
  const __m256i quote = _mm256_set1_epi8('"');
  for (int i = 0; i < blocks; i++, p += 64) {
    const __m256i a = _mm256_loadu_si256((const __m256i *)(const void *)p);
    const __m256i b = _mm256_loadu_si256((const __m256i *)(const void *)(p + 32));
#define BITS(x)                                                                        \
  ((uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(a, x)) |                           \
   (uint64_t)(uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(b, x)) << 32)
    masks[i] = (struct masks){BITS(delim), BITS(line), BITS(quote)};
#undef BITS
  }
}
#endif

static void look_slow(const char *p, int blocks, char delimiter, struct masks *masks) {
  for (int i = 0; i < blocks; i++) {
    struct masks m = {0, 0, 0};
    for (int j = 0; j < 64; j++, p++) {
      m.delim |= (uint64_t)(*p == delimiter) << j;
      m.line |= (uint64_t)(*p == '\n') << j;
      m.quote |= (uint64_t)(*p == '"') << j;
    }
    masks[i] = m;
  }
}

static void look_blocks(const char *p, int blocks, char delimiter,
                        struct masks *masks) {
#if defined(__x86_64__)
  if (tw__lanes_there()) {
    look_fast(p, blocks, delimiter, masks);
    return;
  }
#endif
  look_slow(p, blocks, delimiter, masks);
}

/* The masks of len bytes, from 1. Returns how many there are. */
static int look(struct masks *masks, const char *p, int64_t len, char delimiter) {
  int blocks = (int)(len / 64);
  int64_t rest = len % 64;
  look_blocks(p, blocks, delimiter, masks);
  if (!rest) return blocks;
  char end[64] = {0};
  memcpy(end, p + 64 * blocks, (size_t)rest);
  struct masks *m = &masks[blocks];
  look_blocks(end, 1, delimiter, m);
  uint64_t there = (1ull << rest) - 1;
  *m = (struct masks){m->delim & there, m->line & there, m->quote & there};
  return blocks + 1;
}

/* What the scan of a record has come to. */
struct scan {
  bool quoted;    /* within quotes */
  uint32_t skip;  /* the second of two quotes */
  uint64_t *line; /* where the next 64 bits go */
  uint64_t bits;  /* those not there yet, `have` of them */
  unsigned have;
};

/* n bits more (0 .. 64), zeros above them. */
static inline void put_lines(struct scan *scan, uint64_t bits, unsigned n) {
  scan->bits |= bits << scan->have;
  scan->have += n;
  if (scan->have < 64) return;
  *scan->line++ = scan->bits;
  scan->have -= 64;
  scan->bits = scan->have ? bits >> (n - scan->have) : 0;
}

/* A block in which there are quotes, or which begins within some. */
static uint32_t *scan_quotes(struct scan *scan, const struct masks *m, uint32_t base,
                             const char *text, int64_t len, uint32_t *pos) {
  for (uint64_t bits = m->delim | m->line | m->quote; bits; bits &= bits - 1) {
    uint32_t p = base + (uint32_t)__builtin_ctzll(bits);
    if (text[p] != '"') {
      if (scan->quoted) continue;
      *pos++ = p;
      put_lines(scan, text[p] == '\n', 1);
    } else if (!scan->quoted) {
      scan->quoted = p == (uint32_t)(pos[-1] + 1);
    } else if (p == scan->skip) {
      scan->skip = UINT32_MAX;
    } else if (p + 1 < len && text[p + 1] == '"') {
      scan->skip = p + 1;
    } else {
      scan->quoted = false;
    }
  }
  return pos;
}

/* Of bits, those that are set in mask, side by side. */
static uint64_t extract_slow(uint64_t bits, uint64_t mask) {
  uint64_t out = 0;
  for (uint64_t one = 1; mask; mask &= mask - 1, one <<= 1)
    if (bits & mask & (0 - mask)) out |= one;
  return out;
}

/* Which bit is the lowest that is set; any number when there is none. */
static uint64_t lowest_slow(uint64_t bits) {
  return (uint64_t)__builtin_ctzll(bits | 1ull << 63);
}

/* The positions in blocks from base on. */
static inline __attribute__((always_inline)) uint32_t *
collect(struct scan *scan, const struct masks *masks, int blocks, uint32_t base,
        const char *text, int64_t len, uint32_t *pos,
        uint64_t (*extract)(uint64_t, uint64_t), uint64_t (*lowest)(uint64_t)) {
  struct scan now = *scan; /* in registers */
  for (int i = 0; i < blocks; i++, base += 64) {
    const struct masks *m = &masks[i];
    uint64_t bits = m->delim | m->line;
    if (__builtin_expect((m->quote != 0) | now.quoted, 0)) {
      *scan = now;
      pos = scan_quotes(scan, m, base, text, len, pos);
      now = *scan;
      continue;
    }
    if (!bits) continue;
    const unsigned n = (unsigned)__builtin_popcountll(bits);
    put_lines(&now, extract(m->line, bits), n);
    /* most blocks have no more than twelve: rather some in vain than a branch for each */
#pragma GCC unroll 12
    for (int j = 0; j < UNROLLED; j++, bits &= bits - 1)
      pos[j] = base + (uint32_t)lowest(bits);
    for (int j = UNROLLED; bits; j++, bits &= bits - 1)
      pos[j] = base + (uint32_t)lowest(bits);
    pos += n;
  }
  *scan = now;
  return pos;
}

#if defined(__x86_64__)
__attribute__((target("bmi2"))) static inline uint64_t extract_fast(uint64_t bits,
                                                                    uint64_t mask) {
  return _pext_u64(bits, mask);
}

__attribute__((target("bmi"))) static inline uint64_t lowest_fast(uint64_t bits) {
  return _tzcnt_u64(bits);
}

__attribute__((target("avx2,bmi,bmi2,popcnt"))) static uint32_t *
collect_fast(struct scan *scan, const struct masks *masks, int blocks, uint32_t base,
             const char *text, int64_t len, uint32_t *pos) {
  return collect(scan, masks, blocks, base, text, len, pos, extract_fast, lowest_fast);
}
#endif

static uint32_t *collect_any(struct scan *scan, const struct masks *masks, int blocks,
                             uint32_t base, const char *text, int64_t len,
                             uint32_t *pos) {
#if defined(__x86_64__)
  if (tw__lanes_there()) return collect_fast(scan, masks, blocks, base, text, len, pos);
#endif
  return collect(scan, masks, blocks, base, text, len, pos, extract_slow, lowest_slow);
}

static int reserve(struct reader *r, int64_t room) {
  if (room <= r->pos_room) return TW_OK;
  if (room < 2 * r->pos_room) room = 2 * r->pos_room;
  uint64_t *line = tw__realloc(r->line, (size_t)(room / 64 + 2) * sizeof *line);
  if (!line) return TW_ENOMEM;
  r->line = line;
  uint32_t *pos =
      tw__realloc(r->pos ? r->pos - 1 : NULL, (size_t)(room + 1) * sizeof *pos);
  if (!pos) return TW_ENOMEM;
  r->pos = pos + 1;
  r->pos_room = room;
  return TW_OK;
}

/* Positions from the row at `from` on: those of whole rows, some thousands of bytes of
 * them, or of one that is longer. n is 0 when there is none. 0 or TW_ENOMEM. */
static int find_ends(struct reader *r, const char *text, int64_t len, int64_t from,
                     int last) {
  struct scan scan = {.skip = UINT32_MAX};
  int64_t end = -1; /* one after the last newline's number */
  r->n = 0;
  for (int64_t at = from; at < len && end < 0;) {
    int64_t some = len - at < BLOCKS * 64 ? len - at : BLOCKS * 64;
    if (reserve(r, r->n + some + UNROLLED)) return TW_ENOMEM;
    r->pos[-1] = (uint32_t)from - 1;
    scan.line = r->line + r->n / 64;
    int blocks = look(r->masks, text + at, some, r->delimiter);
    uint32_t *pos =
        collect_any(&scan, r->masks, blocks, (uint32_t)at, text, len, r->pos + r->n);
    int64_t n = pos - r->pos;
    for (int64_t i = n; i > r->n && end < 0; i--)
      if (text[r->pos[i - 1]] == '\n') end = i;
    r->n = n;
    at += some;
    if (at - from > RECORD_MAX) break;
    if (at == len && last && !scan.quoted &&
        (!n || r->pos[n - 1] < len - 1 || text[r->pos[n - 1]] != '\n')) {
      r->pos[n] = (uint32_t)len;
      put_lines(&scan, 1, 1);
      end = n + 1;
    }
  }
  *scan.line = scan.bits;
  r->n = end < 0 ? 0 : end;
  return TW_OK;
}

/* ---- cells ---- */

/* The same field of rows one after the other. */
struct run {
  const char *text, *limit;
  const uint32_t *pos; /* where it ends in the first of them */
  int64_t width;
  bool is_last; /* of the row: there may be a "\r" */
};

static inline __attribute__((always_inline)) const char *
cell_at(const char *text, const uint32_t *pos, bool is_last, const char **end) {
  const char *s = text + (uint32_t)(pos[-1] + 1), *e = text + pos[0];
  if (is_last && e > s && e[-1] == '\r') e--;
  *end = e;
  return s;
}

static const char *cell_of(const struct run *run, int64_t i, const char **end) {
  return cell_at(run->text, run->pos + i * run->width, run->is_last, end);
}

/* What stands between quotes. 1, 0: it has none, or a status. */
static int unquote(struct reader *r, const char **s, const char **e) {
  const char *p = *s + 1, *end = *e - 1;
  if (*s == *e || **s != '"') return 0;
  if (end < p || *end != '"') return TW_EPARSE;
  const char *quote = tw__scan_either(p, end, '"', '"');
  *s = p;
  *e = end;
  if (quote == end) return 1;
  if (end - p > r->side_room) {
    char *side = tw__realloc(r->side, (size_t)(2 * (end - p)));
    if (!side) return TW_ENOMEM;
    r->side = side;
    r->side_room = 2 * (end - p);
  }
  char *to = r->side;
  for (;;) {
    memcpy(to, p, (size_t)(quote - p));
    to += quote - p;
    if (quote == end) break;
    if (end - quote < 2 || quote[1] != '"') return TW_EPARSE;
    *to++ = '"';
    p = quote + 2;
    quote = tw__scan_either(p, end, '"', '"');
  }
  *s = r->side;
  *e = to;
  return 1;
}

static bool all_blank(const char *s, const char *e) {
  while (s < e && (*s == ' ' || *s == '\t')) s++;
  return s == e;
}

/* The cell s .. e as value i of a column, closely looked at. limit: up to where may be
 * read. 0, a fault, or TW_ENOMEM. */
static int put(struct reader *r, struct field *field, tw_column *col, int64_t i,
               const char *s, const char *e, const char *limit) {
  int rc = unquote(r, &s, &e), flag = 0;
  if (rc < 0) return rc == TW_EPARSE ? TW_FAULT_QUOTE : rc;
  if (col->type == TW_COL_STRING ? !rc && s == e : all_blank(s, e))
    return tw_column_set_null(col, i);
  switch (col->type) {
  case TW_COL_F64: return tw__cell_f64(s, e, &col->f64[i]) ? TW_FAULT_NUMBER : 0;
  case TW_COL_I64: return tw__cell_i64(s, e, &col->i64[i]) ? TW_FAULT_NUMBER : 0;
  case TW_COL_TIMESTAMP: return tw__cell_time(s, e, &col->i64[i]) ? TW_FAULT_TIME : 0;
  case TW_COL_BOOL:
    rc = tw__cell_bool(s, e, &flag) ? TW_FAULT_BOOL : 0;
    col->b[i] = (uint8_t)flag;
    return rc;
  default: {
    if (s == r->side) limit = r->side + r->side_room;
    int64_t code = tw__names_add(&field->names, col, s, e - s, limit);
    if (code < 0) return TW_ENOMEM;
    col->code[i] = (uint32_t)code;
    return 0;
  }
  }
}

/* n cells of a field as the values of col from `to` on. Returns how many were good; *fault
 * when not all: a fault, or TW_ENOMEM. Not inlined, so that each loop has its registers. */
#define LOOP static __attribute__((noinline)) int64_t

LOOP put_f64(struct reader *r, struct field *field, tw_column *col,
             const struct run *run, int64_t to, int64_t n, int *fault) {
  const char *text = run->text, *limit = run->limit, *e;
  const int64_t width = run->width;
  const bool is_last = run->is_last;
  double *out = col->f64 + to;
  int64_t some = TW__LANES; /* more and more, where the lanes are of no use */
  for (int64_t i = 0; i < n;) {
    const int64_t done = tw__lanes_f64(text, limit - text, run->pos + i * width, width,
                                       is_last, n - i, out + i);
    some = done ? TW__LANES : 2 * some;
    i += done;
    const uint32_t *pos = run->pos + i * width;
    for (int64_t end = i + some < n ? i + some : n; i < end; i++, pos += width) {
      const char *s = cell_at(text, pos, is_last, &e);
      if (tw__cell_short(s, e, limit, &out[i])) continue;
      if (tw__cell_decimal(s, e, limit, &out[i])) continue;
      if ((*fault = put(r, field, col, to + i, s, e, limit))) return i;
    }
  }
  return n;
}

LOOP put_i64(struct reader *r, struct field *field, tw_column *col,
             const struct run *run, int64_t to, int64_t n, int *fault) {
  const char *text = run->text, *limit = run->limit, *e;
  const uint32_t *pos = run->pos;
  const int64_t width = run->width;
  const bool is_last = run->is_last;
  int64_t *out = col->i64 + to;
  for (int64_t i = 0; i < n; i++, pos += width) {
    const char *s = cell_at(text, pos, is_last, &e), *p = s + (s < e && *s == '-');
    uint64_t x = 0;
    if (p < e && e - p <= 18 && tw__number_digits(p, limit, &x) == e)
      out[i] = p > s ? -(int64_t)x : (int64_t)x;
    else if ((*fault = put(r, field, col, to + i, s, e, limit)))
      return i;
  }
  return n;
}

/* Unquoted strings that the table has, one row after the other from number i on, each with
 * 16 bytes that can be read. Returns the first row that is something else. */
static inline __attribute__((always_inline)) int64_t
known_strings(const struct tw__names *names, const struct run *run, bool is_last,
              int64_t i, int64_t n, uint32_t *out) {
  const char *text = run->text;
  const int64_t width = run->width;
  const uint32_t *pos = run->pos + i * width;
  const struct tw__names_entry *entry = names->entry;
  const uint64_t mask = names->mask, factor = names->factor;
  for (; i < n; i++, pos += width) {
    const uint32_t first = pos[-1] + 1;
    uint64_t len = (uint32_t)(pos[0] - first), low, high;
    const char *s = text + first;
    if (is_last && len && s[len - 1] == '\r') len--;
    if (*s == '"') break;
    if (len - 1 < 16)
      tw__names_load(s, len, &low, &high);
    else if (len)
      tw__names_words(s, (int64_t)len, &low, &high);
    else
      break;
    const struct tw__names_entry *e = &entry[tw__names_hash(low, high, factor) & mask];
    if ((e->low ^ low) | (e->high ^ high) | (e->len ^ len)) {
      e = tw__names_find(names, low, high, len);
      if (!e) break;
    }
    if (len > 16 && !tw__names_same(names, e, s, len)) break;
    out[i] = e->code;
  }
  return i;
}

LOOP put_string(struct reader *r, struct field *field, tw_column *col,
                const struct run *run, int64_t to, int64_t n, int *fault) {
  const char *limit = run->limit, *e;
  const int64_t width = run->width;
  struct tw__names *names = &field->names;
  uint32_t *out = col->code + to;
  int64_t near = n; /* those behind it are too near to the end of the text */
  while (near > 0 && limit - run->text < run->pos[(near - 1) * width] + 16) near--;
  for (int64_t i = 0; i < n; i++) {
    if (names->dict == col->dict && i < near) {
      i = run->is_last ? known_strings(names, run, true, i, near, out)
                       : known_strings(names, run, false, i, near, out);
      if (i == n) break;
    }
    const char *s = cell_of(run, i, &e);
    int64_t code = -1;
    if (s < e && *s != '"') code = tw__names_add(names, col, s, e - s, limit);
    if (code >= 0)
      out[i] = (uint32_t)code;
    else if ((*fault = put(r, field, col, to + i, s, e, limit)))
      return i;
  }
  return n;
}

LOOP put_other(struct reader *r, struct field *field, tw_column *col,
               const struct run *run, int64_t to, int64_t n, int *fault) {
  for (int64_t i = 0; i < n; i++) {
    const char *e, *s = cell_of(run, i, &e);
    if ((*fault = put(r, field, col, to + i, s, e, run->limit))) return i;
  }
  return n;
}

/* Nothing of it is wanted, but its quotes must be right. */
static int64_t pass_over(struct reader *r, const struct run *run, int64_t n,
                         int *fault) {
  for (int64_t i = 0; i < n; i++) {
    const char *e, *s = cell_of(run, i, &e);
    int rc = s < e && *s == '"' ? unquote(r, &s, &e) : 0;
    if (rc >= 0) continue;
    *fault = rc == TW_EPARSE ? TW_FAULT_QUOTE : rc;
    return i;
  }
  return n;
}

static int64_t put_cells(struct reader *r, struct field *field, tw_column *col,
                         const struct run *run, int64_t to, int64_t n, int *fault) {
  switch (col ? col->type : 0) {
  case 0: return pass_over(r, run, n, fault);
  case TW_COL_F64: return put_f64(r, field, col, run, to, n, fault);
  case TW_COL_I64: return put_i64(r, field, col, run, to, n, fault);
  case TW_COL_STRING: return put_string(r, field, col, run, to, n, fault);
  default: return put_other(r, field, col, run, to, n, fault);
  }
}

/* ---- rows ---- */

static void set_rows(tw_frame *frame, int64_t rows) {
  for (int k = 0; k < frame->columns; k++) {
    tw_column *col = frame->column[k];
    if (col->len > rows) tw__column_truncate(col, rows);
    col->len = rows;
  }
  frame->rows = rows;
}

static const char *line_end(const char *s, const char *e) {
  return e - (e > s && e[-1] == '\r');
}

static void wrong(struct reader *r, int fault, const char *s, const char *e) {
  r->pub.fault = fault;
  r->pub.record = r->pub.cell = s;
  r->pub.record_len = r->pub.cell_len = line_end(s, e) - s;
  r->pub.field = -1;
}

/* Take n regular rows, from position number `at` on. Returns how many were good; with
 * fault set the one after them was not. Or TW_ENOMEM. */
static int64_t take(struct reader *r, tw_frame *frame, const char *text, int64_t len,
                    int64_t at, int64_t n) {
  const int64_t before = frame->rows;
  int64_t good = n;
  struct run run = {
      .text = text, .limit = text + len, .pos = r->pos + at, .width = r->fields};
  set_rows(frame, before + n);
  for (int k = 0; k < r->fields && good; k++, run.pos++) {
    struct field *field = &r->field[k];
    tw_column *col = field->column < 0 ? NULL : frame->column[field->column];
    int fault = 0;
    run.is_last = k == r->fields - 1;
    int64_t some = put_cells(r, field, col, &run, before, good, &fault);
    if (fault < 0) {
      set_rows(frame, before);
      return fault;
    }
    if (!fault) continue;
    const uint32_t *row = r->pos + at + some * run.width;
    wrong(r, fault, text + (uint32_t)(row[-1] + 1), text + row[run.width - 1]);
    const char *end, *cell = cell_of(&run, some, &end);
    r->pub.cell = cell;
    r->pub.cell_len = end - cell;
    r->pub.field = k;
    good = some;
  }
  set_rows(frame, before + good);
  r->pub.row += good + (r->pub.fault != 0);
  return good;
}

static bool ends_line(const char *text, int64_t len, uint32_t pos) {
  return pos == len || text[pos] == '\n';
}

/* n bits (1 .. 64) from bit number `at` on. */
static uint64_t lines_at(const struct reader *r, int64_t at, int64_t n) {
  const uint64_t *word = r->line + at / 64;
  uint64_t bits = word[0] >> (at % 64);
  if (at % 64) bits |= word[1] << (64 - at % 64);
  return bits << (64 - n) >> (64 - n);
}

/* A row of more fields than there are bits in a word. */
static bool regular_wide(const struct reader *r, int64_t at) {
  int64_t rest = r->fields;
  for (; rest > 64; rest -= 64, at += 64)
    if (lines_at(r, at, 64)) return false;
  return lines_at(r, at, rest) == 1ull << (rest - 1);
}

/* How many rows from position number `at` on, up to n, have as many fields as they should. */
static int64_t regular(const struct reader *r, int64_t at, int64_t n) {
  const int64_t width = r->fields, some = 64 / width; /* rows at a time */
  uint64_t pattern = 0;
  int64_t i = 0;
  if (!some) {
    while (i < n && regular_wide(r, at + i * width)) i++;
    return i;
  }
  for (int64_t k = 0; k < some; k++) pattern |= 1ull << (width - 1) << (k * width);
  for (; i + some <= n; i += some)
    if (lines_at(r, at + i * width, some * width) != pattern) break;
  while (i < n && lines_at(r, at + i * width, width) == 1ull << (width - 1)) i++;
  return i;
}

/* The row at position number `at` is not regular. Returns the number of the position after
 * it; an empty line is let go, else fault is set. */
static int64_t irregular(struct reader *r, const char *text, int64_t len, int64_t at) {
  int64_t end = at;
  while (!ends_line(text, len, r->pos[end])) end++;
  const char *s = text + (uint32_t)(r->pos[at - 1] + 1), *e = text + r->pos[end];
  if (end > at || line_end(s, e) > s) {
    wrong(r, TW_FAULT_WIDTH, s, e);
    r->pub.filled = (int32_t)(end + 1 - at);
    r->pub.row++;
  }
  return end + 1;
}

/* The rows that find_ends has found. Returns where the next one begins, or TW_ENOMEM. */
static int64_t take_rows(struct reader *r, tw_frame *frame, const char *text,
                         int64_t len, int64_t max) {
  int64_t at = 0;
  while (at < r->n && frame->rows < max && !r->pub.fault) {
    int64_t n = (r->n - at) / r->fields;
    if (n > max - frame->rows) n = max - frame->rows;
    n = regular(r, at, n);
    if (!n) {
      at = irregular(r, text, len, at);
      continue;
    }
    int64_t good = take(r, frame, text, len, at, n);
    if (good < 0) return good;
    at += (good + (r->pub.fault != 0)) * r->fields;
  }
  int64_t used = (int64_t)(uint32_t)(r->pos[at - 1] + 1);
  return used > len ? len : used;
}

/* The row at `from` has a quote that nothing closes: its first line is wrong. */
static int64_t unclosed(struct reader *r, const char *text, int64_t len, int64_t from) {
  const char *s = text + from, *e = memchr(s, '\n', (size_t)(len - from));
  if (!e) e = text + len;
  wrong(r, TW_FAULT_END, s, e);
  r->pub.row++;
  return e - text < len ? e - text + 1 : len;
}

static int make_room(tw_frame *frame, int64_t max) {
  for (int k = 0; k < frame->columns; k++)
    if (tw_column_reserve(frame->column[k], max)) return TW_ENOMEM;
  return TW_OK;
}

int64_t tw_frame_csv_read(tw_frame_text *pub, tw_frame *frame, const char *text,
                          int64_t len, int last, int64_t max) {
  struct reader *r = (struct reader *)pub;
  int64_t used = 0, rc = TW_OK;
  if (len < 0 || len >= UINT32_MAX - 64 || r->fields < 1) return TW_EINVAL;
  for (int k = 0; k < r->fields; k++)
    if (r->field[k].column >= frame->columns) return TW_EINVAL;
  const int64_t rows = frame->rows, row = pub->row;
  if (make_room(frame, max)) return TW_ENOMEM;
  pub->fault = 0;
  while (used < len && frame->rows < max && !pub->fault && rc >= 0) {
    rc = find_ends(r, text, len, used, last);
    if (rc) break;
    if (r->n) {
      rc = take_rows(r, frame, text, len, max);
    } else if (last || len - used > RECORD_MAX) {
      rc = unclosed(r, text, len, used);
    } else {
      break;
    }
    if (rc >= 0) used = rc;
  }
  if (rc >= 0) return used;
  set_rows(frame, rows);
  pub->row = row;
  return rc;
}

/* ---- before the first row ---- */

int64_t tw_frame_csv_record(const char *text, int64_t len, int last, int delimiter) {
  int64_t from = len >= 3 && !memcmp(text, "\xEF\xBB\xBF", 3) ? 3 : 0;
  bool quoted = false;
  for (int64_t first = from, p = from; p < len; p++) {
    if (quoted) {
      if (text[p] != '"') continue;
      if (p + 1 < len && text[p + 1] == '"')
        p++;
      else
        quoted = false;
    } else if (text[p] == '"') {
      quoted = p == first;
    } else if (text[p] == '\n') {
      return p + 1;
    } else if (text[p] == (char)delimiter) {
      first = p + 1;
    }
  }
  return last ? len : 0;
}

int tw_frame_csv_guess(const tw_column *col) {
  int looks = 0;
  const tw_dict *dict = col->dict;
  for (int64_t k = 0; k < dict->count; k++)
    looks |=
        tw__cell_look(dict->bytes + dict->start[k], dict->bytes + dict->start[k + 1]);
  return tw__cell_type(looks);
}
