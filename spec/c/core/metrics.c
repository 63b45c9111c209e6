/* metrics -- threads write their sheets while another reads: rows are whole, numbers never go back. */
#include <math.h>
#include <pthread.h>

#include "../check.h"
#include "tideway.h"

enum { THREADS = 3, ROUNDS = 2000 };

static tw_metrics *metrics;
static int done;

static tw_metrics_row row_of(const char *name, const char *place, double n) {
  return (tw_metrics_row){
      .name = name, .kind = "map", .place = place, .values = {n, n, 0, NAN, NAN}};
}

/* Each round sets a value; every so often the rows are others. */
static void *count(void *arg) {
  tw_sheet *s = tw_sheet_open(metrics, *(int *)arg);
  for (int i = 0; i < ROUNDS; i++) {
    const double values[TW_METRICS] = {i, i, 0, NAN, NAN};
    if (i % 50 == 0) {
      tw_metrics_row rows[2] = {row_of("<a>", "a", i), row_of("<b: longer>", "b", i)};
      if (tw_sheet_rows(s, rows, 1 + i / 50 % 2) != TW_OK) return NULL;
    }
    tw_sheet_set(s, 0, values);
  }
  return NULL;
}

static void read_all(double *seen) {
  tw_metrics_row *rows;
  const int64_t n = tw_metrics_read(metrics, &rows);
  CHECK(n >= 0 && n <= 2 * THREADS);
  for (int64_t i = 0; i < n; i++) {
    const tw_metrics_row *r = &rows[i];
    CHECK(r->worker >= 1 && r->worker <= THREADS && !strcmp(r->kind, "map"));
    CHECK(!strcmp(r->name, "<a>") ? !strcmp(r->place, "a")
                                  : !strcmp(r->name, "<b: longer>"));
    CHECK(isnan(r->values[TW_METRIC_QUEUE]));
    if (strcmp(r->name, "<a>") != 0) continue;
    CHECKF(r->values[TW_METRIC_IN] >= seen[r->worker], "%g after %g",
           r->values[TW_METRIC_IN], seen[r->worker]);
    seen[r->worker] = r->values[TW_METRIC_IN];
  }
  tw_metrics_free(rows);
}

static void *watch(void *arg) {
  while (!__atomic_load_n(&done, __ATOMIC_ACQUIRE)) read_all(arg);
  return NULL;
}

int main(int argc, char **argv) {
  check_open(argc, argv);
  metrics = tw_metrics_open();
  CHECK(metrics && !tw_metrics_wanted(metrics));
  tw_metrics_want(metrics);
  CHECK(tw_metrics_wanted(metrics));

  double seen[THREADS + 1] = {0};
  pthread_t writers[THREADS], reader;
  int numbers[THREADS];
  pthread_create(&reader, NULL, watch, seen);
  for (int i = 0; i < THREADS; i++) {
    numbers[i] = i + 1;
    pthread_create(&writers[i], NULL, count, &numbers[i]);
  }
  for (int i = 0; i < THREADS; i++) pthread_join(writers[i], NULL);
  __atomic_store_n(&done, 1, __ATOMIC_RELEASE);
  pthread_join(reader, NULL);
  read_all(seen);
  for (int i = 1; i <= THREADS; i++) CHECK(seen[i] == ROUNDS - 1);

  tw_sheet *s = tw_sheet_open(metrics, 1);
  tw_metrics_row row = row_of("<c>", "c", 1), *rows;
  const int64_t before = tw_metrics_read(metrics, &rows);
  tw_metrics_free(rows);
  tw_mem_fail_at(1);
  CHECK(tw_sheet_rows(s, &row, 1) == TW_ENOMEM);
  tw_mem_fail_at(1);
  CHECK(tw_metrics_read(metrics, &rows) == TW_ENOMEM && !rows);
  tw_mem_fail_at(1);
  CHECK(!tw_sheet_open(metrics, 1));
  tw_mem_fail_at(0);
  CHECK(tw_metrics_read(metrics, &rows) == before);
  tw_metrics_free(rows);
  tw_metrics_close(metrics);
  tw_metrics_close(NULL);
  return check_close();
}
