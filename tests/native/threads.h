/* What the thread programs share: one core in plain memory, and plain checks. */
#ifndef SA_TEST_THREADS_H
#define SA_TEST_THREADS_H

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sa_bell.h"
#include "sa_cell.h"
#include "sa_core_api.h"
#include "sa_platform.h"
#include "sa_producer.h"
#include "sa_worker.h"

#define CHECK(what)                                                           \
    do {                                                                      \
        if (!(what)) {                                                        \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #what);        \
            exit(1);                                                          \
        }                                                                     \
    } while (0)

#if defined(__SANITIZE_THREAD__)
enum { ROUNDS = 4000 };
#else
enum { ROUNDS = 40000 };
#endif

struct stage {
    void *segment, *producer_ring, *worker_ring[2];
    uint64_t segment_len, producer_len, worker_len;
    struct sa_bell_page *bell;
    int bell_fd;
    sa_core *core;
};

void stage_open(struct stage *stage, int bell_fd);
void stage_close(struct stage *stage);
/* Read replies, or wait a moment for room: who never reads is not served. */
void stage_drain(sa_producer *producer);
/* Submit tasks numbered from `first` to `end` - 1, draining while it is full. */
void stage_submit(sa_producer *producer, uint32_t first, uint32_t end);

void rings_run(void);
void grants_run(void);
void bell_run(void);

#endif
