/* tls.h -- what a server needs of TLS: sessions that only see bytes, no sockets.
 *
 * The functions are in libtideway-tls (tls.c) and reached by pointers, so that a server that
 * is not asked for TLS loads no OpenSSL.
 *
 *     socket --> feed --> [session] --> read --> the server's requests
 *     socket <-- out  <-- [session] <-- write <-- its answers
 */
#ifndef TIDEWAY_HTTP_TLS_H
#define TIDEWAY_HTTP_TLS_H

#include "tideway.h"

typedef struct tw__tls_session tw__tls_session;

/* Why there is nothing more to read. */
enum { TLS_MORE = 0, TLS_ENDED = -1, TLS_FAILED = -2, TLS_PLAIN_HTTP = -3 };

struct tw_tls {
  /* The counterpart of tw_tls_close: who keeps it for longer. */
  void (*ref)(tw_tls *tls);
  void (*unref)(tw_tls *tls);

  /* A session for a connection that was accepted, or NULL: no memory. It holds what it
   * needs of tls. */
  tw__tls_session *(*open)(tw_tls *tls);
  void (*close)(tw__tls_session *session);

  /* Takes in len bytes that have come. TW_OK or TW_ENOMEM. */
  int (*feed)(tw__tls_session *session, const char *bytes, size_t len);

  /* Has the handshake been done? Then there may be something to read, and to write. */
  int (*ready)(const tw__tls_session *session);

  /* Up to size bytes of what they say, until there are no more: TLS_MORE (feed it), TLS_ENDED
   * (the client said so), TLS_FAILED, TLS_PLAIN_HTTP (it does not speak TLS, but HTTP). Each
   * time there may be something to send, also after a failure: an alert. */
  int (*read)(tw__tls_session *session, char *buf, size_t size);

  /* Takes len bytes to say, or nothing: that no more will be said. TW_OK or a status. */
  int (*write)(tw__tls_session *session, const char *bytes, size_t len);
  void (*end)(tw__tls_session *session);

  /* What is to be sent: a view, valid until `sent` says that it was, or was copied. */
  size_t (*out)(const tw__tls_session *session, const char **bytes);
  void (*sent)(tw__tls_session *session);
};

#endif
