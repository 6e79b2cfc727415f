#include "sa_producer.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "sa_bell.h"
#include "sa_crash.h"
#include "sa_spsc.h"

enum {
    POOL = 4096,
    ID_RANDOM = 10,
    /* A yield that took longer gave the core to somebody who computes; after one
     * the next so many looks do not yield. */
    SLICE_NS = 500000,
    RUDE_LOOKS = 16384
};

struct sa_producer {
    struct sa_ring_words *words;
    struct sa_spsc submit, reply;
    struct sa_bell_page *bell;
    int bell_fd;
    uint32_t generation;
    uint64_t tickets;
    uint32_t pool_at;
    uint32_t rude;           /* looks left that keep the core; one reader */
    uint8_t pool[POOL];      /* random bytes, fetched many ids at a time */
    pthread_mutex_t lock;    /* between threads of this process only */
};

sa_producer *
sa_producer_open(void *ring, uint64_t len, void *bell, int bell_fd, int *status)
{
    *status = sa_ring_attach(ring, len);
    if (*status != SA_OK)
        return NULL;
    struct sa_producer *producer = calloc(1, sizeof *producer);
    if (!producer) {
        *status = SA_FULL;
        return NULL;
    }
    struct sa_ring_words *words = ring;
    uint8_t *bytes = ring;
    producer->words = words;
    producer->bell = bell;
    producer->bell_fd = bell_fd;
    producer->generation = sa_generation();
    producer->pool_at = POOL;
    producer->tickets = 1;
    pthread_mutex_init(&producer->lock, NULL);
    sa_spsc_writer(&producer->submit, bytes + words->head.submit_at,
                   words->head.submit_cap, &words->submit_tail.word,
                   &words->submit_head.word);
    if (words->head.cells == 0)
        sa_spsc_reader(&producer->reply, bytes + words->head.report_at,
                       words->head.report_cap, &words->report_tail.word,
                       &words->report_head.word);
    return producer;
}

void
sa_producer_number_from(sa_producer *producer, uint64_t first_ticket)
{
    producer->tickets = first_ticket;
}

void
sa_producer_close(sa_producer *producer)
{
    if (producer && producer->generation == sa_generation())
        free(producer);
}

void
sa_producer_leave(sa_producer *producer)
{
    if (producer->generation != sa_generation() || producer->words->head.cells)
        return;
    pthread_mutex_lock(&producer->lock); /* what is being submitted comes first */
    sa_store_release(&producer->words->left.word, 1);
    pthread_mutex_unlock(&producer->lock);
}

/* UUID version 7: 48 bits of milliseconds, then random (RFC 9562 §5.7). */
static int
mint(struct sa_producer *producer, int64_t wall_ns, uint8_t *id)
{
    if (producer->pool_at + ID_RANDOM > POOL) {
        if (sa_random(producer->pool, POOL) != SA_OK)
            return SA_INVALID;
        producer->pool_at = 0;
    }
    uint64_t ms = (uint64_t)wall_ns / 1000000;
    for (int i = 0; i < 6; i++)
        id[i] = (uint8_t)(ms >> (40 - 8 * i));
    memcpy(id + 6, producer->pool + producer->pool_at, ID_RANDOM);
    producer->pool_at += ID_RANDOM;
    id[6] = (uint8_t)(0x70 | (id[6] & 0x0f));
    id[8] = (uint8_t)(0x80 | (id[8] & 0x3f));
    return SA_OK;
}

static int
submit_one(struct sa_producer *producer, const uint8_t *head, uint32_t head_len,
           const uint8_t *body, uint32_t body_len, int64_t wall_ns, uint8_t *id)
{
    static const uint8_t unset[16];
    uint8_t *at;
    int rc = sa_spsc_reserve(&producer->submit, head_len + body_len, &at);
    if (rc != SA_OK)
        return rc;
    struct sa_task task;
    memcpy(&task, head, sizeof task);
    if (memcmp(task.id, unset, 16) == 0 && mint(producer, wall_ns, task.id) != SA_OK)
        return SA_INVALID;
    task.ticket = producer->tickets++;
    task.body_len = body_len;
    if (task.created_ns == 0)
        task.created_ns = wall_ns;
    memcpy(id, task.id, 16);
    memcpy(at, &task, sizeof task);
    memcpy(at + sizeof task, head + sizeof task, head_len - sizeof task);
    memcpy(at + head_len, body, body_len);
    SA_CP("submit.copied");
    struct sa_record record = {.len = head_len + body_len};
    sa_spsc_seal(&producer->submit, &record);
    return SA_OK;
}

uint32_t
sa_producer_submit(sa_producer *producer, const uint8_t *head, uint32_t head_len,
                   const uint8_t *bodies, const uint32_t *ends, uint32_t n,
                   uint8_t *ids, uint64_t *first_ticket, int *status)
{
    if (producer->generation != sa_generation()) {
        *status = SA_FOREIGN; /* P1 */
        return 0;
    }
    if (head_len < SA_TASK_HEAD || head_len > SA_RECORD_MAX) {
        *status = SA_INVALID;
        return 0;
    }
    pthread_mutex_lock(&producer->lock); /* P2 */
    if (sa_load_relaxed(&producer->words->left.word)) {
        /* S may have read this ring for the last time. */
        pthread_mutex_unlock(&producer->lock);
        *status = SA_STALE;
        return 0;
    }
    int64_t wall = sa_wall_ns();
    uint32_t done = 0, begin = 0;
    *first_ticket = producer->tickets;
    *status = SA_OK;
    for (; done < n; done++) {
        uint32_t len = ends[done] - begin;
        *status = len > SA_RECORD_MAX - head_len
                      ? SA_TOO_LARGE
                      : submit_one(producer, head, head_len, bodies + begin, len,
                                   wall, ids + 16 * (size_t)done);
        if (*status != SA_OK)
            break;
        begin = ends[done];
    }
    if (done) {
        sa_spsc_publish(&producer->submit); /* P5: accepted */
        sa_bell_ring(producer->bell, producer->bell_fd);
    }
    pthread_mutex_unlock(&producer->lock);
    return done;
}

