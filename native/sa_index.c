#include "sa_index.h"

#include <stdlib.h>
#include <string.h>

static const uint8_t *
key_of(const struct sa_index *index, uint32_t row)
{
    return index->keys + row * index->stride;
}

static uint32_t
home(const struct sa_index *index, const uint8_t *key)
{
    uint64_t low;
    memcpy(&low, key + 8, sizeof low);
    /* Client-chosen ids need not be random: mix before masking. */
    low ^= low >> 32;
    low *= 0x9e3779b97f4a7c15ull;
    return (uint32_t)(low >> 32) & index->mask;
}

int
sa_index_open_keys(struct sa_index *index, const uint8_t *keys, size_t stride,
                   uint32_t count)
{
    uint32_t size = 128;
    while (size < 2 * count)
        size *= 2;
    *index = (struct sa_index){calloc(size, sizeof(uint32_t)), size - 1, keys, stride};
    return index->cells ? SA_OK : SA_FULL;
}

int
sa_index_open(struct sa_index *index, const struct sa_slot *slots, uint32_t count)
{
    return sa_index_open_keys(index, slots[0].id, sizeof *slots, count);
}

void
sa_index_close(struct sa_index *index)
{
    free(index->cells);
    memset(index, 0, sizeof *index);
}

static uint32_t
probe(const struct sa_index *index, const uint8_t *key)
{
    uint32_t at = home(index, key);
    while (index->cells[at] && memcmp(key_of(index, index->cells[at] - 1), key, 16))
        at = (at + 1) & index->mask;
    return at;
}

uint32_t
sa_index_find(const struct sa_index *index, const uint8_t *key)
{
    uint32_t at = probe(index, key);
    return index->cells[at] ? index->cells[at] - 1 : SA_NONE;
}

void
sa_index_add(struct sa_index *index, uint32_t row)
{
    index->cells[probe(index, key_of(index, row))] = row + 1;
}

void
sa_index_remove(struct sa_index *index, uint32_t row)
{
    uint32_t hole = probe(index, key_of(index, row));
    if (index->cells[hole] != row + 1)
        return;
    uint32_t at = hole;
    for (;;) {
        at = (at + 1) & index->mask;
        if (!index->cells[at])
            break;
        uint32_t want = home(index, key_of(index, index->cells[at] - 1));
        /* Move it back only if its home is not between the hole and here. */
        if (((at - want) & index->mask) >= ((at - hole) & index->mask)) {
            index->cells[hole] = index->cells[at];
            hole = at;
        }
    }
    index->cells[hole] = 0;
}
