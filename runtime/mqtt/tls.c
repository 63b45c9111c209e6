/* tls.c -- TLS by OpenSSL, in memory; see tls.h. */
#include "mqtt/tls.h"

#include <arpa/inet.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

#include "core/mem.h"

static const char *last_error(void) {
  const char *text = NULL;
  unsigned long code;
  while ((code = ERR_get_error())) {
    if (!text) text = ERR_reason_error_string(code);
  }
  return text ? text : "TLS failed";
}

/* ---- settings ---- */

static int refuse(char *error, int64_t size, const char *what, const char *file) {
  snprintf(error, (size_t)size, "%s: %s: %s", what, file, last_error());
  return TW_EIO;
}

static int load(SSL_CTX *ctx, const char *ca, const char *cert, const char *key,
                char *error, int64_t size) {
  if (ca && SSL_CTX_load_verify_locations(ctx, ca, NULL) != 1)
    return refuse(error, size, "ca", ca);
  if (!ca) SSL_CTX_set_default_verify_paths(ctx);
  if (cert && SSL_CTX_use_certificate_chain_file(ctx, cert) != 1)
    return refuse(error, size, "cert", cert);
  if (key && SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM) != 1)
    return refuse(error, size, "key", key);
  if (key && SSL_CTX_check_private_key(ctx) != 1)
    return refuse(error, size, "key", key);
  return TW_OK;
}

tw_mqtt_tls *tw_mqtt_tls_open(const char *ca, const char *cert, const char *key,
                              int verify, char *error, int64_t size) {
  ERR_clear_error();
  tw_mqtt_tls *tls = tw__calloc(1, sizeof *tls);
  if (tls) tls->ctx = SSL_CTX_new(TLS_client_method());
  if (!tls || !tls->ctx) {
    snprintf(error, (size_t)size, "no memory");
    tw__free(tls);
    return NULL;
  }
  tls->verify = verify;
  tls->refs = 1;
  SSL_CTX_set_min_proto_version(tls->ctx, TLS1_2_VERSION);
  SSL_CTX_set_verify(tls->ctx, verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, NULL);
  SSL_CTX_set_mode(tls->ctx, SSL_MODE_RELEASE_BUFFERS);
  if (load(tls->ctx, ca, cert, key, error, size)) {
    tw_mqtt_tls_close(tls);
    return NULL;
  }
  return tls;
}

void tw__tls_ref(tw_mqtt_tls *tls) {
  tls->refs++;
}

void tw_mqtt_tls_close(tw_mqtt_tls *tls) {
  if (!tls || --tls->refs > 0) return;
  SSL_CTX_free(tls->ctx);
  tw__free(tls);
}

/* ---- a connection ---- */

/* The name that the certificate has to be for. */
static int expect(SSL *ssl, const char *host, int verify) {
  struct in6_addr address;
  const int is_ip = inet_pton(AF_INET, host, &address) == 1 ||
                    inet_pton(AF_INET6, host, &address) == 1;
  if (!is_ip) SSL_set_tlsext_host_name(ssl, host);
  if (!verify) return 1;
  X509_VERIFY_PARAM *param = SSL_get0_param(ssl);
  return is_ip ? X509_VERIFY_PARAM_set1_ip_asc(param, host)
               : X509_VERIFY_PARAM_set1_host(param, host, 0);
}

int tw__tls_open(struct tw__tls *t, const tw_mqtt_tls *tls, const char *host) {
  *t = (struct tw__tls){0};
  ERR_clear_error();
  t->ssl = SSL_new(tls->ctx);
  t->in = BIO_new(BIO_s_mem());
  t->out = BIO_new(BIO_s_mem());
  if (!t->ssl || !t->in || !t->out || !expect(t->ssl, host, tls->verify)) {
    BIO_free(t->in);
    BIO_free(t->out);
    SSL_free(t->ssl);
    *t = (struct tw__tls){0};
    return TW_ENOMEM;
  }
  SSL_set_bio(t->ssl, t->in, t->out);
  SSL_set_connect_state(t->ssl);
  return TW_OK;
}

void tw__tls_close(struct tw__tls *t) {
  SSL_free(t->ssl);
  t->ssl = NULL;
}

int tw__tls_feed(struct tw__tls *t, const char *bytes, int64_t len) {
  return BIO_write(t->in, bytes, (int)len) == len ? TW_OK : TW_ENOMEM;
}

/* What a call that has failed says. */
static int trouble(struct tw__tls *t, int rc) {
  switch (SSL_get_error(t->ssl, rc)) {
  case SSL_ERROR_WANT_READ:
  case SSL_ERROR_WANT_WRITE: return TW_AGAIN;
  case SSL_ERROR_ZERO_RETURN: return TW_EOF;
  default: break;
  }
  const long verdict = SSL_get_verify_result(t->ssl);
  snprintf(t->error, sizeof t->error, "TLS: %s",
           verdict != X509_V_OK ? X509_verify_cert_error_string(verdict)
                                : last_error());
  ERR_clear_error();
  return TW_EIO;
}

int tw__tls_handshake(struct tw__tls *t) {
  ERR_clear_error();
  const int rc = SSL_do_handshake(t->ssl);
  return rc == 1 ? TW_OK : trouble(t, rc);
}

int64_t tw__tls_read(struct tw__tls *t, char *buf, int64_t size) {
  ERR_clear_error();
  const int n = SSL_read(t->ssl, buf, (int)size);
  if (n > 0) return n;
  const int rc = trouble(t, n);
  return rc == TW_AGAIN ? 0 : rc;
}

int tw__tls_write(struct tw__tls *t, const char *bytes, int64_t len) {
  ERR_clear_error();
  while (len > 0) {
    const int n = SSL_write(t->ssl, bytes, len > INT_MAX ? INT_MAX : (int)len);
    if (n <= 0) {
      trouble(t, n);
      return TW_EIO;
    }
    bytes += n;
    len -= n;
  }
  return TW_OK;
}

int64_t tw__tls_take(struct tw__tls *t, char *buf, int64_t size) {
  const int n = BIO_read(t->out, buf, (int)size);
  return n > 0 ? n : 0;
}
