/* minmax.c -- the store of a queue with a maximum. */
#include "agg/minmax.h"
#include "core/mem.h"
#include "tideway.h"

int tw__minmax_init(struct tw__minmax *q, int64_t size) {
  uint64_t places = 1;
  while (places < (uint64_t)size) places *= 2;
  *q = (struct tw__minmax){.mask = places - 1};
  q->mid = q->back = -__builtin_inf();
  q->val = tw__calloc(places, sizeof *q->val);
  return q->val ? TW_OK : TW_ENOMEM;
}

void tw__minmax_fini(struct tw__minmax *q) {
  tw__free(q->val);
}
