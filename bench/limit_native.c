/* The bare topology: one producer, one router, a few workers, and nothing but
 * the product's own byte rings between them.
 *
 *   producer ── submit ──▶ router ── mailbox[i] ──▶ worker i
 *            ◀── reply ───        ◀── outbox[i] ───
 *
 * Frames are the product's: a 128-byte task head, two names and the body in;
 * a reply head and the outcome out, each sealed by its CRC.  What is missing is
 * every meaning: no slot, no grant cell, no fence, no timer, no recovery.  What
 * is left is the price of moving bytes between processes, which no task queue
 * of this shape can undercut.
 *
 * The words that let a side sleep, and their fences, are the product's too.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#include "sa_bell.h"
#include "sa_spsc.h"

enum { WORKERS = 2, CAP = 1 << 20, CREDIT = 256 };

static const char queue_name[] = "default";
static const char task_name[] = "bench.workload.add";
enum { NAMES = sizeof queue_name - 1 + sizeof task_name - 1 };

struct channel {
    struct sa_line64 tail, head;
    uint8_t bytes[CAP];
};

struct segment {
    struct sa_bell_page bell;
    struct sa_line64 stop;
    struct sa_sleep producer, worker[WORKERS];
    struct channel submit, reply, mailbox[WORKERS], outbox[WORKERS];
};

struct lm_end { /* the producer's, or a worker's, two ends */
    struct segment *seg;
    struct sa_sleep *sleep;
    struct sa_spsc in, out;
    int bell_fd;
};

struct lm_router {
    struct segment *seg;
    struct sa_spsc submit, reply, mailbox[WORKERS], outbox[WORKERS];
    uint32_t held[WORKERS]; /* sent to the worker, outcome not seen yet */
};

static void
writer(struct sa_spsc *ring, struct channel *at)
{
    sa_spsc_writer(ring, at->bytes, CAP, &at->tail.word, &at->head.word);
}

static void
reader(struct sa_spsc *ring, struct channel *at)
{
    sa_spsc_reader(ring, at->bytes, CAP, &at->tail.word, &at->head.word);
}

size_t
lm_size(void)
{
    return sizeof(struct segment);
}

/* The ends of worker `index`, or of the producer where it is negative; NULL
 * without memory.  The caller frees it with lm_free. */
struct lm_end *
lm_end(void *at, int index, int bell_fd)
{
    struct lm_end *end = calloc(1, sizeof *end);
    if (!end)
        return NULL;
    struct segment *seg = at;
    end->seg = seg;
    end->bell_fd = bell_fd;
    end->sleep = index < 0 ? &seg->producer : &seg->worker[index];
    writer(&end->out, index < 0 ? &seg->submit : &seg->outbox[index]);
    reader(&end->in, index < 0 ? &seg->reply : &seg->mailbox[index]);
    return end;
}

struct lm_router *
lm_router(void *at)
{
    struct lm_router *router = calloc(1, sizeof *router);
    if (!router)
        return NULL;
    struct segment *seg = at;
    router->seg = seg;
    reader(&router->submit, &seg->submit);
    writer(&router->reply, &seg->reply);
    for (int i = 0; i < WORKERS; i++) {
        writer(&router->mailbox[i], &seg->mailbox[i]);
        reader(&router->outbox[i], &seg->outbox[i]);
    }
    return router;
}

void
lm_free(void *end_or_router)
{
    free(end_or_router);
}

void
lm_die_with_parent(void)
{
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
}

void
lm_stop(void *at, int bell_fd)
{
    struct segment *seg = at;
    sa_store_release(&seg->stop.word, 1);
    for (int i = 0; i < WORKERS; i++)
        sa_sleep_wake(&seg->worker[i], -1);
    sa_bell_write(bell_fd);
}

int
lm_stopped(const void *at)
{
    const struct segment *seg = at;
    return sa_load_acquire(&seg->stop.word) != 0;
}

/* Send `count` tasks whose bodies lie one after the other; returns how many
 * found room.  Tickets count up from `ticket`. */
