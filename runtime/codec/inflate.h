/* inflate.h -- gzip and zstd, several members (frames) after each other read as one. */
#ifndef TIDEWAY_CODEC_INFLATE_H
#define TIDEWAY_CODEC_INFLATE_H

#include <stddef.h>

#include "tideway.h"

typedef struct tw__inflate tw__inflate;

/* A new decompressor for an enum tw_encoding; NULL: no memory, or nothing to
 * decompress. */
tw__inflate *tw__inflate_open(int encoding);
void tw__inflate_close(tw__inflate *z);

/* Decompress what fits from in to out.
 * *used  how much of in was taken; *made how much was written. With *made == room there
 * may be more to come without further input.
 * Returns TW_OK, or TW_ECORRUPT / TW_ENOMEM; then used bytes were taken until it was
 * noticed, and made are good. Members follow each other; zeros after the last are
 * skipped. */
int tw__inflate_step(tw__inflate *z, const char *in, size_t len, size_t *used,
                     char *out, size_t room, size_t *made);

/* Whether the input may end here: TW_OK between members, else TW_ECORRUPT. */
int tw__inflate_finish(tw__inflate *z);

/* What the last failure was, in words; static or lives as long as z. */
const char *tw__inflate_text(const tw__inflate *z);

#endif
