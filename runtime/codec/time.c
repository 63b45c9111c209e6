/* time.c -- seconds since 1970 from the texts that records carry. */
#include "codec/time.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

/* Days by Hinnant's civil calendar: years begin in March, so the leap day is the last.
 */
int64_t tw__time_day(int64_t year, int month, int day) {
  year -= month <= 2;
  int64_t era = (year >= 0 ? year : year - 399) / 400;
  int64_t of_era = year - era * 400;
  int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
  int64_t days = of_era * 365 + of_era / 4 - of_era / 100 + of_year;
  return (era * 146097 + days - 719468) * 86400;
}

static void civil(int64_t days, int64_t *year, int *month, int *day) {
  days += 719468;
  int64_t era = (days >= 0 ? days : days - 146096) / 146097;
  int64_t of_era = days - era * 146097;
  int64_t y = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
  int64_t of_year = of_era - (365 * y + y / 4 - y / 100);
  int64_t m = (5 * of_year + 2) / 153;
  *day = (int)(of_year - (153 * m + 2) / 5 + 1);
  *month = (int)(m < 10 ? m + 3 : m - 9);
  *year = y + era * 400 + (*month <= 2);
}

/* The number of n digits at p, -1 when they are none. */
static int digits(const char *p, int n) {
  int x = 0;
  for (int i = 0; i < n; i++) {
    if (p[i] < '0' || p[i] > '9') return -1;
    x = x * 10 + (p[i] - '0');
  }
  return x;
}

static bool is_day(int year, int month, int day) {
  static const char lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  if (year < 0 || month < 1 || month > 12 || day < 1) return false;
  bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
  return day <= lengths[month - 1] + (month == 2 && leap);
}

static bool is_clock(int hour, int minute, int second) {
  return hour >= 0 && hour <= 23 && minute >= 0 && minute <= 59 && second >= 0 &&
         second <= 60;
}

int tw__time_log(const char *p, int64_t *seconds) {
  if (p[2] != '/' || p[6] != '/' || p[11] != ':' || p[14] != ':' || p[17] != ':' ||
      p[20] != ' ' || (p[21] != '+' && p[21] != '-'))
    return -1;
  int month = 0;
  while (month < 12 && memcmp(months + 3 * month, p + 3, 3)) month++;
  int day = digits(p, 2), year = digits(p + 7, 4);
  int hour = digits(p + 12, 2), minute = digits(p + 15, 2), second = digits(p + 18, 2);
  int off_hour = digits(p + 22, 2), off_minute = digits(p + 24, 2);
  if (month == 12 || !is_day(year, month + 1, day) || !is_clock(hour, minute, second) ||
      off_hour < 0 || off_minute < 0)
    return -1;
  int64_t offset = off_hour * 3600 + off_minute * 60;
  *seconds = tw__time_day(year, month + 1, day) + hour * 3600 + minute * 60 + second -
             (p[21] == '-' ? -offset : offset);
  return 0;
}

void tw__time_log_write(char text[TW__TIME_LOG + 1], int64_t seconds) {
  int64_t days = seconds / 86400, rest = seconds % 86400, year;
  int month, day;
  if (rest < 0) {
    rest += 86400;
    days--;
  }
  civil(days, &year, &month, &day);
  if (year < 0 || year > 9999) year = 0;
  char buf[80];
  snprintf(buf, sizeof buf, "%02d/%.3s/%04d:%02d:%02d:%02d +0000", day,
           months + 3 * (month - 1), (int)year, (int)(rest / 3600),
           (int)(rest / 60 % 60), (int)(rest % 60));
  memcpy(text, buf, TW__TIME_LOG);
  text[TW__TIME_LOG] = 0;
}

int tw__time_iso_write(char text[TW__TIME_ISO + 1], int64_t seconds) {
  int64_t days = seconds / 86400, rest = seconds % 86400, year;
  int month, day;
  if (rest < 0) {
    rest += 86400;
    days--;
  }
  civil(days, &year, &month, &day);
  if (year < 0 || year > 9999) year = 0;
  const int part[] = {(int)year / 100,    (int)year % 100,       month,           day,
                      (int)(rest / 3600), (int)(rest / 60 % 60), (int)(rest % 60)};
  static const char behind[] = "\0-- ::";
  char *to = text;
  for (int i = 0; i < 7; i++) {
    *to++ = (char)('0' + part[i] / 10);
    *to++ = (char)('0' + part[i] % 10);
    if (i > 0 && i < 6) *to++ = behind[i];
  }
  *to = 0;
  return TW__TIME_ISO;
}

/* The offset at p, up to end, in seconds. False when it is none. */
static bool offset_of(const char *p, const char *end, int64_t *offset) {
  *offset = 0;
  if (p == end) return true;
  if (end - p == 1) return *p == 'Z' || *p == 'z';
  if (*p != '+' && *p != '-') return false;
  int hour = end - p >= 3 ? digits(p + 1, 2) : -1, minute = 0;
  if (end - p == 6 && p[3] == ':')
    minute = digits(p + 4, 2);
  else if (end - p == 5)
    minute = digits(p + 3, 2);
  else if (end - p != 3)
    return false;
  if (hour < 0 || minute < 0 || minute > 59) return false;
  *offset = hour * 3600 + minute * 60;
  if (*p == '-') *offset = -*offset;
  return true;
}

int tw__time_iso(const char *p, const char *end, double *seconds) {
  if (end - p < 10 || p[4] != '-' || p[7] != '-') return -1;
  int year = digits(p, 4), month = digits(p + 5, 2), day = digits(p + 8, 2);
  int hour = 0, minute = 0, second = 0;
  int64_t offset = 0;
  double fraction = 0;
  if (!is_day(year, month, day)) return -1;
  p += 10;
  if (p < end) {
    if ((*p != 'T' && *p != 't' && *p != ' ') || end - p < 6 || p[3] != ':') return -1;
    hour = digits(p + 1, 2);
    minute = digits(p + 4, 2);
    p += 6;
    if (end - p >= 3 && *p == ':') {
      second = digits(p + 1, 2);
      p += 3;
      if (p < end && (*p == '.' || *p == ',')) {
        double scale = 1;
        const char *first = ++p;
        for (; p < end && *p >= '0' && *p <= '9'; p++)
          if (scale < 1e15) {
            fraction = fraction * 10 + (*p - '0');
            scale *= 10;
          }
        if (p == first) return -1;
        fraction /= scale;
      }
    }
    if (!is_clock(hour, minute, second)) return -1;
    if (!offset_of(p, end, &offset)) return -1;
  }
  *seconds = (double)(tw__time_day(year, month, day) + hour * 3600 + minute * 60 +
                      second - offset) +
             fraction;
  return 0;
}
