/* op/keyset: remembers what a plain list would, most recent first, with limit, ttl,
 * undo. */
#include "../check.h"
#include "core/mem.h"
#include "tideway.h"

enum { HELD_MAX = 3000, REFS = 41 };

struct key {
  char name[72]; /* equal for equal keys */
  double seen;
  uint64_t ref;
};

/* keys[0] is the most recent one; out is what left for it. */
struct model {
  struct key keys[HELD_MAX];
  int held, maxsize, has_out, can_undo;
  double ttl, now;
  struct key out;
  int dropped[REFS];
};

static struct model model;

static void model_take_out(int i) {
  memmove(&model.keys[i], &model.keys[i + 1],
          (size_t)(model.held - i - 1) * sizeof(struct key));
  model.held--;
}

static void model_put_first(struct key key) {
  memmove(&model.keys[1], &model.keys[0], (size_t)model.held * sizeof(struct key));
  model.keys[0] = key;
  model.held++;
}

static void model_drop_oldest(void) {
  model.dropped[model.keys[--model.held].ref]++;
}

static int model_find(const char *name) {
  for (int i = 0; i < model.held; i++)
    if (!strcmp(model.keys[i].name, name)) return i;
  return -1;
}

static int model_add(struct key key) {
  int at = model_find(key.name);
  key.seen = model.now;
  model.has_out = 0;
  if (at >= 0) {
    model_take_out(at);
    model_put_first(key);
    if (at > 0) model.can_undo = 0; /* kept simple: not tried any more */
    return 0;
  }
  model_put_first(key);
  model.can_undo = 1;
  if (model.maxsize && model.held > model.maxsize) {
    model.has_out = 1;
    model.out = model.keys[model.held - 1];
    model_drop_oldest();
  }
  return 1;
}

static void model_undo(void) {
  model_take_out(0);
  if (model.has_out) {
    model.keys[model.held++] = model.out;
    model.dropped[model.out.ref]--;
  }
  model.can_undo = model.has_out = 0;
}

static void model_now(double now) {
  model.now = now;
  if (model.ttl <= 0) return;
  model.has_out = 0;
  while (model.held && now - model.keys[model.held - 1].seen >= model.ttl) {
    if (model.held == 1) model.can_undo = 0;
    model_drop_oldest();
  }
}

/* A random key of some universe: its name into *key, and itself into the set. */
static int add_random(tw_keyset *ks, int universe, struct key *key) {
  int64_t v = check_below(universe);
  char text[64];
  memset(key, 0, sizeof *key);
  switch (check_below(12)) {
  case 0:
  case 1:
    snprintf(key->name, sizeof key->name, "n%lld", (long long)v);
    return tw_keyset_add_num(ks, v || check_below(2) ? (double)v : -0.0);
  case 2:
    snprintf(key->name, sizeof key->name, "n%lld", (long long)(v - 5));
    return tw_keyset_add_i64(ks, v - 5);
  case 3:
    snprintf(key->name, sizeof key->name, "n%lld", (long long)v);
    return tw_keyset_add_u64(ks, (uint64_t)v);
  case 4:
    snprintf(key->name, sizeof key->name, "h%lld", (long long)v);
    return tw_keyset_add_num(ks, (double)v + 0.5);
  case 5: { /* 2^53 - 2 + v: every second one is no double from 2^53 on */
    int64_t big = (1LL << 53) - 2 + v;
    snprintf(key->name, sizeof key->name, "n%lld", (long long)big);
    if (check_below(2)) return tw_keyset_add_i64(ks, big);
    return tw_keyset_add_u64(ks, (uint64_t)big);
  }
  case 6: {
    int64_t low = INT64_MIN + v;
    snprintf(key->name, sizeof key->name, "n%lld", (long long)low);
    if (v == 0 && check_below(2)) return tw_keyset_add_num(ks, -0x1p63);
    return tw_keyset_add_i64(ks, low);
  }
  case 7: {
    uint64_t top = UINT64_MAX - (uint64_t)v;
    snprintf(key->name, sizeof key->name, "n%llu", (unsigned long long)top);
    return tw_keyset_add_u64(ks, top);
  }
  case 8:
    if (check_below(2)) {
      snprintf(key->name, sizeof key->name, "null");
      return tw_keyset_add_null(ks);
    }
    snprintf(key->name, sizeof key->name, "b%lld", (long long)(v & 1));
    return tw_keyset_add_bool(ks, (int)(v & 1));
  case 9: /* from no byte at all to some more than eight */
    snprintf(text, sizeof text, "%s%lld", v % 3 ? "k" : "a key ", (long long)v);
    if (v == 0) text[0] = 0;
    snprintf(key->name, sizeof key->name, "s%s", text);
    return tw_keyset_add_bytes(ks, text, strlen(text));
  case 10:
    snprintf(text, sizeof text, "a somewhat longer key with number %lld", (long long)v);
    snprintf(key->name, sizeof key->name, "s%s", text);
    return tw_keyset_add_bytes(ks, text, strlen(text));
  default:
    key->ref = (uint64_t)(v % (REFS - 1)) + 1;
    snprintf(key->name, sizeof key->name, "r%llu", (unsigned long long)key->ref);
    return tw_keyset_add_ref(ks, key->ref);
  }
}

