/* Offers to workers, and taking them back: steps D1–D5, V1–V2. */
#include "sa_bell.h"
#include "sa_cell.h"
#include "sa_core.h"
#include "sa_crash.h"

enum { CHUNK = 16, STALL_DWELLS = 10 };

/* A worker that had room and did not begin what it was offered is stopped, or its
 * loop is blocked: it is offered nothing until it looks for a task again. */
static int
is_stalled(struct sa_actor *actor)
{
    const uint64_t *beat = &actor->words->status.beat_ns;
    if (actor->stalled && sa_load_relaxed(beat) != actor->stalled_beat)
        actor->stalled = 0;
    return actor->stalled;
}

/* How many offers a worker may hold.  An empty mailbox costs a wake-up, so
 * short tasks are offered ahead; the more a worker holds, the longer the last
 * one waits, so the product is kept near `dwell_ns`. */
static uint32_t
credits(const struct sa_core *core, struct sa_actor *actor)
{
    if (actor->spare || actor->state != SA_ACTOR_LIVE || actor->quarantined ||
        actor->alone || is_stalled(actor))
        return 0;
    uint32_t most = core->options.credits_max, want = most;
    if (actor->service_ns > 0)
        want = (uint32_t)(core->options.dwell_ns / actor->service_ns) + 1;
    /* A task that has run for longer than a dwell: nothing more behind it. */
    want = want < 1 ? 1 : want > most ? most : want;
    uint32_t least = actor->concurrency;
    want = want < least ? least : want;
    return want > actor->ncells ? actor->ncells : want;
}

/* Only where several tasks share a process can a neighbour be the cause. */
static int
must_be_alone(const struct sa_core *core, const struct sa_actor *actor,
              uint32_t number)
{
    return actor->concurrency > 1 &&
           sa_slot_var(&core->arena.slots[number])->collaterals >= SA_COLLATERALS_MAX;
}

static void
hint(struct sa_actor *actor, uint32_t cell)
{
    uint64_t tail = sa_load_relaxed(&actor->words->order_tail.word);
    uint64_t head = sa_load_acquire(&actor->words->order_head.word);
    /* Never into a full order ring: an overwritten hint hung the prototype.
     * The worker finds the cell by its scan then. */
    if (tail - head >= 2 * (uint64_t)actor->ncells)
        return;
    sa_store32(&actor->order[tail & (2 * (uint64_t)actor->ncells - 1)], cell);
    sa_store_release(&actor->words->order_tail.word, tail + 1); /* D4 */
    SA_CP("offer.hinted");
}

static void
offer_one(struct sa_core *core, uint32_t worker, uint32_t number)
{
    struct sa_actor *actor = &core->actors[worker];
    struct sa_slot *slot = &core->arena.slots[number];
    const struct sa_task *task = sa_core_task(core, slot);
    const struct sa_var *var = sa_slot_var(slot);
    uint32_t cell = actor->free_cells[--actor->nfree];
    sa_core_unqueue(core, number);
    struct sa_lease *lease = &actor->leases[cell];
    *lease = (struct sa_lease){.slot = number, .offered_ns = core->now,
                               .offer = core->offers++};
    lease->limited = sa_slot_soft_ns(slot, task) || sa_slot_hard_ns(slot, task) ||
                     task->deadline_ns;
    lease->alone = (uint8_t)must_be_alone(core, actor, number);
    actor->alone += lease->alone;
    actor->limited += lease->limited;
    actor->leased++;
    actor->offered_ns = core->now;
    core->cell_of_slot[number] = (uint16_t)cell;
    sa_slot_move(slot, SA_LEASED, worker); /* D2 */
    /* D3: from here the worker may take it. */
    sa_store_release(&actor->cells[cell],
                     sa_cell_word(SA_CELL_OFFERED, var->starts + 1,
                                  SA_WORD_GEN(slot->word), number));
    SA_CP("offer.celled");
    if (task->meters)
        sa_core_event(core, SA_EVENT_METERED, number, worker, cell, 0);
    hint(actor, cell);
    actor->kick = 1;
}

static int
is_limited(const struct sa_core *core, uint32_t number)
{
    return sa_core_task(core, &core->arena.slots[number])->claim_len != 0;
}

