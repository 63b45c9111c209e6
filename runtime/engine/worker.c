/* worker.c -- a runtime in a thread of its own, with a lane to the thread that opened it.
 *
 * The two threads share the lane and two flags: go (the owner's wish) and ended (what the worker
 * has left behind is there to be read). Everything in the thread, its parcels and pool too, has
 * come to its end when the owner has joined it.
 */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "core/mem.h"
#include "loop/lane.h"

struct tw_worker {
  tw_lane ours, theirs;
  pthread_t id;
  char *code, *name, *root;
  int number;
  int unreferenced; /* our handle does not keep the loop waiting any more */
  _Atomic int go;
  _Atomic int ended; /* status and error are there */
  int status;
  char *error; /* NULL with a bad status: no memory */
};

enum {
  TURN_MS = 200
}; /* of code that has not attached its lane: nothing would wake it */

/* ---- in the thread ---- */

static tw_runtime *begin(tw_worker *w) {
  char address[24], number[16];
  snprintf(address, sizeof address, "%llu", (unsigned long long)(uintptr_t)&w->theirs);
  snprintf(number, sizeof number, "%d", w->number);
  const char *const args[] = {address, number, NULL};
  return tw_open(
      &(tw_options){.code = w->code, .name = w->name, .root = w->root, .args = args});
}

static int told_to_go(tw_worker *w) {
  return atomic_load_explicit(&w->go, memory_order_acquire);
}

static void *run(void *arg) {
  tw_worker *w = arg;
  tw_runtime *rt = begin(w);
  int more = rt && !tw_error(rt) ? 1 : TW_EFAILED;
  while (more > 0 && !told_to_go(w)) {
    more = tw_step(rt, w->theirs.handle.loop ? -1 : TURN_MS);
  }
  if (more < 0) {
    const char *text = tw_error(rt);
    w->status = TW_EFAILED;
    w->error = tw__mem_copy(text, (int64_t)strlen(text));
  }
  tw_close(rt);
  atomic_store_explicit(&w->ended, 1, memory_order_release);
  tw__lane_wake(&w->ours);
  return NULL;
}

/* ---- at the owner's ---- */

/* The process' signals stay with its other threads. */
static int start(tw_worker *w) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  const int failed = pthread_create(&w->id, NULL, run, w);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  return failed ? TW_EIO : TW_OK;
}

/* A copy of a text, or NULL of NULL. ok: becomes 0 without memory. */
static char *copy(const char *text, int *ok) {
  char *made = text ? tw__mem_copy(text, (int64_t)strlen(text)) : NULL;
  if (text && !made) *ok = 0;
  return made;
}

static void release(tw_worker *w) {
  tw__free(w->code);
  tw__free(w->name);
  tw__free(w->root);
  tw__free(w->error);
  tw__free(w);
}

static void release_closed(uv_handle_t *poll) {
  release((tw_worker *)((char *)poll - offsetof(tw_worker, ours.wake.poll)));
}

/* The thread is gone. The rest of the worker goes when the loop has let go of it. */
static void leave(tw_worker *w) {
  tw__lane_detach(&w->ours, release_closed);
  tw__lane_fini(&w->ours, &w->theirs);
}

static void close_worker(tw__handle *handle) {
  tw_worker_close((tw_worker *)((char *)handle - offsetof(tw_worker, ours.handle)));
}

static tw_worker *refuse(char *error, int size, const char *why) {
  if (size > 0) snprintf(error, (size_t)size, "%s", why);
  return NULL;
}

tw_worker *tw_worker_open(tw_loop *loop, const char *code, const char *name,
                          const char *root, int number, char *error, int size) {
  if (!loop || !code) return refuse(error, size, "the loop or the code is missing");
  tw_worker *w = tw__malloc_aligned(TW__LINE, sizeof *w);
  if (!w) return refuse(error, size, "no memory");
  memset(w, 0, sizeof *w);
  int ok = 1;
  w->number = number;
  w->code = copy(code, &ok);
  w->name = copy(name, &ok);
  w->root = copy(root, &ok);
  if (!ok) {
    release(w);
    return refuse(error, size, "no memory");
  }
  tw__lane_init(&w->ours, &w->theirs);
  if (tw__lane_attach(&w->ours, loop, close_worker)) {
    tw__lane_fini(&w->ours, &w->theirs);
    release(w);
    return refuse(error, size, "no descriptors for a thread");
  }
  if (start(w)) {
    leave(w);
    return refuse(error, size, "no more threads");
  }
  return w;
}

void tw_worker_close(tw_worker *w) {
  if (!w) return;
  atomic_store_explicit(&w->go, 1, memory_order_release);
  tw__lane_wake(&w->theirs);
  pthread_join(w->id, NULL);
  leave(w);
}

uint32_t tw_worker_id(const tw_worker *w) {
  return tw_lane_id(&w->ours);
}

static int has_ended(const tw_worker *w) {
  return atomic_load_explicit(&w->ended, memory_order_acquire);
}

int tw_worker_send(tw_worker *w, tw_parcel *p) {
  return has_ended(w) ? TW_EOF : tw_lane_send(&w->ours, p);
}

tw_parcel *tw_worker_receive(tw_worker *w) {
  return tw_lane_receive(&w->ours);
}

int64_t tw_worker_count(const tw_worker *w) {
  return tw_lane_count(&w->ours);
}

void tw_worker_finish(tw_worker *w) {
  tw__lane_finish(&w->ours);
}

int tw_worker_status(tw_worker *w) {
  if (!has_ended(w)) return TW_AGAIN;
  if (!w->unreferenced) uv_unref((uv_handle_t *)&w->ours.wake.poll);
  w->unreferenced = 1;
  return w->status;
}

const char *tw_worker_error(const tw_worker *w) {
  if (!has_ended(w) || !w->status) return NULL;
  return w->error ? w->error : "no memory";
}

tw_parcel *tw_worker_unread(tw_worker *w) {
  return has_ended(w) ? tw_lane_receive(&w->theirs) : NULL;
}

int tw_worker_hungry(const tw_worker *w) {
  return atomic_load_explicit(&w->theirs.in.asleep, memory_order_relaxed);
}
