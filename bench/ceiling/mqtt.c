/* mqtt MODE PORT N -- libmosquitto: N messages of QoS 1 read that the broker has kept for the
 * client "bench", or written. Prints thousand messages/s, ns of CPU per message.
 *
 * It acknowledges before it calls back, so that what is read here may be lost by a crash. */
#include <mosquitto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static long n, count;
static double wall, cpu;

static double at(clockid_t clock) {
  struct timespec now;
  clock_gettime(clock, &now);
  return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static void begin(void) {
  wall = at(CLOCK_MONOTONIC);
  cpu = at(CLOCK_PROCESS_CPUTIME_ID);
}

static void on_connect(struct mosquitto *m, void *ctx, int rc) {
  if (!rc && ctx) mosquitto_subscribe(m, NULL, "bench", 1);
}

static void on_message(struct mosquitto *m, void *ctx,
                       const struct mosquitto_message *x) {
  (void)ctx;
  (void)x;
  if (++count == 1) begin();
  if (count == n) mosquitto_disconnect(m);
}

static void on_publish(struct mosquitto *m, void *ctx, int mid) {
  (void)ctx;
  (void)mid;
  if (++count == n) mosquitto_disconnect(m);
}

int main(int argc, char **argv) {
  char text[100];
  if (argc < 4) return 2;
  const int reads = !strcmp(argv[1], "read");
  n = atol(argv[3]);
  memset(text, 'x', sizeof text);
  mosquitto_lib_init();
  struct mosquitto *m =
      mosquitto_new(reads ? "bench" : NULL, !reads, reads ? &n : NULL);
  mosquitto_connect_callback_set(m, on_connect);
  mosquitto_message_callback_set(m, on_message);
  mosquitto_publish_callback_set(m, on_publish);
  mosquitto_int_option(m, MOSQ_OPT_SEND_MAXIMUM, 1000);
  begin();
  if (mosquitto_connect(m, "127.0.0.1", atoi(argv[2]), 60)) return 1;
  long sent = 0;
  while (count < n) {
    for (; !reads && sent < n && sent < count + 1000; sent++)
      mosquitto_publish(m, NULL, "nobody", sizeof text, text, 1, false);
    if (mosquitto_loop(m, 100, 1)) break;
  }
  if (count < n) return 1;
  printf("%.1f\t%.0f\n", (double)n / (at(CLOCK_MONOTONIC) - wall) / 1e3,
         (at(CLOCK_PROCESS_CPUTIME_ID) - cpu) / (double)n * 1e9);
  return 0;
}