int
lm_submit(struct lm_end *end, const uint8_t *bodies, const uint32_t *lens, int count,
          uint64_t ticket)
{
    int sent = 0;
    for (; sent < count; sent++, ticket++, bodies += lens[sent - 1]) {
        uint8_t *to;
        uint32_t len = SA_TASK_HEAD + NAMES + lens[sent];
        if (sa_spsc_reserve(&end->out, len, &to) != SA_OK)
            break;
        struct sa_task task = {.version = SA_TASK_VERSION, .body_len = lens[sent]};
        task.queue_len = sizeof queue_name - 1;
        task.name_len = sizeof task_name - 1;
        task.ticket = ticket;
        memcpy(to, &task, sizeof task);
        memcpy(to + sizeof task, queue_name, task.queue_len);
        memcpy(to + sizeof task + task.queue_len, task_name, task.name_len);
        memcpy(to + sizeof task + NAMES, bodies, lens[sent]);
        struct sa_record head = {.len = len};
        sa_spsc_seal(&end->out, &head);
    }
    if (sent) {
        sa_spsc_publish(&end->out);
        sa_bell_ring(&end->seg->bell, end->bell_fd);
    }
    return sent;
}

/* Report `count` outcomes for the tasks with these tickets; returns how many
 * found room. */
int
lm_report(struct lm_end *end, const uint8_t *outcomes, const uint32_t *lens,
          const uint64_t *tickets, int count)
{
    int sent = 0;
    for (; sent < count; sent++, outcomes += lens[sent - 1]) {
        uint8_t *to;
        if (sa_spsc_reserve(&end->out, lens[sent], &to) != SA_OK)
            break;
        memcpy(to, outcomes, lens[sent]);
        struct sa_record head = {.len = lens[sent], .kind = SA_SUCCEEDED};
        head.delay_ns = (int64_t)tickets[sent];
        sa_spsc_seal(&end->out, &head);
    }
    if (sent) {
        sa_spsc_publish(&end->out);
        sa_bell_ring(&end->seg->bell, end->bell_fd);
    }
    return sent;
}

/* Take up to `count` records, copy their bodies one after the other to `into`,
 * and write where each ends.  `prefix` bytes before each body are skipped.
 * Returns how many, or -1 for a corrupt ring. */
static int
take(struct lm_end *end, size_t prefix, size_t ticket_at, uint8_t *into,
     uint32_t room, uint32_t *ends, uint64_t *tickets, int count)
{
    int got = 0;
    uint32_t used = 0;
    while (got < count) {
        struct sa_view view;
        int rc = sa_spsc_peek(&end->in, &view);
        if (rc == SA_EMPTY)
            break;
        if (rc != SA_OK || view.head.len < prefix)
            return -1;
        uint32_t len = view.head.len - (uint32_t)prefix;
        if (len > room - used)
            break;
        memcpy(&tickets[got], view.payload + ticket_at, sizeof *tickets);
        memcpy(into + used, view.payload + prefix, len);
        used += len;
        ends[got++] = used;
        sa_spsc_next(&end->in, &view);
    }
    if (got)
        sa_spsc_release(&end->in);
    return got;
}

int
lm_take_tasks(struct lm_end *end, uint8_t *into, uint32_t room, uint32_t *ends,
              uint64_t *tickets, int count)
{
    return take(end, SA_TASK_HEAD + NAMES, offsetof(struct sa_task, ticket), into, room,
                ends, tickets, count);
}

int
lm_take_replies(struct lm_end *end, uint8_t *into, uint32_t room, uint32_t *ends,
                uint64_t *tickets, int count)
{
    return take(end, sizeof(struct sa_reply), offsetof(struct sa_reply, ticket), into,
                room, ends, tickets, count);
}

static int
has_record(const struct sa_spsc *in)
{
    /* A1, pairs with P5. */
    return sa_load_acquire(in->tail) != in->local;
}

/* Wait for a record: spin first, then sleep.  SA_OK, SA_TIMEOUT, or
 * SA_INTERRUPTED for Python's signal handlers. */
