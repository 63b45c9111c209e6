/* inbox -- messages in pieces, and whose turn it is to be acknowledged. */
#include "mqtt/inbox.h"

#include "../check.h"

static struct tw__inbox box;
static struct tw__bytes out;

/* A PUBLISH arrives, cut in two somewhere; returns what the inbox says to it. */
static int arrive(int qos, unsigned mid, int dup, const char *payload) {
  struct tw__bytes bytes = {0};
  struct tw__packet packet;
  const struct tw__publish p = {.qos = qos,
                                .mid = mid,
                                .dup = dup,
                                .topic = {"t", 1},
                                .payload = {payload, (int64_t)strlen(payload)}};
  tw__write_publish(&bytes, 5, &p);
  const int64_t cut = check_below(bytes.len);
  CHECK(tw__inbox_add(&box, bytes.at, cut) == TW_OK);
  CHECK(tw__inbox_packet(&box, &packet) == 0);
  CHECK(tw__inbox_add(&box, bytes.at + cut, bytes.len - cut) == TW_OK);
  CHECK(tw__inbox_packet(&box, &packet) == 1);
  tw__bytes_clear(&bytes);
  return tw__inbox_publish(&box, &packet, 5);
}

/* The acknowledgements that are due, as text: "a1 r2 " (PUBACK 1, PUBREC 2). */
static const char *due(void) {
  static char text[65536];
  char *to = text;
  out.len = 0;
  tw__inbox_settle(&box, &out);
  for (int64_t i = 0; i + 4 <= out.len; i += 4)
    to += sprintf(to, "%c%d ", (unsigned char)out.at[i] >> 4 == TW__PUBACK ? 'a' : 'r',
                  (unsigned char)out.at[i + 2] << 8 | (unsigned char)out.at[i + 3]);
  *to = '\0';
  return text;
}

static void in_order(void) {
  CHECK(arrive(1, 7, 0, "one") == TW_OK && arrive(2, 8, 0, "two") == TW_OK);
  CHECK(arrive(0, 0, 0, "none") == TW_OK && arrive(1, 9, 0, "three") == TW_OK);
  CHECK(tw__inbox_give(&box) == 4 && box.kept == 3);
  CHECK(!memcmp(box.batch[1].payload, "two", 3) && box.batch[1].payload_len == 3);
  CHECK(!strcmp(due(), ""));
  tw__inbox_keep(&box, 0); /* the first is held */
  box.at = 3;
  CHECK(!strcmp(due(), "") && box.kept == 2);
  tw__inbox_release(&box, box.batch[0].number);
  CHECK(!strcmp(due(), "a7 r8 "));
  box.at = 4;
  CHECK(!strcmp(due(), "a9 ") && box.kept == 0);
  CHECK(arrive(2, 8, 1, "two") == 8); /* its PUBREC was lost */
  tw__inbox_pubrel(&box, 8);
  CHECK(arrive(2, 8, 0, "new") == TW_OK && tw__inbox_give(&box) == 1);
  box.at = 1;
  CHECK(!strcmp(due(), "r8 "));
  tw__inbox_pubrel(&box, 8);
}

/* The connection breaks while two are held, one of them through; the broker sends them again. */
static void again(void) {
  arrive(1, 1, 0, "a");
  arrive(1, 2, 0, "b");
  arrive(1, 3, 0, "c");
  CHECK(tw__inbox_give(&box) == 3);
  const double first = box.batch[0].number;
  tw__inbox_keep(&box, 0);
  box.at = 2;
  CHECK(!strcmp(due(), ""));
  tw__inbox_lost(&box);
  CHECK(!strcmp(due(), ""));
  CHECK(arrive(1, 1, 1, "a") == TW_OK && arrive(1, 2, 1, "b") == TW_OK);
  CHECK(box.pending_count == 0);
  CHECK(arrive(1, 4, 0, "d") == TW_OK && box.pending_count == 1);
  tw__inbox_release(&box, first);
  CHECK(!strcmp(due(), "a1 a2 "));
  box.at = 3;
  CHECK(!strcmp(due(), "")); /* 3 has not come again */
  CHECK(tw__inbox_give(&box) == 1);
  box.at = 1;
  CHECK(!strcmp(due(), "a4 "));
  tw__inbox_lost(&box);
  tw__inbox_forget(&box);
  CHECK(arrive(1, 3, 1, "c") == TW_OK && box.pending_count == 1);
  CHECK(tw__inbox_give(&box) == 1);
  tw__inbox_abandon(&box);
  CHECK(box.kept == 0 && !strcmp(due(), ""));
  tw__inbox_forget(&box);
}

