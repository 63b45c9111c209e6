/* follow.h -- files that grow, read on and on: what the parts of it share.
 *
 *     follow.c    opens, asks the tails in turn for records, closes
 *     look.c      what has happened to the paths
 *     beside.c    the files beside a path: rotated ones, copies
 *     tail.c      one file: its descriptor, its head, its place among the others
 *     records.c   whole records out of a tail
 *     batches.c   which of them are through
 *     resume.c    the position file's text
 *
 * A tail is one file: an open descriptor and how far it has been delivered. It begins
 * where the last whole record has ended (`position`); a record that has not ended stays
 * in the file, and is read again when its end has been seen, so that a tail holds no text.
 * All share one buffer.
 *
 *     file | delivered ............ | no end in here ... | not looked at ...
 *                                   position             + searched
 *
 * All functions run on the thread of the loop.
 */
#ifndef TIDEWAY_SOURCE_FOLLOW_H
#define TIDEWAY_SOURCE_FOLLOW_H

#include <sys/stat.h>
#include <sys/types.h>

#include "loop/loop.h"
#include "source/position.h"
#include "source/watch.h"

enum {
  TW__FOLLOW_CHUNK = 256 << 10,
  TW__FOLLOW_BATCH = 2048,
  TW__FOLLOW_HEAD = 512, /* bytes of a file that tell it from others */
  TW__FOLLOW_DIRS = 64   /* directories that are watched; the timer looks at others */
};

typedef struct tw__tail tw__tail;
struct tw__tail {
  char *path; /* where it was followed last */
  int fd;     /* -1: closed, but not all of it is through */
  int wd;
  dev_t dev;
  ino_t ino;
  int64_t position, searched;
  tw__tail *before; /* its records come first */
  int dirty;        /* there may be more to read */
  int left;         /* no longer at its path */
  int copy;         /* nothing will be appended */
  int emptied;      /* by truncation: it may have been filled and copied since */
  int final;        /* a last record without an end counts */
  int seen;         /* by the look that is under way */
  int64_t size, changed_ns; /* at the last look */
  int64_t since_ns;         /* left and silent since, 0: not */
  int64_t head_len;
  uint64_t head; /* hash of the first head_len bytes */
  int64_t held;  /* batches that are not through */
  int64_t saved; /* while the position file is written */
};

typedef struct tw__batch {
  tw__tail *tail;
  int64_t start, end;
  int through;
} tw__batch;

struct tw_follow {
  tw__handle handle; /* first */
  char *pattern, *delim;
  int64_t dlen, max_line;
  int partial, share, shares;
  tw_watch *watch;
  tw__position *keep;       /* NULL: nobody wants to go on later */
  int changed;              /* something is to be saved */
  int64_t now_ns, saved_ns; /* of the last look; when the position file was written */

  tw__tail **tail;
  int tails, room, turn;
  int dir_wd[TW__FOLLOW_DIRS], dirs;

  tw__batch *batch; /* ring of batch_room, from first_batch to next_batch */
  int64_t batch_room, first_batch, next_batch;

  char *buf;
  int64_t buf_room;
  const char *at, *end; /* whole records in buf still to be delivered, of `current` */
  tw__tail *current;    /* of the last batch */
  int64_t start;        /* where that began */
  int failed;
  tw_slice lines[TW__FOLLOW_BATCH];
  char error[1024];
};

/* Notes what is wrong, for good. Returns the status. */
int tw__follow_fail(tw_follow *f, int status, const char *format, ...);

/* ---- tail.c ------------------------------------------------------------------ */

/* pread, again when it was interrupted. */
ssize_t tw__tail_read(int fd, char *buf, int64_t len, int64_t offset);

/* Does the file begin with len bytes, 0 .. TW__FOLLOW_HEAD, of this hash? */
int tw__tail_has_head(int fd, int64_t len, uint64_t head);

/* Is the file still the one it was? Notes more of its head, if there is more by now. */
int tw__tail_same(tw_follow *f, tw__tail *t);

/* The file is another one now: read it from its beginning. */
void tw__tail_restart(tw_follow *f, tw__tail *t);

/* A tail for an open file, fd, which is taken; it comes after `before` (NULL: none), also in
 * the list. NULL: no memory, and f has failed. */
