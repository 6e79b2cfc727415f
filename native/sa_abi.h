/* The one ABI header: everything that lies in shared memory or crosses into
 * Python. `ffi_build.py` cuts its cdef text from the part between the two
 * "cdef" marks, so that part holds plain declarations only.
 *
 * Words that two processes share are 64- or 32-bit, aligned, and written by
 * one side only, with one exception: the grant cell (see sa_cell.h).  Words of
 * different writers are 128 bytes apart: adjacent-line prefetch makes 64 too
 * small.
 */
#ifndef SA_ABI_H
#define SA_ABI_H

#include <stddef.h>
#include <stdint.h>

/* cdef begin */
#define SA_LAYOUT 3
#define SA_TASK_VERSION 1
#define SA_QUEUES_MAX 256
#define SA_WORKERS_MAX 1024
#define SA_PRODUCERS_MAX 64
#define SA_CELLS_MAX 1024
#define SA_NAME_MAX 200
#define SA_OPTIONS_MAX 512
#define SA_RECORD_MAX 65536
#define SA_TASK_HEAD 128
#define SA_REVOKES_MAX 1024
#define SA_REASON_MAX 124
#define SA_CLAIMS_MAX 3
#define SA_DUPLICATES_MAX 1024
#define SA_LIMITERS_MAX 1024
#define SA_TOKENS_MAX 4096
#define SA_NONE 0xffffffff

enum sa_status {
    SA_OK = 0,
    SA_EMPTY = 1,       /* nothing to take */
    SA_FULL = 2,        /* no room now; try again after the other side moved */
    SA_CORRUPT = 3,     /* a record, an index or a header is not what it says */
    SA_TOO_LARGE = 4,   /* the record could never fit */
    SA_STALE = 5,       /* the slot went on without the caller */
    SA_INTERRUPTED = 6, /* a signal arrived: let Python run its handlers */
    SA_TIMEOUT = 7,
    SA_FOREIGN = 8,     /* the handle was made before a fork: not ours */
    SA_INVALID = 9,     /* an argument is out of range */
    SA_VERSION = 10     /* another layout version */
};

/* Slot states, in the top four bits of the slot word. */
enum sa_state {
    SA_FREE = 0,
    SA_READY = 1,    /* waits in its queue */
    SA_DELAYED = 2,  /* waits for its time */
    SA_LEASED = 3,   /* offered to, or taken by, the owner */
    SA_HELD = 4,     /* its start was lost; the supervisor owes a verdict */
    SA_FINISHED = 5, /* terminal; the outcome is kept until it expires */
    SA_PARKED = 6,   /* no worker knows its name */
    SA_DRIVEN = 7    /* a canvas: S runs its parts, and says what becomes of it */
};

/* Kinds of outcome records, and of the outcome a FINISHED slot keeps. */
enum sa_kind {
    SA_SUCCEEDED = 1,
    SA_FAILED = 2,
    SA_CANCELLED = 3,
    SA_RETRY = 4,    /* run again after `delay_ns` */
    SA_PROGRESS = 5, /* telemetry: forwarded, never an ending */
    SA_UNKNOWN = 6,  /* this worker does not know the name: park it */
    SA_EXTEND = 7,       /* heartbeat or lease extension, by `delay_ns` */
    SA_DUPLICATE = 8,    /* reply only: a task with this id is known already */
    SA_EXPIRED = 9,      /* report only: its time had passed before its start */
    SA_HANDED_BACK = 10, /* report only: a drain interrupted it; run it again */
    SA_EXTEND_LIMIT = 11, /* telemetry: `delay_ns` more, up to its extension */
    SA_STOPPED = 12,     /* report only: it was revoked, and has stopped */
    SA_STARTED = 13,     /* telemetry, while somebody listens: the handler runs now */
    SA_RETRY_LIMITED = 14, /* report only: SA_RETRY; before the payload stand the
                            * next attempts' limits, struct sa_limits */
    SA_MERGED = 15 /* reply only: a live task holds its unique key; payload: its id */
};

/* Why a start was lost; kept in the slot until the verdict. */
enum sa_fault {
    SA_FAULT_NONE = 0,
    SA_FAULT_CRASH = 1,      /* the worker died of itself */
    SA_FAULT_COLLATERAL = 2, /* we ended the worker for another reason */
    SA_FAULT_HARD = 3,
    SA_FAULT_MEMORY = 4,
    SA_FAULT_REVOKED = 5,
    SA_FAULT_CORRUPT = 6,    /* its outcome record could not be read */
    SA_FAULT_CPU = 7,
    SA_FAULT_SOFT = 8        /* the signal of its soft limit has killed it */
};

