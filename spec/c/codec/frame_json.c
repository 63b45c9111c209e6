/* frame_json.c -- JSON lines to columns: types, wrong cells, lines that do not parse. */
#include <math.h>

#include "../check.h"

#include "core/mem.h"
#include "tideway.h"

static const int types[5] = {TW_COL_F64, TW_COL_I64, TW_COL_BOOL, TW_COL_STRING,
                             TW_COL_TIMESTAMP};
static const char *const names[5] = {"f", "i", "b", "s", "t"};

static tw_frame_text *open_all(void) {
  tw_frame_text *r = tw_frame_json_open();
  for (int k = 0; r && k < 5; k++)
    if (tw_frame_json_field(r, names[k], 1, 4 - k)) {
      tw_frame_json_close(r);
      return NULL;
    }
  return r;
}

static tw_frame *new_frame(void) {
  tw_frame *frame = tw_frame_new(5, 1);
  for (int k = 0; k < 5; k++)
    tw_frame_take(frame, 4 - k, tw_column_new(types[k], check_below(3), NULL));
  return frame;
}

static int64_t read_text(tw_frame_text *r, tw_frame *frame, const char *s,
                         int64_t max) {
  return tw_frame_json_read(r, frame, s, (int64_t)strlen(s), 1, max);
}

static int same_text(const tw_column *col, int64_t i, const char *want) {
  int64_t len;
  const char *s = tw_column_text(col, i, &len);
  return s && len == (int64_t)strlen(want) && !memcmp(s, want, (size_t)len);
}

static void reads(void) {
  static const char good[] =
      "{\"f\":1.5,\"i\":-7,\"b\":true,\"s\":\"x\\u0041\",\"t\":\"2001-01-01T06:20:"
      "00Z\"}\r\n"
      "\n  \n"
      "{\"t\":1.5,\"x\":[1],\"s\":{\"a\":[1,\"q\",null,true]},\"f\":null}\n"
      " { \"f\" : \"2.5\" , \"i\":\"9007199254740993\",\"b\":1,\"s\":-0.5,\"t\":0}\n"
      "{\"s\":true,\"b\":\"false\"}";
  tw_frame_text *r = open_all();
  tw_frame *frame = new_frame();
  CHECK(read_text(r, frame, good, 100) == (int64_t)strlen(good) && !r->fault);
  CHECK(frame->rows == 4 && r->row == 4);
  tw_column **col = frame->column; /* t s b i f */
  CHECK(col[4]->f64[0] == 1.5 && isnan(col[4]->f64[1]) && col[4]->f64[2] == 2.5);
  CHECK(col[3]->i64[0] == -7 && col[3]->i64[2] == 9007199254740993 &&
        col[3]->nulls == 2);
  CHECK(col[2]->b[0] && col[2]->b[2] && !col[2]->b[3] && col[2]->nulls == 1);
  CHECK(same_text(col[1], 0, "xA") &&
        same_text(col[1], 1, "{\"a\":[1,\"q\",null,true]}"));
  CHECK(same_text(col[1], 2, "-0.5") && same_text(col[1], 3, "true"));
  CHECK(col[0]->i64[0] == 978330000000000000 && col[0]->i64[1] == 1500000000);
  CHECK(col[0]->i64[2] == 0 && tw_column_is_null(col[0], 3));
  tw_frame_release(frame);
  tw_frame_json_close(r);
}

