/* out.c -- an output buffer keeps what it was given, and says when memory ran out. */
#include "../check.h"

#include "core/mem.h"
#include "tideway.h"

int main(int argc, char **argv) {
  check_open(argc, argv);
  tw_out *out = tw_out_open();
  tw_out_bytes(out, "a", 1);
  tw_out_num(out, -0.5);
  tw_out_i64(out, INT64_MIN);
  tw_out_u64(out, UINT64_MAX);
  tw_out_bytes(out, NULL, 0);
  static const char want[] = "a-0.5-922337203685477580818446744073709551615";
  CHECK(out->len == sizeof want - 1 && !memcmp(out->bytes, want, sizeof want - 1));
  CHECK(out->status == TW_OK);

  char block[1000];
  memset(block, 'x', sizeof block);
  for (int i = 0; i < 3000; i++) tw_out_bytes(out, block, sizeof block);
  CHECK(out->len == 3000 * 1000 + (int64_t)sizeof want - 1);
  tw_out_clear(out);
  CHECK(out->len == 0 && out->room <= 1 << 20);

  tw_mem_fail_at(1);
  tw_out_bytes(out, block, sizeof block);
  CHECK(out->status == TW_ENOMEM && out->len == 0);
  tw_out_clear(out);
  tw_out_bytes(out, block, sizeof block);
  CHECK(out->status == TW_OK && out->len == sizeof block);
  tw_out_close(out);
  tw_out_close(NULL);
  return check_close();
}
