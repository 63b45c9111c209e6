/* frame.c -- frames as they are sent, UTF-8, rings of frames.
 *
 * A frame is made once, however many connections it goes to:
 *
 *     | fin opcode | mask length | length 0, 2 or 8 | key 0 or 4 | payload |
 */
#include <openssl/rand.h>
#include <string.h>

#include "core/mem.h"
#include "ws/ws.h"

enum { HEADER = 14, KEYS = 1024 };

/* ---- text ---------------------------------------------------------------------- */

/* Bytes of one character from at on, 0: they are none. RFC 3629. */
static int character(const uint8_t *at, const uint8_t *end) {
  const uint8_t c = at[0];
  int more;
  uint8_t low = 0x80, high = 0xBF; /* of the second byte */
  if (c < 0x80) return 1;
  if (c < 0xC2) return 0;
  if (c < 0xE0) {
    more = 1;
  } else if (c < 0xF0) {
    more = 2;
    if (c == 0xE0) low = 0xA0;
    if (c == 0xED) high = 0x9F;
  } else if (c < 0xF5) {
    more = 3;
    if (c == 0xF0) low = 0x90;
    if (c == 0xF4) high = 0x8F;
  } else {
    return 0;
  }
  if (end - at <= more || at[1] < low || at[1] > high) return 0;
  for (int i = 2; i <= more; i++)
    if ((at[i] & 0xC0) != 0x80) return 0;
  return more + 1;
}

int tw_ws_is_text(const char *bytes, int64_t len) {
  const uint8_t *at = (const uint8_t *)bytes, *end = at + len;
  while (at < end) {
    uint64_t word;
    while (end - at >= 8) {
      memcpy(&word, at, 8);
      if (word & 0x8080808080808080u) break;
      at += 8;
    }
    if (at == end) break;
    const int n = character(at, end);
    if (!n) return 0;
    at += n;
  }
  return 1;
}

/* ---- frames ----------------------------------------------------------------------- */

void tw__ws_mask(uint8_t key[4]) {
  static _Thread_local uint8_t keys[KEYS];
  static _Thread_local int used = KEYS;
  if (used == KEYS) {
    if (RAND_bytes(keys, KEYS) != 1) memset(keys, 0x5A, KEYS); /* the peer unmasks it */
    used = 0;
  }
  memcpy(key, keys + used, 4);
  used += 4;
}

static void apply(char *to, const char *from, int64_t len, const uint8_t key[4]) {
  uint64_t word, twice;
  uint8_t eight[8];
  memcpy(eight, key, 4);
  memcpy(eight + 4, key, 4);
  memcpy(&twice, eight, 8);
  int64_t i = 0;
  for (; i + 8 <= len; i += 8) {
    memcpy(&word, from + i, 8);
    word ^= twice;
    memcpy(to + i, &word, 8);
  }
  for (; i < len; i++) to[i] = (char)(from[i] ^ (char)key[i & 3]);
}

static tw__ws_frame *allocate(int64_t room) {
  tw__ws_frame *frame = tw__malloc(sizeof *frame + (size_t)room);
  if (!frame) return NULL;
  frame->refs = 1;
  frame->control = 0;
  return frame;
}

tw__ws_frame *tw__ws_frame_make(int opcode, const void *payload, int64_t len,
                                int masked) {
  tw__ws_frame *frame = allocate(HEADER + len);
  if (!frame) return NULL;
  uint8_t *head = (uint8_t *)frame->bytes, key[4];
  const uint8_t bit = masked ? 0x80 : 0;
  int n = 2;
  head[0] = (uint8_t)(0x80 | opcode);
  if (len < 126) {
    head[1] = (uint8_t)(bit | len);
  } else {
    const int bytes = len < 65536 ? 2 : 8;
    head[1] = (uint8_t)(bit | (bytes == 2 ? 126 : 127));
    for (int i = bytes - 1; i >= 0; i--) head[n++] = (uint8_t)(len >> (8 * i));
  }
  if (masked) {
    tw__ws_mask(key);
    memcpy(head + n, key, 4);
    n += 4;
    apply(frame->bytes + n, payload, len, key);
  } else if (len) {
    memcpy(frame->bytes + n, payload, (size_t)len);
  }
  frame->len = n + len;
  frame->control = opcode >= TW__WS_CLOSE;
  return frame;
}

tw__ws_frame *tw__ws_frame_copy(const void *bytes, int64_t len) {
  tw__ws_frame *frame = allocate(len);
  if (!frame) return NULL;
  memcpy(frame->bytes, bytes, (size_t)len);
  frame->len = len;
  frame->control = 1;
  return frame;
}

void tw__ws_frame_unref(tw__ws_frame *frame) {
  if (--frame->refs == 0) tw__free(frame);
}

/* ---- rings ------------------------------------------------------------------------- */

int tw__ws_ring_push(tw__ws_ring *ring, tw__ws_frame *frame) {
  const uint64_t slots = ring->frames ? ring->mask + 1 : 0;
  if (ring->tail - ring->head == slots) {
    const uint64_t more = slots ? slots * 2 : 4;
    tw__ws_frame **frames = tw__malloc(more * sizeof *frames);
    if (!frames) return TW_ENOMEM;
    for (uint64_t i = ring->head; i != ring->tail; i++)
      frames[i & (more - 1)] = ring->frames[i & ring->mask];
    tw__free(ring->frames);
    ring->frames = frames;
    ring->mask = more - 1;
  }
  ring->frames[ring->tail++ & ring->mask] = frame;
  ring->bytes += frame->len;
  frame->refs++;
  return TW_OK;
}

void tw__ws_ring_pop(tw__ws_ring *ring) {
  tw__ws_frame *frame = ring->frames[ring->head++ & ring->mask];
  ring->bytes -= frame->len;
  tw__ws_frame_unref(frame);
}

void tw__ws_ring_clear(tw__ws_ring *ring) {
  while (ring->head != ring->tail) tw__ws_ring_pop(ring);
  tw__free(ring->frames);
  ring->frames = NULL;
}
