/* Outcomes into the owner's reply ring; what a vanished owner leaves. */
#include <string.h>

#include "sa_bell.h"
#include "sa_core.h"
#include "sa_core_api.h"
#include "sa_crash.h"

static int
push(struct sa_core *core, struct sa_peer *peer, uint32_t number)
{
    struct sa_slot *slot = &core->arena.slots[number];
    const struct sa_var *var = sa_slot_var(slot);
    uint32_t len = slot->out_len;
    const uint8_t *outcome =
        len ? sa_arena_at(&core->arena, slot->out_at, len)
            : sa_mark_words(slot->out_kind == SA_CANCELLED ? var->marks : 0, &len);
    uint8_t *payload;
    struct sa_reply reply = {
        .ticket = slot->ticket, .kind = slot->out_kind, .attempt = var->attempt,
        .starts = var->starts, .len = len, .marks = var->marks,
    };
    if (sizeof reply + len > sa_spsc_payload_max(&peer->reply)) {
        /* Too large for this ring: the owner fetches it by id. */
        reply.len = len = 0;
        reply.kind = SA_DUPLICATE;
    }
    int rc = sa_spsc_reserve(&peer->reply, (uint32_t)sizeof reply + len, &payload);
    if (rc != SA_OK)
        return rc;
    memcpy(payload, &reply, sizeof reply);
    if (len)
        memcpy(payload + sizeof reply, outcome, len);
    struct sa_record head = {.len = (uint32_t)sizeof reply + len,
                             .kind = (uint16_t)slot->out_kind};
    sa_spsc_seal(&peer->reply, &head);
    return SA_OK;
}

void
sa_core_deliver(struct sa_core *core, struct sa_peer *peer)
{
    uint32_t first = peer->pending.first, done = 0;
    if (first == SA_NONE || peer->quarantined)
        return;
    for (uint32_t number = first; number != SA_NONE && done < SA_BATCH; done++) {
        if (push(core, peer, number) != SA_OK)
            break;
        number = core->links.next[number];
    }
    if (done)
        sa_spsc_publish(&peer->reply);
    for (uint32_t i = 0; i < done; i++) {
        uint32_t number = peer->pending.first;
        sa_list_remove(&core->links, &peer->pending, number);
        sa_slot_var(&core->arena.slots[number])->marks |= SA_MARK_DELIVERED;
        sa_list_append(&core->links, &core->delivered, number);
        peer->outstanding--;
        peer->bytes -= sa_core_cost(&core->arena.slots[number]);
    }
    core->arena.stats->replies += done;
    core->moved += done;
    /* The producer rings the bell after a drain when it sees this flag. */
    uint64_t blocked = peer->pending.first != SA_NONE;
    if (sa_load_relaxed(&peer->words->blocked.word) != blocked)
        sa_store_release(&peer->words->blocked.word, blocked);
    sa_sleep_wake(&peer->words->sleep, peer->wake_fd);
}

void
sa_core_orphan(struct sa_core *core, struct sa_peer *peer)
{
    while (peer->pending.first != SA_NONE) {
        uint32_t number = peer->pending.first;
        sa_list_remove(&core->links, &peer->pending, number);
        sa_list_append(&core->links, &core->orphaned, number);
    }
}

void
sa_core_forget_peer(struct sa_core *core, struct sa_peer *peer)
{
    sa_core_orphan(core, peer);
    memset(peer, 0, sizeof *peer);
    sa_list_clear(&peer->pending);
    peer->wake_fd = -1;
    core->peers_used--;
}
