/* frame -- headers are as short as they may be, masks come off again; UTF-8 is known; rings keep
 * their order. */
#include "peer.h"

/* The payload of a frame, unmasked; its header's length in *head. */
static int64_t payload_of(const tw__ws_frame *frame, char *to, int64_t *head) {
  const uint8_t *at = (const uint8_t *)frame->bytes;
  int64_t len = at[1] & 127, n = 2;
  const int more = len == 126 ? 2 : len == 127 ? 8 : 0;
  if (more) len = 0;
  for (int i = 0; i < more; i++) len = len << 8 | at[n++];
  const uint8_t *key = at[1] & 128 ? at + n : NULL;
  if (key) n += 4;
  for (int64_t i = 0; i < len; i++) to[i] = (char)(at[n + i] ^ (key ? key[i & 3] : 0));
  *head = n;
  return len;
}

static void makes_frames(void) {
  static char text[70000], back[70000];
  static const int64_t lengths[] = {0, 1, 7, 8, 125, 126, 127, 65535, 65536, 70000};
  for (size_t k = 0; k < sizeof lengths / sizeof *lengths; k++) {
    for (int masked = 0; masked < 2; masked++) {
      const int64_t len = lengths[k];
      int64_t head;
      for (int64_t i = 0; i < len; i++) text[i] = (char)check_below(256);
      tw__ws_frame *frame = tw__ws_frame_make(TW__WS_BINARY, text, len, masked);
      CHECK((uint8_t)frame->bytes[0] == 0x82);
      CHECK(payload_of(frame, back, &head) == len);
      CHECK(!memcmp(text, back, (size_t)len));
      CHECK(head == 2 + (len > 65535 ? 8 : len > 125 ? 2 : 0) + 4 * masked);
      CHECK(frame->len == head + len);
      tw__ws_frame_unref(frame);
    }
  }
}

/* As the table of RFC 3629 says, character by character. */
static int naive(const uint8_t *at, int64_t len) {
  int64_t i = 0;
  while (i < len) {
    uint32_t c = at[i];
    int more = c < 0x80                ? 0
               : c >= 0xC2 && c < 0xE0 ? 1
               : (c & 0xF0) == 0xE0    ? 2
               : c >= 0xF0 && c < 0xF5 ? 3
                                       : -1;
    if (more < 0 || i + more >= len) return 0;
    c = more == 0 ? c : c & (0x3Fu >> more);
    for (int k = 1; k <= more; k++) {
      if ((at[i + k] & 0xC0) != 0x80) return 0;
      c = c << 6 | (at[i + k] & 0x3Fu);
    }
    if ((more == 2 && c < 0x800) || (more == 3 && (c < 0x10000 || c > 0x10FFFF)) ||
        (c >= 0xD800 && c <= 0xDFFF))
      return 0;
    i += more + 1;
  }
  return 1;
}

static void knows_text(void) {
  static const char *const bits[] = {
      "a",        "\xC3\xA9", "\xE2\x82\xAC", "\xED\xA0", "\xF0\x9F\x8C", "12345678",
      "\xF4\x8F", "\xBF\xBF", "\x80",         "\xE0\x9F", "\xF0\x8F",     "\xFF"};
  for (int k = 0; k < 100000; k++) {
    char text[64];
    int64_t len = 0;
    for (int64_t n = check_below(6); n > 0; n--) {
      const char *bit = bits[check_below(sizeof bits / sizeof *bits)];
      memcpy(text + len, bit, strlen(bit));
      len += (int64_t)strlen(bit);
    }
    char *exact = tw__mem_copy(text, len); /* so that a byte too far is seen */
    CHECK(tw_ws_is_text(exact, len) == naive((const uint8_t *)exact, len));
    tw__free(exact);
  }
}

static void keeps_order(void) {
  tw__ws_ring ring = {0};
  uint64_t head = 0, tail = 0;
  for (int k = 0; k < 20000; k++) {
    if (check_below(100) < 52) {
      tw__ws_frame *frame = tw__ws_frame_copy(&tail, sizeof tail);
      CHECK(tw__ws_ring_push(&ring, frame) == TW_OK);
      tw__ws_frame_unref(frame);
      tail++;
    } else if (head < tail) {
      CHECK(!memcmp(ring.frames[ring.head & ring.mask]->bytes, &head, sizeof head));
      tw__ws_ring_pop(&ring);
      head++;
    }
    CHECK(ring.head == head && ring.tail == tail);
    CHECK(ring.bytes == (int64_t)((tail - head) * sizeof tail));
  }
  tw__ws_ring_clear(&ring);
}

int main(int argc, char **argv) {
  check_open(argc, argv);
  const int64_t before = tw_mem_bytes();
  makes_frames();
  knows_text();
  keeps_order();
  CHECK(tw_mem_bytes() == before);
  return check_close();
}
