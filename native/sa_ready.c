#include "sa_ready.h"

#include <string.h>

static void
flag(struct sa_ready *ready, uint32_t queue, uint32_t priority)
{
    uint64_t bit = 1ull << (queue % 64);
    uint64_t *word = &ready->open[priority][queue / 64];
    if (ready->lists[queue][priority].count && !ready->paused[queue])
        *word |= bit;
    else
        *word &= ~bit;
}

void
sa_ready_open(struct sa_ready *ready)
{
    memset(ready, 0, sizeof *ready);
    for (uint32_t q = 0; q < SA_QUEUES_MAX; q++)
        for (uint32_t p = 0; p < SA_PRIORITIES; p++)
            sa_list_clear(&ready->lists[q][p]);
}

void
sa_ready_add(struct sa_ready *ready, struct sa_links *links, uint32_t slot,
             uint32_t queue, uint32_t priority, int in_front)
{
    struct sa_list *list = &ready->lists[queue][priority];
    if (in_front)
        sa_list_prepend(links, list, slot);
    else
        sa_list_append(links, list, slot);
    ready->count++;
    if (!ready->paused[queue])
        ready->open_count++;
    flag(ready, queue, priority);
}

void
sa_ready_remove(struct sa_ready *ready, struct sa_links *links, uint32_t slot,
                uint32_t queue, uint32_t priority)
{
    sa_list_remove(links, &ready->lists[queue][priority], slot);
    ready->count--;
    if (!ready->paused[queue])
        ready->open_count--;
    flag(ready, queue, priority);
}

void
sa_ready_pause(struct sa_ready *ready, uint32_t queue, int paused)
{
    if (ready->paused[queue] == (paused != 0))
        return;
    ready->paused[queue] = paused != 0;
    for (uint32_t p = 0; p < SA_PRIORITIES; p++) {
        uint32_t count = ready->lists[queue][p].count;
        ready->open_count += paused ? -count : count;
        flag(ready, queue, p);
    }
}

/* Next queue at or after `from`, cyclically, whose bit is set in `words`. */
static uint32_t
next_queue(const uint64_t *words, uint32_t from)
{
    const uint32_t n = SA_QUEUES_MAX / 64;
    uint32_t word = from / 64;
    uint64_t bits = words[word] & (~0ull << (from % 64));
    for (uint32_t i = 0; i <= n; i++) {
        if (bits)
            return word * 64 + (uint32_t)__builtin_ctzll(bits);
        word = (word + 1) % n;
        bits = words[word];
    }
    return SA_NONE;
}

static uint32_t
oldest(const struct sa_ready *ready, const struct sa_slot *slots)
{
    uint32_t best = SA_NONE;
    int64_t since = INT64_MAX;
    for (uint32_t p = 0; p < SA_PRIORITIES; p++)
        for (uint32_t w = 0; w < SA_QUEUES_MAX / 64; w++)
            for (uint64_t bits = ready->open[p][w]; bits; bits &= bits - 1) {
                uint32_t q = w * 64 + (uint32_t)__builtin_ctzll(bits);
                uint32_t slot = ready->lists[q][p].first;
                int64_t at = sa_slot_var(&slots[slot])->due_ns;
                if (at < since) {
                    since = at;
                    best = slot;
                }
            }
    return best;
}

uint32_t
sa_ready_pick(struct sa_ready *ready, const struct sa_slot *slots)
{
    if (ready->open_count == 0)
        return SA_NONE;
    if (++ready->picks % SA_AGEING == 0)
        return oldest(ready, slots);
    for (uint32_t p = SA_PRIORITIES; p > 0; p--) {
        uint32_t q = next_queue(ready->open[p - 1], ready->turn[p - 1]);
        if (q == SA_NONE)
            continue;
        ready->turn[p - 1] = (q + 1) % SA_QUEUES_MAX;
        return ready->lists[q][p - 1].first;
    }
    return SA_NONE;
}