void
sa_offer(struct sa_core *core, uint32_t budget)
{
    uint32_t n = core->options.workers_max, given = 0, idle_rounds = 0, late = 0;
    /* Round robin in chunks: an even spread for few tasks, one wake for many. */
    while (core->ready.open_count && given < 4 * budget && idle_rounds < n) {
        uint32_t w = core->actor_turn++ % n;
        struct sa_actor *actor = &core->actors[w];
        uint32_t limit = credits(core, actor);
        uint32_t chunk = core->ready.open_count / n + 1;
        if (chunk > CHUNK)
            chunk = CHUNK;
        uint32_t gave = 0;
        while (gave < chunk && actor->nfree && actor->leased < limit &&
               !actor->alone && late < budget) {
            uint32_t number = sa_ready_pick(&core->ready, core->arena.slots);
            if (number == SA_NONE || !sa_core_event_room(core))
                break;
            if (sa_expire_one(core, number)) {
                late++; /* its timer was behind the step's budget */
                continue;
            }
            if (actor->leased && must_be_alone(core, actor, number))
                break; /* first its neighbours-to-be finish */
            if (is_limited(core, number) && !sa_rate_take(core, number)) {
                late++; /* it waits for its limit now */
                continue;
            }
            offer_one(core, w, number);
            gave++;
        }
        given += gave;
        idle_rounds = gave ? 0 : idle_rounds + 1;
    }
    for (uint32_t w = 0; w < n; w++)
        if (core->actors[w].kick) {
            core->actors[w].kick = 0;
            sa_sleep_wake(&core->actors[w].words->sleep, core->actors[w].wake_fd);
        }
    core->moved += given;
}

int
sa_actor_revoke(struct sa_core *core, struct sa_actor *actor, uint32_t cell)
{
    struct sa_lease *lease = &actor->leases[cell];
    if (lease->slot == SA_NONE)
        return 0;
    /* Only the very word of our offer: any other may hide a start. */
    uint64_t word = sa_cell_offered(core, lease->slot);
    if (!sa_cas(&actor->cells[cell], word, 0)) /* V1 */
        return 0;
    SA_CP("revoke.cell");
    uint32_t number = lease->slot;
    sa_slot_move(&core->arena.slots[number], SA_READY, 0); /* V2: no start used */
    sa_rate_give(core, number);
    actor->limited -= lease->limited;
    actor->alone -= lease->alone;
    lease->slot = SA_NONE;
    actor->free_cells[actor->nfree++] = cell;
    actor->leased--;
    sa_core_enqueue(core, number, 1);
    core->arena.stats->revoked_offers++;
    return 1;
}

/* A worker other than `not` that could start something at once; SA_NONE. */
static uint32_t
hungry(struct sa_core *core, uint32_t not)
{
    for (uint32_t w = 0; w < core->options.workers_max; w++) {
        struct sa_actor *actor = &core->actors[w];
        if (w != not && actor->state == SA_ACTOR_LIVE && !actor->spare &&
            !actor->quarantined && actor->leased < actor->concurrency &&
            actor->nfree && !is_stalled(actor))
            return w;
    }
    return SA_NONE;
}

/* The oldest offer of `actor` that nobody has begun, if it is stale. */
static uint32_t
stale_offer(struct sa_core *core, const struct sa_actor *actor, int64_t dwell_ns)
{
    uint32_t best = SA_NONE;
    int64_t since = INT64_MAX;
    for (uint32_t c = 0; c < actor->ncells; c++) {
        const struct sa_lease *lease = &actor->leases[c];
        if (lease->slot == SA_NONE || lease->offered_ns >= since ||
            sa_cell_state(sa_load_acquire(&actor->cells[c])) != SA_CELL_OFFERED)
            continue;
        since = lease->offered_ns;
        best = c;
    }
    if (best == SA_NONE)
        return best;
    int64_t due = since + dwell_ns;
    if (due > core->now) {
        sa_core_wake_at(core, due);
        return SA_NONE;
    }
    return best;
}

/* One offer of worker `w` that somebody else could start at once, taken back. */
static int
steal_from(struct sa_core *core, uint32_t w)
{
    struct sa_actor *actor = &core->actors[w];
    int64_t dwell = core->options.dwell_ns;
    int has_room = actor->leased <= actor->concurrency;
    if (has_room) {
        dwell *= STALL_DWELLS; /* it may just be waking up */
        if (!actor->leased || core->now - actor->offered_ns < dwell)
            return 0; /* the sweep comes back */
    }
    if (hungry(core, w) == SA_NONE)
        return 0;
    uint32_t cell = stale_offer(core, actor, dwell);
    if (cell == SA_NONE || !sa_actor_revoke(core, actor, cell))
        return 0;
    if (has_room) {
        actor->stalled = 1;
        actor->stalled_beat = sa_load_relaxed(&actor->words->status.beat_ns);
    } else {
        /* One credit from here on, or it would be offered the same task again: what
         * runs there may have begun after this offer was made. */
        int64_t took = core->now - actor->last_done_ns;
        actor->service_ns = took > dwell ? took : dwell + 1;
    }
    return 1;
}

/* Work stealing: while somebody could start at once, no offer waits behind a long
 * task for more than a dwell, or in a stopped worker for more than ten. */
void
sa_steal(struct sa_core *core)
{
    if (core->ready.open_count || hungry(core, SA_NONE) == SA_NONE)
        return;
    for (uint32_t w = 0; w < core->options.workers_max; w++) {
        if (core->actors[w].state == SA_ACTOR_ABSENT || !steal_from(core, w))
            continue;
        sa_offer(core, 1);
        core->moved++;
        if (hungry(core, SA_NONE) == SA_NONE)
            return;
    }
}
