/* host.c -- tideway in a C program: an example to copy.
 *
 *     cc host.c $(pkg-config --cflags --libs tideway) -o host
 *     printf 'ok\nERROR disk\nERROR net\n' | ./host pipeline.lua
 *
 * Reads lines from standard input, pushes them into the pipeline's input "lines" and prints
 * what comes to its output "alerts". The program has its own poll loop: tideway says with what
 * descriptor and until when it may sleep.
 */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <tideway.h>

static volatile sig_atomic_t interrupted;

static void interrupt(int signal) {
  (void)signal;
  interrupted = 1;
}

static void on_alert(void *ctx, const char *data, size_t len) {
  ++*(long *)ctx;
  printf("alert: %.*s\n", (int)len, data);
}

static void on_log(void *ctx, const char *text) {
  (void)ctx;
  fprintf(stderr, "%s\n", text);
}

/* What was read and not pushed yet. */
typedef struct lines {
  char text[1 << 16];
  size_t len;
  int ended;
} lines;

static void read_more(lines *in) {
  const ssize_t n = read(STDIN_FILENO, in->text + in->len, sizeof in->text - in->len);
  if (n > 0) in->len += (size_t)n;
  if (n <= 0) in->ended = 1;
}

/* Push whole lines, until the pipeline is full: the rest waits here, and standard input with it. */
static int push_lines(lines *in, tw_input *input) {
  size_t at = 0;
  int status = TW_OK;
  while (at < in->len && status == TW_OK) {
    const char *end = memchr(in->text + at, '\n', in->len - at);
    if (!end && !in->ended && (at || in->len < sizeof in->text)) break;
    const size_t len = end ? (size_t)(end - (in->text + at)) : in->len - at;
    status = tw_push(input, in->text + at, len);
    if (status == TW_OK) at += len + (end != NULL);
  }
  in->len -= at;
  memmove(in->text, in->text + at, in->len);
  return status;
}

/* Returns when the pipelines have ended, or standard input has. */
static void run(tw_runtime *rt, tw_input *input) {
  static lines in;
  int full = 0;
  while (!interrupted) {
    struct pollfd fds[] = {
        {.fd = tw_backend_fd(rt), .events = POLLIN},
        {.fd = full || in.ended ? -1 : STDIN_FILENO, .events = POLLIN},
    };
    if (poll(fds, 2, tw_next_deadline_ms(rt)) > 0 && fds[1].revents) read_more(&in);
    full = push_lines(&in, input) == TW_AGAIN;
    const int status = tw_step(rt, 0);
    if (status < 0) fprintf(stderr, "%s\n", tw_error(rt)); /* one element has failed */
    if (status == 0 || (in.ended && in.len == 0)) return;
  }
}

int main(int argc, char **argv) {
  if (argc != 2) {
    fprintf(stderr, "usage: %s PIPELINE.lua\n", argv[0]);
    return 2;
  }
  signal(SIGINT, interrupt);
  long alerts = 0;
  int status = 1;
  tw_runtime *rt = tw_open(&(tw_options){.script = argv[1], .log = on_log});
  tw_input *input = tw_error(rt) ? NULL : tw_input_open(rt, "lines");
  if (input && tw_output_listen(rt, "alerts", on_alert, &alerts) == TW_OK) {
    run(rt, input);
    status = tw_finish(rt, 5000) != TW_OK;
  }
  if (status)
    fprintf(stderr, "%s: %s\n", argv[0],
            tw_error(rt) ? tw_error(rt) : "the time is over");
  tw_close(rt);
  printf("%ld alerts\n", alerts);
  return status;
}
