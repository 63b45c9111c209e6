/* frame_json.c -- JSON objects, one a line, to the columns of a frame.
 *
 * Each line goes through the decoder of json.c, asked for the fields that are columns: 64
 * of them at a time, so that a wider frame has several decoders and reads its lines as
 * often.
 */
#include <math.h>

#include "codec/decoder.h"
#include "codec/frame_cell.h"
#include "codec/out.h"
#include "core/mem.h"
#include "frame/column.h"

struct field {
  int column;
  struct tw__names names;
};

struct reader {
  tw_frame_text pub;
  tw_decoder **dec; /* of fields 64 k .. 64 k + 63 each */
  struct field *field;
  int fields, room; /* room: of both, a multiple of TW_SLOTS */
  tw_out *out;      /* the text of values that are none */
};

tw_frame_text *tw_frame_json_open(void) {
  struct reader *r = tw__calloc(1, sizeof *r);
  if (!r) return NULL;
  r->out = tw_out_open();
  if (r->out) return &r->pub;
  tw__free(r);
  return NULL;
}

void tw_frame_json_close(tw_frame_text *pub) {
  struct reader *r = (struct reader *)pub;
  if (!r) return;
  for (int k = 0; k < r->fields; k++) tw__names_fini(&r->field[k].names);
  for (int k = 0; k < r->room / TW_SLOTS; k++) tw_decoder_close(r->dec[k]);
  tw__free(r->field);
  tw__free(r->dec);
  tw_out_close(r->out);
  tw__free(r);
}

static int grow(struct reader *r) {
  int room = r->room + TW_SLOTS;
  struct field *field = tw__realloc(r->field, (size_t)room * sizeof *field);
  if (!field) return TW_ENOMEM;
  r->field = field;
  tw_decoder **dec = tw__realloc(r->dec, (size_t)(room / TW_SLOTS) * sizeof(void *));
  if (!dec) return TW_ENOMEM;
  r->dec = dec;
  dec[r->room / TW_SLOTS] = tw_decoder_open();
  if (!dec[r->room / TW_SLOTS]) return TW_ENOMEM;
  r->room = room;
  return TW_OK;
}

int tw_frame_json_field(tw_frame_text *pub, const char *name, int64_t len, int column) {
  struct reader *r = (struct reader *)pub;
  if (column < 0) return TW_EINVAL;
  if (r->fields == r->room && grow(r)) return TW_ENOMEM;
  int rc = tw_decoder_field(r->dec[r->fields / TW_SLOTS], name, len);
  if (rc < 0) return rc;
  r->field[r->fields++] = (struct field){.column = column};
  r->pub.width = r->fields;
  return TW_OK;
}

/* ---- values that are no strings as text ---- */

static int64_t write_node(tw_out *out, const tw_slot *tape, int64_t i);

/* The members of a list, or the pairs of a map, whose node is before i. */
static int64_t write_members(tw_out *out, const tw_slot *tape, int64_t i, int32_t len,
                             bool map) {
  tw_out_bytes(out, map ? "{" : "[", 1);
  for (int32_t k = 0; k < len; k++) {
    if (k) tw_out_bytes(out, ",", 1);
    if (map) {
      i = write_node(out, tape, i);
      tw_out_bytes(out, ":", 1);
    }
    i = write_node(out, tape, i);
  }
  tw_out_bytes(out, map ? "}" : "]", 1);
  return i;
}

static void write_scalar(tw_out *out, const tw_slot *slot, int kind) {
  switch (kind) {
  case TW_SLOT_NUM:
    if (isfinite(slot->num))
      tw_out_num(out, slot->num);
    else
      tw_out_bytes(out, slot->num < 0 ? "-1e999" : "1e999", slot->num < 0 ? 6 : 5);
    break;
  case TW_SLOT_BOOL:
    tw_out_bytes(out, slot->len ? "true" : "false", slot->len ? 4 : 5);
    break;
  case TW_SLOT_STRING: tw_json_string(out, slot->bytes, slot->len); break;
  default: tw_out_bytes(out, "null", 4);
  }
}

static int64_t write_node(tw_out *out, const tw_slot *tape, int64_t i) {
  const tw_slot *slot = &tape[i++];
  if (slot->kind == TW_SLOT_LIST || slot->kind == TW_SLOT_MAP)
    return write_members(out, tape, i, slot->len, slot->kind == TW_SLOT_MAP);
  write_scalar(out, slot, slot->kind);
  return i;
}

/* The text of a value in r->out. 0 or TW_ENOMEM. */
static int as_text(struct reader *r, const tw_decoder *dec, const tw_slot *slot,
                   int kind) {
  tw_out_clear(r->out);
  if (kind == TW_SLOT_LIST || kind == TW_SLOT_MAP)
    write_node(r->out, dec->tape, slot->i64);
  else
    write_scalar(r->out, slot, kind);
  return r->out->status;
}

