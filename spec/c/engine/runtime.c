/* runtime -- a host in C opens runtimes of every kind, pushes, listens, steps and closes them. */
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <lauxlib.h>
#include <lualib.h>
#include <uv.h>

#include "../check.h"
#include "tideway.h"

#define TIDEWAY "local tw = require 'tideway' "
#define SHOUT   TIDEWAY "tw.input 'words':map(string.upper):output 'shouts' "

/* What a listener has heard: the elements, one after the other. */
typedef struct heard {
  char text[256];
  size_t len;
  long count;
} heard;

static void hear(void *ctx, const char *data, size_t len) {
  heard *h = ctx;
  h->count++;
  if (h->len + len + 1 >= sizeof h->text) return;
  memcpy(h->text + h->len, data, len);
  h->len += len;
  h->text[h->len++] = ' ';
  h->text[h->len] = '\0';
}

static int heard_is(const heard *h, const char *text) {
  return h->len == strlen(text) && !memcmp(h->text, text, h->len);
}

static tw_runtime *open_code(const char *code) {
  tw_runtime *rt = tw_open(&(tw_options){.code = code, .root = "."});
  CHECKF(rt && !tw_error(rt), "%s", tw_error(rt));
  return rt;
}

static int push(tw_input *in, const char *text) {
  return tw_push(in, text, strlen(text));
}

/* Step until nothing is due at once. The last result. */
static int settle(tw_runtime *rt) {
  int result;
  do result = tw_step(rt, 0);
  while (result >= 0 && tw_next_deadline_ms(rt) == 0 && result);
  return result;
}

static void pushes_and_listens(void) {
  heard h = {.len = 0};
  tw_runtime *rt = open_code(SHOUT);
  CHECK(settle(rt) == 1);
  CHECK(tw_next_deadline_ms(rt) == -1);
  tw_input *in = tw_input_open(rt, "words");
  CHECK(in && tw_input_open(rt, "words") == in);
  CHECK(push(in, "one") == TW_OK && push(in, "two") == TW_OK);
  CHECK(tw_next_deadline_ms(rt) == 0);
  CHECK(settle(rt) == 1);
  CHECK(h.count == 0); /* it waits for a listener */
  CHECK(tw_output_listen(rt, "shouts", hear, &h) == TW_OK);
  CHECK(settle(rt) == 1);
  CHECKF(heard_is(&h, "ONE TWO "), "%s", h.text);
  CHECK(push(in, "three") == TW_OK);
  tw_input_close(in);
  CHECK(push(in, "four") == TW_EOF);
  CHECK(settle(rt) == 0);
  CHECKF(heard_is(&h, "ONE TWO THREE "), "%s", h.text);
  CHECK(tw_error(rt) == NULL);
  CHECK(tw_close(rt) == TW_OK);
}

static void holds_back(void) {
  heard h = {.len = 0};
  tw_runtime *rt = open_code(
      TIDEWAY "tw.input('words', {maxsize = 3, max_bytes = 10}):output 'same'");
  tw_input *in = tw_input_open(rt, "words");
  CHECK(push(in, "12345678901") == TW_EINVAL);
  CHECK(push(in, "a") == TW_OK && push(in, "b") == TW_OK && push(in, "c") == TW_OK);
  CHECK(push(in, "d") == TW_AGAIN);
  settle(rt);
  CHECK(push(in, "1234567") == TW_OK);
  CHECK(push(in, "1234") == TW_AGAIN);
  settle(rt);
  /* nobody listens: the output fills, then the pipeline waits, then the input is full */
  long pushed = 4;
  while (push(in, "x") == TW_OK) {
    pushed++;
    settle(rt);
    if (pushed > 200000) break;
  }
  CHECKF(pushed > 100000 && pushed < 100100, "%ld", pushed);
  CHECK(tw_output_listen(rt, "same", hear, &h) == TW_OK);
  while (settle(rt) > 0 && h.count < pushed) {
  }
  CHECKF(h.count == pushed, "%ld of %ld", h.count, pushed);
  CHECK(push(in, "y") == TW_OK);
  CHECK(tw_finish(rt, 20000) == TW_OK);
  CHECK(h.count == pushed + 1);
  CHECK(tw_close(rt) == TW_OK);
}

