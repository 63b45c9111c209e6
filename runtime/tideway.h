/* tideway.h -- the public API of libtideway.
 *
 * Everything between "cdef: begin" and "cdef: end" is also what LuaJIT reads: a make
 * rule copies that text, without comments, into the generated module tideway.cdef. So there:
 * no macros, no static functions, no function-pointer types, enums instead of #define.
 * What stands behind "cdef: part NAME" is read when a module declares that part (tideway.declare);
 * part core is always there.
 *
 * Contracts stand above the prototypes and nowhere else. Ownership words: borrowed (the
 * default for parameters), taken, new, view (valid until). A function that returns int
 * gives >= 0 (a count, or 0) or a TW_E* status; after a failure nothing has changed.
 * Handles belong to the thread that opened them.
 */
#ifndef TIDEWAY_H
#define TIDEWAY_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#pragma GCC visibility push(default)

/* cdef: begin */
/* cdef: part core */

/* ---- version and status ------------------------------------------------ */

enum { TW_ABI = 1 };

enum tw_status {
  TW_OK = 0,
  TW_EINVAL = -1,   /* an argument is out of range */
  TW_ENOMEM = -2,   /* no memory */
  TW_ETYPE = -3,    /* a value of the wrong type */
  TW_EOF = -4,      /* the end has been reached */
  TW_AGAIN = -5,    /* nothing now, later perhaps */
  TW_EPARSE = -6,   /* the text is not what it should be */
  TW_EIO = -7,      /* the operating system refused */
  TW_ECORRUPT = -8, /* the bytes are damaged */
  TW_EFAILED = -9   /* a function has raised an error */
};

/* The ABI number of the loaded library; differs from TW_ABI when the Lua modules and
 * the library come from different builds. Any thread. */
int tw_abi(void);

/* The name of a status ("TW_ENOMEM"), static. Any thread. */
const char *tw_status_name(int status);

/* ---- values ------------------------------------------------------------ */

/* Type of a held element. ORDER TW_TYPE (lua/tideway/hold.lua) */
enum tw_type {
  TW_NIL = 0,
  TW_NUM = 1,   /* as double */
  TW_BOOL = 2,  /* u64: 0 or 1 */
  TW_NULL = 3,  /* tideway's null */
  TW_I64 = 4,   /* int64_t cdata */
  TW_U64 = 5,   /* uint64_t cdata */
  TW_BYTES = 6, /* bytes and len */
  TW_REF = 7    /* any other Lua value: u64 is its id in the holder's anchor table */
};

typedef struct tw_value {
  union {
    double num;
    int64_t i64;
    uint64_t u64;
    const char *bytes;
  };
  uint32_t len;  /* bytes */
  uint32_t type; /* enum tw_type */
} tw_value;

/* ---- memory (core/mem.c) ------------------------------------------------ */

/* Bytes of native memory that tideway has in use in the whole process, as the allocator
 * rounds them; neither what libuv and libzstd ask for themselves is among them, nor what the
 * calling thread keeps to use again (core/pool.h). Any thread. */
int64_t tw_mem_bytes(void);

/* Make the n-th allocation from now fail, once; 0: none. For specs.
 * Returns what was left of the number given before: 0 when that one has failed. Any
 * thread. */
int64_t tw_mem_fail_at(int64_t n);

/* ---- clock (core/clock.c) ------------------------------------------------ */

/* Seconds since some fixed moment, never going back. About 20 ns. Any thread. */
double tw_clock_seconds(void);

/* ---- queue (op/queue.c) ------------------------------------------------- */

/* The FIFO of values behind windows, partitions, zip and collect. The fields are for
 * reading: element k (0 = oldest) is vals[(head + k) & mask], tail - head are held. A
 * push may move vals. TW_BYTES elements are the queue's own copies, valid until they
 * are dropped; what a TW_REF stands for is anchored by the caller, who lets go of it
 * before the drop. */
typedef struct tw_queue {
  tw_value *vals; /* ring of mask + 1 places */
  uint32_t mask;
  uint32_t others; /* held elements that are not TW_NUM */
  uint32_t refs;   /* held elements that are TW_REF */
  uint64_t head;   /* elements taken out, ever */
  uint64_t tail;   /* elements put in, ever */
  int64_t text;    /* bytes in the held TW_BYTES */
} tw_queue;

/* A new, empty queue.
 * room   how many elements it will probably hold; any number. Places for at most 1024
 *        are made at once, more by doubling as they are needed.
 * NULL: no memory. */
tw_queue *tw_queue_open(int64_t room);

/* Frees the queue, taken, and its bytes; NULL is fine. */
void tw_queue_close(tw_queue *q);

/* Put one element in, as the newest. Bytes are borrowed and copied (len below 2^32); id
 * is the caller's name for a Lua value. Each returns 0, or TW_ENOMEM and then the queue
 * is unchanged. O(1) amortized. */
int tw_queue_push_num(tw_queue *q, double x);
int tw_queue_push_bool(tw_queue *q, int x);
int tw_queue_push_null(tw_queue *q);
int tw_queue_push_i64(tw_queue *q, int64_t x);
int tw_queue_push_u64(tw_queue *q, uint64_t x);
int tw_queue_push_bytes(tw_queue *q, const char *bytes, size_t len);
int tw_queue_push_ref(tw_queue *q, uint64_t id);

/* Take the n oldest elements out, fewer when fewer are held, none when n <= 0.
 * Returns how many. O(1) while others is 0, else O(n). */
int64_t tw_queue_drop(tw_queue *q, int64_t n);

/* Take element k (0 = oldest) out; the others keep their order.
 * Returns 0, or TW_EINVAL when there is no element k. O(k). */
int tw_queue_remove(tw_queue *q, int64_t k);

/* Memory held, in bytes. */
int64_t tw_queue_bytes(const tw_queue *q);

/* Writes what is held as text, oldest first, cut to size - 1 characters and a 0.
 * Returns the length of the uncut text. */
int64_t tw_queue_dump(const tw_queue *q, char *buf, int64_t size);

/* ---- key set (op/keyset.c) ---------------------------------------------- */
/* cdef: part keyset */

/* Which keys have been seen: all of them, the most recent ones, or those of late. */
typedef struct tw_keyset tw_keyset;

/* A new, empty key set.
 * maxsize  how many keys it remembers, the least recently seen leave first; 0: all.
 * ttl      seconds without being seen after which a key is forgotten; 0: never.
 * NULL: an argument below 0 or not finite, or no memory. */
tw_keyset *tw_keyset_open(int64_t maxsize, double ttl);

/* Frees the set, taken; NULL is fine. */
void tw_keyset_close(tw_keyset *ks);

/* How many keys are remembered. */
int64_t tw_keyset_count(const tw_keyset *ks);

/* Forget every key. References are not reported by tw_keyset_dropped_ref. */
void tw_keyset_clear(tw_keyset *ks);

/* Tell the time, in seconds of a clock that never goes back; keys that are ttl old are
 * forgotten. To be called before an add; the clock starts at 0. O(1) for each key that
 * goes. Without a ttl nothing happens. */
void tw_keyset_now(tw_keyset *ks, double seconds);

/* Note that a key is seen now. Numbers are one key when they are equal, whatever their
 * type (1, 1LL, 1ULL; 0 and -0); true is not 1 and "1" is not 1. Bytes are borrowed and
 * copied (len below 2^32); id is the caller's name (from 1) for a Lua value.
 * Each returns 1: the key was not there, 0: it was; it is the most recent one in both
 * cases. TW_ENOMEM, or TW_EINVAL for NaN, and then the keys are as before. O(1)
 * amortized. */
int tw_keyset_add_num(tw_keyset *ks, double x);
int tw_keyset_add_bool(tw_keyset *ks, int x);
int tw_keyset_add_null(tw_keyset *ks);
int tw_keyset_add_i64(tw_keyset *ks, int64_t x);
int tw_keyset_add_u64(tw_keyset *ks, uint64_t x);
int tw_keyset_add_bytes(tw_keyset *ks, const char *bytes, size_t len);
int tw_keyset_add_ref(tw_keyset *ks, uint64_t id);

/* Take the last key for which an add returned 1 out again; the key that left for it, if
 * one did, is back, unless there was another add meanwhile. A reference taken out
 * so is not reported by tw_keyset_dropped_ref.
 * Returns 1, or 0 when there is no such key (any more). */
int tw_keyset_undo(tw_keyset *ks);

/* The next reference that has been forgotten by maxsize or ttl, in no special order; 0
 * when there is none. One that left for the last new key comes after the next add. */
uint64_t tw_keyset_dropped_ref(tw_keyset *ks);

/* Memory held, in bytes. */
int64_t tw_keyset_bytes(const tw_keyset *ks);

/* Writes the keys as text, with a limit or ttl the most recent one first, cut to
 * size - 1 characters and a 0. Returns the length of the uncut text. */
int64_t tw_keyset_dump(const tw_keyset *ks, char *buf, int64_t size);

/* ---- rolling aggregates (window/roll.c) --------------------------------- */
/* cdef: part roll */

/* What is made of a window of numbers. ORDER TW_AGG (lua/tideway/agg/) */
enum tw_agg {
  TW_AGG_COUNT,
  TW_AGG_SUM,
  TW_AGG_MEAN,
  TW_AGG_VAR,
  TW_AGG_STD,
  TW_AGG_MIN,
  TW_AGG_MAX,
  TW_AGG_MEDIAN,
  TW_AGG_QUANTILE,
  TW_AGG_FIRST,
  TW_AGG_LAST
};

/* One aggregate of the last size numbers. The fields are for reading; more follow. */
typedef struct tw_roll {
  int64_t size; /* of the window */
  int64_t fill; /* elements in it now */
} tw_roll;

/* A new, empty window.
 * agg    enum tw_agg.
 * size   elements, from 1. Memory for all of them (8 to 56 bytes each) is asked for at
 *        once, so that pushing never fails; the system hands it out as it is touched.
 * param  var, std: ddof, from 0; quantile: q of [0, 1]; of no account else.
 * NULL: an argument out of range, or no memory. */
tw_roll *tw_roll_open(int agg, int64_t size, double param);

/* Frees the window, taken; NULL is fine. */
void tw_roll_close(tw_roll *r);

/* Take x in and, when the window is full, the oldest element out.
 * Returns the aggregate of the window with x in it. A NaN in the window makes it NaN
 * (count, first and last excepted). Infinities count as IEEE arithmetic has it: inf and
 * -inf sum to NaN, var and std of either are NaN. Both leave without a trace together
 * with their element. var and std are NaN for ddof elements or fewer; a quantile
 * between two elements is interpolated linearly. O(1) amortized, median and quantile
 * O(log size); the worst single push is O(1) for min, max, count, first, last,
 * O(sqrt(size)) for sum, mean, var, std. Nothing is ever subtracted for an element that
 * leaves, so errors do not add up. */
double tw_roll_push(tw_roll *r, double x);

/* The same for n numbers in a row: out[i] is what pushing in[i] gives. in and out may
 * be the same array. */
void tw_roll_push_batch(tw_roll *r, const double *in, double *out, int64_t n);

/* Writes the state as text, cut to size - 1 characters and a 0. Returns the length of
 * the uncut text. */
int64_t tw_roll_dump(const tw_roll *r, char *buf, int64_t size);

/* ---- views (core/view.c) ------------------------------------------------ */
/* cdef: part core */

/* Bytes of somebody else's. */
typedef struct tw_slice {
  const char *ptr;
  int64_t len;
} tw_slice;

/* Bytes in somebody else's buffer, what lua/tideway/view.lua puts methods on. ptr NULL:
 * no longer valid. born 0: valid until its owner sets ptr to NULL; else valid while the
 * Lua side's epoch is still born (a view of a view cannot be reached otherwise). */
typedef struct tw_view {
  const char *ptr;
  int64_t len;
  double born;
} tw_view;

/* Where the nlen bytes of needle first occur in the len bytes at ptr, from 0; -1 when
 * nowhere. An empty needle is at 0. Reads nothing outside of the bytes. O(len + nlen), at
 * 16-32 bytes a step. Any thread, like all of these. */
int64_t tw_view_find(const char *ptr, int64_t len, const char *needle, int64_t nlen);

/* 1 when needle occurs in the bytes, else 0. */
int tw_view_has(const char *ptr, int64_t len, const char *needle, int64_t nlen);

/* 1 when the len bytes at ptr and at text are equal, else 0. */
int tw_view_same(const char *ptr, const char *text, int64_t len);

/* Reads a plain decimal ("-12.50", blanks around it allowed) as a double, rightly rounded.
 * Returns 1 and *out, or 0 when the text is anything else, also a number in a form or
 * length that this leaves to the caller; then *out is unchanged. */
int tw_view_number(const char *ptr, int64_t len, double *out);

/* ---- loop (loop/loop.c) ------------------------------------------------- */

/* One thread's event loop. Timers, files and sockets are opened on it; each has an id (from
 * 1) by which it is reported. Nothing here calls back. */
typedef struct tw_loop tw_loop;

/* A new loop; NULL: no memory or no descriptors. Thread: the one that will poll it. */
tw_loop *tw_loop_open(void);

/* The same on a uv_loop_t of the host's, borrowed until it has run once more after
 * tw_loop_close. It is the host who runs it; tw_loop_poll_ns runs it, too, outside its callbacks. */
tw_loop *tw_loop_adopt(void *uv);

/* Closes the loop, taken, and everything that is still open on it; NULL is fine. Waits for
 * reads that are under way, unless the loop is the host's. */
void tw_loop_close(tw_loop *loop);

/* Let native work proceed, waiting for it up to timeout_ms (0: not at all, below 0: without
 * a limit), and report what has become ready.
 * ready  room for max ids of handles, each at most once. What does not fit waits for the
 *        next call. A report says "ask again": it may stand for several events or a past one.
 * max    0: nothing is reported, it only waits.
 * Returns the count, or TW_EINVAL (max below 0); 0 also at once when there is no limit and
 * nothing open on the loop can become ready, or when it is the host who runs it just now. */
int tw_loop_poll(tw_loop *loop, int64_t timeout_ms, uint32_t *ready, int max);

/* The same to the nanosecond, as far as the system can (Linux: 50 us late). */
int tw_loop_poll_ns(tw_loop *loop, int64_t timeout_ns, uint32_t *ready, int max);

/* For hosts with a loop of their own: poll when this descriptor is readable ... */
int tw_loop_fd(const tw_loop *loop);

/* ... or this many ms from now have passed; -1: no deadline, 0: poll now. */
int64_t tw_loop_timeout_ms(const tw_loop *loop);

/* Monotonic time. Any thread. */
int64_t tw_loop_now_ns(void);

/* Have tw_loop_poll report an id, also when nothing is open under it any more: for who waits
 * for a handle that was closed. Returns TW_OK or TW_ENOMEM. */
int tw_loop_wake(tw_loop *loop, uint32_t id);

/* How many threads of this process can run at once: its processors. At least 1. */
int tw_processors(void);

/* ---- in nginx (loop/nginx.c) ---------------------------------------------- */

/* A descriptor that the event loop of nginx watches beside its own: for who is loaded into a
 * worker of it. Thread: the worker's, for all of it. */
typedef struct tw_nginx tw_nginx;

/* How a semaphore of nginx's Lua module is posted. */
typedef int tw_nginx_post(void *semaphore, int n);

/* Have post(semaphore, 1) called when the descriptor becomes readable, once each time that
 * this was armed.
 * fd         borrowed until the close, as is the semaphore
 * Returns NULL and *why, static text, when we are not in nginx, or it is one that we do not know. */
tw_nginx *tw_nginx_open(int fd, tw_nginx_post *post, void *semaphore, const char **why);

/* Returns 1: it is readable already, which may or may not be posted; or 0. */
int tw_nginx_arm(tw_nginx *watch);

/* Ends the watching; the descriptor stays open. Taken; NULL is fine. */
void tw_nginx_close(tw_nginx *watch);

/* ---- mailbox (loop/mailbox.c) --------------------------------------------- */

/* Records of bytes on their way between a host and a pipeline: one side puts them in, the
 * other takes all that have come. They are copied once, and never moved after that. */
typedef struct tw_mailbox tw_mailbox;

enum {
  TW_SHARED = 1, /* any thread may put */
  TW_OUTWARD = 2 /* it is the host who takes */
};

/* A new mailbox; NULL: no memory, no descriptors, a limit below 1.
 * max_records, max_bytes  that wait at most. As much again is with who has taken them.
 * flags                   0, TW_SHARED or TW_OUTWARD. */
tw_mailbox *tw_mailbox_open(tw_loop *loop, int64_t max_records, int64_t max_bytes,
                            int flags);

