/* share.c -- frames for other threads.
 *
 * Columns are counted and never changed once a second holder has them, so another thread
 * needs a frame of its own only for the number of the schema. What still changes when others
 * hold it is a dict, hence dict.h.
 */
#include "frame/dict.h"

/* The column itself, retained, or one with a dict of its own. NULL: no memory. */
static tw_column *share(tw_column *col) {
  if (!col->dict || tw__dict_freeze(col->dict, col->len)) return tw_column_retain(col);
  tw_column *own = tw_column_new(TW_COL_STRING, col->len, NULL);
  if (!own) return NULL;
  if (tw_column_append(own, col, 0, col->len)) {
    tw_column_release(own);
    return NULL;
  }
  own->dict->frozen = 1;
  return own;
}

tw_frame *tw_frame_share(const tw_frame *frame) {
  tw_frame *other = tw_frame_new(frame->columns, 0);
  for (int k = 0; other && k < frame->columns; k++) {
    if (!frame->column[k]) continue;
    other->column[k] = share(frame->column[k]);
    if (other->column[k]) continue;
    tw_frame_release(other);
    return NULL;
  }
  if (other) other->rows = frame->rows;
  return other;
}
