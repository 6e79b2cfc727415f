/*
 * Waiting. A worker's pid is given up only after the supervisor holds a pidfd
 * of it (WATCHING), so that the pid it was told can never mean another process.
 */
#define _GNU_SOURCE
#include "guardian.h"

#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>

static uint64_t timeval_ns(struct timeval value)
{
    return (uint64_t)value.tv_sec * 1000000000u + (uint64_t)value.tv_usec * 1000u;
}

static void report_death(struct sa_guardian *g, const struct sa_child *child,
                         int status, const struct rusage *usage)
{
    const struct sa_message died = {
        .verb = SA_VERB_DIED,
        .worker = child->worker,
        .epoch = child->epoch,
        .incarnation = child->incarnation,
        .pid = child->pid,
        .value = status,
        .a = timeval_ns(usage->ru_utime),
        .b = timeval_ns(usage->ru_stime),
        .c = (uint64_t)usage->ru_maxrss,
        .d = (uint64_t)usage->ru_minflt << 32 | (uint32_t)usage->ru_majflt,
    };
    sa_supervisor_tell(g, &died);
}

/* Do what the death of *child* asks for; it is reaped and out of the table. */
static void bury(struct sa_guardian *g, const struct sa_child *child, int status,
                 const struct rusage *usage)
{
    switch ((enum sa_kind)child->kind) {
    case SA_KIND_WORKER:
        if (g->stage == SA_STAGE_SERVING) {
            report_death(g, child, status, usage);
            sa_sweep_want(g, child->pid);
        }
        break;
    case SA_KIND_ZYGOTE:
        sa_log("zygote %d ended, wait status 0x%04x", child->pid, status);
        sa_zygote_lost(g);
        break;
    case SA_KIND_SPARE:
        sa_spare_lost(g);
        break;
    case SA_KIND_SUPERVISOR:
        sa_supervisor_died(g, status);
        break;
    case SA_KIND_DOOMED:
        if (g->stage == SA_STAGE_SERVING)
            sa_sweep_want(g, 0); /* it may have left a newborn */
        break;
    default:
        break;
    }
}

/* Reap the zombie *pid*; false if it has to stay one for now. */
static bool reap_one(struct sa_guardian *g, pid_t pid)
{
    struct sa_child *child = sa_table_find(g, pid);
    if (child == NULL && g->flight != SA_FLIGHT_NONE)
        return false; /* perhaps the newborn of which we are about to hear */
    if (child != NULL && child->kind == SA_KIND_WORKER && !child->watched &&
        g->supervisor_fd >= 0)
        return false;

    /* While its leader is a zombie, the group's number cannot be another's. */
    if (child != NULL && child->kind == SA_KIND_WORKER)
        kill(-pid, SIGKILL);
    /* Their last words come before their death. */
    if (child != NULL && child->kind == SA_KIND_ZYGOTE)
        sa_zygote_read(g);
    if (child != NULL && child->kind == SA_KIND_SUPERVISOR)
        sa_supervisor_read(g);

    int status = 0;
    struct rusage usage = {0};
    if (wait4(pid, &status, WNOHANG, &usage) != pid)
        return false;
    child = sa_table_find(g, pid); /* reading may have moved it */
    if (child == NULL) {
        g->sweep_killed++;
        return true;
    }
    const struct sa_child dead = *child;
    sa_table_remove(g, pid);
    bury(g, &dead, status, &usage);
    return true;
}

/* Reap who is in the table: for when a zombie that must stay hides the others. */
static void reap_known(struct sa_guardian *g)
{
    static pid_t pids[SA_CHILDREN_MAX];
    uint32_t count = 0;
    for (uint32_t at = 0; at < SA_BUCKETS && count < SA_CHILDREN_MAX; at++) {
        if (g->children[at].kind != SA_KIND_FREE)
            pids[count++] = g->children[at].pid;
    }
    for (uint32_t at = 0; at < count; at++) {
        siginfo_t info = {0};
        if (waitid(P_PID, (id_t)pids[at], &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
            info.si_pid != 0)
            reap_one(g, pids[at]);
    }
}

/* Reap every child that is dead and may be reaped. */
void sa_reap(struct sa_guardian *g)
{
    for (;;) {
        siginfo_t info = {0};
        if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) != 0)
            return; /* no child at all */
        if (info.si_pid == 0)
            return; /* none of them is dead */
        if (!reap_one(g, info.si_pid)) {
            reap_known(g);
            return;
        }
    }
}