static void reports_failures(void) {
  heard h = {.len = 0};
  static const char *const wrong[][2] = {
      {"this is no Lua", "code:1:"},
      {"error 'on purpose'", "on purpose"},
      {"error {}", "failed with a table as error"},
      {"error(setmetatable({}, {__tostring = function() return 'a fault' end}))",
       "a fault"},
      {TIDEWAY "tw.from_textfile('/no/such/file'):sink(print)", "/no/such/file"},
      {TIDEWAY "tw.run()", "the host runs the loop (tw_step)"},
  };
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    tw_runtime *rt = tw_open(&(tw_options){.code = wrong[i][0], .root = "."});
    CHECKF(strstr(tw_error(rt), wrong[i][1]), "%s", tw_error(rt));
    CHECK(tw_step(rt, 0) == TW_EINVAL && tw_finish(rt, 0) == TW_EINVAL);
    CHECK(tw_input_open(rt, "x") == NULL && tw_backend_fd(rt) == -1);
    CHECK(strstr(tw_error(rt), wrong[i][1]) != NULL);
    tw_close(rt);
  }
  tw_runtime *rt = tw_open(&(tw_options){.script = "/no/such/script.lua", .root = "."});
  CHECK(strstr(tw_error(rt), "/no/such/script.lua") != NULL);
  tw_close(rt);
  CHECK(tw_close(NULL) == TW_OK && tw_step(NULL, 0) == TW_EINVAL);
  CHECK(!strcmp(tw_error(NULL), "no memory"));

  /* an element that fails is this turn's result; the next ones go on */
  rt = open_code(
      TIDEWAY
      "tw.input 'words':map(function(x) return x == 'bad' and error 'no good' or x end)"
      ":output 'good'");
  CHECK(tw_output_listen(rt, "good", hear, &h) == TW_OK);
  tw_input *in = tw_input_open(rt, "words");
  CHECK(!tw_input_open(rt, "word"));
  CHECKF(strstr(tw_error(rt), "did you mean 'words'"), "%s", tw_error(rt));
  CHECK(!tw_input_open(rt, NULL) && !tw_input_open(rt, "words", TW_SHARED));
  push(in, "a"), push(in, "bad"), push(in, "b"), push(in, "bad"), push(in, "c");
  int failures = 0, turns = 0;
  do {
    if (tw_step(rt, 0) != TW_EFAILED) continue;
    CHECK(strstr(tw_error(rt), "no good") && strstr(tw_error(rt), "in <map>"));
    failures++;
  } while (tw_next_deadline_ms(rt) == 0 && ++turns < 100);
  CHECKF(failures == 2, "%d: %s", failures, tw_error(rt));
  CHECKF(heard_is(&h, "a b c "), "%s", h.text);
  CHECK(tw_close(rt) == TW_OK);
}

/* Steps and closes from inside a listener. */
static void misbehave(void *ctx, const char *data, size_t len) {
  tw_runtime *rt = ctx;
  (void)len;
  if (data[0] != 'A') return; /* it gets what is there */
  CHECK(tw_step(rt, 0) == TW_EINVAL && tw_finish(rt, 0) == TW_EINVAL);
  CHECK(push(tw_input_open(rt, "words"), "more") == TW_OK);
  CHECK(tw_close(rt) == TW_OK);
}

static void may_be_closed_by_a_listener(void) {
  tw_runtime *rt = open_code(SHOUT);
  tw_input *in = tw_input_open(rt, "words");
  CHECK(tw_output_listen(rt, "shouts", misbehave, rt) == TW_OK);
  push(in, "a"), push(in, "b");
  CHECK(tw_step(rt, 0) == TW_OK); /* closed */
}

/* A plain poll() host: a timer and a pipe, nothing is looked at before it is due. */
static void is_polled(void) {
  heard h = {.len = 0};
  char code[512];
  int fds[2];
  CHECK(pipe(fds) == 0);
  snprintf(
      code, sizeof code,
      TIDEWAY
      "tw.from_periodic(function() return 'tick' end, '20ms'):take(3):output 'all' "
      "tw.from_textfile('/dev/fd/%d'):output 'all'",
      fds[0]);
  tw_runtime *rt = open_code(code);
  CHECK(tw_output_listen(rt, "all", hear, &h) == TW_OK);
  CHECK(write(fds[1], "line\n", 5) == 5);
  close(fds[1]);
  int turns = 0;
  while (tw_step(rt, 0) > 0 && turns < 1000) {
    struct pollfd fd = {.fd = tw_backend_fd(rt), .events = POLLIN};
    const int rest = tw_next_deadline_ms(rt);
    CHECK(poll(&fd, 1, rest < 0 ? 20000 : rest) > 0 || rest >= 0);
    turns++;
  }
  CHECKF(h.count == 4, "%ld: %s", h.count, h.text);
  CHECKF(turns < 100, "%d turns", turns); /* it has slept */
  CHECK(tw_close(rt) == TW_OK);
  close(fds[0]);
}

