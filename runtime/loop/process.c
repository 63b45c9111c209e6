/* process.c -- a child process, its input and output, and its end, as a handle of the loop.
 *
 * Each child leads a session, so that signals reach all that it has started, and a Ctrl-C in
 * the terminal is ours alone to pass on. libuv waits for it; a child that is closed while it
 * runs is killed and waited for on the spot: it never stays as a zombie, whatever becomes
 * of the loop.
 */
#define _GNU_SOURCE /* pipe2, environ */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core/bytes.h"
#include "core/mem.h"
#include "loop/loop.h"

enum { STDIO = 3, ROOM = 64 << 10, ENDS = 2, PATIENCE_MS = 5000 };

/* Our end of one of the child's. */
struct end {
  uv_poll_t poll; /* while `polled` */
  tw_process *process;
  int fd, polled;
  struct tw__bytes
      bytes; /* collected of its output; of its input, from `taken` on, what waits */
  int64_t taken;
  int finish; /* close the input when all is taken */
};

struct tw_process {
  tw__handle handle; /* first */
  uv_process_t uv;
  struct end end[STDIO];
  int64_t max_output;
  int pending; /* callbacks of closed handles still to come */
  int exited, closing, status, signal, broken, too_much;
};

/* ---- closing --------------------------------------------------------------- */

static void settled(tw_process *p) {
  if (--p->pending || !p->closing) return;
  for (int i = 0; i < STDIO; i++) tw__bytes_clear(&p->end[i].bytes);
  tw__free(p);
}

static void after_process_close(uv_handle_t *handle) {
  settled(handle->data);
}

static void after_poll_close(uv_handle_t *handle) {
  struct end *end = handle->data;
  settled(end->process);
}

static void close_end(struct end *end) {
  if (end->fd < 0) return;
  if (end->polled) uv_close((uv_handle_t *)&end->poll, after_poll_close);
  end->polled = 0;
  close(end->fd);
  end->fd = -1;
}

int tw_process_kill(tw_process *p, int number) {
  if (p->exited) return TW_EOF;
  return kill(-p->uv.pid, number) && kill(p->uv.pid, number) ? TW_EIO : TW_OK;
}

void tw_process_close(tw_process *p) {
  if (!p || p->closing) return;
  p->closing = 1;
  tw__loop_detach(&p->handle);
  for (int i = 0; i < STDIO; i++) close_end(&p->end[i]);
  if (!p->exited) {
    tw_process_kill(p, SIGKILL);
    while (waitpid(p->uv.pid, NULL, 0) < 0 && errno == EINTR) {
    }
  }
  uv_close((uv_handle_t *)&p->uv, after_process_close);
}

/* With the loop: one that has an input sees its end, and has a while to do its work. */
static void close_handle(tw__handle *handle) {
  tw_process *p = (tw_process *)handle;
  const struct timespec pause = {.tv_nsec = 1000000};
  const int reads = p->end[0].fd >= 0;
  close_end(&p->end[0]);
  for (int ms = 0; reads && !p->exited && ms < PATIENCE_MS; ms++) {
    if (waitpid(p->uv.pid, NULL, WNOHANG))
      p->exited = 1;
    else
      nanosleep(&pause, NULL);
  }
  tw_process_close(p);
}

static void on_exit_of(uv_process_t *uv, int64_t status, int number) {
  tw_process *p = uv->data;
  p->exited = 1;
  p->status = (int)status;
  p->signal = number;
  tw__loop_ready(&p->handle);
}

/* ---- output ---------------------------------------------------------------- */

/* It has ended, or is more than was allowed for. */
static void finish_output(struct end *end, int too_much) {
  tw_process *p = end->process;
  if (too_much) {
    p->too_much = 1;
    tw_process_kill(p, SIGKILL);
  }
  close_end(end);
  tw__loop_ready(&p->handle);
}

static void readable(uv_poll_t *poll, int status, int events) {
  struct end *end = poll->data;
  (void)status, (void)events;
  if (end->bytes.len > end->process->max_output ||
      tw__bytes_reserve(&end->bytes, ROOM)) {
    finish_output(end, 1);
    return;
  }
  const ssize_t n = read(end->fd, end->bytes.at + end->bytes.len, ROOM);
  if (n > 0)
    end->bytes.len += n;
  else if (n == 0 || (errno != EAGAIN && errno != EINTR))
    finish_output(end, 0);
}

