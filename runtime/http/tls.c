/* tls.c -- TLS for servers, by OpenSSL, between two memory BIOs; see tls.h.
 *
 * What comes from the socket is fed into one BIO, what goes to it is taken from the other:
 * sockets stay with whoever has them.
 */
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <string.h>

#include "core/mem.h"
#include "http/tls.h"

enum { KEEP = 16 << 10 }; /* a BIO that has held more is let go, once it is empty */

struct context {
  struct tw_tls tls; /* first */
  SSL_CTX *ssl;
  int refs;
};

struct tw__tls_session {
  SSL *ssl;
  BIO *in, *out; /* the session's */
};

/* ---- sessions ---------------------------------------------------------------- */

static void close_session(tw__tls_session *session) {
  if (!session) return;
  SSL_free(session->ssl); /* and the BIOs */
  tw__free(session);
}

static tw__tls_session *open_session(tw_tls *tls) {
  tw__tls_session *session = tw__calloc(1, sizeof *session);
  if (!session) return NULL;
  session->ssl = SSL_new(((struct context *)tls)->ssl);
  session->in = BIO_new(BIO_s_mem());
  session->out = BIO_new(BIO_s_mem());
  if (!session->ssl || !session->in || !session->out) {
    BIO_free(session->in);
    BIO_free(session->out);
    SSL_free(session->ssl);
    tw__free(session);
    ERR_clear_error();
    return NULL;
  }
  SSL_set_bio(session->ssl, session->in, session->out);
  SSL_set_accept_state(session->ssl);
  return session;
}

/* A new one in the place of a BIO that is empty and large, or NULL: it may stay. */
static BIO *instead_of(BIO *bio) {
  BUF_MEM *memory = NULL;
  BIO_get_mem_ptr(bio, &memory);
  return memory && memory->max > KEEP ? BIO_new(BIO_s_mem()) : NULL;
}

static int feed(tw__tls_session *session, const char *bytes, size_t len) {
  return BIO_write(session->in, bytes, (int)len) == (int)len ? TW_OK : TW_ENOMEM;
}

static int ready(const tw__tls_session *session) {
  return SSL_is_init_finished(session->ssl);
}

/* What an operation of OpenSSL has come to that did not give any bytes. */
static int outcome(tw__tls_session *session, int rc) {
  const int error = SSL_get_error(session->ssl, rc);
  const unsigned long why = ERR_peek_error();
  ERR_clear_error();
  if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) return TLS_MORE;
  if (error == SSL_ERROR_ZERO_RETURN) return TLS_ENDED;
  return ERR_GET_REASON(why) == SSL_R_HTTP_REQUEST ? TLS_PLAIN_HTTP : TLS_FAILED;
}

static int read_some(tw__tls_session *session, char *buf, size_t size) {
  const int n = SSL_read(session->ssl, buf, (int)size);
  if (n > 0) return n;
  const int rc = outcome(session, n);
  BIO *fresh =
      rc == TLS_MORE && !BIO_pending(session->in) ? instead_of(session->in) : NULL;
  if (fresh) {
    SSL_set0_rbio(session->ssl, fresh); /* frees the other */
    session->in = fresh;
  }
  return rc;
}

static int write_all(tw__tls_session *session, const char *bytes, size_t len) {
  while (len) { /* a memory BIO takes all, so this is once for each GB */
    const int some = len < 1 << 30 ? (int)len : 1 << 30;
    const int n = SSL_write(session->ssl, bytes, some);
    if (n <= 0) {
      ERR_clear_error();
      return TW_EIO;
    }
    bytes += n;
    len -= (size_t)n;
  }
  return TW_OK;
}

static void end(tw__tls_session *session) {
  SSL_shutdown(session->ssl);
  ERR_clear_error();
}

static size_t out(const tw__tls_session *session, const char **bytes) {
  char *at = NULL;
  const long n = BIO_get_mem_data(session->out, &at);
  *bytes = at;
  return n > 0 ? (size_t)n : 0;
}

static void sent(tw__tls_session *session) {
  BIO *fresh = instead_of(session->out);
  if (fresh) {
    SSL_set0_wbio(session->ssl, fresh);
    session->out = fresh;
  } else {
    (void)BIO_reset(session->out);
  }
}

