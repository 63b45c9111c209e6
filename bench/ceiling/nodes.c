/* nodes.c -- a graph of C nodes with virtual calls: what a stream runtime without fusing
 * costs at least. Rows: mfa (map, filter, accumulate, sink), mfma (with a second map). */
#include "bench.h"

typedef struct node node;
struct node {
  void (*step)(node *self, double x);
  double (*fn)(double x);
  node *next;
  double state;
  int has_state;
};

static double increment(double x) { return x + 1; }
static double twice(double x) { return x * 2; }
static double even(double x) { return ((int64_t)x & 1) == 0; }

static void map_step(node *self, double x) { self->next->step(self->next, self->fn(x)); }

static void filter_step(node *self, double x) {
  if (self->fn(x) != 0) self->next->step(self->next, x);
}

static void accumulate_step(node *self, double x) {
  self->state = self->has_state ? self->state + x : x;
  self->has_state = 1;
  self->next->step(self->next, self->state);
}

static void sink_step(node *self, double x) {
  (void)self;
  put(x);
}

int main(int argc, char **argv) {
  if (argc < 4) return 2;
  checking = strcmp(argv[1], "check") == 0;
  int64_t n = (int64_t)atof(argv[3]);
  node sink = {.step = sink_step};
  node acc = {.step = accumulate_step, .next = &sink};
  node second = {.step = map_step, .fn = twice, .next = &acc};
  node filter = {.step = filter_step, .fn = even, .next = &acc};
  node first = {.step = map_step, .fn = increment, .next = &filter};
  if (strcmp(argv[2], "mfma") == 0) filter.next = &second;

  node *volatile source = &first; /* not to be seen through */
  double before = cpu_ns();
  for (int64_t i = 1; i <= n; i++) source->step(source, (double)i);
  report(cpu_ns() - before, n);
  return 0;
}
