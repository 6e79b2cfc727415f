#include "sa_rate.h"

#include <stdlib.h>

#include "sa_claim.h"
#include "sa_core_api.h"

int
sa_rates_open(struct sa_core *core)
{
    struct sa_rates *rates = &core->rates;
    /* Pages of these are touched by limited tasks, and by no others. */
    rates->lines = calloc(SA_LIMITERS_MAX + 1, sizeof *rates->lines);
    rates->tolls = calloc(sa_core_slots(core), sizeof *rates->tolls);
    if (!rates->lines || !rates->tolls)
        return SA_FULL;
    for (uint32_t p = 0; p < SA_PRIORITIES; p++)
        sa_list_clear(&rates->lines[SA_LIMITER_NONE].tasks[p]);
    rates->next_ns = INT64_MAX;
    return sa_index_open_keys(&rates->index, core->arena.limiters[0].key,
                              sizeof(struct sa_limiter), SA_LIMITERS_MAX);
}

void
sa_rates_close(struct sa_core *core)
{
    sa_index_close(&core->rates.index);
    free(core->rates.lines);
    free(core->rates.tolls);
}

/* --- tokens --------------------------------------------------------------------- */

static void
hold(struct sa_core *core, uint32_t slot, uint32_t nth, uint32_t row)
{
    core->rates.tolls[slot].tokens[nth] = (uint16_t)(row + 1);
    core->rates.lines[row].out++;
    core->rates.out++;
}

static void
let_go(struct sa_core *core, uint32_t slot, uint32_t nth)
{
    struct sa_rates *rates = &core->rates;
    struct sa_toll *toll = &rates->tolls[slot];
    rates->lines[toll->tokens[nth] - 1u].out--;
    rates->out--;
    rates->changed = 1;
    toll->tokens[nth] = 0;
}

void
sa_rate_began(struct sa_core *core, uint32_t slot, int64_t began_ns)
{
    struct sa_toll *toll = &core->rates.tolls[slot];
    for (uint32_t i = 0; core->rates.out && i < 2; i++) {
        if (!toll->tokens[i])
            continue;
        sa_limiter_began(core, toll->tokens[i] - 1u, slot, began_ns);
        let_go(core, slot, i);
    }
}

void
sa_rate_give(struct sa_core *core, uint32_t slot)
{
    for (uint32_t i = 0; core->rates.out && i < 2; i++)
        if (core->rates.tolls[slot].tokens[i])
            let_go(core, slot, i);
}

void
sa_rate_ended(struct sa_core *core, struct sa_actor *actor, uint32_t cell,
              uint32_t slot, uint32_t kind)
{
    if (kind == SA_UNKNOWN || kind == SA_EXPIRED)
        sa_rate_give(core, slot); /* neither is a start */
    else
        sa_rate_began(core, slot, cell == SA_NONE ? core->now
                                                  : sa_lease_began(core, actor, cell));
}

/* Whether nobody in the line of `row` goes before `slot`. */
static int
goes_first(const struct sa_core *core, uint32_t row, uint32_t slot)
{
    const struct sa_line *line = &core->rates.lines[row];
    uint32_t priority = sa_core_task(core, &core->arena.slots[slot])->priority;
    for (uint32_t p = priority; line->count && p < SA_PRIORITIES; p++) {
        uint32_t first = line->tasks[p].first;
        if (first != SA_NONE && (p > priority || sa_core_before(core, first, slot)))
            return 0;
    }
    return 1;
}

/* A token of `row` for `slot`, behind those who have waited for one. */
static int
is_left(struct sa_core *core, uint32_t row, uint32_t slot)
{
    const struct sa_toll *toll = &core->rates.tolls[slot];
    uint32_t left = sa_limiter_left(core, row);
    if (toll->released && toll->line == row + 1)
        return left > 0;
    return left > core->rates.lines[row].released && goes_first(core, row, slot);
}

/* The limiters of `slot`, the one of the longer span first.  -1: it waits for room for
 * one of them. */
static int
rows_of(struct sa_core *core, uint32_t slot, uint32_t rows[2], uint32_t *degraded)
{
    const struct sa_task *task = sa_core_task(core, &core->arena.slots[slot]);
    const struct sa_limiter *limiters = core->arena.limiters;
    struct sa_claim claim;
    int n = 0;
    for (uint32_t kind = SA_CLAIM_GROUP; kind <= SA_CLAIM_RATE; kind++) {
        if (!sa_claim_find(task, kind, &claim))
            continue;
        if (n) /* the second must not take the room of the first, which is idle */
            core->rates.lines[rows[0]].out++;
        uint32_t row = sa_limiter_get(core, &claim);
        if (n)
            core->rates.lines[rows[0]].out--;
        if (row != SA_NONE)
            rows[n++] = row;
        else if (kind == SA_CLAIM_GROUP && !(claim.flags & SA_CLAIM_CLOSED))
            ++*degraded;
        else
            return -1;
    }
    if (n == 2 && limiters[rows[1]].span_ns > limiters[rows[0]].span_ns) {
        uint32_t other = rows[0];
        rows[0] = rows[1];
        rows[1] = other;
    }
    return n;
}

