/* frame_csv.c -- csv to columns: agreement with a reader of one byte at a time. */
#include <math.h>

#include "../check.h"

#include "codec/frame_lanes.h"
#include "core/mem.h"
#include "tideway.h"

/* ---- texts in columns of strings, beside a plain reader ---- */

enum { FIELDS = 3, ROOM = 40000 };

static char text[ROOM];
static int64_t text_len;

static void make_text(void) {
  static const char bytes[] = "abc,;\"\"\n\r \"x";
  static const char *const cells[] = {
      "a",       "bcd",      "",           "\"\"",
      "\"a,b\"", "\"x\ny\"", "\"q\"\"q\"", "long cell here",
      "a\"b",    " \"x\"",   "\"\"\"\"",   "\xFF"};
  int64_t wild = check_below(3) ? 0 : 1 + check_below(30),
          cells_n = check_below(2) ? 6 : 12;
  int64_t rows = check_below(check_below(8) ? 30 : 1000);
  text_len = 0;
  for (int64_t i = 0; i < rows; i++) {
    int64_t n = check_below(60) ? FIELDS : check_below(6);
    for (int64_t k = 0; k < n; k++) {
      const char *cell = cells[check_below(cells_n)];
      if (text_len > ROOM - 100) break;
      if (k) text[text_len++] = ',';
      memcpy(text + text_len, cell, strlen(cell));
      text_len += (int64_t)strlen(cell);
    }
    if (check_below(5) == 0) text[text_len++] = '\r';
    if (i < rows - 1 || check_below(2)) text[text_len++] = '\n';
  }
  for (int64_t i = 0; i < wild && text_len; i++)
    text[check_below(text_len)] = bytes[check_below((int64_t)sizeof bytes - 1)];
}

struct out {
  char *bytes;
  size_t len;
};

static void say(struct out *out, const char *bytes, size_t len) {
  out->bytes = realloc(out->bytes, out->len + len + 1);
  if (!out->bytes) abort();
  if (len) memcpy(out->bytes + out->len, bytes, len);
  out->len += len;
  out->bytes[out->len] = 0;
}

static void say_wrong(struct out *out, int fault, const char *s, int64_t len) {
  char buf[32];
  say(out, buf, (size_t)snprintf(buf, sizeof buf, "!%d<", fault));
  say(out, s, (size_t)len);
  say(out, ">\n", 2);
}

/* One cell; false when its quotes are wrong. */
static int plain_cell(struct out *out, const char *s, int64_t len) {
  if (!len) {
    say(out, "NULL|", 5);
    return 1;
  }
  if (*s != '"') {
    say(out, s, (size_t)len);
    say(out, "|", 1);
    return 1;
  }
  if (len < 2 || s[len - 1] != '"') return 0;
  for (int64_t i = 1; i < len - 1; i++) {
    if (s[i] == '"' && (i + 1 == len - 1 || s[++i] != '"')) return 0;
    say(out, s + i, 1);
  }
  say(out, "|", 1);
  return 1;
}

/* The record at p. Returns where the next one begins. */
static int64_t plain_record(struct out *out, int64_t p) {
  struct {
    int64_t at, len;
  } cell[8];
  int n = 0, quoted = 0;
  int64_t from = p, first = p, end = -1;
  for (; end < 0; p++) {
    if (p == text_len && quoted) { /* its first line is wrong */
      const char *line = memchr(text + from, '\n', (size_t)(text_len - from));
      end = line ? line - text : text_len;
      int64_t cr = end > from && text[end - 1] == '\r';
      say_wrong(out, TW_FAULT_END, text + from, end - cr - from);
      return end + 1;
    }
    int stop = p == text_len || (!quoted && text[p] == '\n');
    if (stop || (!quoted && text[p] == ',')) {
      if (n < 8) cell[n].at = first, cell[n].len = p - first;
      n++;
      first = p + 1;
      if (stop) end = p;
    } else if (text[p] == '"') {
      if (quoted && p + 1 < text_len && text[p + 1] == '"')
        p++;
      else if (quoted || p == first)
        quoted = !quoted;
    }
  }
  int64_t cr = end > from && text[end - 1] == '\r';
  if (n == 1 && end - cr == from) return end + 1;
  size_t before = out->len;
  if (n != FIELDS) {
    say_wrong(out, TW_FAULT_WIDTH, text + from, end - cr - from);
    return end + 1;
  }
  if (cell[n - 1].len && text[cell[n - 1].at + cell[n - 1].len - 1] == '\r')
    cell[n - 1].len--;
  for (int k = 0; k < n; k++) {
    if (plain_cell(out, text + cell[k].at, cell[k].len)) continue;
    out->len = before;
    say_wrong(out, TW_FAULT_QUOTE, text + from, end - cr - from);
    return end + 1;
  }
  say(out, "\n", 1);
  return end + 1;
}

