/* worker -- Lua in threads of its own: fed, answering, failing, dying, told to go. */
#include <sys/resource.h>
#include <unistd.h>

#include "../check.h"
#include "tideway.h"

/* What the code of the specs begins with: parcels in, parcels out, in a task. */
static const char common[] =
    "local ffi, C = require 'ffi', require 'tideway.ffi'\n"
    "local tw, sched = require 'tideway', require 'tideway.sched'\n"
    "local address, number = ...\n"
    "local lane = ffi.cast('tw_lane *', ffi.cast('uintptr_t', tonumber(address)))\n"
    "assert(C.tw_lane_attach(lane, sched.loop()) == 0)\n"
    "local id = C.tw_lane_id(lane)\n"
    "local function receive()\n"
    "  while true do\n"
    "    local p = C.tw_lane_receive(lane)\n"
    "    if p ~= nil then return p end\n"
    "    if C.tw_lane_finished(lane) == 1 then return nil end\n"
    "    sched.wait(id)\n"
    "  end\n"
    "end\n"
    "local function send(p)\n"
    "  while C.tw_lane_send(lane, p) ~= 0 do sched.wait(id) end\n"
    "end\n";

static const char twice[] =
    "tw.spawn(function()\n"
    "  for p in receive do p.count = 2 * p.number; send(p) end\n"
    "end)\n";

static tw_loop *loop;

static tw_worker *start(const char *code) {
  char text[4096], error[256];
  snprintf(text, sizeof text, "%s%s", common, code);
  tw_worker *w = tw_worker_open(loop, text, "the spec", ".", 3, error, sizeof error);
  CHECKF(w, "%s", error);
  if (!w) exit(1);
  return w;
}

/* Any report will do: who waits asks again. */
static void wait_for_it(void) {
  uint32_t ready[8];
  const int n = tw_loop_poll(loop, 20000, ready, 8);
  CHECKF(n > 0, "a lost wake");
  if (n <= 0) exit(1);
}

static void send(tw_worker *w, int64_t number) {
  tw_parcel *p = tw_parcel_new(64);
  int status;
  p->number = number;
  while ((status = tw_worker_send(w, p)) == TW_AGAIN) wait_for_it();
  CHECK(status == TW_OK);
  if (status) tw_parcel_free(p);
}

static tw_parcel *receive(tw_worker *w) {
  for (;;) {
    const int ended = tw_worker_status(w) != TW_AGAIN;
    tw_parcel *p = tw_worker_receive(w);
    if (p || ended) return p;
    wait_for_it();
  }
}

/* Waits for its end, frees what it has sent; how many that were. */
static int64_t drain(tw_worker *w) {
  int64_t n = 0;
  for (tw_parcel *p; (p = receive(w)); n++) tw_parcel_free(p);
  return n;
}

static void is_doubled(tw_worker *w, int64_t number) {
  tw_parcel *p = receive(w);
  CHECKF(p, "%s", tw_worker_error(w));
  if (!p) exit(1);
  CHECK(p->number == number && p->count == (int32_t)(2 * number));
  tw_parcel_free(p);
}

static void answers_and_ends_in_order(void) {
  tw_worker *w = start(twice);
  CHECK(tw_worker_status(w) == TW_AGAIN && !tw_worker_error(w));
  for (int i = 0; i < 1000; i++) {
    send(w, i);
    is_doubled(w, i);
  }
  tw_worker_finish(w);
  CHECK(drain(w) == 0);
  CHECK(tw_worker_status(w) == TW_OK && !tw_worker_error(w));
  tw_parcel *p = tw_parcel_new(0);
  CHECK(tw_worker_send(w, p) == TW_EOF);
  tw_parcel_free(p);
  tw_worker_close(w);
}

static void takes_many_at_a_time(int64_t n) {
  tw_worker *w = start(twice);
  int64_t in = 0, out = 0;
  while (out < n) {
    if (in < n && in - out < TW_LANE_ROOM)
      send(w, in++);
    else
      is_doubled(w, out++);
  }
  CHECK(tw_worker_count(w) == 0);
  tw_worker_close(w);
}

static void is_told_its_number(void) {
  tw_worker *w =
      start("local p = C.tw_parcel_new(1); p.number = tonumber(number) send(p)");
  tw_parcel *p = receive(w);
  CHECK(p && p->number == 3);
  tw_parcel_free(p);
  drain(w);
  CHECK(tw_worker_status(w) == TW_OK);
  tw_worker_close(w);
}

/* What it dies of contains text. */
static void dies(tw_worker *w, const char *text) {
  drain(w);
  CHECK(tw_worker_status(w) == TW_EFAILED);
  const char *error = tw_worker_error(w);
  CHECKF(error && strstr(error, text), "%s", error);
  tw_worker_close(w);
}

static void says_what_it_died_of(void) {
  dies(start("error 'not today'"), "the spec:18: not today");
  dies(start("local ="), "the spec:18: ");
  dies(start("tw.spawn(function() error 'in a task' end)"), "in a task");
  dies(start("tw.spawn(function() return #(('x'):rep(1e6):rep(1e6)) end)"), "memory");
}

