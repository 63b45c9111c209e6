/* shake -- handshakes are read in any pieces, judged as RFC 6455 says, and survive nonsense. */
#include "peer.h"

static void answers_keys(void) {
  char accept[TW__WS_ACCEPT];
  tw__ws_shake_accept("dGhlIHNhbXBsZSBub25jZQ==", accept); /* RFC 6455, 1.3 */
  CHECKF(!strcmp(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "%s", accept);
}

/* Reads in random pieces. Returns as tw__ws_shake_read, of all of it. */
static int64_t read_all(tw__ws_shake *shake, const char *bytes, int64_t len) {
  int64_t at = 0;
  while (at < len && !shake->done) {
    const int64_t n = 1 + check_below(len - at);
    char *piece = tw__mem_copy(bytes + at, n);
    const int64_t used = tw__ws_shake_read(shake, piece, n);
    tw__free(piece);
    if (used < 0) return used;
    CHECK(used <= n && (shake->done || used == n));
    at += used;
  }
  return at;
}

static void reads_requests(void) {
  const int64_t len = sizeof REQUEST - 1;
  char text[400];
  memcpy(text, REQUEST, sizeof REQUEST - 1);
  memcpy(text + len, "\x81\x05", 2); /* frames that come with it */
  for (int k = 0; k < 300; k++) {
    tw__ws_shake *shake = tw__ws_shake_open(1);
    struct tw__bytes answer = {0};
    const tw_ws_options o = {.path = "/p"};
    CHECK(read_all(shake, text, len + 2) == len);
    CHECK(shake->done);
    CHECK(!strcmp(tw__ws_shake_target(shake), "/p?q"));
    CHECK(!strcmp(tw__ws_shake_field(shake, "sec-websocket-version"), "13"));
    CHECK(!strcmp(tw__ws_shake_field(shake, "nothing"), ""));
    CHECK(tw__ws_shake_answer(shake, &o, &answer) == TW_OK);
    CHECK(!memcmp(answer.at, "HTTP/1.1 101 ", 13));
    tw__bytes_clear(&answer);
    tw__ws_shake_close(shake);
  }
}

/* A client's request, a server's answer to it, and what the client thinks of it. */
static void agrees(void) {
  const tw_ws_options o = {.path = "/x", .authority = "h:1", .protocols = "a, b"};
  const tw_ws_options s = {.protocols = "z, b"};
  tw__ws_shake *mine = tw__ws_shake_open(0), *yours = tw__ws_shake_open(1);
  struct tw__bytes request = {0}, answer = {0};
  CHECK(tw__ws_shake_request(mine, &o, &request) == TW_OK);
  CHECK(read_all(yours, request.at, request.len) == request.len);
  CHECK(tw__ws_shake_answer(yours, &s, &answer) == TW_OK);
  CHECK(read_all(mine, answer.at, answer.len) == answer.len);
  CHECK(tw__ws_shake_check(mine, &o, error, sizeof error) == TW_OK);
  CHECK(!strcmp(tw__ws_shake_field(mine, "sec-websocket-protocol"), "b"));
  mine->key[0] ^= 1;
  CHECK(tw__ws_shake_check(mine, &o, error, sizeof error) == TW_EPARSE);
  tw__bytes_clear(&request);
  tw__bytes_clear(&answer);
  tw__ws_shake_close(mine);
  tw__ws_shake_close(yours);
}

/* Bytes changed, left out, doubled: an answer or a refusal, and no more than there is. */
static void survives_nonsense(void) {
  static const char ANSWER[] =
      "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
      "Connection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n";
  for (int k = 0; k < (check_long ? 1000000 : 30000); k++) {
    const int server = (int)check_below(2);
    const char *from = server ? REQUEST : ANSWER;
    int64_t len = (int64_t)strlen(from);
    char text[1000];
    memcpy(text, from, (size_t)len);
    for (int64_t n = check_below(6); n > 0; n--) {
      const int64_t at = check_below(len), size = 1 + check_below(len - at);
      switch (check_below(4)) {
      case 0: text[at] = (char)check_below(256); break;
      case 1:
        memmove(text + at, text + at + size, (size_t)(len - at - size));
        len -= size;
        break;
      case 2:
        if (len + size > 900) break;
        memmove(text + at + size, text + at, (size_t)(len - at));
        len += size;
        break;
      default: text[at] = "\r\n :,\0"[check_below(6)];
      }
      if (len == 0) len = 1;
    }
    tw__ws_shake *shake = tw__ws_shake_open(server);
    struct tw__bytes answer = {0};
    const tw_ws_options o = {.path = "/p", .protocols = "a", .origins = "b"};
    if (read_all(shake, text, len) >= 0 && shake->done) {
      if (server)
        CHECK(tw__ws_shake_answer(shake, &o, &answer) <= 0 && answer.len > 0);
      else
        CHECK(tw__ws_shake_check(shake, &o, error, sizeof error) == TW_EPARSE);
    }
    tw__bytes_clear(&answer);
    tw__ws_shake_close(shake);
  }
}

static void has_a_limit(void) {
  tw__ws_shake *shake = tw__ws_shake_open(1);
  static char field[20000];
  CHECK(read_all(shake, "GET / HTTP/1.1\r\nA: ", 19) == 19);
  memset(field, 'x', sizeof field);
  CHECK(read_all(shake, field, sizeof field) == TW_EPARSE);
  tw__ws_shake_close(shake);
}

int main(int argc, char **argv) {
  check_open(argc, argv);
  const int64_t before = tw_mem_bytes();
  answers_keys();
  reads_requests();
  agrees();
  survives_nonsense();
  has_a_limit();
  CHECK(tw_mem_bytes() == before);
  return check_close();
}
