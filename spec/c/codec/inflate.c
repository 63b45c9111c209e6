/* inflate -- random members cut at random borders come back; damage and cuts are
 * noticed. */
#include "codec/inflate.h"

#include <zlib.h>
#include <zstd.h>

#include "../check.h"

enum { TEXT = 1 << 17 };
static char text[TEXT], packed[4 * TEXT], unpacked[TEXT];

static size_t pack(int encoding, char *to, size_t room, const char *from, size_t len) {
  if (encoding == TW_ENCODING_ZSTD)
    return ZSTD_compress(to, room, from, len, 1 + (int)check_below(5));
  z_stream z = {.next_in = (Bytef *)(uintptr_t)from,
                .avail_in = (unsigned)len,
                .next_out = (Bytef *)to,
                .avail_out = (unsigned)room};
  deflateInit2(&z, (int)check_below(10), Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY);
  CHECK(deflate(&z, Z_FINISH) == Z_STREAM_END);
  deflateEnd(&z);
  return (size_t)((char *)z.next_out - to);
}

/* Several members with text of `len` bytes in all; how long they are packed. */
static size_t members(int encoding, size_t len) {
  size_t from = 0, size = 0;
  int count = 1 + (int)check_below(4);
  while (count--) {
    const size_t part =
        count ? (size_t)check_below((int64_t)(len - from) + 1) : len - from;
    size += pack(encoding, packed + size, sizeof packed - size, text + from, part);
    from += part;
  }
  return size;
}

/* Feeds size bytes in pieces into rooms, both random. Returns the status; *made in all.
 */
static int unpack(int encoding, size_t size, size_t *made, size_t *taken) {
  tw__inflate *z = tw__inflate_open(encoding);
  int rc = TW_OK, idle = 0;
  size_t at = 0;
  *made = 0;
  while (rc == TW_OK) {
    size_t piece = 1 + (size_t)check_below(check_below(2) ? 20 : 20000), used, given;
    size_t room = 1 + (size_t)check_below(check_below(2) ? 20 : 20000);
    if (piece > size - at) piece = size - at;
    if (room > TEXT - *made) room = TEXT - *made;
    char *exact = malloc(piece ? piece : 1);
    memcpy(exact, packed + at, piece);
    rc = tw__inflate_step(z, exact, piece, &used, unpacked + *made, room, &given);
    free(exact);
    CHECK(used <= piece && given <= room);
    at += used;
    *made += given;
    idle = used || given ? 0 : idle + 1;
    if (at == size && given < room) break;
    if (idle > 3) break;
  }
  *taken = at;
  if (rc == TW_OK) rc = tw__inflate_finish(z);
  if (rc) CHECK(*tw__inflate_text(z));
  tw__inflate_close(z);
  return rc;
}

static void one_round(int encoding) {
  size_t made, taken;
  const size_t len = (size_t)check_below(check_below(4) ? 3000 : TEXT - 1);
  const int letters = 1 + (int)check_below(255);
  for (size_t i = 0; i < len; i++) text[i] = (char)check_below(letters);
  const size_t size = members(encoding, len);

  CHECK(unpack(encoding, size, &made, &taken) == TW_OK);
  CHECKF(made == len && !memcmp(text, unpacked, len), "made %zu of %zu", made, len);
  CHECK(taken == size);

  /* Cut anywhere but between members: noticed. What came before the cut is right. */
  const size_t cut = (size_t)check_below((int64_t)size);
  const int rc = unpack(encoding, cut, &made, &taken);
  CHECK(rc == TW_OK || rc == TW_ECORRUPT);
  CHECK(made <= len && !memcmp(text, unpacked, made));
  if (cut == size - 1) CHECK(rc == TW_ECORRUPT);

  /* A damaged byte: never wrong without a word (the gzip header excepted), never a
   * crash. */
  const size_t hit = (size_t)check_below((int64_t)size);
  packed[hit] = (char)(packed[hit] ^ (1 << check_below(8)));
  (void)unpack(encoding, size, &made, &taken);
}

static void zeros_may_follow_gzip(void) {
  size_t made, taken, size = pack(TW_ENCODING_GZIP, packed, sizeof packed, "abc", 3);
  memset(packed + size, 0, 1000);
  CHECK(unpack(TW_ENCODING_GZIP, size + 1000, &made, &taken) == TW_OK);
  CHECK(made == 3);
  packed[size + 900] = 'x';
  CHECK(unpack(TW_ENCODING_GZIP, size + 1000, &made, &taken) == TW_ECORRUPT);
  CHECK(made == 3);
}

int main(int argc, char **argv) {
  check_open(argc, argv);
  size_t made, taken;
  for (int i = 0; i < 150; i++) one_round(TW_ENCODING_GZIP);
  for (int i = 0; i < 150; i++) one_round(TW_ENCODING_ZSTD);
  zeros_may_follow_gzip();
  CHECK(unpack(TW_ENCODING_GZIP, 0, &made, &taken) == TW_OK && made == 0);
  CHECK(unpack(TW_ENCODING_ZSTD, 0, &made, &taken) == TW_OK && made == 0);
  CHECK(tw__inflate_open(TW_ENCODING_NONE) == NULL);
  return check_close();
}
