/* later -- records come out as they went in, against a plain list. */
#include "kafka/later.h"

#include "core/mem.h"

#include "../check.h"

enum { MOST = 4000, LONGEST = 200 };

static struct {
  tw_kafka_record record;
  char key[LONGEST], value[LONGEST];
  rd_kafka_headers_t *headers;
} model[MOST];

static int64_t some(char *bytes) {
  int64_t len = check_below(LONGEST);
  for (int64_t i = 0; i < len; i++) bytes[i] = (char)check_u64();
  return len;
}

static void make(int k) {
  tw_kafka_record *r = &model[k].record;
  *r = (tw_kafka_record){.id = check_u64(),
                         .timestamp = check_below(1000),
                         .topic = (int32_t)check_below(9)};
  r->partition = (int32_t)check_below(9) - 1;
  r->key_len = some(model[k].key);
  r->value_len = some(model[k].value);
  r->key = check_below(3) ? model[k].key : NULL;
  r->value = check_below(9) ? model[k].value : NULL;
  model[k].headers = check_below(5) ? NULL : rd_kafka_headers_new(1);
}

static int same(const char *a, const char *b, int64_t len) {
  return a && b ? !memcmp(a, b, (size_t)len) : a == b;
}

static void check_first(const struct tw__later *later, int k) {
  const tw_kafka_record *m = &model[k].record;
  tw_kafka_record r;
  rd_kafka_headers_t *headers;
  CHECK(tw__later_first(later, &r, &headers) == 1);
  CHECK(r.id == m->id && r.timestamp == m->timestamp && r.topic == m->topic);
  CHECK(r.partition == m->partition && headers == model[k].headers);
  CHECKF(same(r.key, m->key, m->key_len) && (!m->key || r.key_len == m->key_len), "%d",
         k);
  CHECKF(same(r.value, m->value, m->value_len) &&
             (!m->value || r.value_len == m->value_len),
         "%d", k);
}

static void keeps_them_in_order(void) {
  struct tw__later later = {0};
  int in = 0, out = 0;
  while (in < MOST) {
    for (int64_t n = check_below(500); n > 0 && in < MOST; n--, in++) {
      make(in);
      CHECK(tw__later_push(&later, &model[in].record, model[in].headers) == TW_OK);
    }
    for (int64_t n = check_below(600); n > 0 && out < in; n--, out++) {
      check_first(&later, out);
      if (model[out].headers) rd_kafka_headers_destroy(model[out].headers);
      tw__later_drop(&later);
    }
    CHECK(later.count == in - out);
    CHECKF(later.count || !later.bytes, "%lld", (long long)later.bytes);
  }
  tw__later_clear(&later);
  CHECK(!later.count && !later.bytes && !later.first && !later.last);
}

static void takes_large_ones(void) {
  static char large[1 << 18];
  struct tw__later later = {0};
  tw_kafka_record r = {.value = large, .value_len = sizeof large}, back;
  rd_kafka_headers_t *headers;
  for (int i = 0; i < 3; i++) CHECK(tw__later_push(&later, &r, NULL) == TW_OK);
  CHECK(later.bytes >= 3 * (int64_t)sizeof large);
  CHECK(tw__later_first(&later, &back, &headers) && back.value_len == sizeof large);
  tw__later_clear(&later);
}

static void survives_lack_of_memory(void) {
  struct tw__later later = {0};
  tw_kafka_record r = {.value = "x", .value_len = 1};
  tw_mem_fail_at(1);
  CHECK(tw__later_push(&later, &r, NULL) == TW_ENOMEM && !later.count);
  tw_mem_fail_at(0);
  CHECK(tw__later_push(&later, &r, NULL) == TW_OK && later.count == 1);
  tw__later_clear(&later);
}

int main(int argc, char **argv) {
  check_open(argc, argv);
  keeps_them_in_order();
  takes_large_ones();
  survives_lack_of_memory();
  CHECKF(tw_mem_bytes() == 0, "%lld", (long long)tw_mem_bytes());
  return check_close();
}
