/* peer.h -- what the specs of WebSockets share: options, turns of the loop, peers by hand. */
#ifndef TIDEWAY_SPEC_WS_PEER_H
#define TIDEWAY_SPEC_WS_PEER_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/mem.h"
#include "ws/ws.h"

#include "../check.h"

static tw_loop *loop;
static char error[256];

static const char REQUEST[] = "GET /p?q HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n"
                              "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                              "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

__attribute__((unused)) static tw_ws_options options(void) {
  return (tw_ws_options){.host = "127.0.0.1",
                         .authority = "a",
                         .backlog = 64,
                         .verify = 1,
                         .max_connections = 2000,
                         .max_message = 100000,
                         .max_held = 1 << 22,
                         .max_behind = 1 << 16,
                         .patience_ms = 30000,
                         .ping_ms = 30000,
                         .shake_ms = 30000,
                         .close_ms = 30000};
}

__attribute__((unused)) static void turn(int64_t ms) {
  uint32_t ready[64];
  tw_loop_poll(loop, ms, ready, 64);
}

/* Waits for a condition, for up to a minute. */
#define AWAIT(cond)                                                                    \
  do {                                                                                 \
    const int64_t till = tw_loop_now_ns() + 60000000000;                               \
    while (!(cond) && tw_loop_now_ns() < till) turn(1);                                \
    CHECK(cond);                                                                       \
  } while (0)

__attribute__((unused)) static tw_ws *serve(tw_ws_options o) {
  tw_ws *ws = tw_ws_serve(loop, &o, error, sizeof error);
  CHECKF(ws != NULL, "%s", error);
  CHECKF(tw_ws_listen(ws, error, sizeof error) == TW_OK, "%s", error);
  return ws;
}

__attribute__((unused)) static tw_ws *client(int port, tw_ws_options o) {
  o.port = port;
  tw_ws *ws = tw_ws_client(loop, &o, error, sizeof error);
  CHECKF(ws != NULL, "%s", error);
  return ws;
}

__attribute__((unused)) static int dial(int port) {
  const int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;
  struct sockaddr_in to = {.sin_family = AF_INET,
                           .sin_port = htons((uint16_t)port),
                           .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  CHECK(connect(fd, (struct sockaddr *)&to, sizeof to) == 0);
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  fcntl(fd, F_SETFL, O_NONBLOCK);
  return fd;
}

/* Gives up when the other side has closed. */
__attribute__((unused)) static void say(int fd, const void *bytes, int64_t len) {
  const char *at = bytes;
  while (len > 0) {
    const ssize_t n = send(fd, at, (size_t)len, MSG_NOSIGNAL);
    if (n > 0) {
      at += n;
      len -= n;
    } else if (errno == EAGAIN) {
      turn(0);
    } else {
      return;
    }
  }
}

static char heard[1 << 16];

/* What comes until there are `least` bytes or the end; how many. */
__attribute__((unused)) static int64_t hear(int fd, int64_t least) {
  int64_t len = 0;
  const int64_t till = tw_loop_now_ns() + 60000000000;
  while (len < least && tw_loop_now_ns() < till) {
    turn(0);
    const ssize_t n = recv(fd, heard + len, sizeof heard - 1 - (size_t)len, 0);
    if (n > 0) len += n;
    if (n == 0 || (n < 0 && errno != EAGAIN)) break;
    if (n < 0) turn(1);
  }
  heard[len] = '\0';
  return len;
}

/* A connection of which the handshake is over. */
__attribute__((unused)) static int joined(int port) {
  const int fd = dial(port);
  say(fd, REQUEST, sizeof REQUEST - 1);
  hear(fd, 129);
  CHECKF(!strncmp(heard, "HTTP/1.1 101 ", 13), "%s", heard);
  return fd;
}

__attribute__((unused)) static void say_frame(int fd, int opcode, const void *bytes,
                                              int64_t len) {
  tw__ws_frame *frame = tw__ws_frame_make(opcode, bytes, len, 1);
  say(fd, frame->bytes, frame->len);
  tw__ws_frame_unref(frame);
}

/* The next messages, waiting for them. */
__attribute__((unused)) static int next(tw_ws *ws) {
  for (int i = 0; i < 60000; i++) {
    const int n = tw_ws_next(ws);
    if (n != TW_AGAIN) return n;
    turn(1);
  }
  return TW_AGAIN;
}

__attribute__((unused)) static int is(const tw_ws *ws, int i, const char *text) {
  const tw_ws_message *message = &tw_ws_messages(ws)[i];
  return message->len == (int64_t)strlen(text) &&
         !memcmp(message->ptr, text, strlen(text));
}

/* Closes an endpoint and lets its handles go. */
__attribute__((unused)) static void over(tw_ws *ws) {
  tw_ws_close(ws);
  turn(0);
  turn(0);
}

#endif
