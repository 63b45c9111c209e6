/* frame.c -- columns of one length under one schema. */
#include "core/pool.h"
#include "core/refs.h"
#include "frame/column.h"

#include <string.h>

/* A frame and its array are one block, of the class that its room tells. */
static int class_of(int room) {
  return tw__pool_class(sizeof(tw_frame) + (size_t)room * sizeof(tw_column *));
}

tw_frame *tw_frame_new(int columns, int schema) {
  if (columns < 0) return NULL;
  int size_class = class_of(columns);
  if (size_class < 0) return NULL;
  tw_frame *frame = tw__pool_take(size_class);
  if (!frame) return NULL;
  size_t place = tw__pool_size(size_class) - sizeof *frame;
  *frame = (tw_frame){.column = (tw_column **)(frame + 1),
                      .columns = columns,
                      .schema = schema,
                      .refs = 1,
                      .room = (int32_t)(place / sizeof(tw_column *))};
  for (int k = 0; k < columns; k++) frame->column[k] = NULL;
  return frame;
}

tw_frame *tw_frame_retain(tw_frame *frame) {
  tw__refs_up(&frame->refs);
  return frame;
}

void tw_frame_release(tw_frame *frame) {
  if (!frame || !tw__refs_down(&frame->refs)) return;
  for (int k = 0; k < frame->columns; k++) tw_column_release(frame->column[k]);
  tw__pool_give(class_of(frame->room), frame);
}

/* Fetches frames that are to be released 2 * AHEAD later, and columns of those AHEAD. */
void tw_frame_release_all(tw_frame **frames, int64_t n) {
  enum { AHEAD = 4 };
  for (int64_t i = 0; i < n; i++) {
    if (i + 2 * AHEAD < n) __builtin_prefetch(frames[i + 2 * AHEAD], 1);
    const tw_frame *next = i + AHEAD < n ? frames[i + AHEAD] : NULL;
    for (int k = 0; next && k < next->columns && k < 8; k++)
      __builtin_prefetch(next->column[k], 1);
    tw_frame_release(frames[i]);
  }
}

int tw_frame_renew(tw_frame **out, int columns, int schema) {
  tw_frame *frame = *out;
  if (columns < 0) return TW_EINVAL;
  if (!frame || !tw__refs_mine(&frame->refs) || columns > frame->room) {
    *out = tw_frame_new(columns, schema);
    tw_frame_release(frame);
    return *out ? TW_OK : TW_ENOMEM;
  }
  for (int k = columns; k < frame->columns; k++) tw_column_release(frame->column[k]);
  for (int k = frame->columns; k < columns; k++) frame->column[k] = NULL;
  frame->columns = columns;
  frame->schema = schema;
  frame->rows = 0;
  return TW_OK;
}

void tw_frame_take(tw_frame *frame, int k, tw_column *col) {
  tw_column *old = frame->column[k];
  frame->column[k] = col;
  if (col) frame->rows = col->len;
  tw_column_release(old);
}

void tw_frame_set(tw_frame *frame, int k, tw_column *col) {
  tw_frame_take(frame, k, col ? tw_column_retain(col) : NULL);
}

int tw_frame_whole(const tw_frame *frame) {
  for (int k = 0; k < frame->columns; k++)
    if (!frame->column[k] || frame->column[k]->len != frame->rows) return 0;
  return 1;
}

int tw_frame_slice(tw_frame **out, const tw_frame *frame, int64_t first,
                   int64_t count) {
  if (first < 0 || count < 0 || first > frame->rows - count) return TW_EINVAL;
  int rc = tw_frame_renew(out, frame->columns, frame->schema);
  for (int k = 0; !rc && k < frame->columns; k++)
    rc = tw_column_slice(&(*out)->column[k], frame->column[k], first, count);
  if (!rc) (*out)->rows = count;
  return rc;
}

int tw_frame_gather(tw_frame **out, const tw_frame *frame, const int32_t *at,
                    int64_t count) {
  int rc = count < 0 ? TW_EINVAL : tw_frame_renew(out, frame->columns, frame->schema);
  for (int k = 0; !rc && k < frame->columns; k++)
    rc = tw_column_gather(&(*out)->column[k], frame->column[k], at, count);
  if (!rc) (*out)->rows = count;
  return rc;
}

int tw_frame_tail(tw_frame **out, const tw_frame *frame, int64_t n) {
  n = n < 0 ? 0 : n > frame->rows ? frame->rows : n;
  return tw_frame_slice(out, frame, frame->rows - n, n);
}

/* ---- append ---- */

/* Makes *to a frame that nobody else holds, nor its columns. */
static int own(tw_frame **to, const tw_frame *like) {
  tw_frame *copy = NULL;
  int64_t rows = *to ? (*to)->rows : 0;
  int shared = !*to || !tw__refs_mine(&(*to)->refs);
  for (int k = 0; !shared && k < (*to)->columns; k++)
    shared = !tw__column_mine((*to)->column[k]);
  if (!shared) return TW_OK;
  int rc = tw_frame_slice(&copy, *to ? *to : like, 0, rows);
  if (rc) {
    tw_frame_release(copy);
    return rc;
  }
  tw_frame_release(*to);
  *to = copy;
  return TW_OK;
}

static int same_types(const tw_frame *a, const tw_frame *b) {
  if (a->columns != b->columns) return 0;
  for (int k = 0; k < a->columns; k++)
    if (a->column[k]->type != b->column[k]->type) return 0;
  return 1;
}

int tw_frame_append(tw_frame **to, const tw_frame *from, int64_t first, int64_t count) {
  if (first < 0 || count < 0 || first > from->rows - count) return TW_EINVAL;
  if (*to && !same_types(*to, from)) return TW_ETYPE;
  int rc = own(to, from);
  if (rc) return rc;
  tw_frame *frame = *to;
  for (int k = 0; !rc && k < frame->columns; k++)
    rc = tw_column_append(frame->column[k], from->column[k], first, count);
  if (!rc)
    frame->rows += count;
  else
    for (int k = 0; k < frame->columns; k++)
      tw__column_truncate(frame->column[k], frame->rows);
  return rc;
}

/* ---- equality, size ---- */

int tw_frame_equal(const tw_frame *a, const tw_frame *b) {
  if (a->rows != b->rows || a->columns != b->columns) return 0;
  for (int k = 0; k < a->columns; k++)
    if (!tw_column_equal(a->column[k], b->column[k])) return 0;
  return 1;
}

int64_t tw_frame_bytes(const tw_frame *frame) {
  int64_t bytes = (int64_t)tw__pool_size(class_of(frame->room));
  for (int k = 0; k < frame->columns; k++)
    if (frame->column[k]) bytes += tw_column_bytes(frame->column[k]);
  return bytes;
}
