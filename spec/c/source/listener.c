/* listener -- records come out whole and in order however they arrive; clients that
 * misbehave are survived, and what had come before a stop is handed out. */
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "../dial.h"

static tw_listener *listener;
static char error[200];

static tw_listener_options options(void) {
  return (tw_listener_options){.host = "127.0.0.1",
                               .backlog = 64,
                               .delim = "\n",
                               .dlen = 1,
                               .partial = 1,
                               .max_record = 1 << 20,
                               .max_held = 1 << 26,
                               .max_connections = 2000};
}

static void open_listener(tw_listener_options o) {
  listener = tw_listener_open(loop, &o, error, sizeof error);
  CHECKF(listener != NULL, "%s", error);
  CHECKF(tw_listener_listen(listener, error, sizeof error) == TW_OK, "%s", error);
}

static int dial(void) {
  return dial_port(tw_listener_port(listener));
}

/* The next batch, waiting for it up to a minute. */
static int next(void) {
  for (int i = 0; i < 60000; i++) {
    const int n = tw_listener_next(listener);
    if (n != TW_AGAIN) return n;
    turn(1);
  }
  return TW_AGAIN;
}

static int is(int i, const char *text) {
  const tw_slice *line = &tw_listener_lines(listener)[i];
  return line->len == (int64_t)strlen(text) && !memcmp(line->ptr, text, strlen(text));
}

static int64_t count(int what) {
  return tw_listener_count(listener, what);
}

static void close_listener(void) {
  tw_listener_close(listener);
  turn(0);
  turn(0);
}

/* Several clients send records "CLIENT NUMBER xxxx" in random pieces, memory failing now and
 * then: each one's come whole and in order. */
static void gives_what_was_sent(const char *delim, int64_t longest) {
  enum { CLIENTS = 7, RECORDS = 300 };
  tw_listener_options o = options();
  o.delim = delim;
  o.dlen = (int64_t)strlen(delim);
  open_listener(o);
  int fd[CLIENTS], made[CLIENTS] = {0}, seen[CLIENTS] = {0}, left = CLIENTS * RECORDS;
  char *out[CLIENTS];
  int64_t len[CLIENTS] = {0}, at[CLIENTS] = {0};
  for (int i = 0; i < CLIENTS; i++) {
    fd[i] = dial();
    out[i] = malloc((size_t)longest + 100);
  }
  for (int64_t idle = 0; left > 0 && idle < 60000; idle++) {
    const int i = (int)check_below(CLIENTS);
    if (at[i] == len[i] && made[i] < RECORDS) {
      const int64_t body = check_below(check_below(9) ? 200 : longest);
      const int last = ++made[i] == RECORDS && check_below(2);
      int n = snprintf(out[i], 64, "%d %d ", i, made[i]);
      memset(out[i] + n, 'a' + i, (size_t)body);
      n += (int)body;
      n += snprintf(out[i] + n, 30, "%s", last ? "" : delim);
      len[i] = n;
      at[i] = 0;
    }
    if (at[i] < len[i]) {
      const int64_t most = len[i] - at[i];
      at[i] +=
          push(fd[i], out[i] + at[i], check_below(3) ? most : 1 + check_below(most));
    }
    if (made[i] == RECORDS && at[i] == len[i] && fd[i] >= 0) {
      close(fd[i]);
      fd[i] = -1;
      at[i] = len[i] = 0;
    }
    if (fd[i] < 0) len[i] = at[i] = 0;
    turn(idle < 1000 ? 0 : 1);
    int n;
    while (check_below(4) && (n = tw_listener_next(listener)) != TW_AGAIN) {
      CHECKF(n > 0, "%d", n);
      for (int k = 0; k < n; k++) {
        const tw_slice *line = &tw_listener_lines(listener)[k];
        char head[64] = {0};
        memcpy(head, line->ptr, (size_t)(line->len < 63 ? line->len : 63));
        int who = -1, number = -1, used = 0;
        sscanf(head, "%d %d %n", &who, &number, &used);
        CHECKF(who >= 0 && who < CLIENTS && number == seen[who] + 1, "%s", head);
        if (who < 0 || who >= CLIENTS) return;
        seen[who]++;
        left--;
        for (int64_t j = used; j < line->len; j++)
          if (line->ptr[j] != 'a' + who) {
            CHECKF(0, "byte %ld of %s", (long)j, head);
            break;
          }
      }
      idle = 0;
    }
  }
  CHECKF(left == 0, "%d records are missing", left);
  for (int i = 0; i < CLIENTS; i++) {
    if (fd[i] >= 0) close(fd[i]);
    free(out[i]);
  }
  close_listener();
}

