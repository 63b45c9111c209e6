/* frame/share: frames go between threads that read, extend and rewrite them; each stays what
 * it was, and in the end nothing is left. To be run under ThreadSanitizer too (TSAN=1). */
#include <pthread.h>

#include "frame/dict.h"
#include "made.h"

enum { THREADS = 4, HELD = 8, INBOX = 16, STORE_MAX = 3000 };

/* ---- what a frame holds ---- */

static uint64_t mix(uint64_t sum, uint64_t x) {
  return (sum ^ x) * 0x9E3779B97F4A7C15ull + (sum >> 29);
}

/* A sum over all cells. */
static uint64_t sum_of(const tw_frame *frame) {
  uint64_t sum = (uint64_t)frame->rows;
  for (int k = 0; k < frame->columns; k++) {
    const tw_column *col = frame->column[k];
    for (int64_t i = 0; i < frame->rows; i++) {
      if (tw_column_is_null(col, i))
        sum = mix(sum, 77);
      else if (col->type == TW_COL_BOOL)
        sum = mix(sum, col->b[i]);
      else if (col->type != TW_COL_STRING)
        sum = mix(sum, (uint64_t)col->i64[i]);
      else {
        int64_t len;
        const char *text = tw_column_text(col, i, &len);
        for (int64_t j = 0; j < len; j++) sum = mix(sum, (unsigned char)text[j]);
      }
    }
  }
  return sum;
}

/* ---- threads ---- */

struct item {
  tw_frame *frame;
  uint64_t sum;
};

struct worker {
  pthread_t thread;
  uint64_t rng;
  int steps;
  const char *wrong; /* what failed first */
  pthread_mutex_t lock;
  struct item inbox[INBOX]; /* under the lock */
  int waiting;              /* likewise */

  struct item held[HELD];
  tw_dict *dict;         /* of the frames that are made */
  tw_frame_text *reader; /* of csv */
  tw_frame *store, *out, *result;
  tw_column *mask;
  tw_window *window;
  tw_group *group;
};

static struct worker workers[THREADS];
static int threads;

static int64_t below(struct worker *w, int64_t n) {
  w->rng ^= w->rng >> 12;
  w->rng ^= w->rng << 25;
  w->rng ^= w->rng >> 27;
  return (int64_t)(w->rng * 0x2545F4914F6CDD1Dull % (uint64_t)n);
}

static void expect(struct worker *w, int ok, const char *what) {
  if (!ok && !w->wrong) w->wrong = what;
}

static void hold(struct worker *w, tw_frame *frame, uint64_t sum) {
  struct item *item = &w->held[below(w, HELD)];
  tw_frame_release(item->frame);
  *item = (struct item){frame, sum};
}

/* The dict of the source is the one that its last column has come to. */
static void follow(struct worker *w, const tw_column *col) {
  if (w->dict == col->dict) return;
  tw_dict_release(w->dict);
  w->dict = tw_dict_retain(col->dict);
}

/* Of few names, or of many; from values or from text. */
static void make(struct worker *w) {
  char text[24 * 200];
  int64_t names = below(w, 2) ? 20 : 200000, rows = below(w, below(w, 4) ? 20 : 200);
  int64_t len = 0;
  if (w->dict->count > 5000) {
    tw_dict_release(w->dict);
    w->dict = tw_dict_new();
  }
  tw_frame *frame = tw_frame_new(2, 1);
  expect(w, !tw_column_renew(&frame->column[0], TW_COL_STRING, w->dict, 0), "renew");
  expect(w, !tw_column_renew(&frame->column[1], TW_COL_I64, NULL, 0), "renew");
  int as_text = below(w, 2) == 0;
  for (int64_t i = 0; i < rows; i++) {
    int64_t x = below(w, names);
    int n = snprintf(text + len, 24, "name%d,%d\n", (int)x, (int)i);
    if (as_text) {
      len += n;
      continue;
    }
    if (below(w, 10))
      tw_column_put_bytes(frame->column[0], text, strchr(text, ',') - text);
    else
      tw_column_put_null(frame->column[0]);
    tw_column_put_i64(frame->column[1], i);
  }
  if (as_text)
    expect(w, tw_frame_csv_read(w->reader, frame, text, len, 1, 1000) == len, "csv");
  else
    frame->rows = rows;
  follow(w, frame->column[0]);
  hold(w, frame, sum_of(frame));
}

/* To any of the threads, itself too. */
static void send(struct worker *w, struct item *item) {
  struct worker *to = &workers[below(w, threads)];
  tw_frame *sent = tw_frame_share(item->frame);
  expect(w, sent && sent->refs == 1, "share");
  pthread_mutex_lock(&to->lock);
  int full = to->waiting == INBOX;
  if (!full) to->inbox[to->waiting++] = (struct item){sent, item->sum};
  pthread_mutex_unlock(&to->lock);
  if (full) tw_frame_release(sent);
}

static void receive(struct worker *w) {
  struct item item = {NULL, 0};
  pthread_mutex_lock(&w->lock);
  if (w->waiting) item = w->inbox[--w->waiting];
  pthread_mutex_unlock(&w->lock);
  if (!item.frame) return;
  item.frame->schema = 1 + (int32_t)below(w, 5);
  hold(w, item.frame, item.sum);
}

