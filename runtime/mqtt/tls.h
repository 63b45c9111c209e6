/* tls.h -- one end of a TLS connection, between bytes and bytes. No I/O: OpenSSL reads and
 * writes memory. */
#ifndef TIDEWAY_MQTT_TLS_H
#define TIDEWAY_MQTT_TLS_H

#include <openssl/ssl.h>

#include "tideway.h"

struct tw_mqtt_tls {
  SSL_CTX *ctx;
  int verify, refs;
};

/* One more who closes it. */
void tw__tls_ref(tw_mqtt_tls *tls);

struct tw__tls {
  SSL *ssl;
  BIO *in, *out; /* the cipher text; the SSL's */
  char error[160];
};

/* A client's end, to the host of this name, which its certificate must be for if tls says so.
 * TW_OK or TW_ENOMEM. */
int tw__tls_open(struct tw__tls *t, const tw_mqtt_tls *tls, const char *host);
void tw__tls_close(struct tw__tls *t);

/* Cipher text that came. TW_OK or TW_ENOMEM. */
int tw__tls_feed(struct tw__tls *t, const char *bytes, int64_t len);

/* Go on with the handshake. TW_OK: it is done; TW_AGAIN; TW_EIO: see error. */
int tw__tls_handshake(struct tw__tls *t);

/* Plain text that came: how much is in buf, 0: none now; TW_EOF: the other side has ended it;
 * TW_EIO. */
int64_t tw__tls_read(struct tw__tls *t, char *buf, int64_t size);

/* Plain text to send. TW_OK or TW_EIO. */
int tw__tls_write(struct tw__tls *t, const char *bytes, int64_t len);

/* Cipher text to send: how much is in buf. */
int64_t tw__tls_take(struct tw__tls *t, char *buf, int64_t size);

#endif
