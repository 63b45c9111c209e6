/* records.c -- whole records out of a followed file.
 *
 * Reading is the owner's, when the pipeline has room: from the page cache, where what has just
 * been written is.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>

#include "core/mem.h"
#include "source/follow.h"

static int need(tw_follow *f, int64_t room) {
  if (room <= f->buf_room &&
      (f->buf_room <= TW__FOLLOW_CHUNK || room > TW__FOLLOW_CHUNK))
    return TW_OK;
  if (room < TW__FOLLOW_CHUNK) room = TW__FOLLOW_CHUNK;
  char *buf = tw__malloc((size_t)room);
  if (!buf)
    return tw__follow_fail(f, TW_ENOMEM, "%s: no memory for a line", f->pattern);
  tw__free(f->buf);
  f->buf = buf;
  f->buf_room = room;
  return TW_OK;
}

static int too_long(tw_follow *f, const tw__tail *t, int64_t at) {
  return tw__follow_fail(f, TW_EPARSE,
                         "%s: byte %lld: a line of more than %lld bytes (max_line)",
                         t->path, (long long)at, (long long)f->max_line);
}

/* Is the file shorter than it was? */
static int shrunk(const tw__tail *t) {
  struct stat st;
  return !fstat(t->fd, &st) &&
         (st.st_size < t->position + t->searched || st.st_size < t->head_len);
}

/* Bytes of the file from position + skip, up to room. Returns how many, 0: none, and then there
 * is nothing to be read now; < 0 status. */
static int64_t get(tw_follow *f, tw__tail *t, int64_t skip, int64_t room) {
  if (t->emptied) {
    tw__look_refilled(f, t);
    if (t->before && t->before->dirty) return TW_AGAIN; /* its turn is later */
  }
  const ssize_t n = tw__tail_read(t->fd, f->buf, room, t->position + skip);
  if (n < 0)
    return tw__follow_fail(f, TW_EIO, "%s: byte %lld: %s", t->path,
                           (long long)(t->position + skip), strerror(errno));
  /* in this order: what was read before the head was still the same is good */
  if ((n > 0 || !shrunk(t)) && tw__tail_same(f, t)) return n;
  tw__look_truncated(f, t);
  return TW_AGAIN;
}

/* Nothing has been added to the file. Returns the bytes of a last record that has no end, when
 * that counts, else 0; < 0 status. */
static int64_t no_more(tw_follow *f, tw__tail *t) {
  const int64_t size = t->searched;
  t->dirty = 0;
  if (!t->final || size == 0) return 0;
  t->final = 0;
  if (need(f, size)) return f->failed;
  const int64_t n = get(f, t, 0, size);
  if (n <= 0) return n;
  t->searched = 0;
  f->at = f->buf;
  f->end = f->buf + n;
  return n;
}

/* Looks for the end of a long record that had none. Returns its size with its end, 0 when there
 * is none yet, < 0 status. */
static int64_t search(tw_follow *f, tw__tail *t) {
  for (;;) {
    const int64_t skip = t->searched - (f->dlen - 1);
    const int64_t n = get(f, t, skip, TW__FOLLOW_CHUNK);
    if (n < 0) return n;
    const int64_t at = tw_view_find(f->buf, n, f->delim, f->dlen);
    if (at >= 0) return skip + at + f->dlen;
    if (skip + n <= t->searched) return 0;
    t->searched = skip + n;
    if (f->max_line && t->searched > f->max_line + f->dlen)
      return too_long(f, t, t->position);
  }
}

/* Of n bytes, those up to the end of the last delimiter; the first `clean` have none. */
static int64_t whole(const tw_follow *f, int64_t n, int64_t clean) {
  if (f->dlen == 1) {
    const char *last = memrchr(f->buf + clean, f->delim[0], (size_t)(n - clean));
    return last ? last + 1 - f->buf : 0;
  }
  /* from the front: occurrences may overlap, and the first one counts */
  int64_t used = 0, at;
  while ((at = tw_view_find(f->buf + used, n - used, f->delim, f->dlen)) >= 0)
    used += at + f->dlen;
  return used;
}

int64_t tw__records_read(tw_follow *f, tw__tail *t) {
  int64_t size = 0;
  if (need(f, TW__FOLLOW_CHUNK)) return f->failed;
  if (t->searched >= TW__FOLLOW_CHUNK / 2 && t->searched >= f->dlen) {
    size = search(f, t);
    if (size < 0) return size;
    if (size == 0) return no_more(f, t);
    if (need(f, size)) return f->failed;
  }
  const int64_t n = get(f, t, 0, f->buf_room);
  if (n < 0) return n;
  if (n == 0) return no_more(f, t);
  const int64_t clean = t->searched < n ? t->searched : n;
  const int64_t used = whole(f, n, clean);
  if (used == 0 && n <= t->searched) return no_more(f, t);
  t->searched = n - used;
  if (f->max_line && t->searched > f->max_line + f->dlen && used == 0)
    return too_long(f, t, t->position);
  f->at = f->buf;
  f->end = f->buf + used;
  return used;
}

/* Of n records, those before the first that is too long. */
static int within_limit(tw_follow *f, tw__tail *t, int n, int64_t *used) {
  int64_t size = 0;
  for (int i = 0; i < n; i++) {
    if (f->lines[i].len > f->max_line) {
      (void)too_long(f, t, t->position + size);
      *used = size;
      f->at = f->end;
      return i;
    }
    size += f->lines[i].len + f->dlen;
  }
  return n;
}

int tw__records_cut(tw_follow *f) {
  tw__tail *t = f->current;
  int64_t used;
  int n = tw_lines_split(f->at, f->end - f->at, f->delim, f->dlen, f->lines,
                         TW__FOLLOW_BATCH, &used);
  if (n == 0) { /* the rest of a file */
    f->lines[0] = (tw_slice){f->at, f->end - f->at};
    used = f->end - f->at;
    n = 1;
  }
  f->at += used;
  if (f->max_line) {
    n = within_limit(f, t, n, &used);
    if (n == 0) return f->failed;
  }
  if (f->keep && tw__batches_note(f, t, t->position, t->position + used))
    return f->failed;
  f->start = t->position;
  t->position += used;
  t->since_ns = 0;
  f->changed = 1;
  return n;
}