const char *tw_process_output(const tw_process *p, int which, int64_t *len) {
  *len = which < 1 || which >= STDIO ? 0 : p->end[which].bytes.len;
  return *len ? p->end[which].bytes.at : "";
}

/* ---- input ----------------------------------------------------------------- */

static void flush(struct end *end);

static void writable(uv_poll_t *poll, int status, int events) {
  (void)status, (void)events;
  flush(poll->data);
}

static void flush(struct end *end) {
  tw_process *p = end->process;
  struct tw__bytes *bytes = &end->bytes;
  while (end->fd >= 0 && end->taken < bytes->len) {
    const ssize_t n =
        write(end->fd, bytes->at + end->taken, (size_t)(bytes->len - end->taken));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) {
      uv_poll_start(&end->poll, UV_WRITABLE, writable);
      return;
    }
    if (n < 0) {
      p->broken = errno;
      end->taken = bytes->len;
      close_end(end);
      break;
    }
    end->taken += n;
  }
  end->taken = bytes->len = 0;
  if (end->fd >= 0) uv_poll_stop(&end->poll);
  if (end->finish) close_end(end);
  tw__loop_ready(&p->handle);
}

int tw_process_write(tw_process *p, const char *bytes, int64_t len) {
  struct end *end = &p->end[0];
  if (end->fd < 0 || end->finish) return TW_EIO;
  if (end->taken) {
    end->bytes.len -= end->taken;
    memmove(end->bytes.at, end->bytes.at + end->taken, (size_t)end->bytes.len);
    end->taken = 0;
  }
  if (tw__bytes_add(&end->bytes, bytes, len)) {
    end->bytes.failed = 0; /* the caller still has these */
    return TW_ENOMEM;
  }
  /* else it is waited for, or worth more bytes at once */
  if (end->bytes.len >= ROOM && !uv_is_active((uv_handle_t *)&end->poll)) flush(end);
  return p->broken ? TW_EIO : TW_OK;
}

void tw_process_flush(tw_process *p, int finish) {
  struct end *end = &p->end[0];
  if (finish) end->finish = 1;
  if (end->fd >= 0 && !uv_is_active((uv_handle_t *)&end->poll)) flush(end);
}

int64_t tw_process_unsent(const tw_process *p) {
  return p->end[0].bytes.len - p->end[0].taken;
}

/* ---- opening --------------------------------------------------------------- */

static int is_name(const char *entry, const char *of) {
  const size_t len = strcspn(of, "=");
  return !strncmp(entry, of, len) && (entry[len] == '=' || !entry[len]);
}

static int is_set(const char *const *env, const char *entry) {
  for (; *env; env++)
    if (is_name(entry, *env)) return 1;
  return 0;
}

/* Ours, with the changes; NULL: no memory. */
static char **merge(const char *const *env) {
  size_t n = 1;
  for (char **at = environ; at && *at; at++) n++;
  for (const char *const *at = env; *at; at++) n++;
  char **all = tw__malloc(n * sizeof *all);
  if (!all) return NULL;
  n = 0;
  for (char **at = environ; at && *at; at++)
    if (!is_set(env, *at)) all[n++] = *at;
  for (; *env; env++)
    if (strchr(*env, '=')) all[n++] = (char *)(uintptr_t)*env;
  all[n] = NULL;
  return all;
}

/* What the child gets as its descriptor i; what is ours of it goes into end, what is to be
 * closed once the child has it into theirs. */
static int open_stdio(struct end *end, int i, int how, uv_stdio_container_t *container,
                      int *theirs) {
  int pair[ENDS];
  *theirs = -1;
  container->flags = UV_INHERIT_FD;
  container->data.fd = i;
  if (how == TW_STDIO_IGNORE) container->flags = UV_IGNORE; /* /dev/null */
  if (how == TW_STDIO_INHERIT || how == TW_STDIO_IGNORE || how == TW_STDIO_OUTPUT)
    return 0;
  if (pipe2(pair, O_CLOEXEC)) return -errno;
  end->fd = pair[i == 0];
  container->data.fd = *theirs = pair[i != 0];
  fcntl(end->fd, F_SETFL, O_NONBLOCK);
  return 0;
}

