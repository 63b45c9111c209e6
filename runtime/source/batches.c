/* batches.c -- which of the delivered records are through.
 *
 * A batch is the bytes of a tail that were delivered together, in a ring in the order of delivery.
 * What a position file says of a tail is where its oldest batch starts that is not through.
 */
#include "core/mem.h"
#include "source/follow.h"

int tw__batches_note(tw_follow *f, tw__tail *t, int64_t start, int64_t end) {
  if (f->next_batch - f->first_batch == f->batch_room) {
    const int64_t room = 2 * f->batch_room + 64;
    tw__batch *more = tw__malloc((size_t)room * sizeof *more);
    if (!more)
      return tw__follow_fail(f, TW_ENOMEM, "%s: no memory for what is held", t->path);
    for (int64_t i = f->first_batch; i < f->next_batch; i++)
      more[i % room] = f->batch[i % f->batch_room];
    tw__free(f->batch);
    f->batch = more;
    f->batch_room = room;
  }
  f->batch[f->next_batch++ % f->batch_room] =
      (tw__batch){.tail = t, .start = start, .end = end};
  t->held++;
  return TW_OK;
}

int64_t tw_follow_batch(const tw_follow *f) {
  return f->next_batch - 1;
}

void tw_follow_through(tw_follow *f, int64_t batch) {
  if (batch < f->first_batch || batch >= f->next_batch) return;
  tw__batch *b = &f->batch[batch % f->batch_room];
  if (b->through) return;
  b->through = f->changed = 1;
  while (f->first_batch < f->next_batch) {
    b = &f->batch[f->first_batch % f->batch_room];
    if (!b->through) break;
    b->tail->held--;
    f->first_batch++;
  }
}

int64_t tw_follow_split(tw_follow *f, int64_t batch, int i) {
  if (batch < f->first_batch || batch >= f->next_batch) return batch;
  tw__batch *b = &f->batch[batch % f->batch_room];
  tw__tail *t = b->tail;
  const int64_t start = f->start + (f->lines[i].ptr - f->lines[0].ptr), end = b->end;
  b->end = start;
  if (tw__batches_note(f, t, start, end)) return TW_ENOMEM;
  return f->next_batch - 1;
}

int64_t tw_follow_held(const tw_follow *f) {
  return f->next_batch - f->first_batch;
}

void tw__batches_saved(tw_follow *f) {
  for (int i = 0; i < f->tails; i++) f->tail[i]->saved = f->tail[i]->position;
  for (int64_t i = f->next_batch - 1; i >= f->first_batch; i--) {
    const tw__batch *b = &f->batch[i % f->batch_room];
    if (!b->through && b->start < b->tail->saved) b->tail->saved = b->start;
  }
}
