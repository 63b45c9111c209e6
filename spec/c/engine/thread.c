/* thread -- runtimes in threads of their own: fed, failing, finished. */
#include <pthread.h>
#include <unistd.h>

#include "../check.h"
#include "tideway.h"

static char script[] = "/tmp/tideway-thread-XXXXXX", out[] = "/tmp/tideway-out-XXXXXX";

static void write_script(const char *text) {
  FILE *file = fopen(script, "w");
  fprintf(file, "local tw = require 'tideway' local OUT = '%s' %s", out, text);
  fclose(file);
}

/* How many lines the script's output has. */
static long lines(void) {
  FILE *file = fopen(out, "r");
  long n = 0;
  for (int c; (c = fgetc(file)) != EOF;) n += c == '\n';
  fclose(file);
  return n;
}

static tw_thread *start(const char *text, const char *name) {
  char error[256];
  write_script(text);
  fclose(fopen(out, "w"));
  tw_thread *t = tw_thread_open(script, ".", &name, 1, error, sizeof error);
  CHECKF(t, "%s", error);
  return t;
}

static void push(tw_thread *t, const char *text) {
  while (tw_thread_push(t, 0, text, strlen(text)) == TW_AGAIN) usleep(100);
}

static void delivers_all_that_was_pushed(void) {
  tw_thread *t = start("tw.input 'in':sink_to_textfile(OUT)", "in");
  for (int i = 0; i < 30000; i++) push(t, "line");
  CHECK(tw_thread_push(t, 1, "x", 1) == TW_EINVAL);
  CHECK(tw_thread_finish(t, 20000) == TW_OK);
  CHECKF(lines() == 30000, "%ld", lines());
  char line[16];
  CHECK(tw_thread_line(t, line, sizeof line) == 0);
  tw_thread_close(t);
}

static void *push_many(void *t) {
  for (int i = 0; i < 5000; i++) push(t, "line");
  return NULL;
}

static void is_pushed_to_by_any_thread(void) {
  tw_thread *t = start("tw.input 'in':sink_to_textfile(OUT)", "in");
  pthread_t ids[4];
  for (int i = 0; i < 4; i++) pthread_create(&ids[i], NULL, push_many, t);
  for (int i = 0; i < 4; i++) pthread_join(ids[i], NULL);
  CHECK(tw_thread_finish(t, 20000) == TW_OK);
  CHECKF(lines() == 20000, "%ld", lines());
  tw_thread_close(t);
}

static void flushes_windows_at_the_end(void) {
  tw_thread *t = start("tw.input 'in':partition(100, {flush = true})"
                       ":map(function(list) return #list end):sink_to_textfile(OUT)",
                       "in");
  for (int i = 0; i < 250; i++) push(t, "line");
  CHECK(tw_thread_finish(t, 20000) == TW_OK);
  CHECK(lines() == 3);
  tw_thread_close(t);
}

static void tells_what_has_failed_and_goes_on(void) {
  tw_thread *t =
      start("tw.input 'in':map(function(x) if x == 'bad' then error 'no bad' end"
            " return x end):sink_to_textfile(OUT)",
            "in");
  push(t, "good");
  for (int i = 0; i < 100; i++) push(t, "bad");
  push(t, "good");
  int status = tw_thread_finish(t, 20000);
  CHECKF(status == TW_OK || status == TW_EFAILED, "%d", status);
  CHECK(lines() == 2);
  char line[512];
  int told = 0;
  while (tw_thread_line(t, line, sizeof line) > 0) {
    told++;
    CHECKF(strstr(line, "no bad"), "%s", line);
  }
  CHECKF(told >= 32 && told <= 64, "%d", told);
  tw_thread_close(t);
}

static void says_why_it_does_not_start(void) {
  char error[256];
  const char *name = "in";
  write_script("error 'not today'");
  CHECK(!tw_thread_open(script, ".", &name, 1, error, sizeof error));
  CHECKF(strstr(error, "not today"), "%s", error);
  write_script("tw.input 'other'");
  CHECK(!tw_thread_open(script, ".", &name, 1, error, sizeof error));
  CHECKF(strstr(error, "in"), "%s", error);
  CHECK(!tw_thread_open("/tmp/there/is/none.lua", ".", &name, 0, error, sizeof error));
  CHECKF(strstr(error, "none.lua"), "%s", error);
  CHECK(!tw_thread_open(NULL, ".", &name, 0, error, sizeof error));
}

static void ends_when_all_pipelines_have_ended(void) {
  tw_thread *t = start("tw.input 'in':take(1):sink_to_textfile(OUT)", "in");
  push(t, "one");
  while (tw_thread_push(t, 0, "more", 4) != TW_EOF) usleep(1000);
  CHECK(tw_thread_finish(t, 20000) == TW_OK);
  CHECK(lines() == 1);
  tw_thread_close(t);
}

static void gives_up_when_its_time_is_over(void) {
  tw_thread *t = start("tw.input 'in':sink(function() tw.sleep(60) end)", "in");
  push(t, "one");
  CHECK(tw_thread_finish(t, 50) == TW_AGAIN);
  tw_thread_close(t);
  tw_thread_close(NULL);
}

int main(int argc, char **argv) {
  check_open(argc, argv);
  close(mkstemp(script));
  close(mkstemp(out));
  delivers_all_that_was_pushed();
  is_pushed_to_by_any_thread();
  flushes_windows_at_the_end();
  tells_what_has_failed_and_goes_on();
  says_why_it_does_not_start();
  ends_when_all_pipelines_have_ended();
  gives_up_when_its_time_is_over();
  unlink(script);
  unlink(out);
  return check_close();
}
