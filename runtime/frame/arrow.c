/* arrow.c -- frames for others and from others, by the Arrow C data interface.
 *
 * An exported frame is held, not copied: buffers point into its columns. Only what Arrow
 * has otherwise is made: booleans as bits, the validity of F64 (NaN is missing), and the
 * offsets of a dict that may still grow are taken as they are now. Each struct owns its
 * children and one block behind private_data, so that a consumer may move children out
 * and release them one by one, as the specification has it.
 *
 *     https://arrow.apache.org/docs/format/CDataInterface.html
 */
#include "core/mem.h"
#include "frame/column.h"

#include <string.h>

enum { FLAG_NULLABLE = 2 };

/* What is behind private_data of an array. */
struct held {
  tw_column *col; /* or NULL */
  tw_dict *dict;
  void *made[3]; /* blocks made for it */
  const void *buffers[3];
  struct ArrowArray *child_at, **children; /* of the struct array */
};

struct described {
  char *name;
  struct ArrowSchema *child_at, **children, *dictionary;
};

typedef void release_schema(struct ArrowSchema *);
typedef void release_array(struct ArrowArray *);

/* A function as the void pointer that the header shows, and back. */
static void *schema_pointer(release_schema *f) {
  void *p;
  memcpy(&p, &f, sizeof p);
  return p;
}

static void *array_pointer(release_array *f) {
  void *p;
  memcpy(&p, &f, sizeof p);
  return p;
}

void tw_arrow_release_schema(struct ArrowSchema *schema) {
  release_schema *f;
  if (!schema || !schema->release) return;
  memcpy(&f, &schema->release, sizeof f);
  f(schema);
}

void tw_arrow_release_array(struct ArrowArray *array) {
  release_array *f;
  if (!array || !array->release) return;
  memcpy(&f, &array->release, sizeof f);
  f(array);
}

static void free_schema(struct ArrowSchema *schema) {
  struct described *d = schema->private_data;
  for (int64_t k = 0; k < schema->n_children; k++)
    tw_arrow_release_schema(schema->children[k]);
  tw_arrow_release_schema(schema->dictionary);
  tw__free(d->name);
  tw__free(d->child_at);
  tw__free(d->children);
  tw__free(d->dictionary);
  tw__free(d);
  schema->release = NULL;
}

static void free_array(struct ArrowArray *array) {
  struct held *h = array->private_data;
  for (int64_t k = 0; k < array->n_children; k++)
    tw_arrow_release_array(array->children[k]);
  tw_arrow_release_array(array->dictionary);
  tw_column_release(h->col);
  tw_dict_release(h->dict);
  for (int k = 0; k < 3; k++) tw__free(h->made[k]);
  tw__free(h->child_at);
  tw__free(h->children);
  tw__free(h);
  array->release = NULL;
}

/* ---- schemas ---- */

static const char *const formats[] = {
    [TW_COL_F64] = "g",
    [TW_COL_I64] = "l",
    [TW_COL_BOOL] = "b",
    [TW_COL_STRING] = "I",
    [TW_COL_TIMESTAMP] = "tsn:UTC",
}; /* ORDER TW_COLUMN */

/* An empty schema of a format, with places for children. */
static int make_schema(struct ArrowSchema *schema, const char *format, const char *name,
                       int64_t children) {
  struct described *d = tw__calloc(1, sizeof *d);
  *schema = (struct ArrowSchema){.format = format, .flags = FLAG_NULLABLE};
  if (!d) return TW_ENOMEM;
  schema->private_data = d;
  schema->release = schema_pointer(free_schema);
  d->name = tw__mem_copy(name, (int64_t)strlen(name));
  if (children) d->child_at = tw__calloc((size_t)children, sizeof *d->child_at);
  if (children) d->children = tw__calloc((size_t)children, sizeof *d->children);
  if (!d->name || (children && (!d->child_at || !d->children))) {
    free_schema(schema);
    return TW_ENOMEM;
  }
  schema->name = d->name;
  schema->children = d->children;
  for (int64_t k = 0; k < children; k++) d->children[k] = &d->child_at[k];
  schema->n_children = children;
  return TW_OK;
}