static void delivers_what_it_sent_before_it_died(void) {
  tw_worker *w = start("tw.spawn(function()\n"
                       "  while C.tw_lane_count(lane) < 100 do sched.turn() end\n"
                       "  for i = 1, 10 do send(receive()) end\n"
                       "  error 'enough'\n"
                       "end)\n");
  for (int i = 0; i < 100; i++) send(w, i);
  while (tw_worker_status(w) == TW_AGAIN) wait_for_it();
  for (int i = 0; i < 10; i++) {
    tw_parcel *p = tw_worker_receive(w);
    CHECK(p && p->number == i);
    tw_parcel_free(p);
  }
  CHECK(!tw_worker_receive(w));
  for (int i = 10; i < 100; i++) {
    tw_parcel *p = tw_worker_unread(w);
    CHECK(p && p->number == i);
    tw_parcel_free(p);
  }
  CHECK(!tw_worker_unread(w));
  dies(w, "enough");
}

/* Both rings are full when it dies, and when it is closed. */
static void dies_with_parcels_on_their_way(void) {
  tw_worker *w =
      start("for i = 1, C.TW_LANE_ROOM do send(C.tw_parcel_new(i)) end\n"
            "tw.spawn(function()\n"
            "  while C.tw_lane_count(lane) < C.TW_LANE_ROOM do sched.turn() end\n"
            "  error 'enough'\n"
            "end)\n");
  for (int i = 0; i < TW_LANE_ROOM; i++) send(w, i);
  tw_parcel *p = tw_parcel_new(0);
  while (tw_worker_status(w) == TW_AGAIN) usleep(1000);
  CHECK(tw_worker_send(w, p) == TW_EOF);
  tw_parcel_free(p);
  CHECK(tw_worker_status(w) == TW_EFAILED && tw_worker_count(w) == TW_LANE_ROOM);
  tw_worker_close(w);
}

/* At any moment of its life, with whatever is on its way. */
static void is_closed_in_the_middle(void) {
  for (int i = 0; i < (check_long ? 500 : 50); i++) {
    tw_worker *w = start(twice);
    if (check_below(2)) usleep((useconds_t)check_below(8000));
    for (int64_t n = check_below(2) ? check_below(TW_LANE_ROOM) : 0; n > 0; n--) {
      send(w, n);
      if (check_below(100) == 0) usleep((useconds_t)check_below(500));
      tw_parcel_free(tw_worker_receive(w));
    }
    if (check_below(2)) tw_worker_finish(w);
    tw_worker_close(w);
  }
}

/* Whichever allocation fails, of whichever of the threads. */
static void fails_without_memory(void) {
  char code[4096], error[256];
  snprintf(code, sizeof code, "%s%s", common, twice);
  int refused = 0, died = 0;
  for (int64_t n = 1, left = 0; left == 0; n++) {
    tw_loop_poll(loop, 0, NULL, 0); /* which frees the last one */
    const int64_t before = tw_mem_bytes();
    tw_mem_fail_at(n);
    tw_worker *w =
        tw_worker_open(loop, code, "the spec", ".", n & 1, error, sizeof error);
    if (w) {
      tw_worker_finish(w);
      drain(w);
      died += tw_worker_status(w) == TW_EFAILED;
      if (tw_worker_status(w) == TW_EFAILED)
        CHECKF(strstr(tw_worker_error(w), "memory"), "%s", tw_worker_error(w));
      left = tw_mem_fail_at(0);
      tw_worker_close(w);
    } else {
      CHECKF(strstr(error, "no memory"), "%s", error);
      left = tw_mem_fail_at(0);
      refused++;
    }
    tw_loop_poll(loop, 0, NULL, 0);
    CHECKF(tw_mem_bytes() == before, "%lld more", (long long)(tw_mem_bytes() - before));
  }
  CHECKF(refused >= 4 && died >= 2, "%d %d", refused, died);
}

static void fails_without_descriptors(void) {
  struct rlimit before, few;
  char error[256];
  const int unused = dup(0);
  close(unused);
  getrlimit(RLIMIT_NOFILE, &before);
  few = before;
  few.rlim_cur = (rlim_t)unused; /* none */
  setrlimit(RLIMIT_NOFILE, &few);
  CHECK(!tw_worker_open(loop, common, "the spec", ".", 1, error, sizeof error));
  CHECKF(strstr(error, "descriptors"), "%s", error);
  few.rlim_cur = (rlim_t)unused + 1; /* enough for the owner's end */
  setrlimit(RLIMIT_NOFILE, &few);
  tw_worker *w = start(twice);
  drain(w);
  CHECK(tw_worker_status(w) == TW_EFAILED && tw_worker_error(w));
  setrlimit(RLIMIT_NOFILE, &before);
  tw_worker_close(w);
}

static void goes_when_it_is_told(void) {
  tw_worker_close(start("")); /* while it is built, or has ended */
  tw_worker_close(start(twice));
  tw_worker_close(start("tw.spawn(function() tw.sleep(1000) end)"));
  tw_worker_close(start("tw.spawn(function() while true do sched.turn() end end)"));
  tw_worker *w = start(twice);
  for (int i = 0; i < 300; i++) send(w, i);
  tw_worker_close(w);
  tw_worker_close(NULL);
}

