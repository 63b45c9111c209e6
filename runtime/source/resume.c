/* resume.c -- the position file's text: written, and gone on from.
 *
 *     tideway positions 1
 *     DEVICE INODE POSITION HEAD-LENGTH HEAD-HASH PATH
 *
 * Of an empty file, which has no head, its time in ns stands in the place of the hash: what is
 * younger by then has been at the path since.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/mem.h"
#include "source/follow.h"

static const char MAGIC[] = "tideway positions 1\n";

/* A path in one word; room for three times its length. Returns where it ends. */
static char *put_path(char *to, const char *path) {
  for (; *path; path++) {
    if (*path <= ' ' || *path == '%' || *path == 127)
      to += sprintf(to, "%%%02x", (unsigned char)*path);
    else
      *to++ = *path;
  }
  return to;
}

static void get_path(char *path) {
  char *to = path;
  for (; *path; path++, to++) {
    unsigned code;
    if (*path == '%' && sscanf(path + 1, "%2x", &code) == 1) {
      *to = (char)code;
      path += 2;
    } else {
      *to = *path;
    }
  }
  *to = 0;
}

/* The text of the position file, tw__malloc'ed; NULL: no memory. */
static char *text_of(tw_follow *f, int64_t *len) {
  size_t room = sizeof MAGIC;
  for (int i = 0; i < f->tails; i++) room += 128 + 3 * strlen(f->tail[i]->path);
  char *text = tw__malloc(room), *to = text;
  if (!text) return NULL;
  to += sprintf(to, "%s", MAGIC);
  tw__batches_saved(f);
  for (int i = 0; i < f->tails; i++) {
    const tw__tail *t = f->tail[i];
    if ((t->fd < 0 || (t->left && t->head_len == 0)) && t->held == 0) continue;
    to += sprintf(to, "%" PRIu64 " %" PRIu64 " %" PRId64 " %" PRId64 " %016" PRIx64 " ",
                  (uint64_t)t->dev, (uint64_t)t->ino, t->saved, t->head_len,
                  t->head_len ? t->head : (uint64_t)t->changed_ns);
    to = put_path(to, t->path);
    *to++ = '\n';
  }
  *len = to - text;
  return text;
}

void tw_follow_save(tw_follow *f) {
  int64_t len;
  if (!f->keep || !f->changed) return;
  char *text = text_of(f, &len);
  if (!text) return; /* the next time, then */
  if (tw__position_save(f->keep, tw__loop_uv(f->handle.loop), text, len))
    f->changed = 0;
  else
    tw__free(text);
}

/* A record of the position file: go on there. The file may have got another name, or its text
 * may be in a copy. */
static void resume(tw_follow *f, const char *path, tw__wanted *w) {
  struct stat st;
  tw__tail *t;
  w->f = f;
  w->found.fd = -1;
  if (w->head_len == 0) return; /* it was empty: nothing tells it from others */
  const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
  int left = 1, copy = 0;
  if (fd >= 0 && !fstat(fd, &st) && S_ISREG(st.st_mode) && st.st_ino == w->ino &&
      st.st_dev == w->dev && st.st_size >= w->position &&
      tw__tail_has_head(fd, w->head_len, w->head)) {
    w->found.fd = fd;
    w->found.st = st;
    left = 0;
  } else if (fd >= 0) {
    close(fd);
  }
  if (w->found.fd < 0) tw__beside_same(path, w);
  if (w->found.fd < 0 && w->head_len) {
    tw__beside_copy(path, w);
    copy = 1;
  }
  if (w->found.fd < 0) return; /* gone, packed, or another file by now */
  tw__tail *old = tw__tail_last(f, path);
  t = tw__tail_add(f, path, w->found.fd, &w->found.st, old);
  if (!t) return;
  t->position = w->position;
  t->left = left;
  t->copy = copy;
}

