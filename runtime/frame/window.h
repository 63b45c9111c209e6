/* window.h -- what the states that follow a window ask of it. */
#ifndef TIDEWAY_FRAME_WINDOW_H
#define TIDEWAY_FRAME_WINDOW_H

#include "tideway.h"

/* For windows by value: where rows first .. first + n - 1 of frame stand in the order of
 * the index, as integers: the index itself, or written to spare (n values). NULL: a
 * window of the last n rows. */
const int64_t *tw__window_keys(const tw_window *win, const tw_frame *frame,
                               int64_t first, int64_t n, int64_t *spare);

/* Which rows have just come, in the store when they stand one behind the other there:
 * strings of all rows are then of one dict. */
const tw_frame *tw__window_fresh(const tw_window *win, int64_t *first, int64_t *rows);

#endif
