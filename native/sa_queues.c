/* The queue table: names, pauses, and which queues the workers here take. */
#include <string.h>

#include "sa_core_api.h"

enum { EVICTIONS = 64 };

static uint32_t
queue_of(const sa_core *core, const uint8_t *name, uint32_t len)
{
    for (uint32_t q = 0; q < SA_QUEUES_MAX; q++) {
        const struct sa_queue_row *row = &core->arena.queues[q];
        if (!row->used)
            continue;
        if (row->name_len == len && memcmp(row->name, name, len) == 0)
            return q;
    }
    return SA_NONE;
}

/* Closed: paused by somebody, or none of ours. */
void
sa_queue_refresh(struct sa_core *core, uint32_t queue)
{
    int ours = !core->options.only_allowed || core->allowed[queue];
    int paused = core->arena.queues[queue].paused != 0;
    sa_ready_pause(&core->ready, queue, paused || !ours);
    if (core->ready.paused[queue])
        sa_rate_closed(core, queue);
}

/* A row that no slot names and nobody has set; SA_NONE when there is none. */
static uint32_t
free_row(const struct sa_core *core)
{
    uint32_t idle = SA_NONE;
    for (uint32_t q = 0; q < SA_QUEUES_MAX; q++) {
        const struct sa_queue_row *row = &core->arena.queues[q];
        if (!row->used)
            return q;
        if (!core->queue_tasks[q] && !row->paused && !core->allowed[q])
            idle = q;
    }
    return idle;
}

uint32_t
sa_queue_add(struct sa_core *core, const uint8_t *name, uint32_t len)
{
    uint32_t q = queue_of(core, name, len);
    if (q != SA_NONE || len > SA_NAME_MAX)
        return q;
    q = free_row(core);
    /* Kept results name their queues: the oldest go when names run short. */
    for (int i = 0; q == SA_NONE && i < EVICTIONS && sa_core_evict(core); i++)
        q = free_row(core);
    if (q == SA_NONE)
        return q;
    struct sa_queue_row *row = &core->arena.queues[q];
    sa_store32(&row->used, 0);
    memcpy(row->name, name, len);
    row->name_len = len;
    sa_store32(&row->used, 1); /* last: a crash leaves the row unused */
    sa_queue_refresh(core, q);
    return q;
}

int
sa_core_allow_queue(sa_core *core, const uint8_t *name, uint32_t len)
{
    uint32_t q = len ? sa_queue_add(core, name, len) : SA_NONE;
    if (q == SA_NONE)
        return SA_INVALID;
    core->allowed[q] = 1;
    sa_queue_refresh(core, q);
    return SA_OK;
}

int
sa_core_pause(sa_core *core, const uint8_t *name, uint32_t len, int paused)
{
    uint32_t q = queue_of(core, name, len);
    if (q == SA_NONE)
        return SA_EMPTY;
    sa_store32(&core->arena.queues[q].paused, paused != 0);
    sa_queue_refresh(core, q);
    return SA_OK;
}

/* Cancel what waits in one queue, ready or delayed. */
int
sa_core_purge(sa_core *core, const uint8_t *name, uint32_t len,
              const uint8_t *payload, uint32_t payload_len, uint32_t *count)
{
    uint32_t q = queue_of(core, name, len);
    *count = 0;
    if (q == SA_NONE)
        return SA_EMPTY;
    for (uint32_t i = 0; i < sa_core_slots(core); i++) {
        struct sa_slot *slot = &core->arena.slots[i];
        uint32_t state = sa_slot_state(slot);
        if (slot->queue != q || (state != SA_READY && state != SA_DELAYED))
            continue;
        if (!sa_core_event_room(core))
            return SA_FULL;
        uint32_t gen = SA_WORD_GEN(slot->word);
        int rc = sa_core_revoke(core, i, gen, payload, payload_len);
        if (rc == SA_FULL) /* no room to say why: that it is gone matters more */
            rc = sa_revoke_wordless(core, i, gen, SA_MARK_PURGED);
        if (rc != SA_OK)
            return rc;
        ++*count;
    }
    return SA_OK;
}

