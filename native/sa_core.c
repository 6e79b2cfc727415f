#include "sa_core.h"

#include <stdlib.h>
#include <string.h>

#include "sa_bell.h"
#include "sa_core_api.h"
#include "sa_crash.h"

static void
close_arrays(struct sa_core *core)
{
    sa_extents_close(&core->extents);
    sa_heap_close(&core->timers);
    sa_index_close(&core->index);
    sa_unique_close(core);
    sa_rates_close(core);
    free(core->links.next);
    free(core->links.prev);
    free(core->watched);
    free(core->owed);
    free(core->news.bytes);
    free(core->cell_of_slot);
    free(core->actors);
}

static int
open_arrays(struct sa_core *core)
{
    uint32_t n = sa_core_slots(core);
    core->links.next = calloc(n, sizeof(uint32_t));
    core->links.prev = calloc(n, sizeof(uint32_t));
    core->watched = calloc(n, 1);
    core->owed = calloc(n, 1);
    core->news.bytes = calloc(1, SA_NEWS_BYTES); /* no page of it before it is used */
    core->cell_of_slot = calloc(n, sizeof(uint16_t));
    core->actors = calloc(core->options.workers_max, sizeof *core->actors);
    if (!core->links.next || !core->links.prev || !core->watched ||
        !core->owed || !core->news.bytes || !core->cell_of_slot || !core->actors)
        return SA_FULL;
    if (sa_extents_open(&core->extents, core->arena.len) != SA_OK ||
        sa_heap_open(&core->timers, n) != SA_OK ||
        sa_unique_open(core) != SA_OK || sa_rates_open(core) != SA_OK)
        return SA_FULL;
    return sa_index_open(&core->index, core->arena.slots, n);
}

sa_core *
sa_core_open(void *segment, uint64_t len, const struct sa_core_options *options,
             int *status)
{
    struct sa_core *core = calloc(1, sizeof *core);
    if (!core) {
        *status = SA_FULL;
        return NULL;
    }
    core->options = *options;
    *status = sa_arena_attach(&core->arena, segment, len);
    if (*status == SA_OK &&
        (options->workers_max < 1 || options->workers_max > SA_WORKERS_MAX))
        *status = SA_INVALID;
    if (*status == SA_OK)
        *status = open_arrays(core);
    if (*status != SA_OK) {
        close_arrays(core);
        free(core);
        return NULL;
    }
    sa_ready_open(&core->ready);
    sa_list_clear(&core->free);
    sa_list_clear(&core->delivered);
    sa_list_clear(&core->orphaned);
    sa_list_clear(&core->held);
    sa_list_clear(&core->parked);
    sa_list_clear(&core->driven);
    core->next_ns = INT64_MAX;
    return core;
}

void
sa_core_close(sa_core *core)
{
    if (!core)
        return;
    for (uint32_t w = 0; w < core->options.workers_max; w++) {
        free(core->actors[w].leases);
        free(core->actors[w].free_cells);
    }
    close_arrays(core);
    free(core);
}

void
sa_slot_commit(struct sa_slot *slot, uint32_t state, uint32_t owner,
               const struct sa_var *var)
{
    uint64_t word = sa_load_relaxed(&slot->word);
    uint32_t next = SA_WORD_VAR(word) ^ 1u;
    slot->var[next] = *var;
    SA_CP("slot.numbers");
    /* The one store by which numbers and state change together. */
    sa_store_release(&slot->word,
                     SA_WORD(state, next, owner, var->starts, SA_WORD_GEN(word)));
    SA_CP("slot.committed");
}

void
sa_slot_move(struct sa_slot *slot, uint32_t state, uint32_t owner)
{
    uint64_t word = sa_load_relaxed(&slot->word);
    sa_store_release(&slot->word, SA_WORD(state, SA_WORD_VAR(word), owner,
                                          SA_WORD_STARTS(word), SA_WORD_GEN(word)));
    SA_CP("slot.moved");
}

static void
set_time(struct sa_core *core, int64_t now, int64_t wall)
{
    int64_t offset = wall - now, jump = offset - core->anchor;
    core->now = now;
    core->wall = wall;
    /* Always exact: a timer that fires early is set again by this number, and
     * would fire at once for ever by an older one. */
    core->offset = offset;
    if (jump > -10000000 && jump < 10000000)
        return;
    /* The wall clock was set: every timer that means wall time moves. */
    core->anchor = offset;
    for (uint32_t i = 0; i < sa_core_slots(core); i++)
        if (core->timers.where[i])
            sa_core_timer(core, i);
}