static void say_row(struct out *out, const tw_frame *frame, int64_t i, const int *to) {
  for (int k = 0; k < FIELDS; k++) {
    int64_t len;
    const char *s = tw_column_text(frame->column[to[k]], i, &len);
    say(out, s ? s : "NULL", s ? (size_t)len : 4);
    say(out, "|", 1);
  }
  say(out, "\n", 1);
}

static tw_frame *new_frame(const int *types, int n) {
  tw_frame *frame = tw_frame_new(n, 1);
  for (int k = 0; k < n; k++)
    tw_frame_take(frame, k, tw_column_new(types[k], check_below(4), NULL));
  return frame;
}

/* The same through the reader, the text cut anywhere, frames of any size. */
static void by_reader(struct out *out, int64_t piece, int64_t batch) {
  static const int types[FIELDS] = {TW_COL_STRING, TW_COL_STRING, TW_COL_STRING};
  static const int to[FIELDS] = {2, 0, 1};
  tw_frame_text *r = tw_frame_csv_open(',');
  tw_frame *frame = new_frame(types, FIELDS);
  for (int k = 0; k < FIELDS; k++) CHECK(tw_frame_csv_field(r, to[k]) == 0);
  int64_t from = 0, shown = piece, rows = 0;
  while (from < text_len) {
    if (shown > text_len) shown = text_len;
    int last = shown == text_len;
    char *part = malloc((size_t)(shown - from) + 1); /* its end is guarded */
    memcpy(part, text + from, (size_t)(shown - from));
    int64_t used = tw_frame_csv_read(r, frame, part, shown - from, last, batch);
    CHECK(used >= 0 && used <= shown - from && frame->rows <= batch);
    from += used;
    for (int64_t i = 0; i < frame->rows; i++) say_row(out, frame, i, to);
    rows += frame->rows;
    if (r->fault) say_wrong(out, r->fault, r->record, r->record_len), rows++;
    CHECK(r->row == rows);
    free(part);
    int full = frame->rows == batch;
    for (int k = 0; k < FIELDS; k++)
      tw_column_renew(&frame->column[k], TW_COL_STRING, NULL, 0);
    frame->rows = 0;
    if (r->fault || full) continue;
    if (last) break;
    shown += piece;
  }
  CHECK(from == text_len);
  tw_frame_release(frame);
  tw_frame_csv_close(r);
}

static void agree(void) {
  struct out want = {NULL, 0}, got = {NULL, 0};
  tw__lanes_off = check_below(2);
  make_text();
  for (int64_t p = 0; p < text_len;) p = plain_record(&want, p);
  int64_t piece = check_below(3) ? 1 + check_below(500) : text_len + 1;
  by_reader(&got, piece, 1 + check_below(check_below(2) ? 5 : 2000));
  int same = want.len == got.len && !memcmp(want.bytes ? want.bytes : "",
                                            got.bytes ? got.bytes : "", want.len);
  CHECKF(same, "text:\n%.*s\nwant:\n%s\ngot:\n%s", (int)text_len, text, want.bytes,
         got.bytes);
  free(want.bytes);
  free(got.bytes);
  tw__lanes_off = false;
}