static void wrong(void) {
  static const struct {
    const char *line;
    int fault, field;
    const char *cell;
  } bad[] = {
      {"{\"f\":1,\"i\":1.5}", TW_FAULT_NUMBER, 1, "1.5"},
      {"{\"f\":\"x\"}", TW_FAULT_NUMBER, 0, "x"},
      {"{\"f\":true}", TW_FAULT_NUMBER, 0, "true"},
      {"{\"f\":[1, 2]}", TW_FAULT_NUMBER, 0, "[1,2]"},
      {"{\"i\":1e300}", TW_FAULT_NUMBER, 1, "1e300"},
      {"{\"b\":\"yes\"}", TW_FAULT_BOOL, 2, "yes"},
      {"{\"b\":2}", TW_FAULT_BOOL, 2, "2"},
      {"{\"t\":\"now\"}", TW_FAULT_TIME, 4, "now"},
      {"{\"t\":{}}", TW_FAULT_TIME, 4, "{}"},
      {"{\"f\":1", TW_FAULT_END, -1, "{\"f\":1"},
      {"{\"f\":1}}", TW_FAULT_BYTE, -1, "{\"f\":1}}"},
      {"17", TW_FAULT_FIELDS, -1, "17"},
  };
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    char text[200];
    tw_frame_text *r = open_all();
    tw_frame *frame = new_frame();
    int n = snprintf(text, sizeof text, "{\"f\":1}\n%s\r\n{\"f\":3}\n", bad[i].line);
    int64_t used = read_text(r, frame, text, 100);
    CHECKF(r->fault == bad[i].fault && r->field == bad[i].field, "%s: %d %d",
           bad[i].line, r->fault, r->field);
    CHECK(frame->rows == 1 && r->row == 2 && tw_frame_whole(frame) && used == n - 8);
    CHECKF(r->cell_len == (int64_t)strlen(bad[i].cell) &&
               !memcmp(r->cell, bad[i].cell, strlen(bad[i].cell)),
           "%.*s", (int)r->cell_len, r->cell);
    CHECK(r->record_len == (int64_t)strlen(bad[i].line));
    CHECK(read_text(r, frame, text + used, 100) == 8 && frame->rows == 2 && !r->fault);
    CHECK(frame->column[4]->f64[1] == 3 && r->row == 3);
    tw_frame_release(frame);
    tw_frame_json_close(r);
  }
}

/* More fields than a decoder takes. */
static void wide(void) {
  enum { WIDE = 150 };
  char text[4000], name[16];
  int n = 0;
  tw_frame_text *r = tw_frame_json_open();
  tw_frame *frame = tw_frame_new(WIDE, 1);
  for (int k = 0; k < WIDE; k++) {
    int len = snprintf(name, sizeof name, "c%d", k);
    CHECK(!tw_frame_json_field(r, name, len, k));
    tw_frame_take(frame, k, tw_column_new(TW_COL_F64, 0, NULL));
    n += snprintf(text + n, sizeof text - (size_t)n, "%s\"%s\":%d", k ? "," : "{", name,
                  k);
  }
  n += snprintf(text + n, sizeof text - (size_t)n, "}\n");
  for (int i = 0; i < 3; i++) CHECK(read_text(r, frame, text, 100) == n);
  for (int k = 0; k < WIDE; k++) CHECK(frame->column[k]->f64[2] == k);
  tw_frame_release(frame);
  tw_frame_json_close(r);
}

/* Cut anywhere, in frames of any size. */
static void in_pieces(void) {
  char text[3000];
  int n = 0, rows = 1 + (int)check_below(60);
  for (int i = 0; i < rows; i++)
    n += snprintf(text + n, sizeof text - (size_t)n,
                  check_below(4) ? "{\"i\":%d,\"s\":\"n%d\"}\n"
                                 : "{\"s\":null,\"i\":%d}\n",
                  i, (int)check_below(5));
  tw_frame_text *r = open_all();
  tw_frame *frame = new_frame();
  int64_t from = 0, shown = 1 + check_below(100), step = shown, got = 0;
  int64_t batch = 1 + check_below(20);
  while (from < n) {
    if (shown > n) shown = n;
    int64_t used = tw_frame_json_read(r, frame, text + from, shown - from, 0, batch);
    CHECK(used >= 0);
    from += used;
    for (int64_t i = 0; i < frame->rows; i++)
      CHECK(frame->column[3]->i64[i] == got + i);
    got += frame->rows;
    int full = frame->rows == batch;
    for (int k = 0; k < 5; k++)
      tw_column_renew(&frame->column[k], frame->column[k]->type, NULL, 0);
    frame->rows = 0;
    if (!full) shown += step;
  }
  CHECK(got == rows);
  tw_frame_release(frame);
  tw_frame_json_close(r);
}

