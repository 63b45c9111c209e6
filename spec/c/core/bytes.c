/* bytes -- they are what was added, however it came, and no memory loses none of them. */
#include "core/bytes.h"

#include "../check.h"
#include "tideway.h"

static void agrees_with_one_array(void) {
  static char all[200000];
  struct tw__bytes b = {0};
  int64_t len = 0;
  for (size_t i = 0; i < sizeof all; i++) all[i] = (char)check_below(256);
  while (len < (int64_t)sizeof all) {
    int64_t n = check_below(check_below(20) ? 50 : 20000);
    if (n > (int64_t)sizeof all - len) n = (int64_t)sizeof all - len;
    if (check_below(3) == 0) {
      CHECK(tw__bytes_reserve(&b, n) == TW_OK && b.room - b.len >= n);
    } else {
      CHECK(tw__bytes_add(&b, all + len, n) == TW_OK);
      len += n;
    }
    CHECK(b.len == len && b.room >= len && (!len || !memcmp(b.at, all, (size_t)len)));
  }
  CHECK(tw__bytes_add(&b, NULL, 0) == TW_OK && b.len == len);
  tw__bytes_clear(&b);
  CHECK(!b.at && !b.len && !b.room && tw_mem_bytes() == 0);
}

static void says_that_there_is_no_memory(void) {
  struct tw__bytes b = {0};
  CHECK(tw__bytes_add(&b, "abc", 3) == TW_OK);
  tw_mem_fail_at(1);
  CHECK(tw__bytes_reserve(&b, 10000) == TW_ENOMEM && b.failed);
  CHECK(tw__bytes_add(&b, "d", 1) == TW_ENOMEM); /* though there would be room */
  CHECK(tw__bytes_add(&b, "", 0) == TW_ENOMEM);
  CHECK(b.len == 3 && !memcmp(b.at, "abc", 3));
  tw__bytes_clear(&b);
  CHECK(tw__bytes_add(&b, "d", 1) == TW_OK && b.len == 1);
  CHECK(tw__bytes_reserve(&b, INT64_MAX) == TW_ENOMEM && b.len == 1);
  tw__bytes_clear(&b);
  CHECK(tw_mem_bytes() == 0);
}

int main(int argc, char **argv) {
  check_open(argc, argv);
  for (int i = 0; i < 20; i++) agrees_with_one_array();
  says_that_there_is_no_memory();
  return check_close();
}
