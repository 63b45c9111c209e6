/* loop/nginx -- nginx's event loop watches a descriptor for us, if it is as we know it. The nginx
 * is played: a connection with its two events, and the loop's functions. */
#include <stdint.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "../check.h"
#include "tideway.h"

/* As nginx has them, to the last field that we use, and something behind it. */
typedef struct event event;
struct event {
  void *data;
  unsigned flags;
  int available;
  void (*handler)(event *ev);
  uintptr_t index;
  void *log;
  char more[64];
};

typedef struct connection {
  void *data;
  event *read, *write;
  int fd;
  char more[200];
} connection;

enum { ADDED = EPOLLIN | EPOLLRDHUP, WRITE = 1 };

static event events[2];
static connection one;
static int taken, spoil, refuse, posted;

struct {
  void *conf_ctx, *pool, *log, *new_log;
} cycle_now = {.log = &cycle_now.new_log};
void *ngx_cycle = &cycle_now;
uintptr_t ngx_event_flags = 0x45;

connection *ngx_get_connection(int fd, void *log);
void ngx_free_connection(connection *conn);

connection *ngx_get_connection(int fd, void *log) {
  CHECK(log == cycle_now.log);
  if (taken) return NULL;
  taken = 1;
  memset(&one, 0, sizeof one);
  memset(events, 0, sizeof events);
  one.fd = fd;
  one.read = &events[0];
  one.write = &events[1];
  events[0].data = events[1].data = &one;
  events[1].flags = WRITE;
  events[0].index = events[1].index = 0xd0d0d0d0;
  if (spoil) events[0].index = 0;
  return &one;
}

void ngx_free_connection(connection *conn) {
  CHECK(conn == &one && taken);
  taken = 0;
}

static intptr_t add(event *ev, intptr_t what, uintptr_t flags) {
  CHECK(ev == one.read && what == ADDED && flags == EPOLLET);
  return refuse ? -1 : 0;
}

static intptr_t del(event *ev, intptr_t what, uintptr_t flags) {
  CHECK(ev == one.read && what == ADDED && flags == 0);
  return 0;
}

struct {
  intptr_t (*add)(event *, intptr_t, uintptr_t), (*del)(event *, intptr_t, uintptr_t);
  void *others[8];
} ngx_event_actions = {.add = add, .del = del};

static int post(void *semaphore, int n) {
  CHECK(semaphore == &posted && n == 1);
  posted++;
  return 0;
}

static void refused(int fd, const char *reason) {
  const char *why = NULL;
  CHECK(!tw_nginx_open(fd, post, &posted, &why));
  CHECKF(why && strstr(why, reason), "%s", why ? why : "no reason");
  CHECK(!taken);
}

static void posts_once_when_armed(int fd, int other) {
  const char *why;
  tw_nginx *watch = tw_nginx_open(fd, post, &posted, &why);
  CHECK(watch && taken);
  one.read->handler(one.read);
  CHECK(posted == 0);
  CHECK(tw_nginx_arm(watch) == 0);
  one.read->handler(one.read);
  one.read->handler(one.read);
  CHECK(posted == 1);
  CHECK(write(other, "x", 1) == 1);
  CHECK(tw_nginx_arm(watch) == 1);
  tw_nginx_close(watch);
  CHECK(!taken && one.fd == -1);
  char byte;
  CHECK(read(fd, &byte, 1) == 1); /* is open still */
}

int main(int argc, char **argv) {
  check_open(argc, argv);
  int ends[2];
  CHECK(!pipe(ends));
  posts_once_when_armed(ends[0], ends[1]);
  posted = 0;
  posts_once_when_armed(ends[0], ends[1]);

  spoil = 1;
  refused(ends[0], "connections are not known");
  spoil = 0, refuse = 1;
  refused(ends[0], "refused");
  refuse = 0, taken = 1;
  const char *why;
  CHECK(!tw_nginx_open(ends[0], post, &posted, &why) &&
        strstr(why, "worker_connections"));
  taken = 0, ngx_event_flags = 0x1;
  refused(ends[0], "epoll");
  ngx_event_flags = 0x45, cycle_now.log = NULL;
  refused(ends[0], "cycle");
  cycle_now.log = &cycle_now.new_log;
  tw_mem_fail_at(1);
  refused(ends[0], "no memory");
  tw_mem_fail_at(0);
  tw_nginx_close(NULL);
  CHECK(tw_mem_bytes() == 0);
  return check_close();
}
