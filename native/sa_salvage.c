/* Before anything is rebuilt from the shared memory of a dead supervisor: what of it
 * can be believed.  A wild write, of ours or of a tool, may have been anywhere. */
#include <string.h>

#include "sa_core.h"
#include "sa_text.h"

static int
mark_extents(struct sa_core *core, struct sa_slot *slot)
{
    uint32_t state = sa_slot_state(slot);
    int live = state != SA_FINISHED;
    if (state == SA_FINISHED && !(sa_slot_var(slot)->marks & SA_MARK_DEAD))
        slot->body_len = 0;
    if (slot->body_len || live) {
        const uint8_t *at = sa_arena_at(&core->arena, slot->body_at, slot->body_len);
        if (!at || slot->body_len < SA_TASK_HEAD ||
            sa_extent_mark(&core->extents, slot->body_at, slot->body_len) != SA_OK)
            return SA_CORRUPT;
    }
    if (slot->out_len &&
        sa_extent_mark(&core->extents, slot->out_at, slot->out_len) != SA_OK)
        slot->out_len = 0; /* cut off while it was being replaced */
    return SA_OK;
}

/* A row that was spoilt names no queue any more; tasks that live name it again. */
void
sa_queues_check(struct sa_core *core)
{
    for (uint32_t q = 0; q < SA_QUEUES_MAX; q++) {
        struct sa_queue_row *row = &core->arena.queues[q];
        if (row->used && (row->name_len == 0 || row->name_len > SA_NAME_MAX ||
                          !sa_text_ok((const uint8_t *)row->name, row->name_len)))
            memset(row, 0, sizeof *row);
        if (row->used)
            sa_queue_refresh(core, q);
    }
}

/* The record says which queue; the slot's number of it may be spoilt. */
static int
find_queue(struct sa_core *core, struct sa_slot *slot, const struct sa_task *task)
{
    const uint8_t *name = (const uint8_t *)(task + 1);
    if (slot->queue < SA_QUEUES_MAX) {
        const struct sa_queue_row *row = &core->arena.queues[slot->queue];
        if (row->used && row->name_len == task->queue_len &&
            memcmp(row->name, name, task->queue_len) == 0)
            return 1;
    }
    slot->queue = sa_queue_add(core, name, task->queue_len);
    return slot->queue != SA_NONE;
}

/* What the crash left of one slot: usable, or given up.  Every number that is used
 * as an index, here or by S's Python, is looked at: also of those that have ended. */
int
sa_slot_usable(struct sa_core *core, struct sa_slot *slot)
{
    uint32_t state = sa_slot_state(slot);
    int is_over = state == SA_FINISHED;
    if (state > SA_DRIVEN || sa_index_find(&core->index, slot->id) != SA_NONE)
        return 0;
    if (is_over && (slot->queue >= SA_QUEUES_MAX || slot->out_kind < SA_SUCCEEDED ||
                    slot->out_kind > SA_CANCELLED))
        return 0;
    if (!is_over || sa_slot_var(slot)->marks & SA_MARK_DEAD) {
        const struct sa_task *task = sa_core_task(core, slot);
        if (!task || sa_task_check((const uint8_t *)task, slot->body_len) != SA_OK)
            return 0;
        if (!is_over && !find_queue(core, slot, task))
            return 0;
    }
    return mark_extents(core, slot) == SA_OK;
}