static void refuses_long_records(void) {
  tw_listener_options o = options();
  o.max_record = 10;
  open_listener(o);
  char much[5000];
  memset(much, 'x', sizeof much);
  const int bad = dial(), worse = dial(), good = dial();
  push(bad, "ok\n0123456789\n0123456789a\nnever\n", 33);
  push(worse, much, sizeof much);
  int records = 0, refusals = 0;
  while (refusals < 2) {
    const int n = next();
    if (n == TW_AGAIN) break;
    if (n > 0) records += n;
    if (n == TW_EPARSE) {
      refusals++;
      CHECKF(strstr(tw_listener_error(listener), "127.0.0.1 port ") != NULL &&
                 strstr(tw_listener_error(listener), "more than 10 bytes (max_record)"),
             "%s", tw_listener_error(listener));
    }
  }
  CHECKF(records == 2 && refusals == 2, "%d %d", records, refusals);
  CHECK(count(TW_LISTENER_REFUSED) == 2 && count(TW_LISTENER_OPEN) == 1);
  push(good, "still\n", 6);
  CHECK(next() == 1 && is(0, "still"));
  close(bad);
  close(worse);
  close(good);
  close_listener();
}

static void bounds_what_it_holds(void) {
  enum { CLIENTS = 40 };
  tw_listener_options o = options();
  o.max_held = 1 << 18;
  open_listener(o);
  char much[16384];
  int fd[CLIENTS], refusals = 0;
  memset(much, 'x', sizeof much);
  for (int i = 0; i < CLIENTS; i++) {
    fd[i] = dial();
    push(fd[i], much, sizeof much);
  }
  for (int i = 0; i < 200 || (refusals == 0 && i < 60000); i++) {
    refusals += tw_listener_next(listener) == TW_EPARSE;
    turn(1);
  }
  CHECKF(refusals > 0 && refusals < CLIENTS, "%d", refusals);
  for (int i = 0; i < CLIENTS; i++) close(fd[i]);
  close_listener();
}

static void survives_clients_that_go(void) {
  tw_listener_options o = options();
  o.partial = 0;
  open_listener(o);
  const struct linger hard = {.l_onoff = 1};
  int fd = dial();
  push(fd, "a\nb", 3);
  CHECK(next() == 1 && is(0, "a"));
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
  close(fd);
  for (int i = 0; i < 60000 && count(TW_LISTENER_OPEN); i++) {
    CHECK(tw_listener_next(listener) == TW_AGAIN);
    turn(1);
  }
  CHECK(count(TW_LISTENER_BROKEN) == 1 && count(TW_LISTENER_PARTIAL) == 1);
  fd = dial();
  push(fd, "c\nd", 3);
  close(fd);
  CHECK(next() == 1 && is(0, "c"));
  for (int i = 0; i < 60000 && count(TW_LISTENER_OPEN); i++) {
    CHECK(tw_listener_next(listener) == TW_AGAIN);
    turn(1);
  }
  CHECK(count(TW_LISTENER_PARTIAL) == 2 && count(TW_LISTENER_OPEN) == 0);
  close_listener();
}

/* What came before a reset that comes with it, and then the end of the connection. */
static void reads_those_that_break_off(void) {
  const struct linger hard = {.l_onoff = 1};
  open_listener(options());
  const int fd = dial();
  for (int i = 0; i < 60000 && !count(TW_LISTENER_OPEN); i++) turn(1);
  push(fd, "a\nb", 3);
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
  close(fd);
  CHECK(next() == 1 && is(0, "a"));
  for (int i = 0; i < 60000 && count(TW_LISTENER_OPEN); i++) {
    CHECK(tw_listener_next(listener) == TW_AGAIN);
    turn(1);
  }
  CHECK(count(TW_LISTENER_OPEN) == 0 && count(TW_LISTENER_BROKEN) == 1);
  close_listener();
}

