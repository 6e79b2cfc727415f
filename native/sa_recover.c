/* After a death: a worker's leases, or the whole core from its slots.
 *
 * Everything here may be cut short at any store and run again: each rule reads
 * the shared words, decides, and commits by one store.  Order matters where a
 * start is used up: slot word first, then the cell (the reverse order loses the
 * count; tests/model has the mutant). */
#include <string.h>

#include "sa_cell.h"
#include "sa_core_api.h"
#include "sa_crash.h"

void
sa_core_hold(struct sa_core *core, uint32_t number, uint32_t fault, enum sa_held how)
{
    struct sa_slot *slot = &core->arena.slots[number];
    struct sa_var var = *sa_slot_var(slot);
    if (var.marks & SA_MARK_FORBIDDEN)
        fault = SA_FAULT_REVOKED;
    var.starts++;
    var.fault = (uint16_t)fault;
    var.due_ns = core->now;
    core->arena.stats->starts++;
    if (fault == SA_FAULT_CRASH || fault == SA_FAULT_CORRUPT ||
        fault == SA_FAULT_MEMORY) {
        var.crashes++;
        core->arena.stats->crashes++;
    } else if (fault == SA_FAULT_COLLATERAL) {
        var.collaterals++;
        core->arena.stats->collaterals++;
    }
    sa_slot_commit(slot, SA_HELD, 0, &var);
    sa_core_enqueue(core, number, 0);
    sa_core_event(core, SA_EVENT_HELD, number, 0, fault, how);
}

static int
taken_for(const struct sa_actor *actor, uint32_t cell, uint32_t number,
          const struct sa_slot *slot)
{
    uint64_t word = sa_load_acquire(&actor->cells[cell]);
    return word == sa_cell_word(SA_CELL_TAKEN, sa_slot_var(slot)->starts + 1,
                                SA_WORD_GEN(slot->word), number);
}

/* Whose crash it was, in a worker that runs several coroutines: the one that
 * ran.  If none did (a thread died, or the loop itself), it is that of a task that
 * was given the worker alone, as one that has been collateral too often is; else
 * nobody's: all are collateral. */
static uint32_t
culprit(const struct sa_actor *actor)
{
    uint32_t cell = sa_load32(&actor->words->status.current) - 1u;
    if (cell < actor->ncells && actor->leases[cell].slot != SA_NONE)
        return actor->leases[cell].slot;
    for (uint32_t c = 0; c < actor->ncells; c++)
        if (actor->leases[c].slot != SA_NONE && actor->leases[c].alone)
            return actor->leases[c].slot;
    return SA_NONE - 1;
}

static void
free_cells(struct sa_actor *actor)
{
    actor->nfree = actor->leased = actor->limited = 0;
    actor->alone = 0;
    for (uint32_t c = actor->ncells; c > 0; c--) {
        sa_store_release(&actor->cells[c - 1], 0);
        actor->leases[c - 1] = (struct sa_lease){.slot = SA_NONE};
        actor->free_cells[actor->nfree++] = c - 1;
        SA_CP("recover.cell");
    }
}

static void
lose(struct sa_core *core, struct sa_actor *actor, uint32_t cell)
{
    uint32_t worker = (uint32_t)(actor - core->actors);
    uint32_t number = actor->leases[cell].slot;
    uint32_t why = actor->own_slot == SA_NONE || actor->own_slot == number
                       ? actor->fault : (uint32_t)SA_FAULT_COLLATERAL;
    /* Several may have run into their limits; and whatever a worker dies of after one
     * has passed, it is for that. */
    if (actor->leases[cell].hard_sent &&
        (why == SA_FAULT_CRASH || why == SA_FAULT_COLLATERAL || why == SA_FAULT_SOFT))
        why = SA_FAULT_HARD;
    if (actor->quarantined & SA_BAD_OUTBOX && why == SA_FAULT_COLLATERAL)
        why = SA_FAULT_CORRUPT;
    sa_news_started(core, worker, cell);
    if (core->rates.out)
        sa_rate_began(core, number, sa_lease_began(core, actor, cell));
    if (why == SA_FAULT_HARD) /* only now: until its death it might have returned */
        sa_tell_hard(core, worker, cell);
    sa_core_hold(core, number, why, SA_HELD_LOST);
    actor->leases[cell].slot = SA_NONE;
}

