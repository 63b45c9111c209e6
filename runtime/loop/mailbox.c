/* mailbox.c -- records of bytes between a host and a pipeline.
 *
 * Two halves: records are put into one, while the other is with who took them. Taking
 * exchanges them, so nothing is moved, and a lock, where any thread may put, is held for a
 * copy or an exchange. A take that finds nothing leaves word (hungry), and only the next put
 * wakes. A mailbox that nobody shares has neither lock nor descriptor.
 */
#include <pthread.h>
#include <string.h>

#include "core/mem.h"
#include "loop/wake.h"

typedef struct half {
  char *bytes;
  tw_view *records; /* their ptr is the offset in bytes until they are taken */
  int64_t count, len;
  int64_t room, space; /* records, bytes */
} half;

struct tw_mailbox {
  tw__handle handle;
  int64_t max_records, max_bytes;
  half in, out;
  int hungry;  /* a take has found nothing */
  int refused; /* a put has found no room, and is to be told */
  int ended;
  int shared, outward;
  /* only when it is shared */
  pthread_mutex_t lock;
  tw__wake wake; /* keeps the loop waiting until it has ended */
};

enum { FIRST_RECORDS = 16, FIRST_BYTES = 1024 };
enum { KEPT = 1 << 18 }; /* bytes of an empty half that are not given back */

static void close_handle(tw__handle *handle) {
  tw_mailbox_close((tw_mailbox *)handle);
}

static int share(tw_mailbox *box, tw_loop *loop) {
  tw__wake_init(&box->wake);
  if (tw__wake_open(&box->wake, loop, &box->handle)) {
    tw__wake_fini(&box->wake);
    return TW_EIO;
  }
  pthread_mutex_init(&box->lock, NULL);
  box->shared = 1;
  return TW_OK;
}

tw_mailbox *tw_mailbox_open(tw_loop *loop, int64_t max_records, int64_t max_bytes,
                            int flags) {
  if (!loop || max_records < 1 || max_bytes < 1) return NULL;
  tw_mailbox *box = tw__calloc(1, sizeof *box);
  if (!box) return NULL;
  if (flags & TW_SHARED && share(box, loop)) {
    tw__free(box);
    return NULL;
  }
  box->outward = flags & TW_OUTWARD;
  box->max_records = max_records;
  box->max_bytes = max_bytes;
  tw__loop_attach(loop, &box->handle, close_handle);
  return box;
}

static void free_half(half *h) {
  tw__free(h->bytes);
  tw__free(h->records);
  memset(h, 0, sizeof *h);
}

static void free_box(uv_handle_t *poll) {
  tw__free((char *)poll - offsetof(tw_mailbox, wake.poll));
}

void tw_mailbox_close(tw_mailbox *box) {
  if (!box) return;
  tw__loop_detach(&box->handle);
  free_half(&box->in);
  free_half(&box->out);
  if (!box->shared) {
    tw__free(box);
    return;
  }
  pthread_mutex_destroy(&box->lock);
  tw__wake_close(&box->wake, free_box);
  tw__wake_fini(&box->wake);
}

uint32_t tw_mailbox_id(const tw_mailbox *box) {
  return box->handle.id;
}

/* The larger of twice what there is and what is needed. */
static int64_t grown(int64_t room, int64_t first, int64_t needed) {
  const int64_t twice = room ? 2 * room : first;
  return twice > needed ? twice : needed;
}

static int make_room(half *h, int64_t len) {
  if (h->count == h->room) {
    const int64_t room = grown(h->room, FIRST_RECORDS, 0);
    tw_view *records = tw__realloc(h->records, (size_t)room * sizeof *records);
    if (!records) return TW_ENOMEM;
    h->records = records;
    h->room = room;
  }
  if (!h->bytes || h->len + len > h->space) {
    const int64_t space = grown(h->space, FIRST_BYTES, h->len + len);
    char *bytes = tw__realloc(h->bytes, (size_t)space);
    if (!bytes) return TW_ENOMEM;
    h->bytes = bytes;
    h->space = space;
  }
  return TW_OK;
}

/* wake: whether the other side is to be told. */
static int put(tw_mailbox *box, const char *data, int64_t len, int *wake) {
  half *h = &box->in;
  if (box->ended) return TW_EOF;
  if (len > box->max_bytes) return TW_EINVAL;
  if (h->count >= box->max_records || h->len + len > box->max_bytes) {
    box->refused = box->outward;
    return TW_AGAIN;
  }
  if ((h->count == h->room || h->len + len > h->space || !h->bytes) &&
      make_room(h, len))
    return TW_ENOMEM;
  if (len) memcpy(h->bytes + h->len, data, (size_t)len);
  h->records[h->count++] = (tw_view){.ptr = (const char *)(intptr_t)h->len, .len = len};
  h->len += len;
  *wake = box->hungry;
  box->hungry = 0;
  return TW_OK;
}

int tw_mailbox_put(tw_mailbox *box, const char *data, size_t len) {
  int wake = 0;
  if (len > INT64_MAX / 2) return TW_EINVAL;
  if (!box->shared) {
    const int status = put(box, data, (int64_t)len, &wake);
    if (wake) tw__loop_ready(&box->handle);
    return status;
  }
  pthread_mutex_lock(&box->lock);
  const int status = put(box, data, (int64_t)len, &wake);
  pthread_mutex_unlock(&box->lock);
  if (wake) tw__wake_send(&box->wake);
  return status;
}

static void end(tw_mailbox *box) {
  box->ended = 1;
  box->hungry = 0;
}

void tw_mailbox_end(tw_mailbox *box) {
  if (!box->shared) {
    end(box);
    if (!box->outward) tw__loop_ready(&box->handle);
    return;
  }
  pthread_mutex_lock(&box->lock);
  end(box);
  pthread_mutex_unlock(&box->lock);
  tw__wake_send(&box->wake);
}

/* Exchanges the halves. wake: whether who puts is to be told. */
static void exchange(tw_mailbox *box, int *wake) {
  const half taken = box->in;
  box->in = box->out;
  box->out = taken;
  box->in.count = box->in.len = 0;
  box->hungry = !taken.count && !box->ended && !box->outward;
  *wake = box->refused;
  box->refused = 0;
}

int64_t tw_mailbox_take(tw_mailbox *box, const tw_view **records) {
  half *out = &box->out;
  int wake = 0;
  if (out->space > KEPT && out->len < out->space / 8) free_half(out);
  if (box->shared) pthread_mutex_lock(&box->lock);
  exchange(box, &wake);
  const int ended = box->ended;
  if (box->shared) pthread_mutex_unlock(&box->lock);
  if (wake) tw__loop_ready(&box->handle);
  if (ended && box->shared) uv_unref((uv_handle_t *)&box->wake.poll);
  for (int64_t i = 0; i < out->count; i++)
    out->records[i].ptr = out->bytes + (intptr_t)out->records[i].ptr;
  *records = out->records;
  return out->count ? out->count : ended ? TW_EOF : TW_AGAIN;
}

int64_t tw_mailbox_count(tw_mailbox *box) {
  if (!box->shared) return box->in.count;
  pthread_mutex_lock(&box->lock);
  const int64_t count = box->in.count;
  pthread_mutex_unlock(&box->lock);
  return count;
}