/* sa_task.flags */
enum sa_task_flag {
    SA_TASK_ACKS_EARLY = 1,
    SA_TASK_IGNORE_RESULT = 2,
    SA_TASK_RECOVERY_RETRY = 4,
    SA_TASK_SPOOLED = 8,    /* the body is a claim check for a spool file */
    SA_TASK_SOFT_EVENT = 16,
    SA_TASK_POLICY = 32,    /* the retry policy numbers are in force */
    SA_TASK_BACKOFF = 64,
    SA_TASK_JITTER = 128
};

/* sa_task.ties: what it has to do with other tasks. */
enum sa_tie {
    SA_TIE_PART = 1,  /* its end is told, and kept until it was noted */
    SA_TIE_WHOLE = 2  /* it is run by S: DRIVEN */
};

/* sa_task.meters: limits that S's Python watches; their numbers are options. */
enum sa_task_meter {
    SA_METER_MEMORY = 1,
    SA_METER_CPU = 2
};

/* Bits of sa_slot.marks: what S still owes, or has done, for an outcome. */
enum sa_mark {
    SA_MARK_DEAD = 1,      /* owes an entry in the dead-letter store */
    SA_MARK_DELIVERED = 2, /* the outcome is in its owner's reply ring */
    SA_MARK_SPOOL_OUT = 4, /* the outcome payload is a claim check */
    SA_MARK_WALL = 8,      /* due_ns is wall time, not monotonic */
    SA_MARK_TIED = 16,     /* its end has not been noted by its canvas */
    SA_MARK_REVOKED = 32,  /* cancelled by a revoke or a purge, and there was no */
    SA_MARK_PURGED = 64,   /* room for a payload: see sa_mark_words */
    SA_MARK_FORBIDDEN = 128 /* it runs, and must not run again; the reason stands where
                             * the last error does */
};

enum sa_event_type {
    SA_EVENT_DEAD_LETTER = 1, /* slot finished as failed: write it down */
    SA_EVENT_FREED_SPOOL = 2, /* id: spool files of the task may go; a = 0: its
                               * results, b = starts; else that of its arguments,
                               * a = size + 1, b = token, eight characters */
    SA_EVENT_CORRUPT = 3,     /* peer: quarantined, a = 0 worker, 1 producer */
    SA_EVENT_SOFT = 4,        /* slot ran into its soft limit on worker */
    SA_EVENT_HARD = 5,
    SA_EVENT_HELD = 6,        /* slot waits for a verdict; b: enum sa_held */
    SA_EVENT_PARKED = 7,
    SA_EVENT_RETRIED = 8,
    SA_EVENT_METERED = 9,     /* offered to worker: a task of sa_task_meter; a cell */
    SA_EVENT_WATCHED = 10,    /* a slot somebody asked about has finished */
    SA_EVENT_DRIVEN = 11,     /* a whole was admitted, or found by a recovery */
    SA_EVENT_TIED = 12        /* a part has finished: note it */
};

/* How a start that is HELD came to its end. */
enum sa_held {
    SA_HELD_LOST = 0,   /* with its worker */
    SA_HELD_BEFORE = 1, /* under an earlier supervisor */
    SA_HELD_TOLD = 2    /* its worker has said so, and lives */
};

/* What a task claims beside a worker.  A task has at most one claim of each kind, in
 * the order of their numbers: the group's limit is asked first. */
enum sa_claim_kind {
    SA_CLAIM_GROUP = 1, /* a start for all tasks of one group */
    SA_CLAIM_RATE = 2,  /* a start of this task */
    SA_CLAIM_UNIQUE = 3 /* to be the only live task with this key */
};

/* sa_claim.flags */
enum sa_claim_flag {
    SA_CLAIM_CLOSED = 1 /* without a limiter for its group the task waits */
};

struct sa_claim {
    uint16_t kind, tokens; /* starts in any span, 1 … SA_TOKENS_MAX; unique: 0 */
    uint32_t flags;
    uint64_t span_ns;      /* of a limit; unique: held so long at most, 0 = no bound */
    uint8_t key[16];       /* a hash of everything that makes two claims the same */
};

/* The task as published: this head, then queue name, task name, options, claims,
 * body.  S checks every length before it admits; the body stays opaque to S. */
struct sa_task {
    uint8_t version, flags, priority, kind;
    uint16_t queue_len, name_len, option_len, ties; /* ties: enum sa_tie */
    uint32_t body_len;
    uint8_t id[16];
    uint64_t type_hash;
    uint64_t ticket;        /* the producer's own number for the reply */
    int64_t created_ns;     /* wall */
    int64_t not_before_ns;  /* wall, 0 = at once */
    int64_t expires_ns;     /* wall, 0 = never: not started after */
    int64_t deadline_ns;    /* wall, 0 = none: must have ended by */
    uint64_t soft_ns, hard_ns; /* 0 = no limit */
    uint32_t max_retries;
    uint16_t max_crashes, meters; /* enum sa_task_meter */
    uint64_t retry_base_ns, retry_max_ns;
    uint32_t extension_ms;      /* most that SA_EXTEND_LIMIT adds */
    uint16_t claim_len, spare;
};