/* ---- with and without AVX2 ---- */

enum { MIXED = 5 };
static const int mixed[MIXED] = {TW_COL_STRING, TW_COL_F64, TW_COL_I64, TW_COL_F64,
                                 TW_COL_STRING};

static int put_word(char *to) {
  static const char letters[] = "abcdefghijklmnopqrstuvwxyz";
  static const char *const odd[] = {"\"q;\"\"\"", "", "\"\"", "a\"b", "\r"};
  if (check_below(30) == 0) return sprintf(to, "%s", odd[check_below(5)]);
  int64_t n = 1 + check_below(check_below(4) ? 12 : 40), same = check_below(20);
  for (int64_t i = 0; i < n; i++) to[i] = letters[(same + i * same) % 26];
  return (int)n;
}

static int put_number(char *to, bool whole) {
  static const char *const odd[] = {"",      " 1.5 ", "\"2\"", "1e3", "-",
                                    "12x.5", "nan",   "1.2.3", ".",   "--1"};
  if (check_below(60) == 0) return sprintf(to, "%s", odd[check_below(10)]);
  long x = (long)check_below(check_below(9) ? 20000 : 1ll << 60) - 9000;
  if (whole) return sprintf(to, "%ld", x);
  return sprintf(to, "%.*f", (int)check_below(4), (double)x / 100);
}

static void make_mixed(void) {
  const char *end = check_below(3) ? "\n" : "\r\n";
  int64_t rows = check_below(check_below(5) ? 40 : 400);
  text_len = 0;
  for (int64_t i = 0; i < rows && text_len < ROOM - 400; i++) {
    for (int k = 0; k < MIXED; k++) {
      char *to = text + text_len;
      text_len += mixed[k] == TW_COL_STRING ? put_word(to)
                                            : put_number(to, mixed[k] == TW_COL_I64);
      if (k < MIXED - 1 && check_below(500)) text[text_len++] = ';';
    }
    if (i == rows - 1 && check_below(2)) break;
    text_len += sprintf(text + text_len, "%s", end);
  }
}

/* All that comes of the text, as text. */
static void say_mixed(struct out *out, int64_t piece) {
  tw_frame_text *r = tw_frame_csv_open(';');
  tw_frame *frame = new_frame(mixed, MIXED);
  for (int k = 0; k < MIXED; k++) CHECK(tw_frame_csv_field(r, k) == 0);
  for (int64_t from = 0, shown = piece; from < text_len;) {
    if (shown > text_len) shown = text_len;
    char *part = malloc((size_t)(shown - from) + 1); /* its end is guarded */
    memcpy(part, text + from, (size_t)(shown - from));
    int64_t used =
        tw_frame_csv_read(r, frame, part, shown - from, shown == text_len, 1000);
    CHECK(used >= 0);
    from += used;
    if (r->fault) {
      char buf[40];
      say(out, buf, (size_t)sprintf(buf, "!%d %d ", r->fault, r->field));
      say(out, r->cell, (size_t)r->cell_len);
      say_wrong(out, r->fault, r->record, r->record_len);
    }
    free(part);
    if (!r->fault && shown == text_len) break;
    if (!r->fault) shown += piece;
  }
  for (int k = 0; k < MIXED; k++) {
    const tw_column *col = frame->column[k];
    for (int64_t i = 0; i < frame->rows; i++) {
      char buf[64];
      int64_t len = 0;
      const char *s = buf;
      if (tw_column_is_null(col, i))
        len = sprintf(buf, "NULL");
      else if (col->type == TW_COL_STRING)
        s = tw_column_text(col, i, &len);
      else
        len = sprintf(buf, "%.17g %lld", col->type == TW_COL_F64 ? col->f64[i] : 0.0,
                      (long long)col->i64[i]);
      say(out, s, (size_t)len);
      say(out, "|", 1);
    }
  }
  tw_frame_release(frame);
  tw_frame_csv_close(r);
}