int
lm_wait(struct lm_end *end, int64_t spin_ns, int64_t timeout_ns)
{
    int64_t until = spin_ns > 0 ? sa_mono_ns() + spin_ns : 0;
    do {
        for (int i = 0; i < 64; i++) {
            if (has_record(&end->in))
                return SA_OK;
            if (spin_ns > 0)
                sa_pause();
        }
    } while (spin_ns > 0 && sa_mono_ns() < until);
    uint32_t seen = sa_load32(&end->sleep->seq);
    sa_store32(&end->sleep->flags, SA_SLEEP_FUTEX);
    /* Pairs with D5 in sa_sleep_wake. */
    sa_fence();
    int rc = SA_OK;
    if (!has_record(&end->in))
        rc = sa_futex_wait(&end->sleep->seq, seen, timeout_ns);
    sa_store32(&end->sleep->flags, 0);
    return has_record(&end->in) ? SA_OK : rc;
}

static int
outcomes(struct lm_router *router, int index, int budget)
{
    int moved = 0;
    struct sa_view view;
    while (moved < budget && sa_spsc_peek(&router->outbox[index], &view) == SA_OK) {
        struct sa_reply reply = {.kind = view.head.kind, .len = view.head.len};
        reply.ticket = (uint64_t)view.head.delay_ns;
        struct sa_record head = {.len = (uint32_t)sizeof reply + view.head.len};
        uint8_t *to;
        if (sa_spsc_reserve(&router->reply, head.len, &to) != SA_OK)
            break;
        memcpy(to, &reply, sizeof reply);
        memcpy(to + sizeof reply, view.payload, view.head.len);
        sa_spsc_seal(&router->reply, &head);
        sa_spsc_next(&router->outbox[index], &view);
        router->held[index]--;
        moved++;
    }
    if (moved)
        sa_spsc_release(&router->outbox[index]);
    return moved;
}

static int
freest(const struct lm_router *router)
{
    int best = 0;
    for (int i = 1; i < WORKERS; i++)
        if (router->held[i] < router->held[best])
            best = i;
    return router->held[best] < CREDIT ? best : -1;
}

static int
tasks(struct lm_router *router, int budget)
{
    int moved = 0;
    int given[WORKERS] = {0};
    struct sa_view view;
    for (int to_whom; moved < budget && (to_whom = freest(router)) >= 0; moved++) {
        uint8_t *to;
        if (sa_spsc_peek(&router->submit, &view) != SA_OK ||
            sa_spsc_reserve(&router->mailbox[to_whom], view.head.len, &to) != SA_OK)
            break;
        memcpy(to, view.payload, view.head.len);
        sa_spsc_seal(&router->mailbox[to_whom], &view.head);
        sa_spsc_next(&router->submit, &view);
        router->held[to_whom]++;
        given[to_whom]++;
    }
    for (int i = 0; i < WORKERS; i++) {
        if (!given[i])
            continue;
        sa_spsc_publish(&router->mailbox[i]);
        sa_sleep_wake(&router->seg->worker[i], -1);
    }
    if (moved)
        sa_spsc_release(&router->submit);
    return moved;
}

static int
has_work(const struct lm_router *router)
{
    if (freest(router) >= 0 && has_record(&router->submit))
        return 1;
    for (int i = 0; i < WORKERS; i++)
        if (has_record(&router->outbox[i]))
            return 1;
    return 0;
}

/* Move up to `budget` records each way; poll the tails for `poll_ns` if there
 * was nothing to move.  Returns whether there is, or may be, more. */
int
lm_step(struct lm_router *router, int budget, int64_t poll_ns)
{
    int done = 0;
    for (int i = 0; i < WORKERS; i++)
        done += outcomes(router, i, budget);
    if (done) {
        sa_spsc_publish(&router->reply);
        sa_sleep_wake(&router->seg->producer, -1);
    }
    if (done + tasks(router, budget) > 0)
        return 1;
    for (int64_t until = sa_mono_ns() + poll_ns; sa_mono_ns() < until; sa_pause())
        if (has_work(router))
            return 1;
    return 0;
}

/* Say that the router is about to sleep; returns 1 if it must not. */
int
lm_doze(struct lm_router *router)
{
    sa_store32(&router->seg->bell.sleeping, 1);
    /* Pairs with P6 in sa_bell_ring. */
    sa_fence();
    if (!has_work(router))
        return 0;
    sa_store32(&router->seg->bell.sleeping, 0);
    return 1;
}
