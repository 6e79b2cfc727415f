/* The way into a running handler (process rules §6): a real-time signal whose
 * value is the TAKEN cell word of the start it means.  A late one finds no such
 * cell and is dropped, so it can never hit the next task.  The two state bits of
 * the value, which are known, carry the reason instead. */
#ifndef SA_SOFT_H
#define SA_SOFT_H

#include "sa_worker.h"

/* cdef begin */
/* Why a start is to end before its time.  A revoke is not replaced by another. */
enum sa_stop {
    SA_STOP_REVOKED = 1, /* somebody forbade it to go on */
    SA_STOP_SOFT = 2,    /* its soft limit has passed */
    SA_STOP_DRAIN = 3    /* the workers leave; it will be run again */
};

/* Worker: install the C handler for `signo`.  Python's own handler for it must
 * be installed first; the C handler trips it when the value fits, and writes
 * `wake_fd` (-1: none) so that an event loop turns. */
int sa_soft_open(sa_worker *worker, int signo, int wake_fd);
/* Worker, main thread, before a start with a soft limit: undo what an earlier task
 * has done to the signals.  Unblocks those from `signo` to `last_signo`; false where
 * `signo` has another handler. */
int sa_soft_is_armed(int signo, int last_signo);
/* Worker: install the C handler again, after Python's; what was asked stays so. */
int sa_soft_rearm(int signo);
/* Worker, from Python's handler: one cell whose start is to be interrupted and
 * still runs, and an enum sa_stop.  SA_OK, or SA_EMPTY when there is no more. */
int sa_soft_take(uint32_t *cell, uint32_t *reason);
/* Worker: what was taken for `cell` could not be delivered now; it comes again
 * after `delay_ns`.  By a timer of the kernel, so that no bytecode is counted and
 * nothing that the handler does to its own timers or signals disarms it. */
int sa_soft_again(uint32_t cell, uint32_t reason, int64_t delay_ns);
/* Worker: have Python's handler run again after `delay_ns`. */
int sa_soft_look(int64_t delay_ns);
/* Supervisor: queue the signal for the start in `cell` of `worker`'s ring. */
int sa_soft_send(const void *ring, uint32_t cell, int pidfd, int signo,
                 uint32_t reason);
/* cdef end */

/* How Python is told; set by the extension module, absent in plain C tests. */
extern void (*sa_soft_trip)(int signo);

#endif