static void both_ways(void) {
  struct out one = {NULL, 0}, two = {NULL, 0};
  make_mixed();
  say_mixed(&one, text_len + 1);
  tw__lanes_off = true;
  say_mixed(&two, 1 + check_below(600));
  tw__lanes_off = false;
  CHECKF(one.len == two.len && (!one.len || !memcmp(one.bytes, two.bytes, one.len)),
         "text:\n%.*s\nwith:\n%s\nwithout:\n%s", (int)text_len, text, one.bytes,
         two.bytes);
  free(one.bytes);
  free(two.bytes);
}

/* ---- wide rows ---- */

/* More fields than there are bits in a word, one of them too few or too many. */
static void wide_rows(void) {
  for (int round = 0; round < 20; round++) {
    int n = 50 + (int)check_below(150), wrong = (int)check_below(6);
    static const int type[] = {TW_COL_F64};
    tw_frame_text *r = tw_frame_csv_open(',');
    tw_frame *frame = new_frame(type, 1);
    for (int k = 0; k < n; k++) tw_frame_csv_field(r, k == n - 2 ? 0 : -1);
    text_len = 0;
    for (int i = 0; i < 6; i++) {
      int has = i == wrong ? n + 1 - 2 * (int)check_below(2) : n;
      for (int k = 0; k < has; k++)
        text_len += sprintf(text + text_len, "%d%c", k + i, k < has - 1 ? ',' : '\n');
    }
    int64_t used = tw_frame_csv_read(r, frame, text, text_len, 1, 100);
    CHECK(r->fault == TW_FAULT_WIDTH && r->row == wrong + 1 && frame->rows == wrong);
    tw_frame_csv_read(r, frame, text + used, text_len - used, 1, 100);
    CHECK(!r->fault && r->row == 6 && frame->rows == 5);
    for (int i = 0; i < 5; i++)
      CHECK(frame->column[0]->f64[i] == n - 2 + i + (i >= wrong));
    tw_frame_release(frame);
    tw_frame_csv_close(r);
  }
}

/* ---- types ---- */

static const int all_types[5] = {TW_COL_F64, TW_COL_I64, TW_COL_BOOL, TW_COL_STRING,
                                 TW_COL_TIMESTAMP};

static tw_frame_text *open_all(int delimiter) {
  tw_frame_text *r = tw_frame_csv_open(delimiter);
  for (int k = 0; r && k < 5; k++)
    if (tw_frame_csv_field(r, k)) {
      tw_frame_csv_close(r);
      return NULL;
    }
  return r;
}

static int64_t read_text(tw_frame_text *r, tw_frame *frame, const char *s) {
  return tw_frame_csv_read(r, frame, s, (int64_t)strlen(s), 1, 1000);
}

