/* core/mem: the total follows what is held; the n-th allocation fails, once. */
#include "../check.h"
#include "core/mem.h"
#include "tideway.h"

static void total_follows_what_is_held(void) {
  int64_t before = tw_mem_bytes();
  char *block = tw__malloc(1000);
  CHECK(block && tw_mem_bytes() >= before + 1000);
  block = tw__realloc(block, 100000);
  CHECK(block && tw_mem_bytes() >= before + 100000);
  double *zeros = tw__calloc(10, sizeof *zeros);
  CHECK(zeros && zeros[9] == 0);
  char *line = tw__malloc_aligned(64, 640);
  CHECK(line && (uintptr_t)line % 64 == 0);
  tw__free(line);
  tw__free(zeros);
  tw__free(block);
  tw__free(NULL);
  CHECK(tw_mem_bytes() == before);
}

static void fails_the_nth_and_no_other(void) {
  int64_t before = tw_mem_bytes();
  tw_mem_fail_at(3);
  void *a = tw__malloc(1), *b = tw__calloc(1, 1), *kept = a;
  CHECK(a && b);
  CHECK(!tw__realloc(kept, 100));
  CHECK(tw_mem_fail_at(0) == 0);
  a = tw__realloc(kept, 100);
  CHECK(a);
  tw_mem_fail_at(5);
  CHECK(tw_mem_fail_at(0) == 5);
  tw__free(a);
  tw__free(b);
  CHECK(tw_mem_bytes() == before);
}

static void copies_bytes_and_ends_them(void) {
  const int64_t before = tw_mem_bytes();
  char *copy = tw__mem_copy("a\0bc", 3), *empty = tw__mem_copy(NULL, 0);
  CHECK(copy && !memcmp(copy, "a\0b", 4));
  CHECK(empty && !*empty);
  tw__free(copy);
  tw__free(empty);
  tw_mem_fail_at(1);
  CHECK(!tw__mem_copy("x", 1));
  CHECK(tw_mem_bytes() == before);
}

static void grows_large_and_small(void) {
  const int64_t before = tw_mem_bytes();
  for (size_t size = 100; size < 20000000; size *= 100) {
    char *block = tw__mem_grow(NULL, 0, size), *zeros = tw__mem_zeros(size, 2);
    CHECK(block && zeros && zeros[0] == 0 && zeros[2 * size - 1] == 0);
    memset(block, 'x', size);
    tw_mem_fail_at(1);
    CHECK(!tw__mem_grow(block, size, 3 * size) && block[size - 1] == 'x');
    block = tw__mem_grow(block, size, 3 * size);
    CHECK(block && block[0] == 'x' && block[size - 1] == 'x');
    memset(block, 'y', 3 * size);
    tw__free(block), tw__free(zeros);
  }
  CHECK(tw_mem_bytes() == before);
}

int main(int argc, char **argv) {
  check_open(argc, argv);
  total_follows_what_is_held();
  fails_the_nth_and_no_other();
  copies_bytes_and_ends_them();
  grows_large_and_small();
  return check_close();
}
