/* The supervisor: its start, its socket, its budget of deaths. */
#define _GNU_SOURCE
#include "guardian.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define SA_OUTBOX_MASK (SA_OUTBOX_MAX - 1)
#define SA_OUTBOX_ROOM 8192u /* what one read of the supervisor may lead to, and more */

/* Become the supervisor. Descriptors: 3 guardian, 4 bell, 5 status, 0-2 std. */
static _Noreturn void exec_supervisor(struct sa_guardian *g, int fd)
{
    struct sigaction plain = {.sa_handler = SIG_DFL};
    sigset_t none;

    for (int number = 1; number < NSIG; number++)
        sigaction(number, &plain, NULL);
    /* Armed before the check: a guardian that died in between is seen by one. */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != g->pid)
        _exit(0);
    setpgid(0, 0); /* Ctrl-C of a terminal is for the guardian alone */
    /* Our own descriptors are all >= 10, so none of these overwrites a source. */
    int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null_fd < 0 || dup2(null_fd, 0) < 0 || dup2(fd, 3) < 0 ||
        dup2(g->bell_fd, 4) < 0 || dup2(g->status_fd, 5) < 0)
        _exit(126);
    close_range(6, ~0u, 0);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    char epoch[16];
    snprintf(epoch, sizeof(epoch), "%u", g->epoch);
    setenv("STEM_ACTOR_EPOCH", epoch, 1);
    if (g->quarantining)
        setenv("STEM_ACTOR_QUARANTINE", g->failure, 1);
    execvp(g->supervisor_argv[0], g->supervisor_argv);
    sa_log("cannot start %s: %s", g->supervisor_argv[0], strerror(errno));
    _exit(127);
}

/* Tell a new supervisor of the workers that its fence could not kill. */
static void tell_unkillable(struct sa_guardian *g)
{
    for (uint32_t at = 0; at < SA_BUCKETS; at++) {
        struct sa_child *child = &g->children[at];
        if (child->kind != SA_KIND_WORKER || !child->unkillable)
            continue;
        const struct sa_message born = {
            .verb = SA_VERB_BORN,
            .worker = child->worker,
            .epoch = child->epoch,
            .incarnation = child->incarnation,
            .pid = child->pid,
            .value = EBUSY,
        };
        sa_supervisor_tell(g, &born);
    }
}

/* Start a supervisor on a new socket pair; a fork that fails is tried again. */
void sa_supervisor_start(struct sa_guardian *g)
{
    int pair[2] = {-1, -1};
    pid_t pid = -1;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0)
        pid = fork();
    if (pid == 0)
        exec_supervisor(g, pair[1]);
    sa_close(&pair[1]);
    if (pid < 0 || sa_table_add(g, pid, SA_KIND_SUPERVISOR) == NULL) {
        sa_log("cannot fork the supervisor: %s", strerror(errno));
        sa_close(&pair[0]);
        g->stage = SA_STAGE_RESTING;
        g->stage_until = sa_now() + 100 * SA_MS;
        return;
    }
    g->stage = SA_STAGE_SERVING;
    g->supervisor_pid = pid;
    g->supervisor_fd = pair[0];
    g->outbox_head = g->outbox_tail = 0;
    tell_unkillable(g);
}

/* Send, or keep for sa_supervisor_flush. What is for a dead one is dropped. */
void sa_supervisor_tell(struct sa_guardian *g, const struct sa_message *message)
{
    if (g->supervisor_fd < 0)
        return;
    if (g->outbox_tail - g->outbox_head >= SA_OUTBOX_MAX) {
        /* It reads nothing and we owe it more than we can keep: start afresh. */
        sa_log("the supervisor does not read; it is killed");
        kill(g->supervisor_pid, SIGKILL);
        sa_close(&g->supervisor_fd);
        return;
    }
    g->outbox[g->outbox_tail++ & SA_OUTBOX_MASK] = *message;
}

/* Send what waits, as far as the socket takes it. */
void sa_supervisor_flush(struct sa_guardian *g)
{
    while (g->supervisor_fd >= 0 && g->outbox_head != g->outbox_tail) {
        const struct sa_message *next = &g->outbox[g->outbox_head & SA_OUTBOX_MASK];
        if (sa_wire_send(g->supervisor_fd, next, -1) != 0)
            return; /* full, or gone: its death is on its way */
        g->outbox_head++;
    }
}

/* False while so much waits for it that new requests must wait too. */
bool sa_supervisor_may_speak(const struct sa_guardian *g)
{
    return g->outbox_tail - g->outbox_head < SA_OUTBOX_ROOM;
}

