/* link.c -- bytes over a socket, plain or through OpenSSL, never waiting. */
#include <arpa/inet.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ws/ws.h"

enum { MOST = 1 << 20 }; /* in one call */

static int64_t tls_result(tw__ws_link *link, int n) {
  const int why = SSL_get_error(link->ssl, n);
  link->wants_write = why == SSL_ERROR_WANT_WRITE;
  if (why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE) return TW_AGAIN;
  return why == SSL_ERROR_ZERO_RETURN ? 0 : TW_EIO;
}

int64_t tw__ws_link_recv(tw__ws_link *link, void *to, int64_t room) {
  if (room > MOST) room = MOST;
  link->wants_write = 0;
  if (link->ssl) {
    ERR_clear_error();
    const int n = SSL_read(link->ssl, to, (int)room);
    return n > 0 ? n : tls_result(link, n);
  }
  ssize_t n;
  do {
    n = recv(link->fd, to, (size_t)room, 0);
  } while (n < 0 && errno == EINTR);
  if (n >= 0) return n;
  return errno == EAGAIN ? TW_AGAIN : TW_EIO;
}

int64_t tw__ws_link_send(tw__ws_link *link, const void *bytes, int64_t len) {
  if (len > MOST) len = MOST;
  if (link->ssl) {
    const int before = link->wants_write;
    ERR_clear_error();
    const int n = SSL_write(link->ssl, bytes, (int)len);
    if (n > 0) return n;
    const int64_t rc = tls_result(link, n);
    link->wants_write = before; /* that there is something to send is known */
    return rc ? rc : TW_EIO;
  }
  ssize_t n;
  do {
    n = send(link->fd, bytes, (size_t)len, MSG_NOSIGNAL);
  } while (n < 0 && errno == EINTR);
  if (n > 0) return n;
  return n < 0 && errno == EAGAIN ? TW_AGAIN : TW_EIO;
}

static int is_address(const char *host) {
  struct in6_addr any;
  return inet_pton(AF_INET, host, &any) == 1 || inet_pton(AF_INET6, host, &any) == 1;
}

int tw__ws_link_tls(tw__ws_link *link, SSL_CTX *ctx, const char *host, int verify) {
  link->ssl = SSL_new(ctx);
  if (!link->ssl || SSL_set_fd(link->ssl, link->fd) != 1) return TW_ENOMEM;
  if (!host) {
    SSL_set_accept_state(link->ssl);
    return TW_OK;
  }
  SSL_set_connect_state(link->ssl);
  X509_VERIFY_PARAM *param = SSL_get0_param(link->ssl);
  if (is_address(host)) {
    if (verify) X509_VERIFY_PARAM_set1_ip_asc(param, host);
  } else {
    SSL_set_tlsext_host_name(link->ssl, host);
    if (verify) X509_VERIFY_PARAM_set1_host(param, host, 0);
  }
  SSL_set_verify(link->ssl, verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, NULL);
  return TW_OK;
}

int tw__ws_link_secure(tw__ws_link *link, char *error, int64_t size) {
  ERR_clear_error();
  errno = 0;
  const int n = SSL_do_handshake(link->ssl);
  if (n == 1) {
    link->wants_write = 0;
    return TW_OK;
  }
  if (tls_result(link, n) == TW_AGAIN) return TW_AGAIN;
  const long verified = SSL_get_verify_result(link->ssl);
  const char *why = ERR_reason_error_string(ERR_peek_error());
  if (verified != X509_V_OK)
    why = X509_verify_cert_error_string(verified);
  else if (!why)
    why = errno ? strerror(errno) : "closed by the other side";
  snprintf(error, (size_t)size, "TLS: %s", why);
  return TW_EIO;
}

void tw__ws_link_finish(tw__ws_link *link) {
  if (link->ssl && SSL_is_init_finished(link->ssl)) SSL_shutdown(link->ssl);
  shutdown(link->fd, SHUT_WR);
}

void tw__ws_link_close(tw__ws_link *link) {
  SSL_free(link->ssl);
  link->ssl = NULL;
  if (link->fd >= 0) close(link->fd);
  link->fd = -1;
}

SSL_CTX *tw__ws_link_context(const tw_ws_options *o, int server, char *error,
                             int64_t size) {
  SSL_CTX *ctx = SSL_CTX_new(server ? TLS_server_method() : TLS_client_method());
  const char *what = NULL;
  if (!ctx) {
    snprintf(error, (size_t)size, "TLS: no memory");
    return NULL;
  }
  SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
  SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE |
                            SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                            SSL_MODE_RELEASE_BUFFERS);
  if (server) {
    if (SSL_CTX_use_certificate_chain_file(ctx, o->cert_file) != 1)
      what = o->cert_file;
    else if (SSL_CTX_use_PrivateKey_file(ctx, o->key_file, SSL_FILETYPE_PEM) != 1 ||
             SSL_CTX_check_private_key(ctx) != 1)
      what = o->key_file;
  } else if (o->ca_file) {
    if (SSL_CTX_load_verify_locations(ctx, o->ca_file, NULL) != 1) what = o->ca_file;
  } else {
    SSL_CTX_set_default_verify_paths(ctx);
  }
  if (!what) return ctx;
  const char *why = ERR_reason_error_string(ERR_peek_last_error());
  snprintf(error, (size_t)size, "TLS: %s: %s", what, why ? why : "cannot be read");
  ERR_clear_error();
  SSL_CTX_free(ctx);
  return NULL;
}
