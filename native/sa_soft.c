#include "sa_soft.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

#include "sa_cell.h"
#include "sa_layout.h"
#include "sa_order.h"
#include "sa_platform.h"

void (*sa_soft_trip)(int signo);

/* A signal handler has no argument of ours, hence this one global. */
static sa_worker *target;
static uint64_t pending;
static int wake = -1;

static uint32_t
find(const struct sa_ring_words *words, uint64_t value)
{
    const uint64_t *cells = (const uint64_t *)((const uint8_t *)words + SA_CELLS_AT);
    for (uint32_t c = 0; c < words->head.cells; c++)
        if (sa_load_acquire(&cells[c]) == value)
            return c;
    return SA_NONE;
}

static void
on_signal(int signo, siginfo_t *info, void *context)
{
    int error = errno;
    uint64_t value = (uint64_t)(uintptr_t)info->si_value.sival_ptr;
    (void)context;
    if (target && sa_cell_state(value) == SA_CELL_TAKEN &&
        find(sa_worker_words(target), value) != SA_NONE) {
        if (!sa_on_main_thread()) {
            /* The kernel chose a helper thread; only the main one is
             * interrupted out of its system call. */
            sa_signal_main_thread(signo, value);
        } else {
            sa_store_release(&pending, value);
            if (sa_soft_trip)
                sa_soft_trip(signo);
            if (wake >= 0)
                sa_bell_write(wake);
        }
    }
    errno = error;
}

int
sa_soft_open(sa_worker *worker, int signo, int wake_fd)
{
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_sigaction = on_signal;
    /* No SA_RESTART: a blocked system call must return. */
    action.sa_flags = SA_SIGINFO | SA_ONSTACK;
    target = worker;
    wake = wake_fd;
    return sigaction(signo, &action, NULL) == 0 ? SA_OK : SA_INVALID;
}

int
sa_soft_take(uint32_t *cell)
{
    uint64_t value = sa_load_acquire(&pending);
    sa_store_release(&pending, 0);
    if (!value || !target)
        return SA_EMPTY;
    *cell = find(sa_worker_words(target), value);
    return *cell == SA_NONE ? SA_EMPTY : SA_OK;
}

int
sa_soft_send(const void *ring, uint32_t cell, int pidfd, int signo)
{
    const struct sa_ring_words *words = ring;
    const uint64_t *cells = (const uint64_t *)((const uint8_t *)ring + SA_CELLS_AT);
    if (cell >= words->head.cells)
        return SA_INVALID;
    uint64_t value = sa_load_acquire(&cells[cell]);
    if (sa_cell_state(value) != SA_CELL_TAKEN)
        return SA_EMPTY;
    return sa_signal_pidfd(pidfd, signo, value);
}
