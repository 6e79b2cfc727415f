/* What time does to tasks: delays end, tasks and results expire, limits pass. */
#include "sa_cell.h"
#include "sa_core.h"

static const uint8_t nothing[1] = {0};

static int
expired(const struct sa_core *core, const struct sa_task *task)
{
    int64_t end = sa_task_ends_by(task);
    return end && end <= core->wall;
}

int
sa_expire_one(struct sa_core *core, uint32_t number)
{
    const struct sa_slot *slot = &core->arena.slots[number];
    if (!expired(core, sa_core_task(core, slot)))
        return 0;
    struct sa_var var = *sa_slot_var(slot);
    sa_core_unqueue(core, number);
    core->arena.stats->expired++;
    core->moved++;
    sa_core_finish(core, number, &var, SA_CANCELLED, nothing, 0);
    return 1;
}

static void
due(struct sa_core *core, uint32_t number)
{
    if (sa_expire_one(core, number))
        return;
    struct sa_slot *slot = &core->arena.slots[number];
    struct sa_var var = *sa_slot_var(slot);
    int64_t clock = var.marks & SA_MARK_WALL ? core->wall : core->now;
    if (sa_slot_state(slot) != SA_DELAYED || var.due_ns > clock) {
        sa_core_timer(core, number); /* the wall clock moved: not yet */
        return;
    }
    sa_core_unqueue(core, number);
    var.marks &= (uint16_t)~SA_MARK_WALL;
    var.due_ns = core->now;
    sa_slot_commit(slot, SA_READY, 0, &var);
    sa_core_enqueue(core, number, 0);
}

static void
expire_results(struct sa_core *core, struct sa_list *list)
{
    uint32_t next = list->first;
    for (int i = 0; i < SA_BATCH && next != SA_NONE; i++) {
        uint32_t number = next;
        next = core->links.next[number];
        const struct sa_slot *slot = &core->arena.slots[number];
        int64_t end = sa_core_plus(slot->finished_ns, core->options.result_ttl_ns);
        int64_t left = sa_core_plus(end, -core->wall);
        if (left > 0) {
            sa_core_wake_at(core, sa_core_plus(core->now, left));
            return;
        }
        if (!sa_core_event_room(core))
            return;
        if (sa_slot_var(slot)->marks & (SA_MARK_DEAD | SA_MARK_TIED))
            continue; /* its dead letter is not written yet */
        sa_list_remove(&core->links, list, number);
        sa_core_free_slot(core, number);
    }
}

void
sa_expire(struct sa_core *core, uint32_t budget)
{
    struct sa_heap *timers = &core->timers;
    for (uint32_t i = 0; i < budget && timers->count; i++) {
        if (timers->keys[0] > core->now || !sa_core_event_room(core))
            break;
        due(core, timers->slots[0]);
        core->moved++;
    }
    if (timers->count)
        sa_core_wake_at(core, timers->keys[0]);
    expire_results(core, &core->delivered);
    expire_results(core, &core->orphaned);
}

/* `began` + a limit (0 = none) + what the worker asked to add. */
static int64_t
limit_end(int64_t began, uint64_t limit_ns, const struct sa_lease *lease)
{
    if (!limit_ns)
        return INT64_MAX;
    int64_t limit = limit_ns > INT64_MAX ? INT64_MAX : (int64_t)limit_ns;
    int64_t more = sa_core_plus(lease->extended_ns, lease->shifted_ns);
    return sa_core_plus(sa_core_plus(began, limit), more);
}

static int64_t
hard_end(const struct sa_core *core, const struct sa_task *task,
         const struct sa_lease *lease, int64_t began, uint64_t hard_ns)
{
    int64_t end = limit_end(began, hard_ns, lease);
    if (!task->deadline_ns)
        return end;
    int64_t deadline = sa_core_plus(task->deadline_ns, -core->offset);
    return deadline < end ? deadline : end;
}

int64_t
sa_lease_began(const struct sa_core *core, struct sa_actor *actor, uint32_t cell)
{
    struct sa_lease *lease = &actor->leases[cell];
    if (lease->began_ns)
        return lease->began_ns;
    /* The worker's word, which a wild write may have changed: a start lies between
     * the offer and now, and we ask once. */
    int64_t began = (int64_t)sa_load_relaxed((uint64_t *)&actor->started[cell]);
    began = began < lease->offered_ns ? lease->offered_ns : began;
    lease->began_ns = began > core->now ? core->now : began;
    return lease->began_ns;
}

