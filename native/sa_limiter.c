/* The rows of the limiter table: when the starts of their last span began. */
#include <string.h>

#include "sa_claim.h"
#include "sa_core.h"
#include "sa_crash.h"

enum {
    LOOKS_FOR_IDLE = 128, /* at rows in use */
    ARENA_PART = 8 /* at most that part of the arena is for starts */
};

static uint32_t
first_of(const struct sa_limiter *row)
{
    return (uint32_t)(row->starts >> 32);
}

static uint32_t
count_of(const struct sa_limiter *row)
{
    return (uint32_t)row->starts;
}

/* The ring's two numbers change in one store. */
static void
set_ring(struct sa_limiter *row, uint32_t first, uint32_t count)
{
    sa_store_release(&row->starts, (uint64_t)first << 32 | count);
}

static uint32_t
size_of(const struct sa_limiter *row)
{
    return row->tokens * (uint32_t)sizeof(struct sa_limiter_start);
}

static struct sa_limiter_start *
start_at(const struct sa_core *core, const struct sa_limiter *row, uint32_t nth)
{
    struct sa_limiter_start *starts =
        (struct sa_limiter_start *)sa_arena_at(&core->arena, row->at, size_of(row));
    return &starts[(first_of(row) + nth) % row->tokens];
}

static int64_t
ends(const struct sa_limiter *row, const struct sa_limiter_start *start)
{
    return sa_core_plus(start->began_ns, (int64_t)row->span_ns);
}

/* Drop the starts that have left the span.  Each was put in once. */
static void
drop_old(const struct sa_core *core, struct sa_limiter *row)
{
    uint32_t old = 0, count = count_of(row);
    while (old < count && ends(row, start_at(core, row, old)) <= core->now)
        old++;
    if (old)
        set_ring(row, (first_of(row) + old) % row->tokens, count - old);
}

uint32_t
sa_limiter_left(struct sa_core *core, uint32_t number)
{
    struct sa_limiter *row = &core->arena.limiters[number];
    drop_old(core, row);
    uint32_t gone = count_of(row) + core->rates.lines[number].out;
    return gone < row->tokens ? row->tokens - gone : 0;
}

int64_t
sa_limiter_next(const struct sa_core *core, uint32_t number)
{
    const struct sa_limiter *row = &core->arena.limiters[number];
    return count_of(row) ? ends(row, start_at(core, row, 0)) : INT64_MAX;
}

static uint32_t
mark_of(const struct sa_core *core, uint32_t slot)
{
    const struct sa_slot *at = &core->arena.slots[slot];
    return SA_WORD_GEN(sa_load_relaxed(&at->word)) << 16 |
           ((sa_slot_var(at)->starts + 1) & 0xffff);
}

int
sa_limiter_knows(const struct sa_core *core, uint32_t number, uint32_t slot)
{
    const struct sa_limiter *row = &core->arena.limiters[number];
    uint32_t mark = mark_of(core, slot);
    for (uint32_t i = 0; i < count_of(row); i++) {
        const struct sa_limiter_start *start = start_at(core, row, i);
        if (start->slot == slot && start->mark == mark)
            return 1;
    }
    return 0;
}

void
sa_limiter_began(struct sa_core *core, uint32_t number, uint32_t slot, int64_t began_ns)
{
    struct sa_limiter *row = &core->arena.limiters[number];
    uint32_t count = count_of(row), first = first_of(row);
    if (count) { /* told late: rather a token late than one too many */
        int64_t last = start_at(core, row, count - 1)->began_ns;
        began_ns = began_ns < last ? last : began_ns;
    }
    if (count == row->tokens) { /* never, unless somebody wrote over the row */
        first = (first + 1) % row->tokens;
        set_ring(row, first, --count);
    }
    *start_at(core, row, count) = (struct sa_limiter_start){
        began_ns, slot, mark_of(core, slot)};
    SA_CP("limiter.written");
    set_ring(row, first, count + 1);
    SA_CP("limiter.began");
}

/* --- rows come and go --------------------------------------------------------- */

static int
is_idle(struct sa_core *core, uint32_t number)
{
    const struct sa_line *line = &core->rates.lines[number];
    if (line->count || line->out || line->released)
        return 0;
    drop_old(core, &core->arena.limiters[number]);
    return count_of(&core->arena.limiters[number]) == 0;
}

/* Nothing is forgotten with it: its limit is as unused as a new one's. */
static void
give_up(struct sa_core *core, uint32_t number)
{
    struct sa_limiter *row = &core->arena.limiters[number];
    sa_index_remove(&core->rates.index, number);
    sa_store32(&row->used, 0);
    SA_CP("limiter.given");
    sa_extent_give(&core->extents, row->at, size_of(row));
    core->rates.bytes -= size_of(row);
    core->rates.used[number >= SA_LIMITERS_HALF]--;
}