/* ---- what all sessions share --------------------------------------------------- */

int tw_tls_abi(void) {
  return TW_ABI;
}

static void ref(tw_tls *tls) {
  ((struct context *)tls)->refs++;
}

static void unref(tw_tls *tls) {
  struct context *context = (struct context *)tls;
  if (--context->refs > 0) return;
  SSL_CTX_free(context->ssl);
  tw__free(context);
}

/* HTTP/1.1 is what we speak. A client that wants something else is not refused: it may have
 * said so from habit. */
static int choose(SSL *ssl, const unsigned char **chosen, unsigned char *len,
                  const unsigned char *offered, unsigned size, void *context) {
  static const unsigned char ours[] = "\x08http/1.1";
  (void)ssl, (void)context;
  const int rc = SSL_select_next_proto((unsigned char **)(uintptr_t)chosen, len, ours,
                                       sizeof ours - 1, offered, size);
  return rc == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_NOACK;
}

/* The oldest error in OpenSSL's words, of a file. */
static void complain(char *error, int64_t size, const char *path) {
  const unsigned long why = ERR_peek_error();
  const char *reason = ERR_SYSTEM_ERROR(why) ? strerror(ERR_GET_REASON(why))
                                             : ERR_reason_error_string(why);
  snprintf(error, (size_t)size, "%s: %s", path, reason ? reason : "cannot be used");
  ERR_clear_error();
}

/* Nobody is there to be asked for the password of a key. */
static int no_password(char *buf, int size, int writing, void *context) {
  (void)buf, (void)size, (void)writing, (void)context;
  return 0;
}

/* Returns the file that cannot be used, or NULL. */
static const char *load(SSL_CTX *ssl, const tw_tls_options *o) {
  SSL_CTX_set_default_passwd_cb(ssl, no_password);
  if (SSL_CTX_use_certificate_chain_file(ssl, o->cert) != 1) return o->cert;
  if (SSL_CTX_use_PrivateKey_file(ssl, o->key, SSL_FILETYPE_PEM) != 1) return o->key;
  if (!o->client_ca) return NULL;
  STACK_OF(X509_NAME) *names = SSL_load_client_CA_file(o->client_ca);
  if (!names) return o->client_ca;
  SSL_CTX_set_client_CA_list(ssl, names);
  if (SSL_CTX_load_verify_locations(ssl, o->client_ca, NULL) != 1) return o->client_ca;
  SSL_CTX_set_verify(ssl, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
  return NULL;
}

static void set_up(SSL_CTX *ssl) {
  static const unsigned char name[] = "tideway";
  SSL_CTX_set_min_proto_version(ssl, TLS1_2_VERSION);
  SSL_CTX_set_options(ssl, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                               SSL_OP_CIPHER_SERVER_PREFERENCE);
  /* idle connections keep no buffers */
  SSL_CTX_set_mode(ssl, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_AUTO_RETRY);
  SSL_CTX_set_session_id_context(ssl, name, sizeof name - 1);
  SSL_CTX_set_alpn_select_cb(ssl, choose, NULL);
}

tw_tls *tw_tls_open(const tw_tls_options *options, char *error, int64_t size) {
  struct context *context = tw__calloc(1, sizeof *context);
  if (!context) {
    snprintf(error, (size_t)size, "no memory");
    return NULL;
  }
  context->tls = (struct tw_tls){
      .ref = ref,
      .unref = unref,
      .open = open_session,
      .close = close_session,
      .feed = feed,
      .ready = ready,
      .read = read_some,
      .write = write_all,
      .end = end,
      .out = out,
      .sent = sent,
  };
  context->refs = 1;
  ERR_clear_error();
  context->ssl = SSL_CTX_new(TLS_server_method());
  const char *wrong = "OpenSSL";
  if (context->ssl) {
    set_up(context->ssl);
    wrong = load(context->ssl, options);
  }
  if (!wrong) return &context->tls;
  complain(error, size, wrong);
  unref(&context->tls);
  return NULL;
}

void tw_tls_close(tw_tls *tls) {
  if (tls) unref(tls);
}
