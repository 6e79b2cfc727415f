/* What S's Python decides about single slots. */
#include <string.h>

#include "sa_cell.h"
#include "sa_core_api.h"
#include "sa_crash.h"

static struct sa_slot *
slot_of(sa_core *core, uint32_t number, uint32_t gen)
{
    if (number >= sa_core_slots(core))
        return NULL;
    struct sa_slot *slot = &core->arena.slots[number];
    return SA_WORD_GEN(slot->word) == gen ? slot : NULL;
}

static struct sa_slot *
held(sa_core *core, uint32_t number, uint32_t gen)
{
    struct sa_slot *slot = slot_of(core, number, gen);
    return slot && sa_slot_state(slot) == SA_HELD ? slot : NULL;
}

/* Replay: the same attempt again, at once, in front of its queue. */
int
sa_core_release(sa_core *core, uint32_t number, uint32_t gen, const uint8_t *verdict,
                uint32_t len)
{
    struct sa_slot *slot = held(core, number, gen);
    if (!slot)
        return SA_STALE;
    struct sa_var var = *sa_slot_var(slot);
    struct sa_fact fact = {.type = SA_NEWS_REPLAYED, .kind = var.fault,
                           .worker = SA_NONE, .attempt = var.attempt,
                           .starts = var.starts, .payload = verdict, .len = len};
    var.fault = SA_FAULT_NONE;
    sa_core_unqueue(core, number);
    sa_slot_commit(slot, SA_READY, 0, &var);
    sa_core_enqueue(core, number, 1);
    core->arena.stats->repeated++;
    sa_news_outcome(core, number, &fact, SA_HANDED_BACK);
    return SA_OK;
}

int
sa_core_retry(sa_core *core, uint32_t number, uint32_t gen, int64_t delay_ns,
              const uint8_t *error, uint32_t len)
{
    struct sa_slot *slot = held(core, number, gen);
    if (!slot || delay_ns < 0)
        return SA_STALE;
    struct sa_var var = *sa_slot_var(slot);
    struct sa_fact fact = {.type = SA_NEWS_RETRIED, .worker = SA_NONE,
                           .attempt = var.attempt, .starts = var.starts,
                           .value = (uint64_t)delay_ns, .payload = error, .len = len};
    var.fault = SA_FAULT_NONE;
    var.attempt++;
    var.due_ns = sa_core_plus(core->now, delay_ns);
    sa_core_unqueue(core, number);
    (void)sa_core_keep_error(core, number, error, len);
    sa_slot_commit(slot, delay_ns ? SA_DELAYED : SA_READY, 0, &var);
    sa_core_enqueue(core, number, 0);
    core->arena.stats->retried++;
    sa_core_event(core, SA_EVENT_RETRIED, number, 0, var.attempt, (uint64_t)delay_ns);
    sa_news_outcome(core, number, &fact, SA_RETRY);
    return SA_OK;
}

int
sa_core_settle_held(sa_core *core, uint32_t number, uint32_t gen, uint32_t kind,
                    const uint8_t *payload, uint32_t len, int dead_letter)
{
    struct sa_slot *slot = held(core, number, gen);
    if (!slot || (kind != SA_FAILED && kind != SA_CANCELLED))
        return SA_STALE;
    struct sa_var var = *sa_slot_var(slot);
    var.fault = SA_FAULT_NONE;
    if (dead_letter)
        var.marks |= SA_MARK_DEAD;
    sa_core_unqueue(core, number);
    int rc = sa_core_finish(core, number, &var, kind, payload, len);
    if (rc != SA_OK)
        sa_core_enqueue(core, number, 0); /* still HELD: the caller tries again */
    return rc;
}

static int
take_back(sa_core *core, struct sa_slot *slot, uint32_t number)
{
    if (sa_slot_state(slot) != SA_LEASED)
        return 1;
    struct sa_actor *actor = &core->actors[SA_WORD_OWNER(slot->word)];
    return sa_actor_revoke(core, actor, core->cell_of_slot[number]);
}

const uint8_t *
sa_mark_words(uint32_t marks, uint32_t *len)
{
    static const uint8_t revoked[] = "\x81\xa6reason\xa7revoked";
    static const uint8_t purged[] = "\x81\xa6reason\xa6purged";
    static const uint8_t none[1];
    const uint8_t *words = marks & SA_MARK_PURGED    ? purged
                           : marks & SA_MARK_REVOKED ? revoked
                                                     : none;
    if (len)
        *len = (uint32_t)strlen((const char *)words);
    return words;
}

static int
end_waiting(sa_core *core, uint32_t number, uint32_t gen, uint32_t kind,
            uint32_t mark, const uint8_t *payload, uint32_t len)
{
    struct sa_slot *slot = slot_of(core, number, gen);
    if (!slot || !take_back(core, slot, number))
        return SA_STALE;
    uint32_t state = sa_slot_state(slot);
    if (state != SA_READY && state != SA_DELAYED && state != SA_PARKED &&
        state != SA_HELD)
        return SA_STALE;
    struct sa_var var = *sa_slot_var(slot);
    var.marks |= (uint16_t)(kind == SA_FAILED ? SA_MARK_DEAD : mark);
    sa_core_unqueue(core, number);
    int rc = sa_core_finish(core, number, &var, kind, payload, len);
    if (rc != SA_OK)
        sa_core_enqueue(core, number, 1);
    return rc;
}

