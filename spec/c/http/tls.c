/* tls -- what one side says comes out on the other, in whatever pieces it travels; noise and
 * files that cannot be used are told. */
#include <openssl/ssl.h>
#include <stdlib.h>
#include <unistd.h>

#include "http/tls.h"

#include "../check.h"

enum { LONGEST = 300000 };

static char folder[] = "/tmp/tideway-tls-XXXXXX";
static char cert[64], key[64], error[200];
static tw_tls *tls;
static char said[LONGEST], heard[LONGEST + 20000];

static void make_certificate(void) {
  char line[400];
  CHECK(mkdtemp(folder) != NULL);
  snprintf(cert, sizeof cert, "%s/cert", folder);
  snprintf(key, sizeof key, "%s/key", folder);
  snprintf(line, sizeof line,
           "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes "
           "-days 2 -subj /CN=localhost -keyout %s -out %s 2> /dev/null",
           key, cert);
  CHECK(system(line) == 0);
}

/* A client and a session, and what is on its way between them. */
struct pair {
  SSL_CTX *context;
  SSL *client;
  BIO *to, *from; /* the client's */
  tw__tls_session *session;
};

static void open_pair(struct pair *pair) {
  pair->context = SSL_CTX_new(TLS_client_method());
  pair->client = SSL_new(pair->context);
  pair->to = BIO_new(BIO_s_mem());
  pair->from = BIO_new(BIO_s_mem());
  SSL_set_bio(pair->client, pair->to, pair->from);
  SSL_set_connect_state(pair->client);
  pair->session = tls->open(tls);
  CHECK(pair->session != NULL);
}

static void close_pair(struct pair *pair) {
  tls->close(pair->session);
  SSL_free(pair->client);
  SSL_CTX_free(pair->context);
}

/* Carry a piece of what there is, each way. */
static void carry(struct pair *pair) {
  char piece[5000];
  const int64_t most = check_below(3) ? (int64_t)sizeof piece : 20;
  const int n = BIO_read(pair->from, piece, 1 + (int)check_below(most));
  if (n > 0) CHECK(tls->feed(pair->session, piece, (size_t)n) == TW_OK);
  const char *bytes;
  const size_t len = tls->out(pair->session, &bytes);
  if (len && check_below(2)) {
    CHECK(BIO_write(pair->to, bytes, (int)len) == (int)len);
    tls->sent(pair->session);
  }
}

static void shake(struct pair *pair) {
  char none;
  for (int i = 0;
       i < 10000 && !(tls->ready(pair->session) && SSL_is_init_finished(pair->client));
       i++) {
    SSL_do_handshake(pair->client);
    carry(pair);
    CHECK(tls->read(pair->session, &none, 1) == TLS_MORE);
  }
  CHECK(tls->ready(pair->session));
}

static void carries_what_both_say(void) {
  struct pair pair;
  open_pair(&pair);
  CHECK(!tls->ready(pair.session));
  shake(&pair);
  for (int round = 0; round < 20; round++) {
    const int len = 1 + (int)check_below(round ? 5000 : LONGEST);
    for (int i = 0; i < len; i++) said[i] = (char)check_below(256);
    CHECK(SSL_write(pair.client, said, len) == len);
    int got = 0, rc = 0;
    for (int i = 0; got < len && i < 100000; i++) {
      carry(&pair);
      while ((rc = tls->read(pair.session, heard + got, 20000)) > 0) got += rc;
      CHECK(rc == TLS_MORE);
    }
    CHECKF(got == len && !memcmp(said, heard, (size_t)len), "%d of %d", got, len);
    CHECK(tls->write(pair.session, said, (size_t)len) == TW_OK);
    got = 0;
    for (int i = 0; got < len && i < 100000; i++) {
      carry(&pair);
      while ((rc = SSL_read(pair.client, heard + got, 20000)) > 0) got += rc;
    }
    CHECKF(got == len && !memcmp(said, heard, (size_t)len), "%d of %d", got, len);
  }
  tls->end(pair.session);
  for (int i = 0; i < 100; i++) carry(&pair);
  CHECK(SSL_read(pair.client, heard, 1) <= 0);
  CHECK(SSL_get_shutdown(pair.client) == SSL_RECEIVED_SHUTDOWN);
  SSL_shutdown(pair.client);
  for (int i = 0; i < 100; i++) carry(&pair);
  CHECK(tls->read(pair.session, heard, 1) == TLS_ENDED);
  close_pair(&pair);
}

