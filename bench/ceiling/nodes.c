/* nodes.c -- a graph of C nodes with virtual calls: what a stream runtime that does not
 * fuse costs at least. As in one, a value is tagged and a node has a list of downstreams.
 * Rows: mfa (map, filter, accumulate, sink), mfma (with a second map). */
#include "bench.h"

typedef struct value {
  double num;
  uint32_t len, type;
} value;

typedef struct node node;
struct node {
  void (*step)(node *self, const value *x);
  double (*fn)(double x);
  node **downs;
  int down_count;
  value state;
};

static double increment(double x) {
  return x + 1;
}
static double twice(double x) {
  return x * 2;
}
static double even(double x) {
  return (int64_t)x % 2 == 0;
}

static inline void downstream(node *self, const value *x) {
  for (int i = 0; i < self->down_count; i++) self->downs[i]->step(self->downs[i], x);
}

static void source_step(node *self, const value *x) {
  downstream(self, x);
}

static void map_step(node *self, const value *x) {
  if (x->type != 1) return;
  value y = {.num = self->fn(x->num), .type = 1};
  downstream(self, &y);
}

static void filter_step(node *self, const value *x) {
  if (x->type == 1 && self->fn(x->num) != 0) downstream(self, x);
}

static void accumulate_step(node *self, const value *x) {
  if (x->type != 1) return;
  if (self->state.type == 1)
    self->state.num += x->num;
  else
    self->state = *x;
  downstream(self, &self->state);
}

static void sink_step(node *self, const value *x) {
  (void)self;
  put(x->num);
}

int main(int argc, char **argv) {
  if (argc < 4) return 2;
  checking = strcmp(argv[1], "check") == 0;
  int64_t n = (int64_t)atof(argv[3]);
  node *to_sink, *to_acc, *to_second, *to_filter, *to_first;
  node sink = {.step = sink_step};
  node acc = {.step = accumulate_step, .downs = &to_sink, .down_count = 1};
  node second = {.step = map_step, .fn = twice, .downs = &to_acc, .down_count = 1};
  node filter = {.step = filter_step, .fn = even, .downs = &to_acc, .down_count = 1};
  node first = {
      .step = map_step, .fn = increment, .downs = &to_filter, .down_count = 1};
  node source = {.step = source_step, .downs = &to_first, .down_count = 1};
  to_sink = &sink, to_acc = &acc, to_second = &second, to_filter = &filter,
  to_first = &first;
  if (strcmp(argv[2], "mfma") == 0) filter.downs = &to_second;

  node *volatile entry = &source; /* not to be seen through */
  double before = cpu_ns();
  for (int64_t i = 1; i <= n; i++) {
    value x = {.num = (double)i, .type = 1};
    entry->step(entry, &x);
  }
  report(cpu_ns() - before, n);
  return 0;
}
