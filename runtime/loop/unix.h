/* unix.h -- the place of a listening Unix socket in the file system.
 *
 * A socket that nobody listens on any more, as a process that was killed leaves behind, is
 * replaced; the file is removed in the end, if it is still the one that was made.
 */
#ifndef TIDEWAY_LOOP_UNIX_H
#define TIDEWAY_LOOP_UNIX_H

#include <sys/types.h>

/* Exported: the libraries beside the core use it, too. */
#pragma GCC visibility push(default)

typedef struct tw__unix {
  char *path; /* NULL: none */
  dev_t dev;  /* of the file */
  ino_t ino;
} tw__unix;

/* A socket, non-blocking, bound to path and not listening yet.
 * place  filled in; goes back through tw__unix_remove
 * Returns its descriptor, or -1 and the reason in text: a view, valid until the next error. */
int tw__unix_bind(tw__unix *place, const char *path, const char **text);

/* Removes the file, unless somebody has put another in its place. Twice is fine. */
void tw__unix_remove(tw__unix *place);

#pragma GCC visibility pop

#endif
