/* share.c -- keys dealt out to a number of shares, by a hash whose seed everybody knows. */
#include <string.h>

#include "core/hash.h"
#include "tideway.h"

static const uint64_t SEED =
    0x7469646577617921ull; /* for good: who has a key may be stored */

static int share_of(uint64_t hash, int count) {
  return (int)((hash >> 32) * (uint64_t)(uint32_t)count >> 32);
}

int tw_share_num(double x, int count) {
  uint64_t bits;
  x += 0.0; /* -0 becomes 0 */
  memcpy(&bits, &x, sizeof bits);
  return share_of(tw__hash_fold(tw__hash_u64(bits, SEED), SEED | 1), count);
}

int tw_share_bytes(const char *bytes, int64_t len, int count) {
  return share_of(tw__hash_bytes(bytes, (size_t)len, SEED), count);
}
