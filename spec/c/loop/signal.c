/* loop/signal -- the first signal is reported, the second one ends the process. Signals know the
 * time from a clock that the spec sets. */
#include "loop/loop.h"

#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static struct timespec spec_time = {.tv_sec = 1000};

static int spec_clock(clockid_t clock, struct timespec *now) {
  (void)clock;
  *now = spec_time;
  return 0;
}

#define clock_gettime spec_clock
#include "loop/signal.c"
#undef clock_gettime

#include "../check.h"

static int counted;
static void count(int number) {
  (void)number;
  counted++;
}

static void pass(int ms) {
  spec_time.tv_nsec += ms * 1000000L;
  if (spec_time.tv_nsec >= 1000000000)
    spec_time.tv_sec++, spec_time.tv_nsec -= 1000000000;
}

static void (*handler_of(int number))(int) {
  struct sigaction act;
  sigaction(number, NULL, &act);
  return act.sa_handler;
}

/* Polls up to a second; whether the handle was reported. */
static int reported(tw_loop *loop, const tw_signals *s) {
  uint32_t ready[4];
  return tw_loop_poll(loop, 1000, ready, 4) == 1 && ready[0] == tw_signals_id(s);
}

static void reports_the_first(tw_loop *loop, tw_signals *s, int number,
                              const char *name) {
  uint32_t ready[4];
  CHECK(tw_signals_start(s) == TW_OK);
  CHECK(tw_signals_start(s) == TW_OK);
  CHECK(tw_signals_caught(s) == NULL);
  CHECK(tw_loop_poll(loop, 0, ready, 4) == 0);
  raise(number);
  pass(50);
  raise(number); /* so soon: the same one */
  CHECK(reported(loop, s));
  CHECK(!strcmp(tw_signals_caught(s), name));
  CHECK(tw_loop_poll(loop, 0, ready, 4) == 0);
  tw_signals_stop(s);
  tw_signals_stop(s);
  CHECK(tw_loop_poll(loop, -1, ready, 4) == 0); /* nothing can become ready */
}

static void gives_back(tw_loop *loop, tw_signals *s) {
  signal(SIGINT, count);
  signal(SIGTERM, SIG_IGN);
  CHECK(tw_signals_start(s) == TW_OK);
  CHECK(handler_of(SIGINT) != count);
  CHECK(handler_of(SIGTERM) != SIG_IGN);
  raise(SIGINT);
  CHECK(reported(loop, s) && counted == 0);
  tw_signals_stop(s);
  CHECK(handler_of(SIGINT) == count && handler_of(SIGTERM) == SIG_IGN);
  raise(SIGINT);
  CHECK(counted == 1);
  signal(SIGINT, SIG_DFL);
  signal(SIGTERM, SIG_DFL);
}

/* Two loops of one process are told both, in whatever order they leave. */
static void tells_every_loop(tw_loop *loop, tw_signals *s) {
  tw_loop *other = tw_loop_open();
  tw_signals *t = tw_signals_open(other);
  signal(SIGINT, count);
  CHECK(tw_signals_start(s) == TW_OK && tw_signals_start(t) == TW_OK);
  raise(SIGINT);
  CHECK(reported(loop, s) && reported(other, t));
  tw_signals_stop(t);
  CHECK(handler_of(SIGINT) != count && handler_of(SIGINT) != SIG_DFL);
  tw_signals_stop(s);
  CHECK(handler_of(SIGINT) == count);
  signal(SIGINT, SIG_DFL);
  tw_loop_close(other); /* and t with it */
}

/* A child gets two signals, the second one when it no longer polls. */
static void second_ends(int first, int second) {
  int status = 0;
  const pid_t child = fork();
  if (child == 0) {
    tw_signals_start(tw_signals_open(tw_loop_open()));
    raise(first);
    pass(51);
    raise(second);
    _exit(7);
  }
  CHECK(child > 0 && waitpid(child, &status, 0) == child);
  CHECKF(WIFSIGNALED(status) && WTERMSIG(status) == second, "status %d", status);
}

int main(int argc, char **argv) {
  check_open(argc, argv);
  tw_loop *loop = tw_loop_open();
  tw_signals *s = tw_signals_open(loop);
  CHECK(s != NULL && tw_signals_id(s) != 0);
  reports_the_first(loop, s, SIGINT, "SIGINT");
  reports_the_first(loop, s, SIGTERM, "SIGTERM");
  gives_back(loop, s);
  tells_every_loop(loop, s);
  second_ends(SIGINT, SIGINT);
  second_ends(SIGINT, SIGTERM);
  second_ends(SIGTERM, SIGTERM);
  reports_the_first(loop, s, SIGINT, "SIGINT");
  tw_signals_close(NULL);
  tw_mem_fail_at(1);
  CHECK(tw_signals_open(loop) == NULL);
  tw_mem_fail_at(0);
  tw_signals *left = tw_signals_open(loop);
  tw_signals_start(left);
  tw_signals_close(s);
  tw_loop_close(loop);
  CHECK(handler_of(SIGINT) == SIG_DFL && handler_of(SIGTERM) == SIG_DFL);
  return check_close();
}
