/* address -- sockets are bound where it was said, and say where; what is no address is refused. */
#include <errno.h>
#include <unistd.h>
#include <arpa/inet.h>

#include "../check.h"
#include "source/address.h"

static void binds(int type) {
  const char *text = NULL;
  int port = 0, again, none = 0;
  const int fd = tw__address_bind(type, "127.0.0.1", &port, &text);
  CHECK(fd >= 0 && port > 0 && port < 65536);
  if (type == SOCK_STREAM) CHECK(!listen(fd, 1));
  again = port;
  CHECK(tw__address_bind(type, "127.0.0.1", &again, &text) == -1);
  CHECK(strstr(text, "in use"));
  close(fd);
  const int next = tw__address_bind(type, "127.0.0.1", &again, &text);
  CHECK(next >= 0 && again == port);
  close(next);
  CHECK(tw__address_bind(type, "localhost", &none, &text) == -1);
  CHECK(strstr(text, "no IP address"));
  CHECK(tw__address_bind(type, "", &none, &text) == -1);
  CHECK(tw__address_bind(type, "192.0.2.1", &none, &text) == -1); /* of documentation */
  const int six = tw__address_bind(type, "::1", &none, &text);
  if (six >= 0) {
    CHECK(none > 0);
    close(six);
  }
}

static void names(void) {
  tw__address at = {.in = {.sin_family = AF_INET, .sin_port = htons(80)}};
  char buf[80], small[8];
  at.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  tw__address_name(&at, buf, sizeof buf);
  CHECKF(!strcmp(buf, "127.0.0.1 port 80"), "%s", buf);
  tw__address_name(&at, small, sizeof small);
  CHECK(!strcmp(small, "127.0.0"));
  at = (tw__address){.in6 = {.sin6_family = AF_INET6, .sin6_port = htons(65535)}};
  at.in6.sin6_addr = in6addr_loopback;
  tw__address_name(&at, buf, sizeof buf);
  CHECKF(!strcmp(buf, "::1 port 65535"), "%s", buf);
  at = (tw__address){.any.sa_family = AF_UNIX};
  tw__address_name(&at, buf, sizeof buf);
  CHECK(!strcmp(buf, "a client"));
}

int main(int argc, char **argv) {
  check_open(argc, argv);
  binds(SOCK_STREAM);
  binds(SOCK_DGRAM);
  names();
  return check_close();
}