int
sa_core_revoke(sa_core *core, uint32_t number, uint32_t gen, const uint8_t *payload,
               uint32_t len)
{
    return end_waiting(core, number, gen, SA_CANCELLED, 0, payload, len);
}

int
sa_revoke_wordless(sa_core *core, uint32_t number, uint32_t gen, uint32_t mark)
{
    return end_waiting(core, number, gen, SA_CANCELLED, mark, NULL, 0);
}

int
sa_core_forbid(sa_core *core, uint32_t number, uint32_t gen, const uint8_t *payload,
               uint32_t len)
{
    struct sa_slot *slot = slot_of(core, number, gen);
    if (!slot || sa_slot_state(slot) != SA_LEASED)
        return SA_STALE;
    struct sa_var var = *sa_slot_var(slot);
    uint32_t owner = SA_WORD_OWNER(sa_load_relaxed(&slot->word));
    const struct sa_actor *actor = &core->actors[owner];
    if (sa_cell_look(core, actor, core->cell_of_slot[number]) != SA_LOOK_TAKEN)
        return SA_STALE;
    if (var.marks & SA_MARK_FORBIDDEN)
        return SA_OK;
    /* Its worker may be reading the last error: it is told that it must not go on, and
     * whatever it makes of what it has read, its task is cancelled. */
    if (sa_core_keep_error(core, number, payload, len) != SA_OK)
        return SA_FULL;
    SA_CP("forbid.reason");
    var.marks |= SA_MARK_FORBIDDEN;
    sa_slot_commit(slot, SA_LEASED, owner, &var);
    return SA_OK;
}

int
sa_core_give_up(sa_core *core, uint32_t number, uint32_t gen, const uint8_t *payload,
                uint32_t len)
{
    return end_waiting(core, number, gen, SA_FAILED, 0, payload, len);
}

/* A worker with another set of handlers came up: try the parked ones again. */
int
sa_core_unpark(sa_core *core)
{
    uint32_t number, count = core->parked.count;
    for (uint32_t i = 0; i < count; i++) {
        number = core->parked.first;
        struct sa_slot *slot = &core->arena.slots[number];
        sa_core_unqueue(core, number);
        struct sa_var var = *sa_slot_var(slot);
        var.due_ns = core->now;
        sa_slot_commit(slot, SA_READY, 0, &var);
        sa_core_enqueue(core, number, 0);
    }
    return (int)count;
}

int
sa_core_dead_lettered(sa_core *core, uint32_t number, uint32_t gen)
{
    struct sa_slot *slot = slot_of(core, number, gen);
    if (!slot || sa_slot_state(slot) != SA_FINISHED)
        return SA_STALE;
    sa_slot_var(slot)->marks &= (uint16_t)~SA_MARK_DEAD;
    SA_CP("dead.lettered");
    sa_core_give_body(core, slot);
    return SA_OK;
}

int
sa_core_watch(sa_core *core, uint32_t number)
{
    if (number >= sa_core_slots(core))
        return SA_INVALID;
    core->watched[number] = 1;
    return SA_OK;
}

uint32_t
sa_core_find(const sa_core *core, const uint8_t *id)
{
    return sa_index_find(&core->index, id);
}

/* A task in a mailbox waits like one in a queue: it has not been started. */
uint32_t
sa_core_backlog(const sa_core *core, int64_t *since_ns)
{
    uint32_t count = sa_core_oldest_ready(core, since_ns);
    for (uint32_t w = 0; w < core->options.workers_max; w++) {
        const struct sa_actor *actor = &core->actors[w];
        for (uint32_t c = 0; c < actor->ncells && actor->leased; c++) {
            uint32_t slot = actor->leases[c].slot;
            if (slot == SA_NONE || sa_cell_look(core, actor, c) != SA_LOOK_OFFERED)
                continue;
            int64_t since = sa_slot_var(&core->arena.slots[slot])->due_ns;
            if (*since_ns == 0 || since < *since_ns)
                *since_ns = since;
            count++;
        }
    }
    return count;
}

/* How many tasks wait in open queues, and since when the oldest does. */
uint32_t
sa_core_oldest_ready(const sa_core *core, int64_t *since_ns)
{
    *since_ns = 0;
    for (uint32_t q = 0; q < SA_QUEUES_MAX; q++)
        for (uint32_t p = 0; p < SA_PRIORITIES && !core->ready.paused[q]; p++) {
            uint32_t first = core->ready.lists[q][p].first;
            if (first == SA_NONE)
                continue;
            int64_t since = sa_slot_var(&core->arena.slots[first])->due_ns;
            if (*since_ns == 0 || since < *since_ns)
                *since_ns = since;
        }
    return core->ready.open_count;
}
