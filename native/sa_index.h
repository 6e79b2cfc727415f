/* 16-byte key → number of the row that holds it: task ids, unique keys, limiters.
 * Open addressing with backward-shift deletion, at most half full.  Keys are random
 * in their last eight bytes, which is the hash. */
#ifndef SA_INDEX_H
#define SA_INDEX_H

#include "sa_abi.h"

struct sa_index {
    uint32_t *cells; /* row + 1; 0 = empty */
    uint32_t mask;
    const uint8_t *keys; /* of row 0; the next is `stride` bytes behind it */
    size_t stride;
};

/* Over the ids of `count` slots, or over any `count` keys. */
int sa_index_open(struct sa_index *index, const struct sa_slot *slots, uint32_t count);
int sa_index_open_keys(struct sa_index *index, const uint8_t *keys, size_t stride,
                       uint32_t count);
void sa_index_close(struct sa_index *index);
uint32_t sa_index_find(const struct sa_index *index, const uint8_t *key);
void sa_index_add(struct sa_index *index, uint32_t row);
void sa_index_remove(struct sa_index *index, uint32_t row);

#endif
