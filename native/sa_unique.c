#include "sa_unique.h"

#include <stdlib.h>
#include <string.h>

#include "sa_claim.h"
#include "sa_core_api.h"
#include "sa_crash.h"
#include "sa_crc.h"

int
sa_unique_open(struct sa_core *core)
{
    uint32_t n = sa_core_slots(core);
    struct sa_unique *unique = &core->unique;
    /* Pages of these are touched by tasks that claim a key, and by no others. */
    unique->keys = calloc(n, 16);
    unique->merged = calloc(n, sizeof *unique->merged);
    if (!unique->keys || !unique->merged)
        return SA_FULL;
    return sa_index_open_keys(&unique->held, unique->keys, 16, n);
}

void
sa_unique_close(struct sa_core *core)
{
    sa_index_close(&core->unique.held);
    free(core->unique.keys);
    free(core->unique.merged);
}

/* Held for as long as it was asked for; the task lives on without its key. */
static int
has_lapsed(const struct sa_core *core, uint32_t number)
{
    const struct sa_task *task = sa_core_task(core, &core->arena.slots[number]);
    struct sa_claim claim;
    if (!sa_claim_find(task, SA_CLAIM_UNIQUE, &claim))
        return 1;
    return claim.span_ns &&
           sa_core_plus(task->created_ns, (int64_t)claim.span_ns) <= core->wall;
}

uint32_t
sa_unique_holder(const struct sa_core *core, const struct sa_task *task)
{
    struct sa_claim claim;
    if (!sa_claim_find(task, SA_CLAIM_UNIQUE, &claim))
        return SA_NONE;
    uint32_t number = sa_index_find(&core->unique.held, claim.key);
    return number == SA_NONE || has_lapsed(core, number) ? SA_NONE : number;
}

void
sa_unique_hold(struct sa_core *core, uint32_t number)
{
    struct sa_unique *unique = &core->unique;
    const struct sa_task *task = sa_core_task(core, &core->arena.slots[number]);
    struct sa_claim claim;
    if (!sa_claim_find(task, SA_CLAIM_UNIQUE, &claim))
        return;
    memcpy(unique->keys + 16 * (size_t)number, claim.key, 16);
    unique->merged[number] = 0;
    uint32_t other = sa_index_find(&unique->held, claim.key);
    if (other != SA_NONE) {
        const struct sa_slot *slot = &core->arena.slots[other];
        if (sa_core_task(core, slot)->created_ns > task->created_ns &&
            !has_lapsed(core, other))
            return;
    }
    sa_index_add(&unique->held, number); /* in place of the other, if there is one */
}

void
sa_unique_free(struct sa_core *core, uint32_t number)
{
    const struct sa_task *task = sa_core_task(core, &core->arena.slots[number]);
    struct sa_claim claim;
    if (sa_claim_find(task, SA_CLAIM_UNIQUE, &claim))
        sa_index_remove(&core->unique.held, number); /* unless another has it now */
}

/* --- the log of duplicates --------------------------------------------------- */

static uint32_t
row_crc(const struct sa_duplicate *row)
{
    return sa_crc32c(0, row, offsetof(struct sa_duplicate, crc));
}

/* The row that was written `back` rows before the last one; NULL when there is none,
 * or nobody of ours wrote it. */
static const struct sa_duplicate *
row_at(const struct sa_core *core, uint64_t back)
{
    const struct sa_duplicates *log = core->arena.duplicates;
    if (back >= log->count || back >= SA_DUPLICATES_MAX - 1)
        return NULL;
    const struct sa_duplicate *row =
        &log->rows[(log->count - 1 - back) % SA_DUPLICATES_MAX];
    return row->crc == row_crc(row) ? row : NULL;
}