static void types(void) {
  tw_frame_text *r = open_all('\t');
  tw_frame *frame = new_frame(all_types, 5);
  static const char good[] =
      "1.5\t-9007199254740993\ttrue\tx\t2001-01-01 06:20:00.25\r\n"
      "\t\t\t\t\n"
      " -2e3 \t 7 \tFALSE\t\"\"\t12.5\n"
      "\"3\"\t\"4\"\t\"1\"\t\"a\tb\"\t\"1970-01-01\"\n"
      "inf\t123456789012345678\t0\t x \t-1";
  CHECK(read_text(r, frame, good) == (int64_t)strlen(good) && !r->fault);
  CHECK(frame->rows == 5 && r->row == 5);
  tw_column **col = frame->column;
  CHECK(col[0]->f64[0] == 1.5 && isnan(col[0]->f64[1]) && col[0]->f64[2] == -2000);
  CHECK(col[0]->f64[3] == 3 && isinf(col[0]->f64[4]));
  CHECK(col[1]->i64[0] == -9007199254740993 && col[1]->i64[2] == 7 &&
        col[1]->i64[3] == 4 && col[1]->i64[4] == 123456789012345678);
  CHECK(col[2]->b[0] == 1 && col[2]->b[2] == 0 && col[2]->b[3] == 1 &&
        col[2]->b[4] == 0);
  int64_t len;
  CHECK(*tw_column_text(col[3], 0, &len) == 'x' && len == 1);
  CHECK(tw_column_text(col[3], 2, &len) && len == 0);
  CHECK(!memcmp(tw_column_text(col[3], 3, &len), "a\tb", 3) && len == 3);
  CHECK(!memcmp(tw_column_text(col[3], 4, &len), " x ", 3) && len == 3);
  CHECK(col[4]->i64[0] == 978330000250000000 && col[4]->i64[2] == 12500000000 &&
        col[4]->i64[3] == 0 && col[4]->i64[4] == -1000000000);
  for (int k = 1; k < 5; k++) CHECK(col[k]->nulls == 1 && tw_column_is_null(col[k], 1));
  static const struct {
    const char *row;
    int fault, field;
    const char *cell;
  } bad[] = {
      {"1\t2\t1\tx\t1\nx1\t2\t1\tx\t1\n1\t1\t1\tx\t1", TW_FAULT_NUMBER, 0, "x1"},
      {"1\t2\t1\tx\t1\n1\t2.5\t1\tx\t1\n", TW_FAULT_NUMBER, 1, "2.5"},
      {"1\t2\t1\tx\t1\n1\t99999999999999999999\t1\tx\t1\n", TW_FAULT_NUMBER, 1,
       "99999999999999999999"},
      {"1\t2\t1\tx\t1\n1\t2\tyes\tx\t1\n", TW_FAULT_BOOL, 2, "yes"},
      {"1\t2\t1\tx\t1\n1\t2\t0\t\"x\"y\t1\n", TW_FAULT_QUOTE, 3, "\"x\"y"},
      {"1\t2\t1\tx\t1\n1\t2\t0\tx\tnow\r\n", TW_FAULT_TIME, 4, "now"},
  };
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    tw_frame_release(frame);
    frame = new_frame(all_types, 5);
    r->row = 10;
    int64_t used = read_text(r, frame, bad[i].row);
    CHECKF(r->fault == bad[i].fault && r->field == bad[i].field, "%d %d", r->fault,
           r->field);
    CHECK(r->row == 12 && frame->rows == 1);
    CHECK(r->cell_len == (int64_t)strlen(bad[i].cell) &&
          !memcmp(r->cell, bad[i].cell, strlen(bad[i].cell)));
    const char *second = strchr(bad[i].row, '\n') + 1;
    const char *end = strpbrk(second, "\r\n");
    CHECK(r->record == second && r->record_len == end - second);
    CHECK(used == strchr(second, '\n') + 1 - bad[i].row);
    for (int k = 0; k < 5; k++) CHECK(frame->column[k]->len == 1);
  }
  tw_frame_release(frame);
  tw_frame_csv_close(r);
}

/* ---- the rest ---- */

static void one_column(void) {
  static const int type[] = {TW_COL_F64};
  tw_frame_text *r = tw_frame_csv_open(',');
  tw_frame *frame = new_frame(type, 1);
  tw_frame_csv_field(r, 0);
  CHECK(read_text(r, frame, "1\n\n3\n") == 5 && frame->rows == 3);
  CHECK(frame->column[0]->f64[2] == 3 && isnan(frame->column[0]->f64[1]));
  tw_frame_release(frame);
  tw_frame_csv_close(r);
}

static void left_out(void) {
  static const int type[] = {TW_COL_F64};
  tw_frame_text *r = tw_frame_csv_open(';');
  tw_frame *frame = new_frame(type, 1);
  tw_frame_csv_field(r, -1);
  tw_frame_csv_field(r, 0);
  CHECK(read_text(r, frame, "x;1\n\"a;b\";2\n\"a\"b;3\n") > 0 && frame->rows == 2);
  CHECK(frame->column[0]->f64[1] == 2 && r->fault == TW_FAULT_QUOTE && r->field == 0);
  tw_frame_release(frame);
  tw_frame_csv_close(r);
}

