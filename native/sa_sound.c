/* Wild writes: does a worker's ring still hold what only we may have written?
 *
 * A handler can write anywhere in its process, the ring included.  What lies in the
 * byte rings is guarded by its CRCs.  The words that only S writes, and the cells,
 * are compared with what S keeps in private: with a spoilt cell an offer would wait
 * for ever, with a spoilt head the worker would wait for room for ever. */
#include <string.h>

#include "sa_cell.h"
#include "sa_core.h"

enum { LOOK_NS = 50000000 };

static uint64_t
word_for(const struct sa_core *core, uint32_t state, uint32_t number)
{
    const struct sa_slot *slot = &core->arena.slots[number];
    return sa_cell_word(state, sa_slot_var(slot)->starts + 1,
                        SA_WORD_GEN(sa_load_relaxed(&slot->word)), number);
}

uint64_t
sa_cell_offered(const struct sa_core *core, uint32_t number)
{
    return word_for(core, SA_CELL_OFFERED, number);
}

enum sa_cell_look
sa_cell_look(const struct sa_core *core, const struct sa_actor *actor, uint32_t cell)
{
    uint64_t word = sa_load_acquire(&actor->cells[cell]);
    uint32_t number = actor->leases[cell].slot;
    if (number == SA_NONE)
        return word == 0 ? SA_LOOK_EMPTY : SA_LOOK_SPOILT;
    if (word == word_for(core, SA_CELL_OFFERED, number))
        return SA_LOOK_OFFERED;
    if (word == word_for(core, SA_CELL_TAKEN, number))
        return SA_LOOK_TAKEN;
    return SA_LOOK_SPOILT;
}

uint32_t
sa_first_spoilt(const struct sa_core *core, const struct sa_actor *actor)
{
    uint32_t first = SA_NONE;
    for (uint32_t c = 0; c < actor->ncells; c++) {
        const struct sa_lease *lease = &actor->leases[c];
        if (lease->slot != SA_NONE && sa_cell_look(core, actor, c) == SA_LOOK_SPOILT &&
            (first == SA_NONE || lease->offer < actor->leases[first].offer))
            first = c;
    }
    return first;
}

int
sa_actor_sound(const struct sa_core *core, const struct sa_actor *actor)
{
    const struct sa_ring_words *words = actor->words;
    if (memcmp(&words->head, &actor->head, sizeof actor->head) != 0 ||
        sa_load_relaxed(&words->submit_head.word) != actor->submit.released ||
        sa_load_relaxed(&words->report_head.word) != actor->outbox.released)
        return 0;
    for (uint32_t c = 0; c < actor->ncells; c++)
        if (sa_cell_look(core, actor, c) == SA_LOOK_SPOILT)
            return 0;
    return 1;
}

void
sa_actor_mend(struct sa_actor *actor)
{
    struct sa_ring_words *words = actor->words;
    /* Bad record or index: what lies behind it is unreadable. */
    if (actor->quarantined & SA_BAD_OUTBOX) {
        sa_store_release(&words->report_tail.word, actor->outbox.local);
        actor->outbox.other = actor->outbox.local;
    }
    if (actor->quarantined & SA_BAD_SUBMIT) {
        sa_store_release(&words->submit_tail.word, actor->submit.local);
        actor->submit.other = actor->submit.local;
    }
    memcpy(&words->head, &actor->head, sizeof actor->head);
    actor->submit.released = actor->submit.local;
    sa_store_release(&words->submit_head.word, actor->submit.local);
    actor->outbox.released = actor->outbox.local;
    sa_store_release(&words->report_head.word, actor->outbox.local);
    sa_store_release(&words->order_tail.word, sa_load_relaxed(&words->order_head.word));

    sa_store32(&words->sleep.flags, 0);
}

/* A start that is seen for the first time: work goes on here. */
static void
note_starts(struct sa_core *core, struct sa_actor *actor)
{
    for (uint32_t c = 0; c < actor->ncells && actor->leased; c++) {
        struct sa_lease *lease = &actor->leases[c];
        if (lease->slot == SA_NONE || lease->seen ||
            sa_cell_look(core, actor, c) != SA_LOOK_TAKEN)
            continue;
        lease->seen = 1;
        if (core->rates.out)
            sa_rate_began(core, lease->slot, sa_lease_began(core, actor, c));
        core->arena.stats->last_start_ns = core->now;
    }
}

void
sa_sound_all(struct sa_core *core)
{
    if (core->now - core->looked_ns < LOOK_NS)
        return;
    core->looked_ns = core->now;
    for (uint32_t w = 0; w < core->options.workers_max; w++) {
        struct sa_actor *actor = &core->actors[w];
        if (actor->state == SA_ACTOR_ABSENT || actor->dying || actor->quarantined)
            continue;
        if (sa_actor_sound(core, actor)) {
            note_starts(core, actor);
            continue;
        }
        /* The worker is ended, and what it held is classified by its death. */
        actor->quarantined |= SA_BAD_WORDS;
        core->arena.stats->corrupt++;
        sa_core_event(core, SA_EVENT_CORRUPT, SA_NONE, w, 0, 0);
    }
}