static int describe(struct ArrowSchema *schema, const tw_column *col,
                    const char *name) {
  int rc = make_schema(schema, formats[col->type], name, 0);
  if (rc || col->type != TW_COL_STRING) return rc;
  struct described *d = schema->private_data;
  d->dictionary = tw__calloc(1, sizeof *d->dictionary);
  rc = d->dictionary ? make_schema(d->dictionary, "U", "", 0) : TW_ENOMEM;
  if (rc)
    free_schema(schema);
  else
    schema->dictionary = d->dictionary;
  return rc;
}

/* ---- arrays ---- */

static int make_array(struct ArrowArray *array, int64_t length, int64_t buffers,
                      int64_t children) {
  struct held *h = tw__calloc(1, sizeof *h);
  *array = (struct ArrowArray){.length = length, .n_buffers = buffers};
  if (!h) return TW_ENOMEM;
  array->private_data = h;
  array->buffers = h->buffers;
  array->release = array_pointer(free_array);
  if (!children) return TW_OK;
  h->child_at = tw__calloc((size_t)children, sizeof *h->child_at);
  h->children = tw__calloc((size_t)children, sizeof *h->children);
  if (!h->child_at || !h->children) {
    free_array(array);
    return TW_ENOMEM;
  }
  array->children = h->children;
  for (int64_t k = 0; k < children; k++) h->children[k] = &h->child_at[k];
  array->n_children = children;
  return TW_OK;
}

static uint8_t *new_bits(int64_t n) {
  return tw__calloc((size_t)(n + 63) / 64, 8);
}

static inline void set_bit(uint8_t *bits, int64_t k) {
  bits[k >> 3] = (uint8_t)(bits[k >> 3] | 1 << (k & 7));
}

/* The bits of a byte or number that is not 0; of an F64 that is not NaN. */
static uint8_t *bits_of(const tw_column *col) {
  uint8_t *bits = new_bits(col->len);
  for (int64_t k = 0; bits && k < col->len; k++) {
    int set = col->type == TW_COL_F64 ? col->f64[k] == col->f64[k] : col->b[k];
    if (set) set_bit(bits, k);
  }
  return bits;
}

/* The strings of a dict, as they are now: it may grow and move, so they are copied. */
static int export_dict(struct ArrowArray *array, const tw_dict *dict) {
  int rc = make_array(array, dict->count, 3, 0);
  if (rc) return rc;
  struct held *h = array->private_data;
  size_t starts = (size_t)(dict->count + 1) * sizeof *dict->start;
  size_t bytes = (size_t)dict->start[dict->count];
  h->made[0] = tw__malloc(starts);
  h->made[1] = tw__malloc(bytes);
  if (!h->made[0] || !h->made[1]) {
    free_array(array);
    return TW_ENOMEM;
  }
  memcpy(h->made[0], dict->start, starts);
  if (bytes) memcpy(h->made[1], dict->bytes, bytes);
  h->buffers[1] = h->made[0];
  h->buffers[2] = h->made[1];
  return TW_OK;
}

static int export_column(struct ArrowArray *array, tw_column *col) {
  int rc = make_array(array, col->len, 2, 0);
  if (rc) return rc;
  struct held *h = array->private_data;
  h->col = tw_column_retain(col);
  array->null_count = tw_column_null_count(col);
  h->buffers[0] = array->null_count ? col->valid : NULL;
  h->buffers[1] = col->data;
  if (col->type == TW_COL_F64 && array->null_count) {
    h->buffers[0] = h->made[0] = bits_of(col);
    if (!h->made[0]) goto fail;
  }
  if (col->type == TW_COL_BOOL) {
    h->buffers[1] = h->made[1] = bits_of(col);
    if (!h->made[1]) goto fail;
  }
  if (col->type == TW_COL_STRING) {
    struct ArrowArray *dict = h->made[2] = tw__calloc(1, sizeof *dict);
    if (!dict || export_dict(dict, col->dict)) goto fail;
    array->dictionary = dict;
  }
  return TW_OK;

fail:
  free_array(array);
  return TW_ENOMEM;
}

