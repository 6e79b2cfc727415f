/* From a submit ring into a slot: steps A1–A4. */
#include <string.h>

#include "sa_bell.h"
#include "sa_claim.h"
#include "sa_core.h"
#include "sa_crash.h"
#include "sa_crc.h"
#include "sa_prescan.h"
#include "sa_text.h"

enum { OPTION_DEPTH = 4 };

static int
name_ok(const uint8_t *name, uint32_t len)
{
    return len > 0 && len <= SA_NAME_MAX && sa_text_ok(name, len);
}

/* None, or one whole MessagePack map: S's Python reads it. */
static int
options_ok(const uint8_t *at, uint32_t len)
{
    uint32_t nodes;
    if (len == 0)
        return 1;
    if ((at[0] & 0xf0) != 0x80 && at[0] != 0xde && at[0] != 0xdf)
        return 0;
    return sa_prescan(at, len, SA_OPTIONS_MAX, OPTION_DEPTH, &nodes) == SA_OK;
}

int
sa_task_check(const uint8_t *at, uint32_t len)
{
    if (len < SA_TASK_HEAD)
        return SA_CORRUPT;
    struct sa_task task;
    memcpy(&task, at, sizeof task);
    if (task.version != SA_TASK_VERSION)
        return SA_VERSION;
    if (task.priority >= SA_PRIORITIES || task.option_len > SA_OPTIONS_MAX ||
        task.body_len > SA_RECORD_MAX)
        return SA_CORRUPT;
    if ((uint64_t)SA_TASK_HEAD + task.queue_len + task.name_len + task.option_len +
            task.claim_len + task.body_len != len)
        return SA_CORRUPT;
    const uint8_t *queue = at + SA_TASK_HEAD, *name = queue + task.queue_len;
    const uint8_t *options = name + task.name_len;
    if (!name_ok(queue, task.queue_len) || !name_ok(name, task.name_len) ||
        !options_ok(options, task.option_len) ||
        !sa_claims_ok(options + task.option_len, task.claim_len))
        return SA_CORRUPT;
    if (task.ties > SA_TIE_WHOLE || task.created_ns < 0 || task.not_before_ns < 0 ||
        task.expires_ns < 0 || task.deadline_ns < 0)
        return SA_CORRUPT;
    return SA_OK;
}

static void
fill(struct sa_core *core, struct sa_slot *slot, const struct sa_task *task,
     uint32_t at, uint32_t len, const struct sa_view *view, uint32_t src)
{
    memcpy(slot->id, task->id, 16);
    slot->body_at = at;
    slot->body_crc = sa_crc32c(0, task, len);
    slot->out_len = 0;
    slot->out_kind = 0;
    slot->ticket = task->ticket;
    slot->src_end = view->end;
    slot->src_ring = src;
    slot->finished_ns = 0;
    slot->body_len = len;
    struct sa_var var = {.due_ns = core->now};
    uint32_t state = SA_READY;
    if (task->not_before_ns > core->wall) {
        state = SA_DELAYED;
        var.due_ns = task->not_before_ns;
        var.marks = SA_MARK_WALL;
    }
    if (task->ties & SA_TIE_WHOLE)
        state = SA_DRIVEN;
    SA_CP("admit.filled");
    sa_slot_commit(slot, state, 0, &var); /* A3: admitted */
}

int
sa_admit_answer(struct sa_peer *peer, uint64_t ticket, uint32_t kind,
                const void *payload, uint32_t len)
{
    if (!peer || peer->leaving)
        return SA_OK;
    uint8_t *at;
    struct sa_reply reply = {.ticket = ticket, .kind = kind, .len = len};
    uint32_t total = (uint32_t)sizeof reply + len;
    if (sa_spsc_reserve(&peer->reply, total, &at) != SA_OK)
        return SA_FULL;
    memcpy(at, &reply, sizeof reply);
    if (len)
        memcpy(at + sizeof reply, payload, len);
    struct sa_record head = {.len = total, .kind = (uint16_t)kind};
    sa_spsc_seal(&peer->reply, &head);
    sa_spsc_publish(&peer->reply);
    sa_sleep_wake(&peer->words->sleep, peer->wake_fd);
    return SA_OK;
}

/* MessagePack: {"reason": "more than 256 queues"}. */
static const char too_many_queues[] = "\x81\xa6reason\xb4more than 256 queues";

