/* Last words: before a start is killed, the interpreter writes every thread's stack:
 * first that of the main thread, for its dump of all ends after 100, the main one last.
 * The signal's value is the TAKEN cell word of that start, as for a soft limit: if the
 * start is over nothing is written, and what is written names its start. */
#ifndef SA_WORDS_H
#define SA_WORDS_H

#include "sa_worker.h"

/* cdef begin */
/* Worker: put a handler for `signo` in front of the one that is installed, which
 * writes one stack, and then call that of `all`, which writes all.  Around them it
 * writes two lines to `fd`, and when they are written it says so in the status cell.
 * SA_INVALID: one is not installed. */
int sa_words_open(sa_worker *worker, int signo, int all, int fd);
/* Supervisor: ask for the last words of the start in `cell`, whose name in the file,
 * the cell word, goes to *name.  SA_EMPTY: it is over.  SA_STALE: no process. */
int sa_words_ask(const void *ring, uint32_t cell, int pidfd, int signo,
                 uint64_t *name);
/* The start whose last words were written last; 0 = none yet. */
uint64_t sa_words_said(const void *ring);
/* That name for a start of a slot. */
uint64_t sa_words_name(uint32_t slot, uint32_t gen, uint32_t starts);
/* cdef end */

#endif