static void obey(struct sa_guardian *g, const struct sa_message *message, int passed_fd)
{
    struct sa_child *child;
    switch ((enum sa_verb)message->verb) {
    case SA_VERB_FORK:
        sa_birth_ask(g, message, passed_fd);
        return;
    case SA_VERB_WATCHING:
        child = sa_table_find(g, message->pid);
        if (child != NULL && child->kind == SA_KIND_WORKER)
            child->watched = true;
        break;
    case SA_VERB_READY:
        g->death_count = 0;
        g->backoff = 0;
        g->blamed = 0;
        g->failure_told = false;
        /* It ends the command line's first line; later ones would stand alone. */
        if (!g->cli || !g->was_ready)
            sa_status_write(g, "ready\n");
        g->was_ready = true;
        break;
    case SA_VERB_SHUTDOWN:
        sa_stop(g, message->value);
        break;
    default:
        sa_log("the supervisor said %u, which is no verb", message->verb);
    }
    sa_close(&passed_fd);
}

/* Do all the supervisor has asked for. A closed socket means it is to go. */
void sa_supervisor_read(struct sa_guardian *g)
{
    struct sa_message message;
    int passed_fd;
    while (g->supervisor_fd >= 0 && sa_supervisor_may_speak(g)) {
        int got = sa_wire_receive(g->supervisor_fd, &message, &passed_fd);
        if (got == -EAGAIN)
            return;
        if (got == -EMFILE) {
            const struct sa_message born = {
                .verb = SA_VERB_BORN,
                .worker = message.worker,
                .epoch = message.epoch,
                .incarnation = message.incarnation,
                .value = EMFILE,
            };
            sa_supervisor_tell(g, &born);
            continue;
        }
        if (got != 1) {
            sa_close(&g->supervisor_fd);
            kill(g->supervisor_pid, SIGKILL);
            return;
        }
        obey(g, &message, passed_fd);
    }
}

/* Say *line* to the host; the pipe is non-blocking and never needs to be read. */
void sa_status_write(struct sa_guardian *g, const char *line)
{
    if (write(g->status_fd, line, strlen(line)) < 0)
        sa_log("the host does not read its status pipe: %s", line);
}

static void tell_failure(struct sa_guardian *g)
{
    char line[sizeof(g->failure) + 16];
    snprintf(line, sizeof(line), "failed: %s\n", g->failure);
    g->failure_told = true;
    sa_status_write(g, line);
}

/*
 * Whether a supervisor that ended with *status* before it was ready may have
 * done so because of what it read in the arena. Not by SIGKILL and the like,
 * which come from outside, nor where it says itself what else was wrong.
 */
static bool blames_arena(int status)
{
    if (WIFEXITED(status))
        return WEXITSTATUS(status) == 70;
    int number = WTERMSIG(status);
    return number == SIGSEGV || number == SIGBUS || number == SIGABRT ||
           number == SIGILL || number == SIGFPE;
}

/* Lengthen the pause where too many have died in too short a time. */
static void count_death(struct sa_guardian *g)
{
    int64_t now = sa_now();
    g->deaths[g->death_count % SA_BUDGET_DEATHS] = now;
    g->death_count++;
    if (g->backoff != 0) {
        g->backoff *= 2;
    } else if (g->death_count >= SA_BUDGET_DEATHS) {
        /* The ring now starts at the entry after the one just written. */
        int64_t oldest = g->deaths[g->death_count % SA_BUDGET_DEATHS];
        if (now - oldest <= SA_BUDGET_NS)
            g->backoff = SA_BACKOFF_MIN_NS;
    }
    if (g->backoff > SA_BACKOFF_MAX_NS)
        g->backoff = SA_BACKOFF_MAX_NS;
}

/*
 * Account for the death, then fence: barrier, kill, sweep, rest, start. Where
 * the budget is spent and the arena may be why, the next supervisor puts it
 * aside, tells the host, and ends; the one after it starts with an empty ring.
 */
void sa_supervisor_died(struct sa_guardian *g, int status)
{
    bool was_quarantining = g->quarantining;
    g->supervisor_pid = 0;
    sa_close(&g->supervisor_fd);
    if (g->stage == SA_STAGE_STOPPING)
        return;
    sa_log("supervisor ended, wait status 0x%04x", status);
    g->quarantining = false;
    if (was_quarantining && WIFEXITED(status) && WEXITSTATUS(status) == 0) {
        g->failure_told = true;
        sa_fence_begin(g);
        return;
    }
    if (WIFSIGNALED(status))
        snprintf(g->failure, sizeof(g->failure), "supervisor killed by signal %d",
                 WTERMSIG(status));
    else
        snprintf(g->failure, sizeof(g->failure), "supervisor exited with status %d",
                 WEXITSTATUS(status));
    g->blamed = blames_arena(status) ? g->blamed + 1 : 0;
    count_death(g);
    if (g->cli && !g->was_ready && WIFEXITED(status) &&
        WEXITSTATUS(status) == SA_NOT_THE_ARENA) {
        sa_stop(g, 70); /* it has said why; whoever started us may try again */
        return;
    }
    if (g->backoff != 0 && g->blamed >= SA_BUDGET_DEATHS) {
        g->blamed = 0;
        g->quarantining = true;
    } else if (was_quarantining && WIFSIGNALED(status)) {
        g->quarantining = true; /* it may be half done */
    } else if (g->backoff != 0 && !g->failure_told) {
        tell_failure(g);
    }
    sa_fence_begin(g);
}
