/* packet -- what is written is what is read; what is not MQTT is found out. */
#include "mqtt/packet.h"

#include "../check.h"

static struct tw__bytes out;

static struct tw__reader body(int type, int flags) {
  int head = 0;
  const int64_t size = tw__packet_size(out.at, out.len, &head);
  CHECK(size == out.len);
  CHECK((unsigned char)out.at[0] == (type << 4 | flags));
  return (struct tw__reader){.at = (uint8_t *)out.at + head,
                             .end = (uint8_t *)out.at + out.len};
}

static int is(struct tw__text text, const char *expected) {
  return text.len == (int64_t)strlen(expected) &&
         !memcmp(text.at, expected, (size_t)text.len);
}

static struct tw__text text(const char *from) {
  return (struct tw__text){.at = from, .len = (int64_t)strlen(from)};
}

static void connects(void) {
  struct tw__connect c = {.version = 5,
                          .clean = 1,
                          .keepalive = 60,
                          .session_expiry = 7,
                          .receive_max = 20,
                          .max_packet = 1000,
                          .client_id = "me",
                          .username = "u",
                          .password = "p\0q",
                          .password_len = 3};
  out.len = 0;
  tw__write_connect(&out, &c);
  struct tw__reader r = body(TW__CONNECT, 0);
  CHECK(is(tw__read_text(&r), "MQTT"));
  CHECK(tw__read_u8(&r) == 5);
  CHECK(tw__read_u8(&r) == (2 | 64 | 128));
  CHECK(tw__read_u16(&r) == 60);
  struct tw__text list = tw__read_properties(&r);
  struct tw__reader in = {.at = (const uint8_t *)list.at,
                          .end = (const uint8_t *)list.at + list.len};
  struct tw__property p;
  CHECK(tw__read_property(&in, &p) && p.id == TW__PROP_SESSION_EXPIRY && p.number == 7);
  CHECK(tw__read_property(&in, &p) && p.id == TW__PROP_RECEIVE_MAX && p.number == 20);
  CHECK(tw__read_property(&in, &p) && p.id == TW__PROP_MAX_PACKET && p.number == 1000);
  CHECK(!tw__read_property(&in, &p) && !in.bad);
  CHECK(is(tw__read_text(&r), "me"));
  CHECK(is(tw__read_text(&r), "u"));
  CHECK(tw__read_text(&r).len == 3 && !r.bad && r.at == r.end);
  c = (struct tw__connect){.version = 4, .client_id = ""};
  out.len = 0;
  tw__write_connect(&out, &c);
  CHECK(out.len == 14);
}

static void publishes(void) {
  static char payload[300000];
  const int64_t sizes[] = {0, 1, 110, 127, 128, 16370, 16384, 299999};
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
    for (int qos = 0; qos < 3; qos++)
      for (int version = 4; version <= 5; version++) {
        const struct tw__publish p = {.qos = qos,
                                      .mid = 513,
                                      .retain = 1,
                                      .dup = qos > 0,
                                      .topic = text("a/b"),
                                      .properties = text("\x26\0\0\0\0"),
                                      .payload = {payload, sizes[i]}};
        out.len = 0;
        tw__write_publish(&out, version, &p);
        struct tw__reader r = body(TW__PUBLISH, (qos ? 8 : 0) | qos << 1 | 1);
        CHECK(r.end - r.at == tw__publish_size(version, &p));
        CHECK(is(tw__read_text(&r), "a/b"));
        if (qos) CHECK(tw__read_u16(&r) == 513);
        if (version == 5) tw__read_properties(&r);
        CHECK(r.end - r.at == sizes[i]);
      }
}

static void others(void) {
  out.len = 0;
  tw__write_ack(&out, TW__PUBREL, 9);
  struct tw__reader r = body(TW__PUBREL, 2);
  CHECK(tw__read_u16(&r) == 9);
  out.len = 0;
  tw__write_subscribe(&out, 5, 1, "a\0b/#\0", 6, 2, 1);
  r = body(TW__SUBSCRIBE, 2);
  CHECK(tw__read_u16(&r) == 1 && tw__read_properties(&r).len == 0);
  CHECK(is(tw__read_text(&r), "a") && tw__read_u8(&r) == (2 | 16));
  CHECK(is(tw__read_text(&r), "b/#") && tw__read_u8(&r) == (2 | 16) && r.at == r.end);
  out.len = 0;
  tw__write_ping(&out);
  body(TW__PINGREQ, 0);
  out.len = 0;
  tw__write_disconnect(&out, 5, 1);
  r = body(TW__DISCONNECT, 0);
  CHECK(r.end - r.at == 7);
  out.len = 0;
  tw__write_disconnect(&out, 4, 1);
  CHECK(out.len == 2);
}

static void sizes(void) {
  int head;
  CHECK(tw__packet_size("\x30", 1, &head) == 0);
  CHECK(tw__packet_size("\x30\x80", 2, &head) == 0);
  CHECK(tw__packet_size("\x30\x05", 2, &head) == 7 && head == 2);
  CHECK(tw__packet_size("\x30\xff\xff\xff\x7f", 5, &head) == TW__PACKET_MAX + 5 &&
        head == 5);
  CHECK(tw__packet_size("\x30\xff\xff\xff\xff\x01", 6, &head) == TW_EPARSE);
}

static void texts(void) {
  CHECK(tw__packet_is_text("", 0) &&
        tw__packet_is_text("a/\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", 11));
  const char *bad[] = {"\x80",
                       "\xc0\x80",
                       "\xc3",
                       "\xe0\x80\x80",
                       "\xed\xa0\x80",
                       "\xf5\x80\x80\x80",
                       "\xf4\x90\x80\x80",
                       "\xff"};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
    CHECKF(!tw__packet_is_text(bad[i], (int64_t)strlen(bad[i])), "%zu", i);
  CHECK(!tw__packet_is_text("a\0b", 3));
  CHECK(!strcmp(tw__packet_reason(4, 1, 4), tw__packet_reason(5, 1, 0x86)));
  CHECK(!strcmp(tw__packet_reason(4, 0, 0x80), "refused"));
  CHECK(tw__packet_reason(5, 0, 0xfe) && tw__packet_reason(4, 1, 77));
}

/* Any bytes: nothing is read outside of them (the sanitizers look), and it comes to an end. */
static void anything(void) {
  for (int i = 0; i < 20000; i++) {
    const int64_t len = check_below(40);
    uint8_t *bytes = malloc((size_t)len + 1);
    for (int64_t k = 0; k < len; k++)
      bytes[k] = (uint8_t)(check_below(3) ? check_below(45) : check_below(256));
    struct tw__reader r = {.at = bytes, .end = bytes + len};
    struct tw__property p;
    int n = 0, head;
    while (tw__read_property(&r, &p)) n++;
    CHECK(n <= len);
    tw__packet_size((char *)bytes, len, &head);
    tw__packet_is_text((char *)bytes, len);
    r = (struct tw__reader){.at = bytes, .end = bytes + len};
    tw__read_text(&r);
    tw__read_properties(&r);
    tw__read_u32(&r);
    CHECK(r.at <= r.end);
    free(bytes);
  }
}

int main(int argc, char **argv) {
  check_open(argc, argv);
  connects();
  publishes();
  others();
  sizes();
  texts();
  anything();
  tw__bytes_clear(&out);
  return check_close();
}
