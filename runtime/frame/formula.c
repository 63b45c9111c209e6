/* formula.c -- filter and expressions of a frame: steps over blocks of rows.
 *
 *     values   x   amount   =2   #3      #4      #3 := amount * =2
 *     steps                      mul     add     #4 := #3 + x, into the output
 *
 * A value is, for the block at hand, where its bytes stand (`data`): in the column itself, in
 * the output, or in a buffer. Buffers go back when the step that uses them is added, after the
 * step has got its own. Under a selection columns are gathered into a buffer first.
 */
#include "core/mem.h"
#include "frame/block.h"
#include "frame/column.h"

#include <string.h>

enum { COLUMN, HELD, CONSTANT, COMPUTED };
enum { COPY = TW_FORMULA_OPS + 16 }; /* a step of our own: the bytes as they are */

/* `there`: a byte a value, 0 when it is missing. */
struct buffer {
  uint64_t data[TW__BLOCK];
  uint8_t there[TW__BLOCK];
};

struct value {
  int kind, type;
  int at;                 /* COLUMN: in the frame; COMPUTED: its step */
  tw_column *const *held; /* HELD */
  int buffer;             /* -1: none */
  int given;              /* COMPUTED: the output it is written to, or -1 */
  int used; /* COMPUTED, by a later step; else of the filter 1, of outputs 2 */
  const tw_column *col; /* COLUMN and HELD, of this run */
  const void *data;     /* of this block */
  const uint8_t *there; /* NULL: none is missing */
};

/* What a string is compared with, and what has been found out about the strings of a dict. */
struct text {
  char *bytes;
  int64_t len;
  tw_dict *dict;
  int64_t count, room; /* strings of dict that are known, that truth has place for */
  int64_t code;        /* TW_EQ and TW_NE: of bytes in dict, or -1 */
  uint8_t *truth;      /* the others: by code, whether it holds */
};

struct step {
  int op, a, b, out;
  struct text *text;
};

struct output {
  int value; /* -1: not ours */
};

struct tw_formula {
  struct value *values;
  struct step *steps;
  struct buffer **buffers;
  int *idle; /* buffers that nobody has */
  struct output *outputs;
  int value_count, value_room, step_count, step_room, buffer_count, buffer_room;
  int idle_count, output_count;
  int filter;       /* value, or -1 */
  int filter_steps; /* steps before it */
  int given;        /* outputs so far */
  int wide;
  tw_frame *none; /* what goes out when the filter leaves no row, or NULL */
};

/* ---- making one ---- */

tw_formula *tw_formula_open(int outputs) {
  tw_formula *f = tw__calloc(1, sizeof *f);
  if (!f) return NULL;
  f->filter = -1;
  f->wide = tw__block_wide();
  f->outputs = tw__calloc((size_t)outputs + 1, sizeof *f->outputs);
  if (!f->outputs) {
    tw__free(f);
    return NULL;
  }
  f->output_count = outputs;
  for (int k = 0; k < outputs; k++) f->outputs[k].value = -1;
  return f;
}

static void text_free(struct text *text) {
  if (!text) return;
  tw_dict_release(text->dict);
  tw__free(text->bytes);
  tw__free(text->truth);
  tw__free(text);
}

void tw_formula_close(tw_formula *f) {
  if (!f) return;
  tw_frame_release(f->none);
  for (int k = 0; k < f->step_count; k++) text_free(f->steps[k].text);
  for (int k = 0; k < f->buffer_count; k++) tw__free(f->buffers[k]);
  tw__free(f->values);
  tw__free(f->steps);
  tw__free(f->buffers);
  tw__free(f->idle);
  tw__free(f->outputs);
  tw__free(f);
}

void tw_formula_narrow(tw_formula *f) {
  f->wide = 0;
}

/* Place for one more of an array. */
static int grow(void *array, int count, int *room, size_t size) {
  void *old, *more;
  if (count < *room) return TW_OK;
  memcpy(&old, array, sizeof old);
  more = tw__realloc(old, (size_t)(2 * *room + 8) * size);
  if (!more) return TW_ENOMEM;
  memcpy(array, &more, sizeof more);
  *room = 2 * *room + 8;
  return TW_OK;
}