int tw_arrow_export(tw_frame *frame, const char *const *names,
                    struct ArrowSchema *schema, struct ArrowArray *array) {
  struct ArrowSchema s;
  struct ArrowArray a;
  int rc = make_schema(&s, "+s", "", frame->columns);
  if (rc) return rc;
  s.flags = 0;
  rc = make_array(&a, frame->rows, 1, frame->columns);
  if (rc) {
    free_schema(&s);
    return rc;
  }
  for (int k = 0; !rc && k < frame->columns; k++) {
    rc = describe(s.children[k], frame->column[k], names[k]);
    if (!rc) rc = export_column(a.children[k], frame->column[k]);
  }
  if (rc) {
    free_schema(&s);
    free_array(&a);
    return rc;
  }
  *schema = s;
  *array = a;
  return TW_OK;
}

/* ---- import ---- */

/* One child, from place `from` on for n values. */
struct import {
  const struct ArrowArray *array;
  const char *format;
  int64_t from, n;
  const uint8_t *valid; /* NULL: all are there */
};

static int64_t number_at(const void *data, char format, int64_t i) {
  switch (format) {
  case 'c': return ((const int8_t *)data)[i];
  case 'C': return ((const uint8_t *)data)[i];
  case 's': return ((const int16_t *)data)[i];
  case 'S': return ((const uint16_t *)data)[i];
  case 'i': return ((const int32_t *)data)[i];
  case 'I': return ((const uint32_t *)data)[i];
  default: return ((const int64_t *)data)[i];
  }
}

static int there(const struct import *in, int64_t i) {
  return !in->valid || tw__column_bit(in->valid, in->from + i);
}

static int put_numbers(const struct import *in, tw_column *col) {
  const void *data = in->array->buffers[1];
  char format = in->format[0];
  for (int64_t i = 0; i < in->n; i++) {
    col->i64[i] = there(in, i) ? number_at(data, format, in->from + i) : 0;
    if (!there(in, i) || (format == 'L' && col->i64[i] < 0)) tw_column_set_null(col, i);
  }
  return TW_OK;
}

static int put_floats(const struct import *in, tw_column *col) {
  const void *data = in->array->buffers[1];
  for (int64_t i = 0; i < in->n; i++) {
    int64_t k = in->from + i;
    double x = NAN;
    if (there(in, i))
      x = in->format[0] == 'f' ? (double)((const float *)data)[k]
                               : ((const double *)data)[k];
    col->f64[i] = x;
  }
  return TW_OK;
}

static int put_bools(const struct import *in, tw_column *col) {
  for (int64_t i = 0; i < in->n; i++) {
    col->b[i] =
        (uint8_t)(there(in, i) && tw__column_bit(in->array->buffers[1], in->from + i));
    if (!there(in, i)) tw_column_set_null(col, i);
  }
  return TW_OK;
}

/* Nanoseconds of one of Arrow's times; 0 when they are too many. */
static int put_times(const struct import *in, tw_column *col) {
  const char *f = in->format;
  int64_t unit = 1;
  int wide = f[1] != 'd' || f[2] != 'D'; /* days have 32 bits */
  if (f[1] == 'd') unit = f[2] == 'D' ? 86400000000000 : 1000000;
  if (f[1] == 's')
    unit = f[2] == 's' ? 1000000000 : f[2] == 'm' ? 1000000 : f[2] == 'u' ? 1000 : 1;
  for (int64_t i = 0; i < in->n; i++) {
    int64_t x = 0;
    if (there(in, i))
      x = number_at(in->array->buffers[1], wide ? 'l' : 'i', in->from + i);
    int too_large = __builtin_mul_overflow(x, unit, &col->i64[i]);
    if (!there(in, i) || too_large) tw_column_set_null(col, i);
  }
  return TW_OK;
}

/* String i of an array of text. */
static const char *text_at(const struct ArrowArray *array, const char *format,
                           int64_t i, int64_t *len) {
  int64_t start, end;
  if (format[0] == 'U' || format[0] == 'Z') {
    const int64_t *at = (const int64_t *)array->buffers[1] + array->offset + i;
    start = at[0], end = at[1];
  } else {
    const int32_t *at = (const int32_t *)array->buffers[1] + array->offset + i;
    start = at[0], end = at[1];
  }
  *len = end - start;
  return (const char *)array->buffers[2] + start;
}

static int put_texts(const struct import *in, tw_column *col) {
  struct ArrowArray at = *in->array;
  at.offset = 0;
  for (int64_t i = 0; i < in->n; i++) {
    int64_t len, code = 0;
    if (there(in, i)) {
      const char *text = text_at(&at, in->format, in->from + i, &len);
      code = tw_column_code(col, text, len);
      if (code < 0) return TW_ENOMEM;
    }
    col->code[i] = (uint32_t)code;
    if (!there(in, i)) tw_column_set_null(col, i);
  }
  return TW_OK;
}

