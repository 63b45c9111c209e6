/* op/queue: holds what a plain array would, through any order of operations. */
#include "../check.h"
#include "core/mem.h"
#include "tideway.h"

enum { MODEL_MAX = 4000 };

struct model {
  tw_value vals[MODEL_MAX];
  char bytes[MODEL_MAX][24];
  int held;
  uint64_t put; /* ever */
};

static struct model model;

static void model_remove(int k) {
  for (int i = k; i + 1 < model.held; i++) {
    model.vals[i] = model.vals[i + 1];
    memcpy(model.bytes[i], model.bytes[i + 1], sizeof model.bytes[i]);
  }
  model.held--;
}

static int push_random(tw_queue *q) {
  tw_value val = {.u64 = check_u64(), .type = (uint32_t)(TW_NUM + check_below(7))};
  char *bytes = model.bytes[model.held];
  int rc = TW_EINVAL;
  if (check_below(2)) val.type = TW_NUM;
  for (int i = 0; i < 24; i++) bytes[i] = (char)check_below(256);
  switch (val.type) {
  case TW_NUM:
    val.num = check_unit();
    rc = tw_queue_push_num(q, val.num);
    break;
  case TW_BOOL:
    val.u64 &= 1;
    rc = tw_queue_push_bool(q, val.u64 ? 77 : 0);
    break;
  case TW_NULL:
    val.u64 = 0;
    rc = tw_queue_push_null(q);
    break;
  case TW_I64: rc = tw_queue_push_i64(q, val.i64); break;
  case TW_U64: rc = tw_queue_push_u64(q, val.u64); break;
  case TW_BYTES:
    val.len = (uint32_t)check_below(25);
    rc = tw_queue_push_bytes(q, val.len ? bytes : NULL, val.len);
    break;
  case TW_REF: rc = tw_queue_push_ref(q, val.u64); break;
  default: break;
  }
  if (rc) return rc;
  model.vals[model.held++] = val;
  model.put++;
  return 0;
}

static void same_as_the_model(const tw_queue *q) {
  uint32_t others = 0, refs = 0;
  int64_t text = 0;
  CHECK(q->tail == model.put && q->tail - q->head == (uint64_t)model.held);
  for (int k = 0; k < model.held; k++) {
    const tw_value *want = &model.vals[k];
    const tw_value *got = &q->vals[(q->head + (uint64_t)k) & q->mask];
    CHECKF(got->type == want->type && got->len == want->len, "element %d", k);
    if (want->type == TW_BYTES)
      CHECK(!want->len || !memcmp(got->bytes, model.bytes[k], want->len));
    else
      CHECKF(got->u64 == want->u64, "element %d", k);
    others += want->type != TW_NUM;
    refs += want->type == TW_REF;
    if (want->type == TW_BYTES) text += want->len;
  }
  CHECK(q->others == others && q->refs == refs && q->text == text);
}

static void agrees_with_a_plain_array(int64_t room, int steps) {
  tw_queue *q = tw_queue_open(room);
  model.held = 0;
  model.put = 0;
  for (int step = 0; step < steps; step++) {
    int64_t what = check_below(100);
    if (what < 60 && model.held < MODEL_MAX) {
      if (check_below(20) == 0) tw_mem_fail_at(1 + check_below(2));
      int rc = push_random(q);
      CHECK(rc == 0 || rc == TW_ENOMEM);
      tw_mem_fail_at(0);
    } else if (what < 80) {
      int64_t n = check_below(4) ? check_below(4) - 1 : check_below(model.held + 3);
      int64_t want = n < 0 ? 0 : n < model.held ? n : model.held;
      CHECK(tw_queue_drop(q, n) == want);
      for (int64_t i = 0; i < want; i++) model_remove(0);
    } else {
      int64_t k = check_below(model.held + 2) - 1;
      int rc = tw_queue_remove(q, k);
      CHECK(rc == (k < 0 || k >= model.held ? TW_EINVAL : TW_OK));
      if (!rc) model_remove((int)k);
    }
    if (model.held < 20 || check_below(50) == 0) same_as_the_model(q);
  }
  same_as_the_model(q);
  CHECK(tw_queue_bytes(q) > (int64_t)sizeof *q);
  tw_queue_close(q);
}

static void grows_far_past_its_room(void) {
  tw_queue *q = tw_queue_open(1);
  for (int i = 0; i < 100000; i++) CHECK(tw_queue_push_num(q, i) == 0);
  CHECK(tw_queue_drop(q, 40000) == 40000);
  for (int i = 0; i < 100000; i++) CHECK(tw_queue_push_num(q, 100000 + i) == 0);
  CHECK(q->vals[q->head & q->mask].num == 40000 && q->tail - q->head == 160000);
  CHECK(tw_queue_drop(q, INT64_MAX) == 160000 && tw_queue_drop(q, 1) == 0);
  tw_queue_close(q);
}

static void dumps_what_it_holds(void) {
  tw_queue *q = tw_queue_open(4);
  char buf[200], cut[12];
  tw_queue_push_num(q, 1.5);
  tw_queue_push_bool(q, 1);
  tw_queue_push_null(q);
  tw_queue_push_i64(q, -7);
  tw_queue_push_u64(q, UINT64_MAX);
  tw_queue_push_bytes(q, "a\"\n", 3);
  tw_queue_push_ref(q, 12);
  int64_t len = tw_queue_dump(q, buf, sizeof buf);
  const char *want =
      "queue of 7/8: 1.5 true null -7LL 18446744073709551615ULL \"a\\\"\\010\" #12";
  CHECKF(!strcmp(buf, want) && len == (int64_t)strlen(want), "%s", buf);
  CHECK(tw_queue_dump(q, cut, sizeof cut) == len && !strcmp(cut, "queue of 7/"));
  CHECK(tw_queue_dump(q, NULL, 0) == len);
  tw_queue_close(q);
}

static void opens_or_says_that_there_is_no_memory(void) {
  for (int n = 1; n <= 2; n++) {
    tw_mem_fail_at(n);
    CHECK(!tw_queue_open(10));
  }
  tw_queue_close(NULL);
  tw_queue *q = tw_queue_open(-5);
  CHECK(q && tw_queue_push_num(q, 1) == 0);
  tw_queue_close(q);
  q = tw_queue_open(INT64_MAX);
  CHECK(q);
  tw_queue_close(q);
}

int main(int argc, char **argv) {
  int64_t before = tw_mem_bytes();
  check_open(argc, argv);
  for (int i = 0; i < 20; i++)
    agrees_with_a_plain_array(check_below(40), check_long ? 200000 : 5000);
  grows_far_past_its_room();
  dumps_what_it_holds();
  opens_or_says_that_there_is_no_memory();
  CHECK(tw_mem_bytes() == before);
  return check_close();
}
