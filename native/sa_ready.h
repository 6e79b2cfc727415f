/* The ready tasks: for each queue one FIFO for each priority.
 *
 * Pick order: the highest priority that waits in any open queue; among queues
 * with such a task, round robin; inside one queue, first in first out.  Every
 * SA_AGEING-th pick takes the task that has been ready longest, whatever its
 * priority, so that none starves.
 */
#ifndef SA_READY_H
#define SA_READY_H

#include "sa_arena.h"
#include "sa_list.h"

#define SA_PRIORITIES 10
#define SA_AGEING 16

struct sa_ready {
    struct sa_list lists[SA_QUEUES_MAX][SA_PRIORITIES];
    uint64_t open[SA_PRIORITIES][SA_QUEUES_MAX / 64]; /* has tasks, not paused */
    uint8_t paused[SA_QUEUES_MAX];
    uint32_t turn[SA_PRIORITIES]; /* next queue in the round */
    uint32_t picks, count, open_count;
};

void sa_ready_open(struct sa_ready *ready);
void sa_ready_add(struct sa_ready *ready, struct sa_links *links, uint32_t slot,
                  uint32_t queue, uint32_t priority, int in_front);
void sa_ready_remove(struct sa_ready *ready, struct sa_links *links, uint32_t slot,
                     uint32_t queue, uint32_t priority);
/* The next slot by the order above (it stays listed), or SA_NONE. */
uint32_t sa_ready_pick(struct sa_ready *ready, const struct sa_slot *slots);
void sa_ready_pause(struct sa_ready *ready, uint32_t queue, int paused);

#endif