/* Answer what needs no slot of its own; SA_EMPTY: it needs one. */
static int
refuse(struct sa_core *core, const struct sa_task *task, const struct sa_view *view,
       uint32_t src, struct sa_peer *peer, uint32_t queue)
{
    if (sa_index_find(&core->index, task->id) != SA_NONE)
        return sa_admit_answer(peer, task->ticket, SA_DUPLICATE, NULL, 0);
    if (queue == SA_NONE)
        return sa_admit_answer(peer, task->ticket, SA_CANCELLED, too_many_queues,
                               sizeof too_many_queues - 1);
    uint32_t holder = task->claim_len ? sa_unique_holder(core, task) : SA_NONE;
    if (holder == SA_NONE)
        return SA_EMPTY;
    int rc = sa_unique_merge(core, peer, task, holder, view, src);
    if (rc == SA_OK)
        sa_core_tell_spooled(core, SA_NONE, (const uint8_t *)task, view->head.len);
    return rc;
}

static void
settle_in(struct sa_core *core, const struct sa_task *task, uint32_t at,
          const struct sa_view *view, uint32_t src, struct sa_peer *peer,
          uint32_t queue)
{
    uint32_t number = core->free.first, len = view->head.len;
    sa_list_remove(&core->links, &core->free, number);
    core->arena.slots[number].queue = queue;
    core->queue_tasks[queue]++;
    fill(core, &core->arena.slots[number], task, at, len, view, src);
    sa_index_add(&core->index, number);
    if (task->claim_len)
        sa_unique_hold(core, number);
    if (peer) {
        peer->outstanding++;
        peer->bytes += sa_extent_class_size(len);
    }
    sa_core_enqueue(core, number, 0);
    if (task->ties & SA_TIE_WHOLE)
        sa_core_event(core, SA_EVENT_DRIVEN, number, 0, 0, 0);
    core->arena.stats->admitted++;
    struct sa_fact fact = {.type = SA_NEWS_RECEIVED, .worker = SA_NONE};
    sa_news_add(core, number, &fact);
    if (core->arena.revokes->count)
        sa_revoke_admitted(core, number);
}

int
sa_admit(struct sa_core *core, const struct sa_view *view, uint32_t src,
         struct sa_peer *peer)
{
    uint32_t len = view->head.len, reserve = peer ? core->options.child_reserve : 0;
    if (len < SA_TASK_HEAD || len > SA_RECORD_MAX)
        return SA_CORRUPT;
    while (core->free.count <= reserve)
        if (!sa_core_evict(core))
            return SA_FULL;
    uint32_t at = sa_core_room_to_live(core, len);
    if (at == SA_NONE)
        return SA_FULL;
    uint8_t *bytes = sa_arena_at(&core->arena, at, len);
    memcpy(bytes, view->payload, len); /* A2: from here on only our copy counts */
    const struct sa_task *task = (const struct sa_task *)bytes;
    int rc = sa_task_check(bytes, len);
    uint32_t queue = SA_NONE;
    if (rc == SA_OK) {
        queue = sa_queue_add(core, bytes + SA_TASK_HEAD, task->queue_len);
        rc = refuse(core, task, view, src, peer, queue);
    }
    if (rc != SA_EMPTY) {
        sa_extent_give(&core->extents, at, len);
        return rc;
    }
    settle_in(core, task, at, view, src, peer, queue);
    return SA_OK;
}

/* Half of the slots and half of the arena are all that one of several gets. */
static int
capped(const struct sa_core *core, const struct sa_peer *peer)
{
    return peer && !peer->leaving && core->peers_used > 1 &&
           (peer->outstanding >= sa_core_slots(core) / 2 ||
            peer->bytes >= (uint64_t)core->extents.nslabs * SA_SLAB / 2);
}

int
sa_admit_ring(struct sa_core *core, struct sa_spsc *ring, uint32_t src,
              struct sa_peer *peer, uint32_t budget)
{
    struct sa_view view;
    uint32_t done = 0;
    int rc = SA_OK;
    while (done < budget && !capped(core, peer) && sa_core_event_room(core)) {
        rc = sa_spsc_peek(ring, &view);
        if (rc != SA_OK)
            break;
        rc = sa_admit(core, &view, src, peer);
        if (rc != SA_OK)
            break;
        sa_spsc_next(ring, &view);
        done++;
    }
    ring->stalled = rc == SA_FULL || capped(core, peer);
    if (done) {
        sa_spsc_release(ring); /* A4: one store for the whole batch */
        if (peer)
            sa_sleep_wake(&peer->words->space, -1);
        core->moved += done;
    }
    return rc == SA_VERSION ? SA_CORRUPT : rc;
}
