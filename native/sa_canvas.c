/* Tasks that belong together.  S's Python knows what follows from what; the core
 * holds the whole while its parts run, keeps the end of each part until that was
 * written down, and takes in the parts that may run now. */
#include <string.h>

#include "sa_core_api.h"
#include "sa_crash.h"

/* No ring: what S itself submits has no owner, and no head rule. */
enum { OF_SUPERVISOR = (int)0xffffffffu };

static struct sa_slot *
slot_in(sa_core *core, uint32_t number, uint32_t gen, uint32_t state)
{
    if (number >= sa_core_slots(core))
        return NULL;
    struct sa_slot *slot = &core->arena.slots[number];
    uint64_t word = sa_load_relaxed(&slot->word);
    return SA_WORD_GEN(word) == gen && SA_WORD_STATE(word) == state ? slot : NULL;
}

int
sa_core_settle_driven(sa_core *core, uint32_t number, uint32_t gen, uint32_t kind,
                      const uint8_t *payload, uint32_t len, int spooled)
{
    struct sa_slot *slot = slot_in(core, number, gen, SA_DRIVEN);
    if (!slot || kind < SA_SUCCEEDED || kind > SA_CANCELLED)
        return SA_STALE;
    struct sa_var var = *sa_slot_var(slot);
    var.starts = 1; /* by which its result is named in the spool */
    if (spooled)
        var.marks |= SA_MARK_SPOOL_OUT;
    sa_core_unqueue(core, number);
    int rc = sa_core_finish(core, number, &var, kind, payload, len);
    if (rc != SA_OK)
        sa_core_enqueue(core, number, 0); /* still DRIVEN: the caller tries again */
    return rc;
}

int
sa_core_end_noted(sa_core *core, uint32_t number, uint32_t gen)
{
    struct sa_slot *slot = slot_in(core, number, gen, SA_FINISHED);
    if (!slot)
        return SA_STALE;
    sa_slot_var(slot)->marks &= (uint16_t)~SA_MARK_TIED;
    SA_CP("canvas.noted");
    return SA_OK;
}

int
sa_core_submit(sa_core *core, const uint8_t *record, uint32_t len)
{
    struct sa_view view = {.payload = record, .head = {.len = len}};
    if (!sa_core_event_room(core))
        return SA_FULL;
    int rc = sa_admit(core, &view, (uint32_t)OF_SUPERVISOR, NULL);
    return rc == SA_VERSION ? SA_CORRUPT : rc;
}
