/* client -- sessions with a broker that is written out here, byte by byte, well and badly. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tideway.h"

#include "../check.h"

static tw_loop *loop;
static int listener, port, fd = -1;
static tw_mqtt *mqtt;

static void turn(int ms) {
  uint32_t ready[8];
  tw_loop_poll(loop, ms, ready, 8);
}

static void await_state(int state) {
  for (int i = 0; i < 30000 && tw_mqtt_state(mqtt) != state; i++) turn(2);
  CHECKF(tw_mqtt_state(mqtt) == state, "%d: %s", tw_mqtt_state(mqtt),
         tw_mqtt_error(mqtt));
}

static void listen_here(void) {
  struct sockaddr_in at = {.sin_family = AF_INET,
                           .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t len = sizeof at;
  listener = socket(AF_INET, SOCK_STREAM, 0);
  bind(listener, (struct sockaddr *)&at, sizeof at);
  listen(listener, 10);
  fcntl(listener, F_SETFL, O_NONBLOCK);
  getsockname(listener, (struct sockaddr *)&at, &len);
  port = ntohs(at.sin_port);
}

/* The broker takes the connection; fd is -1 when the client has given up before. */
static void take(void) {
  if (fd >= 0) close(fd);
  fd = -1;
  for (int i = 0; i < 30000 && fd < 0; i++) {
    turn(2);
    fd = accept(listener, NULL, NULL);
    if (tw_mqtt_state(mqtt) == TW_MQTT_DOWN) break;
  }
  fcntl(fd, F_SETFL, O_NONBLOCK);
  const int on = 1; /* what is put comes at once */
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

/* The next packet that the broker gets is of this type; its body is in `body`. */
static uint8_t body[1 << 16];
static int body_len;

static int next_byte(void) {
  uint8_t byte;
  for (int i = 0; i < 30000; i++) {
    const ssize_t n = recv(fd, &byte, 1, 0);
    if (n == 1) return byte;
    if (n == 0 || errno != EAGAIN) return -1;
    turn(2);
  }
  return -2;
}

static int receive(void) {
  const int type = next_byte();
  if (type < 0) return type;
  int shift = 0, byte;
  body_len = 0;
  do {
    byte = next_byte();
    body_len |= (byte & 127) << shift;
    shift += 7;
  } while (byte & 128);
  for (int i = 0; i < body_len; i++) body[i] = (uint8_t)next_byte();
  return type >> 4;
}

#define GET(type)                                                                      \
  do {                                                                                 \
    const int got = receive();                                                         \
    CHECKF(got == (type), "got %d", got);                                              \
  } while (0)

#define PUT(text) send(fd, text, sizeof(text) - 1, MSG_NOSIGNAL)
#define CONNACK   PUT("\x20\x03\0\0\0")

/* A client, and its connection to the broker. */
static void dial(const tw_mqtt_options *more) {
  tw_mqtt_options o = *more;
  o.host = "127.0.0.1";
  o.port = port;
  o.client_id = "me";
  if (!o.timeout_ms) o.timeout_ms = 60000;
  if (!o.in_flight) o.in_flight = 10;
  mqtt = tw_mqtt_open(loop, &o);
  CHECK(mqtt && tw_mqtt_connect(mqtt) == TW_OK);
  CHECK(tw_mqtt_connect(mqtt) == TW_EINVAL);
  take();
}

static void start(const tw_mqtt_options *o) {
  dial(o);
  GET(1);
}

static void stop(void) {
  tw_mqtt_close(mqtt);
  turn(2);
}

static void reader(void) {
  start(
      &(tw_mqtt_options){.filters = "a\0b\0", .filters_len = 4, .qos = 1, .clean = 1});
  PUT("\x20\x06\0\0\3\x21\0\5");
  GET(8);
  CHECK(body_len == 2 + 1 + 4 + 4);
  PUT("\x90\x05\0\1\0\1\1");
  await_state(TW_MQTT_UP);
  CHECK(tw_mqtt_next(mqtt) == TW_AGAIN);
  PUT("\x32\x08\0\1a\0\7\0xy\x32\x07\0\1b\0\x8\0z\x30\x0c\0\1b\7\x26\0\1k\0\1v");
  PUT("q"); /* a packet in pieces */
  int n = 0;
  for (int i = 0; i < 30000 && n <= 0; i++) turn(2), n = tw_mqtt_next(mqtt);
  CHECK(n == 3);
  const tw_mqtt_message *m = tw_mqtt_messages(mqtt);
  CHECK(m[0].payload_len == 2 && !memcmp(m[0].payload, "xy", 2) && m[0].qos == 1);
  tw_mqtt_property p;
  CHECK(tw_mqtt_property_of(mqtt, 2, 0, &p) == 38 && p.name[0] == 'k' &&
        p.value[0] == 'v');
  CHECK(tw_mqtt_property_of(mqtt, 2, 1, &p) == 0 && m[2].payload_len == 1);
  *tw_mqtt_at(mqtt) =
      1; /* the first is through: acknowledged while the second is on its way */
  GET(4);
  CHECK(body[1] == 7);
  tw_mqtt_keep(mqtt, 1);
  const double number = m[1].number;
  *tw_mqtt_at(mqtt) = 2;
  tw_mqtt_back(mqtt);
  CHECK(tw_mqtt_kept(mqtt) == 1);
  close(fd); /* it breaks; the broker has kept the session and sends the second again */
  fd = -1;
  await_state(TW_MQTT_DOWN);
  CHECK(strstr(tw_mqtt_error(mqtt), "closed"));
  CHECK(tw_mqtt_connect(mqtt) == TW_OK);
  take();
  GET(1);
  CHECK(!(body[7] & 2)); /* not from anew */
  PUT("\x20\x03\1\0\0\x3a\x07\0\1b\0\x8\0z");
  await_state(TW_MQTT_UP);
  turn(5);
  CHECK(tw_mqtt_next(mqtt) == TW_AGAIN);
  tw_mqtt_release(mqtt, number);
  GET(4);
  CHECK(body[1] == 8 && tw_mqtt_kept(mqtt) == 0);
  tw_mqtt_stop(mqtt);
  tw_mqtt_disconnect(mqtt);
  CHECK(tw_mqtt_state(mqtt) == TW_MQTT_CLOSING);
  GET(14);
  CHECK(body_len == 7); /* forget it */
  PUT("\x30\5\0\1bno"); /* is thrown away */
  close(fd);
  fd = -1;
  await_state(TW_MQTT_CLOSED);
  stop();
}

static void writer(void) {
  tw_mqtt_record r = {.topic = "t",
                      .topic_len = 1,
                      .payload = "x",
                      .payload_len = 1,
                      .qos = 2,
                      .id = 1};
  start(&(tw_mqtt_options){.clean = 1, .in_flight = 2});
  CHECK(tw_mqtt_publish(mqtt, &r) == TW_OK); /* before there is a connection */
  r.id = 2;
  CHECK(tw_mqtt_publish(mqtt, &r) == TW_OK && tw_mqtt_publish(mqtt, &r) == TW_AGAIN);
  PUT("\x20\x06\0\0\3\x21\0\1"); /* one at a time */
  GET(3);
  PUT("\x50\2\0\1");
  GET(6);
  PUT("\x70\2\0\1");
  GET(3);
  CHECK(tw_mqtt_reports(mqtt) == 1 && tw_mqtt_report_of(mqtt)->id == 1);
  close(fd);
  fd = -1;
  await_state(TW_MQTT_DOWN);
  tw_mqtt_connect(mqtt);
  take();
  GET(1);
  PUT("\x20\3\1\0\0");
  GET(3);
  PUT("\x50\3\0\1\x87");
  for (int i = 0; i < 30000 && tw_mqtt_pending(mqtt); i++) turn(2);
  CHECK(tw_mqtt_reports(mqtt) == 1 && tw_mqtt_report_of(mqtt)->error == 0x87);
  CHECK(!strcmp(tw_mqtt_reason(0x87), "not authorized"));
  r.qos = 0;
  r.id = 3;
  CHECK(tw_mqtt_publish(mqtt, &r) == TW_OK);
  GET(3);
  turn(2);
  CHECK(tw_mqtt_reports(mqtt) == 1 && !tw_mqtt_pending(mqtt));
  r.topic = "a/#", r.topic_len = 3;
  CHECK(tw_mqtt_publish(mqtt, &r) == TW_EINVAL && tw_mqtt_error(mqtt)[0]);
  r.topic = "t", r.topic_len = 1, r.id = 4;
  close(fd);
  fd = -1;
  await_state(TW_MQTT_DOWN);
  CHECK(tw_mqtt_publish(mqtt, &r) == TW_OK);
  tw_mqtt_drop(mqtt);
  CHECK(tw_mqtt_reports(mqtt) == 1 && tw_mqtt_report_of(mqtt)->error == -1);
  stop();
}

/* What a broker says to CONNECT, and what comes of it. */
static void answered(const char *bytes, int64_t len, int version, int state,
                     const char *why) {
  start(&(tw_mqtt_options){.clean = 1, .version = version, .qos = 2});
  send(fd, bytes, (size_t)len, MSG_NOSIGNAL);
  await_state(state);
  CHECKF(strstr(tw_mqtt_error(mqtt), why), "%s", tw_mqtt_error(mqtt));
  stop();
}
#define ANSWERED(bytes, version, state, why)                                           \
  answered(bytes, sizeof(bytes) - 1, version, state, why)

/* The same, when that is no answer. */
static void unanswered(const char *bytes, int64_t len) {
  for (int ms = 30, got = 0; got != 1; ms *= 2) { /* no time to say hello: once more */
    if (ms > 30) stop();
    dial(&(tw_mqtt_options){.clean = 1, .timeout_ms = ms});
    got = receive();
  }
  send(fd, bytes, (size_t)len, MSG_NOSIGNAL);
  await_state(TW_MQTT_DOWN);
  CHECK(strstr(tw_mqtt_error(mqtt), "does not answer"));
  stop();
}

static void refused(void) {
  ANSWERED("\x20\2\0\4", 4, TW_MQTT_REFUSED, "bad user name or password");
  ANSWERED("\x20\2\0\3", 4, TW_MQTT_DOWN, "unavailable");
  ANSWERED("\x20\3\0\x87\0", 5, TW_MQTT_REFUSED, "not authorized");
  ANSWERED("\x20\x09\0\x89\6\x1f\0\3why", 5, TW_MQTT_DOWN, "busy (why)");
  ANSWERED("\x20\5\0\0\2\x24\1", 5, TW_MQTT_REFUSED, "QoS 1 at most");
  ANSWERED("\x20\2\0\1", 5, TW_MQTT_REFUSED, "does not speak");
  ANSWERED("\x20\1\0", 4, TW_MQTT_DOWN, "not MQTT");
  ANSWERED("\x20\x04\0\0\1\xff", 5, TW_MQTT_DOWN, "not MQTT");
  ANSWERED("\x30\5\0\1tno", 5, TW_MQTT_DOWN, "not MQTT"); /* before CONNACK */
  ANSWERED("\x20\3\0\0\0\xe0\1\x8e", 5, TW_MQTT_REFUSED, "taken over");
  ANSWERED("\x20\3\0\0\0\xe0\1\x8b", 5, TW_MQTT_DOWN, "shutting down");
  ANSWERED("\x20\3\0\0\0\x20\3\0\0\0", 5, TW_MQTT_DOWN, "not MQTT");
  unanswered("", 0);
  unanswered("HTTP/1.1 400 Bad Request\r\n\r\n", 28); /* the beginning of a packet */
  start(&(tw_mqtt_options){.clean = 1, .filters = "a\0b/#\0", .filters_len = 6});
  CONNACK;
  GET(8);
  PUT("\x90\5\0\1\0\0\x87");
  await_state(TW_MQTT_REFUSED);
  CHECK(strstr(tw_mqtt_error(mqtt), "\"b/#\": not authorized"));
  stop();
  start(&(tw_mqtt_options){
      .clean = 1, .filters = "a\0", .filters_len = 2, .max_message = 10});
  CONNACK;
  GET(8);
  PUT("\x90\4\0\1\0\0");
  await_state(TW_MQTT_UP);
  PUT("\x30\xff\xff\x7f\0\1a");
  await_state(TW_MQTT_REFUSED);
  CHECK(strstr(tw_mqtt_error(mqtt), "max_message"));
  stop();
}

/* A broker of 3.1.1 is spoken to as it wants. */
static void older(void) {
  start(&(tw_mqtt_options){.clean = 1});
  CHECK(body[6] == 5);
  PUT("\x20\2\0\1");
  take();
  GET(1);
  CHECK(body[6] == 4);
  PUT("\x20\2\0\0");
  await_state(TW_MQTT_UP);
  stop();
}

static void silent(void) {
  start(&(tw_mqtt_options){.clean = 1, .keepalive_s = 1});
  CONNACK;
  await_state(TW_MQTT_UP);
  GET(12);
  PUT("\xd0\0");
  GET(12);
  for (int i = 0; i < 6000 && tw_mqtt_state(mqtt) == TW_MQTT_UP; i++) turn(10);
  CHECK(strstr(tw_mqtt_error(mqtt), "does not answer any more"));
  stop();
}

/* Anything behind CONNACK and SUBACK. */
static void anything(void) {
  for (int i = 0; i < 60; i++) {
    start(&(tw_mqtt_options){.clean = 1, .filters = "a\0", .filters_len = 2, .qos = 2});
    CONNACK;
    PUT("\x90\4\0\1\0\2");
    char bytes[300];
    for (size_t k = 0; k < sizeof bytes; k++)
      bytes[k] = (char)(check_below(3) ? check_below(10) : 0x20 + check_below(0xe0));
    send(fd, bytes, sizeof bytes, MSG_NOSIGNAL);
    for (int k = 0; k < 10; k++) {
      turn(1);
      const int n = tw_mqtt_next(mqtt);
      if (n > 0) {
        *tw_mqtt_at(mqtt) = (int)check_below(n);
        tw_mqtt_back(mqtt);
      }
    }
    stop();
  }
}

static void without_memory(void) {
  for (int n = 1; n < 14; n++) {
    const tw_mqtt_options o = {.host = "127.0.0.1",
                               .port = port,
                               .client_id = "x",
                               .username = "u",
                               .password = "p",
                               .password_len = 1,
                               .filters = "a\0",
                               .filters_len = 2,
                               .timeout_ms = 100,
                               .in_flight = 10};
    tw_mem_fail_at(n);
    mqtt = tw_mqtt_open(loop, &o);
    if (mqtt) {
      tw_mqtt_connect(mqtt);
      turn(2);
    }
    tw_mem_fail_at(0);
    tw_mqtt_close(mqtt);
    turn(2);
  }
}

int main(int argc, char **argv) {
  check_open(argc, argv);
  CHECK(tw_mqtt_abi() == TW_ABI);
  loop = tw_loop_open();
  listen_here();
  reader();
  writer();
  refused();
  older();
  silent();
  anything();
  without_memory();
  mqtt = tw_mqtt_open(loop, &(tw_mqtt_options){.host = "127.0.0.1",
                                               .port = port,
                                               .client_id = "",
                                               .timeout_ms = 100,
                                               .in_flight = 1});
  tw_mqtt_connect(mqtt);
  tw_loop_close(loop); /* closes it, too */
  close(fd);
  close(listener);
  return check_close();
}