tw__tail *tw__tail_add(tw_follow *f, const char *path, int fd, const struct stat *st,
                       tw__tail *before);

/* The tail of an open file; NULL: none. */
tw__tail *tw__tail_find(const tw_follow *f, const struct stat *st);

/* Is it the file of a tail, also of one that is closed (whose inode may be another's by now)? */
int tw__tail_known(const tw_follow *f, const struct stat *st, int fd);

/* The tail that came last at a path; NULL: none. */
tw__tail *tw__tail_last(const tw_follow *f, const char *path);

/* Closes its file. */
void tw__tail_close(tw_follow *f, tw__tail *t);

/* Drops the tails that are closed and through. */
void tw__tail_reap(tw_follow *f);

void tw__tail_free(tw__tail *t); /* taken */

int64_t tw__tail_changed_ns(const struct stat *st);

/* ---- beside.c ---------------------------------------------------------------- */

typedef struct tw__sibling {
  char path[4096];
  struct stat st;
  int fd; /* -1: none */
} tw__sibling;

/* A file that is looked for by its beginning. */
typedef struct tw__wanted {
  const tw_follow *f;
  int64_t position, head_len;
  uint64_t head;
  dev_t dev;
  ino_t ino;
  tw__sibling found;
  int64_t known_ns; /* the time of a copy that is read already; 0: none */
} tw__wanted;

/* How long the directory is at the beginning of a path, with its slash. */
int tw__beside_dir_len(const char *path);

/* Has a name, or what follows one, a suffix of archives? */
int tw__beside_packed(const char *rest);

/* A copy of the file that there was at the path: of the same head and long enough. The newest, in
 * w->found, opened; one that is a tail only sets w->known_ns. */
void tw__beside_copy(const char *path, tw__wanted *w);

/* The file itself under another name, in w->found, opened. */
void tw__beside_same(const char *path, tw__wanted *w);

/* Adds tails for files that were at the path after `old` (NULL: none) and before the one that is
 * there now, that is, numbered or dated ones that have changed since after_ns, and not since
 * until_ns, unless that is 0. Returns the newest of them, or old. */
tw__tail *tw__beside_missed(tw_follow *f, tw__tail *old, const char *path,
                            int64_t after_ns, int64_t until_ns);

/* ---- look.c ------------------------------------------------------------------ */

/* Which files are there? from_end: of those that are new only what will be appended. */
void tw__look_scan(tw_follow *f, int from_end);

/* Has the file changed since the last look? */
void tw__look_compare(tw_follow *f, tw__tail *t);

/* A file that was truncated, and has nothing known in it yet: has it been filled, copied and
 * truncated again since the last look? Then the copies are tails before it. To be called before
 * its head is looked at. */
void tw__look_refilled(tw_follow *f, tw__tail *t);

/* The file was truncated: the tail goes on with its copy, the path with a new tail. */
void tw__look_truncated(tw_follow *f, tw__tail *t);

/* Watches the directory of a path, unless it is a glob itself. */
void tw__look_dir(tw_follow *f, const char *path);

/* An event of inotify; for tw__watch_seen, data: the tw_follow. */
void tw__look_seen(void *data, int wd, const char *name);

/* ---- records.c --------------------------------------------------------------- */

/* Has whole records of a tail between f->at and f->end. Returns their bytes, 0: there are none
 * now, TW_AGAIN: it was truncated, or < 0 status: f has failed. */
int64_t tw__records_read(tw_follow *f, tw__tail *t);

/* The next batch out of those, of f->current. Returns how many are in f->lines, or a status. */
int tw__records_cut(tw_follow *f);

/* ---- batches.c --------------------------------------------------------------- */

/* The bytes start .. end - 1 of a tail are a batch, the last one. Returns TW_OK or TW_ENOMEM: f
 * has failed. */
int tw__batches_note(tw_follow *f, tw__tail *t, int64_t start, int64_t end);

/* Sets `saved` of all tails: where the first batch begins that is not through. */
void tw__batches_saved(tw_follow *f);

/* ---- resume.c ---------------------------------------------------------------- */

/* Goes on where the position file, f->keep, says. name: its path. Returns how many records there
 * were, -1: there is no position file; else a status. */
int tw__resume_load(tw_follow *f, const char *name);

#endif
