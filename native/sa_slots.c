/* The life of one slot: waiting, finishing, keeping its outcome, leaving. */
#include <string.h>

#include "sa_core.h"
#include "sa_crash.h"

enum { FREES_PER_ROOM = 64, LOOKS_PER_EVICTION = 64 };

static uint32_t
priority_of(const struct sa_core *core, const struct sa_slot *slot)
{
    return sa_core_task(core, slot)->priority;
}

void
sa_core_timer(struct sa_core *core, uint32_t number)
{
    struct sa_slot *slot = &core->arena.slots[number];
    const struct sa_var *var = sa_slot_var(slot);
    const struct sa_task *task = sa_core_task(core, slot);
    uint32_t state = sa_slot_state(slot);
    int64_t key = INT64_MAX;
    if (state == SA_DELAYED)
        key = var->marks & SA_MARK_WALL ? sa_core_plus(var->due_ns, -core->offset)
                                        : var->due_ns;
    /* A held task has started already; whether it starts again is S's verdict.  So is
     * when a whole ends. */
    int64_t ends_by = sa_task_ends_by(task);
    if (ends_by && state != SA_HELD && state != SA_DRIVEN) {
        int64_t end = sa_core_plus(ends_by, -core->offset);
        key = end < key ? end : key;
    }
    if (key == INT64_MAX)
        sa_heap_drop(&core->timers, number);
    else
        sa_heap_put(&core->timers, number, key);
}

int
sa_core_before(const struct sa_core *core, uint32_t a, uint32_t b)
{
    const struct sa_slot *one = &core->arena.slots[a], *two = &core->arena.slots[b];
    int64_t since = sa_slot_var(one)->due_ns, until = sa_slot_var(two)->due_ns;
    if (since != until)
        return since < until;
    if (one->src_ring != two->src_ring)
        return one->src_ring < two->src_ring;
    return (int64_t)(one->src_end - two->src_end) < 0;
}

void
sa_core_enqueue(struct sa_core *core, uint32_t number, int in_front)
{
    struct sa_slot *slot = &core->arena.slots[number];
    if (sa_slot_state(slot) == SA_READY)
        sa_ready_add(&core->ready, &core->links, number, slot->queue,
                     priority_of(core, slot), in_front);
    else if (sa_slot_state(slot) == SA_PARKED)
        sa_list_append(&core->links, &core->parked, number);
    else if (sa_slot_state(slot) == SA_HELD)
        sa_list_append(&core->links, &core->held, number);
    else if (sa_slot_state(slot) == SA_DRIVEN)
        sa_list_append(&core->links, &core->driven, number);
    sa_core_timer(core, number);
}

void
sa_core_unqueue(struct sa_core *core, uint32_t number)
{
    struct sa_slot *slot = &core->arena.slots[number];
    uint32_t state = sa_slot_state(slot);
    if (state == SA_READY && !sa_rate_leave(core, number))
        sa_ready_remove(&core->ready, &core->links, number, slot->queue,
                        priority_of(core, slot));
    else if (state == SA_PARKED)
        sa_list_remove(&core->links, &core->parked, number);
    else if (state == SA_HELD)
        sa_list_remove(&core->links, &core->held, number);
    else if (state == SA_DRIVEN)
        sa_list_remove(&core->links, &core->driven, number);
    sa_heap_drop(&core->timers, number);
}

/* The oldest of `list` that may go.  Those whose dead letter is not written yet, or
 * whose end is not noted, stay and do not stop the others; nor does one whose event
 * has no room. */
static uint32_t
evictable(const struct sa_core *core, const struct sa_list *list)
{
    uint32_t number = list->first;
    for (int i = 0; i < LOOKS_PER_EVICTION && number != SA_NONE; i++) {
        uint32_t marks = sa_slot_var(&core->arena.slots[number])->marks;
        if (!(marks & (SA_MARK_DEAD | SA_MARK_TIED)) &&
            (!(marks & SA_MARK_SPOOL_OUT) || sa_core_event_room(core)))
            return number;
        number = core->links.next[number];
    }
    return SA_NONE;
}

int
sa_core_evict(struct sa_core *core)
{
    /* Delivered results first, then those nobody waits for; oldest first. */
    struct sa_list *list = &core->delivered;
    uint32_t number = evictable(core, list);
    if (number == SA_NONE) {
        list = &core->orphaned;
        number = evictable(core, list);
    }
    if (number == SA_NONE)
        return 0;
    sa_list_remove(&core->links, list, number);
    sa_core_free_slot(core, number);
    core->arena.stats->evicted++;
    return 1;
}

