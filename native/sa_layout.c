#include "sa_layout.h"

#include <string.h>

#include "sa_crc.h"
#include "sa_order.h"

static int
power_of_two(uint64_t value, uint64_t least, uint64_t most)
{
    return value >= least && value <= most && (value & (value - 1)) == 0;
}

static uint32_t
head_crc(const struct sa_ring_head *head)
{
    return sa_crc32c(0, head, offsetof(struct sa_ring_head, crc));
}

/* Bytes of a ring file; 0 when a size is out of range.  `cells` is 0 for a
 * producer, else a power of two from 8 to SA_CELLS_MAX; capacities are powers
 * of two from 64 KiB to 64 MiB. */
uint64_t
sa_ring_size(uint32_t cells, uint64_t submit_cap, uint64_t report_cap)
{
    if (cells && !power_of_two(cells, 8, SA_CELLS_MAX))
        return 0;
    if (!power_of_two(submit_cap, 1 << 16, 1 << 26) ||
        !power_of_two(report_cap, 1 << 16, 1 << 26))
        return 0;
    return SA_RINGS_AT(cells) + submit_cap + report_cap;
}

int
sa_ring_init(void *at, uint64_t len, uint32_t id, uint32_t cells,
             uint64_t submit_cap, uint64_t report_cap, const uint8_t *instance)
{
    uint64_t total = sa_ring_size(cells, submit_cap, report_cap);
    if (!at || total == 0 || total > len)
        return SA_INVALID;
    struct sa_ring_words *words = at;
    memset(at, 0, SA_RINGS_AT(cells));
    struct sa_ring_head *head = &words->head;
    head->magic = SA_RING_MAGIC;
    head->layout = SA_LAYOUT;
    head->id = id;
    head->cells = cells;
    head->total = total;
    head->submit_at = SA_RINGS_AT(cells);
    head->submit_cap = submit_cap;
    head->report_at = head->submit_at + submit_cap;
    head->report_cap = report_cap;
    memcpy(head->instance, instance, 16);
    head->crc = head_crc(head);
    return SA_OK;
}

int
sa_ring_attach(const void *at, uint64_t len)
{
    struct sa_ring_head head;
    if (!at || len < SA_PAGE)
        return SA_CORRUPT;
    memcpy(&head, at, sizeof head);
    if (head.magic != SA_RING_MAGIC)
        return SA_CORRUPT;
    if (head.layout != SA_LAYOUT)
        return SA_VERSION;
    if (head.crc != head_crc(&head))
        return SA_CORRUPT;
    if (head.total == 0 || head.total > len ||
        head.total != sa_ring_size(head.cells, head.submit_cap, head.report_cap) ||
        head.submit_at != SA_RINGS_AT(head.cells) ||
        head.report_at != head.submit_at + head.submit_cap)
        return SA_CORRUPT;
    return SA_OK;
}

int
sa_ring_is_left(const void *at)
{
    const struct sa_ring_words *words = at;
    return sa_load_acquire(&words->left.word) != 0;
}
