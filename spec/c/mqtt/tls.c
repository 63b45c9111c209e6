/* tls -- two ends in memory: the certificate is looked at, then bytes go both ways. */
#include "mqtt/tls.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <unistd.h>

#include "../check.h"

static SSL_CTX *server_ctx;
static char ca[64], key[64];

/* A certificate for "broker" and 127.0.0.1, signed by itself, in files. */
static void make(void) {
  snprintf(ca, sizeof ca, "/tmp/tls-spec-%d.pem", (int)getpid());
  snprintf(key, sizeof key, "/tmp/tls-spec-%d.key", (int)getpid());
  EVP_PKEY *pkey = EVP_EC_gen("P-256");
  X509 *cert = X509_new();
  X509_set_version(cert, 2);
  ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
  X509_gmtime_adj(X509_getm_notBefore(cert), -60);
  X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
  X509_set_pubkey(cert, pkey);
  X509_NAME *name = X509_get_subject_name(cert);
  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"broker",
                             -1, -1, 0);
  X509_set_issuer_name(cert, name);
  X509_EXTENSION *names =
      X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, "DNS:broker,IP:127.0.0.1");
  X509_add_ext(cert, names, -1);
  X509_EXTENSION_free(names);
  X509_sign(cert, pkey, EVP_sha256());
  FILE *file = fopen(ca, "w");
  PEM_write_X509(file, cert);
  fclose(file);
  file = fopen(key, "w");
  PEM_write_PrivateKey(file, pkey, NULL, NULL, 0, NULL, NULL);
  fclose(file);
  server_ctx = SSL_CTX_new(TLS_server_method());
  CHECK(SSL_CTX_use_certificate(server_ctx, cert) == 1);
  CHECK(SSL_CTX_use_PrivateKey(server_ctx, pkey) == 1);
  X509_free(cert);
  EVP_PKEY_free(pkey);
}

/* The other end. */
static SSL *server(void) {
  SSL *ssl = SSL_new(server_ctx);
  SSL_set_bio(ssl, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
  SSL_set_accept_state(ssl);
  return ssl;
}

/* Carry cipher text both ways until nothing moves; returns what the handshake has come to. */
static int settle(struct tw__tls *t, SSL *ssl) {
  char buf[1000];
  int rc = TW_AGAIN;
  for (int round = 0; round < 50 && rc == TW_AGAIN; round++) {
    rc = tw__tls_handshake(t);
    int64_t n;
    while ((n = tw__tls_take(t, buf, sizeof buf)) > 0)
      BIO_write(SSL_get_rbio(ssl), buf, (int)n);
    SSL_do_handshake(ssl);
    while ((n = BIO_read(SSL_get_wbio(ssl), buf, sizeof buf)) > 0)
      CHECK(tw__tls_feed(t, buf, n) == TW_OK);
  }
  return rc;
}

static int shake(const tw_mqtt_tls *tls, const char *host, const char *problem) {
  struct tw__tls t;
  SSL *ssl = server();
  CHECK(tw__tls_open(&t, tls, host) == TW_OK);
  const int rc = settle(&t, ssl);
  if (problem) CHECKF(strstr(t.error, problem), "%s", t.error);
  tw__tls_close(&t);
  SSL_free(ssl);
  return rc;
}

static void talk(const tw_mqtt_tls *tls) {
  struct tw__tls t;
  static char sent[100000], got[100000], buf[4096];
  SSL *ssl = server();
  CHECK(tw__tls_open(&t, tls, "broker") == TW_OK);
  CHECK(settle(&t, ssl) == TW_OK);
  CHECK(tw__tls_read(&t, buf, sizeof buf) == 0);
  for (size_t i = 0; i < sizeof sent; i++) sent[i] = (char)check_below(256);
  CHECK(tw__tls_write(&t, sent, sizeof sent) == TW_OK);
  int64_t n, at = 0;
  while ((n = tw__tls_take(&t, buf, sizeof buf)) > 0)
    BIO_write(SSL_get_rbio(ssl), buf, (int)n);
  while ((n = SSL_read(ssl, got + at, (int)((int64_t)sizeof got - at))) > 0) at += n;
  CHECK(at == sizeof sent && !memcmp(sent, got, sizeof sent));
  SSL_write(ssl, sent, 50000);
  SSL_shutdown(ssl);
  while ((n = BIO_read(SSL_get_wbio(ssl), buf, sizeof buf)) > 0)
    tw__tls_feed(&t, buf, n);
  at = 0;
  while ((n = tw__tls_read(&t, got + at, (int64_t)sizeof got - at)) > 0) at += n;
  CHECK(n == TW_EOF && at == 50000 && !memcmp(sent, got, 50000));
  CHECK(tw__tls_feed(&t, "this is no TLS record", 21) == TW_OK);
  tw__tls_close(&t);
  SSL_free(ssl);
}

int main(int argc, char **argv) {
  char error[200];
  check_open(argc, argv);
  make();
  CHECK(!tw_mqtt_tls_open("/nowhere", NULL, NULL, 1, error, sizeof error));
  CHECKF(!strncmp(error, "ca: /nowhere: ", 14), "%s", error);
  CHECK(!tw_mqtt_tls_open(NULL, key, key, 1, error, sizeof error));
  CHECKF(!strncmp(error, "cert: ", 6), "%s", error);
  CHECK(!tw_mqtt_tls_open(NULL, ca, ca, 1, error, sizeof error));
  CHECKF(!strncmp(error, "key: ", 5), "%s", error);
  tw_mqtt_tls *tls = tw_mqtt_tls_open(ca, ca, key, 1, error, sizeof error);
  CHECK(tls != NULL);
  CHECK(shake(tls, "broker", NULL) == TW_OK);
  CHECK(shake(tls, "127.0.0.1", NULL) == TW_OK);
  CHECK(shake(tls, "other", "hostname mismatch") == TW_EIO);
  CHECK(shake(tls, "127.0.0.2", "IP address mismatch") == TW_EIO);
  talk(tls);
  tw__tls_ref(tls);
  tw_mqtt_tls_close(tls);
  CHECK(shake(tls, "broker", NULL) == TW_OK);
  tw_mqtt_tls_close(tls);
  tls = tw_mqtt_tls_open(NULL, NULL, NULL, 1, error, sizeof error);
  CHECK(shake(tls, "broker", "self-signed certificate") == TW_EIO);
  tw_mqtt_tls_close(tls);
  tls = tw_mqtt_tls_open(NULL, NULL, NULL, 0, error, sizeof error);
  CHECK(shake(tls, "other", NULL) == TW_OK);
  struct tw__tls t;
  CHECK(tw__tls_open(&t, tls, "broker") == TW_OK);
  tw__tls_feed(&t, "HTTP/1.1 400 Bad Request\r\n", 26);
  CHECK(tw__tls_handshake(&t) == TW_EIO && !strncmp(t.error, "TLS: ", 5));
  tw__tls_close(&t);
  tw_mqtt_tls_close(tls);
  tw_mqtt_tls_close(NULL);
  SSL_CTX_free(server_ctx);
  unlink(ca);
  unlink(key);
  return check_close();
}
