/* frame/arrow: what goes out comes back the same, and everything is released. */
#include "made.h"

static const char *const names[] = {"f", "i", "b", "s", "t"};

static void goes_out_and_comes_back(void) {
  for (int round = 0; round < 40; round++) {
    int64_t before = tw_mem_bytes(), bad;
    tw_frame *frame = made_frame(check_below(40), 20 * (int)check_below(3), NULL),
             *back = NULL;
    struct ArrowSchema schema;
    struct ArrowArray array;
    CHECK(tw_arrow_export(frame, names, &schema, &array) == TW_OK);
    CHECK(!strcmp(schema.format, "+s") && schema.n_children == 5 &&
          array.length == frame->rows);
    CHECK(!strcmp(schema.children[3]->name, "s") &&
          !strcmp(schema.children[4]->format, "tsn:UTC"));
    for (int k = 0; k < 5; k++)
      CHECK(array.children[k]->null_count == tw_column_null_count(frame->column[k]));
    CHECK(tw_arrow_import(&back, &schema, &array, &bad) == TW_OK &&
          tw_frame_equal(frame, back));
    for (int k = 0; k < 5; k++) made_check(back->column[k]);
    /* a part of it */
    if (frame->rows > 4) {
      tw_frame *part = NULL;
      array.offset = 3, array.length -= 4;
      CHECK(!tw_frame_slice(&part, frame, 3, frame->rows - 4));
      CHECK(tw_arrow_import(&back, &schema, &array, &bad) == TW_OK &&
            tw_frame_equal(part, back));
      tw_frame_release(part);
    }
    tw_frame_release(frame); /* the consumer still has it */
    CHECK(tw_mem_bytes() > before);
    if (check_below(2)) { /* a child moved out */
      struct ArrowArray moved = *array.children[3];
      array.children[3]->release = NULL;
      tw_arrow_release_array(&array);
      CHECK(moved.release && moved.dictionary->length >= 0);
      tw_arrow_release_array(&moved);
      CHECK(!moved.release);
    } else {
      tw_arrow_release_array(&array);
    }
    tw_arrow_release_schema(&schema);
    CHECK(!schema.release && !array.release);
    tw_arrow_release_schema(&schema), tw_arrow_release_array(&array);
    tw_frame_release(back);
    CHECK(tw_mem_bytes() == before);
  }
}

/* An array as others make it: format and buffers. */
struct other {
  struct ArrowSchema schema, child, names, *children[1];
  struct ArrowArray array, values, texts, *arrays[1];
  const void *buffers[3], *none[1], *text_buffers[3];
};

static tw_frame *import(struct other *o, const char *format, const void *valid,
                        const void *data, const void *more, int64_t n, int *rc) {
  int64_t bad;
  tw_frame *out = NULL;
  o->child.format = format, o->schema.format = "+s";
  o->children[0] = &o->child, o->schema.children = o->children,
  o->schema.n_children = 1;
  o->buffers[0] = valid, o->buffers[1] = data, o->buffers[2] = more;
  o->values.buffers = o->buffers, o->values.length = n,
  o->values.null_count = valid ? -1 : 0;
  o->arrays[0] = &o->values, o->array.children = o->arrays, o->array.n_children = 1;
  o->array.length = n;
  *rc = tw_arrow_import(&out, &o->schema, &o->array, &bad);
  if (*rc == TW_ETYPE) CHECK(bad == 0);
  return out;
}

