/* gen.c -- the files of the measurements of text, the same bytes every time.
 *     gen log LINES      ~112 bytes a line, 1 in 20 is an ERROR
 *     gen json RECORDS   {"name", "x", "amount", "ts"}, ~63 bytes, 1 in 8 is Alice's
 *     gen stations ROWS  station;temperature, ~16.4 bytes, 413 stations
 * to standard output. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t state = 88172645463325252u;

static unsigned below(unsigned limit) {
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return (unsigned)((state >> 32) % limit);
}

static const char *const names[] = {"Alice", "Bob",   "Charlie", "Dave",
                                    "Erin",  "Frank", "Grace",   "Heidi"};

static char *text(char *p, const char *s) {
  while (*s) *p++ = *s++;
  return p;
}

static char *digits(char *p, unsigned value, int width) {
  for (int i = width - 1; i >= 0; i--, value /= 10) p[i] = (char)('0' + value % 10);
  return p + width;
}

static char *number(char *p, unsigned value) {
  int width = 1;
  for (unsigned v = value; v >= 10; v /= 10) width++;
  return digits(p, value, width);
}

static char *log_line(char *p, unsigned i) {
  static const char *const users[] = {"alice", "bob", "carol", "dave"};
  static const char *const methods[] = {"GET", "POST", "PUT", "DELETE"};
  unsigned level = below(20), ms = i * 7;
  p = text(p, "2026-11-21T");
  p = digits(p, ms / 3600000 % 24, 2), *p++ = ':';
  p = digits(p, ms / 60000 % 60, 2), *p++ = ':';
  p = digits(p, ms / 1000 % 60, 2), *p++ = '.';
  p = digits(p, ms % 1000, 3);
  p = text(p, "Z web-");
  p = digits(p, below(32), 2);
  p = text(p, level == 0 ? " ERROR" : level < 4 ? " WARN" : " INFO");
  p = text(p, " user="), p = text(p, users[below(4)]);
  p = text(p, " method="), p = text(p, methods[below(4)]);
  p = text(p, " path=/api/v1/items/"), p = number(p, below(1000000));
  p = text(p, " status="), p = number(p, level == 0 ? 500 + below(4) : 200);
  p = text(p, " dur="), p = number(p, below(3000));
  p = text(p, " bytes="), p = number(p, below(65536));
  *p++ = '\n';
  return p;
}

static char *json_record(char *p, unsigned i) {
  p = text(p, "{\"name\":\""), p = text(p, names[below(8)]);
  p = text(p, "\",\"x\":"), p = number(p, below(1000));
  p = text(p, ",\"amount\":"), p = number(p, below(1000));
  *p++ = '.', p = digits(p, below(100), 2);
  p = text(p, ",\"ts\":"), p = number(p, 1700000000u + i / 100);
  *p++ = '.', p = digits(p, below(1000), 3);
  return text(p, "}\n");
}

enum { STATIONS = 413 };
static struct {
  char name[32];
  int mean; /* tenths of a degree */
} station[STATIONS];

/* Names of 3 to 24 bytes, most of 8 to 12, some with a blank; a number makes each another. */
static void make_stations(void) {
  static const char *const part[] = {"ba", "len", "dor", "mi", "sta", "que",
                                     "ro", "vik", "an",  "tu", "hal", "\xC3\xA9r",
                                     "co", "zin", "pol", "e"};
  for (int i = 0; i < STATIONS; i++) {
    char *p = station[i].name;
    for (int k = 3 + (int)below(2) + (int)below(2) + 4 * (below(20) == 0); k > 0; k--) {
      p = text(p, part[below(16)]);
      if (k == 3 && below(8) == 0) *p++ = ' ';
    }
    p[0] = 0;
    if (station[i].name[0] >= 'a') station[i].name[0] = (char)(station[i].name[0] - 32);
    for (int k = 0; k < i; k++) {
      if (strcmp(station[k].name, station[i].name) != 0) continue;
      p = number(p, (unsigned)i);
      *p = 0;
      break;
    }
    station[i].mean = (int)below(450) - 120;
  }
}

static char *station_row(char *p, unsigned i) {
  (void)i;
  unsigned k = below(STATIONS);
  int x = station[k].mean - 300;
  for (int n = 0; n < 6; n++) x += (int)below(101); /* near enough to normal */
  p = text(p, station[k].name), *p++ = ';';
  if (x < 0) *p++ = '-', x = -x;
  p = number(p, (unsigned)x / 10), *p++ = '.';
  *p++ = (char)('0' + x % 10), *p++ = '\n';
  return p;
}

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  static char buf[1 << 20];
  char *p = buf;
  char *(*write)(char *, unsigned) = strcmp(argv[1], "json") == 0       ? json_record
                                     : strcmp(argv[1], "stations") == 0 ? station_row
                                                                        : log_line;
  if (write == station_row) make_stations();
  for (unsigned i = 0, n = (unsigned)atof(argv[2]); i < n; i++) {
    p = write(p, i);
    if (p > buf + sizeof buf - 1024) {
      if (fwrite(buf, 1, (size_t)(p - buf), stdout) != (size_t)(p - buf)) return 1;
      p = buf;
    }
  }
  return fwrite(buf, 1, (size_t)(p - buf), stdout) != (size_t)(p - buf);
}
