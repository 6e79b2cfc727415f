/* Walks every invariant of the core; tests call it after each action, S after
 * each recovery. */
#include "sa_cell.h"
#include "sa_claim.h"
#include "sa_core_api.h"

static uint32_t
walk(const struct sa_core *core, const struct sa_list *list, uint32_t state, int *bad)
{
    uint32_t n = 0, prev = SA_NONE;
    for (uint32_t i = list->first; i != SA_NONE; i = core->links.next[i]) {
        if (core->links.prev[i] != prev || n > sa_core_slots(core) ||
            sa_slot_state(&core->arena.slots[i]) != state) {
            *bad = 1;
            return n;
        }
        prev = i;
        n++;
    }
    if (n != list->count || list->last != prev)
        *bad = 1;
    return n;
}

static int
check_lists(const struct sa_core *core, uint32_t *listed)
{
    int bad = 0;
    uint32_t ready = 0, open = 0;
    *listed = walk(core, &core->free, SA_FREE, &bad);
    *listed += walk(core, &core->delivered, SA_FINISHED, &bad);
    *listed += walk(core, &core->orphaned, SA_FINISHED, &bad);
    *listed += walk(core, &core->held, SA_HELD, &bad);
    *listed += walk(core, &core->parked, SA_PARKED, &bad);
    *listed += walk(core, &core->driven, SA_DRIVEN, &bad);
    for (uint32_t i = 0; i < SA_PRODUCERS_MAX; i++)
        if (core->peers[i].used)
            *listed += walk(core, &core->peers[i].pending, SA_FINISHED, &bad);
    for (uint32_t q = 0; q < SA_QUEUES_MAX; q++)
        for (uint32_t p = 0; p < SA_PRIORITIES; p++) {
            uint32_t n = walk(core, &core->ready.lists[q][p], SA_READY, &bad);
            uint64_t bit = core->ready.open[p][q / 64] >> (q % 64) & 1;
            ready += n;
            open += core->ready.paused[q] ? 0 : n;
            if (bit != (n && !core->ready.paused[q]))
                bad = 1;
        }
    *listed += ready;
    if (ready != core->ready.count || open != core->ready.open_count)
        bad = 1;
    return bad;
}

static int
check_actor(const struct sa_core *core, uint32_t worker, uint32_t *leased)
{
    const struct sa_actor *actor = &core->actors[worker];
    uint32_t n = 0, limited = 0;
    if (!actor->words)
        return 0;
    for (uint32_t c = 0; c < actor->ncells; c++) {
        const struct sa_lease *lease = &actor->leases[c];
        uint64_t word = sa_load_acquire(&actor->cells[c]);
        if (lease->slot == SA_NONE) {
            if (sa_cell_state(word) != SA_CELL_EMPTY)
                return 1;
            continue;
        }
        const struct sa_slot *slot = &core->arena.slots[lease->slot];
        n++;
        limited += lease->limited;
        if (sa_slot_state(slot) != SA_LEASED || SA_WORD_OWNER(slot->word) != worker ||
            sa_cell_slot(word) != lease->slot || core->cell_of_slot[lease->slot] != c)
            return 1;
    }
    *leased += n;
    return n != actor->leased || limited != actor->limited ||
           actor->nfree + actor->leased != actor->ncells;
}

static int
check_extents(const struct sa_core *core, uint64_t used)
{
    for (uint32_t i = 0; i < sa_core_slots(core); i++) {
        const struct sa_slot *slot = &core->arena.slots[i];
        if (sa_slot_state(slot) == SA_FREE && (slot->body_len || slot->out_len))
            return 1;
        used += slot->body_len ? sa_extent_class_size(slot->body_len) : 0;
        used += slot->out_len ? sa_extent_class_size(slot->out_len) : 0;
    }
    return used != core->extents.used_bytes;
}

/* Each held key is that of a live slot; a claim without an end has its key for life. */
static int
check_keys(const struct sa_core *core)
{
    for (uint32_t i = 0; i < sa_core_slots(core); i++) {
        const struct sa_slot *slot = &core->arena.slots[i];
        uint32_t state = sa_slot_state(slot);
        struct sa_claim claim;
        if (state == SA_FREE || state == SA_FINISHED ||
            !sa_claim_find(sa_core_task(core, slot), SA_CLAIM_UNIQUE, &claim) ||
            claim.span_ns)
            continue;
        if (sa_index_find(&core->unique.held, claim.key) != i)
            return 1;
    }
    uint32_t held = 0;
    for (uint32_t at = 0; at <= core->unique.held.mask; at++) {
        uint32_t number = core->unique.held.cells[at] - 1u;
        if (number == SA_NONE)
            continue;
        uint32_t state = sa_slot_state(&core->arena.slots[number]);
        if (++held > sa_core_slots(core) || state == SA_FREE || state == SA_FINISHED)
            return 1;
    }
    return 0;
}

static int
check_outstanding(const struct sa_core *core)
{
    for (uint32_t p = 0; p < SA_PRODUCERS_MAX; p++) {
        const struct sa_peer *peer = &core->peers[p];
        uint32_t n = 0;
        uint64_t bytes = 0;
        if (!peer->used || peer->leaving)
            continue;
        for (uint32_t i = 0; i < sa_core_slots(core); i++) {
            const struct sa_slot *slot = &core->arena.slots[i];
            uint32_t state = sa_slot_state(slot);
            if (slot->src_ring != peer->id || state == SA_FREE)
                continue;
            if (state == SA_FINISHED &&
                sa_slot_var(slot)->marks & SA_MARK_DELIVERED)
                continue;
            n++;
            bytes += sa_core_cost(slot);
        }
        if (n != peer->outstanding || bytes != peer->bytes)
            return 1;
    }
    return 0;
}

int
sa_core_check(sa_core *core)
{
    uint32_t listed = 0, leased = 0, delayed = 0;
    uint64_t bytes = 0;
    if (check_lists(core, &listed))
        return 1;
    if (sa_rates_check(core, &listed, &bytes))
        return 8;
    for (uint32_t w = 0; w < core->options.workers_max; w++)
        if (check_actor(core, w, &leased))
            return 2;
    for (uint32_t i = 0; i < sa_core_slots(core); i++) {
        uint32_t state = sa_slot_state(&core->arena.slots[i]);
        delayed += state == SA_DELAYED;
        if (state == SA_DELAYED && !core->timers.where[i])
            return 3;
        if (state != SA_FREE && sa_index_find(&core->index,
                                              core->arena.slots[i].id) != i)
            return 4;
    }
    /* Every slot is in exactly one place. */
    if (listed + leased + delayed != sa_core_slots(core))
        return 5;
    if (check_extents(core, bytes))
        return 6;
    if (check_keys(core))
        return 9;
    return check_outstanding(core) ? 7 : 0;
}
