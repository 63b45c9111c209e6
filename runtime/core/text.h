/* text.h -- text written piece by piece into a buffer that may be too small; dumps. */
#ifndef TIDEWAY_CORE_TEXT_H
#define TIDEWAY_CORE_TEXT_H

#include "tideway.h"

struct tw__text {
  char *buf; /* size characters, always ended by a 0 when size > 0 */
  int64_t size;
  int64_t len; /* of the whole text, also of what did not fit */
};

/* Starts an empty text. */
void tw__text_init(struct tw__text *text, char *buf, int64_t size);

/* Appends as printf does. */
void tw__text_add(struct tw__text *text, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Appends one value as a person would want to read it: 1.5 true null 7LL "abc" #12. */
void tw__text_value(struct tw__text *text, const tw_value *val);

#endif
