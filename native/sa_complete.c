/* From a worker's outbox into the slots: steps C1–C5. */
#include <string.h>

#include "sa_bell.h"
#include "sa_core.h"
#include "sa_crash.h"

void
sa_actor_release(struct sa_actor *actor, uint32_t cell)
{
    struct sa_lease *lease = &actor->leases[cell];
    if (lease->slot == SA_NONE)
        return;
    actor->limited -= lease->limited;
    actor->alone -= lease->alone;
    lease->slot = SA_NONE;
    actor->free_cells[actor->nfree++] = cell;
    actor->leased--;
    sa_store_release(&actor->cells[cell], 0); /* C4: the credit comes back */
    SA_CP("cell.emptied");
}

/* Only an outcome of the start that the slot is leased for counts (C2). */
static int
fits(const struct sa_core *core, uint32_t worker, const struct sa_record *head)
{
    if (head->slot >= sa_core_slots(core))
        return 0;
    const struct sa_slot *slot = &core->arena.slots[head->slot];
    uint64_t word = sa_load_relaxed(&slot->word);
    return SA_WORD_STATE(word) == SA_LEASED && SA_WORD_OWNER(word) == worker &&
           SA_WORD_GEN(word) == head->gen &&
           sa_slot_var(slot)->starts + 1 == head->starts;
}

static uint32_t
cell_of(const struct sa_core *core, const struct sa_actor *actor, uint32_t slot)
{
    uint32_t cell = core->cell_of_slot[slot];
    return cell < actor->ncells && actor->leases[cell].slot == slot ? cell : SA_NONE;
}

static void
learn(struct sa_core *core, struct sa_actor *actor, uint32_t cell)
{
    int64_t began = (int64_t)sa_load_relaxed((uint64_t *)&actor->started[cell]);
    if (began < actor->last_done_ns)
        began = actor->last_done_ns;
    int64_t took = core->now - began;
    actor->last_done_ns = core->now;
    if (took < 0)
        took = 0;
    /* Moving average over about eight tasks; rises at once, falls slowly, so
     * that one long task cuts the credits before more pile up behind it. */
    if (took > actor->service_ns)
        actor->service_ns = (actor->service_ns + took) / 2;
    else
        actor->service_ns += (took - actor->service_ns) / 8;
}

static int
retry(struct sa_core *core, uint32_t worker, const struct sa_view *view,
      struct sa_var *var)
{
    uint32_t number = view->head.slot, len = view->head.len;
    struct sa_slot *slot = &core->arena.slots[number];
    const uint8_t *error = view->payload;
    struct sa_limits limits;
    if (view->head.kind == SA_RETRY_LIMITED) {
        memcpy(&limits, error, sizeof limits); /* its length was checked */
        /* Before the commit: a death in between replays the old attempt under the
         * new limits, and never the new one without them. */
        slot->finished_ns = (int64_t)((uint64_t)limits.hard_ms << 32 | limits.soft_ms);
        error += sizeof limits;
        len -= (uint32_t)sizeof limits;
    }
    struct sa_fact fact = {.type = SA_NEWS_RETRIED, .worker = worker,
                           .attempt = var->attempt, .starts = var->starts,
                           .value = (uint64_t)view->head.delay_ns,
                           .payload = error, .len = len};
    /* The retry matters more than the text of its error. */
    (void)sa_core_keep_error(core, number, error, len);
    uint32_t state = view->head.delay_ns > 0 ? SA_DELAYED : SA_READY;
    var->attempt++;
    var->marks &= (uint16_t)~SA_MARK_WALL;
    var->due_ns = core->now;
    if (view->head.delay_ns > 0)
        var->due_ns = sa_core_plus(core->now, view->head.delay_ns);
    sa_slot_commit(slot, state, 0, var);
    sa_core_enqueue(core, number, 0);
    core->arena.stats->retried++;
    sa_core_event(core, SA_EVENT_RETRIED, number, 0, var->attempt,
                  (uint64_t)view->head.delay_ns);
    sa_news_outcome(core, number, &fact, SA_RETRY);
    return SA_OK;
}

/* As after a death that we caused: a start, in front again, and nobody's crash. */
static int
hand_back(struct sa_core *core, uint32_t worker, const struct sa_view *view,
          struct sa_var *var)
{
    uint32_t number = view->head.slot;
    struct sa_fact fact = {.type = SA_NEWS_REPLAYED, .kind = SA_FAULT_COLLATERAL,
                           .worker = worker, .attempt = var->attempt,
                           .starts = var->starts, .payload = view->payload,
                           .len = view->head.len};
    var->collaterals++;
    var->due_ns = core->now;
    sa_slot_commit(&core->arena.slots[number], SA_READY, 0, var);
    sa_core_enqueue(core, number, 1);
    core->arena.stats->collaterals++;
    core->arena.stats->repeated++;
    sa_news_outcome(core, number, &fact, SA_HANDED_BACK);
    return SA_OK;
}