static void is_hungry_while_it_waits(void) {
  tw_worker *w = start(twice);
  while (!tw_worker_hungry(w)) usleep(100);
  send(w, 1);
  is_doubled(w, 1);
  while (!tw_worker_hungry(w)) usleep(100);
  tw_worker_close(w);
}

static void works_beside_others(void) {
  enum { WORKERS = 4, EACH = 5000 };
  tw_worker *w[WORKERS];
  int64_t in[WORKERS] = {0}, out[WORKERS] = {0};
  for (int k = 0; k < WORKERS; k++) w[k] = start(twice);
  for (int64_t left = WORKERS * EACH; left > 0;) {
    const int k = (int)check_below(WORKERS);
    if (out[k] == EACH) continue;
    if (in[k] < EACH && in[k] - out[k] < 50 && check_below(2)) {
      send(w[k], in[k]++);
    } else if (out[k] < in[k]) {
      is_doubled(w[k], out[k]++);
      left--;
    }
  }
  for (int k = 0; k < WORKERS; k++) tw_worker_close(w[k]);
}

static void is_closed_with_its_loop(void) {
  tw_worker *w = start(twice);
  send(w, 1);
  tw_loop_close(loop);
  loop = tw_loop_open();
}

/* A pipeline that is scattered among four workers: tables, texts, and frames that share their
 * columns and a dict which the file's reader goes on filling. */
static const char scattered[] =
    "local tw = require 'tideway'\n"
    "local path = ...\n"
    "local numbers, texts, rows = 0, 0, 0\n"
    "tw.from_range(1, 20000):scatter { workers = 4 }\n"
    "  :map(function(x) return x % 3 == 0 and { x } or ('%d'):format(x) end)\n"
    "  :gather():sink(function(v)\n"
    "    numbers = numbers + 1\n"
    "    texts = texts + (type(v) == 'table' and v[1] or tonumber(v))\n"
    "  end)\n"
    "tw.from_csv(path, { batch = 20 }):scatter { workers = 4 }\n"
    "  :map(function(f)\n"
    "    local kept = require 'tideway'.frame { name = { f.name[1], f.name[#f] } }\n"
    "    return { f, kept }\n"
    "  end):flatten():gather():sink(function(f)\n"
    "    rows = rows + #f\n"
    "    for i = 1, #f do assert(f.name[i]:find '^name%d+$') end\n"
    "  end)\n"
    "tw.spawn(function()\n"
    "  repeat tw.sleep(0.01)\n"
    "  until numbers == 20000 and texts == 20000 * 20001 / 2 and rows == 5000 + 2 * "
    "250\n"
    "end)\n";

static void carries_scattered_streams(void) {
  char path[] = "/tmp/tideway-worker-XXXXXX";
  FILE *file = fdopen(mkstemp(path), "w");
  fprintf(file, "name,x\n");
  for (int i = 0; i < 5000; i++) {
    /* new names all the time, known ones too */
    fprintf(file, "name%lld,%d\n", (long long)check_below(i + 1), i);
  }
  fclose(file);
  const char *const args[] = {path, NULL};
  int more = 1;
  tw_runtime *rt = tw_open(
      &(tw_options){.code = scattered, .name = "scattered", .root = ".", .args = args});
  CHECKF(!tw_error(rt), "%s", tw_error(rt));
  if (tw_error(rt)) exit(1);
  for (int i = 0; more > 0 && i < 10000; i++) more = tw_step(rt, 100);
  CHECKF(more == 0, "%s", more < 0 ? tw_error(rt) : "it has not come to its end");
  CHECK(tw_close(rt) == TW_OK);
  unlink(path);
}

static void refuses_what_cannot_be(void) {
  char error[64];
  CHECK(!tw_worker_open(NULL, "", "", ".", 0, error, sizeof error) && error[0]);
  CHECK(!tw_worker_open(loop, NULL, "", ".", 0, error, sizeof error) && error[0]);
  CHECK(!tw_worker_open(loop, NULL, "", ".", 0, NULL, 0));
}

int main(int argc, char **argv) {
  check_open(argc, argv);
  loop = tw_loop_open();
  answers_and_ends_in_order();
  takes_many_at_a_time(check_long ? 10000000 : 1000000);
  is_told_its_number();
  says_what_it_died_of();
  delivers_what_it_sent_before_it_died();
  dies_with_parcels_on_their_way();
  goes_when_it_is_told();
  is_closed_in_the_middle();
  fails_without_memory();
  fails_without_descriptors();
  is_hungry_while_it_waits();
  works_beside_others();
  is_closed_with_its_loop();
  for (int i = 0; i < (check_long ? 50 : 3); i++) carries_scattered_streams();
  refuses_what_cannot_be();
  tw_loop_close(loop);
  CHECKF(tw_mem_bytes() == 0, "%lld", (long long)tw_mem_bytes());
  return check_close();
}