/* News of a limit, behind those of the start: its own word may still be on its way. */
static void
tell_timeout(struct sa_core *core, uint32_t worker, uint32_t cell, int is_hard,
             uint64_t limit_ns)
{
    uint32_t number = core->actors[worker].leases[cell].slot;
    const struct sa_var *var = sa_slot_var(&core->arena.slots[number]);
    struct sa_fact fact = {.type = SA_NEWS_TIMEOUT, .kind = (uint32_t)is_hard,
                           .worker = worker, .value = limit_ns,
                           .attempt = var->attempt, .starts = var->starts + 1};
    sa_news_started(core, worker, cell);
    sa_news_add(core, number, &fact);
}

/* One limit: an event once it has passed (1), else a look at the right time.  A task
 * that nobody has taken yet cannot run into its limit.  Which start it was stands in
 * the event: the slot's next one may be in the same cell before Python reads it. */
static int
watch_end(struct sa_core *core, uint32_t worker, uint32_t cell, int taken,
          int64_t end, uint32_t type, uint8_t *sent)
{
    if (*sent)
        return 0;
    if (end > core->now) {
        sa_core_wake_at(core, end);
        return 0;
    }
    uint32_t number = core->actors[worker].leases[cell].slot;
    uint64_t starts = sa_slot_var(&core->arena.slots[number])->starts;
    if (!taken || sa_core_event(core, type, number, worker, starts << 32 | cell,
                                (uint64_t)(core->now - end)) != SA_OK)
        return 0;
    *sent = 1;
    return 1;
}

void
sa_tell_hard(struct sa_core *core, uint32_t worker, uint32_t cell)
{
    struct sa_actor *actor = &core->actors[worker];
    const struct sa_lease *lease = &actor->leases[cell];
    const struct sa_slot *slot = &core->arena.slots[lease->slot];
    const struct sa_task *task = sa_core_task(core, slot);
    uint64_t hard_ns = sa_slot_hard_ns(slot, task);
    int64_t began = sa_lease_began(core, actor, cell);
    int is_own = hard_end(core, task, lease, began, hard_ns) ==
                 limit_end(began, hard_ns, lease);
    tell_timeout(core, worker, cell, 1,
                 is_own ? hard_ns + (uint64_t)lease->extended_ns : 0);
}

static void
watch(struct sa_core *core, uint32_t worker, uint32_t cell)
{
    struct sa_actor *actor = &core->actors[worker];
    struct sa_lease *lease = &actor->leases[cell];
    const struct sa_slot *slot = &core->arena.slots[lease->slot];
    const struct sa_task *task = sa_core_task(core, slot);
    int taken = sa_cell_state(sa_load_acquire(&actor->cells[cell])) == SA_CELL_TAKEN;
    /* Not taken: it may begin at any moment from now on. */
    int64_t began = taken ? sa_lease_began(core, actor, cell) : core->now;
    uint64_t soft_ns = sa_slot_soft_ns(slot, task);
    if (watch_end(core, worker, cell, taken, limit_end(began, soft_ns, lease),
                  SA_EVENT_SOFT, &lease->soft_sent))
        tell_timeout(core, worker, cell, 0, soft_ns + (uint64_t)lease->extended_ns);
    (void)watch_end(core, worker, cell, taken,
                    hard_end(core, task, lease, began, sa_slot_hard_ns(slot, task)),
                    SA_EVENT_HARD, &lease->hard_sent);
}

void
sa_limits(struct sa_core *core, uint32_t worker)
{
    struct sa_actor *actor = &core->actors[worker];
    uint32_t left = actor->limited;
    for (uint32_t c = 0; c < actor->ncells && left; c++)
        if (actor->leases[c].slot != SA_NONE && actor->leases[c].limited) {
            left--;
            watch(core, worker, c);
        }
}

void
sa_limits_shift(struct sa_core *core, int64_t gap_ns)
{
    for (uint32_t w = 0; w < core->options.workers_max; w++) {
        struct sa_actor *actor = &core->actors[w];
        for (uint32_t c = 0; c < actor->ncells && actor->limited; c++)
            if (actor->leases[c].slot != SA_NONE)
                actor->leases[c].shifted_ns =
                    sa_core_plus(actor->leases[c].shifted_ns, gap_ns);
    }
}
