/* The soft limit's way into a running handler (process rules §6): a real-time
 * signal whose value is the TAKEN cell word of the start it means.  A late one
 * finds no such cell and is dropped, so it can never hit the next task. */
#ifndef SA_SOFT_H
#define SA_SOFT_H

#include "sa_worker.h"

/* cdef begin */
/* Worker: install the C handler for `signo`.  Python's own handler for it must
 * be installed first; the C handler trips it when the value fits, and writes
 * `wake_fd` (-1: none) so that an event loop turns. */
int sa_soft_open(sa_worker *worker, int signo, int wake_fd);
/* Worker, from Python's handler: the cell that is to be interrupted, if it is
 * still running: SA_OK or SA_EMPTY. */
int sa_soft_take(uint32_t *cell);
/* Supervisor: queue the signal for the start in `cell` of `worker`'s ring. */
int sa_soft_send(const void *ring, uint32_t cell, int pidfd, int signo);
/* cdef end */

/* How Python is told; set by the extension module, absent in plain C tests. */
extern void (*sa_soft_trip)(int signo);

#endif
