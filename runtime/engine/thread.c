/* thread.c -- a runtime in a thread of its own, fed through shared inputs.
 *
 * For hosts whose threads have no time: they only push. The thread opens the runtime, says so,
 * steps it until it is told to leave, and closes it; what fails there is kept as lines for
 * the host to ask for, the last LINES of them.
 */
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <string.h>

#include "core/mem.h"
#include "tideway.h"

enum { LINES = 64, LINE_SIZE = 2048 };
enum {
  TURN_MS = 500
}; /* closing an input wakes the thread; this is in case none is left */

struct tw_thread {
  pthread_t id;
  const char *script, *root;
  const char *const *names; /* valid until `opened` */
  int count;
  sem_t opened, leave;
  int status; /* of opening, then of the end */
  int stop;   /* atomic */
  int64_t timeout_ms;
  tw_input **inputs;
  pthread_mutex_t lock; /* of the lines */
  char *lines[LINES];
  int first, held;
};

/* Keep a line; the oldest goes when there are too many. */
static void note(void *ctx, const char *text) {
  tw_thread *t = ctx;
  size_t len = strnlen(text, LINE_SIZE - 1);
  char *line = tw__mem_copy(text, (int64_t)len);
  if (!line) return;
  pthread_mutex_lock(&t->lock);
  if (t->held == LINES) {
    tw__free(t->lines[t->first]);
    t->first = (t->first + 1) % LINES;
    t->held--;
  }
  t->lines[(t->first + t->held++) % LINES] = line;
  pthread_mutex_unlock(&t->lock);
}

/* The runtime, with its inputs open, or NULL. */
static tw_runtime *begin(tw_thread *t) {
  tw_runtime *rt = tw_open(
      &(tw_options){.script = t->script, .root = t->root, .log = note, .log_ctx = t});
  int ok = rt && !tw_error(rt);
  for (int i = 0; ok && i < t->count; i++) {
    t->inputs[i] = tw_input_open(rt, t->names[i], TW_SHARED);
    ok = t->inputs[i] != NULL;
  }
  if (ok) return rt;
  note(t, tw_error(rt));
  tw_close(rt);
  return NULL;
}

/* One turn of at most timeout_ms. As tw_step; a failure is noted. */
static int turn(tw_thread *t, tw_runtime *rt, int64_t timeout_ms) {
  int result = tw_step(rt, (int)(timeout_ms < TURN_MS ? timeout_ms : TURN_MS));
  if (result < 0) note(t, tw_error(rt));
  return result;
}

/* As tw_finish, with a note of every failure. */
static int finish(tw_thread *t, tw_runtime *rt) {
  int first = tw_stop(rt), result = 1;
  const int64_t until = tw_loop_now_ns() / 1000000 + t->timeout_ms;
  for (int64_t left = t->timeout_ms; result && left >= 0;) {
    result = turn(t, rt, left);
    if (result < 0 && !first) first = result;
    left = until - tw_loop_now_ns() / 1000000;
  }
  int last =
      tw_finish(rt, result ? 0 : TURN_MS); /* sinks write what they have buffered */
  return first ? first : last;
}

static void *run(void *arg) {
  tw_thread *t = arg;
  tw_runtime *rt = begin(t);
  t->status = rt ? TW_OK : TW_EFAILED;
  sem_post(&t->opened);
  if (!rt) return NULL;
  int more = 1;
  while (more && !__atomic_load_n(&t->stop, __ATOMIC_ACQUIRE)) {
    more = turn(t, rt, TURN_MS) != 0;
  }
  while (sem_wait(&t->leave)) {
  }
  int status = finish(t, rt);
  int closed = tw_close(rt);
  t->status = status ? status : closed;
  return NULL;
}

static void release(tw_thread *t) {
  for (int i = 0; i < t->held; i++) tw__free(t->lines[(t->first + i) % LINES]);
  pthread_mutex_destroy(&t->lock);
  sem_destroy(&t->opened);
  sem_destroy(&t->leave);
  tw__free(t->inputs);
  tw__free(t);
}

/* The host's signals stay with its own threads. */
static int start(tw_thread *t) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  int failed = pthread_create(&t->id, NULL, run, t);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  return failed ? TW_ENOMEM : TW_OK;
}

tw_thread *tw_thread_open(const char *script, const char *root,
                          const char *const *names, int count, char *error, int size) {
  if (size > 0) error[0] = '\0';
  if (!script || count < 0) return NULL;
  tw_thread *t = tw__calloc(1, sizeof *t);
  if (!t) return NULL;
  t->script = script, t->root = root, t->names = names, t->count = count;
  pthread_mutex_init(&t->lock, NULL);
  sem_init(&t->opened, 0, 0);
  sem_init(&t->leave, 0, 0);
  t->inputs = tw__calloc((size_t)count + 1, sizeof *t->inputs);
  if (!t->inputs || start(t)) {
    release(t);
    return NULL;
  }
  while (sem_wait(&t->opened)) {
  }
  if (t->status == TW_OK) return t;
  pthread_join(t->id, NULL);
  tw_thread_line(t, error, size);
  release(t);
  return NULL;
}

int tw_thread_push(tw_thread *t, int input, const char *data, size_t len) {
  if (input < 0 || input >= t->count) return TW_EINVAL;
  return tw_push(t->inputs[input], data, len);
}

int tw_thread_line(tw_thread *t, char *line, int size) {
  if (size < 1) return 0;
  char *text = NULL;
  pthread_mutex_lock(&t->lock);
  if (t->held > 0) {
    text = t->lines[t->first];
    t->first = (t->first + 1) % LINES;
    t->held--;
  }
  pthread_mutex_unlock(&t->lock);
  size_t len = text ? strnlen(text, (size_t)size - 1) : 0;
  if (text) memcpy(line, text, len);
  line[len] = '\0';
  tw__free(text);
  return (int)len;
}

int tw_thread_finish(tw_thread *t, int64_t timeout_ms) {
  t->timeout_ms = timeout_ms;
  __atomic_store_n(&t->stop, 1, __ATOMIC_RELEASE);
  for (int i = 0; i < t->count; i++) tw_input_close(t->inputs[i]);
  sem_post(&t->leave);
  pthread_join(t->id, NULL);
  t->count = 0;
  return t->status;
}

void tw_thread_close(tw_thread *t) {
  if (t) release(t);
}
