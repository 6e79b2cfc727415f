/* The supervisor's inner loop between two sleeps, in one crossing. */
#include <time.h>

#include "sa_bell.h"
#include "sa_core_api.h"

enum {
    NAP_NS = 60000,
    BUSY = 24,
    EVENTS_SOON = SA_EVENTS / 2,
    /* Nothing of ours sleeps for so long, so we were stopped, or starved. */
    GAP_NS = 1000000000
};

/* A record that found no room is no reason to stay awake: room comes with an
 * outcome, a drain or a timer, and each of them wakes us. */
static int
published(const struct sa_spsc *ring)
{
    return !ring->stalled && sa_load_acquire(ring->tail) != ring->local;
}

static int
anything_published(const struct sa_core *core)
{
    for (uint32_t w = 0; w < core->options.workers_max; w++) {
        const struct sa_actor *actor = &core->actors[w];
        if (!actor->words || actor->state == SA_ACTOR_ABSENT || actor->quarantined)
            continue;
        if (published(&actor->outbox) || published(&actor->submit))
            return 1;
    }
    for (uint32_t i = 0; i < SA_PRODUCERS_MAX; i++) {
        const struct sa_peer *peer = &core->peers[i];
        if (peer->used && !peer->quarantined && published(&peer->submit))
            return 1;
    }
    return 0;
}

static uint32_t
step(struct sa_core *core)
{
    int64_t now = sa_mono_ns();
    if (core->ran_ns && now - core->ran_ns > GAP_NS)
        sa_limits_shift(core, now - core->ran_ns);
    core->ran_ns = now;
    return sa_core_step(core, now, sa_wall_ns(), SA_BATCH);
}

/* 1 when something was published within `poll_ns`. */
static int
poll(const struct sa_core *core, int64_t poll_ns)
{
    int64_t until = sa_mono_ns() + poll_ns;
    while (sa_mono_ns() < until) {
        if (anything_published(core))
            return 1;
        sa_pause();
    }
    return 0;
}

static int64_t
arm(struct sa_core *core, struct sa_bell_page *bell, int64_t sweep_ns)
{
    sa_store32(&bell->sleeping, 1);
    sa_fence(); /* pairs with P6: either they see the flag or we see the tail */
    if (anything_published(core)) {
        (void)sa_swap32(&bell->sleeping, 0);
        return 0;
    }
    int64_t left = core->next_ns == INT64_MAX ? sweep_ns : core->next_ns - sa_mono_ns();
    if (left < 1)
        left = 1;
    return left < sweep_ns ? left : sweep_ns;
}

int64_t
sa_core_run(sa_core *core, void *bell, int64_t budget_ns, int64_t poll_ns,
            int64_t sweep_ns)
{
    int64_t until = sa_mono_ns() + budget_ns;
    struct sa_bell_page *page = bell;
    for (;;) {
        uint32_t moved = step(core);
        if (core->event_count >= EVENTS_SOON || core->news.len >= SA_NEWS_SOON / 2 ||
            sa_mono_ns() >= until)
            return 0;
        if (core->event_count && !moved)
            return 0;
        if (moved >= BUSY) {
            /* Under load a short nap gathers a batch, and keeps every peer from
             * paying for a wake-up: the flag stays down, nobody rings. */
            struct timespec nap = {0, NAP_NS};
            nanosleep(&nap, NULL);
            continue;
        }
        if (moved)
            continue;
        if (poll_ns && poll(core, poll_ns))
            continue;
        return arm(core, page, sweep_ns);
    }
}