void
sa_core_clock(sa_core *core, int64_t now, int64_t wall)
{
    set_time(core, now, wall);
}

static void
count_lists(struct sa_core *core)
{
    struct sa_stats *stats = core->arena.stats;
    stats->ready = core->ready.count;
    stats->parked = core->parked.count;
    stats->limited = core->rates.waiting;
    uint64_t leased = 0, retained = core->delivered.count + core->orphaned.count;
    for (uint32_t w = 0; w < core->options.workers_max; w++)
        leased += core->actors[w].leased;
    for (uint32_t i = 0; i < SA_PRODUCERS_MAX; i++)
        retained += core->peers[i].pending.count;
    stats->retained = retained;
    stats->live = sa_core_slots(core) - core->free.count - retained;
    stats->leased = leased;
    stats->delayed = stats->live - stats->ready - stats->parked - leased -
                     core->held.count - core->driven.count - stats->limited;
    stats->last_step_ns = core->now;
    stats->steps++;
    /* Results above 1 KiB move to the spool before the arena is full. */
    uint32_t pressure = core->extents.free_slabs * 4 < core->extents.nslabs;
    if (core->arena.super->pressure != pressure)
        sa_store32(&core->arena.super->pressure, pressure);
}

static void
admit_all(struct sa_core *core, uint32_t budget)
{
    for (uint32_t w = 0; w < core->options.workers_max; w++) {
        struct sa_actor *actor = &core->actors[w];
        /* Absent ones too: what a dead worker submitted may still wait for room. */
        if (!actor->words || actor->quarantined & SA_BAD_SUBMIT)
            continue;
        uint64_t before = actor->submit.local;
        int rc = sa_admit_ring(core, &actor->submit, 0x80000000u | w, NULL, budget);
        if (actor->submit.local != before)
            sa_sleep_wake(&actor->words->space, -1);
        if (rc == SA_CORRUPT) {
            actor->quarantined |= SA_BAD_SUBMIT;
            core->arena.stats->corrupt++;
            sa_core_event(core, SA_EVENT_CORRUPT, SA_NONE, w, 0, 0);
        }
    }
    for (uint32_t i = 0; i < SA_PRODUCERS_MAX; i++) {
        struct sa_peer *peer = &core->peers[(core->peer_turn + i) % SA_PRODUCERS_MAX];
        if (!peer->used || peer->quarantined)
            continue;
        if (sa_admit_ring(core, &peer->submit, peer->id, peer, budget) == SA_CORRUPT) {
            peer->quarantined = 1;
            /* Nobody reads it any more: its writer is refused from here on (P2),
             * and asks for another ring. */
            sa_store_release(&peer->words->left.word, 1);
            core->arena.stats->corrupt++;
            sa_core_event(core, SA_EVENT_CORRUPT, SA_NONE, peer->id, 1, 0);
        }
    }
    core->peer_turn = (core->peer_turn + 1) % SA_PRODUCERS_MAX;
}

uint32_t
sa_core_step(sa_core *core, int64_t now, int64_t wall, uint32_t budget)
{
    core->moved = 0;
    core->next_ns = INT64_MAX;
    set_time(core, now, wall);
    if (core->owed_count)
        sa_core_announce(core);
    for (uint32_t w = 0; w < core->options.workers_max; w++) {
        if (core->actors[w].dying)
            sa_core_bury(core, w);
        else if (core->actors[w].state != SA_ACTOR_ABSENT)
            sa_complete_actor(core, w, budget);
    }
    for (uint32_t i = 0; i < SA_PRODUCERS_MAX; i++)
        if (core->peers[i].used)
            sa_core_deliver(core, &core->peers[i]);
    admit_all(core, budget);
    sa_expire(core, budget);
    sa_sound_all(core);
    sa_rate_step(core);
    sa_offer(core, budget);
    sa_steal(core);
    for (uint32_t w = 0; w < core->options.workers_max; w++)
        if (core->actors[w].limited && !core->actors[w].dying)
            sa_limits(core, w);
    count_lists(core);
    return core->moved;
}

int64_t
sa_core_next(const sa_core *core)
{
    return core->next_ns;
}