static void tells_what_is_not_tls(void) {
  tw__tls_session *session = tls->open(tls);
  const char *request = "GET / HTTP/1.1\r\nHost: a\r\n\r\n", *bytes;
  CHECK(tls->read(session, heard, 1) == TLS_MORE);
  CHECK(tls->feed(session, request, strlen(request)) == TW_OK);
  CHECK(tls->read(session, heard, 1) == TLS_PLAIN_HTTP);
  tls->end(session);
  tls->close(session);
  session = tls->open(tls);
  CHECK(tls->feed(session, "\x16\x03\x01garbage that is long enough", 30) == TW_OK);
  CHECK(tls->read(session, heard, 1) == TLS_FAILED);
  CHECK(tls->out(session, &bytes) > 0); /* an alert */
  CHECK(tls->write(session, "x", 1) == TW_EIO);
  tls->close(session);
}

/* A good conversation with bytes changed: the end of that, and of nothing else. */
static void survives_noise(void) {
  for (int k = 0; k < (check_long ? 3000 : 200); k++) {
    struct pair pair;
    open_pair(&pair);
    if (check_below(2)) shake(&pair);
    int rc = TLS_MORE;
    for (int i = 0; i < 20 && rc == TLS_MORE; i++) {
      char piece[2000];
      if (SSL_is_init_finished(pair.client))
        SSL_write(pair.client, "hello", 5);
      else
        SSL_do_handshake(pair.client);
      const int n = BIO_read(pair.from, piece, sizeof piece);
      if (n > 0 && check_below(2)) piece[check_below(n)] = (char)check_below(256);
      if (n > 0) tls->feed(pair.session, piece, (size_t)n);
      while ((rc = tls->read(pair.session, heard, 100)) > 0) {
      }
      carry(&pair);
    }
    close_pair(&pair);
  }
  carries_what_both_say();
}

static void says_which_file_is_wrong(void) {
  CHECK(!tw_tls_open(&(tw_tls_options){.cert = "/nowhere", .key = key}, error,
                     sizeof error));
  CHECKF(!strcmp(error, "/nowhere: No such file or directory"), "%s", error);
  CHECK(!tw_tls_open(&(tw_tls_options){.cert = key, .key = key}, error, sizeof error));
  CHECKF(!strncmp(error, key, strlen(key)), "%s", error);
  CHECK(
      !tw_tls_open(&(tw_tls_options){.cert = cert, .key = cert}, error, sizeof error));
  CHECKF(!strncmp(error, cert, strlen(cert)), "%s", error);
  CHECK(
      !tw_tls_open(&(tw_tls_options){.cert = cert, .key = key, .client_ca = "/nowhere"},
                   error, sizeof error));
  CHECKF(!strncmp(error, "/nowhere: ", 10), "%s", error);
}

static void wants_a_certificate_when_told_to(void) {
  tw_tls_options options = {.cert = cert, .key = key, .client_ca = cert};
  tw_tls *open = tls;
  tls = tw_tls_open(&options, error, sizeof error);
  CHECKF(tls != NULL, "%s", error);
  for (int with = 0; with < 2; with++) {
    struct pair pair;
    open_pair(&pair);
    if (with) {
      CHECK(SSL_use_certificate_file(pair.client, cert, SSL_FILETYPE_PEM) == 1);
      CHECK(SSL_use_PrivateKey_file(pair.client, key, SSL_FILETYPE_PEM) == 1);
    }
    int rc = TLS_MORE;
    for (int i = 0; i < 1000 && rc == TLS_MORE && !tls->ready(pair.session); i++) {
      SSL_do_handshake(pair.client);
      carry(&pair);
      rc = tls->read(pair.session, heard, 1);
    }
    CHECKF(rc == (with ? TLS_MORE : TLS_FAILED), "%d", rc);
    close_pair(&pair);
  }
  tw_tls_close(tls);
  tls = open;
}

int main(int argc, char **argv) {
  char line[100];
  check_open(argc, argv);
  make_certificate();
  says_which_file_is_wrong();
  tls = tw_tls_open(&(tw_tls_options){.cert = cert, .key = key}, error, sizeof error);
  CHECKF(tls != NULL, "%s", error);
  carries_what_both_say();
  tells_what_is_not_tls();
  survives_noise();
  wants_a_certificate_when_told_to();
  tls->ref(tls);
  tw_tls_close(tls);
  tls->close(tls->open(tls)); /* whoever has it, keeps it */
  tls->unref(tls);
  tw_tls_close(NULL);
  CHECKF(tw_mem_bytes() == 0, "%lld", (long long)tw_mem_bytes());
  snprintf(line, sizeof line, "rm -r %s", folder);
  CHECK(system(line) == 0);
  return check_close();
}