/* A release of a session that is gone means nothing to the next message of that mid. */
static void late(void) {
  tw__inbox_lost(&box);
  arrive(1, 5, 0, "old");
  CHECK(tw__inbox_give(&box) == 1);
  const double old = box.batch[0].number;
  tw__inbox_keep(&box, 0);
  tw__inbox_lost(&box);
  tw__inbox_forget(&box);
  arrive(1, 5, 0, "new");
  CHECK(tw__inbox_give(&box) == 1);
  tw__inbox_release(&box, old);
  CHECK(!strcmp(due(), ""));
  box.at = 1;
  CHECK(!strcmp(due(), "a5 ") && box.kept == 0);
}

static void refused(void) {
  struct tw__packet packet = {
      .type = TW__PUBLISH, .flags = 6, .body = "\0\1t\0\1\0", .len = 6};
  CHECK(tw__inbox_publish(&box, &packet, 5) == TW_EPARSE); /* QoS 3 */
  packet.flags = 2;
  packet.body = "\0\1t\0\0\0";
  CHECK(tw__inbox_publish(&box, &packet, 5) == TW_EPARSE); /* mid 0 */
  packet.body = "\0\0\0\1\0";
  packet.len = 5;
  CHECK(tw__inbox_publish(&box, &packet, 5) == TW_EPARSE); /* no topic */
  packet.body = "\0\7t";
  packet.len = 3;
  CHECK(tw__inbox_publish(&box, &packet, 5) == TW_EPARSE);
  box.most = 10;
  CHECK(tw__inbox_add(&box, "\x30\x40", 2) == TW_OK);
  CHECK(tw__inbox_packet(&box, &packet) == TW_EINVAL);
  tw__inbox_lost(&box);
  box.most = 0;
  CHECK(tw__inbox_packet(&box, &packet) == 0);
}

/* Any order of releases, any batches: every message is acknowledged once, in order. */
static void anything(void) {
  enum { N = 2000 };
  static double numbers[N];
  static int held[N];
  int came = 0, given = 0, acked = 0, count = 0, from = 0;
  while (acked < N) {
    if (came < N && check_below(2)) {
      arrive(1, (unsigned)came + 1, 0, "x");
      came++;
    }
    if (from < given) { /* deliver one; hold it or not */
      const int i = count - (given - from);
      box.at = i;
      held[from] = check_below(2) == 0;
      numbers[from] = box.batch[i].number;
      if (held[from]) tw__inbox_keep(&box, i);
      from++;
    } else {
      if (given) box.at = count;
      due();
      acked += (int)(out.len / 4);
      count = tw__inbox_give(&box);
      given += count;
    }
    const int k = (int)check_below(N);
    if (k < from && held[k]) {
      held[k] = 0;
      tw__inbox_release(&box, numbers[k]);
    }
    if (from == N && given == N) {
      box.at = count;
      for (int i = 0; i < N; i++)
        if (held[i]) tw__inbox_release(&box, numbers[i]);
      due();
      acked += (int)(out.len / 4);
    }
  }
  CHECK(acked == N && box.kept == 0);
}

static void without_memory(void) {
  for (int n = 1; n < 12; n++) {
    struct tw__inbox fresh = {0};
    struct tw__packet packet = {
        .type = TW__PUBLISH, .flags = 2, .body = "\0\1t\0\1\0", .len = 6};
    tw_mem_fail_at(n);
    int rc = tw__inbox_add(&fresh, "\x30\x05\0", 3);
    if (!rc) rc = tw__inbox_publish(&fresh, &packet, 5);
    CHECK(rc == TW_OK || rc == TW_ENOMEM);
    tw__inbox_give(&fresh);
    tw_mem_fail_at(0);
    tw__inbox_fini(&fresh);
  }
}

int main(int argc, char **argv) {
  check_open(argc, argv);
  in_order();
  again();
  late();
  refused();
  tw__inbox_forget(&box);
  anything();
  without_memory();
  tw__inbox_fini(&box);
  tw__bytes_clear(&out);
  return check_close();
}
