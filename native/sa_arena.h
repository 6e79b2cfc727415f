/* The core segment: superblock, statistics, queue and worker rows, slots,
 * payload arena, limiters, duplicates, revokes.  S writes all of it; workers map it
 * read-only; `top` reads it. */
#ifndef SA_ARENA_H
#define SA_ARENA_H

#include "sa_abi.h"
#include "sa_order.h"

struct sa_arena {
    struct sa_super *super;
    struct sa_stats *stats;
    struct sa_queue_row *queues;
    struct sa_worker_row *workers;
    struct sa_slot *slots;
    uint8_t *bytes;
    uint64_t len;
    struct sa_revokes *revokes;
    struct sa_duplicates *duplicates;
    struct sa_limiter *limiters;
};

/* cdef begin */
/* Size of a core segment for `slots` (64 … 2^24) and `arena_len` bytes of
 * payload (a multiple of 64 KiB, at most 16 GiB); 0 when out of range. */
uint64_t sa_arena_size(uint32_t slots, uint64_t arena_len);
int sa_arena_init(void *at, uint64_t len, uint32_t slots, uint64_t arena_len,
                  const uint8_t *instance, const uint8_t *boot_id);
/* cdef end */
/* Check the superblock before anything behind it is believed. */
int sa_arena_attach(struct sa_arena *arena, void *at, uint64_t len);

/* The bytes [at*64, at*64+len) of the payload arena; NULL if out of range.
 * Offsets in slots count 64-byte units, so 32 bits reach 256 GiB. */
static inline uint8_t *
sa_arena_at(const struct sa_arena *arena, uint32_t at, uint32_t len)
{
    uint64_t begin = (uint64_t)at * 64;
    if (begin >= arena->len || len > arena->len - begin)
        return NULL;
    return arena->bytes + begin;
}

/* The copy of the numbers that the slot word selects. */
static inline struct sa_var *
sa_slot_var(const struct sa_slot *slot)
{
    uint64_t word = sa_load_acquire(&slot->word);
    return (struct sa_var *)(uintptr_t)&slot->var[SA_WORD_VAR(word)];
}

static inline uint32_t
sa_slot_state(const struct sa_slot *slot)
{
    return SA_WORD_STATE(sa_load_acquire(&slot->word));
}

/* `hard_ms` is below 2^28, 3 days: no wall time since 2006 is. */
enum { SA_LIMITS_BITS = 60 };

/* The time limits in force.  The record is sealed by its CRC, so what an attempt
 * has set for the next ones lies in the slot, in the word that says nothing yet. */
static inline struct sa_limits
sa_slot_own_limits(const struct sa_slot *slot)
{
    uint64_t word = (uint64_t)slot->finished_ns;
    /* A wall time: an outcome was being kept when its supervisor died. */
    if (word >> SA_LIMITS_BITS)
        word = 0;
    return (struct sa_limits){(uint32_t)word, (uint32_t)(word >> 32)};
}

static inline uint64_t
sa_slot_soft_ns(const struct sa_slot *slot, const struct sa_task *task)
{
    uint32_t ms = sa_slot_own_limits(slot).soft_ms;
    return ms ? (uint64_t)ms * 1000000 : task->soft_ns;
}

static inline uint64_t
sa_slot_hard_ns(const struct sa_slot *slot, const struct sa_task *task)
{
    uint32_t ms = sa_slot_own_limits(slot).hard_ms;
    return ms ? (uint64_t)ms * 1000000 : task->hard_ns;
}

/* The first wall time at which it may not start any more; 0 = none.  What must
 * have ended by its deadline need not begin after it. */
static inline int64_t
sa_task_ends_by(const struct sa_task *task)
{
    int64_t expires = task->expires_ns, deadline = task->deadline_ns;
    return expires && (!deadline || expires < deadline) ? expires : deadline;
}

#endif
