/* frame.h -- what the fuzz programs of the readers into frames share: five columns, one of each
 * type, all rows of a text however it is cut, with and without AVX2. */
#ifndef TIDEWAY_SPEC_FUZZ_FRAME_H
#define TIDEWAY_SPEC_FUZZ_FRAME_H

#include <stdbool.h>

#include "fuzz.h"

#include "codec/frame_lanes.h"

/* How a text is read; open gives a reader of five fields. */
struct fuzz_reader {
  tw_frame_text *(*open)(void);
  int64_t (*read)(tw_frame_text *, tw_frame *, const char *, int64_t, int, int64_t);
  void (*close)(tw_frame_text *);
};

static tw_frame *fuzz_frame(void) {
  static const int types[5] = {TW_COL_F64, TW_COL_I64, TW_COL_BOOL, TW_COL_STRING,
                               TW_COL_TIMESTAMP};
  tw_frame *frame = tw_frame_new(5, 1);
  for (int k = 0; k < 5; k++) tw_frame_take(frame, k, tw_column_new(types[k], 0, NULL));
  return frame;
}

/* All good rows of the text, of which `first` bytes are shown, then `step` more each time;
 * and in *wrong a sum over the rows that are not. */
static tw_frame *fuzz_read(const struct fuzz_reader *how, const char *text, size_t size,
                           size_t first, size_t step, uint64_t *wrong) {
  tw_frame_text *r = how->open();
  tw_frame *frame = fuzz_frame();
  size_t from = 0, shown = first;
  *wrong = 0;
  for (;;) {
    if (shown > size) shown = size;
    char *part = malloc(shown - from + (shown == from)); /* its end is guarded */
    if (shown > from) memcpy(part, text + from, shown - from);
    int64_t used = how->read(r, frame, part, (int64_t)(shown - from), shown == size,
                             (int64_t)size + 1);
    FUZZ_CHECK(used >= 0 && (size_t)used <= shown - from);
    FUZZ_CHECK(tw_frame_whole(frame));
    if (r->fault) {
      FUZZ_CHECK(r->record >= part && r->record + r->record_len <= part + used);
      *wrong = *wrong * 31 + (uint64_t)r->fault * 7 + (uint64_t)r->row;
      for (int64_t i = 0; i < r->record_len; i++)
        *wrong = *wrong * 33 + (uint8_t)r->record[i];
      *wrong = *wrong * 31 + (uint64_t)(r->field + 1);
      for (int64_t i = 0; i < r->cell_len; i++)
        *wrong = *wrong * 33 + (uint8_t)r->cell[i];
    }
    bool fault = r->fault != 0;
    free(part);
    from += (size_t)used;
    if (fault) continue;
    if (shown == size) break;
    shown += step;
  }
  FUZZ_CHECK(from == size);
  how->close(r);
  return frame;
}

static void fuzz_same(const struct fuzz_reader *how, const char *text, size_t size,
                      size_t first, size_t step, const tw_frame *whole,
                      uint64_t wrong) {
  uint64_t other;
  tw_frame *parts = fuzz_read(how, text, size, first, step, &other);
  FUZZ_CHECK(wrong == other && tw_frame_equal(whole, parts));
  tw_frame_release(parts);
}

/* All good rows, which are the same however the text is cut; short ones are cut in two at
 * every byte. */
static tw_frame *fuzz_read_all(const struct fuzz_reader *how, const char *text,
                               size_t size) {
  uint64_t wrong;
  tw_frame *whole = fuzz_read(how, text, size, size + 1, 1, &wrong);
  fuzz_same(how, text, size, 1, 1 + size % 7, whole, wrong);
  for (size_t cut = 1; cut < size && size % 64 == 0; cut++)
    fuzz_same(how, text, size, cut, size, whole, wrong);
  tw__lanes_off = true;
  fuzz_same(how, text, size, size + 1, 1, whole, wrong);
  tw__lanes_off = false;
  return whole;
}

/* Whether a text that was written reads as this frame, nothing wrong in it. */
static bool fuzz_reads_as(const struct fuzz_reader *how, const tw_out *out,
                          const tw_frame *frame) {
  uint64_t wrong;
  tw_frame *back = fuzz_read(how, out->bytes, (size_t)out->len, 1000, 1000, &wrong);
  bool same = !wrong && tw_frame_equal(frame, back);
  tw_frame_release(back);
  return same;
}

#endif