static tw_input *late_input;

static void push_late(uv_timer_t *timer) {
  CHECK(push(late_input, timer->data) == TW_OK);
  tw_input_close(late_input);
  uv_close((uv_handle_t *)timer, NULL);
}

/* A loop of the host's: running it is all there is to do. */
static void lives_on_a_foreign_loop(void) {
  heard h = {.len = 0};
  uv_loop_t loop;
  uv_timer_t timer;
  uv_loop_init(&loop);
  uv_timer_init(&loop, &timer);
  timer.data = "late";
  tw_runtime *rt = tw_open(&(tw_options){
      .code = SHOUT
      "tw.from_periodic(function() return 'tick' end, '5ms'):take(2):output 'shouts'",
      .root = ".",
      .loop = &loop,
  });
  CHECKF(!tw_error(rt), "%s", tw_error(rt));
  late_input = tw_input_open(rt, "words");
  CHECK(tw_output_listen(rt, "shouts", hear, &h) == TW_OK);
  push(late_input, "early");
  uv_timer_start(&timer, push_late, 30, 0);
  uv_run(&loop, UV_RUN_DEFAULT); /* until all has ended */
  CHECKF(h.count == 4, "%ld: %s", h.count, h.text);
  CHECK(strstr(h.text, "EARLY") && strstr(h.text, "LATE"));
  CHECK(tw_close(rt) == TW_OK);
  uv_run(&loop, UV_RUN_DEFAULT);
  CHECK(uv_loop_close(&loop) == 0);
}

static void lives_in_a_foreign_state(void) {
  heard h = {.len = 0};
  lua_State *L = luaL_newstate();
  luaL_openlibs(L);
  for (int i = 0; i < 3; i++) { /* one after the other */
    tw_runtime *rt = tw_open(&(tw_options){.code = SHOUT, .state = L, .root = "."});
    CHECKF(!tw_error(rt), "%s", tw_error(rt));
    tw_runtime *other = tw_open(&(tw_options){.code = SHOUT, .state = L, .root = "."});
    CHECK(strstr(tw_error(other), "has a runtime already") != NULL);
    tw_close(other);
    CHECK(tw_output_listen(rt, "shouts", hear, &h) == TW_OK);
    push(tw_input_open(rt, "words"), "hey");
    CHECK(settle(rt) == 1);
    CHECK(h.count == i + 1);
    CHECK(luaL_dostring(L, "require 'tideway'.input('words'):push 'you'") == 0);
    CHECK(settle(rt) == 1);
    CHECKF(h.count == i + 2, "%ld", h.count);
    h.count--;
    CHECK(lua_gettop(L) == 0);
    CHECK(tw_close(rt) == TW_OK);
  }
  lua_close(L);
}

enum { THREADS = 4, EACH = 20000, RUNTIMES = 5 };

static void *pusher(void *arg) {
  for (int i = 0; i < EACH;) {
    const int status = push(arg, "12345678");
    if (status == TW_OK) i++;
    if (status == TW_AGAIN) usleep(100);
    if (status != TW_OK && status != TW_AGAIN) return arg;
  }
  return NULL;
}

static void is_pushed_by_threads(void) {
  heard h = {.len = 0};
  tw_runtime *rt = open_code(SHOUT);
  tw_input *in = tw_input_open(rt, "words", TW_SHARED);
  pthread_t threads[THREADS];
  CHECK(tw_output_listen(rt, "shouts", hear, &h) == TW_OK);
  for (int t = 0; t < THREADS; t++) pthread_create(&threads[t], NULL, pusher, in);
  while (h.count < (long)THREADS * EACH)
    CHECK(tw_step(rt, 10000) == 1); /* woken by a push */
  for (int t = 0; t < THREADS; t++) {
    void *failed;
    pthread_join(threads[t], &failed);
    CHECK(!failed);
  }
  CHECK(tw_close(rt) == TW_OK);
}