uint32_t
sa_core_room(struct sa_core *core, uint32_t len)
{
    uint32_t at = sa_extent_take(&core->extents, len);
    for (int i = 0; at == SA_NONE && i < FREES_PER_ROOM && sa_core_evict(core); i++)
        at = sa_extent_take(&core->extents, len);
    return at;
}

uint32_t
sa_core_room_to_live(struct sa_core *core, uint32_t len)
{
    for (int i = 0; core->extents.free_slabs <= sa_core_kept_slabs(core); i++)
        if (i == FREES_PER_ROOM || !sa_core_evict(core))
            return SA_NONE;
    return sa_core_room(core, len);
}

uint64_t
sa_core_cost(const struct sa_slot *slot)
{
    return (slot->body_len ? sa_extent_class_size(slot->body_len) : 0u) +
           (slot->out_len ? sa_extent_class_size(slot->out_len) : 0u);
}

/* The slot's cost grows by `len` bytes' worth, or falls: so does its owner's. */
static void
charge(struct sa_core *core, const struct sa_slot *slot, uint32_t len, int grows)
{
    struct sa_peer *peer = len ? sa_core_owner(core, slot) : NULL;
    uint32_t state = sa_slot_state(slot);
    if (!peer || state == SA_FREE ||
        (state == SA_FINISHED && sa_slot_var(slot)->marks & SA_MARK_DELIVERED))
        return;
    uint64_t bytes = sa_extent_class_size(len);
    peer->bytes = grows ? peer->bytes + bytes : peer->bytes - bytes;
}

static void
give_out(struct sa_core *core, struct sa_slot *slot)
{
    if (!slot->out_len)
        return;
    charge(core, slot, slot->out_len, 0);
    sa_extent_give(&core->extents, slot->out_at, slot->out_len);
    slot->out_len = 0;
}

void
sa_core_give_body(struct sa_core *core, struct sa_slot *slot)
{
    if (!slot->body_len)
        return;
    uint32_t at = slot->body_at, len = slot->body_len;
    charge(core, slot, len, 0);
    slot->body_len = 0;
    sa_extent_give(&core->extents, at, len);
}

int
sa_core_keep_error(struct sa_core *core, uint32_t number, const uint8_t *payload,
                   uint32_t len)
{
    struct sa_slot *slot = &core->arena.slots[number];
    uint32_t at = len ? sa_core_room_to_live(core, len) : SA_NONE;
    if (at == SA_NONE)
        return SA_FULL;
    give_out(core, slot);
    memcpy(sa_arena_at(&core->arena, at, len), payload, len);
    slot->out_at = at;
    slot->out_kind = SA_FAILED;
    slot->out_len = len;
    charge(core, slot, len, 1);
    return SA_OK;
}

/* The size and the token in the file's name are in the claim check, the body. */
void
sa_core_tell_spooled(struct sa_core *core, uint32_t number, const uint8_t *record,
                     uint32_t len)
{
    const struct sa_task *task = (const struct sa_task *)record;
    uint64_t size, token;
    if (!record || len < SA_TASK_HEAD || !(task->flags & SA_TASK_SPOOLED))
        return;
    uint64_t at = (uint64_t)len - task->body_len;
    if (at + SA_CLAIM_TOKEN_AT + sizeof token > len)
        return; /* no claim check of ours: there is no file */
    memcpy(&size, record + at + SA_CLAIM_SIZE_AT, sizeof size);
    memcpy(&token, record + at + SA_CLAIM_TOKEN_AT, sizeof token);
    if (size == UINT64_MAX || sa_core_event(core, SA_EVENT_FREED_SPOOL, number, 0,
                                            size + 1, token) != SA_OK)
        return;
    memcpy(core->events[core->event_count - 1].id, task->id, 16);
}

static void
tell_spooled(struct sa_core *core, uint32_t number)
{
    const struct sa_slot *slot = &core->arena.slots[number];
    sa_core_tell_spooled(core, number,
                         sa_arena_at(&core->arena, slot->body_at, slot->body_len),
                         slot->body_len);
}

static void
count_finish(struct sa_core *core, uint32_t kind)
{
    struct sa_stats *stats = core->arena.stats;
    stats->finished++;
    stats->succeeded += kind == SA_SUCCEEDED;
    stats->failed += kind == SA_FAILED;
    stats->cancelled += kind == SA_CANCELLED;
}

