/* time.c -- times agree with timegm, and what is no time is refused. */
#define _GNU_SOURCE
#include "../check.h"

#include "codec/time.h"

static int iso(const char *text, double *seconds) {
  return tw__time_iso(text, text + strlen(text), seconds);
}

static void random_time(void) {
  int64_t want = check_below(100000000000) - 20000000000, got = 0;
  time_t t = (time_t)want;
  struct tm tm;
  char text[64];
  double seconds = 0;
  gmtime_r(&t, &tm);
  if (tm.tm_year + 1900 < 0 || tm.tm_year + 1900 > 9999) return;
  int offset = (int)check_below(24 * 60) - 12 * 60;
  time_t local = t + offset * 60;
  gmtime_r(&local, &tm);
  static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                       "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  char sign = offset < 0 ? '-' : '+';
  int minutes = abs(offset);
  snprintf(text, sizeof text, "%02d/%s/%04d:%02d:%02d:%02d %c%02d%02d", tm.tm_mday,
           months[tm.tm_mon], tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec, sign,
           minutes / 60, minutes % 60);
  CHECKF(tw__time_log(text, &got) == 0 && got == want, "%s", text);
  snprintf(text, sizeof text, "%04d-%02d-%02dT%02d:%02d:%02d.25%c%02d:%02d",
           tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min,
           tm.tm_sec, sign, minutes / 60, minutes % 60);
  CHECKF(iso(text, &seconds) == 0 && seconds == (double)want + 0.25, "%s", text);

  char written[TW__TIME_LOG + 1];
  tw__time_log_write(written, want);
  CHECK(tw__time_log(written, &got) == 0 && got == want);
  char day[TW__TIME_ISO + 1];
  double back;
  CHECK(tw__time_iso_write(day, want) == TW__TIME_ISO);
  CHECKF(iso(day, &back) == 0 && back == (double)want, "%s", day);
}

int main(int argc, char **argv) {
  check_open(argc, argv);
  double x;
  CHECK(!iso("1970-01-01", &x) && x == 0);
  CHECK(!iso("2001-01-01 06:20", &x) && x == 978330000);
  CHECK(!iso("2001-01-01T06:20:00Z", &x) && x == 978330000);
  CHECK(!iso("2001-01-01T06:20:00+02", &x) && x == 978330000 - 7200);
  CHECK(!iso("2001-01-01T06:20:00-0230", &x) && x == 978330000 + 9000);
  CHECK(!iso("2024-02-29", &x));
  static const char *const bad[] = {"",
                                    "2001",
                                    "2001-1-1",
                                    "2001-13-01",
                                    "2001-02-29",
                                    "2001-01-01T",
                                    "2001-01-01T25:00",
                                    "2001-01-01 06:2",
                                    "2001-01-01x06:20",
                                    "2001-01-01T06:20:00.",
                                    "2001-01-01T06:20:00+2",
                                    "2001-01-01T06:20:00Zx",
                                    "20010101"};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
    CHECKF(iso(bad[i], &x) == -1, "%s", bad[i]);
  static const char *const bad_log[] = {
      "99/Oct/2000:13:55:36 -0700", "10/Foo/2000:13:55:36 -0700",
      "10-Oct-2000:13:55:36 -0700", "10/Oct/2000:24:55:36 -0700",
      "29/Feb/2001:13:55:36 -0700", "10/Oct/2000:13:55:36 x0700"};
  int64_t seconds;
  for (size_t i = 0; i < sizeof bad_log / sizeof *bad_log; i++)
    CHECKF(tw__time_log(bad_log[i], &seconds) == -1, "%s", bad_log[i]);
  for (int i = 0; i < 20000; i++) random_time();
  return check_close();
}
