/* The compact list by which the core tells S's Python what needs it. */
#include <string.h>

#include "sa_core_api.h"

int
sa_core_event_room(const struct sa_core *core)
{
    return core->event_count < SA_EVENTS - 8 && core->news.len < SA_NEWS_SOON;
}

/* Some events are the only sign that Python owes something for a slot. */
static void
owe(struct sa_core *core, uint32_t type, uint32_t slot, uint64_t b)
{
    if (type != SA_EVENT_HELD && type != SA_EVENT_DEAD_LETTER &&
        type != SA_EVENT_WATCHED && type != SA_EVENT_DRIVEN && type != SA_EVENT_TIED)
        return;
    core->owed_count += !core->owed[slot];
    core->owed[slot] = (uint8_t)(1 + b);
}

int
sa_core_event(struct sa_core *core, uint32_t type, uint32_t slot, uint32_t worker,
              uint64_t a, uint64_t b)
{
    uint32_t most = SA_EVENTS + (type == SA_EVENT_CORRUPT ? SA_EVENTS_SPARE : 0u);
    if (core->event_count >= most) {
        owe(core, type, slot, b);
        return SA_FULL;
    }
    struct sa_event *event = &core->events[core->event_count++];
    memset(event, 0, sizeof *event);
    *event = (struct sa_event){.type = type, .slot = slot, .worker = worker,
                               .a = a, .b = b};
    if (slot != SA_NONE) {
        event->gen = SA_WORD_GEN(core->arena.slots[slot].word);
        memcpy(event->id, core->arena.slots[slot].id, 16);
    }
    return SA_OK;
}

static void
tell_again(struct sa_core *core, uint32_t number, uint32_t b)
{
    const struct sa_slot *slot = &core->arena.slots[number];
    const struct sa_var *var = sa_slot_var(slot);
    uint32_t state = sa_slot_state(slot);
    if (state == SA_HELD)
        sa_core_event(core, SA_EVENT_HELD, number, 0, var->fault, b);
    if (state == SA_DRIVEN)
        sa_core_event(core, SA_EVENT_DRIVEN, number, 0, 0, 0);
    if (state != SA_FINISHED)
        return;
    if (var->marks & SA_MARK_TIED)
        sa_core_event(core, SA_EVENT_TIED, number, 0, 0, 0);
    if (var->marks & SA_MARK_DEAD)
        sa_core_event(core, SA_EVENT_DEAD_LETTER, number, 0, 0, 0);
    if (core->watched[number] &&
        sa_core_event(core, SA_EVENT_WATCHED, number, 0, 0, 0) == SA_OK)
        core->watched[number] = 0;
}

void
sa_core_announce(struct sa_core *core)
{
    for (uint32_t i = 0; core->owed_count && i < sa_core_slots(core); i++) {
        if (!core->owed[i])
            continue;
        if (!sa_core_event_room(core))
            return;
        uint32_t b = core->owed[i] - 1u;
        core->owed[i] = 0;
        core->owed_count--;
        tell_again(core, i, b);
    }
}

uint32_t
sa_core_events(sa_core *core, struct sa_event *out, uint32_t cap)
{
    uint32_t n = core->event_count < cap ? core->event_count : cap;
    memcpy(out, core->events, n * sizeof *out);
    core->event_count -= n;
    memmove(core->events, core->events + n, core->event_count * sizeof *out);
    return n;
}
