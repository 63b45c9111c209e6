/* parts -- what is kept, and the watermark, against a plain list of offsets. */
#include "kafka/parts.h"

#include "core/mem.h"
#include "tideway.h"

#include "../check.h"

enum { PARTS = 5, MOST = 3000 };

/* The model: the offsets kept of each partition since it was assigned, in order. */
static struct {
  int64_t offset[MOST], number[MOST];
  int held[MOST];
  int count;
  int64_t position;
} model[PARTS];

static int64_t model_watermark(int p) {
  for (int i = 0; i < model[p].count; i++)
    if (model[p].held[i]) return model[p].offset[i];
  return model[p].position;
}

static int64_t model_kept(void) {
  int64_t n = 0;
  for (int p = 0; p < PARTS; p++)
    for (int i = 0; i < model[p].count; i++) n += model[p].held[i];
  return n;
}

static void release_one(struct tw__parts *parts, int k, int p, int i) {
  int64_t before = model_watermark(p);
  int was = model[p].held[i];
  model[p].held[i] = 0;
  int moved = tw__parts_release(parts, k, model[p].number[i]);
  if (was) CHECKF(moved == (model_watermark(p) != before), "%d", moved);
  if (!was) CHECK(!moved);
}

static void agrees_with_a_list(void) {
  struct tw__parts parts = {0};
  int number[PARTS];
  memset(model, 0, sizeof model);
  for (int p = 0; p < PARTS; p++) {
    number[p] = tw__parts_find(&parts, p % 2 ? "odd" : "even", p);
    tw__parts_assign(&parts, number[p]);
    model[p].position = -1;
  }
  for (int step = 0; step < 6000; step++) {
    int p = (int)check_below(PARTS), k = number[p];
    struct tw__part *part = &parts.list[k];
    int64_t what = check_below(100);
    if (what < 55 && model[p].count < MOST) { /* handed out; most of the time kept */
      int64_t offset = (part->position < 0 ? 0 : part->position) + check_below(3);
      if (check_below(10) < 8) {
        int i = model[p].count++;
        model[p].offset[i] = offset;
        model[p].held[i] = 1;
        model[p].number[i] = tw__parts_keep(&parts, k, offset);
        CHECK(model[p].number[i] >= 0);
      }
      part->position = model[p].position = offset + 1;
    } else if (what < 98 && model[p].count) { /* old ones more often, some twice */
      int64_t i = check_below(model[p].count);
      if (check_below(2)) i = check_below(i + 1);
      release_one(&parts, k, p, (int)i);
    } else if (what == 99) { /* numbers of before mean nothing any more */
      int64_t old = model[p].count ? model[p].number[check_below(model[p].count)] : 0;
      int32_t epoch = part->epoch;
      (check_below(2) ? tw__parts_assign : tw__parts_revoke)(&parts, k);
      CHECK(part->epoch != epoch);
      CHECK(!tw__parts_release(&parts, k, old));
      model[p].count = 0;
      model[p].position = -1;
    }
    CHECKF(tw__part_watermark(part) == model_watermark(p), "%lld, not %lld",
           (long long)tw__part_watermark(part), (long long)model_watermark(p));
    CHECKF(parts.kept == model_kept(), "%lld, not %lld", (long long)parts.kept,
           (long long)model_kept());
  }
  tw__parts_free(&parts);
}

static void finds_each_once(void) {
  struct tw__parts parts = {0};
  char name[20];
  for (int i = 0; i < 2000; i++) {
    int t = (int)check_below(10), p = (int)check_below(10);
    sprintf(name, "topic%d", t);
    int k = tw__parts_find(&parts, name, p);
    CHECK(k >= 0 && k < parts.count && parts.list[k].partition == p);
    CHECK(!strcmp(parts.list[k].topic, name));
    CHECK(tw__part_watermark(&parts.list[k]) == -1);
  }
  CHECKF(parts.count <= 100, "%d", parts.count);
  tw__parts_free(&parts);
}

/* A ring that is full grows, wherever its oldest entry is. */
static void holds_many(void) {
  struct tw__parts parts = {0};
  int k = tw__parts_find(&parts, "t", 0);
  tw__parts_assign(&parts, k);
  int64_t first = tw__parts_keep(&parts, k, 0), last = first;
  for (int64_t at = 1; at < 100000; at++) {
    if (at % 3 == 0) tw__parts_release(&parts, k, last);
    last = tw__parts_keep(&parts, k, at);
  }
  CHECK(tw__part_watermark(&parts.list[k]) == 0);
  CHECK(tw__parts_release(&parts, k, first));
  CHECK(tw__part_watermark(&parts.list[k]) == 1);
  for (int64_t number = first; number <= last; number++)
    tw__parts_release(&parts, k, number);
  CHECK(parts.kept == 0);
  tw__parts_free(&parts);
}

static void survives_lack_of_memory(void) {
  for (int64_t nth = 1; nth < 12; nth++) {
    struct tw__parts parts = {0};
    tw_mem_fail_at(nth);
    int k = tw__parts_find(&parts, "t", 0);
    int64_t kept = 0;
    for (int64_t at = 0; k >= 0 && at < 1000; at++) {
      int64_t number = tw__parts_keep(&parts, k, at);
      if (number >= 0) kept++;
      CHECK(number >= 0 || number == TW_ENOMEM);
    }
    tw_mem_fail_at(0);
    CHECK(k >= 0 || k == TW_ENOMEM);
    CHECK(parts.kept == kept);
    tw__parts_free(&parts);
  }
}

int main(int argc, char **argv) {
  check_open(argc, argv);
  for (int i = 0; i < (check_long ? 200 : 10); i++) agrees_with_a_list();
  finds_each_once();
  holds_many();
  survives_lack_of_memory();
  CHECKF(tw_mem_bytes() == 0, "%lld", (long long)tw_mem_bytes());
  return check_close();
}