/* Starts that ended with the worker: each waits for a verdict.  Where a wild write
 * has spoilt cells, as many of the first offered count as taken as it runs at once:
 * a start that is not counted would be replayed for ever. */
static void
lose_started(struct sa_core *core, struct sa_actor *actor)
{
    uint32_t lost = 0;
    for (uint32_t c = 0; c < actor->ncells; c++)
        if (sa_cell_look(core, actor, c) == SA_LOOK_TAKEN) {
            lose(core, actor, c);
            lost++;
        }
    for (; lost < actor->concurrency; lost++) {
        uint32_t cell = sa_first_spoilt(core, actor);
        if (cell == SA_NONE)
            break;
        lose(core, actor, cell);
    }
}

/* In front of its queue again, as it was never begun.  One that was revoked had been:
 * only a wild write can hide that, and it must not run again. */
static void
put_back(struct sa_core *core, uint32_t number)
{
    struct sa_slot *slot = &core->arena.slots[number];
    if (sa_slot_var(slot)->marks & SA_MARK_FORBIDDEN) {
        sa_core_hold(core, number, SA_FAULT_REVOKED, SA_HELD_LOST);
        return;
    }
    sa_slot_move(slot, SA_READY, 0);
    sa_core_enqueue(core, number, 1);
}

/* Offers that were never begun: no start used.  From the last to the first, as
 * each goes to the front of its queue. */
static void
give_back_offers(struct sa_core *core, struct sa_actor *actor)
{
    for (uint32_t i = 0; i < actor->ncells; i++) {
        uint32_t last = SA_NONE;
        for (uint32_t c = 0; c < actor->ncells; c++)
            if (actor->leases[c].slot != SA_NONE &&
                (last == SA_NONE || sa_core_before(core, actor->leases[last].slot,
                                                   actor->leases[c].slot)))
                last = c;
        if (last == SA_NONE)
            return;
        uint32_t number = actor->leases[last].slot;
        actor->leases[last].slot = SA_NONE;
        sa_rate_give(core, number);
        put_back(core, number);
    }
}

int
sa_core_bury(struct sa_core *core, uint32_t worker)
{
    struct sa_actor *actor = &core->actors[worker];
    if (!actor->quarantined && !sa_actor_sound(core, actor)) {
        actor->quarantined |= SA_BAD_WORDS;
        core->arena.stats->corrupt++;
    }
    /* A committed outcome stands.  While there is no room for it, nothing of
     * this worker is classified; the next step tries again. */
    if (sa_complete_actor(core, worker, SA_NONE) == SA_FULL)
        return SA_FULL;
    if (!(actor->quarantined & SA_BAD_SUBMIT) &&
        sa_admit_ring(core, &actor->submit, 0x80000000u | worker, NULL, SA_NONE) ==
            SA_CORRUPT)
        actor->quarantined |= SA_BAD_SUBMIT;
    lose_started(core, actor);
    give_back_offers(core, actor);
    free_cells(actor);
    sa_actor_mend(actor);
    actor->state = SA_ACTOR_ABSENT;
    actor->quarantined = actor->dying = 0;
    return SA_OK;
}

int
sa_core_worker_died(sa_core *core, uint32_t worker, uint32_t fault, uint32_t own_slot)
{
    if (worker >= core->options.workers_max || !core->actors[worker].words)
        return SA_INVALID;
    struct sa_actor *actor = &core->actors[worker];
    if (own_slot == SA_NONE && fault == SA_FAULT_CRASH && actor->concurrency > 1)
        own_slot = culprit(actor);
    actor->state = SA_ACTOR_QUIET; /* offered nothing more */
    actor->dying = 1;
    actor->fault = fault;
    actor->own_slot = own_slot;
    return sa_core_bury(core, worker);
}

/* --- the whole core ------------------------------------------------------- */

