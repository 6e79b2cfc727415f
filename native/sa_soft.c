#include "sa_soft.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

#include "sa_cell.h"
#include "sa_layout.h"
#include "sa_order.h"
#include "sa_platform.h"

void (*sa_soft_trip)(int signo);

/* A signal handler has no argument of ours, hence these globals. */
static sa_worker *target;
static uint32_t birth; /* sa_generation() of the process that opened it */
/* By cell, the value that was sent; 0 = none.  What could not be delivered waits in
 * `later` until the timer moves it back. */
static uint64_t asked[SA_CELLS_MAX], later[SA_CELLS_MAX];
static int64_t timer_due; /* when the timer goes off; 0 = it is not armed */
static int wake = -1;

/* The timer's value, which means no cell. */
enum { LOOK_AGAIN = 0 };

enum { REMIND_MIN_NS = 10000000, REMIND_MAX_NS = 1000000000 };

static const uint64_t *
cells_of(const struct sa_ring_words *words)
{
    return (const uint64_t *)((const uint8_t *)words + SA_CELLS_AT);
}

static int
is_running(const struct sa_ring_words *words, uint32_t cell, uint64_t value)
{
    uint64_t taken = sa_cell_as(value, SA_CELL_TAKEN);
    return value && sa_load_acquire(&cells_of(words)[cell]) == taken;
}

static uint32_t
find(const struct sa_ring_words *words, uint64_t value)
{
    for (uint32_t c = 0; c < words->head.cells; c++)
        if (is_running(words, c, value))
            return c;
    return SA_NONE;
}

/* Whether `word`, one of those below, has the start in `cell` revoked. */
static int
has_revoke(const struct sa_ring_words *words, uint32_t cell, const uint64_t *word)
{
    uint64_t value = sa_load_acquire(word);
    return sa_cell_state(value) == SA_STOP_REVOKED && is_running(words, cell, value);
}

/* Note a request, unless the start is revoked: then the limit that passes meanwhile, or
 * a drain, changes nothing. */
static void
ask(const struct sa_ring_words *words, uint32_t cell, uint64_t value)
{
    if (sa_cell_state(value) == SA_STOP_REVOKED ||
        (!has_revoke(words, cell, &asked[cell]) &&
         !has_revoke(words, cell, &later[cell])))
        sa_store_release(&asked[cell], value);
}

static void
come_back(uint32_t cells)
{
    timer_due = 0;
    for (uint32_t c = 0; c < cells; c++) {
        uint64_t value = sa_load_acquire(&later[c]);
        if (!value)
            continue;
        sa_store_release(&later[c], 0);
        /* A newer request stands; but none is more than a revoke. */
        if (!sa_load_acquire(&asked[c]) || sa_cell_state(value) == SA_STOP_REVOKED)
            sa_store_release(&asked[c], value);
    }
}

/* Python's handler cannot run where its stack has no room: until it has taken what
 * was asked it is told again, ever more rarely.  Returns whether there is anything
 * to take. */
static int
remind(uint32_t cells)
{
    static int64_t patience = REMIND_MIN_NS;
    for (uint32_t c = 0; c < cells; c++) {
        if (!sa_load_acquire(&asked[c]))
            continue;
        (void)sa_soft_look(patience);
        patience = patience < REMIND_MAX_NS ? 2 * patience : REMIND_MAX_NS;
        return 1;
    }
    patience = REMIND_MIN_NS;
    return 0;
}

static void
trip(int signo)
{
    if (!remind(sa_worker_words(target)->head.cells))
        return;
    if (sa_soft_trip)
        sa_soft_trip(signo);
    if (wake >= 0)
        sa_bell_write(wake);
}

