/* core/text: what does not fit is counted and never written; values read as in Lua. */
#include "core/text.h"
#include "../check.h"

/* The text of one value. */
static const char *shown(tw_value val) {
  static char buf[256];
  struct tw__text text;
  tw__text_init(&text, buf, sizeof buf);
  tw__text_value(&text, &val);
  return buf;
}

static void shows_values(void) {
  CHECK(!strcmp(shown((tw_value){.type = TW_NUM, .num = 1.5}), "1.5"));
  CHECK(!strcmp(shown((tw_value){.type = TW_NUM, .num = 0.1}), "0.1"));
  CHECK(!strcmp(shown((tw_value){.type = TW_BOOL, .u64 = 1}), "true"));
  CHECK(!strcmp(shown((tw_value){.type = TW_BOOL, .u64 = 0}), "false"));
  CHECK(!strcmp(shown((tw_value){.type = TW_NULL}), "null"));
  CHECK(!strcmp(shown((tw_value){.type = TW_I64, .i64 = -7}), "-7LL"));
  CHECK(!strcmp(shown((tw_value){.type = TW_U64, .u64 = UINT64_MAX}),
                "18446744073709551615ULL"));
  CHECK(!strcmp(shown((tw_value){.type = TW_REF, .u64 = 12}), "#12"));
  CHECK(!strcmp(shown((tw_value){.type = TW_NIL}), "nil"));
}

static void shows_bytes(void) {
  tw_value val = {.type = TW_BYTES, .bytes = "a\"\\\n\0z", .len = 6};
  CHECKF(!strcmp(shown(val), "\"a\\\"\\\\\\010\\000z\""), "%s", shown(val));
  char many[100];
  memset(many, 'x', sizeof many);
  val = (tw_value){.type = TW_BYTES, .bytes = many, .len = sizeof many};
  CHECK(strlen(shown(val)) == 40 + 5);
  CHECK(!strcmp(shown(val) + 41, "...\""));
}

/* Whatever the room, the text is the beginning of the whole one, and ended. */
static void fits_any_room(void) {
  for (int64_t size = 0; size < 40; size++) {
    char *buf = malloc((size_t)size + 1), whole[64] = "";
    struct tw__text text;
    tw__text_init(&text, buf, size);
    for (int i = 0; i < 5; i++) {
      int n = (int)check_below(100000);
      tw__text_add(&text, "%d,", n);
      sprintf(whole + strlen(whole), "%d,", n);
    }
    CHECK(text.len == (int64_t)strlen(whole));
    if (size > 0) {
      CHECK(strlen(buf) == (size_t)(text.len < size ? text.len : size - 1));
      CHECK(!strncmp(buf, whole, strlen(buf)));
    }
    free(buf);
  }
}

int main(int argc, char **argv) {
  check_open(argc, argv);
  shows_values();
  shows_bytes();
  fits_any_room();
  return check_close();
}
