/* inflate.c -- gzip through zlib, zstd through libzstd, behind one face. */
#include "codec/inflate.h"

#include <limits.h>
#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

#include "core/mem.h"

struct tw__inflate {
  int encoding;
  int inside;  /* a member has begun and has not ended */
  int members; /* that have ended */
  int padding; /* gzip: zeros have been seen after a member */
  const char *text;
  z_stream gzip;
  ZSTD_DStream *zstd;
};

static void *zlib_alloc(void *opaque, unsigned count, unsigned size) {
  (void)opaque;
  return tw__calloc(count, size);
}

static void zlib_free(void *opaque, void *block) {
  (void)opaque;
  tw__free(block);
}

tw__inflate *tw__inflate_open(int encoding) {
  tw__inflate *z = tw__calloc(1, sizeof *z);
  if (!z) return NULL;
  z->encoding = encoding;
  z->text = "";
  int ok = 0;
  if (encoding == TW_ENCODING_GZIP) {
    z->gzip.zalloc = zlib_alloc;
    z->gzip.zfree = zlib_free;
    ok = inflateInit2(&z->gzip, 16 + MAX_WBITS) == Z_OK; /* 16: with gzip's header */
  } else if (encoding == TW_ENCODING_ZSTD) {
    z->zstd = ZSTD_createDStream();
    ok = z->zstd != NULL;
  }
  if (ok) return z;
  tw__free(z);
  return NULL;
}

void tw__inflate_close(tw__inflate *z) {
  if (!z) return;
  if (z->encoding == TW_ENCODING_GZIP) inflateEnd(&z->gzip);
  if (z->zstd) ZSTD_freeDStream(z->zstd);
  tw__free(z);
}

static int fail(tw__inflate *z, int status, const char *text) {
  z->text = text;
  return status;
}

/* Between members: what may come is the next one, or zeros up to the end. */
static int gzip_between(tw__inflate *z, const char *in, size_t len, size_t *used) {
  if (z->members) {
    while (*used < len && in[*used] == 0) {
      ++*used;
      z->padding = 1;
    }
    if (*used == len) return TW_OK;
    if (z->padding || (unsigned char)in[*used] != 0x1f)
      return fail(z, TW_ECORRUPT, "bytes after the end of the gzip data");
    inflateReset(&z->gzip);
  }
  z->inside = 1;
  return TW_OK;
}

static int gzip_step(tw__inflate *z, const char *in, size_t len, size_t *used,
                     char *out, size_t room, size_t *made) {
  while (*made < room) {
    if (!z->inside) {
      if (*used == len) return TW_OK;
      const int rc = gzip_between(z, in, len, used);
      if (rc || !z->inside) return rc;
    }
    const size_t left = len - *used, space = room - *made;
    z->gzip.next_in = (Bytef *)(uintptr_t)(in + *used);
    z->gzip.avail_in = left > UINT_MAX ? UINT_MAX : (unsigned)left;
    z->gzip.next_out = (Bytef *)out + *made;
    z->gzip.avail_out = space > UINT_MAX ? UINT_MAX : (unsigned)space;
    const int rc = inflate(&z->gzip, Z_NO_FLUSH);
    *used = (size_t)((const char *)z->gzip.next_in - in);
    *made = (size_t)((char *)z->gzip.next_out - out);
    if (rc == Z_STREAM_END) {
      z->inside = 0;
      z->members++;
    } else if (rc == Z_BUF_ERROR) {
      return TW_OK; /* more input or more room */
    } else if (rc == Z_MEM_ERROR) {
      return fail(z, TW_ENOMEM, "no memory");
    } else if (rc != Z_OK) {
      return fail(z, TW_ECORRUPT, z->gzip.msg ? z->gzip.msg : "a dictionary is needed");
    }
  }
  return TW_OK;
}

static int zstd_step(tw__inflate *z, const char *in, size_t len, size_t *used,
                     char *out, size_t room, size_t *made) {
  ZSTD_inBuffer source = {in, len, 0};
  ZSTD_outBuffer dest = {out, room, 0};
  int rc = TW_OK;
  while (dest.pos < room && (z->inside || source.pos < len)) {
    const size_t taken = source.pos, given = dest.pos;
    const size_t hint = ZSTD_decompressStream(z->zstd, &dest, &source);
    if (ZSTD_isError(hint)) {
      rc = fail(z,
                ZSTD_getErrorCode(hint) == ZSTD_error_memory_allocation ? TW_ENOMEM
                                                                        : TW_ECORRUPT,
                ZSTD_getErrorName(hint));
      break;
    }
    z->inside = hint != 0;
    if (source.pos == taken && dest.pos == given) break;
  }
  *used = source.pos;
  *made = dest.pos;
  return rc;
}

int tw__inflate_step(tw__inflate *z, const char *in, size_t len, size_t *used,
                     char *out, size_t room, size_t *made) {
  *used = *made = 0;
  return z->encoding == TW_ENCODING_GZIP ? gzip_step(z, in, len, used, out, room, made)
                                         : zstd_step(z, in, len, used, out, room, made);
}

int tw__inflate_finish(tw__inflate *z) {
  if (!z->inside) return TW_OK;
  return fail(z, TW_ECORRUPT,
              z->encoding == TW_ENCODING_GZIP ? "the gzip data ends in the middle"
                                              : "the zstd data ends in the middle");
}

const char *tw__inflate_text(const tw__inflate *z) {
  return z->text;
}