int
sa_producer_drain(sa_producer *producer, struct sa_reply *out, uint32_t cap,
                  uint8_t *bytes, uint64_t bytes_cap, uint32_t *n)
{
    struct sa_view view;
    uint64_t used = 0;
    uint32_t done = 0;
    int rc = SA_OK;
    *n = 0;
    if (producer->generation != sa_generation())
        return SA_FOREIGN;
    if (!producer->reply.bytes)
        return SA_INVALID; /* a worker's submit half has no replies */
    for (; done < cap; done++) {
        rc = sa_spsc_peek(&producer->reply, &view);
        if (rc != SA_OK)
            break;
        struct sa_reply reply;
        rc = SA_CORRUPT; /* unless it is whole; what came before it is good */
        if (view.head.len < sizeof reply)
            break;
        memcpy(&reply, view.payload, sizeof reply);
        uint32_t len = view.head.len - (uint32_t)sizeof reply;
        if (reply.len != len)
            break;
        rc = SA_OK;
        if (len > bytes_cap - used)
            break;
        memcpy(bytes + used, view.payload + sizeof reply, len);
        reply.at = used;
        used += len;
        out[done] = reply;
        sa_spsc_next(&producer->reply, &view);
    }
    *n = done;
    if (!done)
        return rc;
    sa_spsc_release(&producer->reply);
    sa_fence();
    if (sa_load_acquire(&producer->words->blocked.word))
        sa_bell_ring(producer->bell, producer->bell_fd);
    return SA_OK;
}

static int
has_reply(const struct sa_producer *producer)
{
    return producer->reply.bytes &&
           sa_load_acquire(producer->reply.tail) != producer->reply.local;
}

/* Let whoever we wait for run on this core too.  On a quiet machine that takes the
 * tail off (p99 225 → 110 µs on two cores); where others compute it costs a time
 * slice, and then the next looks keep the core for themselves.  Returns the time. */
static int64_t
give_way(sa_producer *producer)
{
    int64_t before = sa_mono_ns();
    if (producer->rude) {
        producer->rude--;
        return before;
    }
    (void)sched_yield();
    int64_t after = sa_mono_ns();
    if (after - before > SLICE_NS)
        producer->rude = RUDE_LOOKS;
    return after;
}

int
sa_producer_look(sa_producer *producer)
{
    if (producer->generation != sa_generation())
        return SA_FOREIGN;
    (void)give_way(producer);
    return has_reply(producer) ? SA_OK : SA_EMPTY;
}

int
sa_producer_wait(sa_producer *producer, int64_t spin_ns, int64_t timeout_ns)
{
    if (producer->generation != sa_generation())
        return SA_FOREIGN;
    if (spin_ns > 0) {
        int64_t now = sa_mono_ns(), until = now + spin_ns;
        if (producer->rude)
            until -= spin_ns / 2;
        do {
            for (int i = 0; i < 16; i++) {
                if (has_reply(producer))
                    return SA_OK;
                sa_pause();
            }
            now = give_way(producer);
        } while (now < until);
    }
    struct sa_sleep *sleep = &producer->words->sleep;
    uint32_t seen = sa_load32(&sleep->seq);
    sa_or32(&sleep->flags, SA_SLEEP_FUTEX);
    sa_fence(); /* pairs with D5 */
    if (has_reply(producer))
        return SA_OK;
    return sa_futex_wait(&sleep->seq, seen, timeout_ns);
}

int
sa_producer_wait_room(sa_producer *producer, int64_t timeout_ns)
{
    if (producer->generation != sa_generation())
        return SA_FOREIGN;
    struct sa_sleep *space = &producer->words->space;
    uint32_t seen = sa_load32(&space->seq);
    sa_or32(&space->flags, SA_SLEEP_FUTEX);
    sa_fence();
    uint64_t used = producer->submit.local - sa_load_acquire(producer->submit.head);
    if (used < producer->submit.cap / 2)
        return SA_OK;
    return sa_futex_wait(&space->seq, seen, timeout_ns);
}

int
sa_producer_arm(sa_producer *producer)
{
    if (producer->generation != sa_generation())
        return SA_FOREIGN;
    sa_or32(&producer->words->sleep.flags, SA_SLEEP_FD);
    sa_fence(); /* pairs with D5 */
    return has_reply(producer) ? SA_OK : SA_EMPTY;
}

uint32_t
sa_producer_id(const sa_producer *producer)
{
    return producer->words->head.id;
}

uint64_t
sa_producer_payload_max(const sa_producer *producer)
{
    return sa_spsc_payload_max(&producer->submit);
}

uint32_t
sa_producer_unadmitted(sa_producer *producer)
{
    if (producer->generation != sa_generation())
        return 0;
    struct sa_spsc ring;
    struct sa_view view;
    uint32_t count = 0;
    pthread_mutex_lock(&producer->lock); /* nobody writes where we read */
    sa_spsc_reader(&ring, producer->submit.bytes, producer->submit.cap,
                   producer->submit.tail, producer->submit.head);
    while (sa_spsc_skim(&ring, &view) == SA_OK) {
        sa_spsc_next(&ring, &view);
        count++;
    }
    pthread_mutex_unlock(&producer->lock);
    return count;
}

int
sa_producer_admitted(const sa_producer *producer)
{
    return sa_load_acquire(producer->submit.head) == producer->submit.local;
}
