#include "sa_worker.h"

#include <stdlib.h>
#include <string.h>

#include "sa_arena.h"
#include "sa_bell.h"
#include "sa_cell.h"
#include "sa_crash.h"
#include "sa_crc.h"
#include "sa_spsc.h"

enum { WAIT_ROOM_NS = 50000, SLEEP_NS = 100000000 };

struct sa_worker {
    struct sa_ring_words *words;
    uint64_t *cells;
    int64_t *started;
    const uint32_t *order;
    uint32_t ncells, order_mask;
    struct sa_spsc outbox;
    struct sa_arena arena;
    struct sa_bell_page *bell;
    int bell_fd;
    uint32_t generation;
};

static void
point(struct sa_worker *worker, uint8_t *ring)
{
    const struct sa_ring_head *head = &worker->words->head;
    worker->ncells = head->cells;
    worker->order_mask = 2 * head->cells - 1;
    worker->cells = (uint64_t *)(ring + SA_CELLS_AT);
    worker->started = (int64_t *)(ring + SA_STARTED_AT(head->cells));
    worker->order = (const uint32_t *)(ring + SA_ORDER_AT(head->cells));
    sa_spsc_writer(&worker->outbox, ring + head->report_at, head->report_cap,
                   &worker->words->report_tail.word,
                   &worker->words->report_head.word);
}

sa_worker *
sa_worker_open(void *ring, uint64_t ring_len, const void *core, uint64_t core_len,
               void *bell, int bell_fd, uint32_t epoch, uint32_t incarnation,
               int *status)
{
    *status = sa_ring_attach(ring, ring_len);
    if (*status != SA_OK)
        return NULL;
    struct sa_ring_words *words = ring;
    if (words->head.cells == 0) {
        *status = SA_INVALID;
        return NULL;
    }
    struct sa_arena arena;
    *status = sa_arena_attach(&arena, (void *)(uintptr_t)core, core_len);
    if (*status != SA_OK)
        return NULL;
    if (sa_load32(&words->control.epoch) != epoch ||
        sa_load32(&words->control.incarnation) != incarnation) {
        *status = SA_STALE;
        return NULL;
    }
    struct sa_worker *worker = calloc(1, sizeof *worker);
    if (!worker) {
        *status = SA_FULL;
        return NULL;
    }
    worker->words = words;
    worker->arena = arena;
    worker->bell = bell;
    worker->bell_fd = bell_fd;
    worker->generation = sa_generation();
    point(worker, ring);
    sa_store32(&words->status.epoch, epoch);
    sa_store32(&words->status.incarnation, incarnation);
    sa_store32(&words->status.current, 0);
    return worker;
}

void
sa_worker_close(sa_worker *worker)
{
    if (worker && worker->generation == sa_generation())
        free(worker);
}

static int
grant_from(struct sa_worker *worker, uint64_t cell, uint32_t index,
           struct sa_grant *grant)
{
    uint32_t number = sa_cell_slot(cell);
    if (number >= worker->arena.super->slots)
        return SA_CORRUPT;
    /* W3.  The slot is LEASED to us until our outcome is accepted, so its
     * record does not move under our eyes. */
    const struct sa_slot *slot = &worker->arena.slots[number];
    const struct sa_var *var = sa_slot_var(slot);
    uint64_t word = sa_load_acquire(&slot->word);
    /* A cell that something has scribbled on must not start another's task. */
    if (SA_WORD_STATE(word) != SA_LEASED ||
        cell != sa_cell_word(SA_CELL_OFFERED, var->starts + 1, SA_WORD_GEN(word),
                             number))
        return SA_CORRUPT;
    const uint8_t *at = sa_arena_at(&worker->arena, slot->body_at, slot->body_len);
    if (!at || slot->body_len < SA_TASK_HEAD)
        return SA_CORRUPT;
    if (sa_crc32c(0, at, slot->body_len) != slot->body_crc)
        return SA_CORRUPT;
    const struct sa_task *task = (const struct sa_task *)at;
    *grant = (struct sa_grant){
        .slot = number,
        .gen = SA_WORD_GEN(word),
        .starts = var->starts + 1,
        .cell = index,
        .attempt = var->attempt,
        .task_len = slot->body_len,
        .type_hash = task->type_hash,
        .task = at,
        .body = at + (slot->body_len - task->body_len),
        .body_len = task->body_len,
        .flags = task->flags,
        .soft_ns = sa_slot_soft_ns(slot, task),
        .hard_ns = sa_slot_hard_ns(slot, task),
        .expires_ns = sa_task_ends_by(task),
        .deadline_ns = task->deadline_ns,
        .extension_ns = (uint64_t)task->extension_ms * 1000000,
        .meters = task->meters,
        .heard = sa_load32(&worker->words->control.heard),
    };
    if (var->attempt && slot->out_len) {
        grant->error = sa_arena_at(&worker->arena, slot->out_at, slot->out_len);
        grant->error_len = slot->out_len;
    }
    return SA_OK;
}

