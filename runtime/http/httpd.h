/* httpd.h -- what the files of the HTTP server share.
 *
 *     server     listens, keeps the connections and their patience, hands requests out
 *     request    what a client sends becomes a request
 *     answer     what it is told, and how its connection goes on
 */
#ifndef TIDEWAY_HTTP_HTTPD_H
#define TIDEWAY_HTTP_HTTPD_H

#include <llhttp.h>
#include <time.h>
#include <uv.h>

#include "core/bytes.h"
#include "http/tls.h"
#include "loop/loop.h"
#include "loop/unix.h"

enum {
  TW__HTTPD_INPUT = 64 << 10,
  TW__HTTPD_PLAIN = 16 << 10, /* the most that a TLS record has */
  TW__HTTPD_BATCH = 64
};

enum tw__httpd_state {
  TW__HTTPD_SHAKING,
  TW__HTTPD_IDLE,
  TW__HTTPD_READING,
  TW__HTTPD_QUEUED,
  TW__HTTPD_HELD,
  TW__HTTPD_WRITING,
  TW__HTTPD_LINGERING,
  TW__HTTPD_GONE,
  TW__HTTPD_STATES
};

/* A TCP port or connection, or that of a Unix socket. */
typedef union tw__httpd_stream {
  uv_tcp_t tcp;
  uv_pipe_t pipe;
  uv_stream_t any;
  uv_handle_t handle;
} tw__httpd_stream;

typedef struct tw__httpd_conn tw__httpd_conn;

struct tw__httpd_conn {
  tw__httpd_stream stream; /* first */
  tw_httpd *server;
  tw__tls_session *tls;          /* NULL: plain */
  tw__httpd_conn *prev, *next;   /* the list of its state */
  tw__httpd_conn *older, *newer; /* requests that wait for their answer */
  /* not read because of what others sent */
  tw__httpd_conn *prev_stalled, *next_stalled;
  enum tw__httpd_state state;
  uint32_t slot;
  uint32_t place; /* in the batch of this round, when it is in that */
  uint64_t round;
  uint64_t serial; /* of its request */
  int64_t since;   /* ms: when the state began, or last had progress */
  /* when the request was complete, on the owner's clock; < 0: not yet told */
  double stamp;
  llhttp_t parser;
  struct tw__bytes head; /* target 0 name 0 value 0 name 0 value 0 ... */
  struct tw__bytes body;
  struct tw__bytes rest; /* what came behind the request */
  int64_t target_len, lingered;
  int64_t body_len; /* that has come, also in pieces before this one */
  size_t unsent;    /* of the answer, when last looked at */
  uv_write_t write;
  char *out;
  uint8_t reading, eof, keep_alive, is_head, expects, hosts, name_is, stalled, taken;
  uint8_t more; /* it is a piece of a body that goes on */
  uint8_t told; /* target and headers went out with a piece before */
  int refuse;   /* the status with which the request is refused */
  char peer[INET6_ADDRSTRLEN];
};

typedef struct tw__httpd_list {
  tw__httpd_conn *first, *last;
  int64_t patience; /* ms; 0: for ever */
} tw__httpd_list;

struct tw_httpd {
  tw__handle handle; /* first */
  tw__httpd_stream listener;
  tw__unix place;
  uv_timer_t timer;
  int64_t armed;  /* when the timer fires, ms; 0: it does not */
  int64_t judged; /* when time was up for somebody, ms; 0: it is not */
  llhttp_settings_t settings;
  tw_httpd_options options;
  tw__httpd_list list[TW__HTTPD_STATES];
  tw__httpd_conn *oldest, *newest; /* complete requests in order, queued or held */
  tw__httpd_conn *next_out;        /* the oldest of them that has not been handed out */
  tw__httpd_conn *stalled, *last_stalled;
  tw__httpd_conn *favoured; /* is read although there is too much already */
  tw__httpd_conn **slot;
  uint32_t slots, *spare, spares;
  uint64_t serial, round; /* of the last request; of the last batch */
  int64_t conns, held_bytes, partial_bytes;
  int64_t count[TW_HTTPD_COUNTS];
  int is_unix, paused, listening, stopping, closing, unaccepted, pending;
  time_t date_of;
  char date[64];
  char plain_ok[128]; /* the usual answer, whole */
  int plain_ok_len;
  tw_httpd_request batch[TW__HTTPD_BATCH];
  char input[TW__HTTPD_INPUT];
  char plain[TW__HTTPD_PLAIN]; /* what TLS makes of it */
};

/* Memory that the request takes. */
static inline int64_t tw__httpd_size_of(const tw__httpd_conn *conn) {
  return conn->head.room + conn->body.room;
}

/* ---- connections (server.c) ------------------------------------------------- */

/* It is in another state from now on, or the same once more: its patience begins anew. */
void tw__httpd_become(tw__httpd_conn *conn, enum tw__httpd_state state);

/* Read what it sends, when it may be read; that it has ended, or why. */
void tw__httpd_start_reading(tw__httpd_conn *conn);
void tw__httpd_ended(tw__httpd_conn *conn, ssize_t status);

/* Its request, or a piece of one, can be handed out. What was handed out is done with. Its answer is
 * known, or it has gone. */
void tw__httpd_enqueue(tw__httpd_conn *conn);
void tw__httpd_leave_line(tw__httpd_conn *conn);
void tw__httpd_dequeue(tw__httpd_conn *conn);

/* Its request is complete, or refused, or it has gone: another one may be read past the limit. */
void tw__httpd_unfavour(tw__httpd_conn *conn);

/* There is less held now, or more: who may be read again is. */
void tw__httpd_hold_back(tw_httpd *server);

/* Close it. It may be gone already. */
void tw__httpd_drop(tw__httpd_conn *conn);

/* ---- requests (request.c) ---------------------------------------------------- */

/* Those that parse calls. */
void tw__httpd_set_callbacks(llhttp_settings_t *settings);

/* Read on in its request; afterwards it may be queued, answered or gone. */
void tw__httpd_parse(tw__httpd_conn *conn, const char *bytes, size_t len);

/* ---- answers (answer.c) -------------------------------------------------------- */

/* head   lines of further headers, each ended by CR LF; body as long as the client is told,
 * which is left out for HEAD. The connection may be gone afterwards. */
void tw__httpd_answer(tw__httpd_conn *conn, int status, const char *head,
                      int64_t head_len, const char *body, int64_t body_len);

/* Answers of our own: 503 and when to try again; why a request is refused, of which what still comes
 * is thrown away. */
void tw__httpd_answer_late(tw__httpd_conn *conn);
void tw__httpd_refuse(tw__httpd_conn *conn, int status);

/* The piece of a body that was handed out is done with: the next one may come. */
void tw__httpd_next_piece(tw__httpd_conn *conn);

/* Send a line between request and answer; what TLS itself has to say; its last words. TW_OK or a
 * status. */
int tw__httpd_interject(tw__httpd_conn *conn, const char *bytes, size_t len);
int tw__httpd_flush(tw__httpd_conn *conn);
void tw__httpd_goodbye(tw__httpd_conn *conn);

#endif
