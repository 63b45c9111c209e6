/* watch -- names that come and go are reported, and closing in any state leaves nothing. */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../check.h"
#include "tideway.h"

static char dir[] = "/tmp/tideway-spec-XXXXXX";

static void touch(const char *name) {
  char path[256];
  snprintf(path, sizeof path, "%s/%s", dir, name);
  close(open(path, O_CREAT | O_WRONLY, 0600));
}

static void drop(const char *name) {
  char path[256];
  snprintf(path, sizeof path, "%s/%s", dir, name);
  unlink(path);
}

static int reported(tw_loop *loop, const tw_watch *watch) {
  uint32_t ready[8];
  const int n = tw_loop_poll(loop, 2000, ready, 8);
  for (int i = 0; i < n; i++)
    if (ready[i] == tw_watch_id(watch)) return 1;
  return 0;
}

int main(int argc, char **argv) {
  check_open(argc, argv);
  CHECK(mkdtemp(dir) != NULL);
  tw_loop *loop = tw_loop_open();
  tw_watch *watch = tw_watch_open(loop), *other = tw_watch_open(loop);
  CHECK(watch != NULL && other != NULL);
  if (!tw_watch_silent(watch)) {
    CHECK(tw_watch_dir(watch, dir) == TW_OK);
    CHECK(tw_watch_dir(watch, dir) == TW_OK);
    touch("a");
    CHECK(reported(loop, watch));
    drop("a");
    CHECK(reported(loop, watch));
  }
  CHECK(tw_watch_dir(watch, "/nowhere/at/all") == TW_EIO);
  tw_watch_close(watch);

  setenv("TW_NO_INOTIFY", "1", 1);
  watch = tw_watch_open(loop);
  CHECK(watch != NULL && tw_watch_silent(watch));
  CHECK(tw_watch_dir(watch, dir) == TW_EIO);
  tw_watch_close(watch);
  tw_watch_close(NULL);
  tw_loop_close(loop); /* and with it `other` */
  rmdir(dir);
  return check_close();
}
