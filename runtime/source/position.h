/* position.h -- a small file that is written anew as a whole, off the loop's thread. */
#ifndef TIDEWAY_SOURCE_POSITION_H
#define TIDEWAY_SOURCE_POSITION_H

#include "loop/loop.h"

typedef struct tw__position tw__position;

/* path  copied. Returns NULL when there is no memory. */
tw__position *tw__position_open(const char *path);

/* What the file holds, new, ended by a 0, *len bytes. Returns TW_OK, also with *text
 * NULL: there is no file; TW_EIO and errno; TW_ENOMEM. */
int tw__position_read(const tw__position *position, char **text, int64_t *len);

/* Has the file replaced by the text, taken, on libuv's pool. While the one before is
 * still being written nothing happens: returns 0, and the text is not taken; else 1. */
int tw__position_save(tw__position *position, uv_loop_t *uv, char *text, int64_t len);

/* Is there a text on its way, which would be lost by closing? */
int tw__position_busy(const tw__position *position);

/* 0, or the errno of the last time it was written. */
int tw__position_failed(const tw__position *position);

/* Replaces the file now; the text is taken. Returns 0 or the errno. */
int tw__position_write(tw__position *position, char *text, int64_t len);

/* Is the path that of the file, or of the one that it is written to at first? */
int tw__position_is(const tw__position *position, const char *path);

/* Taken; NULL is fine. Of a text that waits to be written nothing is written. */
void tw__position_close(tw__position *position);

#endif
