/* stdout.h -- standard output for several threads, line by line. */
#ifndef TIDEWAY_SINK_STDOUT_H
#define TIDEWAY_SINK_STDOUT_H

#include <stdio.h>

typedef struct tw__stdout tw__stdout;

/* A new FILE to which a thread of its own writes; what it writes goes to standard output in whole
 * lines, none of another thread's between them. *out, which stays, is freed by tw__stdout_free
 * after the FILE has been closed. NULL: no memory. */
FILE *tw__stdout_open(tw__stdout **out);

/* Completes the last line, behind a flush of the FILE. Returns TW_OK, or TW_EIO (errno): this or an
 * earlier write has failed. */
int tw__stdout_finish(tw__stdout *out);

void tw__stdout_free(tw__stdout *out); /* taken; NULL is fine */

/* Held while something is written that is to be in one piece. */
void tw__stdout_lock(void);
void tw__stdout_unlock(void);

#endif
