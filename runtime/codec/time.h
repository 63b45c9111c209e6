/* time.h -- seconds since 1970 from the texts that records carry. */
#ifndef TIDEWAY_CODEC_TIME_H
#define TIDEWAY_CODEC_TIME_H

#include <stdint.h>

enum {
  TW__TIME_LOG = 26, /* characters of 10/Oct/2000:13:55:36 -0700 */
  TW__TIME_ISO = 19  /* of 2001-02-03 04:05:06 */
};

/* Seconds from 1970-01-01 to a day of the Gregorian calendar. */
int64_t tw__time_day(int64_t year, int month, int day);

/* The seconds of the TW__TIME_LOG characters at text, a web server's time_local. 0 or
 * -1. */
int tw__time_log(const char *text, int64_t *seconds);

/* The other way, in UTC. */
void tw__time_log_write(char text[TW__TIME_LOG + 1], int64_t seconds);

/* ISO 8601, the whole of text .. end: 2001-02-03, and after a T or blank 04:05,
 * 04:05:06, 04:05:06.789, then Z or an offset like +02:00, +0200, +02; without one it
 * is UTC. 0 or -1. */
int tw__time_iso(const char *text, const char *end, double *seconds);

/* The other way, in UTC, with a blank between day and time. Returns the length. */
int tw__time_iso_write(char text[TW__TIME_ISO + 1], int64_t seconds);

#endif
