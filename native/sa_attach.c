/* Rings and workers come and go. */
#include <stdlib.h>
#include <string.h>

#include "sa_bell.h"
#include "sa_cell.h"
#include "sa_core_api.h"
#include "sa_crash.h"

static int
actor_arrays(struct sa_actor *actor)
{
    free(actor->leases);
    free(actor->free_cells);
    actor->leases = calloc(actor->ncells, sizeof *actor->leases);
    actor->free_cells = calloc(actor->ncells, sizeof *actor->free_cells);
    return actor->leases && actor->free_cells ? SA_OK : SA_FULL;
}

static void
clear_leases(struct sa_actor *actor)
{
    actor->nfree = actor->leased = actor->limited = 0;
    actor->alone = 0;
    for (uint32_t c = actor->ncells; c > 0; c--) {
        actor->leases[c - 1] = (struct sa_lease){.slot = SA_NONE};
        actor->free_cells[actor->nfree++] = c - 1;
    }
}

int
sa_core_attach_worker(sa_core *core, uint32_t worker, void *ring, uint64_t len,
                      uint32_t concurrency)
{
    if (worker >= core->options.workers_max || concurrency < 1 ||
        concurrency > SA_CELLS_MAX)
        return SA_INVALID;
    if (core->actors[worker].leased || core->actors[worker].dying)
        return SA_STALE;
    int rc = sa_ring_attach(ring, len);
    if (rc != SA_OK)
        return rc;
    struct sa_ring_words *words = ring;
    if (words->head.cells < 2 * concurrency)
        return SA_INVALID;
    struct sa_actor *actor = &core->actors[worker];
    uint8_t *bytes = ring;
    actor->words = words;
    actor->head = words->head;
    actor->ncells = words->head.cells;
    actor->concurrency = concurrency;
    actor->cells = (uint64_t *)(bytes + SA_CELLS_AT);
    actor->started = (int64_t *)(bytes + SA_STARTED_AT(actor->ncells));
    actor->order = (uint32_t *)(bytes + SA_ORDER_AT(actor->ncells));
    actor->wake_fd = -1;
    actor->state = SA_ACTOR_ABSENT;
    if (actor_arrays(actor) != SA_OK)
        return SA_FULL;
    clear_leases(actor);
    sa_spsc_reader(&actor->submit, bytes + words->head.submit_at,
                   words->head.submit_cap, &words->submit_tail.word,
                   &words->submit_head.word);
    sa_spsc_reader(&actor->outbox, bytes + words->head.report_at,
                   words->head.report_cap, &words->report_tail.word,
                   &words->report_head.word);
    return SA_OK;
}

uint32_t
sa_core_next_producer_id(sa_core *core)
{
    for (uint32_t row = 0; row < SA_PRODUCERS_MAX; row++)
        if (!core->peers[row].used)
            return (uint32_t)((++core->peer_counter * SA_PRODUCERS_MAX + row) &
                              0x7fffffff);
    return SA_NONE;
}

int
sa_core_attach_producer(sa_core *core, void *ring, uint64_t len, int wake_fd,
                        uint32_t *row)
{
    int rc = sa_ring_attach(ring, len);
    if (rc != SA_OK)
        return rc;
    struct sa_ring_words *words = ring;
    const struct sa_ring_head *head = &words->head;
    struct sa_peer *peer = &core->peers[head->id % SA_PRODUCERS_MAX];
    if (peer->used || head->cells != 0 || head->id & 0x80000000u)
        return SA_INVALID;
    uint8_t *bytes = ring;
    memset(peer, 0, sizeof *peer);
    sa_list_clear(&peer->pending);
    peer->words = words;
    peer->id = head->id;
    peer->wake_fd = wake_fd;
    peer->used = peer->connected = 1;
    sa_spsc_reader(&peer->submit, bytes + head->submit_at, head->submit_cap,
                   &words->submit_tail.word, &words->submit_head.word);
    sa_spsc_writer(&peer->reply, bytes + head->report_at, head->report_cap,
                   &words->report_tail.word, &words->report_head.word);
    core->peers_used++;
    if (core->peer_counter < head->id / SA_PRODUCERS_MAX)
        core->peer_counter = head->id / SA_PRODUCERS_MAX;
    *row = head->id % SA_PRODUCERS_MAX;
    return SA_OK;
}