/* What was left of files that were copied and truncated may have been rotated as well. */
static void resume_between(tw_follow *f) {
  for (int i = 0; i < f->tails; i++) {
    tw__tail *t = f->tail[i], *next = NULL;
    struct stat st, until = {0};
    if (!t->copy || fstat(t->fd, &st)) continue;
    for (int k = 0; k < f->tails; k++)
      if (f->tail[k]->before == t) next = f->tail[k];
    if (next && !fstat(next->fd, &until))
      next->before = tw__beside_missed(f, t, t->path, tw__tail_changed_ns(&st),
                                       tw__tail_changed_ns(&until));
  }
}

/* What has been at the paths after the files of the records, and was rotated in turn: also where
 * none of those can be found, then as far as it is younger than the empty file that was there, or
 * than the position file.
 * places  up to end: a time, 0 where the last file was not empty, and the path, ended by a 0 */
static void resume_after(tw_follow *f, const char *places, const char *end) {
  for (const char *path; places < end; places = path + strlen(path) + 1) {
    int64_t empty_ns;
    struct stat st;
    memcpy(&empty_ns, places, sizeof empty_ns);
    path = places + sizeof empty_ns;
    tw__tail *last = tw__tail_last(f, path);
    if (!last)
      (void)tw__beside_missed(f, NULL, path, empty_ns > 0 ? empty_ns : f->saved_ns, 0);
    else if (last->left && !fstat(last->fd, &st))
      (void)tw__beside_missed(f, last, path, tw__tail_changed_ns(&st), 0);
  }
}

int tw__resume_load(tw_follow *f, const char *name) {
  char *text;
  int64_t len;
  int records = 0;
  struct stat st;
  const int rc = tw__position_read(f->keep, &text, &len);
  if (rc == TW_ENOMEM) return tw__follow_fail(f, rc, "%s: no memory", name);
  if (rc) return tw__follow_fail(f, rc, "%s: %s", name, strerror(errno));
  if (!text) return -1;
  f->saved_ns = stat(name, &st) ? 0 : tw__tail_changed_ns(&st);
  char *place = NULL, *end = text; /* the last one; where the next goes */
  int good = !strncmp(text, MAGIC, sizeof MAGIC - 1);
  for (char *line = text + sizeof MAGIC - 1, *stop; good && *line; line = stop + 1) {
    tw__wanted w = {.position = 0};
    uint64_t dev, ino;
    int used = 0;
    stop = strchr(line, '\n');
    good =
        stop &&
        sscanf(line, "%" SCNu64 " %" SCNu64 " %" SCNd64 " %" SCNd64 " %" SCNx64 " %n",
               &dev, &ino, &w.position, &w.head_len, &w.head, &used) == 5 &&
        used > 0 && w.position >= 0 && w.head_len >= 0 && w.head_len <= TW__FOLLOW_HEAD;
    if (!good) break;
    *stop = 0;
    w.dev = (dev_t)dev;
    w.ino = (ino_t)ino;
    get_path(line + used);
    records++;
    resume(f, line + used, &w);
    /* < 0: the hash of nothing, which once stood there */
    const int64_t empty_ns = w.head_len ? 0 : (int64_t)w.head;
    if (!place || strcmp(place + sizeof empty_ns, line + used)) {
      place =
          end; /* kept where there was what has been read: five numbers, 10 bytes at least */
      end += sizeof empty_ns;
      memmove(end, line + used, strlen(line + used) + 1);
      end += strlen(end) + 1;
    }
    memcpy(place, &empty_ns, sizeof empty_ns);
  }
  resume_between(f);
  resume_after(f, text, end);
  tw__free(text);
  if (good) return records;
  return tw__follow_fail(f, TW_ECORRUPT, "%s: this is no position file of tideway's",
                         name);
}

int tw_follow_keep(tw_follow *f) {
  int64_t len;
  if (!f->keep || (!f->changed && !tw__position_busy(f->keep))) return TW_OK;
  char *text = text_of(f, &len);
  if (!text) return tw__follow_fail(f, TW_ENOMEM, "no memory for the position file");
  const int failed = tw__position_write(f->keep, text, len);
  if (failed)
    return tw__follow_fail(f, TW_EIO, "the position file cannot be written: %s",
                           strerror(failed));
  f->changed = 0;
  return TW_OK;
}
