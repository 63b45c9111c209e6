/* wake.c -- librdkafka's queues wake the loop, and its troubles in words. */
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "core/mem.h"
#include "kafka/kafka.h"

/* What the number in an eventfd is raised by; librdkafka writes it. */
static const uint64_t one = 1;

static void woken(uv_poll_t *poll, int status, int events) {
  (void)status;
  (void)events;
  struct tw__kafka_wake *wake = (struct tw__kafka_wake *)poll;
  uint64_t n;
  ssize_t got = read(wake->fd, &n, sizeof n);
  (void)got;
  wake->fn(wake->arg);
}

struct tw__kafka_wake *tw__kafka_wake_open(tw_loop *loop, rd_kafka_queue_t *queue,
                                           void (*fn)(void *), void *arg) {
  struct tw__kafka_wake *wake = tw__calloc(1, sizeof *wake);
  if (!wake) {
    rd_kafka_queue_destroy(queue);
    return NULL;
  }
  wake->queue = queue;
  wake->fn = fn;
  wake->arg = arg;
  wake->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  if (wake->fd < 0 || uv_poll_init(tw__loop_uv(loop), &wake->poll, wake->fd)) {
    if (wake->fd >= 0) close(wake->fd);
    rd_kafka_queue_destroy(queue);
    tw__free(wake);
    return NULL;
  }
  uv_poll_start(&wake->poll, UV_READABLE, woken);
  rd_kafka_queue_io_event_enable(queue, wake->fd, &one, sizeof one);
  return wake;
}

static void closed(uv_handle_t *handle) {
  struct tw__kafka_wake *wake = (struct tw__kafka_wake *)handle;
  close(wake->fd);
  tw__free(wake);
}

void tw__kafka_wake_close(struct tw__kafka_wake *wake) {
  if (!wake) return;
  rd_kafka_queue_io_event_enable(wake->queue, -1, NULL, 0);
  rd_kafka_queue_destroy(wake->queue);
  wake->queue = NULL;
  uv_poll_stop(&wake->poll);
  uv_close((uv_handle_t *)&wake->poll, closed);
}

/* ---- notices ---- */

int tw__kafka_trouble(struct tw__kafka_notice *notice, rd_kafka_t *rk, int err,
                      const char *reason) {
  char *text = notice->text;
  if (err == RD_KAFKA_RESP_ERR__FATAL) {
    char why[TW_KAFKA_TEXT - 64] = "";
    rd_kafka_resp_err_t code = rd_kafka_fatal_error(rk, why, sizeof why);
    snprintf(text, TW_KAFKA_TEXT, "%.60s: %s", rd_kafka_err2name(code), why);
    return 1;
  }
  if (err == RD_KAFKA_RESP_ERR__AUTHENTICATION || err == RD_KAFKA_RESP_ERR__SSL) {
    snprintf(text, TW_KAFKA_TEXT, "%s", reason);
    return err == RD_KAFKA_RESP_ERR__AUTHENTICATION;
  }
  if (err == RD_KAFKA_RESP_ERR__RESOLVE || err == RD_KAFKA_RESP_ERR__TRANSPORT) {
    snprintf(notice->why, TW_KAFKA_TEXT, "%s", reason);
    return 0; /* told of when none is left */
  }
  if (err == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN) {
    if (notice->down) return 0; /* has been said */
    notice->down = 1;
    snprintf(text, TW_KAFKA_TEXT, "no broker can be reached%s%.400s; trying again",
             notice->why[0] ? ": " : "", notice->why);
    return 0;
  }
  snprintf(text, TW_KAFKA_TEXT, "%s", reason);
  return 0;
}

const char *tw__kafka_say(struct tw__kafka_notice *notice) {
  if (!notice->text[0] || !strcmp(notice->text, notice->said)) {
    notice->text[0] = '\0';
    return NULL;
  }
  memcpy(notice->said, notice->text, sizeof notice->said);
  notice->text[0] = '\0';
  return notice->said;
}
