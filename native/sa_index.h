/* Task id → slot: open addressing with backward-shift deletion, at most half
 * full.  Ids are random in their last eight bytes, which is the hash. */
#ifndef SA_INDEX_H
#define SA_INDEX_H

#include "sa_abi.h"

struct sa_index {
    uint32_t *cells; /* slot + 1; 0 = empty */
    uint32_t mask;
    const struct sa_slot *slots;
};

int sa_index_open(struct sa_index *index, const struct sa_slot *slots, uint32_t count);
void sa_index_close(struct sa_index *index);
uint32_t sa_index_find(const struct sa_index *index, const uint8_t *id);
void sa_index_add(struct sa_index *index, uint32_t slot);
void sa_index_remove(struct sa_index *index, uint32_t slot);

#endif
