/* dict.h -- dicts that threads share.
 *
 * A dict that only one thread knows grows in place. Once another one has it, it is frozen:
 * nobody puts strings in any more, who has a new one goes on with a copy, in which all have
 * the numbers that they had. Columns of a source that seldom sees a new string are so of one
 * dict for all threads, frame after frame; where nearly each row has a new one, each frame is
 * to have a dict of its own.
 */
#ifndef TIDEWAY_FRAME_DICT_H
#define TIDEWAY_FRAME_DICT_H

#include "tideway.h"

/* tw_dict_add to what stands at *at, in whose place, when it is frozen and the string is
 * new, comes a copy; the hold on it changes hands too. The number, or TW_ENOMEM. */
int64_t tw__dict_put(tw_dict **at, const char *bytes, int64_t len);

/* Freeze a dict, since a frame with so many rows goes to another thread, unless the copy
 * that its next string then costs is dear for what has been sent of it. 1: it is frozen; 0:
 * the frame is to have strings of its own. Thread: one, as long as it is not frozen. */
int tw__dict_freeze(tw_dict *dict, int64_t rows);

#endif
