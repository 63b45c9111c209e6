/* watch.c -- news of files and directories, by inotify.
 *
 * Where there is none, or too many are open, or TW_NO_INOTIFY is set, a watch is silent, and
 * who has it looks now and then; that is needed anyway: network file systems tell
 * nothing of what others do, and a queue that is full drops events.
 */
#include "source/watch.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/mem.h"

#ifdef __linux__
#include <sys/inotify.h>
#endif

struct tw_watch {
  tw__handle handle; /* first */
  int fd;            /* -1: silent */
  uv_poll_t poll;
  void (*seen)(void *data, int wd, const char *name);
  void *data;
};

static void after_close(uv_handle_t *handle) {
  tw_watch *w = handle->data;
  close(w->fd);
  tw__free(w);
}

void tw_watch_close(tw_watch *w) {
  if (!w) return;
  tw__loop_detach(&w->handle);
  w->seen = NULL;
  if (w->fd < 0)
    tw__free(w);
  else
    uv_close((uv_handle_t *)&w->poll, after_close);
}

static void close_handle(tw__handle *handle) {
  tw_watch_close((tw_watch *)handle);
}

#ifdef __linux__

static const uint32_t NAMES = IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO;
static const uint32_t FILES = IN_MODIFY | IN_ATTRIB | IN_MOVE_SELF | IN_DELETE_SELF;

static void readable(uv_poll_t *poll, int status, int events) {
  tw_watch *w = poll->data;
  union {
    struct inotify_event event; /* aligned for it */
    char bytes[16384];
  } buf;
  (void)events;
  if (status < 0) return;
  const ssize_t n = read(w->fd, &buf, sizeof buf);
  for (ssize_t at = 0; at < n;) {
    const struct inotify_event *event = (const void *)(buf.bytes + at);
    at += (ssize_t)(sizeof *event + event->len);
    if (event->mask & IN_IGNORED) continue;
    if (w->seen)
      w->seen(w->data, event->mask & IN_Q_OVERFLOW ? -1 : event->wd,
              event->len ? event->name : "");
    else
      tw__loop_ready(&w->handle);
  }
}

static void open_inotify(tw_watch *w, uv_loop_t *uv) {
  if (getenv("TW_NO_INOTIFY")) return;
  w->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
  if (w->fd < 0) return;
  if (uv_poll_init(uv, &w->poll, w->fd)) {
    close(w->fd);
    w->fd = -1;
    return;
  }
  w->poll.data = w;
  uv_poll_start(&w->poll, UV_READABLE, readable);
}

static int add(tw_watch *w, const char *path, uint32_t mask) {
  const int wd = w->fd < 0 ? -1 : inotify_add_watch(w->fd, path, mask);
  return wd < 0 ? TW_EIO : wd;
}

int tw__watch_dir(tw_watch *w, const char *path) {
  return add(w, path, NAMES | IN_ONLYDIR);
}

int tw__watch_file(tw_watch *w, int fd, const char *path) {
  char self[32];
  snprintf(self, sizeof self, "/proc/self/fd/%d", fd); /* whatever its name is by now */
  const int wd = add(w, self, FILES);
  return wd < 0 ? add(w, path, FILES) : wd;
}

void tw__watch_remove(tw_watch *w, int wd) {
  if (w->fd >= 0 && wd >= 0) inotify_rm_watch(w->fd, wd);
}

#else

static void open_inotify(tw_watch *w, uv_loop_t *uv) {
  (void)w, (void)uv;
}

int tw__watch_dir(tw_watch *w, const char *path) {
  (void)w, (void)path;
  return TW_EIO;
}

int tw__watch_file(tw_watch *w, int fd, const char *path) {
  (void)w, (void)fd, (void)path;
  return TW_EIO;
}

void tw__watch_remove(tw_watch *w, int wd) {
  (void)w, (void)wd;
}

#endif

tw_watch *tw_watch_open(tw_loop *loop) {
  tw_watch *w = tw__calloc(1, sizeof *w);
  if (!w) return NULL;
  w->fd = -1;
  open_inotify(w, tw__loop_uv(loop));
  tw__loop_attach(loop, &w->handle, close_handle);
  return w;
}

int tw_watch_dir(tw_watch *w, const char *path) {
  const int wd = tw__watch_dir(w, path);
  return wd < 0 ? wd : TW_OK;
}

int tw_watch_silent(const tw_watch *w) {
  return w->fd < 0;
}

uint32_t tw_watch_id(const tw_watch *w) {
  return w->handle.id;
}

void tw__watch_seen(tw_watch *w, void (*seen)(void *data, int wd, const char *name),
                    void *data) {
  w->seen = seen;
  w->data = data;
}
