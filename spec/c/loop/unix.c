/* unix -- a socket's file: what is stale is replaced, what is another's stays. */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "loop/unix.h"
#include "tideway.h"

#include "../check.h"

static char folder[] = "/tmp/tideway-unix-XXXXXX";
static char path[64];
static const char *text;

static void makes_and_removes_its_file(void) {
  tw__unix place;
  const int fd = tw__unix_bind(&place, path, &text);
  CHECKF(fd >= 0, "%s", text);
  CHECK(!listen(fd, 1) && !access(path, F_OK));
  close(fd);
  tw__unix_remove(&place);
  tw__unix_remove(&place);
  CHECK(access(path, F_OK));
}

static void replaces_what_nobody_listens_on(void) {
  tw__unix dead, place, other;
  close(tw__unix_bind(&dead, path, &text)); /* as after a kill -9 */
  const int fd = tw__unix_bind(&place, path, &text);
  CHECKF(fd >= 0, "%s", text);
  CHECK(!listen(fd, 1));
  CHECK(tw__unix_bind(&other, path, &text) == -1 && !other.path);
  CHECKF(!strcmp(text, "Address already in use"), "%s", text);
  tw__unix_remove(&place);
  tw__unix_remove(&dead);
  close(fd);
}

static void leaves_what_is_no_socket(void) {
  tw__unix place;
  const int file = open(path, O_CREAT | O_WRONLY, 0600);
  CHECK(tw__unix_bind(&place, path, &text) == -1 && !access(path, F_OK));
  close(file);
  unlink(path);
  const int fd = tw__unix_bind(&place, path, &text);
  CHECK(fd >= 0);
  place.ino++; /* somebody has put another there */
  tw__unix_remove(&place);
  CHECK(!access(path, F_OK));
  close(fd);
  unlink(path);
}

static void says_what_is_wrong(void) {
  char longer[200];
  tw__unix place;
  memset(longer, 'x', sizeof longer - 1);
  longer[sizeof longer - 1] = '\0';
  CHECK(tw__unix_bind(&place, longer, &text) == -1 && !place.path);
  CHECKF(strstr(text, "107 bytes"), "%s", text);
  CHECK(tw__unix_bind(&place, "/nowhere/at/all", &text) == -1);
  CHECKF(!strcmp(text, "No such file or directory"), "%s", text);
  tw_mem_fail_at(1);
  CHECK(tw__unix_bind(&place, path, &text) == -1 && !strcmp(text, "no memory"));
  tw_mem_fail_at(0);
}

int main(int argc, char **argv) {
  check_open(argc, argv);
  CHECK(mkdtemp(folder) != NULL);
  snprintf(path, sizeof path, "%s/socket", folder);
  makes_and_removes_its_file();
  replaces_what_nobody_listens_on();
  leaves_what_is_no_socket();
  says_what_is_wrong();
  rmdir(folder);
  CHECK(tw_mem_bytes() == 0);
  return check_close();
}
