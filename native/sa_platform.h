/* The one platform header: what differs between kernels is declared here and
 * written in sa_linux.c; another platform adds a file of its own. */
#ifndef SA_PLATFORM_H
#define SA_PLATFORM_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <stddef.h>
#include <stdint.h>

/* cdef begin */
/* Monotonic and wall clock, nanoseconds. */
int64_t sa_mono_ns(void);
int64_t sa_wall_ns(void);

/* Fill `len` bytes from the kernel's generator; 0 or an SA_INVALID. */
int sa_random(void *at, size_t len);

/* Sleep on a shared 32-bit word until it differs from `seen`, a wake, a signal
 * or the time-out.  SA_OK, SA_TIMEOUT or SA_INTERRUPTED. */
int sa_futex_wait(uint32_t *word, uint32_t seen, int64_t timeout_ns);
void sa_futex_wake(uint32_t *word, int count);

/* Write 1 to an eventfd; EAGAIN (counter full) means it is ringing already. */
void sa_bell_write(int fd);

/* Map `len` bytes of `fd`, shared, not inherited by children; NULL and errno
 * on failure.  sa_unmap does nothing in a child: there the address may belong
 * to somebody else by now. */
void *sa_map(int fd, size_t len, int writable);
void sa_unmap(void *at, size_t len);

/* Grows by one in every fork's child.  A handle remembers the value of its
 * birth; every entry compares (process rules: grandchildren and the mapping). */
uint32_t sa_generation(void);

/* What this process has used so far, its waited-for children included. */
struct sa_usage {
    int64_t cpu_ns;
    uint64_t peak_rss; /* bytes: the largest of this process, since it began */
    uint64_t minor_faults, major_faults;
};
void sa_usage_read(struct sa_usage *usage);

/* Queue `signo` with a 64-bit value for the process behind `pidfd`. */
int sa_signal_pidfd(int pidfd, int signo, uint64_t value);
/* cdef end */
/* One timer of the process that sends `signo` with the value 0; armed with a
 * delay, it sends once.  A child has none. */
int sa_timer_open(int signo);
int sa_timer_arm(int64_t delay_ns);
int sa_on_main_thread(void);
void sa_signal_main_thread(int signo, uint64_t value);

#endif
