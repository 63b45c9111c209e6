/* out.c -- text on its way out: a growing buffer with the writers that encoders share.
 */
#include "codec/out.h"

#include <string.h>

#include "codec/number.h"
#include "core/mem.h"

enum { ROOM_FIRST = 256, ROOM_KEPT = 1 << 20 };

tw_out *tw_out_open(void) {
  return tw__calloc(1, sizeof(tw_out));
}

void tw_out_close(tw_out *out) {
  if (!out) return;
  tw__free(out->bytes);
  tw__free(out);
}

void tw_out_clear(tw_out *out) {
  out->len = 0;
  out->status = TW_OK;
  if (out->room <= ROOM_KEPT) return;
  tw__free(out->bytes);
  out->bytes = NULL;
  out->room = 0;
}

char *tw__out_grow(tw_out *out, int64_t n) {
  int64_t room = out->room ? out->room : ROOM_FIRST;
  while (room - out->len < n) room *= 2;
  char *bytes = tw__realloc(out->bytes, (size_t)room);
  if (!bytes) {
    out->status = TW_ENOMEM;
    return NULL;
  }
  out->bytes = bytes;
  out->room = room;
  return bytes + out->len;
}

void tw_out_bytes(tw_out *out, const char *bytes, int64_t len) {
  char *to = tw__out_room(out, len);
  if (!to || len <= 0) return;
  memcpy(to, bytes, (size_t)len);
  out->len += len;
}

void tw_out_num(tw_out *out, double x) {
  char *to = tw__out_room(out, TW__NUMBER_TEXT);
  if (to) out->len += tw__number_write(to, x);
}

void tw_out_i64(tw_out *out, int64_t x) {
  char *to = tw__out_room(out, TW__NUMBER_TEXT);
  if (to) out->len += tw__number_write_i64(to, x);
}

void tw_out_u64(tw_out *out, uint64_t x) {
  char *to = tw__out_room(out, TW__NUMBER_TEXT);
  if (to) out->len += tw__number_write_u64(to, x);
}
