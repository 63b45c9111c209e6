/* mailbox -- what was put is taken, once, whole and in order; full, empty and ended are told. */
#include <pthread.h>

#include "../check.h"
#include "loop/loop.h"

enum { BYTES = 1000, RECORDS = 20 };

static char text[4 * BYTES];

/* Is the mailbox reported? Any report uses it up. */
static int told(tw_loop *loop, const tw_mailbox *box, int64_t timeout_ms) {
  uint32_t ready[4];
  const int n = tw_loop_poll(loop, timeout_ms, ready, 4);
  CHECK(n <= 1);
  return n == 1 && ready[0] == tw_mailbox_id(box);
}

/* Random puts and takes against the sums of what went in and came out. */
static void keeps_order(tw_loop *loop, int flags) {
  tw_mailbox *box = tw_mailbox_open(loop, RECORDS, BYTES, flags);
  const tw_view *records;
  int64_t waiting = 0, bytes = 0, in = 0, out = 0;
  CHECK(box != NULL);
  for (int step = 0; step < 20000; step++) {
    if (check_below(4)) {
      const int64_t len = check_below(check_below(10) ? 60 : 2 * BYTES);
      memset(text, (int)(in & 127), (size_t)len);
      const int status = tw_mailbox_put(box, text, (size_t)len);
      const int full = waiting == RECORDS || bytes + len > BYTES;
      CHECK(status == (len > BYTES ? TW_EINVAL : full ? TW_AGAIN : TW_OK));
      if (status == TW_OK) waiting++, bytes += len, in++;
    } else {
      const int64_t n = tw_mailbox_take(box, &records);
      CHECK(n == (waiting ? waiting : TW_AGAIN));
      for (int64_t i = 0; i < n; i++, out++) {
        CHECK(records[i].ptr != NULL);
        for (int64_t k = 0; k < records[i].len; k++)
          CHECK(records[i].ptr[k] == (out & 127));
        bytes -= records[i].len;
      }
      CHECK(bytes == 0);
      waiting = 0;
    }
    CHECK(tw_mailbox_count(box) == waiting);
  }
  tw_mailbox_close(box);
}

static void tells_who_waits(tw_loop *loop, int flags) {
  tw_mailbox *box = tw_mailbox_open(loop, 2, BYTES, flags);
  const tw_view *records;
  const int wait = flags ? 2000 : 0; /* a shared one goes by a descriptor */
  CHECK(tw_mailbox_put(box, "a", 1) == TW_OK);
  CHECK(!told(loop, box, 0)); /* nobody has looked yet */
  CHECK(tw_mailbox_take(box, &records) == 1 && records[0].ptr[0] == 'a');
  CHECK(tw_mailbox_take(box, &records) == TW_AGAIN);
  CHECK(tw_mailbox_put(box, "b", 1) == TW_OK);
  CHECK(told(loop, box, wait));
  CHECK(tw_mailbox_put(box, "c", 1) == TW_OK);
  CHECK(!told(loop, box, 0)); /* it has been told */
  CHECK(tw_mailbox_put(box, "d", 1) == TW_AGAIN);
  CHECK(tw_mailbox_take(box, &records) == 2);
  CHECK(!told(loop, box, 0)); /* it is the host who puts */
  CHECK(tw_mailbox_put(box, "", 0) == TW_OK);
  tw_mailbox_end(box);
  CHECK(told(loop, box, wait));
  CHECK(tw_mailbox_put(box, "e", 1) == TW_EOF);
  CHECK(tw_mailbox_take(box, &records) == 1 && records[0].len == 0);
  CHECK(tw_mailbox_take(box, &records) == TW_EOF);
  CHECK(tw_mailbox_take(box, &records) == TW_EOF);
  tw_mailbox_close(box);
}