static void read_strings(struct worker *w, const tw_frame *frame) {
  tw_column *col = frame->column[0];
  int64_t k = below(w, frame->rows), len;
  const char *text = tw_column_text(col, k, &len);
  if (!text) return;
  expect(w, tw_dict_find(col->dict, text, len) == (int64_t)col->code[k], "find");
  const uint32_t *rank = tw_dict_order(col->dict);
  expect(w, rank && rank[col->code[k]] < col->dict->count, "order");
  expect(w, !tw_mask_bytes(&w->mask, col, TW_EQ, text, len), "mask");
  expect(w, w->mask->b[k] == 1, "mask finds");
}

/* All groups together have the rows that came. */
static void count_groups(struct worker *w, const tw_frame *frame) {
  const int64_t before = tw_group_count(w->group);
  expect(w, !tw_group_add(w->group, frame, 0, frame->rows), "group");
  expect(w, tw_group_count(w->group) >= before, "groups stay");
  if (below(w, 4)) return;
  expect(w, !tw_group_result(w->group, &w->result, 3), "result");
  if (below(w, 2)) hold(w, tw_frame_retain(w->result), sum_of(w->result));
  if (tw_group_count(w->group) > 2000) tw_group_clear(w->group);
}

/* Rows of several frames, whose strings are of several dicts. */
static void store(struct worker *w, const tw_frame *frame) {
  expect(w, !tw_frame_append(&w->store, frame, 0, frame->rows), "append");
  if (w->store->rows < STORE_MAX && below(w, 8)) return;
  hold(w, w->store, sum_of(w->store));
  w->store = NULL;
}

/* Over what another held frame was, in place where nobody else has it. */
static void rewrite(struct worker *w, const tw_frame *frame) {
  int64_t first = below(w, frame->rows + 1);
  struct item *over = &w->held[below(w, HELD)];
  if (over->frame == frame) return;
  expect(w, !tw_frame_slice(&over->frame, frame, first, frame->rows - first), "slice");
  over->sum = sum_of(over->frame);
  const tw_frame *more = w->held[0].frame;
  if (more && more != over->frame && over->frame->rows < STORE_MAX) {
    expect(w, !tw_frame_append(&over->frame, more, 0, more->rows), "append");
    over->sum = sum_of(over->frame);
  }
}

/* The last rows of all frames, whose strings are first of one dict, then of several. */
static void move_window(struct worker *w, const tw_frame *frame) {
  expect(w, !tw_window_add(w->window, frame), "window");
  if (below(w, 4)) return;
  tw_frame *rows = NULL;
  expect(w, !tw_window_rows(w->window, &rows), "rows");
  hold(w, rows, sum_of(rows));
}

static void *work(void *arg) {
  struct worker *w = arg;
  for (int i = 0; i < w->steps; i++) {
    struct item *item = &w->held[below(w, HELD)];
    int64_t what = below(w, 13);
    if (what == 0 || !item->frame)
      make(w);
    else if (what <= 3)
      receive(w);
    else if (what <= 6)
      send(w, item);
    else if (what == 7 && item->frame->rows)
      read_strings(w, item->frame);
    else if (what == 8)
      count_groups(w, item->frame);
    else if (what == 9)
      store(w, item->frame);
    else if (what == 10)
      rewrite(w, item->frame);
    else if (what == 11)
      move_window(w, item->frame);
    else
      expect(w, sum_of(item->frame) == item->sum, "a frame has changed");
  }
  return NULL;
}

static void open_worker(struct worker *w) {
  const int32_t key = 0, col = 1, agg = TW_AGG_COUNT;
  *w = (struct worker){.rng = check_u64() | 1, .steps = check_long ? 200000 : 4000};
  pthread_mutex_init(&w->lock, NULL);
  w->dict = tw_dict_new();
  w->reader = tw_frame_csv_open(',');
  tw_frame_csv_field(w->reader, 0);
  tw_frame_csv_field(w->reader, 1);
  w->window = tw_window_open(100);
  w->group = tw_group_open(&key, 1, &col, &agg, 1, 0, 0);
}

static void close_worker(struct worker *w) {
  CHECKF(!w->wrong, "%s", w->wrong);
  for (int k = 0; k < w->waiting; k++) {
    CHECK(sum_of(w->inbox[k].frame) == w->inbox[k].sum);
    tw_frame_release(w->inbox[k].frame);
  }
  for (int k = 0; k < HELD; k++) {
    if (w->held[k].frame) CHECK(sum_of(w->held[k].frame) == w->held[k].sum);
    tw_frame_release(w->held[k].frame);
  }
  tw_frame_release(w->store), tw_frame_release(w->result);
  tw_column_release(w->mask);
  tw_window_close(w->window);
  tw_group_close(w->group);
  tw_frame_csv_close(w->reader);
  tw_dict_release(w->dict);
  pthread_mutex_destroy(&w->lock);
}