enum { TURNS = 200 };

typedef struct partner {
  tw_input *in;
  _Atomic long heard;
} partner;

/* Pushes one whenever the one before has been heard. */
static void *push_in_turn(void *arg) {
  partner *p = arg;
  for (int i = 0; i < TURNS; i++) {
    if (push(p->in, "ping") != TW_OK) return arg;
    for (int ms = 0; p->heard <= i && ms < 20000; ms++) usleep(100);
  }
  return NULL;
}

static void count_one(void *ctx, const char *data, size_t len) {
  (void)data, (void)len;
  ((partner *)ctx)->heard++;
}

/* A host that polls our descriptor is told of pushes, however late the input was opened. */
static void is_polled_while_a_thread_pushes(void) {
  tw_runtime *rt = open_code(SHOUT);
  struct pollfd fd = {.fd = tw_backend_fd(rt), .events = POLLIN};
  pthread_t thread;
  void *failed;
  int lost = 0;
  partner p = {0};
  CHECK(tw_output_listen(rt, "shouts", count_one, &p) == TW_OK);
  CHECK(settle(rt) == 1);
  p.in = tw_input_open(rt, "words", TW_SHARED);
  pthread_create(&thread, NULL, push_in_turn, &p);
  while (p.heard < TURNS && !lost) {
    const int ms = tw_next_deadline_ms(rt);
    lost = poll(&fd, 1, ms < 0 ? 20000 : ms) == 0 && ms < 0;
    CHECK(tw_step(rt, 0) == 1);
  }
  CHECKF(!lost, "after %ld", p.heard);
  pthread_join(thread, &failed);
  CHECK(lost || !failed);
  CHECK(tw_close(rt) == TW_OK);
}

/* Several runtimes in one thread, and as many in another. */
static void *runs_many(void *arg) {
  tw_runtime *rt[RUNTIMES];
  heard h[RUNTIMES];
  memset(h, 0, sizeof h);
  for (int i = 0; i < RUNTIMES; i++) {
    rt[i] = open_code(SHOUT);
    CHECK(tw_output_listen(rt[i], "shouts", hear, &h[i]) == TW_OK);
  }
  for (int round = 0; round < 20; round++)
    for (int i = 0; i < RUNTIMES; i++) {
      push(tw_input_open(rt[i], "words"), "word");
      settle(rt[i]);
    }
  for (int i = 0; i < RUNTIMES; i++) {
    CHECK(h[i].count == 20);
    CHECK(tw_close(rt[i]) == TW_OK);
  }
  return arg;
}

static void are_many(void) {
  pthread_t thread;
  pthread_create(&thread, NULL, runs_many, NULL);
  runs_many(NULL);
  pthread_join(thread, NULL);
}

static void writes_before_it_closes(void) {
  char path[] = "/tmp/tideway-runtime-XXXXXX", code[256], text[16] = "";
  close(mkstemp(path));
  for (int finish = 0; finish < 2; finish++) {
    snprintf(code, sizeof code,
             TIDEWAY "tw.input 'words':sink_to_textfile('%s', {mode = 'w'})", path);
    tw_runtime *rt = open_code(code);
    push(tw_input_open(rt, "words"), "kept");
    if (finish)
      CHECK(tw_finish(rt, 20000) == TW_OK);
    else
      CHECK(settle(rt) == 1);
    CHECK(tw_close(rt) == TW_OK);
    FILE *file = fopen(path, "r");
    CHECK(fread(text, 1, sizeof text - 1, file) == 5 && !memcmp(text, "kept\n", 5));
    fclose(file);
  }
  unlink(path);
  /* a sink that cannot write */
  tw_runtime *rt = open_code(TIDEWAY "tw.input 'words':sink_to_textfile '/dev/full'");
  push(tw_input_open(rt, "words"), "lost");
  CHECK(tw_finish(rt, 20000) == TW_EFAILED);
  CHECKF(strstr(tw_error(rt), "/dev/full"), "%s", tw_error(rt));
  tw_close(rt);
  /* what does not end in time */
  rt = open_code(TIDEWAY
                 "tw.input 'words':map(function() tw.sleep '1h' end):output 'never'");
  push(tw_input_open(rt, "words"), "x");
  CHECK(tw_finish(rt, 20) == TW_AGAIN);
  tw_close(rt);
}

static char logged[256];

