/* Tasks that are accepted and not yet admitted: they lie in submit rings, which only
 * their writers change.  S may look at them, and remember what must not start. */
#include <string.h>

#include "sa_core_api.h"
#include "sa_crash.h"

static int
lies_in(const struct sa_spsc *submit, const uint8_t *id, uint8_t *out, uint32_t *len)
{
    struct sa_spsc ring = *submit; /* its own position: the reader stays where it is */
    struct sa_view view;
    const size_t id_at = offsetof(struct sa_task, id);
    /* At most what fits the ring: its head does not move while we look. */
    for (; sa_spsc_skim(&ring, &view) == SA_OK; sa_spsc_next(&ring, &view)) {
        *len = view.head.len;
        if (*len < SA_TASK_HEAD || *len > SA_RECORD_MAX ||
            memcmp(view.payload + id_at, id, 16) != 0)
            continue;
        memcpy(out, view.payload, *len);
        if (sa_task_check(out, *len) == SA_OK && memcmp(out + id_at, id, 16) == 0)
            return 1;
    }
    return 0;
}

int
sa_core_find_submitted(const sa_core *core, const uint8_t *id, uint8_t *out,
                       uint32_t *len)
{
    for (uint32_t i = 0; i < SA_PRODUCERS_MAX; i++) {
        const struct sa_peer *peer = &core->peers[i];
        if (peer->used && !peer->quarantined && lies_in(&peer->submit, id, out, len))
            return SA_OK;
    }
    for (uint32_t w = 0; w < core->options.workers_max; w++) {
        const struct sa_actor *actor = &core->actors[w];
        if (actor->words && !(actor->quarantined & SA_BAD_SUBMIT) &&
            lies_in(&actor->submit, id, out, len))
            return SA_OK;
    }
    return SA_EMPTY;
}

/* The entry of `id`; the number of entries when it has none. */
static uint64_t
entry_of(const struct sa_revokes *revokes, const uint8_t *id)
{
    uint64_t at = 0;
    while (at < revokes->count && memcmp(revokes->ids[at], id, 16) != 0)
        at++;
    return at;
}

static void
drop(struct sa_revokes *revokes, uint64_t at)
{
    uint64_t last = revokes->count - 1;
    if (at != last) { /* a crash in here leaves the last one where it is, too */
        memcpy(revokes->ids[at], revokes->ids[last], 16);
        revokes->reasons[at] = revokes->reasons[last];
    }
    sa_store_release(&revokes->count, last);
}

int
sa_core_is_revoked(const sa_core *core, const uint8_t *id)
{
    const struct sa_revokes *revokes = core->arena.revokes;
    return entry_of(revokes, id) < revokes->count;
}

/* Entries whose tasks have gone: with a ring that was corrupt, for one. */
static void
drop_gone(struct sa_core *core)
{
    static uint8_t record[SA_RECORD_MAX]; /* S has one thread */
    struct sa_revokes *revokes = core->arena.revokes;
    uint32_t len;
    for (uint64_t at = revokes->count; at > 0; at--)
        if (sa_core_find_submitted(core, revokes->ids[at - 1], record, &len) != SA_OK)
            drop(revokes, at - 1);
}

int
sa_core_revoke_submitted(sa_core *core, const uint8_t *id, const uint8_t *payload,
                         uint32_t len)
{
    static uint8_t record[SA_RECORD_MAX]; /* S has one thread */
    struct sa_revokes *revokes = core->arena.revokes;
    uint32_t record_len;
    if (len > SA_REASON_MAX)
        return SA_TOO_LARGE;
    if (sa_core_find_submitted(core, id, record, &record_len) != SA_OK)
        return SA_EMPTY;
    if (sa_core_is_revoked(core, id))
        return SA_OK;
    if (revokes->count == SA_REVOKES_MAX)
        drop_gone(core);
    uint64_t at = revokes->count;
    if (at == SA_REVOKES_MAX)
        return SA_FULL;
    memcpy(revokes->ids[at], id, 16);
    revokes->reasons[at].len = len;
    memcpy(revokes->reasons[at].bytes, payload, len);
    SA_CP("revoke.noted");
    sa_store_release(&revokes->count, at + 1);
    return SA_OK;
}

/* Cancel what waits in `slot` for the reason of entry `at`, and drop the entry. */
static void
cancel(struct sa_core *core, uint32_t slot, uint64_t at)
{
    struct sa_revokes *revokes = core->arena.revokes;
    const struct sa_reason *reason = &revokes->reasons[at];
    uint32_t gen = SA_WORD_GEN(core->arena.slots[slot].word);
    uint32_t len = reason->len <= SA_REASON_MAX ? reason->len : 0;
    SA_CP("revoke.admitted");
    if (sa_core_revoke(core, slot, gen, reason->bytes, len) == SA_FULL)
        (void)sa_revoke_wordless(core, slot, gen, SA_MARK_REVOKED);
    drop(revokes, at);
}

void
sa_revoke_admitted(struct sa_core *core, uint32_t slot)
{
    struct sa_revokes *revokes = core->arena.revokes;
    uint64_t at = entry_of(revokes, core->arena.slots[slot].id);
    if (at < revokes->count)
        cancel(core, slot, at);
}

void
sa_revoke_recovered(struct sa_core *core)
{
    struct sa_revokes *revokes = core->arena.revokes;
    if (revokes->count > SA_REVOKES_MAX)
        sa_store_release(&revokes->count, 0); /* nobody wrote this: believe nothing */
    for (uint64_t at = revokes->count; at > 0; at--) {
        uint32_t slot = sa_index_find(&core->index, revokes->ids[at - 1]);
        if (slot != SA_NONE)
            cancel(core, slot, at - 1);
    }
    drop_gone(core);
}