static void tells_who_wants_room(tw_loop *loop) {
  tw_mailbox *box = tw_mailbox_open(loop, 2, BYTES, TW_OUTWARD);
  const tw_view *records;
  CHECK(tw_mailbox_take(box, &records) == TW_AGAIN);
  CHECK(tw_mailbox_put(box, "a", 1) == TW_OK && tw_mailbox_put(box, "b", 1) == TW_OK);
  CHECK(!told(loop, box, 0));
  CHECK(tw_mailbox_put(box, "c", 1) == TW_AGAIN);
  CHECK(tw_mailbox_take(box, &records) == 2);
  CHECK(told(loop, box, 0) && !told(loop, box, 0));
  CHECK(tw_mailbox_take(box, &records) == TW_AGAIN);
  tw_mailbox_close(box);
}

enum { THREADS = 4, EACH = 50000 };

static void *putter(void *arg) {
  tw_mailbox *box = ((void **)arg)[0];
  const uint32_t who = (uint32_t)(uintptr_t)((void **)arg)[1];
  for (uint32_t i = 0; i < EACH;) {
    const uint32_t record[2] = {who, i};
    const int status = tw_mailbox_put(box, (const char *)record, sizeof record);
    if (status == TW_OK) i++;
    if (status != TW_OK && status != TW_AGAIN) return arg;
    if (status == TW_AGAIN) sched_yield();
  }
  return NULL;
}

/* Each thread's records come once and in its order; who takes sleeps while there are none. */
static void is_shared(tw_loop *loop) {
  tw_mailbox *box = tw_mailbox_open(loop, 1000, 1 << 20, TW_SHARED);
  pthread_t threads[THREADS];
  void *args[THREADS][2];
  uint32_t next[THREADS] = {0};
  const tw_view *records;
  for (int t = 0; t < THREADS; t++) {
    args[t][0] = box, args[t][1] = (void *)(uintptr_t)t;
    pthread_create(&threads[t], NULL, putter, args[t]);
  }
  for (int64_t left = (int64_t)THREADS * EACH; left > 0;) {
    const int64_t n = tw_mailbox_take(box, &records);
    for (int64_t i = 0; i < n; i++) {
      uint32_t record[2];
      memcpy(record, records[i].ptr, sizeof record);
      CHECK(record[1] == next[record[0]]++);
    }
    uint32_t ready[4];
    if (n > 0) left -= n;
    if (n == TW_AGAIN) CHECK(tw_loop_poll(loop, 20000, ready, 4) == 1);
  }
  for (int t = 0; t < THREADS; t++) {
    void *failed;
    pthread_join(threads[t], &failed);
    CHECK(failed == NULL && next[t] == EACH);
  }
  tw_mailbox_close(box);
}

static void survives_without_memory(tw_loop *loop) {
  const tw_view *records;
  for (int64_t nth = 1; nth < 12; nth++) {
    tw_mem_fail_at(nth);
    tw_mailbox *box = tw_mailbox_open(loop, 100, 1 << 20, 0);
    int64_t in = 0;
    for (int i = 0; box && i < 60; i++) {
      const int status = tw_mailbox_put(box, text, 100);
      CHECK(status == TW_OK || status == TW_ENOMEM);
      in += status == TW_OK;
    }
    tw_mem_fail_at(0);
    CHECK(!box || tw_mailbox_take(box, &records) == in);
    tw_mailbox_close(box);
  }
}

int main(int argc, char **argv) {
  check_open(argc, argv);
  tw_loop *loop = tw_loop_open();
  for (int flags = 0; flags <= TW_SHARED; flags++) {
    keeps_order(loop, flags);
    tells_who_waits(loop, flags);
  }
  tells_who_wants_room(loop);
  is_shared(loop);
  survives_without_memory(loop);
  CHECK(!tw_mailbox_open(loop, 0, 1, 0) && !tw_mailbox_open(loop, 1, 0, 0));
  tw_mailbox_close(NULL);
  tw_mailbox_open(loop, 1, 1, TW_SHARED); /* left open */
  tw_loop_close(loop);
  return check_close();
}
