/* A 4-ary min-heap of slots by time, with positions, so that any slot can
 * leave in O(log n).  Private to S; sized at open. */
#ifndef SA_HEAP_H
#define SA_HEAP_H

#include <stdint.h>

struct sa_heap {
    uint32_t *slots;   /* heap order */
    int64_t *keys;     /* by heap position */
    uint32_t *where;   /* by slot: position + 1; 0 = absent */
    uint32_t count;
};

int sa_heap_open(struct sa_heap *heap, uint32_t capacity);
void sa_heap_close(struct sa_heap *heap);
/* Insert, or move to another key. */
void sa_heap_put(struct sa_heap *heap, uint32_t slot, int64_t key);
void sa_heap_drop(struct sa_heap *heap, uint32_t slot);

#endif