/* A buffer that nobody has ever had, for what must outlive all steps (columns, constants):
 * its number, or TW_ENOMEM. */
static int buffer_new(tw_formula *f) {
  if (f->buffer_count == f->buffer_room) {
    int *idle = tw__realloc(f->idle, (size_t)(2 * f->buffer_room + 8) * sizeof *idle);
    if (!idle) return TW_ENOMEM;
    f->idle = idle;
    if (grow(&f->buffers, f->buffer_count, &f->buffer_room, sizeof *f->buffers))
      return TW_ENOMEM;
  }
  struct buffer *buffer = tw__calloc(1, sizeof *buffer);
  if (!buffer) return TW_ENOMEM;
  f->buffers[f->buffer_count] = buffer;
  return f->buffer_count++;
}

/* One for the result of a step, until it has been used. */
static int buffer_take(tw_formula *f) {
  return f->idle_count ? f->idle[--f->idle_count] : buffer_new(f);
}

static void buffer_give(tw_formula *f, int number) {
  f->idle[f->idle_count++] = number;
}

static int add_value(tw_formula *f, struct value val) {
  if (grow(&f->values, f->value_count, &f->value_room, sizeof *f->values))
    return TW_ENOMEM;
  val.given = -1;
  f->values[f->value_count] = val;
  return f->value_count++;
}

int tw_formula_column(tw_formula *f, int type, int at) {
  if (at < 0 || !tw_column_width(type)) return TW_EINVAL;
  for (int k = 0; k < f->value_count; k++)
    if (f->values[k].kind == COLUMN && f->values[k].at == at)
      return f->values[k].type == type ? k : TW_EINVAL;
  return add_value(
      f, (struct value){.kind = COLUMN, .type = type, .at = at, .buffer = -1});
}

int tw_formula_held(tw_formula *f, int type, tw_column *const *held) {
  if (!tw_column_width(type)) return TW_EINVAL;
  for (int k = 0; k < f->value_count; k++)
    if (f->values[k].kind == HELD && f->values[k].held == held)
      return f->values[k].type == type ? k : TW_EINVAL;
  return add_value(
      f, (struct value){.kind = HELD, .type = type, .held = held, .buffer = -1});
}

static int add_constant(tw_formula *f, int type, const void *bytes) {
  size_t width = (size_t)tw_column_width(type);
  int number = buffer_new(f);
  if (number < 0) return number;
  struct buffer *buffer = f->buffers[number];
  for (size_t i = 0; i < TW__BLOCK; i++)
    memcpy((char *)buffer->data + i * width, bytes, width);
  int val = add_value(
      f, (struct value){
             .kind = CONSTANT, .type = type, .buffer = number, .data = buffer->data});
  if (val < 0) buffer_give(f, number);
  return val;
}

int tw_formula_num(tw_formula *f, double x) {
  return add_constant(f, TW_COL_F64, &x);
}

int tw_formula_i64(tw_formula *f, int type, int64_t x) {
  if (type != TW_COL_I64 && type != TW_COL_TIMESTAMP) return TW_EINVAL;
  return add_constant(f, type, &x);
}

int tw_formula_bool(tw_formula *f, int x) {
  return add_constant(f, TW_COL_BOOL, &(uint8_t){x != 0});
}

/* Whether a value may be used now. */
static int usable(const tw_formula *f, int number) {
  if (number < 0 || number >= f->value_count) return 0;
  const struct value *val = &f->values[number];
  if (val->kind != COMPUTED) return 1;
  return !val->used && (f->filter < 0 || val->at >= f->filter_steps);
}

/* A step needs the value: a column gets a buffer for good. */
static int use(tw_formula *f, int number) {
  struct value *val = &f->values[number];
  if (val->kind == COLUMN || val->kind == HELD) {
    if (val->buffer < 0) {
      int buffer = buffer_new(f);
      if (buffer < 0) return buffer;
      val->buffer = buffer;
    }
  }
  return TW_OK;
}

