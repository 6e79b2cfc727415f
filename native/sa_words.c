#include "sa_words.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "sa_cell.h"
#include "sa_layout.h"
#include "sa_order.h"
#include "sa_platform.h"

/* A signal handler has no argument of ours, hence these globals. */
static sa_worker *target;
static uint32_t birth; /* sa_generation() of the process that opened it */
static int file = -1;
static struct sigaction dump_one, dump_all;
static int signo_all;

static const char HEAD[] = "--- last words of ", END[] = "--- end ---\n";

static int
is_running(const struct sa_ring_words *words, uint64_t name)
{
    const uint8_t *ring = (const uint8_t *)words;
    const uint64_t *cells = (const uint64_t *)(ring + SA_CELLS_AT);
    for (uint32_t c = 0; c < words->head.cells; c++)
        if (sa_load_acquire(&cells[c]) == name)
            return sa_cell_state(name) == SA_CELL_TAKEN;
    return 0;
}

/* What cannot be written is lost: there is nobody to tell. */
static void
say(const char *text, size_t len)
{
    ssize_t rc = write(file, text, len);
    (void)rc;
}

static void
say_name(uint64_t name)
{
    char line[sizeof HEAD + 16];
    memcpy(line, HEAD, sizeof HEAD - 1);
    for (int i = 0; i < 16; i++)
        line[sizeof HEAD - 1 + i] = "0123456789abcdef"[name >> (60 - 4 * i) & 15];
    line[sizeof line - 1] = '\n';
    say(line, sizeof line);
}

static void
call(const struct sigaction *dump, int signo, siginfo_t *info, void *context)
{
    if (dump->sa_flags & SA_SIGINFO)
        dump->sa_sigaction(signo, info, context);
    else
        dump->sa_handler(signo);
}

static int
found(int signo, struct sigaction *dump)
{
    return sigaction(signo, NULL, dump) == 0 && dump->sa_handler != SIG_DFL &&
           dump->sa_handler != SIG_IGN;
}

static void
on_signal(int signo, siginfo_t *info, void *context)
{
    int error = errno;
    uint64_t name = (uint64_t)(uintptr_t)info->si_value.sival_ptr;
    /* A child of the worker has no ring to look at, and is not asked. */
    if (!target || birth != sa_generation())
        return;
    struct sa_ring_words *words = sa_worker_words(target);
    if (is_running(words, name)) {
        say_name(name);
        call(&dump_one, signo, info, context);
        call(&dump_all, signo_all, info, context);
        say(END, sizeof END - 1);
        sa_store_release(&words->status.said, name);
    }
    errno = error;
}

int
sa_words_open(sa_worker *worker, int signo, int all, int fd)
{
    struct sigaction action;
    memset(&action, 0, sizeof action);
    if (!found(signo, &dump_one) || !found(all, &dump_all))
        return SA_INVALID;
    signo_all = all;
    action.sa_sigaction = on_signal;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART;
    target = worker;
    birth = sa_generation();
    file = fd;
    sa_store_release(&sa_worker_words(worker)->status.said, 0);
    return sigaction(signo, &action, NULL) == 0 ? SA_OK : SA_INVALID;
}

int
sa_words_ask(const void *ring, uint32_t cell, int pidfd, int signo, uint64_t *name)
{
    const struct sa_ring_words *words = ring;
    const uint64_t *cells = (const uint64_t *)((const uint8_t *)ring + SA_CELLS_AT);
    if (cell >= words->head.cells)
        return SA_INVALID;
    *name = sa_load_acquire(&cells[cell]);
    if (sa_cell_state(*name) != SA_CELL_TAKEN)
        return SA_EMPTY;
    return sa_signal_pidfd(pidfd, signo, *name);
}

uint64_t
sa_words_said(const void *ring)
{
    return sa_load_acquire(&((const struct sa_ring_words *)ring)->status.said);
}

uint64_t
sa_words_name(uint32_t slot, uint32_t gen, uint32_t starts)
{
    return sa_cell_word(SA_CELL_TAKEN, starts, gen, slot);
}
