/* Every memory order of the core has a name here; nothing else in native/
 * spells `memory_order_…`.  Each edge carries a label at both ends (P5 ↔ A1),
 * the labels of the protocol description in docs/explanation/ring.md.
 *
 * acquire: later accesses of this thread do not move before the load.
 * release: earlier accesses of this thread do not move behind the store.
 * fence:   full; between "I publish" and "are you asleep?", where a store must
 *          be visible before a load, which release/acquire do not order.
 */
#ifndef SA_ORDER_H
#define SA_ORDER_H

#include <stdatomic.h>
#include <stdint.h>

#define SA_ATOMIC(type, at) ((_Atomic type *)(at))

static inline uint64_t
sa_load_acquire(const uint64_t *at)
{
    return atomic_load_explicit(SA_ATOMIC(const uint64_t, at), memory_order_acquire);
}

static inline uint64_t
sa_load_relaxed(const uint64_t *at)
{
    return atomic_load_explicit(SA_ATOMIC(const uint64_t, at), memory_order_relaxed);
}

static inline void
sa_store_release(uint64_t *at, uint64_t value)
{
    atomic_store_explicit(SA_ATOMIC(uint64_t, at), value, memory_order_release);
}

static inline void
sa_store_relaxed(uint64_t *at, uint64_t value)
{
    atomic_store_explicit(SA_ATOMIC(uint64_t, at), value, memory_order_relaxed);
}

static inline int
sa_cas(uint64_t *at, uint64_t expected, uint64_t desired)
{
    return atomic_compare_exchange_strong_explicit(
        SA_ATOMIC(uint64_t, at), &expected, desired, memory_order_acq_rel,
        memory_order_acquire);
}

static inline uint32_t
sa_load32(const uint32_t *at)
{
    return atomic_load_explicit(SA_ATOMIC(const uint32_t, at), memory_order_acquire);
}

static inline void
sa_store32(uint32_t *at, uint32_t value)
{
    atomic_store_explicit(SA_ATOMIC(uint32_t, at), value, memory_order_release);
}

static inline uint32_t
sa_swap32(uint32_t *at, uint32_t value)
{
    return atomic_exchange_explicit(SA_ATOMIC(uint32_t, at), value,
                                    memory_order_seq_cst);
}

static inline uint32_t
sa_add32(uint32_t *at, uint32_t value)
{
    return atomic_fetch_add_explicit(SA_ATOMIC(uint32_t, at), value,
                                     memory_order_seq_cst);
}

static inline uint32_t
sa_or32(uint32_t *at, uint32_t bits)
{
    return atomic_fetch_or_explicit(SA_ATOMIC(uint32_t, at), bits,
                                    memory_order_seq_cst);
}

/* A thread fence is not understood by the thread sanitizer (gcc says so), so
 * that build makes the fence a read-modify-write of a private word. */
static inline void
sa_fence(void)
{
#if defined(__SANITIZE_THREAD__)
    static _Atomic uint32_t word;
    atomic_fetch_add_explicit(&word, 1, memory_order_seq_cst);
#else
    atomic_thread_fence(memory_order_seq_cst);
#endif
}

static inline void
sa_pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

#endif