/* Frees it, taken, and what is in it; NULL is fine. Nobody may be putting. */
void tw_mailbox_close(tw_mailbox *box);

/* Its id in tw_loop_poll: reported when a take has found it empty and something has come, or it has
 * ended; with TW_OUTWARD, when a put has found it full and there is room. */
uint32_t tw_mailbox_id(const tw_mailbox *box);

/* Put a copy of len bytes in, as the last record. TW_OK; TW_AGAIN: it is full; TW_EINVAL: no
 * mailbox of this size takes so many bytes; TW_EOF: it has ended; TW_ENOMEM. Nothing was taken
 * then. About 10 ns and the copying, 25 ns more with TW_SHARED. Thread: see flags. */
int tw_mailbox_put(tw_mailbox *box, const char *data, size_t len);

/* No more puts. What waits can still be taken. Thread: see flags. */
void tw_mailbox_end(tw_mailbox *box);

/* Take all records that wait, as views valid until the next take.
 * Returns how many; TW_AGAIN: none yet; TW_EOF: none, and it has ended. */
int64_t tw_mailbox_take(tw_mailbox *box, const tw_view **records);

/* Records that wait. Any thread, with TW_SHARED. */
int64_t tw_mailbox_count(tw_mailbox *box);

/* ---- parcels and lanes: from thread to thread (loop/lane.c) ----------------- */

/* A block of bytes that goes from one thread to another without being copied. What is in it,
 * and what the fields but len and room say, is between its sender and its receiver. */
typedef struct tw_parcel {
  struct tw_parcel *next; /* for whoever has it: lists */
  int64_t number;         /* which one it is */
  int64_t len, room;      /* bytes that are used; that there are */
  int32_t kind, count;    /* how it is encoded; elements in it */
  int32_t flags, extra;
  char bytes[]; /* at a multiple of 16 */
} tw_parcel;

/* A new parcel with at least so many bytes of room, all fields but room 0. NULL: no memory,
 * or room is below 0. Any thread, like the next two. */
tw_parcel *tw_parcel_new(int64_t room);

/* The same parcel, taken, with at least so many bytes of room; it may have moved. More than it
 * had is half as much again at least. NULL: no memory, and then p is as it was. */
tw_parcel *tw_parcel_grow(tw_parcel *p, int64_t room);

/* Frees it, taken, whoever has made it; NULL is fine. */
void tw_parcel_free(tw_parcel *p);

/* One end of a lane, which takes parcels in both directions, up to TW_LANE_ROOM at a time in
 * each, in order. Each end belongs to a thread; what follows is for the worker's end
 * (tw_worker_open has the other one). */
typedef struct tw_lane tw_lane;

enum { TW_LANE_ROOM = 1024 };

/* Put the end on the loop of its thread, once and before anything else: from now on its handle
 * is reported there, and keeps the loop waiting. TW_OK; TW_EINVAL: it is on one; TW_EIO: no
 * descriptors. */
int tw_lane_attach(tw_lane *lane, tw_loop *loop);

/* Its id in tw_loop_poll: reported when a receive has found nothing and something has come, or
 * nothing will; and when a send has found no room and a quarter of it has become free. */
uint32_t tw_lane_id(const tw_lane *lane);

/* Send a parcel, taken. TW_OK; TW_AGAIN: no room, and p is still the caller's. 10 ns; waking the
 * other side, when it waits, is a call of the system (2 us). */
int tw_lane_send(tw_lane *lane, tw_parcel *p);

/* The oldest parcel that has come, new; NULL: none now. */
tw_parcel *tw_lane_receive(tw_lane *lane);

/* How many parcels have come and are not received; other than a receive that finds nothing this
 * does not ask for the handle to be reported. */
int64_t tw_lane_count(const tw_lane *lane);

/* 1 when the other side will send nothing more and everything was received, else 0. */
int tw_lane_finished(const tw_lane *lane);

/* ---- processes (loop/process.c) ------------------------------------------- */
/* cdef: part processes */

enum tw_stdio {
  TW_STDIO_INHERIT = 0, /* ours */
  TW_STDIO_IGNORE = 1,  /* nothing: empty, thrown away */
  TW_STDIO_PIPE = 2,    /* of the input: tw_process_write; of an output: collected */
  TW_STDIO_LINES = 3,   /* of an output: tw_process_fd reads it */
  TW_STDIO_OUTPUT = 4   /* of the errors: where the output goes */
};

typedef struct tw_process tw_process;

typedef struct tw_process_options {
  const char *const *argv; /* ended by NULL; the first is looked up in PATH */
  const char *const *env; /* changes of the environment, ended by NULL: "NAME=value", or
                              "NAME" to remove it */
  const char *cwd;        /* NULL: ours */
  int in, out, err;       /* enum tw_stdio */
  int64_t max_output;     /* bytes that are collected; of more the child dies */
} tw_process_options;

/* Start a program. With TW_STDIO_PIPE as its input the process ignores SIGPIPE from now on,
 * unless it has a handler.
 * options  borrowed until this returns.
 * Returns a new handle, which is reported ready when the child has exited, a collected output
 * has ended or all of the input is taken; or NULL and the reason in error (size bytes, cut). */
tw_process *tw_process_open(tw_loop *loop, const tw_process_options *options,
                            char *error, int64_t size);

/* Closes our ends of the pipes, taken; a child that runs is killed and waited for. NULL is
 * fine. Closing the loop gives one that has an input 5 s after the end of that. */
void tw_process_close(tw_process *process);

/* Send a signal to the child and all that is in its session's first group. Returns TW_OK,
 * TW_EOF: it has exited, TW_EIO. */
int tw_process_kill(tw_process *process, int signal);

/* TW_AGAIN: it runs, or what is collected has not ended; TW_OK; TW_ENOMEM: there was more than
 * max_output, and the child was killed. */
int tw_process_state(const tw_process *process);

/* 1: the child has exited. */
int tw_process_exited(const tw_process *process);

/* Its exit status; *signal: the signal that has ended it, or 0. */
int tw_process_status(const tw_process *process, int *signal);

/* What is collected of output 1 or 2: a view, valid until the next poll. */
const char *tw_process_output(const tw_process *process, int which, int64_t *len);

/* Bytes for the child's input, copied. They are sent some time, at the latest by
 * tw_process_flush. Returns TW_OK, TW_ENOMEM, or TW_EIO: it does not read any more. */
int tw_process_write(tw_process *process, const char *bytes, int64_t len);

/* Send what is to be sent; finish: and then close the input. */
void tw_process_flush(tw_process *process, int finish);

/* Bytes of the input that the child has not taken. */
int64_t tw_process_unsent(const tw_process *process);

/* Our end of pipe 0 .. 2: a view, -1 when there is none. */
int tw_process_fd(const tw_process *process, int which);

/* Its id in tw_loop_poll, and the system's. */
uint32_t tw_process_id(const tw_process *process);
int tw_process_pid(const tw_process *process);

/* ---- signals (loop/signal.c) --------------------------------------------- */
/* cdef: part core */

/* SIGINT and SIGTERM, watched for by whoever owns the process while its loop runs. */
typedef struct tw_signals tw_signals;

/* A new handle on the loop that watches for nothing yet; NULL: no memory or no
 * descriptors. Closed with the loop at the latest. */
tw_signals *tw_signals_open(tw_loop *loop);

/* Stops and closes, taken; NULL is fine. */
void tw_signals_close(tw_signals *signals);

/* Watch: the first of the two signals makes the handle ready, a second one ends the process
 * at once, by its default action, whatever the process is doing. One that follows the first
 * within 50 ms is the same one again. Also when they were ignored, as a shell without job
 * control has it for SIGINT in the background.
 * Returns TW_OK, or TW_EIO and then nothing is watched. Twice is fine. */
int tw_signals_start(tw_signals *signals);

/* No longer: the handlers that were there before are there again. Twice is fine. */
void tw_signals_stop(tw_signals *signals);

/* Its id in tw_loop_poll. */
uint32_t tw_signals_id(const tw_signals *signals);

/* The name of the signal that has come since start ("SIGINT"), static; NULL: none, or it
 * has not been polled for. */
const char *tw_signals_caught(const tw_signals *signals);

/* ---- shares (core/share.c) ------------------------------------------------ */

/* Which of `count` shares, from 1, a key belongs to: 0 .. count - 1, about as many keys each.
 * The same in every process and every release. 0 and -0 are one key. Any thread. */
int tw_share_num(double x, int count);
int tw_share_bytes(const char *bytes, int64_t len, int count);

/* ---- text source (source/textfile.c) ------------------------------------ */
/* cdef: part files */

enum tw_encoding { TW_ENCODING_NONE = 0, TW_ENCODING_GZIP = 1, TW_ENCODING_ZSTD = 2 };

typedef struct tw_textfile tw_textfile;

typedef struct tw_textfile_options {
  const char *name;  /* the path to open, and what error texts call the file */
  void *file;        /* FILE * to read from where it stands; it stays open. NULL: fd */
  int fd;            /* read this descriptor, which stays open; -1: open name */
  int encoding;      /* enum tw_encoding */
  const char *delim; /* dlen bytes, from 1 */
  int64_t dlen;
  int64_t max_line; /* a longer record is an error; 0: no limit */
  int partial;      /* deliver a last record without delimiter */
  int from_end;     /* start at the present end of the file */
  int64_t start;    /* of a plain regular file by name: where to start, */
  int64_t stop;     /* and where what is read ends; 0: with the file */
} tw_textfile_options;

/* Open a file and start to read it ahead, a bounded amount, on libuv's threads. Pipes,
 * terminals and sockets are read when they have something.
 * options  borrowed, all of it.
 * Returns a new handle, or NULL and the reason in error (size bytes, cut). */
tw_textfile *tw_textfile_open(tw_loop *loop, const tw_textfile_options *options,
                              char *error, int64_t size);

/* Closes the file, taken; NULL is fine. */
void tw_textfile_close(tw_textfile *file);

/* Have tw_textfile_close leave a regular file that was given as fd at this position; without
 * this it is left at the end of the last batch. */
void tw_textfile_leave(tw_textfile *file, int64_t position);

/* Its id in tw_loop_poll. */
uint32_t tw_textfile_id(const tw_textfile *file);

/* The next batch of records. Returns how many are in tw_textfile_lines; TW_AGAIN: none yet,
 * the file will be reported ready; TW_EOF: no more; TW_EIO, TW_ECORRUPT, TW_ENOMEM,
 * TW_EPARSE (max_line): see tw_textfile_error. */
int tw_textfile_next(tw_textfile *file);

/* Instead of tw_textfile_next: the text as it is. *block becomes what has not been used, with
 * more than before behind it: a view, valid until the next call or close.
 * used  bytes of the block before that are done with.
 * Returns 1; TW_EOF: no more will come behind this block, which may be empty; else as
 * tw_textfile_next. */
int tw_textfile_block(tw_textfile *file, int64_t used, tw_slice *block);

/* The records of the last batch: a view, valid until the next tw_textfile_next or close. The
 * address is the same for the life of the handle. */
const tw_slice *tw_textfile_lines(const tw_textfile *file);

/* How many bytes (of the decompressed text, if it is) the delivered records and their
 * delimiters took, counted from the start of the file. */
int64_t tw_textfile_position(const tw_textfile *file);

/* "NAME: byte N: what is wrong"; view, "" when nothing is. */
const char *tw_textfile_error(const tw_textfile *file);

/* Where the first record of a file begins that begins at byte `at` or after it, the file's size
 * when none does: what is before and what is behind it can be read as two files. Waits for the
 * disk. No beginning of the delimiter may be an end of it ("aa"). Any thread.
 * Returns it, or TW_EINVAL, TW_ENOMEM, TW_EIO (errno). */
int64_t tw_part_start(const char *path, int64_t at, const char *delim, int64_t dlen);

/* The size of a regular file; TW_EINVAL: the path is no such file. Any thread. */
int64_t tw_part_size(const char *path);

/* The files that a path means: itself, or, when there is no file of that name and it has * ? or
 * [, those that match, sorted.
 * buf  room for size bytes: the paths, each ended by a 0. What does not fit is left out.
 * Returns the bytes needed, 0 when nothing matches, or TW_ENOMEM / TW_EIO (a directory
 * could not be read). Any thread. */
int64_t tw_paths_match(const char *pattern, char *buf, int64_t size);

/* ---- files that grow (source/follow.c, source/watch.c) -------------------- */

/* News of directories, by inotify. A silent one, where there is none, reports nothing. */
typedef struct tw_watch tw_watch;

/* Returns a new handle, NULL: no memory. It is reported ready when a name has come, gone or
 * changed in one of its directories. */
tw_watch *tw_watch_open(tw_loop *loop);
void tw_watch_close(tw_watch *watch); /* taken; NULL is fine */

/* Watch a directory, too; again is fine. Returns TW_OK, or TW_EIO: it cannot be watched. */
int tw_watch_dir(tw_watch *watch, const char *path);
int tw_watch_silent(const tw_watch *watch);

/* Its id in tw_loop_poll. */
uint32_t tw_watch_id(const tw_watch *watch);

typedef struct tw_follow tw_follow;

typedef struct tw_follow_options {
  const char
      *pattern; /* a path, or a glob: files that begin to match are followed, too */
  const char *position; /* the file that says how far they have been read; NULL: none */
  const char *delim;    /* dlen bytes, from 1 */
  int64_t dlen;
  int64_t max_line; /* a longer record is an error; 0: no limit */
  int partial;      /* a last record without delimiter of a file that was left counts */
  int from_end;     /* start at the present ends, unless there is a position file */
  int share;        /* only files of whose paths tw_share_bytes says this, */
  int shares;       /* of so many shares; 0: all */
} tw_follow_options;

/* Follow files: what is appended, through renaming, deletion, truncation, and files anew.
 * options  borrowed, all of it.
 * Returns a new handle, or NULL and the reason in error (size bytes, cut): a path without * ?
 * [ must be there, unless the position file knows it. */
tw_follow *tw_follow_open(tw_loop *loop, const tw_follow_options *options, char *error,
                          int64_t size);

/* Writes the position file and closes, taken; NULL is fine. */
void tw_follow_close(tw_follow *follow);

/* Its id in tw_loop_poll. */
uint32_t tw_follow_id(const tw_follow *follow);

/* Look which files there are and whether they have grown. To be called now and then, as
 * inotify does not see all, and as it is time that lets go of files that were left.
 * now_ns  of any clock, never less than before. */
void tw_follow_look(tw_follow *follow, int64_t now_ns);

/* Does nothing tell of changes but tw_follow_look? */
int tw_follow_silent(const tw_follow *follow);

/* The next records, all of one file. Returns how many are in tw_follow_lines; TW_AGAIN: none
 * now, the handle will be reported ready; TW_EIO, TW_ENOMEM, TW_EPARSE (max_line): see
 * tw_follow_error, and so will it be from now on. */
int tw_follow_next(tw_follow *follow);

/* The records of the last batch: a view, valid until the next tw_follow_next or close. The
 * address is the same for the life of the handle. */
const tw_slice *tw_follow_lines(const tw_follow *follow);

/* The path of their file, a view, and the byte of it where they begin. */
const char *tw_follow_path(const tw_follow *follow);
int64_t tw_follow_start(const tw_follow *follow);

/* With a position file: the number of the last batch. Nothing of a batch counts as read before
 * tw_follow_through has been called for it. */
int64_t tw_follow_batch(const tw_follow *follow);
void tw_follow_through(tw_follow *follow, int64_t batch);

/* Have the last batch, of this number, end before its record i; those from there on are a batch
 * of their own. Returns its number, or TW_ENOMEM. */
int64_t tw_follow_split(tw_follow *follow, int64_t batch, int i);

/* How many batches are not through. */
int64_t tw_follow_held(const tw_follow *follow);

/* Have the position file written, on libuv's pool, when there is something new. */
void tw_follow_save(tw_follow *follow);

/* Write it now. Returns TW_OK, TW_ENOMEM or TW_EIO: see tw_follow_error. */
int tw_follow_keep(tw_follow *follow);

/* "PATH: byte N: what is wrong"; view, "" when nothing is. */
const char *tw_follow_error(const tw_follow *follow);

/* ---- records of socket clients (source/listener.c) ------------------------- */
/* cdef: part sockets */

typedef struct tw_listener tw_listener;

typedef struct tw_listener_options {
  const char *host;  /* an IP address */
  int port;          /* 0: one that is free */
  const char *path;  /* of a Unix socket, instead of host and port; or NULL */
  int backlog;       /* connections that the system accepts ahead */
  int partial;       /* what a client sent behind the last delimiter is a record, too */
  const char *delim; /* dlen bytes, from 1 */
  int64_t dlen;
  int64_t max_record;      /* bytes; a client that sends more is refused */
  int64_t max_held;        /* bytes of all records that have not ended; likewise */
  int64_t max_connections; /* further ones wait in the backlog */
  int64_t idle_ms;         /* a client that is silent so long is let go; 0: never */
} tw_listener_options;