static void mark_used(tw_formula *f, int number) {
  struct value *val = &f->values[number];
  if (val->kind == COMPUTED && !val->used) buffer_give(f, val->buffer);
  val->used |= f->filter < 0 ? 1 : 2;
}

static int add_step(tw_formula *f, int op, int a, int b, int type, struct text *text) {
  if (grow(&f->steps, f->step_count, &f->step_room, sizeof *f->steps)) return TW_ENOMEM;
  if (use(f, a) || use(f, b)) return TW_ENOMEM;
  int buffer = buffer_take(f);
  if (buffer < 0) return buffer;
  int out = add_value(
      f, (struct value){
             .kind = COMPUTED, .type = type, .at = f->step_count, .buffer = buffer});
  if (out < 0) {
    buffer_give(f, buffer);
    return out;
  }
  mark_used(f, a);
  mark_used(f, b);
  f->steps[f->step_count++] =
      (struct step){.op = op, .a = a, .b = b, .out = out, .text = text};
  return out;
}

static int is_unary(int op) {
  return op == TW_FORMULA_NEG || op == TW_FORMULA_ABS || op == TW_FORMULA_NUMBER ||
         op == TW_FORMULA_NULL || op == TW_FORMULA_NEGATE;
}

static int type_of_step(int op, int type) {
  if (op == TW_FORMULA_NUMBER) return TW_COL_F64;
  return op <= TW_GE || op >= TW_FORMULA_NULL ? TW_COL_BOOL : type;
}

int tw_formula_step(tw_formula *f, int op, int a, int b) {
  if (is_unary(op)) b = a;
  if (op < TW_EQ || op >= TW_FORMULA_OPS) return TW_EINVAL;
  if (!usable(f, a) || !usable(f, b)) return TW_EINVAL;
  if (a == b && f->values[a].kind == COMPUTED && !is_unary(op)) return TW_EINVAL;
  int type = f->values[a].type;
  if (f->values[b].type != type) return TW_ETYPE;
  if (op != TW_FORMULA_NULL && !tw__block_step(op, type, NULL, NULL, NULL, 0, 0))
    return TW_ETYPE;
  return add_step(f, op, a, b, type_of_step(op, type), NULL);
}

int tw_formula_text(tw_formula *f, int op, int a, const char *bytes, int64_t len) {
  if (op < TW_EQ || op > TW_GE || len < 0 || !usable(f, a)) return TW_EINVAL;
  if (f->values[a].type != TW_COL_STRING) return TW_ETYPE;
  struct text *text = tw__calloc(1, sizeof *text);
  if (!text) return TW_ENOMEM;
  text->bytes = tw__malloc((size_t)len + 1);
  if (!text->bytes) goto fail;
  if (len) memcpy(text->bytes, bytes, (size_t)len);
  text->len = len;
  text->code = -1;
  int out = add_step(f, op, a, a, TW_COL_BOOL, text);
  if (out < 0) goto fail;
  return out;

fail:
  text_free(text);
  return TW_ENOMEM;
}

int tw_formula_filter(tw_formula *f, int a) {
  if (f->filter >= 0 || f->given || !usable(f, a)) return TW_EINVAL;
  if (f->values[a].type != TW_COL_BOOL) return TW_ETYPE;
  mark_used(f, a);
  f->filter = a;
  f->filter_steps = f->step_count;
  return TW_OK;
}

int tw_formula_give(tw_formula *f, int at, int a) {
  if (at < 0 || at >= f->output_count || f->outputs[at].value >= 0 || !usable(f, a))
    return TW_EINVAL;
  if (f->values[a].kind == CONSTANT) {
    a = add_step(f, COPY, a, a, f->values[a].type, NULL);
    if (a < 0) return a;
  }
  if (f->values[a].kind == COMPUTED) {
    mark_used(f, a);
    f->values[a].given = at;
  }
  f->outputs[at].value = a;
  f->given++;
  return TW_OK;
}

