/* core/status: every status has its name, anything else has some. */
#include "../check.h"
#include "tideway.h"

int main(int argc, char **argv) {
  check_open(argc, argv);
  static const struct {
    int status;
    const char *name;
  } all[] = {
      {TW_OK, "TW_OK"},
      {TW_EINVAL, "TW_EINVAL"},
      {TW_ENOMEM, "TW_ENOMEM"},
      {TW_ETYPE, "TW_ETYPE"},
      {TW_EOF, "TW_EOF"},
      {TW_AGAIN, "TW_AGAIN"},
      {TW_EPARSE, "TW_EPARSE"},
      {TW_EIO, "TW_EIO"},
      {TW_ECORRUPT, "TW_ECORRUPT"},
      {TW_EFAILED, "TW_EFAILED"},
  };
  for (size_t i = 0; i < sizeof all / sizeof *all; i++)
    CHECKF(!strcmp(tw_status_name(all[i].status), all[i].name), "%s", all[i].name);
  CHECK(!strcmp(tw_status_name(7), "TW_OK")); /* a count */
  CHECK(!strcmp(tw_status_name(TW_EFAILED - 1), "unknown status"));
  CHECK(!strcmp(tw_status_name(INT32_MIN), "unknown status"));
  CHECK(tw_abi() == TW_ABI);
  return check_close();
}