int
sa_core_finish(struct sa_core *core, uint32_t number, const struct sa_var *var,
               uint32_t kind, const uint8_t *payload, uint32_t len)
{
    struct sa_slot *slot = &core->arena.slots[number];
    uint32_t at = 0, owner = SA_NONE;
    if (sa_slot_state(slot) == SA_LEASED)
        owner = SA_WORD_OWNER(sa_load_relaxed(&slot->word));
    int has_run = sa_slot_state(slot) == SA_HELD ||
                  (sa_slot_state(slot) != SA_DRIVEN &&
                   var->starts != sa_slot_var(slot)->starts);
    if (len) {
        at = sa_core_room(core, len);
        if (at == SA_NONE)
            return SA_FULL;
        memcpy(sa_arena_at(&core->arena, at, len), payload, len);
    }
    const struct sa_task *task = sa_core_task(core, slot);
    int spooled = task->flags & SA_TASK_SPOOLED;
    int64_t created_ns = task->created_ns;
    int has_claims = task->claim_len != 0;
    int is_part = task->ties & SA_TIE_PART;
    give_out(core, slot);
    slot->out_at = at;
    slot->out_kind = kind;
    slot->finished_ns = core->wall;
    slot->out_len = len;
    charge(core, slot, len, 1);
    SA_CP("finish.outcome");
    struct sa_var last = *var;
    if (spooled)
        last.marks |= SA_MARK_SPOOL_OUT; /* files to remove with the slot */
    if (is_part)
        last.marks |= SA_MARK_TIED;
    /* It waits for nothing any more, and its record, which said so, goes. */
    last.due_ns = created_ns;
    last.marks |= SA_MARK_WALL;
    sa_slot_commit(slot, SA_FINISHED, 0, &last); /* C3: the task has ended */
    struct sa_fact fact = {.worker = owner, .attempt = var->attempt,
                           .starts = var->starts, .payload = payload, .len = len};
    sa_news_finished(core, number, &fact, kind, has_run);
    if (has_claims) {
        sa_unique_free(core, number);
        sa_rate_give(core, number); /* it never began, and kept one for its turn */
    }
    if (!(last.marks & SA_MARK_DEAD)) {
        int told = !spooled || sa_core_event_room(core);
        if (spooled && told)
            tell_spooled(core, number);
        if (told) /* else the record, and the file it names, go with the slot */
            sa_core_give_body(core, slot);
    }
    count_finish(core, kind);
    sa_core_settle(core, number);
    return SA_OK;
}

struct sa_peer *
sa_core_owner(struct sa_core *core, const struct sa_slot *slot)
{
    if (slot->src_ring & 0x80000000u)
        return NULL;
    struct sa_peer *peer = &core->peers[slot->src_ring % SA_PRODUCERS_MAX];
    return peer->used && !peer->leaving && peer->id == slot->src_ring ? peer : NULL;
}

/* A finished slot: to its owner's pending list, or straight to the kept ones. */
void
sa_core_settle(struct sa_core *core, uint32_t number)
{
    struct sa_slot *slot = &core->arena.slots[number];
    struct sa_peer *peer = sa_core_owner(core, slot);
    uint32_t marks = sa_slot_var(slot)->marks;
    if (marks & SA_MARK_DEAD)
        sa_core_event(core, SA_EVENT_DEAD_LETTER, number, 0, 0, 0);
    if (marks & SA_MARK_TIED)
        sa_core_event(core, SA_EVENT_TIED, number, 0, 0, 0);
    if (core->watched[number] &&
        sa_core_event(core, SA_EVENT_WATCHED, number, 0, 0, 0) == SA_OK)
        core->watched[number] = 0;
    if (!peer || marks & SA_MARK_DELIVERED)
        sa_list_append(&core->links, peer ? &core->delivered : &core->orphaned, number);
    else
        sa_list_append(&core->links, &peer->pending, number);
}

void
sa_core_free_slot(struct sa_core *core, uint32_t number)
{
    struct sa_slot *slot = &core->arena.slots[number];
    if (sa_slot_var(slot)->marks & SA_MARK_SPOOL_OUT) {
        tell_spooled(core, number);
        sa_core_event(core, SA_EVENT_FREED_SPOOL, number, 0, 0,
                      sa_slot_var(slot)->starts);
    }
    sa_index_remove(&core->index, number);
    core->queue_tasks[slot->queue % SA_QUEUES_MAX]--;
    core->watched[number] = 0;
    if (core->unique.merged[number])
        core->unique.merged[number] = 0;
    core->owed_count -= core->owed[number] != 0;
    core->owed[number] = 0;
    uint64_t word = sa_load_relaxed(&slot->word);
    /* C8.  The generation grows, so nothing that names the old task fits. */
    sa_store_release(&slot->word,
                     SA_WORD(SA_FREE, 0, 0, 0, SA_WORD_GEN(word) + 1u));
    SA_CP("slot.freed");
    give_out(core, slot);
    sa_core_give_body(core, slot);
    sa_list_append(&core->links, &core->free, number);
}