/* ---- strings ---- */

static int text_holds(const struct text *text, int op, int64_t k) {
  int64_t start = text->dict->start[k], own = text->dict->start[k + 1] - start;
  int64_t least = own < text->len ? own : text->len;
  int by = least ? memcmp(text->dict->bytes + start, text->bytes, (size_t)least) : 0;
  if (!by) by = (own > text->len) - (own < text->len);
  switch (op) {
  case TW_LT: return by < 0;
  case TW_LE: return by <= 0;
  case TW_GT: return by > 0;
  default: return by >= 0;
  }
}

/* Find out about strings that have come since. A dict only grows. */
static int text_learn(struct text *text, int op, tw_dict *dict) {
  if (dict == text->dict && dict->count == text->count) return TW_OK;
  if (dict != text->dict) {
    tw_dict_release(text->dict);
    text->dict = tw_dict_retain(dict);
    text->count = 0;
    text->code = -1;
  }
  if (op == TW_EQ || op == TW_NE) {
    if (text->code < 0) text->code = tw_dict_find(dict, text->bytes, text->len);
  } else {
    if (dict->count > text->room) {
      uint8_t *truth = tw__realloc(text->truth, (size_t)dict->count * 2);
      if (!truth) return TW_ENOMEM;
      text->truth = truth;
      text->room = dict->count * 2;
    }
    for (int64_t k = text->count; k < dict->count; k++)
      text->truth[k] = (uint8_t)text_holds(text, op, k);
  }
  text->count = dict->count;
  return TW_OK;
}

static void text_step(const struct step *step, uint8_t *to, const uint32_t *code,
                      int64_t n, int wide) {
  const struct text *text = step->text;
  if (step->op == TW_EQ || step->op == TW_NE) {
    uint32_t number = (uint32_t)text->code; /* no code is UINT32_MAX */
    tw__block_step(step->op == TW_EQ ? TW__BLOCK_CODE : TW__BLOCK_OTHER, TW_COL_STRING,
                   to, code, &number, n, wide);
  } else if (text->count) {
    for (int64_t i = 0; i < n; i++) to[i] = text->truth[code[i]];
  } else {
    memset(to, 0, (size_t)n); /* all are missing */
  }
}

/* ---- running ---- */

struct run {
  tw_formula *f;
  tw_frame *out;
  const int32_t *at; /* rows of this block, NULL: from base on */
  int64_t base, n;   /* of the block: first row (of those to be made), how many */
};

static const void *gather(struct buffer *buffer, const tw_column *col,
                          const int32_t *at, int64_t n) {
  switch (tw_column_width(col->type)) {
  case 8:
    for (int64_t i = 0; i < n; i++) buffer->data[i] = (uint64_t)col->i64[at[i]];
    break;
  case 4: {
    uint32_t *to = (uint32_t *)(void *)buffer->data;
    for (int64_t i = 0; i < n; i++) to[i] = col->code[at[i]];
    break;
  }
  default: {
    uint8_t *to = (uint8_t *)buffer->data;
    for (int64_t i = 0; i < n; i++) to[i] = col->b[at[i]];
  }
  }
  return buffer->data;
}

/* The columns that steps of a phase use, for the block. */
static void load(const struct run *r, int phase) {
  for (int k = 0; k < r->f->value_count; k++) {
    struct value *val = &r->f->values[k];
    if (val->kind > HELD || !(val->used & phase) || val->buffer < 0) continue;
    const tw_column *col = val->col;
    struct buffer *buffer = r->f->buffers[val->buffer];
    if (r->at)
      val->data = gather(buffer, col, r->at, r->n);
    else
      val->data = (const char *)col->data + r->base * tw_column_width(col->type);
    val->there = col->valid ? buffer->there : NULL;
    if (!col->valid) continue;
    for (int64_t i = 0; i < r->n; i++)
      buffer->there[i] =
          (uint8_t)tw__column_bit(col->valid, r->at ? r->at[i] : r->base + i);
  }
}