static void guesses(void) {
  static const char text[] = "{\"a\":1,\"b\":\"x\",\"n\":null,\"t\":\"2001-01-01\"}\n"
                             "nonsense\n[1]\n"
                             "{\"c\":true,\"a\":\"2\",\"d\":[1,{\"z\":2}],\"e\":-1}\n"
                             "{\"late\":1}\n";
  static const char *const want[] = {"a", "b", "n", "t", "c", "d", "e"};
  static const int type[] = {TW_COL_STRING, TW_COL_STRING, 0,         TW_COL_TIMESTAMP,
                             TW_COL_BOOL,   TW_COL_STRING, TW_COL_F64};
  tw_column *keys = tw_column_new(TW_COL_STRING, 0, NULL);
  tw_column *kinds = tw_column_new(TW_COL_I64, 0, NULL);
  CHECK(tw_frame_json_guess(text, sizeof text - 1, 1, 4, keys, kinds) == TW_OK);
  CHECK(keys->len == 7 && kinds->len == 7);
  for (int k = 0; k < 7; k++)
    CHECKF(same_text(keys, k, want[k]) && kinds->i64[k] == type[k], "%s", want[k]);
  tw_column_release(keys);
  tw_column_release(kinds);
}

static void memory_fails(void) {
  static const char text[] = "{\"f\":1,\"s\":[1],\"b\":true}\n{\"s\":\"\\n\"}\n";
  int done = 0;
  for (int n = 1; !done && n < 200; n++) {
    tw_frame *frame = new_frame();
    tw_mem_fail_at(n);
    tw_frame_text *r = open_all();
    int64_t used = r ? read_text(r, frame, text, 50) : TW_ENOMEM;
    done = tw_mem_fail_at(0) != 0;
    CHECK(used == TW_ENOMEM || used == (int64_t)strlen(text));
    CHECK(frame->rows == (used < 0 ? 0 : 2) && tw_frame_whole(frame));
    tw_frame_json_close(r);
    tw_frame_release(frame);
    tw_column *keys = tw_column_new(TW_COL_STRING, 0, NULL);
    tw_column *kinds = tw_column_new(TW_COL_I64, 0, NULL);
    tw_mem_fail_at(n);
    int rc = tw_frame_json_guess(text, sizeof text - 1, 1, 10, keys, kinds);
    tw_mem_fail_at(0);
    CHECK(rc == TW_OK || rc == TW_ENOMEM);
    tw_column_release(keys);
    tw_column_release(kinds);
  }
  CHECK(done);
}

static void refuses(void) {
  tw_frame_text *r = tw_frame_json_open();
  tw_frame *frame = new_frame();
  CHECK(read_text(r, frame, "{}", 9) == TW_EINVAL);
  CHECK(tw_frame_json_field(r, "a", 1, -1) == TW_EINVAL &&
        !tw_frame_json_field(r, "a", 1, 5));
  CHECK(read_text(r, frame, "{}", 9) == TW_EINVAL);
  CHECK(tw_frame_json_read(r, frame, "", -1, 1, 10) == TW_EINVAL);
  tw_frame_release(frame);
  tw_frame_json_close(r);
  tw_frame_json_close(NULL);
}

int main(int argc, char **argv) {
  check_open(argc, argv);
  int64_t before = tw_mem_bytes();
  reads();
  wrong();
  wide();
  for (int i = 0; i < 300; i++) in_pieces();
  guesses();
  memory_fails();
  refuses();
  CHECK(tw_mem_bytes() == before);
  return check_close();
}
