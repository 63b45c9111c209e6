/* core/pool: classes hold what they say; a block comes back, to any thread; what is kept is
 * bounded and not in use. */
#include "../check.h"
#include "core/mem.h"
#include "core/pool.h"
#include "tideway.h"

#include <pthread.h>

static void classes_hold_what_is_asked(void) {
  int most = TW__POOL_CLASSES - 1;
  for (size_t size = 0; size <= tw__pool_size(most); size += 1 + size / 1000) {
    int k = tw__pool_class(size);
    CHECK(k >= 0 && k <= most && tw__pool_size(k) >= size);
    CHECK(k == 0 || tw__pool_size(k - 1) < size);
  }
  for (int k = 0; k <= most; k++) CHECK(tw__pool_class(tw__pool_size(k)) == k);
  CHECK(tw__pool_class(tw__pool_size(most) + 1) == -1);
}

/* Blocks of all classes, written from end to end, in an order of chance. */
static void blocks_do_not_overlap(void) {
  enum { N = 200 };
  static char *block[N];
  static int class_of[N];
  int64_t before = tw_mem_bytes();
  for (int round = 0; round < 20000; round++) {
    int i = (int)check_below(N), k = class_of[i];
    if (block[i]) {
      size_t last = tw__pool_size(k) - 1;
      CHECK(block[i][0] == (char)i && block[i][last] == (char)i);
      tw__pool_give(k, block[i]);
      block[i] = NULL;
    } else {
      k = class_of[i] = (int)check_below(check_below(2) ? 40 : 8);
      block[i] = tw__pool_take(k);
      CHECK(block[i] != NULL);
      memset(block[i], i, tw__pool_size(k));
    }
  }
  for (int i = 0; i < N; i++)
    if (block[i]) tw__pool_give(class_of[i], block[i]);
  CHECK(tw_mem_bytes() == before);
  tw__pool_trim();
  CHECK(tw_mem_bytes() == before);
}

static void what_is_kept_is_bounded(void) {
  enum { N = 64 };
  void *block[N];
  int k = tw__pool_class(1 << 20);
  int64_t before = tw_mem_bytes();
  for (int i = 0; i < N; i++) block[i] = tw__pool_take(k);
  CHECK(tw_mem_bytes() >= before + ((int64_t)N << 20));
  for (int i = 0; i < N; i++) tw__pool_give(k, block[i]);
  CHECK(tw_mem_bytes() == before);
  CHECK(tw__pool_bytes() <= (33 << 20)); /* KEPT_MAX and a little */
  tw__pool_trim();
  CHECK(tw__pool_bytes() < 4096);
}

static void an_allocation_still_fails(void) {
  int64_t before = tw_mem_bytes();
  tw__pool_give(3, tw__pool_take(3));
  tw_mem_fail_at(1);
  CHECK(!tw__pool_take(3));
  tw_mem_fail_at(0);
  CHECK(tw_mem_bytes() == before);
}

static void *give_back(void *block) {
  for (int i = 0; i < 100; i++) tw__pool_give(5, tw__pool_take(5));
  tw__pool_give(7, block);
  return NULL;
}

static void a_thread_that_ends_keeps_nothing(void) {
  int64_t before = tw_mem_bytes();
  pthread_t thread;
  CHECK(!pthread_create(&thread, NULL, give_back, tw__pool_take(7)));
  CHECK(!pthread_join(thread, NULL));
  CHECK(tw_mem_bytes() == before);
}

/* At the end of a line of threads: it is given what others took, and takes less itself. */
static void *take_little(void *blocks) {
  void *wrong = NULL;
  for (int i = 0; i < 64; i++) {
    void *own = tw__pool_take(40);
    tw__pool_give(40, ((void **)blocks)[i]);
    tw__pool_give(40, own);
    if (tw__pool_bytes() > 2 * (int64_t)tw__pool_size(40)) wrong = blocks;
  }
  return wrong;
}

static void who_is_only_given_keeps_nothing(void) {
  void *blocks[64], *wrong;
  int64_t before = tw_mem_bytes();
  pthread_t thread;
  for (int i = 0; i < 64; i++) blocks[i] = tw__pool_take(40);
  CHECK(!pthread_create(&thread, NULL, take_little, blocks));
  CHECK(!pthread_join(thread, &wrong) && !wrong);
  CHECK(tw_mem_bytes() == before);
}

/* What one thread is given by another, that one finds when it takes again. */
static void *take_and_leave(void *blocks) {
  for (int i = 0; i < 64; i++) ((void **)blocks)[i] = tw__pool_take(41);
  return NULL;
}

static void what_others_send_they_find_again(void) {
  void *blocks[64];
  pthread_t thread;
  tw__pool_trim();
  const int64_t before = tw_mem_bytes();
  for (int round = 0; round < 100; round++) {
    CHECK(!pthread_create(&thread, NULL, take_and_leave, blocks));
    CHECK(!pthread_join(thread, NULL));
    for (int i = 0; i < 64; i++) tw__pool_give(41, blocks[i]);
    const int64_t held = tw__pool_depot_bytes(); /* none where all comes from libc */
    CHECK(held == 0 || held == 64 * (int64_t)tw__pool_size(41));
  }
  CHECK(tw_mem_bytes() == before);
  tw__pool_trim();
  CHECK(tw_mem_bytes() == before && tw__pool_depot_bytes() == 0);
}

int main(int argc, char **argv) {
  check_open(argc, argv);
  classes_hold_what_is_asked();
  blocks_do_not_overlap();
  what_is_kept_is_bounded();
  an_allocation_still_fails();
  a_thread_that_ends_keeps_nothing();
  who_is_only_given_keeps_nothing();
  what_others_send_they_find_again();
  return check_close();
}