int
sa_core_connect_producer(sa_core *core, uint32_t row, int connected, int wake_fd)
{
    if (row >= SA_PRODUCERS_MAX || !core->peers[row].used)
        return SA_INVALID;
    core->peers[row].connected = connected != 0;
    core->peers[row].wake_fd = wake_fd;
    return SA_OK;
}

int
sa_core_detach_producer(sa_core *core, uint32_t row)
{
    if (row >= SA_PRODUCERS_MAX || !core->peers[row].used)
        return SA_INVALID;
    struct sa_peer *peer = &core->peers[row];
    int rc = SA_EMPTY;
    /* Nobody reads its replies any more: they may be evicted, and the cap that
     * protects others from a slow reader must not keep its last records out. */
    peer->leaving = 1;
    sa_core_orphan(core, peer);
    if (!peer->quarantined)
        rc = sa_admit_ring(core, &peer->submit, peer->id, peer, SA_NONE);
    if (rc == SA_FULL || rc == SA_OK)
        return SA_FULL;
    sa_core_forget_peer(core, peer);
    return SA_OK;
}

int
sa_core_worker_live(sa_core *core, uint32_t worker, uint32_t incarnation, int spare,
                    int wake_fd)
{
    if (worker >= core->options.workers_max || !core->actors[worker].words)
        return SA_INVALID;
    struct sa_actor *actor = &core->actors[worker];
    if (actor->leased || actor->dying)
        return SA_STALE;
    actor->wake_fd = wake_fd;
    actor->quarantined = 0;
    actor->spare = spare != 0;
    actor->service_ns = 1000000; /* one millisecond until we know better */
    actor->last_done_ns = 0;
    sa_store32(&actor->words->control.drain, 0);
    sa_store32(&actor->words->control.heard, core->news.wanted >> SA_NEWS_STARTED & 1);
    sa_store32(&actor->words->control.epoch, (uint32_t)core->arena.super->epoch);
    sa_store32(&actor->words->control.incarnation, incarnation);
    actor->state = SA_ACTOR_LIVE;
    return SA_OK;
}

int
sa_core_worker_spare(sa_core *core, uint32_t worker, int spare)
{
    if (worker >= core->options.workers_max)
        return SA_INVALID;
    core->actors[worker].spare = spare != 0;
    return SA_OK;
}

static uint32_t
last_offered(const struct sa_core *core, const struct sa_actor *actor)
{
    uint32_t last = SA_NONE;
    for (uint32_t c = 0; c < actor->ncells; c++) {
        uint32_t slot = actor->leases[c].slot;
        if (slot != SA_NONE &&
            sa_cell_state(sa_load_acquire(&actor->cells[c])) == SA_CELL_OFFERED &&
            (last == SA_NONE ||
             sa_core_before(core, actor->leases[last].slot, slot)))
            last = c;
    }
    return last;
}

int
sa_core_worker_quiet(sa_core *core, uint32_t worker, int drain)
{
    if (worker >= core->options.workers_max || !core->actors[worker].words)
        return 0;
    struct sa_actor *actor = &core->actors[worker];
    if (actor->state == SA_ACTOR_ABSENT)
        return 0;
    actor->state = SA_ACTOR_QUIET;
    /* From the last to the first, as each goes to the front of its queue.  A
     * revoke that fails found the cell taken, so every pass settles a cell. */
    for (uint32_t i = 0; i < actor->ncells; i++) {
        uint32_t cell = last_offered(core, actor);
        if (cell == SA_NONE)
            break;
        sa_actor_revoke(core, actor, cell);
    }
    if (drain) {
        sa_store32(&actor->words->control.drain, 1);
        sa_sleep_wake(&actor->words->sleep, actor->wake_fd);
    }
    return (int)actor->leased;
}

int
sa_core_running(const sa_core *core, uint32_t worker, uint32_t cell, uint32_t *slot,
                int64_t *started_ns)
{
    if (worker >= core->options.workers_max)
        return SA_INVALID;
    const struct sa_actor *actor = &core->actors[worker];
    if (!actor->words || cell >= actor->ncells || actor->leases[cell].slot == SA_NONE)
        return SA_EMPTY;
    if (sa_cell_state(sa_load_acquire(&actor->cells[cell])) != SA_CELL_TAKEN)
        return SA_EMPTY;
    *slot = actor->leases[cell].slot;
    *started_ns = (int64_t)sa_load_relaxed((uint64_t *)&actor->started[cell]);
    return SA_OK;
}
