/* follow.c -- files that grow, read on and on through all that is done to logs; see follow.h. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/mem.h"
#include "source/follow.h"

int tw__follow_fail(tw_follow *f, int status, const char *format, ...) {
  va_list args;
  va_start(args, format);
  vsnprintf(f->error, sizeof f->error, format, args);
  va_end(args);
  return f->failed = status;
}

/* Is there something that must be read before this? */
static int must_wait(const tw__tail *t) {
  for (t = t->before; t; t = t->before)
    if (t->dirty) return 1;
  return 0;
}

int tw_follow_next(tw_follow *f) {
  if (f->failed) return f->failed;
  if (f->keep && tw__position_failed(f->keep))
    return tw__follow_fail(f, TW_EIO, "the position file cannot be written: %s",
                           strerror(tw__position_failed(f->keep)));
  if (f->at < f->end) return tw__records_cut(f);
  f->current = NULL;
  tw__tail_reap(f);
  for (int tries = 0, more = 1; more;) {
    more = 0;
    for (int i = 0; i < f->tails; i++) {
      tw__tail *t = f->tail[(f->turn + i) % f->tails];
      if (!t->dirty || t->fd < 0 || must_wait(t)) continue;
      const int64_t n = tw__records_read(f, t);
      if (n < 0 && n != TW_AGAIN) return (int)n;
      if (n > 0) {
        f->current = t;
        f->turn = (f->turn + i + 1) % f->tails;
        return tw__records_cut(f);
      }
      more = 1;
    }
    if (++tries == 100) { /* somebody truncates faster than we read: let others go on */
      tw__loop_ready(&f->handle);
      break;
    }
  }
  return TW_AGAIN;
}

static void destroy(tw_follow *f) {
  for (int i = 0; i < f->tails; i++) tw__tail_free(f->tail[i]);
  tw_watch_close(f->watch);
  tw__position_close(f->keep);
  tw__free(f->tail);
  tw__free(f->batch);
  tw__free(f->buf);
  tw__free(f->pattern);
  tw__free(f->delim);
  tw__free(f);
}

void tw_follow_close(tw_follow *f) {
  if (!f) return;
  tw__loop_detach(&f->handle);
  (void)tw_follow_keep(f);
  destroy(f);
}

static void close_handle(tw__handle *handle) {
  tw_follow_close((tw_follow *)handle);
}

/* What is wrong with a path that is to be followed, and is no glob; NULL: nothing. */
static const char *unfit(const char *path) {
  struct stat st;
  if (stat(path, &st)) return strpbrk(path, "*?[") ? NULL : strerror(errno);
  if (S_ISDIR(st.st_mode)) return strerror(EISDIR);
  if (!S_ISREG(st.st_mode)) return "only regular files can be followed";
  return access(path, R_OK) ? strerror(errno) : NULL;
}

tw_follow *tw_follow_open(tw_loop *loop, const tw_follow_options *o, char *error,
                          int64_t size) {
  if (size > 0) *error = 0;
  const char *text = "no memory";
  int records = -1;
  tw_follow *f = tw__calloc(1, sizeof *f);
  if (!f) goto none;
  text = o->dlen < 1 ? "an empty delimiter" : "no memory";
  if (o->dlen < 1) goto none;
  f->dlen = o->dlen;
  f->max_line = o->max_line;
  f->partial = o->partial;
  f->share = o->share;
  f->shares = o->shares;
  f->pattern = tw__mem_copy(o->pattern, (int64_t)strlen(o->pattern));
  f->delim = tw__mem_copy(o->delim, o->dlen);
  f->watch = tw_watch_open(loop);
  if (!f->pattern || !f->delim || !f->watch) goto none;
  tw__watch_seen(f->watch, tw__look_seen, f);
  if (o->position) {
    f->keep = tw__position_open(o->position);
    if (!f->keep) goto none;
    records = tw__resume_load(f, o->position);
    if (f->failed) {
      if (size > 0) snprintf(error, (size_t)size, "%s", f->error);
      destroy(f);
      return NULL;
    }
  }
  if (records <= 0) { /* else it was there once, and may be about to come again */
    text = unfit(o->pattern);
    if (text) goto none;
  }
  tw__look_dir(f, f->pattern); /* first, so that nothing comes in between */
  tw__look_scan(f, o->from_end && records < 0);
  if (f->failed) {
    text = "no memory";
    goto none;
  }
  for (int i = 0; i < f->tails; i++) tw__look_compare(f, f->tail[i]);
  tw__loop_attach(loop, &f->handle, close_handle); /* closed before the watch */
  if (tw_follow_keep(f) == TW_OK) return f; /* from here on nothing is left out */
  if (size > 0) snprintf(error, (size_t)size, "%s", f->error);
  tw__loop_detach(&f->handle);
  destroy(f);
  return NULL;

none:
  if (size > 0) snprintf(error, (size_t)size, "%s: %s", o->pattern, text);
  if (f) destroy(f);
  return NULL;
}

uint32_t tw_follow_id(const tw_follow *f) {
  return f->handle.id;
}

const tw_slice *tw_follow_lines(const tw_follow *f) {
  return f->lines;
}

const char *tw_follow_path(const tw_follow *f) {
  return f->current ? f->current->path : f->pattern;
}

int64_t tw_follow_start(const tw_follow *f) {
  return f->start;
}

int tw_follow_silent(const tw_follow *f) {
  return tw_watch_silent(f->watch);
}

const char *tw_follow_error(const tw_follow *f) {
  return f->error;
}