/* ---- cells ---- */

static int put_text(struct field *field, tw_column *col, int64_t i, const char *s,
                    int64_t len) {
  int64_t code = tw__names_add(&field->names, col, s, len, s + len);
  if (code < 0) return TW_ENOMEM;
  col->code[i] = (uint32_t)code;
  return 0;
}

static int put_words(tw_column *col, int64_t i, const char *s, const char *e) {
  int flag;
  switch (col->type) {
  case TW_COL_F64: return tw__cell_f64(s, e, &col->f64[i]) ? TW_FAULT_NUMBER : 0;
  case TW_COL_I64: return tw__cell_i64(s, e, &col->i64[i]) ? TW_FAULT_NUMBER : 0;
  case TW_COL_TIMESTAMP: return tw__cell_time(s, e, &col->i64[i]) ? TW_FAULT_TIME : 0;
  default:
    if (tw__cell_bool(s, e, &flag)) return TW_FAULT_BOOL;
    col->b[i] = (uint8_t)flag;
    return 0;
  }
}

static int put_num(tw_column *col, int64_t i, double x) {
  switch (col->type) {
  case TW_COL_F64: col->f64[i] = x; return 0;
  case TW_COL_I64:
    if (!(x >= -0x1p63 && x < 0x1p63) || floor(x) != x) return TW_FAULT_NUMBER;
    col->i64[i] = (int64_t)x;
    return 0;
  case TW_COL_TIMESTAMP: return tw__column_ns(x, &col->i64[i]) ? 0 : TW_FAULT_TIME;
  default:
    if (x != 0 && x != 1) return TW_FAULT_BOOL;
    col->b[i] = x != 0;
    return 0;
  }
}

static int fault_of(int type) {
  return type == TW_COL_BOOL        ? TW_FAULT_BOOL
         : type == TW_COL_TIMESTAMP ? TW_FAULT_TIME
                                    : TW_FAULT_NUMBER;
}

/* The value as value i of a column. 0, a fault, or TW_ENOMEM. */
static int put(struct reader *r, struct field *field, tw_column *col, int64_t i,
               const tw_decoder *dec, const tw_slot *slot, int kind) {
  if (kind == TW_SLOT_NONE || kind == TW_SLOT_NULL) return tw_column_set_null(col, i);
  if (kind == TW_SLOT_STRING)
    return col->type == TW_COL_STRING
               ? put_text(field, col, i, slot->bytes, slot->len)
               : put_words(col, i, slot->bytes, slot->bytes + slot->len);
  if (col->type == TW_COL_STRING) {
    if (as_text(r, dec, slot, kind)) return TW_ENOMEM;
    return put_text(field, col, i, r->out->bytes, r->out->len);
  }
  if (kind == TW_SLOT_NUM) return put_num(col, i, slot->num);
  if (kind != TW_SLOT_BOOL || col->type != TW_COL_BOOL) return fault_of(col->type);
  col->b[i] = slot->len != 0;
  return 0;
}

/* ---- rows ---- */

static void set_rows(tw_frame *frame, int64_t rows) {
  for (int k = 0; k < frame->columns; k++) {
    tw_column *col = frame->column[k];
    if (col->len > rows) tw__column_truncate(col, rows);
    col->len = rows;
  }
  frame->rows = rows;
}

static int wrong(struct reader *r, int fault, const char *s, int64_t len) {
  r->pub.fault = fault;
  r->pub.record = r->pub.cell = s;
  r->pub.record_len = r->pub.cell_len = len;
  r->pub.field = -1;
  return 0;
}

static int wrong_cell(struct reader *r, int fault, int k, const tw_decoder *dec,
                      const tw_slot *slot, int kind) {
  r->pub.fault = fault;
  r->pub.field = k;
  r->pub.cell = slot->bytes;
  r->pub.cell_len = slot->len;
  if (kind == TW_SLOT_STRING) return 0;
  if (as_text(r, dec, slot, kind)) return TW_ENOMEM;
  r->pub.cell = r->out->bytes;
  r->pub.cell_len = r->out->len;
  return 0;
}

/* The line as row i. 0, also with fault set, or TW_ENOMEM. */
static int take(struct reader *r, tw_frame *frame, int64_t i, const char *s,
                int64_t len) {
  for (int first = 0; first < r->fields; first += TW_SLOTS) {
    tw_decoder *dec = r->dec[first / TW_SLOTS];
    const uint8_t *kinds = ((struct tw__decoder *)dec)->kinds;
    int rc = tw_json_decode(dec, s, len);
    if (rc == TW_ENOMEM) return rc;
    if (rc < 0) {
      r->pub.at = dec->at;
      return wrong(r, rc == TW_EPARSE ? dec->fault : TW_FAULT_BYTE, s, len);
    }
    for (int k = first; k < r->fields && k < first + TW_SLOTS; k++) {
      struct field *field = &r->field[k];
      const tw_slot *slot = &dec->slots[k - first];
      int kind = kinds[k - first];
      rc = put(r, field, frame->column[field->column], i, dec, slot, kind);
      if (rc < 0) return rc;
      if (!rc) continue;
      wrong(r, rc, s, len);
      return wrong_cell(r, rc, k, dec, slot, kind);
    }
  }
  return 0;
}

