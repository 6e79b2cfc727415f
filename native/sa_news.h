/* News: what happens to tasks, for those who listen.  While nobody does it costs a
 * look at one private word; in a worker, at one word of its control cell a start. */
#ifndef SA_NEWS_H
#define SA_NEWS_H

#include "sa_abi.h"

/* cdef begin */
enum sa_news_type {
    SA_NEWS_RECEIVED = 1,  /* admitted */
    SA_NEWS_STARTED = 2,   /* its handler is about to run */
    SA_NEWS_SUCCEEDED = 3,
    SA_NEWS_FAILED = 4,    /* payload: its error */
    SA_NEWS_RETRIED = 5,   /* value: the delay; payload: the error */
    SA_NEWS_CANCELLED = 6, /* payload: why */
    SA_NEWS_EXPIRED = 7,
    SA_NEWS_REPLAYED = 8,  /* its start was lost, and nothing else; kind: the fault;
                           * payload: the verdict on it */
    SA_NEWS_TIMEOUT = 9,   /* kind: 0 soft, 1 hard; value: the limit, 0 = deadline */
    SA_NEWS_PROGRESS = 10, /* payload: what the handler said */
    SA_NEWS_HEARTBEAT = 11, /* value: how much longer it asked for */
    SA_NEWS_RUN_ENDED = 12, /* kind: enum sa_kind; SA_HANDED_BACK: to be replayed */
    /* Only the supervisor's Python tells these; below, bits of `wanted`. */
    SA_NEWS_WORKER_READY = 16,
    SA_NEWS_WORKER_STOPPING = 17,
    SA_NEWS_WORKER_STOPPED = 18,
    SA_NEWS_WORKER_DIED = 19
};

/* One piece of news; queue name, task name and payload follow. */
struct sa_news {
    uint32_t len;   /* of all of it; a multiple of 8 */
    uint16_t type, kind;
    uint8_t id[16];
    int64_t at_ns;  /* wall */
    uint64_t value; /* nanoseconds */
    uint32_t attempt, starts;
    uint32_t worker, pid; /* SA_NONE, 0: of no worker */
    uint16_t queue_len, name_len;
    uint32_t payload_len;
};
/* cdef end */

_Static_assert(sizeof(struct sa_news) == 64, "a head of news is 64 bytes");

struct sa_core;
struct sa_slot;

struct sa_news_box {
    uint8_t *bytes;
    uint32_t len;
    uint32_t wanted;  /* by type, a bit */
    uint64_t dropped; /* found no room, since the core was opened */
};

/* SOON: that many bytes wait, and the core moves nothing more before they are taken.
 * What is behind it holds the outboxes of dead workers, which do not wait. */
enum { SA_NEWS_BYTES = 2 << 20, SA_NEWS_SOON = SA_NEWS_BYTES / 4 };

struct sa_fact {
    uint32_t type, kind, worker;
    uint32_t attempt, starts;
    uint32_t len; /* of the payload */
    uint64_t value;
    int64_t at_ns; /* wall; 0 = now */
    const uint8_t *payload;
};

/* Tell `fact` of a slot whose record is still there. */
void sa_news_add(struct sa_core *core, uint32_t slot, const struct sa_fact *fact);
/* The start in a TAKEN cell, once. */
void sa_news_started(struct sa_core *core, uint32_t worker, uint32_t cell);
/* What the run of a task has led to, and then that it has ended as `ran_as`; 0: there
 * was no run.  Before the task's record is given up. */
void sa_news_outcome(struct sa_core *core, uint32_t slot, const struct sa_fact *fact,
                     uint32_t ran_as);
/* The same for a task that has finished as `kind`. */
void sa_news_finished(struct sa_core *core, uint32_t slot, struct sa_fact *fact,
                      uint32_t kind, int has_run);

#endif
