/* text.c -- text written piece by piece into a buffer that may be too small. */
#include "core/text.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

enum { BYTES_SHOWN = 40 };

void tw__text_init(struct tw__text *text, char *buf, int64_t size) {
  *text = (struct tw__text){.buf = buf, .size = size};
  if (size > 0) buf[0] = 0;
}

void tw__text_add(struct tw__text *text, const char *format, ...) {
  int64_t room = text->size - text->len;
  va_list args;
  va_start(args, format);
  int n = room > 0 ? vsnprintf(text->buf + text->len, (size_t)room, format, args)
                   : vsnprintf(NULL, 0, format, args);
  va_end(args);
  if (n > 0) text->len += n;
}

static void add_bytes(struct tw__text *text, const char *bytes, uint32_t len) {
  uint32_t shown = len < BYTES_SHOWN ? len : BYTES_SHOWN;
  tw__text_add(text, "\"");
  for (uint32_t i = 0; i < shown; i++) {
    unsigned char c = (unsigned char)bytes[i];
    if (c == '"' || c == '\\')
      tw__text_add(text, "\\%c", c);
    else if (c >= 32 && c < 127)
      tw__text_add(text, "%c", c);
    else
      tw__text_add(text, "\\%03d", c);
  }
  tw__text_add(text, shown < len ? "...\"" : "\"");
}

void tw__text_value(struct tw__text *text, const tw_value *val) {
  switch (val->type) {
  case TW_NUM: tw__text_add(text, "%.14g", val->num); return;
  case TW_BOOL: tw__text_add(text, val->u64 ? "true" : "false"); return;
  case TW_NULL: tw__text_add(text, "null"); return;
  case TW_I64: tw__text_add(text, "%" PRId64 "LL", val->i64); return;
  case TW_U64: tw__text_add(text, "%" PRIu64 "ULL", val->u64); return;
  case TW_BYTES: add_bytes(text, val->bytes, val->len); return;
  case TW_REF: tw__text_add(text, "#%" PRIu64, val->u64); return;
  default: tw__text_add(text, "nil");
  }
}
