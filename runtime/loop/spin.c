/* spin.c -- looking out for a moment before a thread sleeps for what another one sends.
 *
 * Waking a thread whose processor sleeps takes 50 us in a virtual machine, there and back 100; an
 * answer from a thread that is awake takes less than 1. So who has waited only shortly looks
 * around for as long before it sleeps the next time. Looking in vain takes the processor from
 * others, perhaps from the very thread that is waited for: after that some waits go without, and
 * twice as many after the next one in vain. What is given away so is below 2 % of the time. As
 * KVM's halt polling (Linux, virt/kvm/kvm_main.c) and adaptive mutexes do it.
 */
#include "loop/spin.h"

#include "tideway.h"

enum {
  SHORT_NS = 100000, /* what is worth looking for, and how long we do */
  LOOKS = 16,        /* between two looks at the clock */
  PENALTY_MOST = 127
};

void tw__spin_add(tw__spin *spin, tw__inflow *inflow) {
  inflow->next = spin->inflows;
  spin->inflows = inflow;
}

void tw__spin_remove(tw__spin *spin, tw__inflow *inflow) {
  for (tw__inflow **at = &spin->inflows; *at; at = &(*at)->next) {
    if (*at != inflow) continue;
    *at = inflow->next;
    return;
  }
}

static int any(const tw__spin *spin, int step) {
  int found = 0;
  for (tw__inflow *at = spin->inflows; at; at = at->next) found |= at->look(at, step);
  return found;
}

static void relax(void) {
#if defined __x86_64__ || defined __i386__
  __builtin_ia32_pause();
#elif defined __aarch64__
  __asm__ volatile("yield");
#endif
}

/* Whether something has come before this moment. */
static int look_till(const tw__spin *spin, int64_t end) {
  do {
    for (int i = 0; i < LOOKS; i++) {
      if (any(spin, TW__LOOK)) return 1;
      relax();
    }
  } while (tw_loop_now_ns() < end);
  return 0;
}

int tw__spin_before(tw__spin *spin, int64_t timeout_ns) {
  if (!spin->inflows) return 0;
  spin->began = tw_loop_now_ns();
  spin->looked = spin->woken = 0;
  if (!spin->promising) return 0;
  if (spin->skip > 0) {
    spin->skip--;
    return 0;
  }
  if (!any(spin, TW__LOOK_BEGIN)) return 0;
  look_till(spin, spin->began + (timeout_ns < 0 || timeout_ns > SHORT_NS ? SHORT_NS
                                                                         : timeout_ns));
  if (any(spin, TW__LOOK_END)) {
    spin->penalty = 0;
    return 1;
  }
  spin->looked = 1;
  return 0;
}

void tw__spin_after(tw__spin *spin) {
  if (!spin->inflows) return;
  if (spin->woken) spin->promising = tw_loop_now_ns() - spin->began <= SHORT_NS;
  if (!spin->looked) return;
  spin->penalty = spin->penalty * 2 + 1;
  if (spin->penalty > PENALTY_MOST) spin->penalty = PENALTY_MOST;
  spin->skip = spin->penalty;
}