/* The numbers of a slot that change.  There are two copies; a bit of the slot
 * word says which is in force, so one store commits all of them together. */
struct sa_var {
    uint32_t attempt;    /* 0-based, grows with each retry decision */
    uint32_t starts;     /* how often the handler was really started */
    uint16_t crashes, collaterals;
    uint16_t fault;      /* enum sa_fault, while HELD */
    uint16_t marks;      /* enum sa_mark */
    int64_t due_ns;      /* READY since / DELAYED until / FINISHED: created at;
                          * see SA_MARK_WALL */
};

/* word = state:4 | var:1 | unused:3 | owner:12 | starts:12 | gen:32.
 * Written by S alone. */
struct sa_slot {
    uint64_t word;
    uint8_t id[16];
    uint32_t body_at, body_len, body_crc; /* arena offset; whole task record */
    uint32_t out_at, out_len;             /* outcome, or the last error */
    uint32_t out_kind;
    uint64_t ticket;
    uint64_t src_end;      /* ring position after the record, for the head rule */
    uint32_t src_ring;
    uint32_t queue;
    int64_t finished_ns;   /* FINISHED: wall; before: see sa_slot_limits */
    struct sa_var var[2];
};

/* Header of every record in a byte ring; 32 bytes, records are 32-aligned. */
struct sa_record {
    uint32_t len;   /* payload bytes behind the header */
    uint32_t crc;   /* CRC-32C over the rest of the header and the payload */
    uint16_t type;  /* 0 = padding up to the end of the ring, 1 = record */
    uint16_t kind;
    uint32_t slot, gen, starts;
    int64_t delay_ns;
};

/* Payload head of a reply record; the outcome payload follows. */
struct sa_reply {
    uint64_t ticket;
    uint32_t kind, attempt, starts, len;
    uint64_t at;    /* offset of the payload in the drain buffer */
    uint32_t marks, spare;
};

/* Limits that a handler has set for its next attempts, in ms; 0 = the record's. */
struct sa_limits {
    uint32_t soft_ms, hard_ms;
};

struct sa_super {
    char magic[8];
    uint32_t layout, slots;
    uint64_t arena_at, arena_len, total_len;
    uint8_t instance[16];
    uint8_t boot_id[16];
    uint32_t crc, workers;
    /* changes after create; written by S */
    uint64_t epoch;
    uint32_t supervisor_pid, clean;
    uint64_t supervisor_start;
    uint32_t pressure, spare; /* 1: results above 1 KiB go to the spool */
};

struct sa_stats {
    uint64_t admitted, finished, succeeded, failed, cancelled, retried;
    uint64_t starts, crashes, collaterals, revoked_offers, stale, corrupt;
    uint64_t replies, progress_dropped, expired, evicted, steps;
    int64_t last_start_ns, last_step_ns; /* monotonic */
    uint64_t live, ready, delayed, leased, parked, retained;
    uint64_t repeated; /* starts lost with a worker, or handed back, and run again */
    uint64_t limited;  /* wait for a rate limit; neither ready nor delayed */
    uint64_t merged;   /* enqueues that a live task with their key has answered */
    uint64_t degraded; /* starts without the group limit there was no limiter for */
};

struct sa_queue_row {
    uint32_t used, paused, name_len, ready;
    uint64_t seen;
    char name[232];
};

struct sa_worker_row {
    uint32_t pid, state, incarnation, leased;
    uint64_t pid_start, epoch;
    uint64_t finished;
    uint64_t spare[3];
};

/* Tasks that were revoked while they waited in a submit ring: they are cancelled at
 * their admission.  S writes; an entry counts once `count` says so. */
struct sa_revokes {
    uint64_t count;
    uint8_t pad[56];
    uint8_t ids[SA_REVOKES_MAX][16];
    struct sa_reason {
        uint32_t len;
        uint8_t bytes[SA_REASON_MAX]; /* the payload of the outcome */
    } reasons[SA_REVOKES_MAX];
};

/* An enqueue that was answered with a live task's id.  S writes; a row counts once
 * `count` says so.  They go round: the row that is written next is never believed. */
struct sa_duplicates {
    uint64_t count;
    uint8_t pad[56];
    struct sa_duplicate {
        uint8_t first[16], id[16]; /* the live task; what its double would have been */
        int64_t at_ns;             /* wall */
        uint64_t src_end, ticket;
        uint32_t src_ring, nth;    /* the how-manieth of that task */
        uint32_t crc, spare;
    } rows[SA_DUPLICATES_MAX];
};