/* What is missing in a result because it is missing in what it was made of. */
static void miss(const struct run *r, const struct step *step, void *to,
                 const struct value *from) {
  const tw_formula *f = r->f;
  struct value *out = &f->values[step->out];
  if (!from->there) return;
  if (step->op <= TW_GE)
    tw__block_step(step->op == TW_NE ? TW__BLOCK_MISS : TW__BLOCK_KEEP, TW_COL_BOOL, to,
                   NULL, from->there, r->n, f->wide);
  else if (step->op == TW_FORMULA_NUMBER)
    tw__block_step(TW__BLOCK_BLANK, TW_COL_F64, to, NULL, from->there, r->n, f->wide);
  else if (out->type == TW_COL_I64) {
    uint8_t *there = f->buffers[out->buffer]->there;
    if (!out->there) memcpy(there, from->there, (size_t)r->n);
    if (out->there)
      tw__block_step(TW__BLOCK_KEEP, TW_COL_BOOL, there, NULL, from->there, r->n,
                     f->wide);
    out->there = there;
  }
}

/* The bits of the block in the bitmap of an output; those behind it are set. */
static void put_bits(const struct run *r, tw_column *col, const uint8_t *there) {
  uint8_t *valid = tw_column_bitmap(col) + r->base / 8;
  for (int64_t i = 0; i < r->n; i += 8) {
    unsigned byte = 0xFF;
    for (int64_t j = 0; j < 8 && i + j < r->n; j++)
      byte ^= (unsigned)!there[i + j] << j;
    valid[i / 8] = (uint8_t)byte;
  }
}

static void do_steps(const struct run *r, int first, int last) {
  tw_formula *f = r->f;
  for (int k = first; k < last; k++) {
    const struct step *step = &f->steps[k];
    const struct value *a = &f->values[step->a], *b = &f->values[step->b];
    struct value *out = &f->values[step->out];
    tw_column *col = out->given < 0 ? NULL : r->out->column[out->given];
    size_t width = (size_t)tw_column_width(out->type);
    void *to = f->buffers[out->buffer]->data;
    if (col) to = (char *)col->data + (size_t)r->base * width;
    out->there = NULL;
    if (step->text)
      text_step(step, to, a->data, r->n, f->wide);
    else if (step->op == COPY)
      memcpy(to, a->data, (size_t)r->n * width);
    else if (step->op != TW_FORMULA_NULL || a->type == TW_COL_F64)
      tw__block_step(step->op, a->type, to, a->data, b->data, r->n, f->wide);
    else if (a->there)
      tw__block_step(TW_FORMULA_NEGATE, TW_COL_BOOL, to, a->there, NULL, r->n, f->wide);
    else
      memset(to, 0, (size_t)r->n);
    miss(r, step, to, a);
    if (step->b != step->a) miss(r, step, to, b);
    out->data = to;
    if (col && out->there) put_bits(r, col, out->there);
  }
}

/* Look at the columns of this run. */
static int bind(tw_formula *f, const tw_frame *frame) {
  for (int k = 0; k < f->value_count; k++) {
    struct value *val = &f->values[k];
    if (val->kind > HELD) continue;
    if (val->kind == COLUMN && val->at >= frame->columns) return TW_ETYPE;
    val->col = val->kind == HELD ? *val->held : frame->column[val->at];
    if (!val->col || val->col->type != val->type || val->col->len != frame->rows)
      return TW_ETYPE;
  }
  for (int k = 0; k < f->step_count; k++) {
    const struct step *step = &f->steps[k];
    if (step->text && text_learn(step->text, step->op, f->values[step->a].col->dict))
      return TW_ENOMEM;
  }
  return TW_OK;
}

static int64_t less(int64_t a, int64_t b) {
  return a < b ? a : b;
}

