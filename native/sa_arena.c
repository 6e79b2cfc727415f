#include "sa_arena.h"

#include <string.h>

#include "sa_crc.h"

uint64_t
sa_arena_size(uint32_t slots, uint64_t arena_len)
{
    if (slots < 64 || slots > 1u << 24)
        return 0;
    if (arena_len < 1u << 18 || arena_len > 1ull << 34 || arena_len % 65536)
        return 0;
    uint64_t arena_at = SA_SLOTS_AT + (uint64_t)slots * sizeof(struct sa_slot);
    arena_at = (arena_at + SA_PAGE - 1) & ~(uint64_t)(SA_PAGE - 1);
    return arena_at + arena_len + SA_TAIL_BYTES;
}

static uint32_t
super_crc(const struct sa_super *super)
{
    return sa_crc32c(0, super, offsetof(struct sa_super, crc));
}

int
sa_arena_init(void *at, uint64_t len, uint32_t slots, uint64_t arena_len,
              const uint8_t *instance, const uint8_t *boot_id)
{
    uint64_t total = sa_arena_size(slots, arena_len);
    if (!at || total == 0 || total > len)
        return SA_INVALID;
    struct sa_super *super = at;
    memset(at, 0, SA_SLOTS_AT + (uint64_t)slots * sizeof(struct sa_slot));
    memcpy(super->magic, SA_MAGIC, sizeof super->magic);
    super->layout = SA_LAYOUT;
    super->slots = slots;
    super->arena_at = total - SA_TAIL_BYTES - arena_len;
    super->arena_len = arena_len;
    super->total_len = total;
    memcpy(super->instance, instance, 16);
    memcpy(super->boot_id, boot_id, 16);
    super->crc = super_crc(super);
    memset((uint8_t *)at + total - SA_TAIL_BYTES, 0, SA_TAIL_BYTES);
    return SA_OK;
}

int
sa_arena_attach(struct sa_arena *arena, void *at, uint64_t len)
{
    if (!at || len < SA_SLOTS_AT)
        return SA_CORRUPT;
    struct sa_super super;
    memcpy(&super, at, sizeof super);
    if (memcmp(super.magic, SA_MAGIC, sizeof super.magic) != 0)
        return SA_CORRUPT;
    if (super.layout != SA_LAYOUT)
        return SA_VERSION;
    if (super.crc != super_crc(&super))
        return SA_CORRUPT;
    uint64_t total = sa_arena_size(super.slots, super.arena_len);
    if (total == 0 || super.total_len != total || total > len ||
        super.arena_at != total - SA_TAIL_BYTES - super.arena_len)
        return SA_CORRUPT;
    uint8_t *base = at, *tail = base + total - SA_TAIL_BYTES;
    *arena = (struct sa_arena){
        .super = at,
        .stats = (struct sa_stats *)(base + SA_STATS_AT),
        .queues = (struct sa_queue_row *)(base + SA_QUEUES_AT),
        .workers = (struct sa_worker_row *)(base + SA_WORKERS_AT),
        .slots = (struct sa_slot *)(base + SA_SLOTS_AT),
        .bytes = base + super.arena_at,
        .limiters = (struct sa_limiter *)tail,
        .duplicates = (struct sa_duplicates *)(tail + SA_LIMITERS_BYTES),
        .revokes = (struct sa_revokes *)(base + total - SA_REVOKES_BYTES),
        .len = super.arena_len,
    };
    return SA_OK;
}
