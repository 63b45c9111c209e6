/* bytes.c -- bytes that grow, twice as many each time. */
#include "core/bytes.h"

#include <string.h>

#include "core/mem.h"
#include "tideway.h"

enum { FIRST_ROOM = 256 };

int tw__bytes_reserve(struct tw__bytes *bytes, int64_t more) {
  if (bytes->failed) return TW_ENOMEM;
  if (more <= bytes->room - bytes->len) return TW_OK;
  int64_t room = bytes->room ? bytes->room : FIRST_ROOM;
  while (room - bytes->len < more && room <= INT64_MAX / 2) room *= 2;
  char *grown = room - bytes->len < more ? NULL : tw__realloc(bytes->at, (size_t)room);
  if (!grown) {
    bytes->failed = 1;
    return TW_ENOMEM;
  }
  bytes->at = grown;
  bytes->room = room;
  return TW_OK;
}

int tw__bytes_add(struct tw__bytes *bytes, const void *from, int64_t len) {
  if (len > 0 && !tw__bytes_reserve(bytes, len)) {
    memcpy(bytes->at + bytes->len, from, (size_t)len);
    bytes->len += len;
  }
  return bytes->failed ? TW_ENOMEM : TW_OK;
}

void tw__bytes_clear(struct tw__bytes *bytes) {
  tw__free(bytes->at);
  *bytes = (struct tw__bytes){0};
}
