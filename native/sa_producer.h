/* The producer's side: mint ids, submit, drain replies, wait.  Submitting is
 * safe from many threads; draining is for one thread at a time. */
#ifndef SA_PRODUCER_H
#define SA_PRODUCER_H

#include "sa_abi.h"

/* cdef begin */
typedef struct sa_producer sa_producer;

/* Over a producer's ring, or (from inside a worker) over the submit half of
 * the worker's own ring.  NULL and *status on failure. */
sa_producer *sa_producer_open(void *ring, uint64_t len, void *bell, int bell_fd,
                              int *status);
/* Count tickets from `first_ticket` on, 1 otherwise; before the first submission. */
void sa_producer_number_from(sa_producer *producer, uint64_t first_ticket);
void sa_producer_close(sa_producer *producer);
/* Say in the ring that this producer has gone for good, so that S drops the ring
 * once it has read it, were it a later S.  Every submission after it is refused
 * (SA_STALE).  Any thread; does nothing in a child of a fork. */
void sa_producer_leave(sa_producer *producer);

/* Submit `n` tasks that share one `head` (struct sa_task, then queue name, task
 * name, options; `head_len` bytes in all, id and ticket filled in here).  Body
 * i is bodies[ends[i-1] … ends[i]).  Writes the n ids (16 bytes each) and the
 * first ticket; tickets are consecutive.  Returns how many were accepted, in
 * order; fewer than n means SA_FULL in *status (or SA_TOO_LARGE, SA_FOREIGN).
 * An accepted task is not lost, whoever dies. */
uint32_t sa_producer_submit(sa_producer *producer, const uint8_t *head,
                            uint32_t head_len, const uint8_t *bodies,
                            const uint32_t *ends, uint32_t n, uint8_t *ids,
                            uint64_t *first_ticket, int *status);
/* Copy at most `cap` replies: heads into `out`, payloads into `bytes`. */
int sa_producer_drain(sa_producer *producer, struct sa_reply *out, uint32_t cap,
                      uint8_t *bytes, uint64_t bytes_cap, uint32_t *n);
/* Give way on this core for a moment, then look: SA_OK = there is a reply. */
int sa_producer_look(sa_producer *producer);
/* Spin up to `spin_ns`, then sleep up to `timeout_ns`, for a reply. */
int sa_producer_wait(sa_producer *producer, int64_t spin_ns, int64_t timeout_ns);
/* The same for room to submit. */
int sa_producer_wait_room(sa_producer *producer, int64_t timeout_ns);
/* Before waiting in an event loop: SA_EMPTY = the eventfd will be written. */
int sa_producer_arm(sa_producer *producer);
uint32_t sa_producer_id(const sa_producer *producer);
uint64_t sa_producer_payload_max(const sa_producer *producer);
/* 1 when everything submitted has been admitted by S. */
int sa_producer_admitted(const sa_producer *producer);
/* How many tasks of ours S has not admitted yet; for errors, it takes a while. */
uint32_t sa_producer_unadmitted(sa_producer *producer);
/* cdef end */

#endif