/* W2.  Returns SA_OK when the cell is ours now. */
static int
claim(struct sa_worker *worker, uint32_t index, struct sa_grant *grant)
{
    uint64_t cell = sa_load_acquire(&worker->cells[index]);
    if (sa_cell_state(cell) != SA_CELL_OFFERED)
        return SA_EMPTY;
    /* The time goes first: S reads it only behind a TAKEN cell. */
    sa_store_relaxed((uint64_t *)&worker->started[index], (uint64_t)sa_mono_ns());
    SA_CP("worker.before_claim");
    if (!sa_cas(&worker->cells[index], cell, sa_cell_as(cell, SA_CELL_TAKEN)))
        return SA_EMPTY; /* revoked between the look and the claim */
    SA_CP("worker.claimed");
    return grant_from(worker, cell, index, grant);
}

/* Hints may be lost, so before it sleeps the worker looks at every cell. */
static int
scan(struct sa_worker *worker, struct sa_grant *grant)
{
    for (uint32_t i = 0; i < worker->ncells; i++) {
        int rc = claim(worker, i, grant);
        if (rc != SA_EMPTY)
            return rc;
    }
    return SA_EMPTY;
}

static int
take_hinted(struct sa_worker *worker, struct sa_grant *grant)
{
    struct sa_ring_words *words = worker->words;
    uint64_t head = sa_load_relaxed(&words->order_head.word);
    /* W1, pairs with D4. */
    uint64_t tail = sa_load_acquire(&words->order_tail.word);
    if (tail - head > 2 * (uint64_t)worker->ncells)
        head = tail; /* nonsense: drop the hints, the scan finds the cells */
    while (head != tail) {
        uint32_t index = sa_load32(&worker->order[head & worker->order_mask]);
        sa_store_release(&words->order_head.word, ++head);
        if (index >= worker->ncells)
            continue;
        int rc = claim(worker, index, grant);
        if (rc != SA_EMPTY)
            return rc;
    }
    sa_store_release(&words->order_head.word, head);
    return SA_EMPTY;
}

int
sa_worker_take(sa_worker *worker, struct sa_grant *grant)
{
    if (worker->generation != sa_generation())
        return SA_FOREIGN;
    return take_hinted(worker, grant);
}

int
sa_worker_next(sa_worker *worker, struct sa_grant *grant, int64_t timeout_ns)
{
    if (worker->generation != sa_generation())
        return SA_FOREIGN;
    int rc = take_hinted(worker, grant);
    if (rc != SA_EMPTY)
        return rc;
    struct sa_sleep *sleep = &worker->words->sleep;
    uint32_t seen = sa_load32(&sleep->seq);
    sa_or32(&sleep->flags, SA_SLEEP_FUTEX);
    sa_fence(); /* pairs with D5 */
    rc = take_hinted(worker, grant);
    if (rc == SA_EMPTY)
        rc = scan(worker, grant);
    if (rc != SA_EMPTY || sa_worker_draining(worker))
        return rc;
    sa_store_relaxed(&worker->words->status.beat_ns, (uint64_t)sa_mono_ns());
    int64_t slice = timeout_ns < SLEEP_NS ? timeout_ns : SLEEP_NS;
    rc = sa_futex_wait(&sleep->seq, seen, slice);
    if (rc == SA_INTERRUPTED)
        return rc;
    int took = take_hinted(worker, grant);
    if (took == SA_EMPTY)
        took = scan(worker, grant);
    return took == SA_EMPTY ? SA_TIMEOUT : took;
}

int
sa_worker_arm(sa_worker *worker)
{
    if (worker->generation != sa_generation())
        return SA_FOREIGN;
    sa_or32(&worker->words->sleep.flags, SA_SLEEP_FD);
    sa_fence(); /* pairs with D5 */
    sa_store_relaxed(&worker->words->status.beat_ns, (uint64_t)sa_mono_ns());
    for (uint32_t i = 0; i < worker->ncells; i++)
        if (sa_cell_state(sa_load_acquire(&worker->cells[i])) == SA_CELL_OFFERED)
            return SA_OK;
    return SA_EMPTY;
}