static void keep_line(void *ctx, const char *text) {
  CHECK(ctx == logged);
  snprintf(logged, sizeof logged, "%s", text);
}

static void logs(void) {
  tw_runtime *rt =
      tw_open(&(tw_options){.code = "require('tideway.host').say('a line')",
                            .root = ".",
                            .log = keep_line,
                            .log_ctx = logged});
  CHECKF(!strcmp(logged, "a line"), "%s", logged);
  tw_close(rt);
}

/* Only the parent goes on. */
static void is_not_inherited(void) {
  tw_runtime *rt = open_code(SHOUT);
  const pid_t child = fork();
  if (child == 0) {
    const int refused = tw_step(rt, 0) == TW_EINVAL && tw_stop(rt) == TW_EINVAL &&
                        !tw_input_open(rt, "words") && tw_close(rt) == TW_EINVAL;
    _exit(refused ? 0 : 1);
  }
  int status;
  CHECK(waitpid(child, &status, 0) == child && status == 0);
  push(tw_input_open(rt, "words"), "x");
  CHECK(settle(rt) == 1);
  CHECK(tw_close(rt) == TW_OK);
}

static void leaves_signals_alone(void) {
  struct sigaction before, after;
  sigaction(SIGINT, NULL, &before);
  tw_runtime *rt = open_code(SHOUT);
  tw_finish(rt, 20000);
  tw_close(rt);
  sigaction(SIGINT, NULL, &after);
  CHECK(before.sa_handler == after.sa_handler);
}

/* An allocator that refuses the n-th block. */
typedef struct miser {
  long left;
  long blocks;
} miser;

static void *allocate(void *ctx, void *ptr, size_t old_size, size_t size) {
  miser *m = ctx;
  if (size == 0) {
    m->blocks -= ptr != NULL;
    free(ptr);
    return NULL;
  }
  if (size > old_size && m->left > 0 && --m->left == 0) return NULL;
  void *block = realloc(ptr, size);
  m->blocks += block && !ptr;
  return block;
}

/* All that a host does; stops where something fails. */
static int live(miser *m, heard *h) {
  tw_runtime *rt = tw_open(
      &(tw_options){.code = SHOUT, .root = ".", .alloc = allocate, .alloc_ctx = m});
  int failed = !rt || tw_error(rt), refused = 0;
  if (!failed) {
    tw_input *in = tw_input_open(rt, "words");
    refused = in && push(in, "a word that is copied") < 0;
    failed |= !in;
    failed |= tw_output_listen(rt, "shouts", hear, h) < 0;
    failed |= tw_step(rt, 0) < 0;
    const int ended = tw_finish(rt, 20);
    failed |= ended < 0 && ended != TW_AGAIN; /* what has failed may wait for ever */
  }
  if (failed) CHECK(tw_error(rt) != NULL);
  tw_close(rt);
  CHECKF(m->blocks == 0, "%ld blocks of Lua's are left", m->blocks);
  return failed || refused;
}

/* Refuse Lua's allocations number `first`, first + step ... up to `last`, in a process of their own,
 * which says in *trying how far it is. */
