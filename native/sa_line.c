/* The lines of limiters: tasks that have no token, until there is one. */
#include "sa_rate.h"

#include "sa_core_api.h"

enum {
    LOOKS = 64,              /* at tasks of a line, for the place of one */
    AT_ONCE = 64,            /* released by one line in one step */
    RETRY_AT_ONCE = 16,      /* the same, of those that there is no limiter for, */
    RETRY_NS = 50000000      /* and so often */
};

static struct sa_list *
list_of(struct sa_core *core, uint32_t line, uint32_t slot)
{
    const struct sa_task *task = sa_core_task(core, &core->arena.slots[slot]);
    return &core->rates.lines[line].tasks[task->priority];
}

static void
count_in(struct sa_rates *rates, uint32_t line, int by)
{
    rates->lines[line].count += (uint32_t)by;
    rates->waiting += (uint32_t)by;
    uint64_t bit = 1ull << (line % 64);
    if (rates->lines[line].count)
        rates->waits[line / 64] |= bit;
    else
        rates->waits[line / 64] &= ~bit;
}

/* Oldest first.  What comes is the youngest nearly always, and else near the front:
 * it was there before. */
static void
add_by_age(struct sa_core *core, struct sa_list *list, uint32_t slot)
{
    if (list->first == SA_NONE || sa_core_before(core, list->last, slot)) {
        sa_list_append(&core->links, list, slot);
        return;
    }
    uint32_t next = list->first;
    for (int i = 0; i < LOOKS && sa_core_before(core, next, slot); i++)
        next = core->links.next[next];
    sa_list_insert(&core->links, list, slot, next);
}

void
sa_line_park(struct sa_core *core, uint32_t slot, uint32_t line)
{
    sa_core_unqueue(core, slot);
    core->rates.tolls[slot].line = (uint16_t)(line + 1);
    add_by_age(core, list_of(core, line, slot), slot);
    count_in(&core->rates, line, 1);
    sa_core_timer(core, slot); /* it still expires */
    core->rates.changed = 1;
    core->moved++;
}

static void
forget_place(struct sa_rates *rates, struct sa_toll *toll)
{
    rates->lines[toll->line - 1u].released--;
    rates->released--;
    rates->changed = 1;
    toll->line = toll->released = 0;
}

int
sa_rate_leave(struct sa_core *core, uint32_t slot)
{
    struct sa_rates *rates = &core->rates;
    if (!rates->waiting && !rates->released)
        return 0;
    struct sa_toll *toll = &rates->tolls[slot];
    if (!toll->line)
        return 0;
    if (toll->released) {
        forget_place(rates, toll);
        return 0;
    }
    uint32_t line = toll->line - 1u;
    sa_list_remove(&core->links, list_of(core, line, slot), slot);
    count_in(rates, line, -1);
    toll->line = 0;
    return 1;
}

void
sa_rate_closed(struct sa_core *core, uint32_t queue)
{
    struct sa_rates *rates = &core->rates;
    for (uint32_t i = 0; rates->released && i < sa_core_slots(core); i++)
        if (rates->tolls[i].released && core->arena.slots[i].queue == queue) {
            forget_place(rates, &rates->tolls[i]);
            sa_rate_give(core, i);
        }
}

/* Who is first in a line: the highest priority; now and then whoever is oldest. */
static uint32_t
first_in(struct sa_core *core, struct sa_line *line)
{
    uint32_t best = SA_NONE;
    int oldest = ++line->picks % SA_AGEING == 0;
    for (uint32_t p = SA_PRIORITIES; p > 0; p--) {
        uint32_t slot = line->tasks[p - 1].first;
        if (slot == SA_NONE)
            continue;
        if (!oldest)
            return slot;
        if (best == SA_NONE || sa_core_before(core, slot, best))
            best = slot;
    }
    return best;
}

/* Back in front of its queue's line, where it was when its turn came. */
static void
release(struct sa_core *core, uint32_t slot, uint32_t line)
{
    struct sa_rates *rates = &core->rates;
    uint32_t queue = core->arena.slots[slot].queue;
    sa_core_enqueue(core, slot, 1);
    if (core->ready.paused[queue]) {
        sa_rate_give(core, slot); /* those whose queues are open may have it */
        return;
    }
    rates->tolls[slot].line = (uint16_t)(line + 1);
    rates->tolls[slot].released = 1;
    rates->lines[line].released++;
    rates->released++;
}

/* How many of a line may be in their queues now, and when it will be more. */
static uint32_t
places(struct sa_core *core, uint32_t number, int64_t *next_ns)
{
    struct sa_rates *rates = &core->rates;
    if (number != SA_LIMITER_NONE) {
        uint32_t left = sa_limiter_left(core, number);
        *next_ns = sa_limiter_next(core, number);
        return left;
    }
    int is_time = rates->retry_ns <= core->now;
    if (is_time)
        rates->retry_ns = sa_core_plus(core->now, RETRY_NS);
    *next_ns = rates->retry_ns;
    return is_time ? RETRY_AT_ONCE : 0;
}

static void
move_line(struct sa_core *core, uint32_t number)
{
    struct sa_line *line = &core->rates.lines[number];
    int64_t next;
    uint32_t gone[AT_ONCE], n = 0, placed = 0, left = places(core, number, &next);
    while (n < AT_ONCE && line->count && line->released + placed < left) {
        gone[n] = first_in(core, line);
        sa_core_unqueue(core, gone[n]);
        placed += !core->ready.paused[core->arena.slots[gone[n++]].queue];
    }
    for (uint32_t i = n; i > 0; i--)
        release(core, gone[i - 1], number);
    core->moved += n;
    if (n == AT_ONCE)
        next = core->now;
    if (line->count && next < core->rates.next_ns)
        core->rates.next_ns = next;
}

void
sa_rate_step(struct sa_core *core)
{
    struct sa_rates *rates = &core->rates;
    if (!rates->waiting)
        return;
    if (rates->changed || rates->next_ns <= core->now) {
        rates->changed = 0;
        rates->next_ns = INT64_MAX;
        for (uint32_t w = 0; w <= SA_LIMITERS_MAX / 64; w++)
            for (uint64_t bits = rates->waits[w]; bits; bits &= bits - 1)
                move_line(core, w * 64 + (uint32_t)__builtin_ctzll(bits));
        if (!rates->waiting)
            return;
    }
    sa_core_wake_at(core, rates->next_ns);
}

uint32_t
sa_line_check(const struct sa_core *core, uint32_t number, int *bad)
{
    const struct sa_line *line = &core->rates.lines[number];
    uint32_t n = 0;
    for (uint32_t p = 0; p < SA_PRIORITIES; p++)
        for (uint32_t i = line->tasks[p].first; i != SA_NONE;
             i = core->links.next[i], n++)
            if (n > sa_core_slots(core) || core->rates.tolls[i].line != number + 1 ||
                core->rates.tolls[i].released ||
                sa_slot_state(&core->arena.slots[i]) != SA_READY) {
                *bad = 1;
                return n;
            }
    if (n != line->count ||
        (core->rates.waits[number / 64] >> (number % 64) & 1) != (n != 0))
        *bad = 1;
    return n;
}