enum tw_listener_counts {
  TW_LISTENER_CONNECTIONS = 0, /* accepted */
  TW_LISTENER_REFUSED = 1,     /* closed: a record that is too long */
  TW_LISTENER_BROKEN = 2,      /* that ended with an error, a reset for example */
  TW_LISTENER_IDLE = 3,        /* closed: silent for too long */
  TW_LISTENER_PARTIAL = 4,     /* records that did not end, and were dropped */
  TW_LISTENER_OPEN = 5,        /* connections there are now */
  TW_LISTENER_BYTES = 6,       /* received */
  TW_LISTENER_COUNTS = 7
};

/* A listener that has its port or path and does not listen yet. A socket in the file system
 * that nobody listens on any more is replaced.
 * options  borrowed until this returns.
 * Returns a new handle, or NULL and the reason in error (size bytes, cut). */
tw_listener *tw_listener_open(tw_loop *loop, const tw_listener_options *options,
                              char *error, int64_t size);

/* Take connections from now on.
 * Returns TW_OK, or TW_EIO and the reason in error: the port is taken. */
int tw_listener_listen(tw_listener *listener, char *error, int64_t size);

/* Give the port back, and read of each connection only what has come so far:
 * tw_listener_next hands that out, then it says TW_EOF. */
void tw_listener_stop(tw_listener *listener);

/* Closes the listener, taken, and all its connections; NULL is fine. */
void tw_listener_close(tw_listener *listener);

/* Its port, 0 of a Unix socket; its id in tw_loop_poll. */
int tw_listener_port(const tw_listener *listener);
uint32_t tw_listener_id(const tw_listener *listener);

/* The next batch of records, all of one client, clients taking turns. Nothing is read from
 * them outside of this. Returns how many are in tw_listener_lines; TW_AGAIN: none yet, the
 * listener will be reported ready; TW_EOF: stopped, and there are no more; TW_EPARSE: a client
 * was refused (see tw_listener_error), the others go on. */
int tw_listener_next(tw_listener *listener);

/* The records of the last batch: a view, valid until the next tw_listener_next or close. The
 * address is the same for the life of the handle. */
const tw_slice *tw_listener_lines(const tw_listener *listener);

/* One of enum tw_listener_counts, since it was opened. */
int64_t tw_listener_count(const tw_listener *listener, int what);

/* "CLIENT: what is wrong", of the last TW_EPARSE; view. */
const char *tw_listener_error(const tw_listener *listener);

/* ---- datagrams (source/datagrams.c) ----------------------------------------- */

typedef struct tw_datagrams tw_datagrams;

typedef struct tw_datagrams_options {
  const char *host;  /* an IP address */
  int port;          /* 0: one that is free */
  const char *delim; /* dlen bytes: ends the records of a datagram; dlen 0: it is one */
  int64_t dlen;
  int64_t max_record;     /* bytes; a longer datagram is refused */
  int64_t receive_buffer; /* bytes that the system is asked to keep; 0: as it likes */
} tw_datagrams_options;

enum tw_datagrams_counts {
  TW_DATAGRAMS_RECEIVED = 0, /* also those that were refused */
  TW_DATAGRAMS_BYTES = 1,
  TW_DATAGRAMS_REFUSED = 2, /* too long */
  TW_DATAGRAMS_DROPPED =
      3, /* by the system: no room in its buffer; 0 where it does not say */
  TW_DATAGRAMS_COUNTS = 4
};

/* A UDP port; what comes to it is kept by the system, as long as there is room.
 * options  borrowed until this returns.
 * Returns a new handle, or NULL and the reason in error (size bytes, cut). */
tw_datagrams *tw_datagrams_open(tw_loop *loop, const tw_datagrams_options *options,
                                char *error, int64_t size);

/* Have it reported when something comes. Returns TW_OK, or TW_EIO and the reason in error. */
int tw_datagrams_listen(tw_datagrams *datagrams, char *error, int64_t size);

/* Take nothing that comes from now on: tw_datagrams_next hands out what is there, then it gives
 * the port back and says TW_EOF. */
void tw_datagrams_stop(tw_datagrams *datagrams);

/* Closes it, taken; NULL is fine. */
void tw_datagrams_close(tw_datagrams *datagrams);

/* Its port; its id in tw_loop_poll. */
int tw_datagrams_port(const tw_datagrams *datagrams);
uint32_t tw_datagrams_id(const tw_datagrams *datagrams);

/* The next batch of records; an empty datagram is an empty one, unless there is a delimiter.
 * Returns how many are in tw_datagrams_lines; TW_AGAIN: none yet, the handle will be reported
 * ready; TW_EOF: stopped, and there are no more; TW_EPARSE: a datagram was refused (see
 * tw_datagrams_error), the others go on; TW_EIO: see there, too. */
int tw_datagrams_next(tw_datagrams *datagrams);

/* The records of the last batch: a view, valid until the next tw_datagrams_next or close. The
 * address is the same for the life of the handle. */
const tw_slice *tw_datagrams_lines(const tw_datagrams *datagrams);

/* One of enum tw_datagrams_counts, since it was opened. */
int64_t tw_datagrams_count(const tw_datagrams *datagrams, int what);

/* "CLIENT: what is wrong", of the last TW_EPARSE or TW_EIO; view. */
const char *tw_datagrams_error(const tw_datagrams *datagrams);

/* ---- text sink (sink/textfile.c) ----------------------------------------- */
/* cdef: part files */

typedef struct tw_textsink tw_textsink;

/* Whether path could be opened for writing, as far as can be told without touching anything.
 * NULL, or what is wrong (static, or valid until the next call). */
const char *tw_textsink_check(const char *path);

/* Open a file for records.
 * name      the path to open (made when it is missing), and what error texts call the file.
 * fd        write to this descriptor, which stays open; -1: open name.
 * truncate  1: empty the file first, 0: append to it.
 * delim     dlen bytes that end each record, may be none.
 * Returns a new handle, or NULL and the reason in error (size bytes, cut). */
tw_textsink *tw_textsink_open(const char *name, int fd, int truncate, const char *delim,
                              int64_t dlen, char *error, int64_t size);

/* Writes what is buffered and closes the sink, taken in any case; NULL is fine. Returns the
 * status of that write, or TW_EIO when the system says only now that it cannot keep what it
 * has taken. */
int tw_textsink_close(tw_textsink *sink);

/* Add a record: bytes, or a number as Lua's tostring has it, but with as many digits as it
 * takes to read back the same. Waits for the file when the buffer (64 KB) is full.
 * Returns TW_OK, or TW_EIO / TW_ENOMEM / TW_AGAIN (tw_textsink_limit), and then nothing of the
 * record was taken. */
int tw_textsink_put(tw_textsink *sink, const char *bytes, int64_t len);
int tw_textsink_put_num(tw_textsink *sink, double x);
int tw_textsink_put_i64(tw_textsink *sink, int64_t x);
int tw_textsink_put_u64(tw_textsink *sink, uint64_t x);

/* Write what is buffered. Returns TW_OK, or TW_EIO; what was not written stays buffered. */
int tw_textsink_flush(tw_textsink *sink);

/* Wait until the disk has what was written; nothing to do for pipes and the like. TW_OK or
 * TW_EIO. */
int tw_textsink_sync(tw_textsink *sink);

/* The bytes of the file with what is buffered; what was in it before counts. */
int64_t tw_textsink_size(const tw_textsink *sink);

/* From now on a record that would make the file larger than bytes is not taken, and put
 * returns TW_AGAIN, unless the file is empty. 0: no limit. TW_OK, or TW_EINVAL: the file is no
 * regular one. */
int tw_textsink_limit(tw_textsink *sink, int64_t bytes);

/* "NAME: byte N: what is wrong"; view. */
const char *tw_textsink_error(const tw_textsink *sink);

/* The descriptor of a FILE *. */
int tw_file_number(void *file);

/* ---- TCP sink (sink/sender.c) ---------------------------------------------- */
/* cdef: part sockets */

typedef struct tw_sender tw_sender;

/* Connect to a host, a name or an IP address; the sender is reported ready when it is, or when
 * that has failed. Returns a new handle, or NULL: no memory, or a host that cannot be one. */
tw_sender *tw_sender_open(tw_loop *loop, const char *host, const char *port);

/* Closes it, taken, in order where nothing is under way; NULL is fine. */
void tw_sender_close(tw_sender *sender);

/* TW_AGAIN: it connects or sends, and is reported ready when that changes; TW_OK: it is
 * connected, and the system has all that was sent; TW_EIO, for good: see tw_sender_error. */
int tw_sender_state(const tw_sender *sender);

/* Send the elements of a queue, bytes and numbers, the oldest first, and the delimiter behind each,
 * when the state is TW_OK: as far as they go at once.
 * queue  borrowed, as it is.
 * Returns how many the system has taken whole. When these are not all, the state tells what
 * became of the next one: TW_AGAIN, it has been begun, and taken as well once it is TW_OK; TW_EIO.
 * Else TW_EIO or TW_EINVAL: none was taken. */
int64_t tw_sender_send(tw_sender *sender, const tw_queue *queue, const char *delim,
                       int64_t dlen);

/* Its id in tw_loop_poll. */
uint32_t tw_sender_id(const tw_sender *sender);

/* What is wrong; view. */
const char *tw_sender_error(const tw_sender *sender);

/* ---- codecs (codec/) ----------------------------------------------------- */
/* cdef: part codecs */

/* Cut bytes into records at a delimiter.
 * delim  dlen bytes, from 1.
 * out    room for max slices of bytes, without the delimiter.
 * used   how many bytes the records took, delimiters included; what is left is a record
 *        that has not ended, or did not fit into out.
 * Returns the count, or TW_EINVAL. Any thread. */
int tw_lines_split(const char *bytes, int64_t len, const char *delim, int64_t dlen,
                   tw_slice *out, int max, int64_t *used);

/* What a record is taken apart into. ORDER TW_SLOT (lua/tideway/record.lua) */
enum tw_slot_kind {
  TW_SLOT_NONE = 0,   /* the field is not there */
  TW_SLOT_NUM = 1,    /* num */
  TW_SLOT_STRING = 2, /* bytes, len */
  TW_SLOT_BOOL = 3,   /* len is 0 or 1 */
  TW_SLOT_NULL = 4,
  TW_SLOT_I64 = 5,  /* i64, of more bits than num holds */
  TW_SLOT_U64 = 6,  /* u64, likewise */
  TW_SLOT_LIST = 7, /* len members */
  TW_SLOT_MAP = 8   /* len pairs of a key and a value */
};

typedef struct tw_slot {
  union {
    double num;
    int64_t i64;
    uint64_t u64;
    const char *bytes; /* in the record, or in the decoder where it had escapes */
  };
  int32_t len;
  int32_t kind; /* enum tw_slot_kind */
} tw_slot;

enum {
  TW_SLOTS = 64,  /* values that come as slots; a larger record comes as a tape */
  TW_DEPTH = 512, /* levels of nesting */
  TW_SHAPES = 32  /* a decoder learns no more than so many shapes */
};

/* Why a record does not parse. ORDER TW_FAULT (lua/tideway/record.lua) */
enum tw_fault {
  TW_FAULT_NONE = 0,
  TW_FAULT_BYTE = 1,   /* this byte may not be here */
  TW_FAULT_END = 2,    /* the text ends too early */
  TW_FAULT_ESCAPE = 3, /* no such escape */
  TW_FAULT_DEPTH = 4,  /* more than TW_DEPTH levels */
  TW_FAULT_FIELDS = 5, /* fields asked for of what has none, or too many or few */
  TW_FAULT_KEY = 6,    /* what stands as a key can be none */
  TW_FAULT_NUMBER = 7, /* a number where there must be one, or out of range */
  TW_FAULT_TIME = 8,   /* no time */
  TW_FAULT_QUOTE = 9,  /* something after a closing quote */
  TW_FAULT_TYPE = 10,  /* a type that Lua has nothing for */
  TW_FAULT_BOOL = 11,  /* no boolean */
  TW_FAULT_WIDTH = 12  /* not as many fields (filled) as there must be (width) */
};

/* Takes records apart; what it has learnt of their shapes lasts as long as it does.
 * Only these fields are for its user. */
typedef struct tw_decoder {
  tw_slot slots[TW_SLOTS]; /* the values of the last record, when it had a shape */
  tw_slot *tape;           /* its text order, when it had none: see tw_json_decode */
  int64_t at;              /* where the last record did not parse, from 0 */
  int32_t fault;           /* enum tw_fault */
  int32_t filled;          /* fields of the last record (csv) */
  int32_t width;           /* fields that a record must have, 0: any number (csv) */
} tw_decoder;

/* A decoder, new. NULL: no memory. */
tw_decoder *tw_decoder_open(void);
void tw_decoder_close(tw_decoder *dec); /* NULL is fine */

/* Reads only the top-level fields named so, up to TW_SLOTS of them, in this order in
 * slots; to be called before the first record. The name is copied. 0, or a status. */
int tw_decoder_field(tw_decoder *dec, const char *name, int64_t len);

/* The shape that a decode function returned: a tape of its own, a TW_SLOT_MAP, then for
 * each pair the key as TW_SLOT_STRING and the value: a map with pairs again, or the
 * kind that the slot of that value has (the k-th value is in slot k). For csv without
 * names a TW_SLOT_LIST, then the kinds. Above TW_SHAPES it stands for the same keys
 * with any kinds: all are TW_SLOT_NONE, and those of the slots count. The decoder's,
 * unchanged until it closes. NULL: no such shape, or no memory. */
const tw_slot *tw_decoder_shape(const tw_decoder *dec, int shape);

/* Take one JSON text (RFC 8259) apart: text, len bytes, borrowed until the slots have
 * been read. Strings are passed on as bytes: UTF-8 is not verified, an escaped half of
 * a surrogate pair becomes U+FFFD. Numbers become doubles, correctly rounded.
 *
 * > 0  a shape: the values are in slots; one of kind LIST or MAP has the index of its
 *      node on the tape in i64
 * 0    no shape: the text is on the tape. A LIST there is followed by its members, a
 *      MAP by its pairs of STRING and value; i64 of both is the index after them
 *
 * TW_EPARSE: see fault and at. TW_ENOMEM, TW_EINVAL (of 2 GB or more). O(len); the
 * decoder's memory grows to that of the longest record. */
int tw_json_decode(tw_decoder *dec, const char *text, int64_t len);

/* Take a line of logfmt apart: strings, a bare key true. As tw_json_decode. */
int tw_logfmt_decode(tw_decoder *dec, const char *text, int64_t len);

/* Take a line of a web server's log apart: the combined format, the common one, or the
 * combined one with http_x_forwarded_for. The fields of tw_decoder_field are nginx's
 * names and time, seconds since 1970. As tw_json_decode. */
int tw_combined_decode(tw_decoder *dec, const char *text, int64_t len);

/* Take a MessagePack value apart. Keys are strings, numbers or booleans. As
 * tw_json_decode. */
int tw_msgpack_decode(tw_decoder *dec, const char *bytes, int64_t len);

/* Take a table apart that LuaJIT's string.buffer has written, and that may be followed by
 * more: at is then where it ends. As tw_json_decode, but TW_EPARSE (at is 0) stands for all
 * that string.buffer itself has to read: what is no table of pairs with strings as keys, or
 * has a value in it that no slot takes. The dictionary (up to 128 strings, copied) is told
 * before, string by string; of metatables there is one, null's. */
int tw_packed_decode(tw_decoder *dec, const char *bytes, int64_t len);
int tw_packed_dict(tw_decoder *dec, const char *text, int64_t len);

/* What a column of csv is read as. ORDER TW_CSV (lua/tideway/codec/csv.lua) */
enum tw_csv_type {
  TW_CSV_STRING = 0,
  TW_CSV_F64 = 1,
  TW_CSV_I64 = 2,
  TW_CSV_BOOL = 3,
  TW_CSV_TIME = 4 /* ISO 8601 or a number: seconds since 1970 */
};

/* Take a csv record apart into its fields, in order; with fields of tw_decoder_field
 * these are the names of the columns. As tw_json_decode, but what has no shape is on
 * the tape as a LIST. An empty field of another type than string is null. */
int tw_csv_decode(tw_decoder *dec, const char *text, int64_t len);

/* The byte between fields (to be set before the first record); how many columns there
 * must be, 0: any number (forgets the shapes); the type of a column, from 0. 0 or a
 * status. */