/* The next line that is not blank, from *used on. False when there is none. */
static bool next_line(const char *text, int64_t len, int last, int64_t *used,
                      tw_slice *line) {
  while (*used < len) {
    const char *s = text + *used, *e = memchr(s, '\n', (size_t)(len - *used));
    if (!e && !last) return false;
    int64_t after = e ? e + 1 - text : len;
    if (!e) e = text + len;
    *used = after;
    const char *p = s;
    while (p < e && (*p == ' ' || *p == '\t' || *p == '\r')) p++;
    e -= e > s && e[-1] == '\r';
    *line = (tw_slice){s, e - s};
    if (p < e) return true;
  }
  return false;
}

int64_t tw_frame_json_read(tw_frame_text *pub, tw_frame *frame, const char *text,
                           int64_t len, int last, int64_t max) {
  struct reader *r = (struct reader *)pub;
  int64_t used = 0;
  tw_slice line;
  if (len < 0 || r->fields < 1) return TW_EINVAL;
  for (int k = 0; k < r->fields; k++)
    if (r->field[k].column >= frame->columns) return TW_EINVAL;
  for (int k = 0; k < frame->columns; k++)
    if (tw_column_reserve(frame->column[k], max)) return TW_ENOMEM;
  const int64_t rows = frame->rows, row = pub->row;
  pub->fault = 0;
  while (frame->rows < max && next_line(text, len, last, &used, &line)) {
    const int64_t i = frame->rows;
    set_rows(frame, i + 1);
    pub->row++;
    int rc = take(r, frame, i, line.ptr, line.len);
    if (rc < 0) {
      set_rows(frame, rows);
      pub->row = row;
      return rc;
    }
    if (!pub->fault) continue;
    set_rows(frame, i);
    break;
  }
  return used;
}

/* ---- before the first row ---- */

static int look_of(const tw_slot *slot) {
  switch (slot->kind) {
  case TW_SLOT_NUM: return TW__LOOK_NUMBER | TW__LOOK_BROKEN;
  case TW_SLOT_BOOL: return TW__LOOK_BOOL;
  case TW_SLOT_STRING: {
    int look = tw__cell_look(slot->bytes, slot->bytes + slot->len);
    return look == TW__LOOK_TIME ? look : TW__LOOK_TEXT;
  }
  case TW_SLOT_NULL: return 0;
  default: return TW__LOOK_TEXT;
  }
}

/* The names and looks of the map on the tape. */
static int note(const tw_slot *tape, tw_column *names, tw_column *looks) {
  int64_t i = 1;
  if (tape[0].kind != TW_SLOT_MAP) return TW_OK;
  for (int32_t k = 0; k < tape[0].len; k++) {
    const tw_slot *key = &tape[i], *val = &tape[i + 1];
    int64_t code = tw_column_code(names, key->bytes, key->len);
    if (code < 0) return TW_ENOMEM;
    if (code == looks->len) {
      if (tw_column_put_bytes(names, key->bytes, key->len)) return TW_ENOMEM;
      if (tw_column_put_i64(looks, 0)) return TW_ENOMEM;
    }
    looks->i64[code] |= look_of(val);
    bool nested = val->kind == TW_SLOT_LIST || val->kind == TW_SLOT_MAP;
    i = nested ? val->i64 : i + 2;
  }
  return TW_OK;
}

int tw_frame_json_guess(const char *text, int64_t len, int last, int64_t max,
                        tw_column *names, tw_column *types) {
  tw_decoder *dec = tw_decoder_open();
  int64_t used = 0;
  int rc = TW_OK;
  tw_slice line;
  if (!dec) return TW_ENOMEM;
  for (int64_t i = 0; i < max && !rc && next_line(text, len, last, &used, &line); i++) {
    struct tw__decoder *inner = (struct tw__decoder *)dec;
    tw__json_forget(inner->layouts); /* so that every record comes on the tape */
    inner->layouts = NULL;
    int status = tw_json_decode(dec, line.ptr, line.len);
    if (status >= 0) rc = note(dec->tape, names, types);
    if (status == TW_ENOMEM) rc = status;
  }
  tw_decoder_close(dec);
  for (int64_t k = 0; k < types->len && !rc; k++)
    if (types->i64[k]) types->i64[k] = tw__cell_type((int)types->i64[k]);
  return rc;
}