/* The start of a revoked task has ended, and not by its return: how, is kept behind the
 * reason, as one array.  S's Python makes the record of both. */
static int
end_revoked(struct sa_core *core, const struct sa_view *view, struct sa_var *var)
{
    static uint8_t both[SA_RECORD_MAX]; /* S has one thread */
    uint32_t number = view->head.slot, kind = view->head.kind;
    struct sa_slot *slot = &core->arena.slots[number];
    const uint8_t *reason = sa_arena_at(&core->arena, slot->out_at, slot->out_len);
    uint32_t reason_len = reason ? slot->out_len : 0, len = view->head.len;
    const uint8_t *facts = view->payload;
    if (!reason_len) /* a crash may have cost it */
        var->marks |= SA_MARK_REVOKED;
    if (kind == SA_UNKNOWN || kind == SA_EXPIRED) /* not a start */
        return sa_core_finish(core, number, var, SA_CANCELLED, reason, reason_len);
    if (kind == SA_RETRY_LIMITED) {
        facts += sizeof(struct sa_limits);
        len -= (uint32_t)sizeof(struct sa_limits);
    }
    if (kind == SA_FAILED && view->head.delay_ns) {
        sa_slot_var(slot)->marks |= SA_MARK_SPOOL_OUT; /* its file goes with the slot */
        len = 0;
    }
    if (reason_len && len && 1 + reason_len + len <= sizeof both) {
        both[0] = 0x92; /* MessagePack: an array of two */
        memcpy(both + 1, reason, reason_len);
        memcpy(both + 1 + reason_len, facts, len);
        /* Without room for it the record tells less. */
        (void)sa_core_keep_error(core, number, both, 1 + reason_len + len);
    }
    sa_core_hold(core, number, SA_FAULT_REVOKED, SA_HELD_TOLD);
    return SA_OK;
}

/* An ending: slot first (C3), then the cell. */
static int
ending(struct sa_core *core, uint32_t worker, const struct sa_view *view)
{
    uint32_t number = view->head.slot, kind = view->head.kind;
    struct sa_slot *slot = &core->arena.slots[number];
    struct sa_var var = *sa_slot_var(slot);
    if (var.marks & SA_MARK_FORBIDDEN && kind != SA_SUCCEEDED)
        return end_revoked(core, view, &var);
    if (kind == SA_UNKNOWN) {
        /* Not a start: the handler does not exist here. */
        sa_slot_move(slot, SA_PARKED, 0);
        sa_core_enqueue(core, number, 0);
        sa_core_event(core, SA_EVENT_PARKED, number, 0, 0, 0);
        return SA_OK;
    }
    if (kind == SA_EXPIRED) { /* offered in time, taken too late: not a start */
        int rc = sa_core_finish(core, number, &var, SA_CANCELLED, NULL, 0);
        core->arena.stats->expired += rc == SA_OK;
        return rc;
    }
    if (kind == SA_STOPPED) { /* by itself: nobody has asked for it */
        (void)sa_core_keep_error(core, number, view->payload, view->head.len);
        sa_core_hold(core, number, SA_FAULT_REVOKED, SA_HELD_TOLD);
        return SA_OK;
    }
    var.starts++;
    if (kind == SA_RETRY || kind == SA_RETRY_LIMITED || kind == SA_HANDED_BACK) {
        core->arena.stats->starts++;
        return kind == SA_HANDED_BACK ? hand_back(core, worker, view, &var)
                                      : retry(core, worker, view, &var);
    }
    if (kind == SA_FAILED)
        var.marks |= SA_MARK_DEAD;
    if (view->head.delay_ns)
        var.marks |= SA_MARK_SPOOL_OUT; /* the payload is a claim check */
    int rc = sa_core_finish(core, number, &var, kind, view->payload, view->head.len);
    core->arena.stats->starts += rc == SA_OK; /* else it comes again */
    return rc;
}

static void
extend_limit(const struct sa_core *core, struct sa_actor *actor,
             const struct sa_view *view)
{
    uint32_t number = view->head.slot, cell = cell_of(core, actor, number);
    const struct sa_task *task = sa_core_task(core, &core->arena.slots[number]);
    int64_t most = (int64_t)task->extension_ms * 1000000;
    if (cell == SA_NONE || view->head.delay_ns < 0)
        return;
    int64_t wanted = sa_core_plus(actor->leases[cell].extended_ns, view->head.delay_ns);
    actor->leases[cell].extended_ns = wanted < most ? wanted : most;
}

