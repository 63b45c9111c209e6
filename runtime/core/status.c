/* status.c -- the names of statuses, and the ABI number. */
#include "tideway.h"

int tw_abi(void) {
  return TW_ABI;
}

const char *tw_status_name(int status) {
  static const char *const names[] = {
      "TW_OK",    "TW_EINVAL", "TW_ENOMEM", "TW_ETYPE",    "TW_EOF",
      "TW_AGAIN", "TW_EPARSE", "TW_EIO",    "TW_ECORRUPT", "TW_EFAILED",
  }; /* ORDER tw_status */
  const int count = (int)(sizeof names / sizeof *names);
  if (status > 0) return "TW_OK";
  return -status < count ? names[-status] : "unknown status";
}
