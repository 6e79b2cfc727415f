#include "sa_index.h"

#include <stdlib.h>
#include <string.h>

static uint32_t
home(const struct sa_index *index, const uint8_t *id)
{
    uint64_t low;
    memcpy(&low, id + 8, sizeof low);
    /* Client-chosen ids need not be random: mix before masking. */
    low ^= low >> 32;
    low *= 0x9e3779b97f4a7c15ull;
    return (uint32_t)(low >> 32) & index->mask;
}

int
sa_index_open(struct sa_index *index, const struct sa_slot *slots, uint32_t count)
{
    uint32_t size = 128;
    while (size < 2 * count)
        size *= 2;
    *index = (struct sa_index){calloc(size, sizeof(uint32_t)), size - 1, slots};
    return index->cells ? SA_OK : SA_FULL;
}

void
sa_index_close(struct sa_index *index)
{
    free(index->cells);
    memset(index, 0, sizeof *index);
}

static uint32_t
probe(const struct sa_index *index, const uint8_t *id)
{
    uint32_t at = home(index, id);
    while (index->cells[at] && memcmp(index->slots[index->cells[at] - 1].id, id, 16))
        at = (at + 1) & index->mask;
    return at;
}

uint32_t
sa_index_find(const struct sa_index *index, const uint8_t *id)
{
    uint32_t at = probe(index, id);
    return index->cells[at] ? index->cells[at] - 1 : SA_NONE;
}

void
sa_index_add(struct sa_index *index, uint32_t slot)
{
    index->cells[probe(index, index->slots[slot].id)] = slot + 1;
}

void
sa_index_remove(struct sa_index *index, uint32_t slot)
{
    uint32_t hole = probe(index, index->slots[slot].id);
    if (index->cells[hole] != slot + 1)
        return;
    uint32_t at = hole;
    for (;;) {
        at = (at + 1) & index->mask;
        if (!index->cells[at])
            break;
        uint32_t want = home(index, index->slots[index->cells[at] - 1].id);
        /* Move it back only if its home is not between the hole and here. */
        if (((at - want) & index->mask) >= ((at - hole) & index->mask)) {
            index->cells[hole] = index->cells[at];
            hole = at;
        }
    }
    index->cells[hole] = 0;
}
