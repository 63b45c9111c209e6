/* paths.c -- the files that a path or pattern means. */
#include <errno.h>
#include <glob.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tideway.h"

/* Appends path and its 0 when they fit; counts them in any case. */
static int64_t append(char *buf, int64_t size, int64_t len, const char *path) {
  const int64_t n = (int64_t)strlen(path) + 1;
  if (len + n <= size) memcpy(buf + len, path, (size_t)n);
  return len + n;
}

int64_t tw_paths_match(const char *pattern, char *buf, int64_t size) {
  glob_t found = {0};
  int64_t len = 0;
  if (!strpbrk(pattern, "*?[") || access(pattern, F_OK) == 0)
    return append(buf, size, 0, pattern);
  const int rc = glob(pattern, 0, NULL, &found);
  for (size_t i = 0; rc == 0 && i < found.gl_pathc; i++)
    len = append(buf, size, len, found.gl_pathv[i]);
  globfree(&found); /* what was found before a failure, too */
  if (rc == GLOB_NOSPACE) return TW_ENOMEM;
  return rc == 0 || rc == GLOB_NOMATCH ? len : TW_EIO;
}
