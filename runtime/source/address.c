/* address.c -- IP addresses of sockets: bound to, written out. */
#define _GNU_SOURCE
#include "source/address.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

static int port_of(const tw__address *address) {
  return ntohs(address->any.sa_family == AF_INET6 ? address->in6.sin6_port
                                                  : address->in.sin_port);
}

int tw__address_bind(int type, const char *host, int *port, const char **text) {
  tw__address address = {.any.sa_family = 0};
  const int on = 1;
  socklen_t len = sizeof address.in;
  if (uv_ip4_addr(host, *port, &address.in)) {
    len = sizeof address.in6;
    if (uv_ip6_addr(host, *port, &address.in6)) {
      *text = "this is no IP address";
      return -1;
    }
  }
  const int fd = socket(address.any.sa_family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd >= 0) {
    /* of datagrams two sockets could have the port */
    if (type == SOCK_STREAM) setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (!bind(fd, &address.any, len)) {
      len = sizeof address;
      if (!getsockname(fd, &address.any, &len)) {
        *port = port_of(&address);
        return fd;
      }
    }
  }
  *text = strerror(errno);
  if (fd >= 0) close(fd);
  return -1;
}

void tw__address_name(const tw__address *address, char *buf, size_t size) {
  char text[64] = "";
  if (address->any.sa_family == AF_INET)
    uv_ip4_name(&address->in, text, sizeof text);
  else if (address->any.sa_family == AF_INET6)
    uv_ip6_name(&address->in6, text, sizeof text);
  if (*text)
    snprintf(buf, size, "%s port %d", text, port_of(address));
  else
    snprintf(buf, size, "a client");
}