/* Lossy on purpose: progress never waits and never blocks an ending. */
static void
forward(struct sa_core *core, const struct sa_view *view)
{
    struct sa_slot *slot = &core->arena.slots[view->head.slot];
    struct sa_peer *peer = sa_core_owner(core, slot);
    uint32_t len = view->head.len;
    uint8_t *payload;
    if (!peer || !peer->connected || len > 4096 ||
        sa_spsc_reserve(&peer->reply, (uint32_t)sizeof(struct sa_reply) + len,
                        &payload) != SA_OK) {
        core->arena.stats->progress_dropped++;
        return;
    }
    struct sa_reply reply = {.ticket = slot->ticket, .kind = SA_PROGRESS, .len = len,
                             .attempt = sa_slot_var(slot)->attempt};
    memcpy(payload, &reply, sizeof reply);
    memcpy(payload + sizeof reply, view->payload, len);
    struct sa_record head = {.len = (uint32_t)sizeof reply + len, .kind = SA_PROGRESS};
    sa_spsc_seal(&peer->reply, &head);
    sa_spsc_publish(&peer->reply);
    sa_sleep_wake(&peer->words->sleep, peer->wake_fd);
}

static void
telemetry(struct sa_core *core, uint32_t worker, const struct sa_view *view)
{
    struct sa_actor *actor = &core->actors[worker];
    uint32_t number = view->head.slot, cell = cell_of(core, actor, number);
    const struct sa_var *var = sa_slot_var(&core->arena.slots[number]);
    struct sa_fact fact = {.worker = worker, .attempt = var->attempt,
                           .starts = var->starts + 1};
    switch (view->head.kind) {
    case SA_STARTED:
        if (cell != SA_NONE)
            sa_news_started(core, worker, cell);
        return;
    case SA_EXTEND:
        /* A lease on this ring lasts as long as its worker, so there is nothing to
         * extend; that the worker is alive and says so is seen in its status. */
        fact.type = SA_NEWS_HEARTBEAT;
        fact.value = (uint64_t)view->head.delay_ns;
        break;
    case SA_EXTEND_LIMIT:
        extend_limit(core, actor, view);
        return;
    default:
        forward(core, view);
        fact.type = SA_NEWS_PROGRESS;
        fact.payload = view->payload;
        fact.len = view->head.len;
    }
    sa_news_add(core, number, &fact);
}

static int
is_telemetry(uint32_t kind)
{
    return kind == SA_PROGRESS || kind == SA_EXTEND || kind == SA_EXTEND_LIMIT ||
           kind == SA_STARTED;
}

static int
limits_fit(const struct sa_view *view)
{
    struct sa_limits limits;
    if (view->head.len < sizeof limits)
        return 0;
    memcpy(&limits, view->payload, sizeof limits);
    return limits.hard_ms >> (SA_LIMITS_BITS - 32) == 0;
}

static int
complete(struct sa_core *core, uint32_t worker, const struct sa_view *view)
{
    struct sa_actor *actor = &core->actors[worker];
    uint32_t kind = view->head.kind;
    if (kind < SA_SUCCEEDED || kind > SA_RETRY_LIMITED || kind == SA_DUPLICATE)
        return SA_CORRUPT;
    if (kind == SA_RETRY_LIMITED && !limits_fit(view))
        return SA_CORRUPT;
    if (!fits(core, worker, &view->head)) {
        core->arena.stats->stale++;
        return SA_OK;
    }
    if (is_telemetry(kind)) {
        telemetry(core, worker, view);
        return SA_OK;
    }
    uint32_t cell = cell_of(core, actor, view->head.slot);
    if (core->rates.out) /* before the slot changes: a start is told first */
        sa_rate_ended(core, actor, cell, view->head.slot, kind);
    int rc = ending(core, worker, view);
    if (rc != SA_OK)
        return rc;
    if (cell != SA_NONE) {
        learn(core, actor, cell);
        sa_actor_release(actor, cell);
    }
    core->arena.workers[worker].finished++;
    core->arena.stats->last_start_ns = core->now; /* it has been started, and is over */
    return SA_OK;
}

int
sa_complete_actor(struct sa_core *core, uint32_t worker, uint32_t budget)
{
    struct sa_actor *actor = &core->actors[worker];
    struct sa_view view;
    uint32_t done = 0;
    int rc = SA_OK;
    if (actor->quarantined & SA_BAD_OUTBOX)
        return SA_CORRUPT;
    while (done < budget && (budget == SA_NONE || sa_core_event_room(core))) {
        rc = sa_spsc_peek(&actor->outbox, &view);
        if (rc != SA_OK)
            break;
        rc = complete(core, worker, &view);
        if (rc != SA_OK)
            break;
        sa_spsc_next(&actor->outbox, &view);
        done++;
    }
    actor->outbox.stalled = rc == SA_FULL;
    if (done) {
        sa_spsc_release(&actor->outbox); /* C5: one store for the batch */
        core->moved += done;
    }
    if (rc == SA_CORRUPT) {
        /* Nothing behind a bad record can be trusted: the worker is ended, and
         * what it held is classified from slots and cells. */
        actor->quarantined |= SA_BAD_OUTBOX;
        core->arena.stats->corrupt++;
        sa_core_event(core, SA_EVENT_CORRUPT, SA_NONE, worker, 0, 0);
    }
    return rc;
}
