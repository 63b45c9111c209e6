/* outbox -- messages until the broker has them: once, in order, and again when it must be. */
#include "mqtt/outbox.h"

#include "../check.h"

static struct tw__outbox box;
static struct tw__bytes out;

static int put(int qos, uint64_t id) {
  const struct tw__publish p = {.qos = qos, .topic = {"t", 1}, .payload = {"xyz", 3}};
  return tw__outbox_put(&box, &p, id);
}

/* What is sent now: "p1 p2+ r3 " -- PUBLISH mid (+: again), PUBREL. */
static const char *sent(int64_t peer) {
  static char text[4096];
  char *to = text;
  *to = '\0';
  for (;;) {
    out.len = 0;
    struct tw__item *item = tw__outbox_next(&box, 4, peer, &out);
    if (!item) return text;
    const int type = (unsigned char)out.at[0] >> 4;
    to += sprintf(to, "%c%u%s ", type == TW__PUBLISH ? 'p' : 'r', item->publish.mid,
                  out.at[0] & 8 ? "+" : "");
  }
}

static int acked(int type, unsigned mid, unsigned code) {
  out.len = 0;
  tw__outbox_acked(&box, type, mid, code, &out);
  return out.len ? (unsigned char)out.at[0] >> 4 : 0;
}

/* "1:0 2:135 " -- ids and errors. */
static const char *reports(void) {
  static char text[4096];
  char *to = text;
  *to = '\0';
  for (int n; (n = tw__outbox_reports(&box));)
    for (int i = 0; i < n; i++)
      to += sprintf(to, "%d:%d ", (int)box.taken[i].id, box.taken[i].error);
  return text;
}

static void once(void) {
  CHECK(put(1, 1) == TW_OK && put(2, 2) == TW_OK && put(0, 3) == TW_OK &&
        put(1, 4) == TW_OK);
  CHECK(put(1, 5) == TW_AGAIN); /* the window is 4 */
  CHECK(!strcmp(sent(1), "p1 "));
  CHECK(!strcmp(sent(1), ""));
  CHECK(!acked(TW__PUBACK, 1, 0) && !strcmp(reports(), "1:0 "));
  CHECK(!strcmp(sent(9), "p1 p0 p2 "));
  CHECK(acked(TW__PUBREC, 1, 0) == TW__PUBREL && !strcmp(reports(), ""));
  tw__outbox_written(&box, 0);
  CHECK(!strcmp(reports(), "3:0 "));
  CHECK(!acked(TW__PUBACK, 2, 0x87) && !strcmp(reports(), "4:135 "));
  CHECK(!acked(TW__PUBCOMP, 1, 0) && !strcmp(reports(), "2:0 ") && !box.pending);
  CHECK(!acked(TW__PUBACK, 1, 0) && !acked(TW__PUBCOMP, 99, 0));
  CHECK(acked(TW__PUBREC, 3, 0) == TW__PUBREL); /* of a session before ours */
}

static void again(void) {
  put(1, 1), put(2, 2), put(2, 3), put(0, 4);
  CHECK(!strcmp(sent(9), "p1 p2 p3 p0 "));
  acked(TW__PUBREC, 2, 0);
  tw__outbox_lost(&box);
  CHECK(!acked(TW__PUBACK, 1, 0)); /* not on this connection */
  CHECK(!strcmp(sent(9), "p1+ r2 p3+ p0 "));
  tw__outbox_lost(&box);
  tw__outbox_forget(&box);
  CHECK(!strcmp(sent(9), "p1 p2 p3 p0 "));
  tw__outbox_drop(&box);
  CHECK(!strcmp(reports(), "1:-1 2:-1 3:-1 4:-1 ") && !box.pending && !box.bytes);
  CHECK(put(1, 0) == TW_OK && *sent(9) &&
        !acked(TW__PUBACK,
               box.by_mid[1]   ? 1
               : box.by_mid[2] ? 2
               : box.by_mid[3] ? 3
                               : 4,
               0));
  CHECK(!strcmp(reports(), "")); /* nobody asked */
}

static void large(void) {
  static char payload[9 << 20];
  const struct tw__publish p = {
      .qos = 1, .topic = {"t", 1}, .payload = {payload, sizeof payload}};
  CHECK(tw__outbox_put(&box, &p, 1) == TW_OK && tw__outbox_put(&box, &p, 2) == TW_OK);
  CHECK(tw__outbox_put(&box, &p, 3) == TW_AGAIN);
  tw__outbox_drop(&box);
  reports();
}

/* Breakdowns at any time: every id is reported once. */
static void anything(void) {
  static int seen[2001];
  uint64_t next = 1;
  int done = 0;
  while (done < 2000) {
    if (next <= 2000 && put((int)check_below(3), next) == TW_OK) next++;
    sent(1 + check_below(4));
    for (unsigned mid = 1; mid <= 4; mid++) {
      struct tw__item *item = box.by_mid[mid];
      if (!item || check_below(2)) continue;
      const int qos = item->publish.qos;
      if (qos == 1) acked(TW__PUBACK, mid, 0);
      if (qos == 2) acked(check_below(2) ? TW__PUBREC : TW__PUBCOMP, mid, 0);
    }
    tw__outbox_written(&box, 0);
    if (check_below(20) == 0) tw__outbox_lost(&box);
    if (check_below(50) == 0) tw__outbox_lost(&box), tw__outbox_forget(&box);
    for (int n; (n = tw__outbox_reports(&box));)
      for (int i = 0; i < n; i++) {
        CHECK(box.taken[i].error == 0 && !seen[box.taken[i].id]++);
        done++;
      }
  }
  CHECK(!box.pending);
}

int main(int argc, char **argv) {
  check_open(argc, argv);
  CHECK(tw__outbox_init(&box, 4) == TW_OK);
  once();
  again();
  large();
  anything();
  for (int n = 1; n < 4; n++) {
    tw_mem_fail_at(n);
    const int rc = put(1, 1);
    CHECK(rc == TW_OK || rc == TW_ENOMEM);
    struct tw__outbox other = {0};
    CHECK(tw__outbox_init(&other, 10) != TW_OK || n > 2 || rc == TW_ENOMEM);
    tw_mem_fail_at(0);
    tw__outbox_fini(&other);
  }
  tw__outbox_fini(&box);
  tw__bytes_clear(&out);
  return check_close();
}