/* The rows for which the filter is true, into sel. */
static int select_rows(tw_formula *f, int64_t rows, tw_selection *sel) {
  const struct value *mask = &f->values[f->filter];
  if (tw_selection_reserve(sel, rows)) return TW_ENOMEM;
  sel->count = 0;
  for (int64_t base = 0; base < rows; base += TW__BLOCK) {
    struct run r = {.f = f, .base = base, .n = less(TW__BLOCK, rows - base)};
    load(&r, 1);
    do_steps(&r, 0, f->filter_steps);
    const uint8_t *bytes = mask->kind > HELD ? mask->data : mask->col->b + base;
    sel->count +=
        tw__block_select(sel->at + sel->count, (int32_t)base, bytes, r.n, f->wide);
  }
  return TW_OK;
}

/* A column into an output, the rows of sel or all. */
static int pass(tw_frame *out, int k, const tw_column *col, const tw_selection *sel) {
  if (sel) return tw_column_gather(&out->column[k], col, sel->at, sel->count);
  tw_frame_set(out, k, (tw_column *)(uintptr_t)col);
  return TW_OK;
}

/* Are the outputs the columns of the frame as they stand? */
static int is_same(const tw_formula *f, const tw_frame *frame, int schema) {
  if (schema != frame->schema || f->output_count != frame->columns) return 0;
  for (int k = 0; k < f->output_count; k++) {
    const struct value *val =
        f->outputs[k].value < 0 ? NULL : &f->values[f->outputs[k].value];
    if (!val || val->kind != COLUMN || val->at != k) return 0;
  }
  return 1;
}

/* Is there a frame for these rows already: the one that came, or the one without rows? */
static tw_frame *find_frame(const tw_formula *f, const tw_frame *frame, int schema,
                            int64_t rows) {
  if (f->filter < 0) return NULL;
  if (rows == frame->rows && is_same(f, frame, schema))
    return (tw_frame *)(uintptr_t)frame;
  return !rows && f->none && f->none->schema == schema ? f->none : NULL;
}

int tw_formula_run(tw_formula *f, tw_frame **out, const tw_frame *frame, int schema,
                   tw_selection *sel) {
  int computed = 0;
  int rc = bind(f, frame);
  if (!rc && f->filter >= 0) rc = sel ? select_rows(f, frame->rows, sel) : TW_EINVAL;
  if (rc) return rc;
  int64_t rows = sel ? sel->count : frame->rows;
  tw_frame *known = find_frame(f, frame, schema, rows);
  if (known) {
    tw_frame_retain(known);
    tw_frame_release(*out);
    *out = known;
    return TW_OK;
  }
  rc = tw_frame_renew(out, f->output_count, schema);
  int all = f->filter >= 0 && rows == frame->rows;
  for (int k = 0; !rc && k < f->output_count; k++) {
    if (f->outputs[k].value < 0) continue;
    const struct value *val = &f->values[f->outputs[k].value];
    if (val->kind == COMPUTED) {
      rc = tw_column_renew(&(*out)->column[k], val->type, NULL, rows);
      computed = 1;
    } else {
      rc = pass(*out, k, val->col, all ? NULL : sel);
    }
  }
  if (rc) return rc;
  for (int64_t base = 0; computed && base < rows; base += TW__BLOCK) {
    struct run r = {.f = f,
                    .out = *out,
                    .at = sel ? sel->at + base : NULL,
                    .base = base,
                    .n = less(TW__BLOCK, rows - base)};
    load(&r, f->filter < 0 ? 1 : 2);
    do_steps(&r, f->filter >= 0 ? f->filter_steps : 0, f->step_count);
  }
  for (int k = 0; computed && k < f->output_count; k++) {
    tw_column *col = f->outputs[k].value < 0 ? NULL : (*out)->column[k];
    if (col && f->values[f->outputs[k].value].kind == COMPUTED && col->valid)
      tw_column_settle(col);
  }
  (*out)->rows = rows;
  if (f->filter >= 0 && !rows && !f->none && f->given == f->output_count)
    f->none = tw_frame_retain(*out);
  return TW_OK;
}