/* head = max(head, the end of every live record that came from this ring):
 * a slot may be READY while its record still looks unread. */
static void
head_rule(struct sa_core *core, struct sa_spsc *ring, uint32_t src)
{
    uint64_t head = ring->local, tail = sa_load_acquire(ring->tail);
    for (uint32_t i = 0; i < sa_core_slots(core); i++) {
        const struct sa_slot *slot = &core->arena.slots[i];
        if (sa_slot_state(slot) == SA_FREE || slot->src_ring != src)
            continue;
        uint64_t ahead = slot->src_end - head;
        if (ahead && ahead <= ring->cap && slot->src_end - head <= tail - head)
            head = slot->src_end;
    }
    head = sa_unique_head(core, ring, src, head);
    ring->local = ring->other = ring->released = head;
    sa_store_release(ring->head, head);
    SA_CP("recover.head");
}

/* Slots by what happens to them next. */
struct sorting {
    struct sa_list waiting, leased, finished;
};

static void
adopt(struct sa_core *core, uint32_t number, struct sorting *sorting,
      struct sa_recovered *out)
{
    struct sa_slot *slot = &core->arena.slots[number];
    uint32_t state = sa_slot_state(slot);
    if (state == SA_FREE || !sa_slot_usable(core, slot)) {
        if (state != SA_FREE)
            out->bad++;
        uint64_t word = SA_WORD(SA_FREE, 0, 0, 0, SA_WORD_GEN(slot->word) +
                                                      (state != SA_FREE));
        slot->body_len = slot->out_len = 0;
        sa_store_release(&slot->word, word);
        sa_list_append(&core->links, &core->free, number);
        return;
    }
    sa_index_add(&core->index, number);
    core->queue_tasks[slot->queue]++;
    uint64_t id = slot->src_ring & 0x80000000u ? 0 : slot->src_ring / SA_PRODUCERS_MAX;
    if (core->peer_counter < id)
        core->peer_counter = id; /* its owner may be gone: never give the id again */
    /* What can be owed: for an outcome its letter and its files, else the end that was
     * promised to who revoked it.  An outcome goes to its owner once more, who may
     * have missed it. */
    sa_slot_var(slot)->marks &= state == SA_FINISHED
                                    ? SA_MARK_WALL | SA_MARK_DEAD | SA_MARK_SPOOL_OUT |
                                          SA_MARK_TIED | SA_MARK_REVOKED |
                                          SA_MARK_PURGED
                                    : SA_MARK_WALL | SA_MARK_FORBIDDEN;
    if (state == SA_FINISHED) {
        out->finished++;
        sa_list_append(&core->links, &sorting->finished, number);
        return;
    }
    if (sa_core_task(core, slot)->claim_len)
        sa_unique_hold(core, number);
    out->live++;
    out->held += state == SA_HELD;
    sa_list_append(&core->links,
                   state == SA_LEASED ? &sorting->leased : &sorting->waiting, number);
    if (state == SA_HELD)
        sa_core_event(core, SA_EVENT_HELD, number, 0, sa_slot_var(slot)->fault,
                      SA_HELD_BEFORE);
    if (state == SA_DRIVEN)
        sa_core_event(core, SA_EVENT_DRIVEN, number, 0, 0, 0);
}

/* A leased slot: back into its worker's lease table when its start was taken, so
 * that the death of the worker, which the fence has just caused, runs the one
 * rule for deaths; else to the front of its queue, never having started. */
static void
relink(struct sa_core *core, uint32_t number, struct sa_recovered *out)
{
    struct sa_slot *slot = &core->arena.slots[number];
    uint32_t worker = SA_WORD_OWNER(slot->word);
    out->requeued++;
    if (worker < core->options.workers_max && core->actors[worker].words) {
        struct sa_actor *actor = &core->actors[worker];
        for (uint32_t c = 0; c < actor->ncells; c++)
            if (taken_for(actor, c, number, slot)) {
                actor->leases[c].slot = number;
                core->cell_of_slot[number] = (uint16_t)c;
                sa_rate_relink(core, number);
                return;
            }
    }
    put_back(core, number);
}

