/* ws.h -- what the files of this folder share.
 *
 *     link       bytes over a socket, plain or TLS
 *     shake      the HTTP request and answer with which a connection begins
 *     frame      a frame as it is sent, shared by all who get it
 *     conn       one connection: shake, then wslay reads frames, a queue of frames goes out
 *     server     listens, keeps the connections, sends to all of them
 *     client     connects, keeps what has not been confirmed
 */
#ifndef TIDEWAY_WS_WS_H
#define TIDEWAY_WS_WS_H

#include <llhttp.h>
#include <openssl/ssl.h>
#include <uv.h>
#include <wslay/wslay.h>

#include "core/bytes.h"
#include "loop/loop.h"

enum { TW__WS_TEXT = 1, TW__WS_BINARY = 2, TW__WS_CLOSE = 8, TW__WS_PING = 9 };

/* ---- frames (frame.c) --------------------------------------------------------- */

typedef struct tw__ws_frame {
  int64_t len; /* with its header */
  int refs;
  int control;
  char bytes[];
} tw__ws_frame;

/* A whole message, or a control frame of up to 125 bytes, as one frame with one reference.
 * masked  as clients have to. NULL: no memory. */
tw__ws_frame *tw__ws_frame_make(int opcode, const void *payload, int64_t len,
                                int masked);

/* Frames that are bytes already, complete ones. */
tw__ws_frame *tw__ws_frame_copy(const void *bytes, int64_t len);
void tw__ws_frame_unref(tw__ws_frame *frame);

/* Four bytes that nobody can foretell. */
void tw__ws_mask(uint8_t key[4]);

/* A first-in-first-out ring of frames; each holds a reference. */
typedef struct tw__ws_ring {
  tw__ws_frame **frames;
  uint64_t mask, head, tail; /* slots - 1; ever taken out, ever put in */
  int64_t bytes;
} tw__ws_ring;

/* Takes a reference of its own. TW_OK or TW_ENOMEM. */
int tw__ws_ring_push(tw__ws_ring *ring, tw__ws_frame *frame);
void tw__ws_ring_pop(tw__ws_ring *ring); /* the oldest */
void tw__ws_ring_clear(tw__ws_ring *ring);

/* ---- links (link.c) ------------------------------------------------------------ */

typedef struct tw__ws_link {
  int fd;
  SSL *ssl;        /* NULL: plain */
  int wants_write; /* TLS cannot go on reading, or shaking hands, before it has written */
} tw__ws_link;

/* How many bytes; 0: the other side has closed; TW_AGAIN; TW_EIO. */
int64_t tw__ws_link_recv(tw__ws_link *link, void *to, int64_t room);

/* How many bytes, from 1; TW_AGAIN; TW_EIO. */
int64_t tw__ws_link_send(tw__ws_link *link, const void *bytes, int64_t len);

/* TLS on a connected socket; host: whose certificate it must be, NULL: we are the server.
 * TW_OK or TW_ENOMEM; then tw__ws_link_secure until it is neither TW_AGAIN nor TW_EIO. */
int tw__ws_link_tls(tw__ws_link *link, SSL_CTX *ctx, const char *host, int verify);
int tw__ws_link_secure(tw__ws_link *link, char *error, int64_t size);

void tw__ws_link_finish(tw__ws_link *link); /* no more will be sent */
void tw__ws_link_close(tw__ws_link *link);

/* The settings of TLS that options ask for; NULL and the reason in error. */
SSL_CTX *tw__ws_link_context(const tw_ws_options *options, int server, char *error,
                             int64_t size);

/* ---- handshakes (shake.c) -------------------------------------------------------- */

enum { TW__WS_KEY = 25, TW__WS_ACCEPT = 29 };

typedef struct tw__ws_shake tw__ws_shake;
struct tw__ws_shake {
  llhttp_t parser;
  llhttp_settings_t settings;
  struct tw__bytes
      head; /* target 0 name 0 value 0 name 0 value 0 ...; names in small letters */
  int64_t name_at, size;
  int done, status; /* status: with which a request is refused */
  char key[TW__WS_KEY];
  char peer[96];      /* "IP port N" of the other side */
  tw__ws_shake *next; /* of those that messages refer to still */
};

tw__ws_shake *tw__ws_shake_open(int server);
void tw__ws_shake_close(tw__ws_shake *shake);

/* Take bytes of the head in. Returns how many belong to it, all until shake->done; TW_EPARSE: it is
 * malformed or too long. */
int64_t tw__ws_shake_read(tw__ws_shake *shake, const char *bytes, int64_t len);

/* A field's value, "" when there is none; the target of a request. Views. */
const char *tw__ws_shake_field(const tw__ws_shake *shake, const char *name);
const char *tw__ws_shake_target(const tw__ws_shake *shake);

/* The answer to a complete request: it is accepted (TW_OK) or not (TW_EPARSE). */
int tw__ws_shake_answer(tw__ws_shake *shake, const tw_ws_options *options,
                        struct tw__bytes *answer);

/* The answer to a request that cannot be read. */
int tw__ws_shake_refuse(int status, struct tw__bytes *answer);

/* A client's request; and whether a complete answer accepts it: TW_OK, or TW_EPARSE and the reason in
 * error. */
int tw__ws_shake_request(tw__ws_shake *shake, const tw_ws_options *options,
                         struct tw__bytes *request);
int tw__ws_shake_check(const tw__ws_shake *shake, const tw_ws_options *options,
                       char *error, int64_t size);

/* What answers a key (RFC 6455, 4.2.2). */
void tw__ws_shake_accept(const char *key, char accept[TW__WS_ACCEPT]);

/* ---- connections (conn.c) ---------------------------------------------------------- */