int tw_csv_delimiter(tw_decoder *dec, int delimiter);
int tw_csv_width(tw_decoder *dec, int columns);
int tw_csv_type(tw_decoder *dec, int column, int type);

/* Text on its way out. What is put when there is no memory is left away and status says
 * so from then on; the put functions return nothing, so that a loop of them needs no
 * tests. */
typedef struct tw_out {
  char *bytes; /* len bytes, not ended by a 0; NULL while there is no room */
  int64_t len;
  int64_t room;
  int32_t status; /* 0, or TW_ENOMEM: something is missing */
} tw_out;

tw_out *tw_out_open(void); /* new; NULL: no memory */
void tw_out_close(tw_out *out);

/* Start again with nothing; status is 0. More than 1 MB of room is given back. */
void tw_out_clear(tw_out *out);

/* Append len bytes; a number (finite: the shortest text that reads back as x); an
 * integer. */
void tw_out_bytes(tw_out *out, const char *bytes, int64_t len);
void tw_out_num(tw_out *out, double x);
void tw_out_i64(tw_out *out, int64_t x);
void tw_out_u64(tw_out *out, uint64_t x);

/* Append a JSON string, quotes included; bytes from 0x80 on as they are. */
void tw_json_string(tw_out *out, const char *bytes, int64_t len);

/* Append a csv field, quoted where it must be. */
void tw_csv_field(tw_out *out, const char *bytes, int64_t len, int delimiter);

/* 1 when the bytes can be a key of logfmt, else 0. Append a value, quoted where it must
 * be. */
int tw_logfmt_is_key(const char *bytes, int64_t len);
void tw_logfmt_value(tw_out *out, const char *bytes, int64_t len);

/* Append a quoted field of a web server's log; a time_local in UTC. */
void tw_combined_quoted(tw_out *out, const char *bytes, int64_t len);
void tw_combined_time(tw_out *out, double seconds);

/* Append MessagePack: a number (as an integer where it is one), integers, a string, the
 * head of a list of n values or a map of n pairs, a byte (0xC0 nil, 0xC2 false, 0xC3
 * true). Lengths and n are below 2^32. */
void tw_msgpack_num(tw_out *out, double x);
void tw_msgpack_i64(tw_out *out, int64_t x);
void tw_msgpack_u64(tw_out *out, uint64_t x);
void tw_msgpack_string(tw_out *out, const char *text, int64_t len);
void tw_msgpack_list(tw_out *out, int64_t n);
void tw_msgpack_map(tw_out *out, int64_t n);
void tw_msgpack_byte(tw_out *out, int byte);

/* ---- HTTP client (http/client.c; in libtideway-http, which needs libcurl) ------- */
/* cdef: part http */

typedef struct tw_http tw_http;
typedef struct tw_http_call tw_http_call;

typedef struct tw_http_options {
  const char *method;  /* "GET" */
  const char *url;     /* http or https */
  const char *headers; /* lines "Name: value", each ended by a newline; NULL: none */
  const char *body;    /* body_len bytes; NULL: none */
  int64_t body_len;
  int64_t max_body;        /* a longer one is an error; of the unpacked body */
  int verify;              /* 0: take any certificate */
  const char *ca_file;     /* certificates to trust; NULL: the system's */
  const char *cert;        /* a PEM file: the client's certificate; NULL: none */
  const char *key;         /* a PEM file; NULL: in that of cert */
  const char *proxy;       /* NULL: as the environment says, "": none */
  const char *unix_socket; /* to connect to, whatever the host is called; or NULL */
} tw_http_options;

/* TW_ABI of the library that holds this part. Any thread. */
int tw_http_abi(void);

/* A client, whose connections are kept for the next request; NULL: no memory. The process
 * ignores SIGPIPE from now on, unless it has a handler. */
tw_http *tw_http_open(tw_loop *loop);

/* Closes the client, taken, and its connections; calls under way fail. NULL is fine. */
void tw_http_close(tw_http *client);

/* Start a request; its call is reported ready once, when it is over.
 * options  borrowed, all of it.
 * Returns a new call, or NULL: no memory. */
tw_http_call *tw_http_start(tw_http *client, const tw_http_options *options);

/* Gives the call up, if it is under way, and frees it, taken; NULL is fine. */
void tw_http_end(tw_http_call *call);

/* Its id in tw_loop_poll. */
uint32_t tw_http_id(const tw_http_call *call);

/* TW_AGAIN while it is under way, TW_OK with an answer of any status; TW_EIO: there is none,
 * which may be different another time; TW_EINVAL: nor will there be. */
int tw_http_state(const tw_http_call *call);

/* Has it got as far as to send the request? Also while it is under way. */
int tw_http_connected(const tw_http_call *call);

/* Of the answer: its status; head and body, len bytes each; where it redirects to, "" when it
 * does not; after how many seconds it wants to be asked again, 0 when it does not say; why
 * there is none. Views, valid until tw_http_end. */
int tw_http_status(const tw_http_call *call);
const char *tw_http_head(const tw_http_call *call, int64_t *len);
const char *tw_http_body(const tw_http_call *call, int64_t *len);
const char *tw_http_redirect(const tw_http_call *call);
int64_t tw_http_retry_after(const tw_http_call *call);
const char *tw_http_error(const tw_http_call *call);

/* ---- TLS of servers (http/tls.c; in libtideway-tls, which needs OpenSSL) --------- */
/* cdef: part tls */

typedef struct tw_tls tw_tls;

typedef struct tw_tls_options {
  const char *cert;      /* a PEM file: the certificate, then those that vouch for it */
  const char *key;       /* a PEM file, not encrypted */
  const char *client_ca; /* a PEM file: who vouches for clients; NULL: any client */
} tw_tls_options;

/* TW_ABI of the library that holds this part. Any thread. */
int tw_tls_abi(void);

/* What a server's TLS sessions share. The files are read now.
 * Returns a new handle, or NULL and the reason in error (size bytes, cut). */
tw_tls *tw_tls_open(const tw_tls_options *options, char *error, int64_t size);

/* Closes it, taken; servers that have it keep it. NULL is fine. */
void tw_tls_close(tw_tls *tls);

/* ---- HTTP server (http/server.c; in libtideway-httpd, which needs llhttp) -------- */
/* cdef: part httpd */

typedef struct tw_httpd tw_httpd;

typedef struct tw_httpd_options {
  const char *host;        /* an IP address */
  int port;                /* 0: one that is free */
  const char *path;        /* of a Unix socket, instead of host and port; or NULL */
  tw_tls *tls;             /* its clients speak TLS; NULL: they do not */
  int backlog;             /* connections that the system accepts ahead */
  int64_t max_connections; /* further ones wait in the backlog */
  int64_t max_head;        /* bytes of target and headers; more: 431 (414) */
  int64_t max_body;        /* bytes; more: 413 */
  int64_t
      max_held; /* bytes of requests that wait for the pipeline, before nothing is read,
                       and of incomplete ones, before one is read at a time */
  int64_t piece;   /* bytes; larger bodies are handed out in pieces; 0: as a whole */
  int64_t read_ms; /* for a head, and for each step of a body or an answer; then 408 */
  int64_t idle_ms; /* of a connection without a request */
} tw_httpd_options;

typedef struct tw_httpd_request {
  double
      id; /* a whole number that does not come again; 0 once it does not wait any more */
  const char *method; /* "POST" */
  const char *target; /* "/path?query" */
  const char
      *headers; /* headers_len bytes: name 0 value 0 ..., names in small letters */
  int64_t headers_len;
  const char *body; /* body_len bytes */
  int64_t body_len;
  int minor; /* of HTTP/1.minor */
  int more; /* this is a piece of the body: once it is taken, the next one comes, under the
              * same id; target and headers are there with the first only */
} tw_httpd_request;

enum tw_httpd_counts {
  TW_HTTPD_CONNECTIONS = 0, /* accepted */
  TW_HTTPD_DONE = 1,        /* answered below 300 */
  TW_HTTPD_REFUSED = 2,     /* answered 300 .. 499 */
  TW_HTTPD_FAILED = 3,      /* answered from 500 on */
  TW_HTTPD_LATE = 4,        /* of those: 503, were not through in time */
  TW_HTTPD_BROKEN = 5,      /* connections that ended or stood still within a request */
  TW_HTTPD_COUNTS = 6
};

/* TW_ABI of the library that holds this part. Any thread. */
int tw_httpd_abi(void);

/* A server that has its port or path and does not listen yet. A socket in the file system that
 * nobody listens on any more is replaced. The process ignores SIGPIPE from now on, unless it
 * has a handler.
 * options  borrowed; host and path until this returns.
 * Returns a new handle, or NULL and the reason in error (size bytes, cut). */
tw_httpd *tw_httpd_open(tw_loop *loop, const tw_httpd_options *options, char *error,
                        int64_t size);

/* Take connections from now on. The server is reported ready when there are requests.
 * Returns TW_OK, or TW_EIO and the reason in error: the port is taken. */
int tw_httpd_listen(tw_httpd *server, char *error, int64_t size);

/* Give the port back; what has not been handed out is answered 503, connections without a
 * request are closed. Requests that were handed out are still answered. */
void tw_httpd_stop(tw_httpd *server);

/* How many connections there are; after tw_httpd_stop: that wait for an answer, or to take
 * it. Then the server is reported ready when one goes. */
int64_t tw_httpd_busy(const tw_httpd *server);

/* Closes the server, taken, and all its connections at once; NULL is fine. */
void tw_httpd_close(tw_httpd *server);

/* Its port, 0 of a Unix socket; its id in tw_loop_poll. */
int tw_httpd_port(const tw_httpd *server);
uint32_t tw_httpd_id(const tw_httpd *server);

/* Hand out the complete requests, in order, some at a time: how many are now in
 * tw_httpd_requests, 0 when there is none. */
int tw_httpd_next(tw_httpd *server);

/* What was handed out last: a view, each valid until it is answered or taken and only while
 * tw_httpd_waits; the array until the next tw_httpd_next. The address stays the same. */
const tw_httpd_request *tw_httpd_requests(const tw_httpd *server);

/* 1 while a request waits for its answer; 0: it was answered, or its client has gone. */
int tw_httpd_waits(const tw_httpd *server, double id);

/* The bytes of a request, or of a piece of one, are not needed any more. */
void tw_httpd_take(tw_httpd *server, double id);

/* Answer a request.
 * head  header lines, each ended by CR LF, head_len bytes; without Content-Length,
 *       Connection and Date, which the server knows.
 * Returns 1, or 0: nobody waits for it any more. */
int tw_httpd_answer(tw_httpd *server, double id, int status, const char *head,
                    int64_t head_len, const char *body, int64_t body_len);

/* The IP address of a request's client. TW_OK or TW_EIO. */
int tw_httpd_peer(const tw_httpd *server, double id, char *buf, int64_t size);

/* Requests that have become complete since the last call did so now, by the owner's clock
 * (from 0). Then: when the oldest that waits for its answer did, -1 when none waits. */
double tw_httpd_stamp(tw_httpd *server, double now);

/* Answer 503 to those stamped at or before a time. Returns as tw_httpd_stamp. */
double tw_httpd_expire(tw_httpd *server, double before);

/* Is there a request to hand out? */
int tw_httpd_queued(const tw_httpd *server);

/* One of enum tw_httpd_counts, since it was opened. */
int64_t tw_httpd_count(const tw_httpd *server, int what);
/* ---- MQTT (mqtt/; in libtideway-mqtt, which needs OpenSSL) ---------------------- */
/* cdef: part mqtt */

typedef struct tw_mqtt tw_mqtt;
typedef struct tw_mqtt_tls tw_mqtt_tls;

typedef struct tw_mqtt_options {
  const char *host;
  int port;
  const char *client_id;
  const char *username, *password; /* NULL: none */
  int64_t password_len;
  int version; /* 4: MQTT 3.1.1; 5; 0: 5, and 3.1.1 when the broker does not know that */
  int clean;   /* the broker's session begins anew, and ends with the handle */
  uint32_t
      expiry_s;    /* version 5: how long it keeps the session; UINT32_MAX: for ever */
  int keepalive_s; /* 0: none */
  int timeout_ms;  /* to be connected */
  int in_flight;   /* 1 .. 65535: messages without their acknowledgement */
  int64_t max_message; /* bytes; what is larger ends the connection; 0: any */
  const char *filters; /* what to subscribe to: each ended by 0, filters_len bytes */
  int64_t filters_len;
  int qos;          /* of the subscription, 0 .. 2 */
  tw_mqtt_tls *tls; /* NULL: plain TCP */
} tw_mqtt_options;

typedef struct tw_mqtt_message {
  const char *topic, *payload, *properties;
  int64_t topic_len, payload_len, properties_len;
  double number; /* for tw_mqtt_release; 0 of QoS 0 */
  int qos, retained, duplicate;
  int kept; /* by tw_mqtt_keep */
} tw_mqtt_message;

typedef struct tw_mqtt_property {
  const char *name, *value; /* name: of a user property */
  int64_t name_len, value_len;
} tw_mqtt_property;

typedef struct tw_mqtt_record {
  const char *topic, *payload, *properties; /* properties: as MQTT 5 writes them */
  int64_t topic_len, payload_len, properties_len;
  int qos, retain;
  uint64_t id; /* what it is reported by; 0: it is reported only when it fails */
} tw_mqtt_record;

typedef struct tw_mqtt_report {
  uint64_t id;
  int error; /* 0: it has arrived; else a reason: see tw_mqtt_reason */
} tw_mqtt_report;

enum tw_mqtt_state {
  TW_MQTT_DOWN = 0,       /* see tw_mqtt_error; tw_mqtt_connect may help */
  TW_MQTT_CONNECTING = 1, /* or subscribing */
  TW_MQTT_UP = 2,
  TW_MQTT_REFUSED = 3, /* down, and another attempt would go no better */
  TW_MQTT_CLOSING = 4,
  TW_MQTT_CLOSED = 5
};

/* TW_ABI of the library that holds this part. Any thread. */
int tw_mqtt_abi(void);

/* Settings of TLS: the certificates to trust (NULL: the system's), the client's own and its
 * key (both or NULL), as PEM files; verify: 0 takes any certificate.
 * Returns a new one, or NULL and the reason in error (size bytes, cut). */
tw_mqtt_tls *tw_mqtt_tls_open(const char *ca, const char *cert, const char *key,
                              int verify, char *error, int64_t size);

/* Taken; NULL is fine. Clients that were opened with it keep it. */
void tw_mqtt_tls_close(tw_mqtt_tls *tls);

/* A client of a broker, which does not connect yet. The process ignores SIGPIPE from now on,
 * unless it has a handler. It is reported ready when its state changes, messages have come or
 * records have arrived.
 * options  borrowed, its texts as well.
 * Returns a new handle, NULL: no memory. Thread: the loop's. */
tw_mqtt *tw_mqtt_open(tw_loop *loop, const tw_mqtt_options *options);

/* Says goodbye, without waiting for anything; taken, NULL is fine. */
void tw_mqtt_close(tw_mqtt *mqtt);

/* Its id in tw_loop_poll. */
uint32_t tw_mqtt_id(const tw_mqtt *mqtt);

/* Connect (again), and subscribe where the broker does not know of it. TW_OK, also when that fails later;
 * TW_EINVAL: it is not down, nor refused. */
int tw_mqtt_connect(tw_mqtt *mqtt);

/* Acknowledge what is through, say goodbye and wait for the other side to close, at most 10 s:
 * then it is TW_MQTT_CLOSED. */
void tw_mqtt_disconnect(tw_mqtt *mqtt);

/* One of enum tw_mqtt_state; why it is down: a view, until the state changes. */
int tw_mqtt_state(const tw_mqtt *mqtt);
const char *tw_mqtt_error(const tw_mqtt *mqtt);

/* Hand out the messages that have come; of the batch before all are through that are not kept.
 * As long as much is waiting here nothing is read from the broker.
 * Returns how many are in tw_mqtt_messages, TW_AGAIN: none; it will be reported ready. */
int tw_mqtt_next(tw_mqtt *mqtt);

/* The last batch: a view, until the next tw_mqtt_next. */
const tw_mqtt_message *tw_mqtt_messages(const tw_mqtt *mqtt);

/* The number of the message on its way, -1 before the first: written by who delivers them.
 * Those before it are through, unless they are kept. The address stays the same. */
int *tw_mqtt_at(tw_mqtt *mqtt);

/* The message on its way has been delivered, and the batch is over: what comes after it is not
 * delivered, and not acknowledged. */
void tw_mqtt_back(tw_mqtt *mqtt);

/* Message i of the batch is through when tw_mqtt_release says so, once. */
void tw_mqtt_keep(tw_mqtt *mqtt, int i);
void tw_mqtt_release(tw_mqtt *mqtt, double number);