static void lets_go_of_the_silent(void) {
  tw_listener_options o = options();
  o.idle_ms = 50;
  open_listener(o);
  const int fd = dial(), held = dial();
  push(held, ".", 1); /* whenever we look, something has come of it */
  push(fd, "a\nb", 3);
  CHECK(next() == 1);
  CHECK(tw_listener_next(listener) == TW_AGAIN);
  for (int i = 0; i < 100 && count(TW_LISTENER_OPEN); i++) {
    push(held, ".", 1); /* not read, so it is not the client who is silent */
    turn(5);
  }
  CHECK(count(TW_LISTENER_OPEN) == 1 && count(TW_LISTENER_IDLE) == 1);
  close(fd);
  close(held);
  close_listener();
}

/* What it sent is there, but who listens did not run for a while. */
static void blames_nobody_for_its_own_pauses(void) {
  const struct timespec pause = {.tv_nsec = 100000000};
  tw_listener_options o = options();
  o.idle_ms = 50;
  open_listener(o);
  const int fd = dial();
  for (int i = 0; i < 3; i++) {
    push(fd, "a\n", 2);
    nanosleep(&pause, NULL);
    CHECK(next() == 1 && is(0, "a"));
    CHECK(tw_listener_next(listener) == TW_AGAIN);
  }
  CHECK(count(TW_LISTENER_IDLE) == 0);
  close(fd);
  close_listener();
}

static void holds_clients_back(void) {
  open_listener(options());
  const int fd = dial();
  static char much[100000];
  memset(much, '\n', sizeof much);
  int64_t sent = 0, more, records = 0;
  for (int i = 0; i < 50; i++) turn(0);
  while ((more = push(fd, much, sizeof much)) > 0 || sent == 0) {
    sent += more;
    turn(0);
    CHECKF(sent < 100 << 20, "%ld", (long)sent);
    if (sent >= 100 << 20) break;
  }
  close(fd);
  int n;
  while ((n = next()) > 0 && (records += n) < sent) {
  }
  CHECKF(records == sent, "%ld of %ld", (long)records, (long)sent);
  close_listener();
}

static void takes_turns(void) {
  open_listener(options());
  const int greedy = dial(), modest = dial();
  static char much[300000];
  memset(much, '\n', sizeof much);
  push(greedy, much, sizeof much);
  CHECK(next() > 0);
  push(modest, "hello\n", 6);
  int batches = 0, found = 0;
  while (!found && batches++ < 400) {
    turn(0);
    push(greedy, much, sizeof much);
    const int n = tw_listener_next(listener);
    found = n == 1 && is(0, "hello");
  }
  CHECKF(found, "%d", batches);
  close(greedy);
  close(modest);
  close_listener();
}

static void hands_out_what_had_come(void) {
  open_listener(options());
  const int port = tw_listener_port(listener);
  const int fd = dial();
  push(fd, "1\n2\n3", 5);
  CHECK(next() == 2);
  push(fd, "\n4\n5", 4);
  const int other = dial(), third = dial();
  push(other, "6\n", 2);
  push(third, "7", 1);
  close(third);
  tw_listener_stop(listener);
  push(fd, "never\n", 6);
  int n, total = 0, seven = 0;
  while ((n = next()) > 0) {
    total += n;
    seven += is(0, "7");
  }
  CHECKF(n == TW_EOF && total == 4 && seven == 1, "%d %d %d", n, total, seven);
  CHECK(count(TW_LISTENER_OPEN) == 0 && count(TW_LISTENER_PARTIAL) == 1);
  tw_listener_options o = options();
  o.port = port;
  tw_listener *again = tw_listener_open(loop, &o, error, sizeof error);
  CHECKF(again && tw_listener_listen(again, error, sizeof error) == TW_OK, "%s", error);
  tw_listener_close(again);
  close(fd);
  close(other);
  close_listener();
}

static void lets_further_ones_wait(void) {
  tw_listener_options o = options();
  o.max_connections = 2;
  open_listener(o);
  int fd[5];
  for (int i = 0; i < 5; i++) {
    fd[i] = dial();
    push(fd[i], "x\n", 2);
  }
  CHECK(next() == 1 && next() == 1);
  for (int i = 0; i < 20; i++) {
    turn(1);
    CHECK(tw_listener_next(listener) == TW_AGAIN);
  }
  CHECK(count(TW_LISTENER_OPEN) == 2);
  close(fd[0]);
  close(fd[1]);
  CHECK(next() == 1 && next() == 1);
  CHECK(count(TW_LISTENER_CONNECTIONS) == 4);
  for (int i = 2; i < 5; i++) close(fd[i]);
  close_listener();
}