static void refuse_some(long first, long last, long step, long *trying) {
  fflush(stdout);
  const pid_t child = fork();
  if (child == 0) {
    heard h = {.len = 0};
    check_count = check_failed = 0;
    for (long n = first; n <= last; n += step) {
      miser m = {.left = n};
      *trying = n;
      alarm(60); /* none may hang */
      live(&m, &h);
    }
    fflush(stdout);
    _exit(check_failed > 0);
  }
  int status;
  CHECK(waitpid(child, &status, 0) == child);
  CHECKF(status == 0, "allocation %ld refused: %s %d", *trying,
         WIFSIGNALED(status) ? "signal" : "checks failed, status",
         WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
}

static void survives_without_memory(void) {
  heard h = {.len = 0};
  const int64_t before = tw_mem_bytes();
  int64_t nth = 1;
  for (;; nth++) { /* each allocation of the core's own */
    miser m = {.left = 0};
    tw_mem_fail_at(nth);
    live(&m, &h);
    if (tw_mem_fail_at(0) > 0) break; /* there were fewer */
  }
  CHECKF(nth > 10, "%lld", (long long)nth);
  CHECKF(tw_mem_bytes() <= before + 4096, "%lld bytes more",
         (long long)(tw_mem_bytes() - before));
  /* Lua's, all with --long, else some hundred */
  miser all = {.left = 1L << 40};
  live(&all, &h);
  const long total = (1L << 40) - all.left;
  const long step = check_long ? 1 : total / 150 + 1, slice = 100 * step;
  long *trying = mmap(NULL, sizeof *trying, PROT_READ | PROT_WRITE,
                      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  for (long n = 1 + (check_long ? 0 : (long)check_below(step)); n <= total;
       n += slice) {
    const long last = n + slice - step;
    refuse_some(n, last < total ? last : total, step, trying);
  }
  if (check_long)
    printf("%lld allocations of the core's, %ld of Lua's\n", (long long)nth - 1, total);
  munmap(trying, sizeof *trying);
}

/* As the page tables have it: statm's count may be as wrong as what is looked for. */
static long resident_kb(void) {
  long kb = 0;
  char line[200];
  FILE *file = fopen("/proc/self/smaps_rollup", "r");
  while (file && fgets(line, sizeof line, file))
    if (sscanf(line, "Rss: %ld kB", &kb) == 1) break;
  if (file) fclose(file);
  return kb;
}

static void leaves_nothing(void) {
  const int rounds = check_long ? 10000 : 100;
  int64_t before = 0;
  long resident = 0;
  const int fd = dup(0);
  for (int i = 0; i < rounds; i++) {
    tw_runtime *rt = open_code(SHOUT);
    push(tw_input_open(rt, "words"), "x");
    settle(rt);
    tw_close(rt);
    if (i == 10) before = tw_mem_bytes();
    if (i == rounds / 10) resident = resident_kb();
  }
  CHECKF(tw_mem_bytes() <= before, "%lld bytes more",
         (long long)(tw_mem_bytes() - before));
  const long more = resident_kb() - resident;
#ifndef __SANITIZE_ADDRESS__ /* keeps what has been freed */
  CHECKF(more < 512, "%ld KB more", more);
#endif
  if (check_long) printf("%d runtimes: %ld KB, %ld more\n", rounds, resident, more);
  close(fd);
  CHECK(dup(0) == fd); /* no descriptor was kept */
  close(fd);
}

/* Frames that a script still has are released with its state, columns too. */
static void leaves_no_frames(void) {
  int64_t before = 0;
  for (int i = 0; i < 12; i++) {
    tw_runtime *rt =
        open_code("local tw = require 'tideway'\n"
                  "held = tw.frame { x = { 1, 2, 3 }, s = { 'a', 'b', 'c' } }\n"
                  "held_column = held.s\n"
                  "tw.input('words'):sink(function() end)\n");
    CHECK(tw_input_open(rt, "words") != NULL);
    settle(rt);
    tw_close(rt);
    if (i == 1) before = tw_mem_bytes();
  }
  CHECKF(tw_mem_bytes() <= before, "%lld bytes more",
         (long long)(tw_mem_bytes() - before));
}

#define SCATTERS                                                                       \
  TIDEWAY "tw.input 'in':scatter{workers = 2}:map(string.upper):gather():sink(type)"

/* Closed while elements are on their way to workers and back. */
static void leaves_no_parcels(void) {
  static char text[50000];
  int64_t before = 0;
  for (int turn = 0; turn < 6; turn++) {
    tw_runtime *rt = open_code(SCATTERS);
    tw_input *in = tw_input_open(rt, "in");
    for (int i = 0; i < 60; i++) {
      CHECK(tw_push(in, text, sizeof text) == TW_OK);
      if (i % 3 == 0) tw_step(rt, turn);
    }
    CHECK(tw_close(rt) == TW_OK);
    if (turn == 0) before = tw_mem_bytes();
  }
  CHECKF(tw_mem_bytes() <= before + (int64_t)sizeof text, "%lld bytes more",
         (long long)(tw_mem_bytes() - before));
}

int main(int argc, char **argv) {
  check_open(argc, argv);
  leaves_no_parcels();
  pushes_and_listens();
  holds_back();
  reports_failures();
  may_be_closed_by_a_listener();
  is_polled();
  lives_on_a_foreign_loop();
  lives_in_a_foreign_state();
  is_pushed_by_threads();
  is_polled_while_a_thread_pushes();
  are_many();
  writes_before_it_closes();
  logs();
  is_not_inherited();
  leaves_signals_alone();
  survives_without_memory();
  leaves_nothing();
  leaves_no_frames();
  return check_close();
}