enum tw__ws_state {
  TW__WS_DIALING,
  TW__WS_SECURING,
  TW__WS_SHAKING,
  TW__WS_OPEN,
  TW__WS_CLOSING,
  TW__WS_GONE
};

typedef struct tw__ws_conn tw__ws_conn;
struct tw__ws_conn {
  uv_poll_t poll; /* first */
  tw_ws *ws;
  tw__ws_conn *prev, *next, *next_ready;
  enum tw__ws_state state;
  int events; /* that are polled for */
  /* ms; our own pauses are not counted, but in `closing` */
  int64_t since;   /* when the state began, or last had progress */
  int64_t closing; /* when it began to be closed */
  int64_t heard;   /* when it last said something */
  int64_t slow;    /* since when it has had too much to take; 0: it has not */
  int64_t left;    /* once the owner has stopped: bytes that had come by then */
  double id;       /* 1, 2, ... */
  tw__ws_link link;
  tw__ws_shake *shake;
  wslay_event_context_ptr wslay;
  struct tw__bytes early; /* what came behind the handshake */
  int64_t early_at;
  struct tw__bytes control; /* what wslay sends */
  struct tw__bytes partial; /* of the message that comes */
  tw__ws_ring out;
  int64_t sent;    /* of the oldest frame */
  int64_t answers; /* bytes of control frames in out */
  int frame;       /* the opcode of what comes */
  int code;        /* the other side's close code; 1006: none */
  int ours;        /* our close code; 0: none */
  char queued, drained, eof, broken, pinged, finished, dirty, refused, counted, stuffed,
      again;
  char reason[124];
};

enum { TW__WS_BATCH = 1024, TW__WS_MOST = TW__WS_BATCH + 4096 };

struct tw_ws {
  tw__handle handle; /* first */
  tw_ws_options options;
  char *texts; /* the options' */
  int server;
  SSL_CTX *tls;
  uv_timer_t timer;
  uv_prepare_t flush;
  int64_t ticked, period; /* ms: when it was last looked at the time; how often it is */
  int ticking, dirty, stopping, closing, pending;
  tw__ws_conn *first, *ready, *last_ready;
  int64_t conns, open, held, slow;
  double last_id;
  int64_t count[TW_WS_COUNTS];
  /* what has been read */
  tw_ws_message batch[TW__WS_MOST];
  struct tw__bytes arena;
  int messages;
  int64_t batch_bytes, turn; /* turn: bytes that the connection at hand was read */
  char *taken[TW__WS_MOST];  /* messages with memory of their own */
  int takings;
  tw__ws_shake *shakes; /* of connections that have gone since */
  char trouble[288];    /* the first since the last tw_ws_trouble, of so many */
  int troubles;
  char error[256]; /* why there is no connection */
  /* a server */
  uv_poll_t listener;
  int fd, port, listening, accepting;
  /* a client */
  tw__ws_conn *conn;
  uv_getaddrinfo_t lookup;
  struct addrinfo *addresses, *next_address;
  int looking, code, status;
  char reason[124];
  tw__ws_ring kept; /* not confirmed */
  uint64_t asked;   /* what the last ping asks for: kept.tail at that time */
  char scratch[64 << 10];
};

int64_t tw__ws_now(const tw_ws *ws);

/* A new connection on fd, taken; NULL: no memory. */
tw__ws_conn *tw__ws_conn_open(tw_ws *ws, int fd);

/* At once, in any state. */
void tw__ws_conn_drop(tw__ws_conn *conn);

/* The socket is connected: the handshakes begin. */
void tw__ws_conn_begin(tw__ws_conn *conn);

/* Send a frame, after what is queued. Returns TW_OK or TW_ENOMEM. */
int tw__ws_conn_push(tw__ws_conn *conn, tw__ws_frame *frame);

/* It waits for room in the socket. */
int tw__ws_conn_stuck(const tw__ws_conn *conn);

/* Have the operating system take what it takes. The connection may be gone then. */
void tw__ws_conn_flush(tw__ws_conn *conn);

/* Close an open one in order, after what is queued. */
void tw__ws_conn_close(tw__ws_conn *conn, int code, const char *reason);

/* Read what there is into the owner's batch, which may become full. The connection may be
 * gone then. */
void tw__ws_conn_read(tw__ws_conn *conn);

/* There may be something to read. The connection may be gone then. */
void tw__ws_conn_readable(tw__ws_conn *conn);

/* Poll for what it waits for. */
void tw__ws_conn_watch(tw__ws_conn *conn);

/* Time has passed. The connection may be gone then. */
void tw__ws_conn_tick(tw__ws_conn *conn, int64_t now);

/* What went wrong with a connection, for tw_ws_trouble; which: a count, or -1. */
void tw__ws_trouble(tw__ws_conn *conn, int which, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* ---- endpoints ------------------------------------------------------------------------ */

/* ws.c: a new one without connections; NULL: no memory. */
tw_ws *tw__ws_open(tw_loop *loop, const tw_ws_options *options, int server);

/* A uv handle has been closed. */
void tw__ws_settled(tw_ws *ws);

/* Something is to be done now and then, or before the loop next waits. */
void tw__ws_tick(tw_ws *ws);
void tw__ws_dirty(tw_ws *ws);

/* server.c */
void tw__ws_server_accept(tw_ws *ws); /* again, there is room */
void tw__ws_server_close(tw_ws *ws);

/* client.c: what its connection tells it */
void tw__ws_client_opened(tw_ws *ws);
void tw__ws_client_confirmed(tw_ws *ws, const uint8_t *payload, int64_t len);
void tw__ws_client_lost(tw_ws *ws, const char *why);
void tw__ws_client_ask(tw_ws *ws);
void tw__ws_client_close(tw_ws *ws);

#endif
