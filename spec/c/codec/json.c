/* json.c -- what is JSON parses, what is none says where; by layout as without. */
#include "../check.h"

#include <stdbool.h>

#include "tideway.h"

static int decode(tw_decoder *dec, const char *text) {
  return tw_json_decode(dec, text, (int64_t)strlen(text));
}

static void faults(void) {
  static const struct {
    const char *text;
    int fault, at;
  } list[] = {{"", TW_FAULT_END, 0},
              {"{", TW_FAULT_END, 1},
              {"{\"a\":1,}", TW_FAULT_BYTE, 7},
              {"[1 2]", TW_FAULT_BYTE, 3},
              {"01", TW_FAULT_BYTE, 1},
              {"-", TW_FAULT_END, 1},
              {"\"\\x\"", TW_FAULT_ESCAPE, 1},
              {"\"\\u12g4\"", TW_FAULT_ESCAPE, 1},
              {"\"a\nb\"", TW_FAULT_BYTE, 2},
              {"{\"a\":1}x", TW_FAULT_BYTE, 7},
              {"nul", TW_FAULT_END, 3},
              {"{'a':1}", TW_FAULT_BYTE, 1},
              {"[1,]", TW_FAULT_BYTE, 3},
              {"\"", TW_FAULT_END, 1},
              {"\"\\", TW_FAULT_END, 2}};
  tw_decoder *dec = tw_decoder_open();
  for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
    int status = decode(dec, list[i].text);
    CHECKF(status == TW_EPARSE && dec->fault == list[i].fault && dec->at == list[i].at,
           "%s: %d, fault %d at %d", list[i].text, status, dec->fault, (int)dec->at);
  }
  char deep[2 * TW_DEPTH + 3];
  for (int n = TW_DEPTH; n <= TW_DEPTH + 1; n++) {
    memset(deep, '[', (size_t)n);
    memset(deep + n, ']', (size_t)n);
    int status = tw_json_decode(dec, deep, 2 * n);
    CHECK(n == TW_DEPTH ? status == 0
                        : status == TW_EPARSE && dec->fault == TW_FAULT_DEPTH);
  }
  CHECK(tw_json_decode(dec, NULL, 0) == TW_EINVAL &&
        tw_json_decode(dec, "", -1) == TW_EINVAL);
  tw_decoder_close(dec);
}

/* Records with optional and reordered fields and blanks: the values are what was
 * written. */
static void layouts(void) {
  tw_decoder *all = tw_decoder_open(), *two = tw_decoder_open();
  tw_decoder_field(two, "x", 1);
  tw_decoder_field(two, "name", 4);
  for (int i = 0; i < 20000; i++) {
    char text[512];
    int64_t x = check_below(1000000), kind = check_below(4);
    bool swap = check_below(4) == 0, extra = check_below(3) == 0;
    const char *comma = check_below(8) ? "," : " , ";
    const char *name = check_below(2) ? "\"Alice\"" : "\"\\u0041lice\"";
    char one[64], more[64] = "";
    snprintf(one, sizeof one, "\"x\":%d", (int)x);
    if (extra)
      snprintf(more, sizeof more, "%s\"e\":{\"f\":[%d,\"]}\"]}", comma, (int)kind);
    if (swap)
      snprintf(text, sizeof text, "{%s%s\"name\":%s%s}", one, comma, name, more);
    else
      snprintf(text, sizeof text, "{\"name\":%s%s%s%s}", name, comma, one, more);
    int status = decode(two, text);
    CHECK(status > 0);
    CHECKF(two->slots[0].num == (double)x, "%s", text);
    CHECKF(two->slots[1].len == 5 && !memcmp(two->slots[1].bytes, "Alice", 5), "%s",
           text);
    status = decode(all, text);
    CHECK(status > 0);
    CHECKF(all->slots[swap ? 0 : 1].num == (double)x, "%s", text);
    CHECKF(all->slots[swap].len == 5 && !memcmp(all->slots[swap].bytes, "Alice", 5),
           "%s", text);
  }
  tw_decoder_close(all);
  tw_decoder_close(two);
}

int main(int argc, char **argv) {
  check_open(argc, argv);
  faults();
  layouts();
  return check_close();
}
