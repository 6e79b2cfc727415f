/*
 * Between two supervisors, and the end. The order is the point: first nothing
 * new can be born (barrier), then everything that was is dead (killing), then
 * what it left is dead (clearing), and only then may a supervisor look.
 */
#define _GNU_SOURCE
#include "guardian.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static void enter(struct sa_guardian *g, enum sa_stage stage, int64_t lasts)
{
    g->stage = stage;
    g->stage_until = sa_now() + lasts;
}

/* The supervisor is dead. */
void sa_fence_begin(struct sa_guardian *g)
{
    sa_birth_forget(g);
    g->sweeping = false; /* the fence sweeps for itself, and nobody waits for SWEPT */
    g->sweep_count = 0;
    sa_zygote_bar(g);
    enter(g, SA_STAGE_BARRIER, SA_BARRIER_NS);
}

static void kill_workers(struct sa_guardian *g)
{
    for (uint32_t at = 0; at < SA_BUCKETS; at++) {
        const struct sa_child *child = &g->children[at];
        if (child->kind == SA_KIND_WORKER) {
            kill(-child->pid, SIGKILL);
            kill(child->pid, SIGKILL);
        }
    }
}

/* Count workers that are not dead yet, without those given up. */
static uint32_t workers_left(const struct sa_guardian *g)
{
    uint32_t count = 0;
    for (uint32_t at = 0; at < SA_BUCKETS; at++) {
        const struct sa_child *child = &g->children[at];
        count += child->kind == SA_KIND_WORKER && !child->unkillable;
    }
    return count;
}

/* The next supervisor is told of these; they hold no pid back any more. */
static void give_up_on_workers(struct sa_guardian *g)
{
    for (uint32_t at = 0; at < SA_BUCKETS; at++) {
        struct sa_child *child = &g->children[at];
        if (child->kind == SA_KIND_WORKER && !child->unkillable) {
            child->unkillable = true;
            child->watched = true;
            sa_log("worker process %d cannot be killed", child->pid);
        }
    }
}

/* Kill every child but the foreign ones, known to the table or not. */
static void kill_child(struct sa_guardian *g, pid_t pid)
{
    const struct sa_child *child = sa_table_find(g, pid);
    if (child != NULL && child->kind == SA_KIND_FOREIGN)
        return;
    g->swept_something = true;
    if (child != NULL && child->kind == SA_KIND_WORKER)
        kill(-pid, SIGKILL);
    kill(pid, SIGKILL);
}

/* End everything, then this process with *exit_code*. The first call decides. */
void sa_stop(struct sa_guardian *g, int exit_code)
{
    if (g->stage == SA_STAGE_STOPPING)
        return;
    g->exit_code = exit_code;
    sa_birth_forget(g);
    g->sweeping = false;
    g->flight = SA_FLIGHT_NONE; /* its newborn is one more child to kill */
    enter(g, SA_STAGE_STOPPING, SA_KILL_NS);
}

/*
 * True when nobody is left. A child's last descendant is our child by then or
 * dead: parents go to their reaper before they can be waited for.
 */
static bool stopping_is_over(struct sa_guardian *g)
{
    /* The supervisor dies first, so that no pid it may use has a new meaning. */
    if (g->supervisor_pid != 0)
        kill(g->supervisor_pid, SIGKILL);
    sa_close(&g->supervisor_fd);
    g->swept_something = false;
    bool whole = sa_children_each(g, kill_child, sa_now() + SA_SWEEP_PASS_NS);
    if (whole && !g->swept_something)
        return true;
    if (sa_now() < g->stage_until)
        return false;
    sa_log("processes remain that cannot be killed");
    return true;
}

/* Clear what dead workers left; true when the stage is over. */
static bool clearing_is_over(struct sa_guardian *g)
{
    bool late = sa_now() >= g->stage_until;
    /* A spare on its way is no stranger, and an unprepared zygote made no worker. */
    if (g->flight != SA_FLIGHT_NONE)
        return late;
    g->empty_passes = sa_sweep_pass(g) ? g->empty_passes + 1 : 0;
    return g->empty_passes >= 2 || late;
}

/* Move on by one stage where that is allowed. */
static void move_on(struct sa_guardian *g)
{
    switch (g->stage) {
    case SA_STAGE_BARRIER:
        if (g->barrier_open)
            break; /* sa_zygote_check ends it at the deadline */
        enter(g, SA_STAGE_KILLING, SA_KILL_NS);
        kill_workers(g);
        sa_reap(g);
        break;
    case SA_STAGE_KILLING:
        if (workers_left(g) != 0 && sa_now() < g->stage_until)
            break;
        give_up_on_workers(g);
        g->empty_passes = 0;
        enter(g, SA_STAGE_CLEARING, SA_SWEEP_NS);
        break;
    case SA_STAGE_CLEARING:
        if (clearing_is_over(g))
            enter(g, SA_STAGE_RESTING, g->backoff);
        break;
    case SA_STAGE_RESTING:
        if (sa_now() >= g->stage_until)
            sa_supervisor_start(g);
        break;
    default:
        break;
    }
}

/* Move on as far as the stages allow; true when the guardian may end. */
bool sa_stage_step(struct sa_guardian *g)
{
    enum sa_stage before;
    do {
        before = g->stage;
        move_on(g);
    } while (g->stage != before && g->stage != SA_STAGE_SERVING);
    return g->stage == SA_STAGE_STOPPING && stopping_is_over(g);
}
