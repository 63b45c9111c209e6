/* tideway.h -- the public API of libtideway.
 *
 * Everything between "cdef: begin" and "cdef: end" is also what LuaJIT reads: a make
 * rule copies that text, unchanged, into the generated module tideway.cdef. So there:
 * no macros, no static functions, no function-pointer types, enums instead of #define.
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

/* ---- version and status ------------------------------------------------ */

enum { TW_ABI = 1 };

enum tw_status {
  TW_OK = 0,
  TW_EINVAL = -1,  /* an argument is out of range */
  TW_ENOMEM = -2,  /* no memory */
  TW_ETYPE = -3,   /* a value of the wrong type */
  TW_EOF = -4,     /* the end has been reached */
  TW_AGAIN = -5,   /* nothing now, later perhaps */
  TW_EPARSE = -6,  /* the text is not what it should be */
  TW_EIO = -7,     /* the operating system refused */
  TW_ECORRUPT = -8 /* the bytes are damaged */
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

/* Bytes of native memory in use by the whole process, as the allocator rounds them.
 * Any thread. */
int64_t tw_mem_bytes(void);

/* Make the n-th allocation from now fail, once; 0: none. For specs.
 * Returns what was left of the number given before: 0 when that one has failed. Any
 * thread. */
int64_t tw_mem_fail_at(int64_t n);

/* ---- queue (op/queue.c) ------------------------------------------------- */

/* The FIFO of values behind windows, partitions, zip and collect. The fields are for
 * reading: element k (0 = oldest) is vals[(head + k) & mask], tail - head are held. A push
 * may move vals. TW_BYTES elements are the queue's own copies, valid until they are dropped;
 * what a TW_REF stands for is anchored by the caller, who lets go of it before the drop. */
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

/* Put one element in, as the newest. Bytes are borrowed and copied (len below 2^32); id is
 * the caller's name for a Lua value.
 * Each returns 0, or TW_ENOMEM and then the queue is unchanged. O(1) amortized. */
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

/* ---- rolling aggregates (window/roll.c) --------------------------------- */

/* ---- views (core/view.c) ------------------------------------------------ */

/* ---- loop (loop/loop.c) ------------------------------------------------- */

/* ---- text source (source/textfile.c) ------------------------------------ */

/* ---- text sink (sink/textfile.c) ----------------------------------------- */

/* ---- codecs (codec/) ----------------------------------------------------- */

/* cdef: end */

#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif

#endif /* TIDEWAY_H */