/* How many messages of QoS 1 and 2 were handed out and are not through. */
int64_t tw_mqtt_kept(const tw_mqtt *mqtt);

/* Read nothing more. */
void tw_mqtt_stop(tw_mqtt *mqtt);

/* Property k (from 0) of message i of the batch. Returns its id (MQTT 5, 2.2.2.2), 0: there is
 * none. Those that are numbers have no value here. */
int tw_mqtt_property_of(const tw_mqtt *mqtt, int i, int k, tw_mqtt_property *property);

/* Send a record, copied, now or when there is a connection.
 * Returns TW_OK; TW_AGAIN: so many are on their way that it has to wait, and it is reported
 * ready when there is room; TW_EINVAL: see tw_mqtt_error; TW_ENOMEM. */
int tw_mqtt_publish(tw_mqtt *mqtt, const tw_mqtt_record *record);

/* How many records have not arrived. */
int64_t tw_mqtt_pending(const tw_mqtt *mqtt);

/* Give up what has not arrived: each is reported with the error -1. */
void tw_mqtt_drop(tw_mqtt *mqtt);

/* Hand out reports, some at a time: how many are in tw_mqtt_report_of, whose address stays the
 * same. */
int tw_mqtt_reports(tw_mqtt *mqtt);
const tw_mqtt_report *tw_mqtt_report_of(const tw_mqtt *mqtt);

/* What the error of a report means; static. Any thread. */
const char *tw_mqtt_reason(int error);

/* ---- WebSockets (ws/; in libtideway-ws, which needs wslay, llhttp and OpenSSL) ---- */
/* cdef: part ws */

typedef struct tw_ws tw_ws;

typedef struct tw_ws_options {
  const char *host; /* a server: an IP address; a client: or a name */
  int port;         /* a server: 0: one that is free */
  int backlog;      /* connections that the system accepts ahead */
  int tls;          /* a client: speak TLS */
  int verify;       /* and check the server's certificate */
  int discard;      /* messages that come are thrown away */
  const char
      *path; /* a client: with the query; a server: no other is served; or NULL */
  const char *protocols; /* "a, b": subprotocols, the preferred one first; or NULL */
  const char *headers;   /* further lines "Name: value\r\n"; or NULL */
  const char
      *origins; /* a server: "https://a, ...": whose pages may connect; or NULL */
  const char *authority; /* a client: what it calls the server, "host:port" */
  const char *ca_file;   /* certificates to trust, PEM; NULL: the system's */
  const char *cert_file; /* a server: its certificate and key, PEM; NULL: no TLS */
  const char *key_file;
  int64_t max_connections; /* further ones wait in the backlog */
  int64_t max_message;     /* bytes; a longer one ends its connection with 1009 */
  int64_t max_held;        /* bytes of all incomplete messages; likewise, with 1013 */
  int64_t max_behind;      /* a server: bytes that a client may have to take before
                              tw_ws_send waits for it; a client: that may be unconfirmed */
  int64_t patience_ms;     /* a server: then it must have taken half, else 1013 */
  int64_t
      ping_ms; /* who is silent so long is asked, and let go after as long again; 0: never */
  int64_t shake_ms; /* for the handshakes */
  int64_t close_ms; /* for the other side's close, and the end of TCP */
} tw_ws_options;

typedef struct tw_ws_message {
  const char *ptr; /* len bytes */
  int64_t len;
  int64_t at;         /* our own business */
  const char *target; /* "/path?query" that its client has asked for; "" of a server */
  const char *remote; /* "IP port N" of the other side */
  double client;      /* the number of its connection, from 1 */
  int binary;
} tw_ws_message;

enum tw_ws_counts {
  TW_WS_CONNECTIONS = 0, /* that were opened */
  TW_WS_REFUSED = 1,     /* handshakes that failed */
  TW_WS_BROKEN = 2,      /* ended without a close */
  TW_WS_VIOLATED = 3,    /* closed: protocol errors, text that is not UTF-8 */
  TW_WS_LARGE = 4,       /* closed: max_message, max_held */
  TW_WS_SLOW = 5,        /* closed: did not take in time what was sent */
  TW_WS_SILENT = 6,      /* let go: did not answer a ping */
  TW_WS_DISCARDED = 7,   /* messages */
  TW_WS_CONNECTED = 8,   /* connections that are open now */
  TW_WS_COUNTS = 9
};

/* TW_ABI of the library that holds this part. Any thread. */
int tw_ws_abi(void);

/* 1 when the bytes are UTF-8, as text messages must be. Any thread. */
int tw_ws_is_text(const char *bytes, int64_t len);

/* A server that has its port and does not listen yet, or a client that is not connected. The
 * process ignores SIGPIPE from now on, unless it has a handler.
 * options  copied.
 * Returns a new handle, or NULL and the reason in error (size bytes, cut). */
tw_ws *tw_ws_serve(tw_loop *loop, const tw_ws_options *options, char *error,
                   int64_t size);
tw_ws *tw_ws_client(tw_loop *loop, const tw_ws_options *options, char *error,
                    int64_t size);

/* Take connections from now on.
 * Returns TW_OK, or TW_EIO and the reason in error: the port is taken. */
int tw_ws_listen(tw_ws *ws, char *error, int64_t size);

/* Connect a client that is not; it is reported ready when that has worked or failed.
 * TW_OK, or TW_EINVAL, TW_EIO. */
int tw_ws_dial(tw_ws *ws);

/* Of a client. TW_OK: it is connected; TW_AGAIN: it connects or closes, and is reported ready when
 * that changes; TW_EIO: it is not connected, see tw_ws_error. */
int tw_ws_state(const tw_ws *ws);
const char *tw_ws_error(const tw_ws *ws);

/* The code with which the server has closed the last connection, 1006: it has not; the status
 * of its answer to the last handshake, 0: there was none. */
int tw_ws_code(const tw_ws *ws);
int tw_ws_status(const tw_ws *ws);

/* No further connections. Of those there are, read what has come so far; tw_ws_next hands
 * that out, then it says TW_EOF. Each is then closed, with 1001 (a client: 1000). */
void tw_ws_stop(tw_ws *ws);

/* No further connections; those there are are closed after what is on its way. */
void tw_ws_finish(tw_ws *ws, int code, const char *reason);

/* How many connections there are, in any state. The endpoint is reported ready when one goes. */
int64_t tw_ws_busy(const tw_ws *ws);

/* Closes the endpoint, taken, and all its connections at once; NULL is fine. */
void tw_ws_close(tw_ws *ws);

/* The port of a server; its id in tw_loop_poll. */
int tw_ws_port(const tw_ws *ws);
uint32_t tw_ws_id(const tw_ws *ws);

/* The next messages, each client's in order, clients taking turns. None are read outside of
 * this. How many are in tw_ws_messages; TW_AGAIN: none yet, the endpoint will be reported ready;
 * TW_EOF: stopped, or a client that is not connected; TW_EPARSE: see tw_ws_trouble. */
int tw_ws_next(tw_ws *ws);

/* The messages of the last batch: a view, valid until the next tw_ws_next or close. The
 * address is the same for the life of the handle. */
const tw_ws_message *tw_ws_messages(const tw_ws *ws);

/* Send a message: a server to all its clients, a client to the server, now or when it is
 * connected again. Text must be UTF-8. TW_OK: it was taken, as a copy; TW_AGAIN: while
 * tw_ws_full, the endpoint is reported ready when that changes; TW_EOF: it has been stopped;
 * TW_ENOMEM. */
int tw_ws_send(tw_ws *ws, const char *bytes, int64_t len, int binary);
int tw_ws_full(const tw_ws *ws);

/* Of a client: how many messages it has ever taken, and how many of them the server has
 * confirmed. What has not been confirmed is sent again over the next connection. */
double tw_ws_sent(const tw_ws *ws);
double tw_ws_confirmed(const tw_ws *ws);

/* What was wrong with connections since the last call: how many, and what with the first, a
 * view ("PEER: what"). */
const char *tw_ws_trouble(tw_ws *ws, int *count);

/* One of enum tw_ws_counts, since it was opened. */
int64_t tw_ws_count(const tw_ws *ws, int what);

/* ---- Kafka (kafka/; in libtideway-kafka, which needs librdkafka) --------------- */
/* cdef: part kafka */

typedef struct tw_kafka_conf tw_kafka_conf;
typedef struct tw_kafka_cluster tw_kafka_cluster;
typedef struct tw_consumer tw_consumer;
typedef struct tw_producer tw_producer;

/* TW_ABI of the library that holds this part. Any thread. */
int tw_kafka_abi(void);

/* librdkafka's version ("2.0.2"), static. Any thread. */
const char *tw_kafka_version(void);

/* Settings of a client, by librdkafka's names; NULL: no memory. */
tw_kafka_conf *tw_kafka_conf_open(void);
void tw_kafka_conf_close(tw_kafka_conf *conf);

/* Returns TW_OK, or TW_EINVAL and librdkafka's words in error (size bytes, cut). */
int tw_kafka_conf_set(tw_kafka_conf *conf, const char *name, const char *value,
                      char *error, int64_t size);

/* A cluster in this process: librdkafka's mock, in memory, on 127.0.0.1. It keeps 5 MB a
 * partition and stores no transactions. NULL: it could not be made. */
tw_kafka_cluster *tw_kafka_cluster_open(int brokers);
void tw_kafka_cluster_close(tw_kafka_cluster *cluster);

/* The one of this process that threads share, made when it is first asked for; each who has it
 * closes it. A topic that is there already can be made again. Any thread. */
tw_kafka_cluster *tw_kafka_cluster_share(int brokers);

/* Its addresses, for `bootstrap.servers`; a view, valid until it is closed. */
const char *tw_kafka_cluster_brokers(const tw_kafka_cluster *cluster);

/* librdkafka's rd_kafka_mock_cluster_t *, borrowed, for its other functions. */
void *tw_kafka_cluster_mock(const tw_kafka_cluster *cluster);

/* Make a topic. Returns TW_OK, or TW_EINVAL: it is there, or the name is none. */
int tw_kafka_cluster_topic(tw_kafka_cluster *cluster, const char *name, int partitions);

typedef struct tw_kafka_message {
  const char *value; /* NULL: a tombstone */
  const char *key;   /* NULL: none */
  int64_t value_len, key_len;
  int64_t offset;
  int32_t part;  /* tw_consumer_topic, tw_consumer_partition */
  int32_t epoch; /* of the partition's assignment */
} tw_kafka_message;

typedef struct tw_consumer_options {
  const char *topics; /* each ended by a newline; "^..." is a pattern */
  int commit;       /* offsets of what is through are stored for librdkafka to commit */
  int direct;       /* partitions come by tw_consumer_propose, not from the group */
  int until_end;    /* end when the ends of all partitions have been reached */
  int batch;        /* messages at a time, at most */
  int loud;         /* librdkafka writes its log to standard error */
  int64_t drain_ms; /* how long a partition that goes may still be worked on */
  int64_t cut_ms;   /* a batch is cut after so long; 0: never */
} tw_consumer_options;

/* What has happened to the assignment. ORDER TW_REBALANCE (lua/tideway/kafka.lua) */
enum tw_rebalance {
  TW_REBALANCE_NONE = 0,
  TW_REBALANCE_ASSIGN = 1, /* partitions come */
  TW_REBALANCE_REVOKE =
      2, /* partitions go, when what was read of them has been worked on */
  TW_REBALANCE_LOST = 3 /* they are gone: somebody else may have them already */
};

/* A member of a group, on the loop: reported ready when there are messages, a rebalance, a
 * notice, or when what was waited for (tw_consumer_drained, tw_consumer_closed) is there.
 * conf     taken, also on failure.
 * options  borrowed.
 * Returns a new handle, or NULL and the reason in error (size bytes, cut). */
tw_consumer *tw_consumer_open(tw_loop *loop, tw_kafka_conf *conf,
                              const tw_consumer_options *options, char *error,
                              int64_t size);

/* Closes it, taken, and leaves the group; waits for that when it was not stopped and
 * closed before. What is through is committed. NULL is fine. */
void tw_consumer_close(tw_consumer *consumer);

/* Its id in tw_loop_poll. */
uint32_t tw_consumer_id(const tw_consumer *consumer);

/* The next messages, in tw_consumer_messages; those before are no longer valid. After a cut
 * (below) first what is left of the last batch, without those of partitions that are gone.
 * Returns their number, or TW_AGAIN: none now, or a rebalance is to be dealt with;
 * TW_EOF: all ends have been reached (until_end); TW_EIO, see tw_consumer_error. */
int tw_consumer_next(tw_consumer *consumer);

/* The batch has been delivered, up to and with the message `at`. */
void tw_consumer_back(tw_consumer *consumer);

/* Where the messages are; the same address for ever. */
const tw_kafka_message *tw_consumer_messages(const tw_consumer *consumer);

/* The number of the message on its way (-1: none yet), written by the user: those before it
 * are done with, or kept. cut: not 0: deliver no more of this batch; written by us. */
int *tw_consumer_at(tw_consumer *consumer);
const int *tw_consumer_cut(const tw_consumer *consumer);

/* When message i was made, in ms since 1970; -1: not known. */
int64_t tw_consumer_timestamp(const tw_consumer *consumer, int i);

/* Header k (from 0) of message i. name: a view, as value, len bytes (NULL: none).
 * Returns 1, or 0: there are not so many. */
int tw_consumer_header(const tw_consumer *consumer, int i, int k, const char **name,
                       const char **value, int64_t *len);

/* The topic and number of a partition of a message. */
const char *tw_consumer_topic(const tw_consumer *consumer, int part);
int tw_consumer_partition(const tw_consumer *consumer, int part);

/* Message i is not done with yet. In the order of their numbers, before `at` goes beyond it.
 * Returns its number among those kept of its partition, for tw_consumer_release; -1: the
 * partition is gone; TW_ENOMEM. */
int64_t tw_consumer_keep(tw_consumer *consumer, int i);

/* It is done with now. Numbers of partitions that were gone meanwhile are ignored. */
void tw_consumer_release(tw_consumer *consumer, int part, int64_t number);

/* on: report when nothing is kept any more, and now and then before. */
void tw_consumer_watch(tw_consumer *consumer, int on);

/* Cut the batch. */
void tw_consumer_interrupt(tw_consumer *consumer);

/* How many are kept. */
int64_t tw_consumer_kept(const tw_consumer *consumer);

/* Where a partition would be read on: all before is done with. -1: not known yet. */
int64_t tw_consumer_position(const tw_consumer *consumer, int part);

/* What is to be dealt with by tw_consumer_rebalance, see TW_REBALANCE. Until then nothing
 * is read. */
int tw_consumer_event(const tw_consumer *consumer);

/* 1 when nothing of the partitions that are to go is kept any more, or the time is over. */
int tw_consumer_drained(tw_consumer *consumer);

/* Deal with the event: take the partitions, or store what is through and give them up.
 * Returns how many there are now, or TW_EIO. */
int tw_consumer_rebalance(tw_consumer *consumer);

/* Instead of a group (direct): an event that gives these partitions, "topic\tnumber\n" each;
 * none: that takes all that there are. TW_OK or TW_ENOMEM. */
int tw_consumer_propose(tw_consumer *consumer, const char *partitions);

/* Read no more; store what is through, then and as it gets through. */
void tw_consumer_stop(tw_consumer *consumer);

/* Commit and leave the group: to be called until it returns 1 (waiting for reports), after
 * 10 s at the latest. */
int tw_consumer_closed(tw_consumer *consumer);

/* Store and commit what is through now, without waiting. */
void tw_consumer_commit(tw_consumer *consumer);

/* The next thing that a person should hear of (a broker that cannot be reached ...), or
 * NULL; valid until the next call. */
const char *tw_consumer_notice(tw_consumer *consumer);

/* Why tw_consumer_next or tw_consumer_rebalance failed. */
const char *tw_consumer_error(const tw_consumer *consumer);

typedef struct tw_kafka_record {
  const char *value; /* NULL: a tombstone */
  const char *key;   /* NULL: none */
  int64_t value_len, key_len;
  int64_t timestamp; /* ms since 1970; 0: now */
  uint64_t id;       /* reported by tw_producer_reports; 0: only failures are */
  int32_t topic;     /* of tw_producer_topic */
  int32_t partition; /* -1: as the key says */
} tw_kafka_record;

typedef struct tw_kafka_report {
  uint64_t id;
  const char
      *topic; /* of one that has failed, borrowed from the producer; NULL: unknown */
  int32_t partition;
  int error; /* librdkafka's; 0: it has arrived */
} tw_kafka_report;

/* A producer, on the loop: reported ready when there are reports.
 * conf  taken, also on failure. loud: its log goes to standard error.
 * Returns a new handle, or NULL and the reason in error (size bytes, cut). */
