/* paths -- a path is itself, a pattern what matches it, sorted; room is never overrun.
 */
#define _GNU_SOURCE
#include <unistd.h>
#include <sys/stat.h>

#include "../check.h"
#include "tideway.h"

static char dir[] = "/tmp/tideway-spec-XXXXXX";

static void touch(const char *name) {
  char path[200];
  snprintf(path, sizeof path, "%s/%s", dir, name);
  fclose(fopen(path, "wb"));
}

/* What the pattern gives, the paths joined by ',' and without the folder. */
static const char *match(const char *name) {
  static char text[4096];
  char pattern[200], *buf;
  snprintf(pattern, sizeof pattern, "%s/%s", dir, name);
  const int64_t need = tw_paths_match(pattern, NULL, 0);
  CHECK(need >= 0);
  const int64_t room = need ? check_below(need + 1) : 0;
  buf = malloc((size_t)room + 1);
  CHECK(tw_paths_match(pattern, buf, room) == need); /* ASan watches the end */
  free(buf);
  buf = malloc((size_t)need + 1);
  CHECK(tw_paths_match(pattern, buf, need) == need);
  *text = 0;
  for (int64_t at = 0; at < need; at += (int64_t)strlen(buf + at) + 1) {
    CHECK(!strncmp(buf + at, dir, strlen(dir)));
    if (*text) strcat(text, ",");
    strcat(text, buf + at + strlen(dir) + 1);
  }
  free(buf);
  return text;
}

int main(int argc, char **argv) {
  char path[200];
  const char *const names[] = {"b.log", "a.log", "c.txt", "[x]", "x"};
  check_open(argc, argv);
  CHECK(mkdtemp(dir) != NULL);
  for (int i = 0; i < 5; i++) touch(names[i]);
  CHECKF(!strcmp(match("*.log"), "a.log,b.log"), "%s", match("*.log"));
  CHECK(!strcmp(match("[ac].*"), "a.log,c.txt"));
  CHECK(!strcmp(match("?"), "x"));
  CHECK(!strcmp(match("[x]"), "[x]")); /* there is a file of that name */
  CHECK(!strcmp(match("*.none"), ""));
  CHECK(!strcmp(match("missing"), "missing"));
  for (int i = 0; i < 5; i++) {
    snprintf(path, sizeof path, "%s/%s", dir, names[i]);
    unlink(path);
  }
  rmdir(dir);
  return check_close();
}
