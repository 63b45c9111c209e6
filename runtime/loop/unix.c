/* unix.c -- the place of a listening Unix socket in the file system; see unix.h. */
#include "loop/unix.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/mem.h"

/* Remove a socket that nobody listens on any more; -1 when that is not what is there. */
static int remove_stale(const struct sockaddr_un *address) {
  struct stat st;
  if (lstat(address->sun_path, &st) || !S_ISSOCK(st.st_mode)) return -1;
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return -1;
  const int rc = connect(fd, (const struct sockaddr *)address, sizeof *address);
  const int stale = rc < 0 && errno == ECONNREFUSED;
  close(fd);
  return stale ? unlink(address->sun_path) : -1;
}

/* Returns 0, or -1 and errno. */
static int bind_to(int fd, const struct sockaddr_un *address) {
  const struct sockaddr *any = (const struct sockaddr *)address;
  if (!bind(fd, any, sizeof *address)) return 0;
  if (errno != EADDRINUSE) return -1;
  if (!remove_stale(address)) return bind(fd, any, sizeof *address);
  errno = EADDRINUSE;
  return -1;
}

int tw__unix_bind(tw__unix *place, const char *path, const char **text) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  const size_t len = strlen(path);
  struct stat st;
  *place = (tw__unix){0};
  *text = "the path of a socket has at most 107 bytes";
  if (len >= sizeof address.sun_path) return -1;
  memcpy(address.sun_path, path, len + 1);
  *text = "no memory";
  char *copy = tw__mem_copy(path, (int64_t)len);
  if (!copy) return -1;
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd >= 0 && !bind_to(fd, &address) && !lstat(path, &st)) {
    *place = (tw__unix){.path = copy, .dev = st.st_dev, .ino = st.st_ino};
    return fd;
  }
  *text = strerror(errno);
  if (fd >= 0) close(fd);
  tw__free(copy);
  return -1;
}

void tw__unix_remove(tw__unix *place) {
  struct stat st;
  if (!place->path) return;
  if (!lstat(place->path, &st) && st.st_dev == place->dev && st.st_ino == place->ino)
    unlink(place->path);
  tw__free(place->path);
  place->path = NULL;
}