/* Cells no lease names are free, whatever the crash left in them. */
static void
count_cells(struct sa_actor *actor)
{
    actor->nfree = actor->leased = 0;
    for (uint32_t c = actor->ncells; c > 0; c--) {
        if (actor->leases[c - 1].slot != SA_NONE) {
            actor->leased++;
            continue;
        }
        sa_store_release(&actor->cells[c - 1], 0);
        actor->free_cells[actor->nfree++] = c - 1;
    }
}

static int
arrived_before(const void *core, uint32_t a, uint32_t b)
{
    return sa_core_before(core, a, b);
}

static int
finished_before(const void *context, uint32_t a, uint32_t b)
{
    const struct sa_core *core = context;
    return core->arena.slots[a].finished_ns < core->arena.slots[b].finished_ns;
}

static void
settle_finished(struct sa_core *core, struct sa_list *finished)
{
    sa_list_sort(&core->links, finished, finished_before, core);
    for (uint32_t p = 0; p < SA_PRODUCERS_MAX; p++)
        core->peers[p].bytes = 0; /* of what was cut off while it was counted */
    for (uint32_t i = 0; i < sa_core_slots(core); i++) {
        const struct sa_slot *slot = &core->arena.slots[i];
        struct sa_peer *peer = sa_core_owner(core, slot);
        if (!peer || sa_slot_state(slot) == SA_FREE)
            continue;
        peer->outstanding++;
        peer->bytes += sa_core_cost(slot);
    }
    while (finished->first != SA_NONE) {
        uint32_t number = finished->first;
        sa_list_remove(&core->links, finished, number);
        sa_core_settle(core, number);
    }
}

/* Rebuild the lists, each in the order it had as far as the slots tell. */
static void
resume(struct sa_core *core, struct sorting *sorting, struct sa_recovered *out)
{
    settle_finished(core, &sorting->finished);
    sa_list_sort(&core->links, &sorting->waiting, arrived_before, core);
    while (sorting->waiting.first != SA_NONE) {
        uint32_t number = sorting->waiting.first;
        sa_list_remove(&core->links, &sorting->waiting, number);
        sa_core_enqueue(core, number, 0);
    }
    sa_list_sort(&core->links, &sorting->leased, arrived_before, core);
    while (sorting->leased.last != SA_NONE) {
        uint32_t number = sorting->leased.last;
        sa_list_remove(&core->links, &sorting->leased, number);
        relink(core, number, out);
    }
}

int
sa_core_recover(sa_core *core, int64_t now, int64_t wall, struct sa_recovered *out)
{
    struct sorting sorting;
    memset(out, 0, sizeof *out);
    sa_list_clear(&sorting.waiting);
    sa_list_clear(&sorting.leased);
    sa_list_clear(&sorting.finished);
    core->now = now;
    core->wall = wall;
    core->offset = core->anchor = wall - now;
    sa_queues_check(core);
    /* Before any slot is given up: a freed slot no longer tells its src_end. */
    for (uint32_t i = 0; i < SA_PRODUCERS_MAX; i++)
        if (core->peers[i].used)
            head_rule(core, &core->peers[i].submit, core->peers[i].id);
    for (uint32_t w = 0; w < core->options.workers_max; w++)
        if (core->actors[w].words)
            head_rule(core, &core->actors[w].submit, 0x80000000u | w);
    for (uint32_t i = 0; i < sa_core_slots(core); i++)
        adopt(core, i, &sorting, out);
    sa_rates_recover(core);
    sa_extents_seal(&core->extents);
    sa_unique_recover(core);
    resume(core, &sorting, out);
    for (uint32_t w = 0; w < core->options.workers_max; w++)
        if (core->actors[w].words) {
            count_cells(&core->actors[w]);
            /* SA_FULL: an outcome waits for room, the steps go on with it. */
            (void)sa_core_worker_died(core, w, SA_FAULT_COLLATERAL, SA_NONE);
        }
    sa_revoke_recovered(core);
    return SA_OK;
}