static void refuses(void) {
  static const int type[] = {TW_COL_F64};
  CHECK(!tw_frame_csv_open('"') && !tw_frame_csv_open('\n') && !tw_frame_csv_open(256));
  CHECK(!tw_frame_csv_open('\r') && !tw_frame_csv_open(-1));
  tw_frame_text *r = tw_frame_csv_open(0);
  tw_frame *frame = new_frame(type, 1);
  CHECK(read_text(r, frame, "1\n") == TW_EINVAL); /* no fields */
  CHECK(tw_frame_csv_field(r, -2) == TW_EINVAL && !tw_frame_csv_field(r, 0));
  CHECK(tw_frame_csv_read(r, frame, NULL, 0, 1, 10) == 0);
  CHECK(tw_frame_csv_read(r, frame, "", -1, 1, 10) == TW_EINVAL);
  CHECK(!tw_frame_csv_field(r, 1) && read_text(r, frame, "1\n") == TW_EINVAL);
  tw_frame_csv_close(r);
  tw_frame_csv_close(NULL);
  tw_frame_release(frame);
}

static void records(void) {
  struct {
    const char *text;
    int last;
    int64_t want;
  } cases[] = {{"a,b\nc", 0, 4},
               {"a,b", 0, 0},
               {"a,b", 1, 3},
               {"a,\"b\nc\"\nd", 0, 8},
               {"\xEF\xBB\xBF\"\n\"\n", 0, 7},
               {"a\"b\nc", 0, 4},
               {"\"a\"\"\n\"\n", 0, 7},
               {"", 1, 0}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    const char *s = cases[i].text;
    int64_t got = tw_frame_csv_record(s, (int64_t)strlen(s), cases[i].last, ',');
    CHECKF(got == cases[i].want, "%s: %lld", s, (long long)got);
  }
}

static void guesses(void) {
  tw_column *col = tw_column_new(TW_COL_STRING, 0, NULL);
  CHECK(tw_frame_csv_guess(col) == TW_COL_STRING);
  tw_column_put_bytes(col, "1", 1);
  CHECK(tw_frame_csv_guess(col) == TW_COL_F64);
  tw_column_put_bytes(col, "9007199254740993", 16);
  CHECK(tw_frame_csv_guess(col) == TW_COL_I64);
  tw_column_put_bytes(col, "x", 1);
  CHECK(tw_frame_csv_guess(col) == TW_COL_STRING);
  tw_column_release(col);
}

static void memory_fails(void) {
  static const char good[] = "1.5\t2\ttrue\tx\t1\n\t\t\t\"a\"\"b\"\t2\n";
  int done = 0;
  for (int n = 1; !done && n < 100; n++) {
    tw_frame *frame = new_frame(all_types, 5);
    tw_mem_fail_at(n);
    tw_frame_text *r = open_all('\t');
    int64_t used = r ? read_text(r, frame, good) : TW_ENOMEM;
    tw_mem_fail_at(0);
    done = used >= 0 && n > 4;
    CHECK(used == TW_ENOMEM || used == (int64_t)strlen(good));
    CHECK(frame->rows == (used < 0 ? 0 : 2) && tw_frame_whole(frame));
    if (r && used < 0)
      CHECK(read_text(r, frame, good) > 0 && frame->rows == 2 && r->row == 2);
    tw_frame_csv_close(r);
    tw_frame_release(frame);
  }
  CHECK(done);
}

int main(int argc, char **argv) {
  check_open(argc, argv);
  int64_t before = tw_mem_bytes();
  for (int i = 0; i < (check_long ? 20000 : 1500); i++) agree();
  for (int i = 0; i < (check_long ? 20000 : 500); i++) both_ways();
  wide_rows();
  types();
  one_column();
  left_out();
  refuses();
  records();
  guesses();
  for (int i = 0; i < 3; i++) memory_fails();
  CHECK(tw_mem_bytes() == before);
  return check_close();
}
