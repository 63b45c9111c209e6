/* metrics.c -- what the graphs of several threads have counted, for any thread to read.
 *
 * Each thread has a sheet: a row of numbers for each node of its graph. The numbers are set one by
 * one, relaxed, without the lock; rows come and go under it, and whoever reads copies under it.
 */
#include <pthread.h>
#include <string.h>

#include "core/mem.h"
#include "tideway.h"

struct tw_sheet {
  tw_sheet *next;
  tw_metrics *metrics;
  int worker;
  int64_t count;
  tw_metrics_row *rows; /* one block, their texts behind them */
};

struct tw_metrics {
  pthread_mutex_t lock;
  int wanted;
  tw_sheet *first, *last;
};

tw_metrics *tw_metrics_open(void) {
  tw_metrics *m = tw__calloc(1, sizeof *m);
  if (!m) return NULL;
  pthread_mutex_init(&m->lock, NULL);
  return m;
}

void tw_metrics_close(tw_metrics *m) {
  if (!m) return;
  for (tw_sheet *s = m->first, *next; s; s = next) {
    next = s->next;
    tw__free(s->rows);
    tw__free(s);
  }
  pthread_mutex_destroy(&m->lock);
  tw__free(m);
}

void tw_metrics_want(tw_metrics *m) {
  __atomic_store_n(&m->wanted, 1, __ATOMIC_RELAXED);
}

int tw_metrics_wanted(const tw_metrics *m) {
  return __atomic_load_n(&m->wanted, __ATOMIC_RELAXED);
}

tw_sheet *tw_sheet_open(tw_metrics *m, int worker) {
  tw_sheet *s = tw__calloc(1, sizeof *s);
  if (!s) return NULL;
  s->metrics = m;
  s->worker = worker;
  pthread_mutex_lock(&m->lock);
  if (m->last) {
    m->last->next = s;
  } else {
    m->first = s;
  }
  m->last = s;
  pthread_mutex_unlock(&m->lock);
  return s;
}

static size_t text_size(const tw_metrics_row *rows, int64_t n) {
  size_t size = 0;
  for (int64_t i = 0; i < n; i++)
    size += strlen(rows[i].name) + strlen(rows[i].kind) + strlen(rows[i].place) + 3;
  return size;
}

/* Copy a text to *at, which moves on. */
static const char *put(char **at, const char *text) {
  const size_t size = strlen(text) + 1;
  char *copy = memcpy(*at, text, size);
  *at += size;
  return copy;
}

/* Copy n rows; their texts go to *at. */
static void copy_rows(tw_metrics_row *to, const tw_metrics_row *from, int64_t n,
                      char **at) {
  for (int64_t i = 0; i < n; i++) {
    to[i].name = put(at, from[i].name);
    to[i].kind = put(at, from[i].kind);
    to[i].place = put(at, from[i].place);
    to[i].worker = from[i].worker;
    for (int k = 0; k < TW_METRICS; k++)
      __atomic_load(&from[i].values[k], &to[i].values[k], __ATOMIC_RELAXED);
  }
}

int tw_sheet_rows(tw_sheet *s, const tw_metrics_row *rows, int64_t n) {
  tw_metrics_row *copy =
      tw__calloc(1, (size_t)n * sizeof *copy + text_size(rows, n) + 1);
  if (!copy) return TW_ENOMEM;
  char *at = (char *)(copy + n);
  copy_rows(copy, rows, n, &at);
  for (int64_t i = 0; i < n; i++) copy[i].worker = s->worker;
  pthread_mutex_lock(&s->metrics->lock);
  tw_metrics_row *before = s->rows;
  s->rows = copy;
  s->count = n;
  pthread_mutex_unlock(&s->metrics->lock);
  tw__free(before);
  return TW_OK;
}

void tw_sheet_set(tw_sheet *s, int64_t row, const double *values) {
  for (int k = 0; k < TW_METRICS; k++)
    __atomic_store(&s->rows[row].values[k], (double *)&values[k], __ATOMIC_RELAXED);
}

int64_t tw_metrics_read(tw_metrics *m, tw_metrics_row **rows) {
  pthread_mutex_lock(&m->lock);
  int64_t n = 0;
  size_t size = 1;
  for (const tw_sheet *s = m->first; s; s = s->next) {
    n += s->count;
    size += text_size(s->rows, s->count);
  }
  tw_metrics_row *all = tw__calloc(1, (size_t)n * sizeof *all + size);
  if (all) {
    char *at = (char *)(all + n);
    tw_metrics_row *to = all;
    for (const tw_sheet *s = m->first; s; s = s->next) {
      copy_rows(to, s->rows, s->count, &at);
      to += s->count;
    }
  }
  pthread_mutex_unlock(&m->lock);
  *rows = all;
  return all ? n : TW_ENOMEM;
}

void tw_metrics_free(tw_metrics_row *rows) {
  tw__free(rows);
}