/* A rate limit in use, with an extent for the starts of its last span, oldest first:
 * the first half of the rows is for tasks, the second for groups.  S writes. */
struct sa_limiter {
    uint8_t key[16];
    uint64_t span_ns;
    uint64_t starts;       /* first:32 | count:32, of the extent's ring */
    uint32_t tokens, at;   /* rows of the extent, and where it is */
    uint32_t used, spare;  /* `used` is stored last, and cleared first */
    uint64_t pad[2];
};

struct sa_limiter_start {
    int64_t began_ns;      /* monotonic */
    uint32_t slot, mark;   /* whose: the low halves of its gen and its starts */
};

/* A grant as the worker sees it. */
struct sa_grant {
    uint32_t slot, gen, starts, cell, attempt, task_len;
    uint64_t type_hash;
    const uint8_t *task; /* read-only arena, valid until the commit */
    const uint8_t *body;
    uint32_t body_len, flags;
    uint64_t soft_ns, hard_ns;
    const uint8_t *error; /* of the attempt before; NULL for the first */
    uint64_t error_len;
    int64_t expires_ns;   /* wall, 0 = never; the deadline counts too */
    int64_t deadline_ns;  /* wall, 0 = none */
    uint64_t extension_ns;
    uint32_t meters, heard; /* 1: somebody listens for starts */
};

struct sa_event {
    uint32_t type, slot, gen, worker;
    uint64_t a, b;
    uint8_t id[16];
};
/* cdef end */

#define SA_MAGIC "STEMRING"
#define SA_LINE 128
#define SA_PAGE 4096
#define SA_PAGES(bytes) (((bytes) + SA_PAGE - 1) / SA_PAGE * SA_PAGE)
#define SA_REVOKES_BYTES SA_PAGES(sizeof(struct sa_revokes))
#define SA_DUPLICATES_BYTES SA_PAGES(sizeof(struct sa_duplicates))
#define SA_LIMITERS_BYTES SA_PAGES(SA_LIMITERS_MAX * sizeof(struct sa_limiter))
/* Behind the payload arena: limiters, duplicates, revokes. */
#define SA_TAIL_BYTES (SA_LIMITERS_BYTES + SA_DUPLICATES_BYTES + SA_REVOKES_BYTES)

#define SA_WORD(state, var, owner, starts, gen)                               \
    (((uint64_t)(state) << 60) | ((uint64_t)((var) & 1) << 59) |              \
     ((uint64_t)((owner) & 0xfff) << 44) |                                    \
     ((uint64_t)((starts) & 0xfff) << 32) | (uint32_t)(gen))
#define SA_WORD_STATE(w) ((uint32_t)((w) >> 60))
#define SA_WORD_VAR(w) ((uint32_t)((w) >> 59) & 1)
#define SA_WORD_OWNER(w) ((uint32_t)((w) >> 44) & 0xfff)
#define SA_WORD_STARTS(w) ((uint32_t)((w) >> 32) & 0xfff)
#define SA_WORD_GEN(w) ((uint32_t)(w))

_Static_assert(sizeof(struct sa_task) == SA_TASK_HEAD, "task head is 128 bytes");
_Static_assert(sizeof(struct sa_claim) == 32, "a claim is 32 bytes");
_Static_assert(sizeof(struct sa_limiter) == 64, "a limiter has a cache line");
_Static_assert(sizeof(struct sa_var) == 24, "var is 24 bytes");
_Static_assert(sizeof(struct sa_slot) == 128, "a slot is one writer's line");
_Static_assert(sizeof(struct sa_record) == 32, "record header is 32 bytes");
_Static_assert(sizeof(struct sa_queue_row) == 256, "queue row");
_Static_assert(sizeof(struct sa_worker_row) == 64, "worker row");
_Static_assert(sizeof(struct sa_super) <= SA_PAGE, "superblock fits its page");
_Static_assert(sizeof(struct sa_stats) <= SA_PAGE, "stats fit their page");

/* In a claim check, which is the body of a spooled task (ring/spool.py). */
#define SA_CLAIM_SIZE_AT 11
#define SA_CLAIM_TOKEN_AT 56

/* Byte positions inside core.seg. */
#define SA_STATS_AT SA_PAGE
#define SA_QUEUES_AT (2 * SA_PAGE)
#define SA_WORKERS_AT (SA_QUEUES_AT + SA_QUEUES_MAX * sizeof(struct sa_queue_row))
#define SA_SLOTS_AT (SA_WORKERS_AT + SA_WORKERS_MAX * sizeof(struct sa_worker_row))

#endif
