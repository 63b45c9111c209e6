/* share -- each key is in one share, the same for good, and shares are about equal. */
#include "../check.h"
#include "tideway.h"

static void fair(const int *count, int shares, int keys) {
  for (int k = 0; k < shares; k++) {
    const double expected = (double)keys / shares;
    CHECKF(count[k] > 0.8 * expected && count[k] < 1.2 * expected, "share %d of %d: %d",
           k, shares, count[k]);
  }
}

int main(int argc, char **argv) {
  enum { KEYS = 20000, MOST = 7 };
  check_open(argc, argv);
  for (int shares = 1; shares <= MOST; shares++) {
    int whole[MOST] = {0}, broken[MOST] = {0}, text[MOST] = {0};
    const int64_t from = check_below(1 << 30);
    for (int i = 0; i < KEYS; i++) {
      char name[40];
      const int len = snprintf(name, sizeof name, "key-%lld", (long long)(from + i));
      whole[tw_share_num((double)(from + i), shares)]++;
      broken[tw_share_num(check_unit(), shares)]++;
      text[tw_share_bytes(name, len, shares)]++;
    }
    fair(whole, shares, KEYS);
    fair(broken, shares, KEYS);
    fair(text, shares, KEYS);
  }
  CHECK(tw_share_num(0.0, 1000) == tw_share_num(-0.0, 1000));
  /* what has been stored by shares is found again */
  CHECKF(tw_share_num(42, 1000) == 790, "%d", tw_share_num(42, 1000));
  CHECKF(tw_share_bytes("tideway", 7, 1000) == 814, "%d",
         tw_share_bytes("tideway", 7, 1000));
  CHECKF(tw_share_bytes("", 0, 1000) == 429, "%d", tw_share_bytes("", 0, 1000));
  return check_close();
}