tw_producer *tw_producer_open(tw_loop *loop, tw_kafka_conf *conf, int loud, char *error,
                              int64_t size);

/* Closes it, taken; what is on its way has 5 s to be delivered, then it is lost. NULL is
 * fine. */
void tw_producer_close(tw_producer *producer);

uint32_t tw_producer_id(const tw_producer *producer);

/* The number of a topic, or TW_EIO. */
int tw_producer_topic(tw_producer *producer, const char *name);

/* A header of the next record that is sent; value NULL: none. TW_OK or TW_ENOMEM. */
int tw_producer_header(tw_producer *producer, const char *name, const char *value,
                       int64_t len);

/* Send a record; its bytes are copied. Between two transactions it waits for the next one.
 * Returns TW_OK, TW_AGAIN: the queue is full, wait for reports; TW_EINVAL: it can never be sent
 * (too large, no such partition); TW_EIO. The headers are used up in any case. */
int tw_producer_send(tw_producer *producer, const tw_kafka_record *record);

/* The same for a record made of the consumer's message on its way, which is kept until the
 * record has arrived; only a failure is reported, then it stays kept. id is not used. */
int tw_producer_send_kept(tw_producer *producer, const tw_kafka_record *record,
                          tw_consumer *consumer);

/* Records that have not been reported yet. */
int64_t tw_producer_pending(const tw_producer *producer);

/* Those of them that wait for a transaction. */
int64_t tw_producer_waiting(const tw_producer *producer);

/* Take what was reported: how many there are in tw_producer_report, at most 1000. */
int tw_producer_reports(tw_producer *producer);
const tw_kafka_report *tw_producer_report(const tw_producer *producer);

/* The words for a report's error; static. */
const char *tw_kafka_error_text(int error);

const char *tw_producer_notice(tw_producer *producer);
const char *tw_producer_error(const tw_producer *producer);

/* Steps of a transaction. ORDER TW_TXN (lua/tideway/kafka.lua) */
enum tw_txn {
  TW_TXN_INIT =
      1, /* once, before all: what an earlier one of this id left is aborted */
  TW_TXN_COMMIT = 2, /* the records since, and the offsets of what is through by now */
  TW_TXN_ABORT = 3 /* the records since; the consumer goes back to what was committed */
};

/* Do a step, on another thread: the producer is reported ready when it is over. Each begins
 * the next transaction; records that are sent meanwhile are of that one (TW_TXN_ABORT drops
 * those that wait). It goes on trying as long as there is hope.
 * consumer  of which nothing may be kept; NULL: none. TW_TXN_COMMIT: what it gives from now on
 *           is of the next transaction. TW_TXN_ABORT: it gives nothing until then. */
void tw_producer_step(tw_producer *producer, int step, tw_consumer *consumer);

/* TW_AGAIN while it is under way, TW_OK; TW_ECORRUPT: the transaction must be aborted;
 * TW_EIO: this producer can do no more. See tw_producer_error. */
int tw_producer_stepped(const tw_producer *producer);

/* No step takes longer than so many milliseconds (and 5 s, where that cannot be helped), one that
 * is under way from now: TW_EIO then. */
void tw_producer_hurry(tw_producer *producer, int64_t ms);

/* ---- frames (frame/) ------------------------------------------------------ */
/* cdef: part frames */

/* Type of a column. ORDER TW_COLUMN (lua/tideway/frame.lua) */
enum tw_column_type {
  TW_COL_F64 = 1,      /* f64; NaN is missing, there is no bitmap */
  TW_COL_I64 = 2,      /* i64 */
  TW_COL_BOOL = 3,     /* b: one byte a value, 0 or 1 */
  TW_COL_STRING = 4,   /* code: a number in dict for each row */
  TW_COL_TIMESTAMP = 5 /* i64: nanoseconds since 1970 */
};

/* Distinct strings, numbered from 0 in the order in which they were first seen. Only grows,
 * until it is frozen; counted, shared by the columns of all frames of one source. */
typedef struct tw_dict {
  int64_t count;     /* strings in it */
  const char *bytes; /* string k is bytes + start[k] .. bytes + start[k + 1] */
  const int64_t *start;
  struct tw_dict_index *index;
  int32_t refs;
  int32_t
      frozen; /* 1: other threads may have it, nobody changes it; 2: moreover, the next
                     frame will have mostly new strings and is better off with a new dict */
} tw_dict;

/* One column: `len` values, contiguous. Never changed once a second holder has it. */
typedef struct tw_column {
  union {
    double *f64;
    int64_t *i64;
    uint8_t *b;
    uint32_t *code;
    void *data;
  };
  uint8_t *valid; /* bit k % 8 of byte k / 8: value k is there; NULL: all are */
  tw_dict *dict;  /* of a string column */
  int64_t len;
  int64_t room;  /* values that data (and valid) have place for */
  int64_t nulls; /* missing values; of an F64 column not counted, 0 */
  int16_t type;  /* enum tw_column_type */
  int16_t block; /* what its memory is (column.c) */
  int32_t refs;
} tw_column;

/* A table: columns of one length under the names of a schema that Lua keeps by its number. */
typedef struct tw_frame {
  int64_t rows;
  tw_column **column;
  int32_t columns;
  int32_t schema; /* its number (lua/tideway/schema.lua); the index stands last */
  int32_t refs;
  int32_t room; /* columns that there is place for */
} tw_frame;

/* ---- dicts (frame/dict.c) -------------------------------------------------- */

/* A new, empty dict with one holder. NULL: no memory. */
tw_dict *tw_dict_new(void);

/* One holder more (returns dict), one less: the last one frees it; NULL is fine. Any
 * thread, as for columns and frames. */
tw_dict *tw_dict_retain(tw_dict *dict);
void tw_dict_release(tw_dict *dict);

/* The number of a string, which is put in when it is not there. The bytes are borrowed
 * and copied; bytes and start may move.
 * Returns it, or TW_ENOMEM (no memory, or 2^32 - 2 strings), or TW_EINVAL (new, and the dict
 * is frozen). O(len). */
int64_t tw_dict_add(tw_dict *dict, const char *bytes, int64_t len);

/* The number of a string, -1 when it is not there. */
int64_t tw_dict_find(const tw_dict *dict, const char *bytes, int64_t len);

/* The rank of each string among all in the order of their bytes, from 0: rank[k] < rank[j]
 * when string k comes first. A view, valid until the next tw_dict_add or tw_dict_order;
 * of a frozen dict as long as the dict.
 * O(n log n) after strings were put in, else O(1). NULL: no memory (or empty). */
const uint32_t *tw_dict_order(tw_dict *dict);

/* ---- columns (frame/column.c) ----------------------------------------------- */

/* Where a function has `tw_column **out` (or tw_frame **out), *out is NULL or what the
 * caller holds of an earlier call. It is written anew in place when nobody else holds
 * it, else let go of and replaced by a new one; so a caller that passes the same out
 * again and again allocates nothing, as long as nobody retains what it was given. After a
 * failure *out is NULL or without meaning, but still to be released. The inputs may not
 * be *out itself. */

/* A new column without values, with one holder.
 * room  values to make place for.
 * dict  of a string column, retained; NULL: a new one.
 * NULL: no memory, or no such type. */
tw_column *tw_column_new(int type, int64_t room, tw_dict *dict);

tw_column *tw_column_retain(tw_column *col);
void tw_column_release(tw_column *col); /* NULL is fine */

/* tw_column_release of each of n: quicker than one by one, when they are out of the cache. */
void tw_column_release_all(tw_column **cols, int64_t n);

/* Bytes of a value in data: 8, 4 (string) or 1 (bool). */
int tw_column_width(int type);

/* Make *out a column of len values that may be written (all of them: data is not cleared),
 * none missing. TW_OK, TW_ENOMEM, TW_EINVAL. */
int tw_column_renew(tw_column **out, int type, tw_dict *dict, int64_t len);

/* Place for room values; data and valid may move. TW_OK or TW_ENOMEM. The functions from
 * here to tw_column_append change col, which must have one holder only. */
int tw_column_reserve(tw_column *col, int64_t room);

/* Append a value; a number to an F64, I64 (truncated), TIMESTAMP (seconds) or BOOL
 * (not 0), a 64-bit integer to I64, TIMESTAMP (nanoseconds) or F64, bytes to STRING, null
 * to any. TW_OK, TW_ENOMEM, or TW_ETYPE. */
int tw_column_put_num(tw_column *col, double x);
int tw_column_put_i64(tw_column *col, int64_t x);
int tw_column_put_bool(tw_column *col, int x);
int tw_column_put_bytes(tw_column *col, const char *bytes, int64_t len);
int tw_column_put_null(tw_column *col);

/* The number of a string for the code of a STRING column, as tw_dict_add to its dict; but one
 * that is frozen is replaced by a copy with the same numbers. Returns it, or TW_ENOMEM. */
int64_t tw_column_code(tw_column *col, const char *bytes, int64_t len);

/* Make value k (below len) a missing one. TW_OK or TW_EINVAL; takes no memory. */
int tw_column_set_null(tw_column *col, int64_t k);

/* Append count values of from (of the same type) from `first` on; the strings of another
 * dict are put into col's. TW_OK, TW_ENOMEM, TW_ETYPE, TW_EINVAL. */
int tw_column_append(tw_column *col, const tw_column *from, int64_t first,
                     int64_t count);

/* 1 when value k is missing, also NaN in an F64; else 0. */
int tw_column_is_null(const tw_column *col, int64_t k);

/* How many values are missing, NaN in an F64 column included. */
int64_t tw_column_null_count(const tw_column *col);

/* String k of the column and its length; NULL when it is missing. A view, valid until the
 * dict grows. */
const char *tw_column_text(const tw_column *col, int64_t k, int64_t *len);

/* For who computes validity himself: the bitmap, with all bits set if there was none; and
 * after it has been written the count of missing values, which clears their data and
 * leaves no bitmap when there are none. Not for F64. */
uint8_t *tw_column_bitmap(tw_column *col);
int64_t tw_column_settle(tw_column *col);

/* 1 when both have the same type and values (strings by their bytes; NaN is NaN), else 0. */
int tw_column_equal(const tw_column *a, const tw_column *b);

/* Values first .. first + count - 1, or those at the positions at[0 .. count - 1], each
 * of 0 .. len - 1 (not looked at). */
int tw_column_slice(tw_column **out, const tw_column *col, int64_t first,
                    int64_t count);
int tw_column_gather(tw_column **out, const tw_column *col, const int32_t *at,
                     int64_t count);

/* The values as another type (codec/frame_cast.c): numbers to i64 by truncation, to bool as
 * "not 0", to timestamp as seconds and back; anything to string as its text (timestamps as
 * 2001-02-03 04:05:06.25, in UTC), strings back by reading such a text. Missing stays
 * missing.
 * row  the first value that is nothing of that type (TW_ETYPE); else -1. */
int tw_column_cast(tw_column **out, const tw_column *col, int type, int64_t *row);

/* Memory held by the column without its dict, in bytes. */
int64_t tw_column_bytes(const tw_column *col);

/* ---- frames as such (frame/frame.c) ----------------------------------------- */

/* A new frame with one holder, no rows, and NULL for each of its columns. NULL: no memory. */
tw_frame *tw_frame_new(int columns, int schema);

tw_frame *tw_frame_retain(tw_frame *frame);
void tw_frame_release(tw_frame *frame); /* NULL is fine */

/* tw_frame_release of each of n, as tw_column_release_all. */
void tw_frame_release_all(tw_frame **frames, int64_t n);

/* Make *out a frame with so many columns of which the first ones may still stand there
 * from before, to be written anew with tw_column_renew(&(*out)->column[k], ...). rows is
 * 0. */
int tw_frame_renew(tw_frame **out, int columns, int schema);

/* Put a column in as number k (from 0); what was there is released, rows becomes its
 * length. set retains it, take takes the caller's hold. NULL: none. The frame must have
 * one holder only. */
void tw_frame_set(tw_frame *frame, int k, tw_column *col);
void tw_frame_take(tw_frame *frame, int k, tw_column *col);

/* 1 when all columns are there and have `rows` values, else 0. */
int tw_frame_whole(const tw_frame *frame);

/* Rows first .. first + count - 1, or those at[0 .. count - 1], as tw_column_slice and
 * tw_column_gather; tail: the last n. TW_OK, TW_ENOMEM, TW_EINVAL. */
int tw_frame_slice(tw_frame **out, const tw_frame *frame, int64_t first, int64_t count);
int tw_frame_gather(tw_frame **out, const tw_frame *frame, const int32_t *at,
                    int64_t count);
int tw_frame_tail(tw_frame **out, const tw_frame *frame, int64_t n);

/* Append rows of another frame with the same types to *to, which becomes one of its own
 * (a copy) when others hold it or its columns; NULL: a new one. TW_OK, or TW_ENOMEM,
 * TW_ETYPE, TW_EINVAL, and then *to has the rows that it had. */
int tw_frame_append(tw_frame **to, const tw_frame *from, int64_t first, int64_t count);

/* 1 when both have equal columns, else 0; the schemas do not matter. */
int tw_frame_equal(const tw_frame *a, const tw_frame *b);

/* Memory held by the frame and its columns, without dicts. */
int64_t tw_frame_bytes(const tw_frame *frame);

/* ---- frames for other threads (frame/share.c) ----------------------------------- */

/* A frame of the same columns for another thread: new, with one holder; its schema is 0 until
 * that thread sets what it calls it. The columns are retained, their dicts frozen; a column
 * whose dict has many strings for what has been shared of it is copied, with a dict of its own.
 * NULL: no memory. O(columns), with such a copy O(rows). Thread: that of the frame; then any
 * may read, retain, share and release what both hold. */
tw_frame *tw_frame_share(const tw_frame *frame);

/* ---- masks and selections (frame/mask.c) -------------------------------------- */

/* ORDER TW_COMPARE (lua/tideway/expression.lua) */
enum tw_compare { TW_EQ, TW_NE, TW_LT, TW_LE, TW_GT, TW_GE };

/* Make *out a BOOL column that says for which values col OP y holds; a missing value is
 * unequal to everything and holds with nothing else. num: F64, I64, BOOL, TIMESTAMP (y in
 * seconds). i64: I64 and TIMESTAMP (nanoseconds). bytes: STRING, compared bytewise. 0 or a
 * status, TW_ETYPE for another type. */
int tw_mask_num(tw_column **out, const tw_column *col, int op, double y);
int tw_mask_i64(tw_column **out, const tw_column *col, int op, int64_t y);
int tw_mask_bytes(tw_column **out, const tw_column *col, int op, const char *bytes,
                  int64_t len);

/* Which values are missing. */
int tw_mask_null(tw_column **out, const tw_column *col);

/* The logic of BOOL columns of one length, missing counted as false (negate: of the mask a,
 * so that a missing value becomes true). TW_ETYPE, TW_EINVAL, TW_ENOMEM or 0. */
int tw_mask_both(tw_column **out, const tw_column *a, const tw_column *b);
int tw_mask_either(tw_column **out, const tw_column *a, const tw_column *b);
int tw_mask_negate(tw_column **out, const tw_column *a);

/* Positions of rows, ascending. at has place for room of them and may be written by the
 * caller too (tw_selection_reserve first). */
typedef struct tw_selection {
  int32_t *at;
  int64_t count;
  int64_t room;
} tw_selection;

tw_selection *tw_selection_open(void);                     /* new; NULL: no memory */
void tw_selection_close(tw_selection *sel);                /* taken; NULL is fine */
int tw_selection_reserve(tw_selection *sel, int64_t room); /* 0 or TW_ENOMEM */

/* The positions at which the mask is true and not missing. Returns the count, TW_ENOMEM, or
 * TW_ETYPE; bytes: n of them, 0 or 1. 0.5 ns a row. */
int64_t tw_selection_of(tw_selection *sel, const tw_column *mask);
int64_t tw_selection_of_bytes(tw_selection *sel, const uint8_t *mask, int64_t n);

/* *out: the rows of frame where the mask is true. sel is for scratch and says which
 * they were. */
int tw_frame_filter(tw_frame **out, const tw_frame *frame, const tw_column *mask,
                    tw_selection *sel);

/* ---- formulas (frame/formula.c) ------------------------------------------------ */

/* What a step makes of one value or two, after enum tw_compare. Comparisons, and sums,
 * differences, products, negatives and absolute values, take two of one type: F64 or I64
 * (wraps); comparisons also TIMESTAMP. ORDER TW_FORMULA (lua/tideway/dataframe/formula.lua) */