/* With two limits a task waits for the longer one first.  It keeps that token while it
 * is the first of those who wait for the other, which is its next: so two limits that
 * are both always used up starve nobody, and as all take them in one order, no two
 * tasks wait for each other. */
int
sa_rate_take(struct sa_core *core, uint32_t slot)
{
    struct sa_toll *toll = &core->rates.tolls[slot];
    uint32_t rows[2], degraded = 0;
    int n = rows_of(core, slot, rows, &degraded);
    if (n < 0) {
        sa_rate_give(core, slot);
        sa_line_park(core, slot, SA_LIMITER_NONE);
        return 0;
    }
    for (int i = 0; i < n; i++) {
        if (toll->tokens[i] == rows[i] + 1)
            continue;
        if (is_left(core, rows[i], slot))
            continue;
        int keeps = i == 1 && goes_first(core, rows[1], slot);
        if (!keeps)
            sa_rate_give(core, slot);
        else if (!toll->tokens[0])
            hold(core, slot, 0, rows[0]);
        sa_line_park(core, slot, rows[i]);
        return 0;
    }
    core->arena.stats->degraded += degraded;
    for (int i = 0; i < n; i++)
        if (!toll->tokens[i])
            hold(core, slot, (uint32_t)i, rows[i]);
    return 1;
}

/* --- after a crash, and in tests ---------------------------------------------- */

void
sa_rates_recover(struct sa_core *core)
{
    sa_limiters_recover(core);
    core->rates.changed = 1;
}

void
sa_rate_relink(struct sa_core *core, uint32_t slot)
{
    const struct sa_task *task = sa_core_task(core, &core->arena.slots[slot]);
    struct sa_claim claim;
    uint32_t n = 0;
    for (uint32_t kind = SA_CLAIM_GROUP; kind <= SA_CLAIM_RATE; kind++) {
        if (!sa_claim_find(task, kind, &claim))
            continue;
        uint32_t row = sa_index_find(&core->rates.index, claim.key);
        if (row == SA_NONE || sa_limiter_knows(core, row, slot) ||
            !sa_limiter_left(core, row))
            continue; /* it ran without one, or its time is known; or a row is spoilt */
        hold(core, slot, n++, row);
    }
}

uint32_t
sa_core_limited_by(const sa_core *core, uint32_t slot)
{
    if (slot >= sa_core_slots(core))
        return 0;
    const struct sa_toll *toll = &core->rates.tolls[slot];
    if (!toll->line || toll->released)
        return 0;
    uint32_t line = toll->line - 1u;
    return line == SA_LIMITER_NONE    ? SA_CLAIM_UNIQUE
           : line >= SA_LIMITERS_HALF ? SA_CLAIM_GROUP
                                      : SA_CLAIM_RATE;
}

int
sa_rates_check(const struct sa_core *core, uint32_t *listed, uint64_t *bytes)
{
    const struct sa_rates *rates = &core->rates;
    uint32_t waiting = 0, out = 0, released = 0, held = 0, used = 0;
    int bad = 0;
    for (uint32_t l = 0; l <= SA_LIMITERS_MAX; l++) {
        int is_used = l == SA_LIMITER_NONE || core->arena.limiters[l].used;
        if (!is_used && !rates->lines[l].count && !rates->lines[l].out)
            continue;
        if (!is_used || (l != SA_LIMITER_NONE && sa_limiter_check(core, l)))
            return 1;
        waiting += sa_line_check(core, l, &bad);
        out += rates->lines[l].out;
        released += rates->lines[l].released;
        if (l == SA_LIMITER_NONE)
            continue;
        used++;
        *bytes += sa_extent_class_size(core->arena.limiters[l].tokens *
                                       (uint32_t)sizeof(struct sa_limiter_start));
    }
    for (uint32_t i = 0; i < sa_core_slots(core); i++)
        for (uint32_t n = 0; n < 2; n++) {
            const struct sa_toll *toll = &rates->tolls[i];
            uint32_t state = sa_slot_state(&core->arena.slots[i]);
            held += toll->tokens[n] != 0;
            if (toll->tokens[n] && state != SA_LEASED &&
                (state != SA_READY || !toll->line))
                return 1;
        }
    *listed += waiting;
    return bad || waiting != rates->waiting || out != rates->out || held != out ||
           released != rates->released || used != rates->used[0] + rates->used[1];
}
