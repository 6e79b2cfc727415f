/* Waking the supervisor and its peers.
 *
 * S sleeps: sleeping=1 → fence → look at every tail again → epoll.
 * A peer:   publish → fence → sleeping? → swap 0 in → the winner writes the fd.
 * Either the peer sees the flag, or S sees the record (tests/model/wakeup.py,
 * checked under store buffers; without either fence a wake-up is lost).
 */
#ifndef SA_BELL_H
#define SA_BELL_H

#include "sa_layout.h"
#include "sa_order.h"
#include "sa_platform.h"

static inline void
sa_bell_ring(struct sa_bell_page *bell, int fd)
{
    /* P6: orders our tail store before the look at the flag. */
    sa_fence();
    if (sa_load32(&bell->sleeping) && sa_swap32(&bell->sleeping, 0) == 1)
        sa_bell_write(fd);
}

/* S wakes a peer that said it sleeps; `fd` < 0 where the peer has none. */
static inline void
sa_sleep_wake(struct sa_sleep *sleep, int fd)
{
    /* D5: orders the offer before the look at the flags. */
    sa_fence();
    if (!sa_load32(&sleep->flags))
        return;
    uint32_t flags = sa_swap32(&sleep->flags, 0);
    if (flags & SA_SLEEP_FUTEX) {
        sa_add32(&sleep->seq, 1);
        sa_futex_wake(&sleep->seq, 1 << 30);
    }
    if ((flags & SA_SLEEP_FD) && fd >= 0)
        sa_bell_write(fd);
}

#endif