static void agrees_with_a_plain_list(int maxsize, double ttl, int universe, int steps) {
  tw_keyset *ks = tw_keyset_open(maxsize, ttl);
  int dropped[REFS] = {0};
  memset(&model, 0, sizeof model);
  model.maxsize = maxsize;
  model.ttl = ttl;
  for (int step = 0; step < steps; step++) {
    int64_t what = check_below(200);
    if (what == 0) {
      tw_keyset_clear(ks);
      model.held = model.can_undo = 0;
      while (tw_keyset_dropped_ref(ks)) {
      } /* cleared along with the rest */
      memset(model.dropped, 0, sizeof dropped);
      memset(dropped, 0, sizeof dropped);
    } else if (what < 30) {
      double now = model.now + (double)check_below(3) * 0.5;
      tw_keyset_now(ks, now);
      model_now(now);
    } else if (what < 50 && model.can_undo) {
      CHECK(tw_keyset_undo(ks) == 1);
      CHECK(tw_keyset_undo(ks) == 0);
      model_undo();
    } else {
      struct key key;
      if (check_below(20) == 0) tw_mem_fail_at(1 + check_below(3));
      int rc = add_random(ks, universe, &key);
      tw_mem_fail_at(0);
      if (rc == TW_ENOMEM) model.has_out = 0; /* what was pushed out may have left */
      if (rc == TW_ENOMEM)
        model.can_undo = 0;
      else
        CHECKF(rc == model_add(key), "%s gave %d", key.name, rc);
    }
    CHECKF(tw_keyset_count(ks) == model.held, "%lld, not %d",
           (long long)tw_keyset_count(ks), model.held);
    for (uint64_t id; check_below(2) && (id = tw_keyset_dropped_ref(ks));)
      dropped[id]++;
  }
  CHECK(tw_keyset_bytes(ks) > 0);
  tw_keyset_add_null(ks); /* what was pushed out leaves now, */
  tw_keyset_add_null(ks); /* and what this has pushed out */
  model_add((struct key){.name = "null"});
  for (uint64_t id; (id = tw_keyset_dropped_ref(ks));) dropped[id]++;
  for (int id = 1; id < REFS; id++)
    if (maxsize || ttl > 0)
      CHECKF(dropped[id] == model.dropped[id], "reference %d", id);
  tw_keyset_close(ks);
}

static void remembers_many(int64_t maxsize) {
  tw_keyset *ks = tw_keyset_open(maxsize, 0);
  int64_t many = 200000;
  for (int64_t i = 0; i < many; i++)
    CHECK(tw_keyset_add_num(ks, (double)i * 0.25) == 1);
  int64_t kept = maxsize && maxsize < many ? maxsize : many;
  CHECK(tw_keyset_count(ks) == kept);
  for (int64_t i = many - kept; i < many; i++)
    CHECK(tw_keyset_add_num(ks, (double)i * 0.25) == 0);
  tw_keyset_close(ks);
}

static void dumps_the_most_recent_first(void) {
  tw_keyset *ks = tw_keyset_open(4, 0);
  char buf[100];
  tw_keyset_add_num(ks, 1);
  tw_keyset_add_i64(ks, -9007199254740993);
  tw_keyset_add_bytes(ks, "short", 5);
  tw_keyset_add_bytes(ks, "not so short", 12);
  tw_keyset_add_bool(ks, 1);
  tw_keyset_add_bytes(ks, "short", 5);
  int64_t len = tw_keyset_dump(ks, buf, sizeof buf);
  const char *want = "keys, 4: \"short\" true \"not so short\" -9007199254740993LL";
  CHECKF(!strcmp(buf, want) && len == (int64_t)strlen(want), "%s", buf);
  tw_keyset_close(ks);
}

static void refuses_what_it_cannot_do(void) {
  CHECK(!tw_keyset_open(-1, 0) && !tw_keyset_open(0, -1));
  CHECK(!tw_keyset_open(0, __builtin_nan("")) && !tw_keyset_open(0, __builtin_inf()));
  for (int n = 1; n <= 4; n++) {
    tw_mem_fail_at(n);
    CHECK(!tw_keyset_open(3, 1));
    CHECK(tw_mem_fail_at(0) == 0);
  }
  tw_keyset *ks = tw_keyset_open(0, 0);
  CHECK(tw_keyset_add_num(ks, __builtin_nan("")) == TW_EINVAL);
  CHECK(tw_keyset_add_ref(ks, 0) == TW_EINVAL);
  CHECK(tw_keyset_count(ks) == 0 && tw_keyset_undo(ks) == 0);
  tw_keyset_close(ks);
  tw_keyset_close(NULL);
}

int main(int argc, char **argv) {
  static const int sizes[] = {0, 1, 2, 3, 9, 10, 11, 50, 300};
  int64_t before = tw_mem_bytes();
  check_open(argc, argv);
  for (int i = 0; i < 9; i++)
    for (int ttl = 0; ttl < 3; ttl++) {
      int steps = check_long ? 100000 : 3000;
      agrees_with_a_plain_list(sizes[i], ttl * 2.5, 1 + (int)check_below(6), steps);
      agrees_with_a_plain_list(sizes[i], ttl * 2.5, 40, steps);
    }
  remembers_many(0);
  remembers_many(1000);
  remembers_many(1 << 20);
  dumps_the_most_recent_first();
  refuses_what_it_cannot_do();
  CHECK(tw_mem_bytes() == before);
  return check_close();
}
