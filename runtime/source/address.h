/* address.h -- IP addresses of sockets: bound to, written out. */
#ifndef TIDEWAY_SOURCE_ADDRESS_H
#define TIDEWAY_SOURCE_ADDRESS_H

#include <netinet/in.h>
#include <stddef.h>
#include <sys/socket.h>

typedef union tw__address {
  struct sockaddr any;
  struct sockaddr_in in;
  struct sockaddr_in6 in6;
} tw__address;

/* A new socket, non-blocking, bound to a port.
 * type  SOCK_STREAM or SOCK_DGRAM.
 * host  an IP address, IPv4 or IPv6.
 * port  0: one that is free; becomes the port that it is.
 * Returns its descriptor, or -1 and what is wrong in *text, static or valid until the next call. */
int tw__address_bind(int type, const char *host, int *port, const char **text);

/* "127.0.0.1 port 5000", or, where it is none of an IP network, "a client". Cut to size. */
void tw__address_name(const tw__address *address, char *buf, size_t size);

#endif