static void
on_signal(int signo, siginfo_t *info, void *context)
{
    int error = errno;
    uint64_t value = (uint64_t)(uintptr_t)info->si_value.sival_ptr;
    (void)context;
    /* A child of the worker has no ring to look at. */
    if (!target || birth != sa_generation())
        return;
    uint32_t cell = value == LOOK_AGAIN ? 0 : find(sa_worker_words(target), value);
    if (cell != SA_NONE) {
        if (!sa_on_main_thread()) {
            /* The kernel chose a helper thread; only the main one is
             * interrupted out of its system call. */
            sa_signal_main_thread(signo, value);
        } else {
            if (value == LOOK_AGAIN)
                come_back(sa_worker_words(target)->head.cells);
            else
                ask(sa_worker_words(target), cell, value);
            trip(signo);
        }
    }
    errno = error;
}

static int
install(int signo)
{
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_sigaction = on_signal;
    /* No SA_RESTART: a blocked system call must return. */
    action.sa_flags = SA_SIGINFO | SA_ONSTACK;
    return sigaction(signo, &action, NULL) == 0 ? SA_OK : SA_INVALID;
}

int
sa_soft_open(sa_worker *worker, int signo, int wake_fd)
{
    memset(asked, 0, sizeof asked);
    memset(later, 0, sizeof later);
    timer_due = 0;
    target = worker;
    birth = sa_generation();
    wake = wake_fd;
    if (sa_timer_open(signo) != SA_OK)
        return SA_INVALID;
    return install(signo);
}

int
sa_soft_is_armed(int signo, int last_signo)
{
    struct sigaction now;
    sigset_t ours;
    (void)sigemptyset(&ours);
    for (int number = signo; number <= last_signo; number++)
        (void)sigaddset(&ours, number);
    if (pthread_sigmask(SIG_UNBLOCK, &ours, NULL) || sigaction(signo, NULL, &now))
        return 0;
    return now.sa_flags & SA_SIGINFO && now.sa_sigaction == on_signal;
}

int
sa_soft_rearm(int signo)
{
    return target && birth == sa_generation() ? install(signo) : SA_FOREIGN;
}

int
sa_soft_take(uint32_t *cell, uint32_t *reason)
{
    if (!target || birth != sa_generation())
        return SA_EMPTY;
    const struct sa_ring_words *words = sa_worker_words(target);
    for (uint32_t c = 0; c < words->head.cells; c++) {
        if (!sa_load_relaxed(&asked[c]))
            continue;
        uint64_t value = sa_load_acquire(&asked[c]);
        sa_store_release(&asked[c], 0);
        if (!is_running(words, c, value))
            continue;
        *cell = c;
        *reason = sa_cell_state(value);
        return SA_OK;
    }
    return SA_EMPTY;
}

int
sa_soft_again(uint32_t cell, uint32_t reason, int64_t delay_ns)
{
    if (!target || birth != sa_generation())
        return SA_FOREIGN;
    const struct sa_ring_words *words = sa_worker_words(target);
    if (cell >= words->head.cells || reason < SA_STOP_REVOKED || reason > SA_STOP_DRAIN)
        return SA_INVALID;
    uint64_t word = sa_load_acquire(&cells_of(words)[cell]);
    if (sa_cell_state(word) != SA_CELL_TAKEN)
        return SA_EMPTY;
    if (!has_revoke(words, cell, &later[cell]))
        sa_store_release(&later[cell], sa_cell_as(word, reason));
    return sa_soft_look(delay_ns);
}

int
sa_soft_look(int64_t delay_ns)
{
    if (!target || birth != sa_generation())
        return SA_FOREIGN;
    int64_t due = sa_mono_ns() + delay_ns;
    if (timer_due && timer_due <= due)
        return SA_OK;
    timer_due = due;
    return sa_timer_arm(delay_ns);
}

int
sa_soft_send(const void *ring, uint32_t cell, int pidfd, int signo, uint32_t reason)
{
    const struct sa_ring_words *words = ring;
    if (cell >= words->head.cells || reason < SA_STOP_REVOKED || reason > SA_STOP_DRAIN)
        return SA_INVALID;
    uint64_t value = sa_load_acquire(&cells_of(words)[cell]);
    if (sa_cell_state(value) != SA_CELL_TAKEN)
        return SA_EMPTY;
    return sa_signal_pidfd(pidfd, signo, sa_cell_as(value, reason));
}