enum tw_formula_op {
  TW_FORMULA_ADD = TW_GE + 1,
  TW_FORMULA_SUB,
  TW_FORMULA_MUL,
  TW_FORMULA_DIV, /* F64 */
  TW_FORMULA_NEG,
  TW_FORMULA_ABS,
  TW_FORMULA_NUMBER, /* an F64 of I64, BOOL, TIMESTAMP (seconds) */
  TW_FORMULA_NULL,   /* of any type: is it missing? */
  TW_FORMULA_BOTH,   /* this and the next ones: BOOL; missing is false */
  TW_FORMULA_EITHER,
  TW_FORMULA_NEGATE,
  TW_FORMULA_OPS
};

/* Which rows of a frame, and what columns: some that pass unchanged, some that are computed.
 * Steps are done for some hundred rows at a time, which stay in the first cache; by AVX2
 * where there is any, with the same results. Missing values are as in tw_mask_num, and
 * make calculations missing. MonetDB/X100: Boncz, Zukowski, Nes, CIDR 2005. */
typedef struct tw_formula tw_formula;

/* A new formula of so many outputs. NULL: no memory. */
tw_formula *tw_formula_open(int outputs);
void tw_formula_close(tw_formula *f); /* NULL is fine */

/* Values: column `at` of the frame; a column that the caller will have put into *held, as long
 * as the frame; constants (i64: type I64 or TIMESTAMP). Each returns the value's number, to be
 * used in the calls below, TW_ENOMEM, or TW_EINVAL. */
int tw_formula_column(tw_formula *f, int type, int at);
int tw_formula_held(tw_formula *f, int type, tw_column *const *held);
int tw_formula_num(tw_formula *f, double x);
int tw_formula_i64(tw_formula *f, int type, int64_t x);
int tw_formula_bool(tw_formula *f, int x);

/* A value computed of others: a OP b, b any number where OP takes one; text: the comparison
 * of a STRING column with bytes (copied), by their order. What is computed is for one use.
 * Returns its number, TW_ETYPE when there is no such step, TW_EINVAL, TW_ENOMEM. */
int tw_formula_step(tw_formula *f, int op, int a, int b);
int tw_formula_text(tw_formula *f, int op, int a, const char *bytes, int64_t len);

/* Only the rows for which a BOOL is true: before the outputs and the steps for them.
 * TW_OK, TW_ETYPE, TW_EINVAL. */
int tw_formula_filter(tw_formula *f, int a);

/* Output `at` (from 0) is this value. Those that get none are left as they stand by
 * tw_formula_run. TW_OK, TW_ENOMEM, TW_EINVAL. */
int tw_formula_give(tw_formula *f, int at, int a);

/* *out: the outputs for the rows of frame.
 * sel  with a filter: says afterwards which rows those are; else which to take, NULL: all.
 * A filter that lets all rows pass makes *out another hold of frame, where the outputs are its
 * columns.
 * TW_OK, TW_ENOMEM, or TW_ETYPE: a column is not of its type or length. */
int tw_formula_run(tw_formula *f, tw_frame **out, const tw_frame *frame, int schema,
                   tw_selection *sel);

/* Do without AVX2 from now on: for specs. */
void tw_formula_narrow(tw_formula *f);

/* ---- reductions (frame/reduce.c) ---------------------------------------------- */

/* One more aggregate, of frames only: rows, missing values or not. */
enum { TW_AGG_SIZE = 32 };

struct tw_window;

/* One aggregate of one column over many frames: count sum mean var std min max size, as
 * pandas has them: missing values are left out; of none at all sum, count and size are 0
 * and the others NaN, var and std of ddof or fewer too. BOOL counts as 0 and 1. I64 sums
 * are exact. The field is for reading. */
typedef struct tw_reduce {
  int64_t i64; /* the result, when tw_reduce_value said so */
} tw_reduce;

/* agg   enum tw_agg up to max, or TW_AGG_SIZE.
 * type  of the column; STRING and TIMESTAMP only for count and size, TIMESTAMP also for
 *       min and max.
 * ddof  of var and std.
 * live  1: rows will be dropped again (windows), 0: never.
 * NULL: an argument that does not fit, or no memory. */
tw_reduce *tw_reduce_open(int agg, int type, double ddof, int live);
void tw_reduce_close(tw_reduce *r);            /* taken; NULL is fine */
tw_reduce *tw_reduce_copy(const tw_reduce *r); /* new, independent; NULL: no memory */
void tw_reduce_clear(tw_reduce *r);

/* Begin with a total and how many values it stands for, on top of what there is: of sum
 * (count of no account), count and size (total of no account), mean. TW_OK or TW_EINVAL. */
int tw_reduce_start(tw_reduce *r, double total, double count);

/* Take in values first .. first + count - 1. TW_OK, TW_ETYPE, TW_EINVAL, or TW_ENOMEM (min
 * and max of live ones), and then r has to be cleared. */
int tw_reduce_add(tw_reduce *r, const tw_column *col, int64_t first, int64_t count);

/* Follow a window on which tw_window_add has just been called: takes in what came and out
 * what left, of this column. As tw_reduce_add. */
int tw_reduce_slide(tw_reduce *r, const struct tw_window *win, int column);

/* The result. *exact: TW_COL_I64 when it is an integer that stands in r->i64 too, else
 * TW_COL_F64; NULL is fine. */
double tw_reduce_value(tw_reduce *r, int *exact);

/* ---- cumulative columns (frame/cumulate.c) -------------------------------------- */

enum tw_cumulation { TW_CUM_SUM, TW_CUM_PROD, TW_CUM_MIN, TW_CUM_MAX };

/* The running value of a column that comes in pieces. Its owner clears it with
 * tw_cumulate_init and may copy it. */
typedef struct tw_cumulate {
  double num, lost;
  int64_t i64;
  int32_t op;  /* enum tw_cumulation */
  int32_t any; /* there was a value */
} tw_cumulate;

void tw_cumulate_init(tw_cumulate *c, int op);

/* Make *out the running values, going on from c: F64 for F64, else I64 (wrapping). Where a
 * value is missing the result is, and the next one goes on. 0, TW_ETYPE (STRING; TIMESTAMP
 * except min and max, which stay TIMESTAMP), TW_ENOMEM. */
int tw_cumulate_push(tw_cumulate *c, tw_column **out, const tw_column *col);

/* ---- group-by (frame/group.c) ---------------------------------------------------- */

/* Aggregates of the rows that have equal keys. Rows with a missing key are left out. */
typedef struct tw_group tw_group;

/* key      columns (of every frame that is added) that are the keys, from 0.
 * col, agg which columns are aggregated and how, as tw_reduce_open; col of no account for
 *          TW_AGG_SIZE.
 * ddof     of var and std.
 * live     1: rows will be dropped again; groups without rows then disappear.
 * NULL: an argument that does not fit, or no memory. */
tw_group *tw_group_open(const int32_t *key, int keys, const int32_t *col,
                        const int32_t *agg, int cols, double ddof, int live);
void tw_group_close(tw_group *g);           /* taken; NULL is fine */
tw_group *tw_group_copy(const tw_group *g); /* new, independent; NULL: no memory */
void tw_group_clear(tw_group *g);

/* Groups that have rows. */
int64_t tw_group_count(const tw_group *g);

/* Aggregate these columns from now on: those that were aggregated so before go on, the
 * others begin as if their values had been missing so far. TW_OK; TW_ENOMEM, TW_EINVAL,
 * and then nothing has changed. */
int tw_group_columns(tw_group *g, const int32_t *col, const int32_t *agg, int cols);

/* Take in rows first .. first + count - 1. The first frame (it may be empty) says which
 * types the columns have; one without values so far may get another. TW_OK, TW_ETYPE,
 * TW_EINVAL; TW_ENOMEM, and then g is as after tw_group_clear. 1-3 ns a row and column. */
int tw_group_add(tw_group *g, const tw_frame *frame, int64_t first, int64_t count);

/* Follow a window, as tw_reduce_slide. */
int tw_group_slide(tw_group *g, const struct tw_window *win);

/* Make *out the frame of the groups, sorted by key: the key columns, then one column per
 * aggregate: I64 for count, size, sum of I64 and BOOL, the column's own type (I64 for BOOL)
 * for min and max, else F64. Passing the same out again and again costs only what has
 * changed, when nobody else holds it. TW_OK, TW_ENOMEM, TW_EINVAL (no frame was added). */
int tw_group_result(tw_group *g, tw_frame **out, int schema);

/* ---- windows of rows (frame/window.c) ---------------------------------------------- */

/* The rows of a window, oldest first. The fields are for reading, valid until the next call. */
typedef struct tw_window {
  tw_frame *store; /* rows first .. first + rows - 1 of it are in the window */
  int64_t first, rows;
  int64_t left_first, left; /* rows of the store that have just left, oldest first */
  const tw_frame *came;     /* the frame that was added (borrowed), or a part of it */
  int64_t came_first, came_rows; /* which of its rows have just come */
  int32_t anew;                  /* nothing of what was in the window is left */
  int32_t through; /* to be set: show rows that come and leave in one call in both */
} tw_window;

/* A window of the last n rows, or of those whose index (column number `index` of every
 * frame: TIMESTAMP, I64 or F64) lies in (max - value, max], value in seconds or in whatever
 * the number counts. NULL: n below 1, value not above 0, or no memory. */
tw_window *tw_window_open(int64_t n);
tw_window *tw_window_open_value(double value, int index);
void tw_window_close(tw_window *win);            /* taken; NULL is fine */
tw_window *tw_window_copy(const tw_window *win); /* new, independent; NULL: no memory */

/* Let the rows of a frame come, and those leave that do not belong to the window any
 * longer. In a window by value rows stand in the order of the index, equal ones in that of
 * their coming; late ones are put in their place; rows without an index do not come.
 * TW_OK; TW_ENOMEM, TW_ETYPE, and then the window is as before. O(rows), and for a late
 * row O(rows behind its place). */
int tw_window_add(tw_window *win, const tw_frame *frame);

/* Take the last tw_window_add back, once: its rows go, those that left are there again.
 * When it dropped rows that no window would have shown (through = 0) these stay away. 0;
 * TW_EINVAL: there is nothing to take back; TW_ENOMEM, and then nothing has changed. */
int tw_window_undo(tw_window *win);

/* Make *out a frame of all rows in the window. */
int tw_window_rows(const tw_window *win, tw_frame **out);

/* ---- rolling columns (frame/rolling.c) ----------------------------------------------- */

/* One aggregate of the window that ends at each row, row by row. */
typedef struct tw_rolling tw_rolling;

/* agg          enum tw_agg. count counts values that are not missing.
 * param        as tw_roll_open.
 * rows         of the window; 0: it is by value of the index, (index - value, index].
 * value        as tw_window_open_value.
 * min_periods  values (count: rows) that there must be for a result; -1: rows, by value 1.
 * NULL: an argument that does not fit, or no memory. */
tw_rolling *tw_rolling_open(int agg, double param, int64_t rows, double value,
                            int64_t min_periods);
void tw_rolling_close(tw_rolling *r); /* taken; NULL is fine */
tw_rolling *
tw_rolling_copy(const tw_rolling *r); /* new, independent; NULL: no memory */

/* Make *out an F64 column with the result for each row of col. Missing values, and as in
 * pandas infinite ones, are left out.
 * index  of the same length, for windows by value, else NULL. A late row's window is that of
 *        its index among the rows that are still there; it stands in its place for later
 *        ones. A row without an index has no result.
 * TW_OK, TW_ETYPE, TW_EINVAL; TW_ENOMEM, and then r is of no more use. */
int tw_rolling_push(tw_rolling *r, tw_column **out, const tw_column *col,
                    const tw_column *index);

/* ---- Arrow C data interface (frame/arrow.c) ------------------------------------------- */

/* As https://arrow.apache.org/docs/format/CDataInterface.html has them; release is a
 * function of one pointer to the struct itself. */
struct ArrowSchema {
  const char *format, *name, *metadata;
  int64_t flags, n_children;
  struct ArrowSchema **children, *dictionary;
  void *release;
  void *private_data;
};

struct ArrowArray {
  int64_t length, null_count, offset, n_buffers, n_children;
  const void **buffers;
  struct ArrowArray **children, *dictionary;
  void *release;
  void *private_data;
};

/* Describe a frame as a struct array, without copying: the consumer owns *schema and *array
 * and calls their release; until then frame is held. Strings are dictionary-encoded
 * (uint32 -> large utf8), timestamps "tsn:UTC".
 * names  one for each column, ended by a 0.
 * TW_OK, TW_ENOMEM, and then both are untouched. */
int tw_arrow_export(tw_frame *frame, const char *const *names,
                    struct ArrowSchema *schema, struct ArrowArray *array);

/* Call release, unless it has been; for who has no C at hand. */
void tw_arrow_release_schema(struct ArrowSchema *schema);
void tw_arrow_release_array(struct ArrowArray *array);

/* Make *out a frame with a copy of a struct array. Integers become I64 (uint64 above 2^63 - 1
 * is missing), floats F64, text STRING, dates and timestamps TIMESTAMP; dictionaries
 * of text are taken. schema and array stay the caller's, who releases them.
 * bad  the child that has another type (TW_ETYPE). */
int tw_arrow_import(tw_frame **out, const struct ArrowSchema *schema,
                    const struct ArrowArray *array, int64_t *bad);

/* ---- text to frames (codec/frame_csv.c, codec/frame_json.c) --------------------------- */

/* Takes rows of text apart into the columns of a frame. The fields are for reading. */
typedef struct tw_frame_text {
  int64_t row; /* rows so far, wrong ones too: the number, from 1, of the last one */
  const char *record; /* of a wrong row: its text, without the line's end */
  int64_t record_len;
  const char *cell; /* the text of the wrong cell, as far as there is one */
  int64_t cell_len;
  int64_t
      at; /* where in the record it is wrong, from 0, if the record does not parse */
  int32_t fault;  /* enum tw_fault; 0: nothing was wrong */
  int32_t field;  /* which field, from 0; -1: the row as a whole */
  int32_t filled; /* fields that it has (TW_FAULT_WIDTH) */
  int32_t width;  /* that it should have */
} tw_frame_text;

/* A reader of csv (RFC 4180; text that begins without a quote is taken as it is, quotes
 * included), or of a JSON object per line. New; NULL: no memory.
 * delimiter  the byte between fields, no quote or newline. */
tw_frame_text *tw_frame_csv_open(int delimiter);
tw_frame_text *tw_frame_json_open(void);
void tw_frame_csv_close(tw_frame_text *reader); /* taken; NULL is fine */
void tw_frame_json_close(tw_frame_text *reader);

/* One field more: its values go to column number `column` of the frame; of csv, in the order
 * of the text, -1: nowhere. Of JSON, under a name, copied. TW_OK, TW_ENOMEM, TW_EINVAL. */
int tw_frame_csv_field(tw_frame_text *reader, int column);
int tw_frame_json_field(tw_frame_text *reader, const char *name, int64_t len,
                        int column);

/* Append rows to the frame, whose columns (one holder, of the same length) say by their types
 * how cells are read. An empty cell is missing, `""` an empty string; of JSON null and what is
 * not there. Numbers, booleans and timestamps may have blanks around them. Lines end with
 * "\n" or "\r\n"; empty ones are no rows, except of csv with one field.
 * text  len bytes, borrowed, from the beginning of a row.
 * last  1: the text ends here; 0: a row that has not ended is left for the next call.
 * max   rows that the frame shall have in the end.
 * Returns how many bytes were used; then either fault is set, and the last row used was a
 * wrong one that is not in the frame, or the frame has max rows, or there is no whole row left.
 * Or TW_ENOMEM, TW_EINVAL: the frame is as before. Csv: some 100 instructions a cell. */
int64_t tw_frame_csv_read(tw_frame_text *reader, tw_frame *frame, const char *text,
                          int64_t len, int last, int64_t max);
int64_t tw_frame_json_read(tw_frame_text *reader, tw_frame *frame, const char *text,
                           int64_t len, int last, int64_t max);

/* The bytes of the first record of csv with its end; 0: it does not end in this text. */
int64_t tw_frame_csv_record(const char *text, int64_t len, int last, int delimiter);

/* The type that the texts of a STRING column look like: F64; I64 when all are whole numbers
 * and some too large for F64; BOOL, TIMESTAMP (ISO 8601), else STRING. */
int tw_frame_csv_guess(const tw_column *col);

/* Look at the JSON objects in text (as tw_frame_json_read) and note their fields: names, an
 * empty STRING column, gets their names as they come, types, an empty I64 column, what they
 * look like (0: no value yet). max: rows to look at. TW_OK or TW_ENOMEM. */
int tw_frame_json_guess(const char *text, int64_t len, int last, int64_t max,
                        tw_column *names, tw_column *types);

