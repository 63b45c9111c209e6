/* frame_cell.c -- numbers, words, times and strings of single cells. */
#include <math.h>

#include "../check.h"

#include "codec/frame_cell.h"
#include "core/mem.h"
#include "frame/dict.h"

static int same_num(double a, double b) {
  return !memcmp(&a, &b, sizeof a);
}

/* The short readers agree with strtod wherever they say anything. */
static void one_number(void) {
  static const char letters[] = "0123456789012345678901234567890123456789....--+e ,";
  char text[40];
  double x = 0;
  int n = (int)check_below(check_below(2) ? 12 : 24);
  memset(text, check_below(5) ? 'x' : '5', sizeof text); /* what follows is not read */
  for (int i = 0; i < n; i++) text[i] = letters[check_below(sizeof letters - 1)];
  bool is_short = tw__cell_short(text, text + n, text + sizeof text, &x);
  double other = 0;
  bool decimal = tw__cell_decimal(text, text + n, text + sizeof text, &other);
  if (!is_short && !decimal) return;
  text[n] = 0;
  char *end;
  double want = strtod(text, &end);
  CHECKF(end == text + n && n > 0, "%s", text);
  CHECKF(!is_short || same_num(want, x), "%s: %.17g", text, x);
  CHECKF(!decimal || same_num(want, other), "%s: %.17g", text, other);
}

static void decimals(void) {
  double x;
  char text[40];
  int64_t taken = 0;
  for (int i = 0; i < 20000; i++) {
    int n = snprintf(text, sizeof text, "%.*f", (int)check_below(4),
                     (check_unit() - 0.5) * 2000);
    if (!tw__cell_short(text, text + n, text + sizeof text, &x)) continue;
    taken++;
    CHECKF(same_num(strtod(text, NULL), x), "%s: %.17g", text, x);
  }
  CHECK(taken > 15000);
  taken = 0;
  for (int i = 0; i < 20000; i++) {
    int n = snprintf(text, sizeof text, "%.*f", (int)check_below(7),
                     (check_unit() - 0.5) * 2e10);
    text[n] = ',';
    if (!tw__cell_decimal(text, text + n, text + sizeof text, &x)) continue;
    taken++;
    text[n] = 0;
    CHECKF(same_num(strtod(text, NULL), x), "%s: %.17g", text, x);
  }
  CHECK(taken > 15000);
}

static void words(void) {
  static const struct {
    const char *text;
    int looks, type;
  } cases[] = {
      {"1", TW__LOOK_NUMBER, TW_COL_F64},
      {" -17 ", TW__LOOK_NUMBER, TW_COL_F64},
      {"1e3", TW__LOOK_NUMBER | TW__LOOK_BROKEN, TW_COL_F64},
      {"nan", TW__LOOK_NUMBER, TW_COL_F64},
      {"9007199254740993", TW__LOOK_NUMBER | TW__LOOK_HUGE, TW_COL_I64},
      {"99999999999999999999", TW__LOOK_NUMBER | TW__LOOK_BROKEN, TW_COL_F64},
      {"True", TW__LOOK_BOOL, TW_COL_BOOL},
      {"2001-02-03", TW__LOOK_TIME, TW_COL_TIMESTAMP},
      {"2001-02-30", TW__LOOK_TEXT, TW_COL_STRING},
      {"", 0, TW_COL_STRING},
      {"x", TW__LOOK_TEXT, TW_COL_STRING},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    const char *s = cases[i].text, *e = s + strlen(s);
    CHECKF(tw__cell_look(s, e) == cases[i].looks, "%s: %d", s, tw__cell_look(s, e));
    CHECKF(tw__cell_type(cases[i].looks) == cases[i].type, "%s", s);
  }
  CHECK(tw__cell_type(TW__LOOK_NUMBER | TW__LOOK_BOOL) == TW_COL_STRING);
  CHECK(tw__cell_type(TW__LOOK_NUMBER | TW__LOOK_HUGE | TW__LOOK_BROKEN) == TW_COL_F64);
}

static int time_of(const char *text, int64_t *ns) {
  return tw__cell_time(text, text + strlen(text), ns);
}

static void times(void) {
  int64_t ns = 0;
  CHECK(!time_of("2001-01-01 06:20:00.123456789", &ns) && ns == 978330000123456789);
  CHECK(!time_of(" 2001-01-01T06:20:00.5+01:00 ", &ns) && ns == 978326400500000000);
  CHECK(!time_of("1969-12-31 23:59:59.999999999Z", &ns) && ns == -1);
  CHECK(!time_of("1.5", &ns) && ns == 1500000000);
  CHECK(time_of("", &ns) && time_of("x", &ns) && time_of("1e40", &ns));
  CHECK(time_of("2001-01-01 06:20:00.", &ns) && time_of("2001-01-01 06:20:00.5x", &ns));
  CHECK(time_of("3001-01-01", &ns) && time_of("nan", &ns));
}

/* Another thread has the column: strings that come go to a copy of the dict. */
static void freeze(tw_column *col) {
  tw__dict_freeze(col->dict, 1 << 30);
  CHECK(col->dict->frozen == 1);
}

/* Strings of all lengths that differ in any one byte, from a place of their own size. */
static void strings(void) {
  struct tw__names names = {.dict = NULL};
  tw_column *col = tw_column_new(TW_COL_STRING, 0, NULL);
  for (int i = 0; i < 30000; i++) {
    if (check_below(500) == 0) tw_mem_fail_at(1 + check_below(3));
    int64_t len = check_below(40);
    char *text = malloc((size_t)len + 1);
    memset(text, 'a', (size_t)len);
    if (len) text[check_below(len)] = (char)('a' + check_below(4));
    int64_t code = tw__names_add(&names, col, text, len, text + len);
    tw_mem_fail_at(0);
    CHECKF(code == TW_ENOMEM || code == tw_dict_find(col->dict, text, len), "%.*s",
           (int)len, text);
    free(text);
    if (check_below(5000) == 0) { /* another dict */
      tw_dict_release(col->dict);
      col->dict = tw_dict_new();
    }
    if (check_below(100) == 0) freeze(col);
  }
  char many[32];
  for (int i = 0; i < 40000; i++) { /* more than the table takes */
    int n = snprintf(many, sizeof many, "n%d", i % 20000);
    int64_t code = tw__names_add(&names, col, many, n, many + sizeof many);
    CHECK(code == tw_dict_find(col->dict, many, n));
    if (i % 5000 == 77) freeze(col);
  }
  tw_column_release(col);
  tw__names_fini(&names);
}

int main(int argc, char **argv) {
  check_open(argc, argv);
  int64_t before = tw_mem_bytes();
  for (int i = 0; i < 200000; i++) one_number();
  decimals();
  words();
  times();
  strings();
  CHECK(tw_mem_bytes() == before);
  return check_close();
}
