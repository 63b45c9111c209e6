/* bytes.h -- bytes that grow. */
#ifndef TIDEWAY_CORE_BYTES_H
#define TIDEWAY_CORE_BYTES_H

#include <stdint.h>

/* Exported: the libraries beside the core use it, too. */
#pragma GCC visibility push(default)

/* Zeroed they are none. Where there was no memory `failed` is set, and nothing is added any more
 * until they are cleared: who adds many pieces asks once. */
struct tw__bytes {
  char *at;
  int64_t len, room;
  int failed;
};

/* Room for so many more behind those that are there. TW_OK or TW_ENOMEM. */
int tw__bytes_reserve(struct tw__bytes *bytes, int64_t more);

/* Add a copy of so many. TW_OK or TW_ENOMEM. Amortized constant time a byte. */
int tw__bytes_add(struct tw__bytes *bytes, const void *from, int64_t len);

/* None again; the memory goes back. */
void tw__bytes_clear(struct tw__bytes *bytes);

#pragma GCC visibility pop

#endif
