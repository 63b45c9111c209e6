/* process -- children get what they are given, say how they ended, and leave no zombies. */
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tideway.h"

#include "../check.h"

static tw_loop *loop;
static char error[300];

static void turn(int64_t ms) {
  uint32_t ready[64];
  tw_loop_poll(loop, ms, ready, 64);
}

static const char *none[] = {NULL};

static tw_process_options options(const char *const *argv) {
  return (tw_process_options){.argv = argv,
                              .env = none,
                              .in = TW_STDIO_IGNORE,
                              .out = TW_STDIO_PIPE,
                              .err = TW_STDIO_PIPE,
                              .max_output = 1 << 20};
}

static tw_process *start(tw_process_options o) {
  tw_process *p = tw_process_open(loop, &o, error, sizeof error);
  CHECKF(p != NULL, "%s", error);
  return p;
}

static tw_process *shell(const char *script, int in) {
  const char *argv[] = {"sh", "-c", script, NULL};
  tw_process_options o = options(argv);
  o.in = in;
  return start(o);
}

static int end_of(tw_process *p) {
  for (int i = 0; i < 5000 && tw_process_state(p) == TW_AGAIN; i++) turn(10);
  return tw_process_state(p);
}

static int says(const tw_process *p, int which, const char *text) {
  int64_t len;
  const char *bytes = tw_process_output(p, which, &len);
  return len == (int64_t)strlen(text) && !memcmp(bytes, text, strlen(text));
}

static int no_children(void) {
  return waitpid(-1, NULL, WNOHANG) < 0;
}

static void tells_how_it_ended(void) {
  int number;
  tw_process *p = shell("printf out; printf err >&2; exit 3", TW_STDIO_IGNORE);
  CHECK(end_of(p) == TW_OK);
  CHECK(tw_process_status(p, &number) == 3 && number == 0);
  CHECK(says(p, 1, "out") && says(p, 2, "err"));
  CHECK(tw_process_kill(p, SIGTERM) == TW_EOF);
  tw_process_close(p);

  p = shell("sleep 100 & sleep 100", TW_STDIO_IGNORE);
  CHECK(tw_process_kill(p, SIGTERM) == TW_OK); /* both, or the pipe would stay open */
  CHECK(end_of(p) == TW_OK);
  tw_process_status(p, &number);
  CHECK(number == SIGTERM);
  tw_process_close(p);
  CHECK(no_children());
}

static void gives_its_environment(void) {
  setenv("TW_SPEC_KEPT", "kept", 1);
  setenv("TW_SPEC_GONE", "gone", 1);
  setenv("TW_SPEC_NEW", "old", 1);
  const char *argv[] = {
      "sh", "-c", "printf \"$TW_SPEC_KEPT,$TW_SPEC_GONE,$TW_SPEC_NEW,\"; pwd", NULL};
  const char *env[] = {"TW_SPEC_GONE", "TW_SPEC_NEW=a=b", NULL};
  tw_process_options o = options(argv);
  o.env = env;
  o.cwd = "/";
  o.err = TW_STDIO_OUTPUT;
  tw_process *p = start(o);
  CHECK(end_of(p) == TW_OK && says(p, 1, "kept,,a=b,/\n"));
  tw_process_close(p);
}

static void passes_input_on(void) {
  tw_process *p = shell("cat", TW_STDIO_PIPE);
  const int64_t size = 800000;
  char *text = malloc((size_t)size);
  int64_t at = 0, len;
  for (int64_t i = 0; i < size; i++) text[i] = (char)check_below(256);
  while (at < size) {
    const int64_t n = 1 + check_below(size - at < 100000 ? size - at : 100000);
    CHECK(tw_process_write(p, text + at, n) == TW_OK);
    at += n;
    if (check_below(2)) tw_process_flush(p, 0);
    if (check_below(2)) turn(0);
  }
  tw_process_flush(p, 1);
  CHECK(tw_process_write(p, "x", 1) == TW_EIO);
  CHECK(end_of(p) == TW_OK);
  const char *got = tw_process_output(p, 1, &len);
  CHECKF(len == size && !memcmp(got, text, (size_t)size), "%ld", (long)len);
  CHECK(tw_process_unsent(p) == 0);
  free(text);
  tw_process_close(p);
}

static void survives_one_that_does_not_read(void) {
  tw_process *p = shell("exec <&-; sleep 0.05", TW_STDIO_PIPE);
  static char much[200000];
  int rc = TW_OK;
  for (int i = 0; i < 50000 && rc == TW_OK; i++) {
    if (tw_process_unsent(p) < 1000000) rc = tw_process_write(p, much, sizeof much);
    turn(1);
  }
  CHECKF(rc == TW_EIO, "%d", rc);
  CHECK(end_of(p) == TW_OK);
  tw_process_close(p);
}

static void bounds_the_output(void) {
  const char *argv[] = {"yes", NULL};
  tw_process_options o = options(argv);
  o.max_output = 100000;
  tw_process *p = start(o);
  int64_t len;
  CHECK(end_of(p) == TW_ENOMEM);
  tw_process_output(p, 1, &len);
  CHECK(len > 100000 && len < 400000);
  tw_process_close(p);
}

static void says_what_cannot_be_started(void) {
  const char *argv[] = {"/nonexistent/program", NULL};
  tw_process_options o = options(argv);
  CHECK(!tw_process_open(loop, &o, error, sizeof error));
  CHECKF(!strcmp(error, "/nonexistent/program: no such file or directory"), "%s",
         error);
  argv[0] = "/tmp";
  CHECK(!tw_process_open(loop, &o, error, sizeof error));
  CHECKF(strstr(error, "permission denied"), "%s", error);
  argv[0] = "true";
  for (int at = 1; at < 4; at++) {
    tw_mem_fail_at(at);
    tw_process *p = tw_process_open(loop, &o, error, sizeof error);
    tw_mem_fail_at(0);
    tw_process_close(p);
  }
  turn(0);
  CHECK(no_children());
}

static void leaves_no_zombies(void) {
  for (int i = 0; i < 20; i++) {
    tw_process *p = shell("trap '' TERM; sleep 100", TW_STDIO_PIPE);
    if (i & 1) turn(1);
    tw_process_close(p);
    CHECK(no_children());
  }
  for (int i = 0; i < 20; i++) {
    tw_process *p = shell("true", TW_STDIO_IGNORE);
    if (i & 1) CHECK(end_of(p) == TW_OK);
    tw_process_close(p);
    CHECK(no_children());
  }
}

static int open_files(void) {
  int n = 0;
  for (int fd = 0; fd < 200; fd++) n += dup2(fd, fd) >= 0;
  return n;
}

int main(int argc, char **argv) {
  check_open(argc, argv);
  loop = tw_loop_open();
  tells_how_it_ended();
  const int files = open_files();
  gives_its_environment();
  passes_input_on();
  survives_one_that_does_not_read();
  bounds_the_output();
  says_what_cannot_be_started();
  leaves_no_zombies();
  turn(0);
  CHECK(open_files() == files);
  shell("sleep 100", TW_STDIO_IGNORE);
  char path[] = "/tmp/tideway-spec-XXXXXX", script[100];
  close(mkstemp(path));
  snprintf(script, sizeof script, "cat > /dev/null; rm %s", path);
  shell(script, TW_STDIO_PIPE);
  tw_loop_close(loop);
  CHECK(access(path, F_OK) != 0); /* it was let finish */
  CHECK(no_children());
  return check_close();
}
