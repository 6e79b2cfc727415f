#include "sa_platform.h"

#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "sa_abi.h"

static uint32_t generation;
static uint32_t map_generation;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void
in_child(void)
{
    generation++;
}

static void
install(void)
{
    (void)pthread_atfork(NULL, NULL, in_child);
}

uint32_t
sa_generation(void)
{
    (void)pthread_once(&once, install);
    return generation;
}

static int64_t
clock_ns(clockid_t which)
{
    struct timespec now;
    clock_gettime(which, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int64_t
sa_mono_ns(void)
{
    return clock_ns(CLOCK_MONOTONIC);
}

int64_t
sa_wall_ns(void)
{
    return clock_ns(CLOCK_REALTIME);
}

int
sa_random(void *at, size_t len)
{
    uint8_t *next = at;
    while (len > 0) {
        ssize_t got = getrandom(next, len, 0);
        if (got < 0) {
            if (errno == EINTR)
                continue;
            return SA_INVALID;
        }
        next += got;
        len -= (size_t)got;
    }
    return SA_OK;
}

int
sa_futex_wait(uint32_t *word, uint32_t seen, int64_t timeout_ns)
{
    struct timespec left = {timeout_ns / 1000000000, timeout_ns % 1000000000};
    /* No FUTEX_PRIVATE_FLAG: the word is shared between processes. */
    long rc = syscall(SYS_futex, word, FUTEX_WAIT, seen, &left, NULL, 0);
    if (rc == 0 || errno == EAGAIN)
        return SA_OK;
    return errno == EINTR ? SA_INTERRUPTED : SA_TIMEOUT;
}

void
sa_futex_wake(uint32_t *word, int count)
{
    (void)syscall(SYS_futex, word, FUTEX_WAKE, count, NULL, NULL, 0);
}

void
sa_bell_write(int fd)
{
    uint64_t one = 1;
    ssize_t rc;
    do
        rc = write(fd, &one, sizeof one);
    while (rc < 0 && errno == EINTR);
}

void *
sa_map(int fd, size_t len, int writable)
{
    int prot = writable ? PROT_READ | PROT_WRITE : PROT_READ;
    void *at = mmap(NULL, len, prot, MAP_SHARED, fd, 0);
    if (at == MAP_FAILED)
        return NULL;
    if (madvise(at, len, MADV_DONTFORK) != 0) {
        int error = errno;
        (void)munmap(at, len);
        errno = error;
        return NULL;
    }
    map_generation = sa_generation();
    return at;
}

void
sa_unmap(void *at, size_t len)
{
    if (at && sa_generation() == map_generation)
        (void)munmap(at, len);
}

static int64_t
cpu_ns(const struct rusage *used)
{
    int64_t seconds = used->ru_utime.tv_sec + used->ru_stime.tv_sec;
    return seconds * 1000000000 +
           ((int64_t)used->ru_utime.tv_usec + used->ru_stime.tv_usec) * 1000;
}

void
sa_usage_read(struct sa_usage *usage)
{
    struct rusage own, children;
    (void)getrusage(RUSAGE_SELF, &own);
    (void)getrusage(RUSAGE_CHILDREN, &children);
    *usage = (struct sa_usage){
        .cpu_ns = cpu_ns(&own) + cpu_ns(&children),
        .peak_rss = (uint64_t)own.ru_maxrss * 1024,
        .minor_faults = (uint64_t)(own.ru_minflt + children.ru_minflt),
        .major_faults = (uint64_t)(own.ru_majflt + children.ru_majflt),
    };
}

static timer_t timer;

int
sa_timer_open(int signo)
{
    struct sigevent event;
    memset(&event, 0, sizeof event);
    event.sigev_notify = SIGEV_SIGNAL;
    event.sigev_signo = signo;
    return timer_create(CLOCK_MONOTONIC, &event, &timer) == 0 ? SA_OK : SA_INVALID;
}

int
sa_timer_arm(int64_t delay_ns)
{
    struct itimerspec when = {
        .it_value = {delay_ns / 1000000000, delay_ns % 1000000000},
    };
    if (delay_ns < 1)
        when.it_value.tv_nsec = 1; /* 0 would disarm it */
    return timer_settime(timer, 0, &when, NULL) == 0 ? SA_OK : SA_INVALID;
}

static siginfo_t
queued(int signo, uint64_t value)
{
    siginfo_t info;
    memset(&info, 0, sizeof info);
    info.si_signo = signo;
    info.si_code = SI_QUEUE;
    info.si_pid = getpid();
    info.si_uid = getuid();
    info.si_value.sival_ptr = (void *)(uintptr_t)value;
    return info;
}

int
sa_signal_pidfd(int pidfd, int signo, uint64_t value)
{
    siginfo_t info = queued(signo, value);
    return syscall(SYS_pidfd_send_signal, pidfd, signo, &info, 0) == 0 ? SA_OK
                                                                       : SA_STALE;
}

int
sa_on_main_thread(void)
{
    return syscall(SYS_gettid) == getpid();
}

void
sa_signal_main_thread(int signo, uint64_t value)
{
    siginfo_t info = queued(signo, value);
    (void)syscall(SYS_rt_tgsigqueueinfo, getpid(), getpid(), signo, &info);
}
