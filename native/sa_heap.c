#include "sa_heap.h"

#include <stdlib.h>
#include <string.h>

#include "sa_abi.h"

int
sa_heap_open(struct sa_heap *heap, uint32_t capacity)
{
    memset(heap, 0, sizeof *heap);
    heap->slots = calloc(capacity, sizeof *heap->slots);
    heap->keys = calloc(capacity, sizeof *heap->keys);
    heap->where = calloc(capacity, sizeof *heap->where);
    if (heap->slots && heap->keys && heap->where)
        return SA_OK;
    sa_heap_close(heap);
    return SA_FULL;
}

void
sa_heap_close(struct sa_heap *heap)
{
    free(heap->slots);
    free(heap->keys);
    free(heap->where);
    memset(heap, 0, sizeof *heap);
}

static void
set(struct sa_heap *heap, uint32_t at, uint32_t slot, int64_t key)
{
    heap->slots[at] = slot;
    heap->keys[at] = key;
    heap->where[slot] = at + 1;
}

static void
rise(struct sa_heap *heap, uint32_t at, uint32_t slot, int64_t key)
{
    while (at > 0) {
        uint32_t parent = (at - 1) / 4;
        if (heap->keys[parent] <= key)
            break;
        set(heap, at, heap->slots[parent], heap->keys[parent]);
        at = parent;
    }
    set(heap, at, slot, key);
}

static void
sink(struct sa_heap *heap, uint32_t at, uint32_t slot, int64_t key)
{
    for (;;) {
        uint32_t first = 4 * at + 1, least = at;
        int64_t low = key;
        for (uint32_t c = first; c < first + 4 && c < heap->count; c++)
            if (heap->keys[c] < low) {
                low = heap->keys[c];
                least = c;
            }
        if (least == at)
            break;
        set(heap, at, heap->slots[least], heap->keys[least]);
        at = least;
    }
    set(heap, at, slot, key);
}

void
sa_heap_drop(struct sa_heap *heap, uint32_t slot)
{
    uint32_t at = heap->where[slot];
    if (at-- == 0)
        return;
    heap->where[slot] = 0;
    uint32_t last = --heap->count;
    if (at == last)
        return;
    uint32_t moved = heap->slots[last];
    int64_t key = heap->keys[last];
    if (at > 0 && heap->keys[(at - 1) / 4] > key)
        rise(heap, at, moved, key);
    else
        sink(heap, at, moved, key);
}

void
sa_heap_put(struct sa_heap *heap, uint32_t slot, int64_t key)
{
    sa_heap_drop(heap, slot);
    rise(heap, heap->count++, slot, key);
}