static int poll_end(tw_loop *loop, tw_process *p, int i, int how) {
  struct end *end = &p->end[i];
  if (end->fd < 0 || how == TW_STDIO_LINES) return 0;
  const int rc = uv_poll_init(tw__loop_uv(loop), &end->poll, end->fd);
  if (rc) return rc;
  end->poll.data = end;
  end->polled = 1;
  p->pending++;
  return i == 0 ? 0 : uv_poll_start(&end->poll, UV_READABLE, readable);
}

static void ignore_sigpipe(void) {
  struct sigaction now;
  if (!sigaction(SIGPIPE, NULL, &now) && now.sa_handler == SIG_DFL)
    signal(SIGPIPE, SIG_IGN);
}

tw_process *tw_process_open(tw_loop *loop, const tw_process_options *o, char *error,
                            int64_t size) {
  const int how[STDIO] = {o->in, o->out, o->err};
  uv_stdio_container_t stdio[STDIO];
  int theirs[STDIO] = {-1, -1, -1}, rc = UV_ENOMEM;
  tw_process *p = tw__calloc(1, sizeof *p);
  char **env = p ? merge(o->env) : NULL;
  if (!env) {
    tw__free(p);
    snprintf(error, (size_t)size, "%s: no memory", o->argv[0]);
    return NULL;
  }
  p->max_output = o->max_output;
  p->pending = 1;
  p->uv.data = p;
  for (int i = 0; i < STDIO; i++) {
    p->end[i].fd = -1;
    p->end[i].process = p;
  }
  if (o->in == TW_STDIO_PIPE) ignore_sigpipe();
  tw__loop_attach(loop, &p->handle, close_handle);
  uv_process_options_t options = {
      .exit_cb = on_exit_of,
      .file = o->argv[0],
      .args = (char **)(uintptr_t)o->argv,
      .env = env,
      .cwd = o->cwd,
      .flags = UV_PROCESS_DETACHED,
      .stdio_count = STDIO,
      .stdio = stdio,
  };
  for (int i = 0, failed = 0; i < STDIO && !failed; i++) {
    failed = rc = open_stdio(&p->end[i], i, how[i], &stdio[i], &theirs[i]);
    if (how[i] == TW_STDIO_OUTPUT) stdio[i] = stdio[1];
  }
  const int spawned = !rc;
  if (spawned) rc = uv_spawn(tw__loop_uv(loop), &p->uv, &options);
  p->exited = rc != 0;
  for (int i = 0; i < STDIO; i++)
    if (theirs[i] >= 0) close(theirs[i]);
  for (int i = 0; i < STDIO && !rc; i++) rc = poll_end(loop, p, i, how[i]);
  tw__free(env);
  if (!rc) return p;

  snprintf(error, (size_t)size, "%s: %s", o->argv[0], uv_strerror(rc));
  if (spawned) {
    tw_process_close(p);
  } else { /* its uv handle was never begun */
    tw__loop_detach(&p->handle);
    for (int i = 0; i < STDIO; i++) close_end(&p->end[i]);
    tw__free(p);
  }
  return NULL;
}

int tw_process_state(const tw_process *p) {
  if (p->too_much) return p->exited ? TW_ENOMEM : TW_AGAIN;
  const int more = p->end[1].polled || p->end[2].polled;
  return p->exited && !more ? TW_OK : TW_AGAIN;
}

int tw_process_exited(const tw_process *p) {
  return p->exited;
}

int tw_process_status(const tw_process *p, int *number) {
  *number = p->signal;
  return p->status;
}

int tw_process_fd(const tw_process *p, int which) {
  return which < 0 || which >= STDIO ? -1 : p->end[which].fd;
}

uint32_t tw_process_id(const tw_process *p) {
  return p->handle.id;
}

int tw_process_pid(const tw_process *p) {
  return (int)p->uv.pid;
}