/* Codes into a dictionary of text; each string of it is looked up once. */
static int put_codes(const struct import *in, tw_column *col, const char *format) {
  const struct ArrowArray *dict = in->array->dictionary;
  const uint8_t *valid = dict->null_count ? dict->buffers[0] : NULL;
  int64_t *number = tw__malloc((size_t)dict->length * sizeof *number);
  int rc = number ? TW_OK : TW_ENOMEM;
  for (int64_t k = 0; !rc && k < dict->length; k++) {
    int64_t len;
    number[k] = -1;
    if (valid && !tw__column_bit(valid, dict->offset + k)) continue;
    const char *text = text_at(dict, format, k, &len);
    number[k] = tw_column_code(col, text, len);
    if (number[k] < 0) rc = TW_ENOMEM;
  }
  for (int64_t i = 0; !rc && i < in->n; i++) {
    int64_t code = -1;
    if (there(in, i))
      code = number_at(in->array->buffers[1], in->format[0], in->from + i);
    int64_t known = code >= 0 && code < dict->length ? number[code] : -1;
    col->code[i] = known < 0 ? 0 : (uint32_t)known;
    if (known < 0) tw_column_set_null(col, i);
  }
  tw__free(number);
  return rc;
}

static int is_one_of(char c, const char *set) {
  return c && strchr(set, c);
}

static int is_text(const char *format) {
  return is_one_of(format[0], "uUzZ") && !format[1];
}

/* The type that a format becomes; 0: none. */
static int type_of(const struct ArrowSchema *schema) {
  const char *f = schema->format;
  if (schema->dictionary)
    return is_one_of(f[0], "cCsSiIlL") && is_text(schema->dictionary->format)
               ? TW_COL_STRING
               : 0;
  if (is_text(f)) return TW_COL_STRING;
  if (f[0] == 't')
    return (f[1] == 'd' && is_one_of(f[2], "Dm")) ||
                   (f[1] == 's' && is_one_of(f[2], "smun"))
               ? TW_COL_TIMESTAMP
               : 0;
  if (f[1]) return 0;
  if (is_one_of(f[0], "cCsSiIlL")) return TW_COL_I64;
  return is_one_of(f[0], "fg") ? TW_COL_F64 : f[0] == 'b' ? TW_COL_BOOL : 0;
}

static int import_column(const struct import *in, const struct ArrowSchema *schema,
                         tw_column **out) {
  int type = type_of(schema);
  tw_column_release(*out); /* its dict is not for strings of somebody else */
  *out = NULL;
  int rc = tw_column_renew(out, type, NULL, in->n);
  if (rc) return rc;
  switch (type) {
  case TW_COL_F64: return put_floats(in, *out);
  case TW_COL_I64: return put_numbers(in, *out);
  case TW_COL_BOOL: return put_bools(in, *out);
  case TW_COL_TIMESTAMP: return put_times(in, *out);
  default:
    if (!schema->dictionary) return put_texts(in, *out);
    return put_codes(in, *out, schema->dictionary->format);
  }
}

int tw_arrow_import(tw_frame **out, const struct ArrowSchema *schema,
                    const struct ArrowArray *array, int64_t *bad) {
  *bad = -1;
  if (strcmp(schema->format, "+s") != 0) return TW_ETYPE;
  if (schema->n_children != array->n_children || schema->n_children > INT32_MAX)
    return TW_EINVAL;
  for (int64_t k = 0; k < schema->n_children; k++) {
    *bad = k;
    if (!type_of(schema->children[k])) return TW_ETYPE;
  }
  int rc = tw_frame_renew(out, (int)array->n_children, 0);
  for (int64_t k = 0; !rc && k < array->n_children; k++) {
    const struct ArrowArray *child = array->children[k];
    struct import in = {.array = child,
                        .format = schema->children[k]->format,
                        .from = child->offset + array->offset,
                        .n = array->length,
                        .valid = child->null_count ? child->buffers[0] : NULL};
    rc = import_column(&in, schema->children[k], &(*out)->column[k]);
  }
  if (!rc) (*out)->rows = array->length;
  return rc;
}