static int
reserve(struct sa_worker *worker, uint32_t len, uint8_t **at, int64_t timeout_ns)
{
    int64_t until = 0;
    for (;;) {
        int rc = sa_spsc_reserve(&worker->outbox, len, at);
        if (rc != SA_FULL)
            return rc;
        int64_t now = sa_mono_ns();
        if (!until)
            until = now + timeout_ns;
        if (now >= until)
            return SA_TIMEOUT;
        /* S always drains outboxes, so room comes; nobody would wake us. */
        sa_bell_ring(worker->bell, worker->bell_fd);
        uint32_t never = 0;
        if (sa_futex_wait(&never, 0, WAIT_ROOM_NS) == SA_INTERRUPTED)
            return SA_INTERRUPTED;
    }
}

static int
report(struct sa_worker *worker, const struct sa_grant *grant, uint32_t kind,
       int64_t delay_ns, const uint8_t *payload, uint32_t len, int64_t timeout_ns)
{
    uint8_t *at;
    int rc = reserve(worker, len, &at, timeout_ns);
    if (rc != SA_OK)
        return rc;
    if (len)
        memcpy(at, payload, len);
    SA_CP("worker.copied");
    struct sa_record head = {
        .len = len,
        .kind = (uint16_t)kind,
        .slot = grant->slot,
        .gen = grant->gen,
        .starts = grant->starts,
        .delay_ns = delay_ns,
    };
    sa_spsc_seal(&worker->outbox, &head);
    sa_spsc_publish(&worker->outbox); /* W6 */
    return SA_OK;
}

int
sa_worker_report(sa_worker *worker, const struct sa_grant *grant, uint32_t kind,
                 int64_t delay_ns, const uint8_t *payload, uint32_t len,
                 int64_t timeout_ns)
{
    if (worker->generation != sa_generation())
        return SA_FOREIGN;
    if (kind < SA_SUCCEEDED || kind > SA_RETRY_LIMITED || delay_ns < 0)
        return SA_INVALID;
    int rc = report(worker, grant, kind, delay_ns, payload, len, timeout_ns);
    if (rc == SA_OK)
        sa_bell_ring(worker->bell, worker->bell_fd); /* W7 */
    return rc;
}

int
sa_worker_finish_next(sa_worker *worker, struct sa_grant *grant,
                      const uint8_t *payload, uint32_t len, int64_t timeout_ns)
{
    int rc = sa_worker_report(worker, grant, SA_SUCCEEDED, 0, payload, len, timeout_ns);
    if (rc != SA_OK)
        return rc;
    grant->cell = SA_NONE; /* committed: the caller tells success by this mark */
    return sa_worker_take(worker, grant);
}

int
sa_worker_draining(const sa_worker *worker)
{
    return worker->generation == sa_generation() &&
           sa_load32(&worker->words->control.drain) != 0;
}

int
sa_worker_pressure(const sa_worker *worker)
{
    return worker->generation == sa_generation() &&
           sa_load32(&worker->arena.super->pressure) != 0;
}

uint64_t
sa_worker_payload_max(const sa_worker *worker)
{
    return sa_spsc_payload_max(&worker->outbox);
}

void
sa_worker_mark(sa_worker *worker, uint32_t cell)
{
    if (worker->generation == sa_generation())
        sa_store32(&worker->words->status.current, cell + 1u);
}

int
sa_worker_offered(const sa_worker *worker)
{
    return worker->generation == sa_generation() &&
           sa_load_relaxed(&worker->words->order_head.word) !=
               sa_load_acquire(&worker->words->order_tail.word);
}

void
sa_worker_measure(sa_worker *worker, struct sa_usage *usage)
{
    sa_usage_read(usage);
    if (worker->generation != sa_generation())
        return;
    struct sa_status_cell *status = &worker->words->status;
    sa_store_relaxed(&status->cpu_ns, (uint64_t)usage->cpu_ns);
    sa_store_relaxed(&status->minor_faults, usage->minor_faults);
    sa_store_relaxed(&status->major_faults, usage->major_faults);
}

void
sa_worker_used(const void *ring, struct sa_usage *usage)
{
    const struct sa_status_cell *status = &((const struct sa_ring_words *)ring)->status;
    *usage = (struct sa_usage){
        .cpu_ns = (int64_t)sa_load_relaxed(&status->cpu_ns),
        .minor_faults = sa_load_relaxed(&status->minor_faults),
        .major_faults = sa_load_relaxed(&status->major_faults),
    };
}

struct sa_ring_words *
sa_worker_words(sa_worker *worker)
{
    return worker->words;
}