/* Give up an idle row, of `half` or of any (2): 1 when one was found. */
static int
evict(struct sa_core *core, uint32_t half)
{
    struct sa_rates *rates = &core->rates;
    uint32_t base = half == 1 ? SA_LIMITERS_HALF : 0;
    uint32_t rows = half == 2 ? SA_LIMITERS_MAX : SA_LIMITERS_HALF;
    for (uint32_t i = 0, looks = 0; i < rows && looks < LOOKS_FOR_IDLE; i++) {
        uint32_t number = base + rates->cursor[half & 1]++ % rows;
        if (!core->arena.limiters[number].used)
            continue;
        looks++;
        if (is_idle(core, number)) {
            give_up(core, number);
            return 1;
        }
    }
    return 0;
}

static uint32_t
free_row(struct sa_core *core, uint32_t half)
{
    if (core->rates.used[half] == SA_LIMITERS_HALF && !evict(core, half))
        return SA_NONE;
    uint32_t base = half * SA_LIMITERS_HALF;
    for (uint32_t i = 0; i < SA_LIMITERS_HALF; i++)
        if (!core->arena.limiters[base + i].used)
            return base + i;
    return SA_NONE;
}

static uint32_t
room_for(struct sa_core *core, uint32_t bytes)
{
    for (int i = 0; core->rates.bytes + bytes > core->arena.len / ARENA_PART; i++)
        if (i == LOOKS_FOR_IDLE || !evict(core, 2))
            return SA_NONE;
    return sa_core_room_to_live(core, bytes);
}

static void
clear_line(struct sa_line *line)
{
    memset(line, 0, sizeof *line);
    for (uint32_t p = 0; p < SA_PRIORITIES; p++)
        sa_list_clear(&line->tasks[p]);
}

static uint32_t
make(struct sa_core *core, const struct sa_claim *claim)
{
    struct sa_rates *rates = &core->rates;
    uint32_t half = claim->kind == SA_CLAIM_GROUP, number = free_row(core, half);
    if (number == SA_NONE)
        return SA_NONE;
    struct sa_limiter row = {.span_ns = claim->span_ns, .tokens = claim->tokens};
    memcpy(row.key, claim->key, 16);
    row.at = room_for(core, size_of(&row));
    if (row.at == SA_NONE)
        return SA_NONE;
    core->arena.limiters[number] = row;
    SA_CP("limiter.made");
    sa_store32(&core->arena.limiters[number].used, 1); /* last: whole, or not there */
    clear_line(&rates->lines[number]);
    sa_index_add(&rates->index, number);
    rates->used[half]++;
    rates->bytes += size_of(&row);
    return number;
}

uint32_t
sa_limiter_get(struct sa_core *core, const struct sa_claim *claim)
{
    uint32_t number = sa_index_find(&core->rates.index, claim->key);
    return number == SA_NONE ? make(core, claim) : number;
}

/* --- after a crash ------------------------------------------------------------- */

static int
is_sound(struct sa_core *core, const struct sa_limiter *row)
{
    struct sa_claim claim = {.kind = SA_CLAIM_RATE, .tokens = (uint16_t)row->tokens,
                             .span_ns = row->span_ns};
    return row->used == 1 && row->tokens == claim.tokens &&
           sa_claims_ok((const uint8_t *)&claim, sizeof claim) &&
           first_of(row) < row->tokens && count_of(row) <= row->tokens &&
           sa_index_find(&core->rates.index, row->key) == SA_NONE &&
           sa_arena_at(&core->arena, row->at, size_of(row)) &&
           sa_extent_mark(&core->extents, row->at, size_of(row)) == SA_OK;
}

void
sa_limiters_recover(struct sa_core *core)
{
    struct sa_rates *rates = &core->rates;
    for (uint32_t number = 0; number < SA_LIMITERS_MAX; number++) {
        struct sa_limiter *row = &core->arena.limiters[number];
        if (!row->used)
            continue;
        if (!is_sound(core, row)) {
            sa_store32(&row->used, 0);
            continue;
        }
        clear_line(&rates->lines[number]);
        sa_index_add(&rates->index, number);
        rates->used[number >= SA_LIMITERS_HALF]++;
        rates->bytes += size_of(row);
        int64_t last = INT64_MIN;
        for (uint32_t i = 0; i < count_of(row); i++) {
            struct sa_limiter_start *start = start_at(core, row, i);
            /* In order, and none to come: a clock that began anew would keep the
             * limit shut for as long as it ran before. */
            if (start->began_ns < last)
                start->began_ns = last;
            if (start->began_ns > core->now)
                start->began_ns = core->now;
            last = start->began_ns;
        }
    }
}

int
sa_limiter_check(const struct sa_core *core, uint32_t number)
{
    const struct sa_limiter *row = &core->arena.limiters[number];
    if (count_of(row) + core->rates.lines[number].out > row->tokens ||
        sa_index_find(&core->rates.index, row->key) != number)
        return 1;
    for (uint32_t i = 1; i < count_of(row); i++)
        if (start_at(core, row, i)->began_ns < start_at(core, row, i - 1)->began_ns)
            return 1;
    return 0;
}
