/* queue.c -- operators that hold elements in rings of tagged 16-byte values.
 * Rows: partition SIZE (push, every SIZE elements add up and clear), zip (two queues),
 * branch (two maps into two queues). */
#include "bench.h"

typedef struct value {
  double num;
  uint32_t len, type;
} value;

typedef struct queue {
  value vals[1024];
  uint64_t head, tail;
} queue;

static __attribute__((noinline)) void push(queue *q, double x) {
  q->vals[q->tail++ & 1023] = (value){.num = x, .type = 1};
}

static __attribute__((noinline)) double pop(queue *q) {
  value *v = &q->vals[q->head++ & 1023];
  return v->type == 1 ? v->num : NAN;
}

static queue a, b;

int main(int argc, char **argv) {
  if (argc < 4) return 2;
  checking = strcmp(argv[1], "check") == 0;
  int64_t size = atoll(argv[3]);
  int64_t n = (int64_t)atof(argv[argc - 1]);
  double before = cpu_ns();
  if (strcmp(argv[2], "partition") == 0) {
    for (int64_t i = 1; i <= n; i++) {
      push(&a, (double)i);
      if ((int64_t)(a.tail - a.head) < size) continue;
      double total = 0;
      for (; a.head < a.tail; a.head++) total += a.vals[a.head & 1023].num;
      put(total);
    }
  } else {
    int branch = strcmp(argv[2], "branch") == 0;
    for (int64_t i = 1; i <= n; i++) {
      push(&a, (double)(branch ? i + 1 : i));
      push(&b, (double)(branch ? i * 2 : i));
      if (a.head == a.tail || b.head == b.tail) continue;
      double left = pop(&a), right = pop(&b);
      if (branch || !checking)
        put(left + right);
      else
        count++, fold(left), fold(right), fold(7);
    }
  }
  report(cpu_ns() - before, n);
  return 0;
}