static void says_what_is_wrong(void) {
  open_listener(options());
  tw_listener_options o = options();
  o.port = tw_listener_port(listener);
  CHECK(!tw_listener_open(loop, &o, error, sizeof error));
  CHECKF(strstr(error, "in use"), "%s", error);
  o = options();
  o.host = "localhost";
  CHECK(!tw_listener_open(loop, &o, error, sizeof error));
  CHECKF(strstr(error, "no IP address"), "%s", error);
  o = options();
  o.dlen = 0;
  CHECK(!tw_listener_open(loop, &o, error, sizeof error));
  close_listener();
}

static void makes_and_removes_its_socket(void) {
  char path[] = "/tmp/tideway-spec-XXXXXX", longer[200];
  struct stat st;
  close(mkstemp(path));
  tw_listener_options o = options();
  o.path = path;
  CHECK(!tw_listener_open(loop, &o, error, sizeof error)); /* a file of somebody's */
  CHECK(!stat(path, &st) && S_ISREG(st.st_mode));
  unlink(path);
  open_listener(o);
  CHECK(!tw_listener_open(loop, &o, error, sizeof error));
  CHECKF(strstr(error, "in use"), "%s", error);
  struct sockaddr_un to = {.sun_family = AF_UNIX};
  strcpy(to.sun_path, path);
  const int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  CHECK(connect(fd, (struct sockaddr *)&to, sizeof to) == 0);
  push(fd, "a\nb", 3);
  CHECK(next() == 1 && is(0, "a"));
  close(fd);
  CHECK(next() == 1 && is(0, "b"));
  close_listener();
  CHECK(stat(path, &st) != 0);

  /* what a crash has left is replaced */
  const int dead = socket(AF_UNIX, SOCK_STREAM, 0);
  CHECK(bind(dead, (struct sockaddr *)&to, sizeof to) == 0);
  close(dead);
  open_listener(o);
  unlink(path); /* and what somebody has put in our place stays */
  const int theirs = open(path, O_CREAT | O_WRONLY, 0600);
  close_listener();
  CHECK(stat(path, &st) == 0);
  close(theirs);
  unlink(path);
  memset(longer, 'x', sizeof longer - 1);
  longer[sizeof longer - 1] = 0;
  o.path = longer;
  CHECK(!tw_listener_open(loop, &o, error, sizeof error));
  CHECKF(strstr(error, "107 bytes"), "%s", error);
}

/* Whatever memory fails: a client may be lost, nothing else. */
static void survives_lack_of_memory(void) {
  tw_listener_options o = options();
  for (int64_t at = 1; at < 12; at++) {
    tw_mem_fail_at(at);
    listener = tw_listener_open(loop, &o, error, sizeof error);
    tw_mem_fail_at(0);
    if (!listener) continue;
    CHECK(tw_listener_listen(listener, error, sizeof error) == TW_OK);
    const int fd = dial();
    push(fd, "a\nb", 3);
    tw_mem_fail_at(1 + check_below(3));
    for (int i = 0; i < 5; i++) {
      turn(0);
      tw_listener_next(listener);
    }
    tw_mem_fail_at(0);
    close(fd);
    const int other = dial();
    push(other, "c\n", 2);
    int n = 0;
    for (int i = 0; i < 5 && !(n > 0 && is(n - 1, "c")); i++) n = next();
    CHECKF(n > 0 && is(n - 1, "c"), "%d", n);
    close(other);
    close_listener();
  }
}

int main(int argc, char **argv) {
  check_open(argc, argv);
  loop = tw_loop_open();
  gives_what_was_sent("\n", 300);
  gives_what_was_sent("\n", 60000);
  gives_what_was_sent("<|>", 60000);
  refuses_long_records();
  bounds_what_it_holds();
  survives_clients_that_go();
  reads_those_that_break_off();
  lets_go_of_the_silent();
  blames_nobody_for_its_own_pauses();
  holds_clients_back();
  takes_turns();
  hands_out_what_had_come();
  lets_further_ones_wait();
  says_what_is_wrong();
  makes_and_removes_its_socket();
  survives_lack_of_memory();
  open_listener(options());
  const int fd = dial();
  turn(1);
  turn(1);
  tw_loop_close(loop); /* closes what is open */
  close(fd);
  return check_close();
}
