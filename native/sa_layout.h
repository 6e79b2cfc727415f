/* Where things lie in the ring files.  One line (128 bytes) per writer. */
#ifndef SA_LAYOUT_H
#define SA_LAYOUT_H

#include "sa_abi.h"

#define SA_RING_MAGIC 0x474e5253u /* "SRNG" */

struct sa_line64 {
    uint64_t word;
    uint8_t pad[SA_LINE - 8];
};

/* Written once by S, before the peer is told of the file; sealed by a CRC. */
struct sa_ring_head {
    uint32_t magic, layout;
    uint32_t id;            /* worker index, or producer id */
    uint32_t cells;         /* 0: a producer's ring */
    uint64_t total, submit_at, submit_cap, report_at, report_cap;
    uint8_t instance[16];
    uint32_t crc, spare;
    uint8_t pad[SA_LINE - 80];
};

/* Words by which one side sleeps and the other wakes it. */
struct sa_sleep {
    uint32_t seq;   /* futex word; the waker adds one */
    uint32_t flags; /* the sleeper sets SA_SLEEP_…, the waker swaps 0 in */
    uint8_t pad[SA_LINE - 8];
};

enum { SA_SLEEP_FUTEX = 1, SA_SLEEP_FD = 2 };

/* report = reply ring (producer) or outbox (worker). */
struct sa_ring_words {
    struct sa_ring_head head;
    struct sa_line64 submit_tail; /* peer */
    struct sa_line64 submit_head; /* S */
    struct sa_line64 report_tail; /* reply: S; outbox: worker */
    struct sa_line64 report_head; /* reply: producer; outbox: S */
    struct sa_sleep sleep;        /* waits for a report, or for an offer */
    struct sa_sleep space;        /* waits for room in the submit ring */
    struct sa_line64 blocked;     /* S: 1 = replies wait for room in your ring */
    /* workers only, from here */
    struct sa_line64 order_tail;  /* S */
    struct sa_line64 order_head;  /* worker */
    struct sa_status_cell {       /* worker */
        uint64_t beat_ns;         /* last look at the mailbox, monotonic */
        uint32_t epoch, incarnation, pid, spare;
        /* what the process had used before this start, give or take 10 ms */
        uint64_t cpu_ns, minor_faults, major_faults;
        uint32_t current;         /* cell + 1 of the coroutine that runs; 0 = none */
        uint32_t spare_too;
        uint64_t said;            /* the start whose last words are written */
        uint8_t pad[SA_LINE - 64];
    } status;
    struct sa_control_cell {      /* S */
        uint32_t drain, epoch, incarnation;
        uint32_t heard;           /* 1: somebody listens for starts */
        uint8_t pad[SA_LINE - 16];
    } control;
    struct sa_line64 left;        /* producer: 1 = it has gone and comes not back */
};

_Static_assert(sizeof(struct sa_ring_head) == SA_LINE, "ring head is one line");
_Static_assert(sizeof(struct sa_sleep) == SA_LINE, "sleep words have a line");
_Static_assert(sizeof(struct sa_status_cell) == SA_LINE, "status has a line");
_Static_assert(sizeof(struct sa_control_cell) == SA_LINE, "control has a line");
_Static_assert(sizeof(struct sa_ring_words) <= SA_PAGE, "ring words fit a page");

/* Behind the words, in a worker's ring: cells (u64), start times (i64), order
 * hints (u32, twice the cells), then the two byte rings. */
#define SA_CELLS_AT SA_PAGE
#define SA_STARTED_AT(cells) (SA_CELLS_AT + 8 * (uint64_t)(cells))
#define SA_ORDER_AT(cells) (SA_STARTED_AT(cells) + 8 * (uint64_t)(cells))
#define SA_RINGS_AT(cells)                                                    \
    ((SA_ORDER_AT(cells) + 8 * (uint64_t)(cells) + SA_PAGE - 1) &              \
     ~(uint64_t)(SA_PAGE - 1))

struct sa_bell_page {
    uint32_t sleeping; /* S sets 1 before it sleeps; a peer swaps 0 in */
    uint8_t pad[SA_PAGE - 4];
};

/* cdef begin */
uint64_t sa_ring_size(uint32_t cells, uint64_t submit_cap, uint64_t report_cap);
int sa_ring_init(void *at, uint64_t len, uint32_t id, uint32_t cells,
                 uint64_t submit_cap, uint64_t report_cap, const uint8_t *instance);
/* Check a ring header before a single word behind it is believed. */
int sa_ring_attach(const void *at, uint64_t len);
/* Whether the producer of an attached ring has said goodbye; S asks. */
int sa_ring_is_left(const void *at);
/* cdef end */

#endif
