/* frame/dict: one number for each string, whatever the bytes, and their order. */
#include "../check.h"
#include "core/mem.h"
#include "tideway.h"

enum { TEXTS = 3000 };

struct text {
  char bytes[12];
  int64_t len;
};

static struct text model[TEXTS];

static struct text random_text(void) {
  struct text text = {.len = check_below(5) ? check_below(3) : check_below(12)};
  for (int64_t i = 0; i < text.len; i++)
    text.bytes[i] = (char)(check_below(3) ? 'a' + check_below(6) : check_below(256));
  return text;
}

static int64_t model_find(int64_t held, const struct text *text) {
  for (int64_t k = 0; k < held; k++)
    if (model[k].len == text->len &&
        !memcmp(model[k].bytes, text->bytes, (size_t)text->len))
      return k;
  return -1;
}

static int model_before(const struct text *a, const struct text *b) {
  for (int64_t i = 0; i < a->len && i < b->len; i++)
    if (a->bytes[i] != b->bytes[i])
      return (unsigned char)a->bytes[i] < (unsigned char)b->bytes[i];
  return a->len < b->len;
}

static void numbers_strings_in_the_order_of_their_coming(int steps) {
  tw_dict *dict = tw_dict_new();
  int64_t held = 0;
  for (int step = 0; step < steps && held < TEXTS; step++) {
    struct text text = random_text();
    int64_t want = model_find(held, &text);
    CHECK(tw_dict_find(dict, text.bytes, text.len) == want);
    if (check_below(3) == 0) tw_mem_fail_at(1 + check_below(2));
    int64_t got = tw_dict_add(dict, text.len ? text.bytes : NULL, text.len);
    tw_mem_fail_at(0);
    if (got == TW_ENOMEM) {
      CHECK(want < 0 && dict->count == held);
      continue;
    }
    if (want < 0) model[want = held++] = text;
    CHECK(got == want && dict->count == held);
    int64_t k = check_below(held);
    CHECK(dict->start[k + 1] - dict->start[k] == model[k].len);
    CHECK(!memcmp(dict->bytes + dict->start[k], model[k].bytes, (size_t)model[k].len));
    if (check_below(40)) continue;
    if (check_below(3) == 0) tw_mem_fail_at(1 + check_below(2));
    const uint32_t *rank = tw_dict_order(dict);
    tw_mem_fail_at(0);
    for (int i = 0; rank && i < 200; i++) {
      int64_t a = check_below(held), b = check_below(held);
      CHECK((rank[a] < rank[b]) == model_before(&model[a], &model[b]));
      CHECK(rank[a] < held);
    }
  }
  CHECK(tw_dict_retain(dict) == dict);
  tw_dict_release(dict);
  tw_dict_release(dict);
  tw_dict_release(NULL);
}

static void has_an_end_for_memory(void) {
  int64_t before = tw_mem_bytes();
  for (int n = 1; n <= 5; n++) {
    tw_mem_fail_at(n);
    CHECK(tw_dict_new() == NULL);
  }
  tw_mem_fail_at(0);
  CHECK(tw_mem_bytes() == before);
}

static void holds_many(void) {
  tw_dict *dict = tw_dict_new();
  char text[16];
  for (int i = 0; i < 200000; i++) {
    int len = snprintf(text, sizeof text, "%d", i % 100000);
    CHECK(tw_dict_add(dict, text, len) == i % 100000);
  }
  const uint32_t *rank = tw_dict_order(dict);
  CHECK(rank && rank[0] == 0 && rank[1] == 1 && rank[10] == 2 && rank[99999] == 99999);
  tw_dict_release(dict);
}

int main(int argc, char **argv) {
  check_open(argc, argv);
  numbers_strings_in_the_order_of_their_coming(3000);
  for (int i = 0; i < 30; i++) numbers_strings_in_the_order_of_their_coming(200);
  has_an_end_for_memory();
  holds_many();
  return check_close();
}
