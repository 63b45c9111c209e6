/* nginx.c -- a descriptor in the event loop of the nginx that has loaded us.
 *
 * It is added once, edge-triggered, so that nothing is told to the system in between; an edge that
 * comes while nobody has armed the watch is seen by looking, when somebody does.
 *
 * nginx's own functions and variables are those of its program, which exports them for its
 * dynamic modules (the linker's -E, that the Lua module needs as well). We are built without
 * nginx's headers, so only the beginnings of its structures are spelled out, which have been
 * the same since 1.0 (2011) but for one field within four bytes of padding. Each is tried
 * before it is relied on: what a connection points to has to point back, and nginx fills
 * the field before `log` with a value that nothing else has. Where anything differs we are
 * refused, and whoever asked has other ways.
 */
#include <dlfcn.h>
#include <poll.h>
#include <sys/epoll.h>

#include "core/mem.h"
#include "tideway.h"

typedef struct event event;
typedef struct connection connection;

struct event {
  connection *data;
  unsigned write : 1; /* more flags follow */
  int available;
  void (*handler)(event *ev);
  uintptr_t index;
  void *log;
};

struct connection {
  void *data;
  event *read, *write;
  int fd;
};

typedef struct cycle {
  void *conf_ctx, *pool;
  void *log, *new_log; /* log points to where new_log begins */
} cycle;

typedef struct actions {
  intptr_t (*add)(event *ev, intptr_t what, uintptr_t flags);
  intptr_t (*del)(event *ev, intptr_t what, uintptr_t flags);
} actions;

enum { USES_EPOLL = 0x40, READ = EPOLLIN | EPOLLRDHUP };
static const uintptr_t UNSET = 0xd0d0d0d0;

struct tw_nginx {
  tw_nginx_post *post;
  void *semaphore;
  int armed;
  connection *conn;
  actions *actions;
  void (*release)(connection *conn);
};

static void readable(event *ev) {
  tw_nginx *watch = ev->data->data;
  if (!watch->armed) return;
  watch->armed = 0;
  watch->post(watch->semaphore, 1);
}

static int as_expected(const connection *conn, int fd) {
  const event *rev = conn->read, *wev = conn->write;
  return conn->fd == fd && rev->data == conn && wev->data == conn && !rev->write &&
         wev->write && rev->index == UNSET && wev->index == UNSET;
}

/* Gives the connection back, but not its descriptor. */
static void let_go(tw_nginx *watch) {
  watch->release(watch->conn);
  watch->conn->fd = -1;
}

static const char *join(tw_nginx *watch, int fd, void *log) {
  connection *(*get)(int, void *);
  *(void **)&get = dlsym(RTLD_DEFAULT, "ngx_get_connection");
  *(void **)&watch->release = dlsym(RTLD_DEFAULT, "ngx_free_connection");
  if (!get || !watch->release) return "its symbols are not exported";
  connection *conn = get(fd, log);
  if (!conn) return "it has no connection left (worker_connections)";
  if (conn->fd != fd) return "its connections are not known";
  watch->conn = conn;
  if (!as_expected(conn, fd)) {
    let_go(watch);
    return "its connections are not known";
  }
  conn->data = watch;
  conn->read->handler = readable;
  conn->read->log = log;
  if (!watch->actions->add(conn->read, READ, EPOLLET)) return NULL;
  let_go(watch);
  return "it has refused the descriptor";
}

tw_nginx *tw_nginx_open(int fd, tw_nginx_post *post, void *semaphore,
                        const char **why) {
  const uintptr_t *flags = dlsym(RTLD_DEFAULT, "ngx_event_flags");
  cycle *const *now = dlsym(RTLD_DEFAULT, "ngx_cycle");
  tw_nginx *watch = tw__calloc(1, sizeof *watch);
  *why = "no memory";
  if (!watch) return NULL;
  *watch = (tw_nginx){.post = post, .semaphore = semaphore};
  watch->actions = dlsym(RTLD_DEFAULT, "ngx_event_actions");
  if (!flags || !now || !watch->actions)
    *why = "its symbols are not exported";
  else if (!(*flags & USES_EPOLL))
    *why = "it does not use epoll";
  else if (!*now || (*now)->log != &(*now)->new_log)
    *why = "its cycle is not known";
  else
    *why = join(watch, fd, (*now)->log);
  if (!*why) return watch;
  tw__free(watch);
  return NULL;
}

int tw_nginx_arm(tw_nginx *watch) {
  struct pollfd now = {.fd = watch->conn->fd, .events = POLLIN};
  watch->armed = 1;
  return poll(&now, 1, 0) > 0;
}

void tw_nginx_close(tw_nginx *watch) {
  if (!watch) return;
  watch->actions->del(watch->conn->read, READ, 0);
  let_go(watch);
  tw__free(watch);
}
