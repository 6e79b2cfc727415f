/* The worker's side of its mailbox, outbox and status cell.  One thread. */
#ifndef SA_WORKER_H
#define SA_WORKER_H

#include "sa_abi.h"
#include "sa_platform.h"

struct sa_worker;

/* cdef begin */
typedef struct sa_worker sa_worker;

/* Open worker `index`'s ring and the read-only core segment.  `epoch` and
 * `incarnation` must be those S wrote in the control cell, else SA_STALE: this
 * process was born for an older supervisor.  NULL and *status on failure. */
sa_worker *sa_worker_open(void *ring, uint64_t ring_len, const void *core,
                          uint64_t core_len, void *bell, int bell_fd,
                          uint32_t epoch, uint32_t incarnation, int *status);
void sa_worker_close(sa_worker *worker);

/* Take the next offered task.  SA_OK, SA_EMPTY, SA_CORRUPT, SA_FOREIGN. */
int sa_worker_take(sa_worker *worker, struct sa_grant *grant);
/* Take, or sleep until something is offered.  `timeout_ns` bounds the call;
 * also SA_TIMEOUT, SA_INTERRUPTED. */
int sa_worker_next(sa_worker *worker, struct sa_grant *grant, int64_t timeout_ns);
/* Async workers: say that the eventfd must be written, then look again.
 * SA_EMPTY = you may wait for the eventfd; SA_OK = something is offered. */
int sa_worker_arm(sa_worker *worker);

/* Report on `grant`.  Endings (succeeded, failed, cancelled, retry, unknown)
 * commit it: after SA_OK the outcome stands, whatever happens to us.
 * Waits up to `timeout_ns` for room: SA_TIMEOUT leaves nothing behind. */
int sa_worker_report(sa_worker *worker, const struct sa_grant *grant,
                     uint32_t kind, int64_t delay_ns, const uint8_t *payload,
                     uint32_t len, int64_t timeout_ns);
/* Report success and take the next one in a single crossing: the hot path. */
int sa_worker_finish_next(sa_worker *worker, struct sa_grant *grant,
                          const uint8_t *payload, uint32_t len,
                          int64_t timeout_ns);
/* 1 when S asked for a drain: take no more, then leave. */
int sa_worker_draining(const sa_worker *worker);
/* 1 when results should go to the spool because the arena is short. */
int sa_worker_pressure(const sa_worker *worker);
/* Largest payload one report may carry. */
uint64_t sa_worker_payload_max(const sa_worker *worker);
/* Async workers: the coroutine of `cell` runs now; SA_NONE: none does.  If the
 * process dies, this one is to blame and its neighbours are not. */
void sa_worker_mark(sa_worker *worker, uint32_t cell);
/* 1 when an offer waits; costs one load. */
int sa_worker_offered(const sa_worker *worker);
/* Read what this process has used, and keep its processor time for the
 * supervisor: a start that is killed has used the difference. */
void sa_worker_measure(sa_worker *worker, struct sa_usage *usage);
/* Supervisor: what a worker's process had used before the start it runs, give or
 * take 10 ms; `peak_rss` is 0. */
void sa_worker_used(const void *ring, struct sa_usage *usage);
/* cdef end */

struct sa_ring_words *sa_worker_words(sa_worker *worker);

#endif
