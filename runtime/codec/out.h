/* out.h -- writing into a tw_out: room first, then bytes. */
#ifndef TIDEWAY_CODEC_OUT_H
#define TIDEWAY_CODEC_OUT_H

#include "tideway.h"

/* Where n more bytes may be written; NULL, and status is set, without memory. Write,
 * then add to len what was written. */
char *tw__out_grow(tw_out *out, int64_t n);

static inline char *tw__out_room(tw_out *out, int64_t n) {
  if (!out->bytes || out->room - out->len < n) return tw__out_grow(out, n);
  return out->bytes + out->len;
}

#endif
