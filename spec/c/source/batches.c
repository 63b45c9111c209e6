/* batches -- a tail's place is that of its oldest batch that is not through, in whatever order
 * they are through, beside a plain list of them. */
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "../check.h"
#include "core/mem.h"
#include "source/follow.h"

enum { TAILS = 3, MOST = 20000 };

static struct {
  int tail, through;
  int64_t start;
} all[MOST];

static void check_places(tw_follow *f, tw__tail *tails, int64_t n) {
  int64_t held[TAILS] = {0}, place[TAILS], in_order = 1, through = 0;
  for (int i = 0; i < TAILS; i++) place[i] = tails[i].position;
  for (int64_t i = 0; i < n; i++) {
    if (!all[i].through && all[i].start < place[all[i].tail])
      place[all[i].tail] = all[i].start;
    in_order = in_order && all[i].through;
    through += in_order;
    held[all[i].tail] += !in_order;
  }
  tw__batches_saved(f);
  CHECK(tw_follow_held(f) == n - through);
  for (int i = 0; i < TAILS; i++)
    CHECK(tails[i].saved == place[i] && tails[i].held == held[i]);
}

static void run(void) {
  tw__tail tails[TAILS] = {{.path = NULL}}, *list[TAILS];
  tw_follow *f = calloc(1, sizeof *f);
  const int64_t n = 1 + check_below(check_long ? MOST : 500);
  f->tail = list;
  f->tails = TAILS;
  for (int i = 0; i < TAILS; i++) list[i] = &tails[i];
  for (int64_t i = 0; i < n; i++) {
    const int which = (int)check_below(TAILS);
    all[i].tail = which;
    all[i].through = 0;
    all[i].start = tails[which].position;
    tails[which].position += 1 + check_below(100);
    CHECK(!tw__batches_note(f, &tails[which], all[i].start, tails[which].position));
    CHECK(tw_follow_batch(f) == i);
    for (int64_t k = check_below(4); k > 0; k--) {
      const int64_t one = i - check_below(i < 50 ? i + 1 : 50);
      tw_follow_through(f, one);
      all[one].through = 1;
    }
    if (i % 97 == 0) check_places(f, tails, i + 1);
  }
  check_places(f, tails, n);
  for (int64_t i = 0; i < n; i++) tw_follow_through(f, i), all[i].through = 1;
  check_places(f, tails, n);
  tw_follow_through(f, -1), tw_follow_through(f, n); /* numbers of nobody */
  tw__free(f->batch);
  free(f);
}

static void splits(void) {
  tw__tail tail = {.path = "log", .position = 9}, *list[] = {&tail};
  const char *text = "ab\ncd\nef\n";
  tw_follow *f = calloc(1, sizeof *f);
  f->tail = list;
  f->tails = 1;
  for (int i = 0; i < 3; i++) f->lines[i] = (tw_slice){text + 3 * i, 2};
  tw_mem_fail_at(1);
  CHECK(tw__batches_note(f, &tail, 0, 9) == TW_ENOMEM && f->failed == TW_ENOMEM);
  CHECK(tail.held == 0 && strstr(f->error, "log"));
  tw_mem_fail_at(0);
  CHECK(!tw__batches_note(f, &tail, 0, 9));
  CHECK(tw_follow_split(f, 0, 1) == 1);
  tw_follow_through(f, 0);
  tw__batches_saved(f);
  CHECK(tail.saved == 3 && tw_follow_held(f) == 1);
  CHECK(tw_follow_split(f, 0, 1) == 0); /* it is through */
  tw__free(f->batch);
  free(f);
}

int main(int argc, char **argv) {
  check_open(argc, argv);
  for (int i = 0; i < 20; i++) run();
  splits();
  return check_close();
}