static void frames_stay_what_they_were(int count) {
  const int64_t before = tw_mem_bytes();
  threads = count;
  for (int k = 0; k < count; k++) open_worker(&workers[k]);
  for (int k = 0; k < count; k++)
    CHECK(!pthread_create(&workers[k].thread, NULL, work, &workers[k]));
  for (int k = 0; k < count; k++) pthread_join(workers[k].thread, NULL);
  for (int k = 0; k < count; k++) close_worker(&workers[k]);
  CHECK(tw_mem_bytes() == before);
}

/* ---- one frame ---- */

static void shares_columns_and_freezes_dicts(void) {
  tw_frame *frame = made_frame(50, 10, NULL), *other = tw_frame_share(frame);
  tw_dict *dict = frame->column[3]->dict;
  CHECK(other->refs == 1 && other->schema == 0 && other->rows == 50);
  for (int k = 0; k < 5; k++) CHECK(other->column[k] == frame->column[k]);
  CHECK(dict->frozen);

  /* who adds a string goes on with a copy */
  tw_column *col = tw_column_new(TW_COL_STRING, 0, dict);
  CHECK(tw_column_code(col, dict->bytes, dict->start[1]) == 0 && col->dict == dict);
  CHECK(tw_dict_add(dict, "new", 3) == TW_EINVAL);
  int64_t count = dict->count, fresh = tw_column_code(col, "new", 3);
  CHECK(fresh == count && col->dict != dict && dict->count == count);
  for (int64_t k = 0; k < count; k++)
    CHECK(tw_dict_find(col->dict, dict->bytes + dict->start[k],
                       dict->start[k + 1] - dict->start[k]) == k);
  CHECK(tw_column_code(col, "newer", 5) == fresh + 1 && !col->dict->frozen);

  tw_frame_release(frame);
  CHECK(tw_frame_whole(other));
  tw_frame_release(other);
  tw_column_release(col);
}

/* Of a large dict that still grows, frames with a few rows get what they need. */
static void copies_few_strings_of_many(void) {
  tw_column *col = tw_column_new(TW_COL_STRING, 0, NULL), *few = NULL;
  char text[16];
  for (int i = 0; i < 5000; i++)
    tw_column_put_bytes(col, text, snprintf(text, sizeof text, "n%d", i));
  CHECK(!tw_column_slice(&few, col, 4000, 3));
  tw_frame *frame = tw_frame_new(1, 1);
  tw_frame_take(frame, 0, few);
  tw_frame *other = tw_frame_share(frame);
  CHECK(!col->dict->frozen && other->column[0]->dict->count == 3);
  CHECK(other->column[0]->dict->frozen && tw_frame_equal(frame, other));
  tw_frame_release(other);
  int sent = 1; /* but when many have been sent, the dict */
  for (; !col->dict->frozen && sent < 1000; sent++)
    tw_frame_release(tw_frame_share(frame));
  CHECKF(sent > 10 && sent < 100, "%d frames", sent);
  other = tw_frame_share(frame);
  CHECK(other->column[0] == few);
  tw_frame_release(other), tw_frame_release(frame);
  tw_column_release(col);
}

/* A source whose rows are nearly all of new strings is told to begin anew with each frame. */
static void tells_who_always_has_new_strings(void) {
  for (int distinct = 2000; distinct <= 200000; distinct *= 100) {
    tw_column *col = tw_column_new(TW_COL_STRING, 10000, NULL);
    char text[16];
    for (int i = 0; i < 10000; i++)
      tw_column_put_bytes(
          col, text, snprintf(text, sizeof text, "n%d", (int)check_below(distinct)));
    tw_frame *frame = tw_frame_new(1, 1);
    tw_frame_take(frame, 0, col);
    tw_frame_release(tw_frame_share(frame));
    CHECK(col->dict->frozen == (distinct > 2000 ? 2 : 1));
    tw_dict *dict = tw_dict_retain(col->dict);
    CHECK(!tw_column_renew(&frame->column[0], TW_COL_STRING, NULL, 10000));
    CHECK((frame->column[0]->dict == dict) == (distinct == 2000));
    tw_dict_release(dict);
    tw_frame_release(frame);
  }
}

static void has_an_end_for_memory(void) {
  for (int large = 0; large < 2; large++) {
    tw_frame *frame = made_frame(20, 10, NULL), *other = NULL;
    char text[16];
    for (int i = 0; large && i < 5000; i++)
      tw_dict_add(frame->column[3]->dict, text, snprintf(text, sizeof text, "n%d", i));
    int64_t before = tw_mem_bytes();
    int n = 0;
    while (!other) {
      tw_mem_fail_at(++n);
      other = tw_frame_share(frame);
      tw_mem_fail_at(0);
      if (!other) CHECK(tw_mem_bytes() == before);
    }
    CHECK(large ? n > 4 : n == 2);
    tw_frame_release(other);
    tw_frame_release(frame);
  }
}

int main(int argc, char **argv) {
  check_open(argc, argv);
  shares_columns_and_freezes_dicts();
  copies_few_strings_of_many();
  tells_who_always_has_new_strings();
  has_an_end_for_memory();
  for (int count = 2; count <= THREADS; count++) frames_stay_what_they_were(count);
  return check_close();
}