static void takes_what_others_have(void) {
  struct other o;
  int rc;
  memset(&o, 0, sizeof o);
  uint8_t valid[] = {0x0B}; /* value 2 is missing */
  struct {
    const char *format;
    const void *data;
  } whole[] = {
      {"c", (int8_t[]){-1, 2, 9, 4}},  {"C", (uint8_t[]){255, 2, 9, 4}},
      {"s", (int16_t[]){-1, 2, 9, 4}}, {"S", (uint16_t[]){65535, 2, 9, 4}},
      {"i", (int32_t[]){-1, 2, 9, 4}}, {"I", (uint32_t[]){4294967295u, 2, 9, 4}},
      {"l", (int64_t[]){-1, 2, 9, 4}},
  };
  int64_t first[] = {-1, 255, -1, 65535, -1, 4294967295, -1};
  for (int i = 0; i < 7; i++) {
    tw_frame *out = import(&o, whole[i].format, valid, whole[i].data, NULL, 4, &rc);
    CHECK(!rc && out->column[0]->type == TW_COL_I64 &&
          out->column[0]->i64[0] == first[i]);
    CHECK(out->column[0]->i64[3] == 4 && tw_column_is_null(out->column[0], 2) &&
          out->column[0]->nulls == 1);
    tw_frame_release(out);
  }
  tw_frame *out = import(&o, "L", NULL, (uint64_t[]){7, UINT64_MAX}, NULL, 2, &rc);
  CHECK(!rc && out->column[0]->i64[0] == 7 && tw_column_is_null(out->column[0], 1));
  tw_frame_release(out);
  out = import(&o, "f", valid, (float[]){0.5f, 1, 2, 3}, NULL, 4, &rc);
  CHECK(!rc && out->column[0]->f64[0] == 0.5 && tw_column_is_null(out->column[0], 2));
  tw_frame_release(out);
  out = import(&o, "tdD", NULL, (int32_t[]){1, -1}, NULL, 2, &rc);
  CHECK(!rc && out->column[0]->i64[1] == -86400000000000);
  tw_frame_release(out);
  out = import(&o, "tss:", NULL, (int64_t[]){3, INT64_MAX}, NULL, 2, &rc);
  CHECK(!rc && out->column[0]->i64[0] == 3000000000 &&
        tw_column_is_null(out->column[0], 1));
  tw_frame_release(out);
  out = import(&o, "tsu:UTC", NULL, (int64_t[]){3}, NULL, 1, &rc);
  CHECK(!rc && out->column[0]->i64[0] == 3000);
  tw_frame_release(out);
  out = import(&o, "u", valid, (int32_t[]){0, 1, 3, 3, 4}, "abbc", 4, &rc);
  int64_t len;
  CHECK(!rc && !memcmp(tw_column_text(out->column[0], 1, &len), "bb", 2) && len == 2);
  CHECK(tw_column_is_null(out->column[0], 2) &&
        *tw_column_text(out->column[0], 3, &len) == 'c');
  tw_frame_release(out);
  /* a dictionary, one of whose strings is missing */
  o.names.format = "u", o.child.dictionary = &o.names;
  o.text_buffers[0] = (uint8_t[]){5}, o.text_buffers[1] = (int32_t[]){0, 1, 2, 3},
  o.text_buffers[2] = "xyz";
  o.texts = (struct ArrowArray){
      .length = 3, .null_count = 1, .n_buffers = 3, .buffers = o.text_buffers};
  o.values.dictionary = &o.texts;
  out = import(&o, "c", NULL, (int8_t[]){2, 1, 0, 9}, NULL, 4, &rc);
  CHECK(!rc && *tw_column_text(out->column[0], 0, &len) == 'z' &&
        tw_column_is_null(out->column[0], 1));
  CHECK(tw_column_is_null(out->column[0], 3));
  tw_frame_release(out);
  o.child.dictionary = NULL, o.values.dictionary = NULL;
  CHECK(!import(&o, "e", NULL, NULL, NULL, 0, &rc) && rc == TW_ETYPE);
  CHECK(!import(&o, "+l", NULL, NULL, NULL, 0, &rc) && rc == TW_ETYPE);
}

static void every_allocation_may_fail(void) {
  tw_frame *frame = made_frame(20, 20, NULL);
  for (int n = 1, done = 0; !done; n++) {
    int64_t before = tw_mem_bytes(), bad;
    struct ArrowSchema schema = {.n_children = 77};
    struct ArrowArray array = {.n_children = 77};
    tw_frame *back = NULL;
    tw_mem_fail_at(n);
    int rc = tw_arrow_export(frame, names, &schema, &array);
    int out = rc == TW_OK;
    if (out) rc = tw_arrow_import(&back, &schema, &array, &bad);
    done = tw_mem_fail_at(0) > 0;
    CHECK(rc == TW_ENOMEM || (done && rc == TW_OK));
    if (!out)
      CHECK(schema.n_children == 77 && array.n_children == 77 &&
            frame->column[3]->refs == 1);
    if (out) tw_arrow_release_schema(&schema), tw_arrow_release_array(&array);
    tw_frame_release(back);
    CHECK(tw_mem_bytes() == before);
  }
  tw_frame_release(frame);
}

int main(int argc, char **argv) {
  check_open(argc, argv);
  goes_out_and_comes_back();
  takes_what_others_have();
  every_allocation_may_fail();
  return check_close();
}
