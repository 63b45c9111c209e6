/* position -- a reader sees one text or another, never a part; the last word counts. */
#include "source/position.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "../check.h"
#include "core/mem.h"

static char dir[] = "/tmp/tideway-spec-XXXXXX", path[128], fresh[160];

static char *text_of(int64_t number, int64_t *len) {
  char text[4096];
  *len = 10 + number % 4000;
  memset(text, 'a' + (int)(number % 26), sizeof text);
  return tw__mem_copy(text, *len);
}

/* The file is one of the texts from `from` to `to`. */
static int64_t number_in(const tw__position *p, int64_t from, int64_t to) {
  char *text;
  int64_t len;
  CHECK(tw__position_read(p, &text, &len) == TW_OK);
  int64_t found = -1;
  for (int64_t i = from; text && i <= to; i++) {
    int64_t wanted;
    char *other = text_of(i, &wanted);
    if (wanted == len && !memcmp(text, other, (size_t)len)) found = i;
    tw__free(other);
  }
  tw__free(text);
  return found;
}

int main(int argc, char **argv) {
  check_open(argc, argv);
  CHECK(mkdtemp(dir) != NULL);
  snprintf(path, sizeof path, "%s/position", dir);
  snprintf(fresh, sizeof fresh, "%s.new", path);
  tw_loop *loop = tw_loop_open();
  uint32_t ready[4];
  char *text;
  int64_t len, last = -1, written = -1;

  tw__position *p = tw__position_open(path);
  CHECK(tw__position_read(p, &text, &len) == TW_OK && text == NULL);
  CHECK(tw__position_is(p, path) && tw__position_is(p, fresh));
  CHECK(!tw__position_is(p, "/tmp/position") && !tw__position_is(p, dir));

  for (int64_t i = 0; i < 300; i++) {
    text = text_of(i, &len);
    if (check_below(4) == 0) {
      CHECK(tw__position_write(p, text, len) == 0);
      written = last = i;
      CHECK(number_in(p, i, i) == i);
    } else if (tw__position_save(p, tw__loop_uv(loop), text, len)) {
      last = i;
    } else {
      tw__free(text);
    }
    if (check_below(2)) tw_loop_poll(loop, 0, ready, 4);
    if (written >= 0) CHECK(number_in(p, written, last) >= written);
  }
  CHECK(tw__position_failed(p) == 0);
  text = text_of(300, &len);
  CHECK(tw__position_write(p, text, len) == 0);
  tw__position_close(p); /* perhaps with a text on its way, which is older */
  tw_loop_close(loop);
  p = tw__position_open(path);
  CHECK(number_in(p, 300, 300) == 300);
  tw__position_close(p);

  p = tw__position_open("/nowhere/at/all");
  text = text_of(1, &len);
  CHECK(tw__position_write(p, text, len) != 0);
  CHECK(tw__position_failed(p) != 0);
  tw__position_close(p);
  tw__position_close(NULL);
  unlink(path);
  CHECK(access(fresh, F_OK) != 0);
  rmdir(dir);
  return check_close();
}