static void
note(struct sa_core *core, const struct sa_task *task, uint32_t holder,
     const struct sa_view *view, uint32_t src)
{
    struct sa_duplicates *log = core->arena.duplicates;
    struct sa_duplicate row = {
        .at_ns = core->wall, .src_end = view->end, .ticket = task->ticket,
        .src_ring = src, .nth = ++core->unique.merged[holder],
    };
    memcpy(row.first, core->arena.slots[holder].id, 16);
    memcpy(row.id, task->id, 16);
    row.crc = row_crc(&row);
    log->rows[log->count % SA_DUPLICATES_MAX] = row;
    SA_CP("unique.written");
    /* Before the answer: whoever was told never runs, whatever dies next. */
    sa_store_release(&log->count, log->count + 1);
    core->arena.stats->merged++;
}

int
sa_unique_merge(struct sa_core *core, struct sa_peer *peer, const struct sa_task *task,
                uint32_t holder, const struct sa_view *view, uint32_t src)
{
    uint8_t *at;
    uint32_t len = (uint32_t)sizeof(struct sa_reply) + 16;
    if (peer && !peer->leaving && sa_spsc_reserve(&peer->reply, len, &at) != SA_OK)
        return SA_FULL;
    note(core, task, holder, view, src);
    SA_CP("unique.noted");
    const uint8_t *first = core->arena.slots[holder].id;
    (void)sa_admit_answer(peer, task->ticket, SA_MERGED, first, 16);
    SA_CP("unique.answered");
    return SA_OK;
}

/* The last duplicate of a ring, if its record lies in it still. */
uint64_t
sa_unique_head(const struct sa_core *core, const struct sa_spsc *submit, uint32_t src,
               uint64_t head)
{
    const struct sa_duplicate *last = NULL;
    for (uint64_t back = 0; !last && back < SA_DUPLICATES_MAX - 1; back++) {
        last = row_at(core, back);
        if (last && last->src_ring != src)
            last = NULL;
    }
    uint64_t tail = sa_load_acquire(submit->tail);
    if (!last || last->src_end - head > tail - head)
        return head;
    struct sa_spsc ring = *submit;
    struct sa_view view;
    ring.local = ring.other = head;
    for (; sa_spsc_skim(&ring, &view) == SA_OK; sa_spsc_next(&ring, &view)) {
        if (view.end != last->src_end || view.head.len < SA_TASK_HEAD)
            continue;
        const size_t id_at = offsetof(struct sa_task, id);
        return memcmp(view.payload + id_at, last->id, 16) ? head : view.end;
    }
    return head;
}

void
sa_unique_recover(struct sa_core *core)
{
    for (uint64_t back = SA_DUPLICATES_MAX - 1; back > 0; back--) {
        const struct sa_duplicate *row = row_at(core, back - 1);
        if (!row)
            continue;
        uint32_t number = sa_index_find(&core->index, row->first);
        if (number != SA_NONE)
            core->unique.merged[number] = row->nth;
    }
    /* All but the last were answered before the next was noted. */
    const struct sa_duplicate *last = row_at(core, 0);
    if (!last || last->src_ring & 0x80000000u)
        return;
    struct sa_peer *peer = &core->peers[last->src_ring % SA_PRODUCERS_MAX];
    if (peer->used && peer->id == last->src_ring)
        (void)sa_admit_answer(peer, last->ticket, SA_MERGED, last->first, 16);
}

uint32_t
sa_core_locate(const sa_core *core, const uint8_t *id)
{
    uint32_t number = sa_index_find(&core->index, id);
    for (uint64_t back = 0; number == SA_NONE && back < SA_DUPLICATES_MAX - 1; back++) {
        const struct sa_duplicate *row = row_at(core, back);
        if (row && memcmp(row->id, id, 16) == 0)
            return sa_index_find(&core->index, row->first);
    }
    return number;
}

uint32_t
sa_core_duplicates(const sa_core *core, uint32_t number, struct sa_duplicate *out,
                   uint32_t cap, uint32_t *rows)
{
    *rows = 0;
    if (number >= sa_core_slots(core) || !core->unique.merged[number])
        return 0;
    const uint8_t *id = core->arena.slots[number].id;
    for (uint64_t back = 0; *rows < cap && back < SA_DUPLICATES_MAX - 1; back++) {
        const struct sa_duplicate *row = row_at(core, back);
        if (row && memcmp(row->first, id, 16) == 0)
            out[(*rows)++] = *row;
    }
    return core->unique.merged[number];
}
