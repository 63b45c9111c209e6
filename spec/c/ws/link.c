/* link -- bytes go over plain sockets and through TLS, to the end. */
#include <signal.h>

#include "peer.h"

static tw__ws_link one, two;

static void open_pair(void) {
  int fds[2];
  CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) == 0);
  one = (tw__ws_link){.fd = fds[0]};
  two = (tw__ws_link){.fd = fds[1]};
}

/* Random pieces one way, with what is kept between; then the end. */
static void carries(void) {
  static char text[300000], back[300000];
  int64_t sent = 0, got = 0;
  for (int64_t i = 0; i < (int64_t)sizeof text; i++) text[i] = (char)check_below(256);
  CHECK(tw__ws_link_recv(&two, back, 10) == TW_AGAIN);
  while (got < (int64_t)sizeof text) {
    if (sent < (int64_t)sizeof text) {
      const int64_t n =
          tw__ws_link_send(&one, text + sent, (int64_t)sizeof text - sent);
      CHECK(n > 0 || n == TW_AGAIN);
      if (n > 0) sent += n;
    }
    const int64_t n =
        tw__ws_link_recv(&two, back + got, 1 + check_below((int64_t)sizeof text - got));
    CHECK(n > 0 || n == TW_AGAIN);
    if (n > 0) got += n;
  }
  CHECK(!memcmp(text, back, sizeof text));
  tw__ws_link_finish(&one);
  CHECK(tw__ws_link_recv(&two, back, 10) == 0);
  CHECK(tw__ws_link_send(&two, "x", 1) == 1);
  tw__ws_link_close(&one);
  tw__ws_link_close(&two);
}

static void carries_tls(void) {
  static const char command[] =
      "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=here "
      "-addext subjectAltName=DNS:here -keyout %s.key -out %s.crt 2> /dev/null";
  char base[64], line[512], cert[96], key[96];
  snprintf(base, sizeof base, "/tmp/tideway-link-%d", (int)getpid());
  snprintf(cert, sizeof cert, "%s.crt", base);
  snprintf(key, sizeof key, "%s.key", base);
  snprintf(line, sizeof line, command, base, base);
  if (system(line)) {
    printf("left out: TLS, openssl cannot make a certificate\n");
    return;
  }
  const tw_ws_options o = {.cert_file = cert, .key_file = key, .ca_file = cert};
  const tw_ws_options wrong = {.cert_file = cert, .key_file = cert};
  CHECK(!tw__ws_link_context(&wrong, 1, error, sizeof error));
  CHECKF(!strncmp(error, "TLS: /tmp/", 10), "%s", error);
  SSL_CTX *server = tw__ws_link_context(&o, 1, error, sizeof error);
  SSL_CTX *trusting = tw__ws_link_context(&o, 0, error, sizeof error);
  CHECK(server && trusting);
  static const struct {
    const char *host;
    int verify, good;
  } cases[] = {{"here", 1, 1}, {"there", 1, 0}, {"there", 0, 1}, {"127.0.0.1", 1, 0}};
  for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
    open_pair();
    CHECK(tw__ws_link_tls(&one, trusting, cases[k].host, cases[k].verify) == TW_OK);
    CHECK(tw__ws_link_tls(&two, server, NULL, 0) == TW_OK);
    int a = TW_AGAIN, b = TW_AGAIN;
    for (int i = 0; i < 100 && (a == TW_AGAIN || b == TW_AGAIN); i++) {
      if (a == TW_AGAIN) a = tw__ws_link_secure(&one, error, sizeof error);
      char other[256];
      if (b == TW_AGAIN) b = tw__ws_link_secure(&two, other, sizeof other);
      if (a == TW_EIO) break;
    }
    CHECK((a == TW_OK) == cases[k].good);
    if (a == TW_OK) {
      carries();
    } else {
      CHECKF(strstr(error, "mismatch") != NULL, "%s", error);
      tw__ws_link_close(&one);
      tw__ws_link_close(&two);
    }
  }
  SSL_CTX_free(server);
  SSL_CTX_free(trusting);
  remove(cert);
  remove(key);
}

int main(int argc, char **argv) {
  check_open(argc, argv);
  signal(SIGPIPE, SIG_IGN);
  open_pair();
  carries();
  carries_tls();
  return check_close();
}