/* ---- frames to text (codec/frame_format.c) ---------------------------------------------- */
/* cdef: part formats */

/* Append the rows first .. first + count - 1 as csv: the columns at order[0 .. n - 1]. A
 * missing cell is empty, timestamps are ISO 8601 in UTC. out->status says whether there was
 * memory. */
void tw_frame_csv_write(tw_out *out, const tw_frame *frame, int64_t first,
                        int64_t count, const int32_t *order, int n, int delimiter);

/* The same as a JSON object per line. head: n texts, `{"a":`, `,"b":` ...; missing and
 * infinite is null. */
void tw_frame_json_write(tw_out *out, const tw_frame *frame, int64_t first,
                         int64_t count, const int32_t *order, const tw_slice *head,
                         int n);

/* ---- a runtime in a thread of its own (engine/thread.c) ------------------ */
/* cdef: part thread */

/* For hosts that only push: tw_open, tw_step and tw_close (see embedding) in a thread of its own,
 * with a Lua state and a loop of its own. */
typedef struct tw_thread tw_thread;

/* Start a thread that runs the script; returns when it has built its pipelines.
 * root   as in tw_options
 * names  the script's inputs that will be pushed to, count of them
 * error  room of `size` bytes for why it has failed; empty: no memory, no thread
 * NULL: it has failed. */
tw_thread *tw_thread_open(const char *script, const char *root,
                          const char *const *names, int count, char *error, int size);

/* tw_push to input number `input` of the names, from 0. Thread: any, until tw_thread_finish. */
int tw_thread_push(tw_thread *t, int input, const char *data, size_t len);

/* The oldest line that the runtime has to say, of a function that has failed above all, cut to
 * size - 1 bytes; the last 64 are kept. Returns its length, 0: there is none. Thread: any. */
int tw_thread_line(tw_thread *t, char *line, int size);

/* Close the inputs, run the pipelines to their end for at most timeout_ms, and end the thread; to
 * be called once. What it still had to say is in tw_thread_line.
 * TW_OK; TW_AGAIN: the time was over; or the first failure. */
int tw_thread_finish(tw_thread *t, int64_t timeout_ms);

/* Frees it, taken, after tw_thread_finish; NULL is fine. */
void tw_thread_close(tw_thread *t);

/* ---- what graphs have counted (core/metrics.c) ------------------------------ */
/* cdef: part metrics */

/* The counts of several threads' graphs, which any thread may read at any time: each thread has
 * a sheet with a row for each node, which it alone writes. */
typedef struct tw_metrics tw_metrics;
typedef struct tw_sheet tw_sheet;

/* ORDER TW_METRIC (lua/tideway/metrics.lua) */
enum tw_metric {
  TW_METRIC_IN,     /* elements that came */
  TW_METRIC_OUT,    /* elements given */
  TW_METRIC_ERRORS, /* calls that failed */
  TW_METRIC_QUEUE,  /* elements held */
  TW_METRIC_LIMIT,  /* how many may be */
  TW_METRICS
};

typedef struct tw_metrics_row {
  const char *name;  /* of the node, as errors show it */
  const char *kind;  /* its operator */
  const char *place; /* in the script: the same node of another copy has the same */
  int worker;        /* whose sheet it is on */
  double values[5];  /* by tw_metric; NaN where a node has none */
} tw_metrics_row;

/* No sheets yet; NULL: no memory. Close it when no thread uses it or a sheet any more; NULL is
 * fine. */
tw_metrics *tw_metrics_open(void);
void tw_metrics_close(tw_metrics *metrics);

/* Somebody wants to know: threads that look are to begin counting. Thread: any. */
void tw_metrics_want(tw_metrics *metrics);
int tw_metrics_wanted(const tw_metrics *metrics);

/* A sheet without rows, for the thread that calls and as long as `metrics`; NULL: no memory. */
tw_sheet *tw_sheet_open(tw_metrics *metrics, int worker);

/* The sheet has these rows from now on (copied; their worker is the sheet's).
 * TW_OK, or TW_ENOMEM: it has those from before. Thread: the sheet's. */
int tw_sheet_rows(tw_sheet *sheet, const tw_metrics_row *rows, int64_t n);

/* Set the values, TW_METRICS of them, of a row. Thread: the sheet's. A few ns, no lock. */
void tw_sheet_set(tw_sheet *sheet, int64_t row, const double *values);

/* *rows becomes all rows of all sheets, in the order in which these were opened: new, for
 * tw_metrics_free. Returns how many, or TW_ENOMEM. Thread: any. */
int64_t tw_metrics_read(tw_metrics *metrics, tw_metrics_row **rows);
void tw_metrics_free(tw_metrics_row *rows);

/* ---- copies of a program (engine/crew.c) ----------------------------------- */
/* cdef: part crew */

/* Threads, each with a Lua state of its own, in which the same function runs: the members of a
 * crew. What they share: whether they are to stop, what each has claimed for itself, and what
 * they have agreed on. The first whose function fails has the others told to stop. */
typedef struct tw_crew tw_crew;
typedef struct tw_member tw_member;

typedef struct tw_crew_options {
  int count;     /* of members, from 1 */
  void *furnish; /* a lua_CFunction: gives a new state its libraries and modules */
  const char
      *module; /* whose `function` each member calls with its tw_member *, its number */
  const char
      *function; /* (from 1), count, and the words; the result is an exit status */
  const tw_slice *words; /* word_count texts */
  int word_count;
  int counts; /* are the members to count from the start? (tw_crew_metrics) */
} tw_crew_options;

/* Start the threads. In each state io.stdout, the default output too, is a file of its own from
 * which whole lines go to standard output.
 * options  borrowed until tw_crew_close.
 * Returns a new handle, reported ready when a member has ended, or NULL: no memory, no threads. */
tw_crew *tw_crew_open(tw_loop *loop, const tw_crew_options *options);

/* Waits until all have ended, then frees, taken; NULL is fine. */
void tw_crew_close(tw_crew *crew);

/* Its id in tw_loop_poll. */
uint32_t tw_crew_id(const tw_crew *crew);

/* How many members have not ended. */
int tw_crew_running(tw_crew *crew);

/* The first exit status that is not 0; 0: there is none. */
int tw_crew_status(tw_crew *crew);

/* What the members' graphs have counted: a view until the crew closes. Thread: any. */
tw_metrics *tw_crew_metrics(tw_crew *crew);

/* Have all members stop. reason: up to 15 bytes; the first one that is given counts. */
void tw_crew_stop(tw_crew *crew, const char *reason);

/* ---- what a member calls, in its thread */

/* Have the member's loop report id when the members are to stop, once tw_member_watch(.., 1) has
 * been called, and not after (.., 0). Returns the id, or 0: no memory. Once a member. */
uint32_t tw_member_attach(tw_member *member, tw_loop *loop);
void tw_member_watch(tw_member *member, int on);

/* Why the members are to stop, "failure" after a failed one: a view; NULL: they are not. */
const char *tw_member_reason(tw_member *member);

/* Claim what only one member can have: a name that says what, or a path, which stands for the
 * regular file that is, or would be made, there (what is there and is none can be claimed by
 * all). Returns the number of the member that has it, this one or another; TW_ENOMEM. */
int tw_member_claim(tw_member *member, const char *name);
int tw_member_claim_path(tw_member *member, const char *path);

/* *agreed becomes the value that the first member gave for the key, a view until the crew ends.
 * Returns TW_OK or TW_ENOMEM. */
int tw_member_agree(tw_member *member, const char *key, const char *value, int64_t len,
                    tw_slice *agreed);

/* As tw_crew_metrics. A member that finds it wanted counts. */
tw_metrics *tw_member_metrics(tw_member *member);

/* Have all members count: their loops report id, as when they are to stop. Thread: any. */
void tw_member_want(tw_member *member);

/* End this member with an exit status, as exit() ends a process. Does not return. */
void tw_member_exit(tw_member *member, int status);

/* ---- worker threads (engine/worker.c) --------------------------------------- */
/* cdef: part thread */

/* A thread with a Lua state and a loop of its own, and a lane between it and the thread that
 * has opened it. Nothing else is shared. What fails there ends it and is reported here:
 * nothing is printed, nothing exits. */
typedef struct tw_worker tw_worker;

/* Start a thread that runs the code, then steps (as tw_step) until everything there has ended,
 * something has failed, or it is told to go. Returns at once: that the code does not even run
 * is a way for the worker to die.
 * loop    the caller's, on which the handle is
 * code    Lua text, copied; its ... are two strings: the address of its tw_lane in decimal,
 *         and number
 * name    of the code, for messages, copied; NULL: "code"
 * root    as in tw_options, copied
 * error   room of `size` bytes for why it has failed
 * NULL: no memory, no thread, no descriptors. */
tw_worker *tw_worker_open(tw_loop *loop, const char *code, const char *name,
                          const char *root, int number, char *error, int size);

/* Tells it to go, which it does at the end of its step (so this waits while a function
 * there computes), and frees it, taken, with the parcels that nobody has received; the last
 * of it goes when the loop is polled or closed. NULL is fine. */
void tw_worker_close(tw_worker *w);

/* Its id in tw_loop_poll: as tw_lane_id, and reported when it has ended. */
uint32_t tw_worker_id(const tw_worker *w);

/* As tw_lane_send; TW_EOF: it has ended, and p is still the caller's. */
int tw_worker_send(tw_worker *w, tw_parcel *p);

/* As tw_lane_receive and tw_lane_count; what it had sent before it ended can be received after. */
tw_parcel *tw_worker_receive(tw_worker *w);
int64_t tw_worker_count(const tw_worker *w);

/* There will be no more parcels: after the last one tw_lane_finished says so. */
void tw_worker_finish(tw_worker *w);

/* TW_AGAIN: it runs; TW_OK: it has ended in order; TW_EFAILED: it has died. Asked before a
 * receive that finds nothing, an end means that nothing more will come. */
int tw_worker_status(tw_worker *w);

/* What it has died of, with a traceback; NULL: it has not. A view, valid until tw_worker_close. */
const char *tw_worker_error(const tw_worker *w);

/* The oldest parcel that it has not received, new, once it has ended; NULL: none, or it runs. */
tw_parcel *tw_worker_unread(tw_worker *w);

/* 1 while it waits with nothing to receive, else 0. One load. */
int tw_worker_hungry(const tw_worker *w);

/* cdef: end */

/* ---- embedding (engine/runtime.c) ------------------------------------------------------
 *
 * For programs in C; LuaJIT reads nothing of this. A runtime is a Lua state with the pipelines
 * that a script has built in it, stepped by its host. There may be any number of them, in any
 * threads; each belongs to the thread that opened it. Nothing here prints, exits, takes
 * signals or calls back, but as it is said.
 *
 *     tw_runtime *rt = tw_open(&(tw_options){.script = "pipeline.lua"});
 *     if (tw_error(rt)) ...
 *     tw_input *in = tw_input_open(rt, "requests");
 *     tw_output_listen(rt, "alerts", on_alert, ctx);
 *     while (running) {
 *       if (tw_push(in, data, len) == TW_AGAIN) ...;
 *       poll(..., tw_backend_fd(rt), tw_next_deadline_ms(rt));
 *       tw_step(rt, 0);
 *     }
 *     tw_finish(rt, 5000);
 *     tw_close(rt);
 *
 * After fork() only the parent may go on with its runtimes; what is called in the child fails
 * with TW_EINVAL, and tw_close there leaves everything alone. */
typedef struct tw_runtime tw_runtime;
typedef struct tw_input tw_input;

struct lua_State;
struct uv_loop_s;

/* As lua_Alloc: a block of size bytes instead of ptr, whose size was old_size; size 0 frees. */
typedef void *tw_alloc(void *ctx, void *ptr, size_t old_size, size_t size);

/* Takes one element of an output: len bytes, a view valid until it returns. Called in tw_step
 * and tw_close. It may push, listen and close; tw_step and tw_finish fail there. */
typedef void tw_output_fn(void *ctx, const char *data, size_t len);

/* Takes a line (without its end) that the command would write to standard error. May call
 * nothing of tideway. */
typedef void tw_log_fn(void *ctx, const char *text);

/* All may be 0. Texts are borrowed while tw_open runs, the rest until after tw_close. */
typedef struct tw_options {
  const char *script;      /* the file that builds the pipelines */
  const char *code;        /* or their text, ended by a 0 */
  const char *name;        /* of the code, for messages; default "code" */
  const char *const *args; /* the script's arguments (...), ended by NULL */
  /* The prefix that tideway is installed under, or its source tree; default: what belongs to
   * the library. */
  const char *root;
  /* The host's own, with its libraries open. It outlives the runtime, and only one runtime at a
   * time is in it. */
  struct lua_State *state;
  /* The host's own: running it steps the runtime. It is closed after tw_close and one more turn,
   * and after the state when that is the host's, too. */
  struct uv_loop_s *loop;
  tw_alloc *alloc; /* for the Lua state; default: LuaJIT's own */
  void *alloc_ctx;
  tw_log_fn *log; /* default: the lines are dropped */
  void *log_ctx;
} tw_options;

/* A new runtime: runs the script, which builds its pipelines, and starts their sources; their
 * elements come with tw_step. A script leaves tw.run() out.
 * Returns NULL without memory; else ask tw_error whether it has failed (of one that has, all
 * calls but tw_error and tw_close fail). Takes about 2 ms and 0.5 MB. */
tw_runtime *tw_open(const tw_options *options);

/* Frees it, taken; NULL is fine. Sources stop where they are, sinks write what they have
 * buffered, listeners get what is in their outputs: what pipelines hold is dropped
 * (tw_finish before it waits for that). No other thread may be pushing. Called by a listener, it
 * happens when tw_step returns.
 * TW_OK, or the status of a sink that could not be completed. */
int tw_close(tw_runtime *rt);

/* What the last call that failed, or the last failure inside (TW_EFAILED), was about; NULL: none
 * has failed yet. A view, valid until the next call. "no memory" when rt is NULL. */
const char *tw_error(const tw_runtime *rt);

/* One turn: what has come is delivered, timers and descriptors are served, listeners called.
 * timeout_ms  how long to wait when there is nothing to do; -1: until there is
 * Returns 1: there will be more to do; 0: all pipelines have ended; or a status. TW_EFAILED: a
 * function has failed under the policy "raise"; its source has ended (an input goes on with the
 * next element), everything else goes on. */
int tw_step(tw_runtime *rt, int timeout_ms);

/* For hosts with a loop of their own: call tw_step when this descriptor is readable, or ... */
int tw_backend_fd(const tw_runtime *rt);

/* ... when so many ms have passed; 0: now, as after a push; -1: no deadline. Ask anew after each
 * push and step. */
int tw_next_deadline_ms(const tw_runtime *rt);

/* The input that the script calls tw.input(name). A view, valid until tw_close; the same for the
 * same name. TW_SHARED as a third argument: any thread may push.
 * NULL: there is none of this name, or no memory; tw_error says which. */
tw_input *tw_input_open(tw_runtime *rt, const char *name);
tw_input *tw_input_open_flags(tw_runtime *rt, const char *name, int flags);
#define tw_input_open(...)                   TW_INPUT_OPEN_(__VA_ARGS__, 0, 0)
#define TW_INPUT_OPEN_(rt, name, flags, ...) tw_input_open_flags(rt, name, flags)

/* Hand over a copy of len bytes, an element (a string) of the input, for the next tw_step.
 * TW_OK; TW_AGAIN: the input is full (its maxsize and max_bytes): step; TW_EINVAL: longer than
 * max_bytes; TW_EOF: it was closed, or its source has ended; TW_ENOMEM. Nothing was taken then.
 * About 10 ns and the copying, 25 ns more with TW_SHARED. Thread: any, with TW_SHARED. */
int tw_push(tw_input *in, const void *data, size_t len);

/* No more elements: the streams below the input end when they have had all. Thread: as tw_push. */
void tw_input_close(tw_input *in);

/* Call fn for each element that the script gives to stream:output(name); fn NULL: not any more.
 * While nobody listens, elements wait, then the pipeline does. One listener a name. TW_OK or a
 * status. */
int tw_output_listen(tw_runtime *rt, const char *name, tw_output_fn *fn, void *ctx);

/* Begin to end the pipelines in order: sources stop, what is in flight is delivered, streams end,
 * tasks are cancelled. Then step until it returns 0. TW_OK or a status. */
int tw_stop(tw_runtime *rt);

/* tw_stop, and tw_step for at most timeout_ms (-1: without a limit) until all has ended, and sinks
 * have written what they had buffered. TW_OK; TW_AGAIN: the time is over; or the first failure,
 * after which it has gone on all the same. */
int tw_finish(tw_runtime *rt, int timeout_ms);

#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif

#endif /* TIDEWAY_H */
