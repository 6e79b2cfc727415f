/* Doubly linked lists of slot numbers over two private arrays.  A slot is in at
 * most one list at a time, so one pair of arrays serves all of them. */
#ifndef SA_LIST_H
#define SA_LIST_H

#include <stdint.h>

#include "sa_abi.h"

struct sa_links {
    uint32_t *next, *prev;
};

struct sa_list {
    uint32_t first, last, count;
};

/* Sort by `before`; stable, in place, O(n log n). */
typedef int (*sa_list_before)(const void *context, uint32_t a, uint32_t b);
void sa_list_sort(struct sa_links *links, struct sa_list *list,
                  sa_list_before before, const void *context);

static inline void
sa_list_clear(struct sa_list *list)
{
    *list = (struct sa_list){SA_NONE, SA_NONE, 0};
}

static inline void
sa_list_append(struct sa_links *links, struct sa_list *list, uint32_t slot)
{
    links->next[slot] = SA_NONE;
    links->prev[slot] = list->last;
    if (list->last == SA_NONE)
        list->first = slot;
    else
        links->next[list->last] = slot;
    list->last = slot;
    list->count++;
}

static inline void
sa_list_prepend(struct sa_links *links, struct sa_list *list, uint32_t slot)
{
    links->prev[slot] = SA_NONE;
    links->next[slot] = list->first;
    if (list->first == SA_NONE)
        list->last = slot;
    else
        links->prev[list->first] = slot;
    list->first = slot;
    list->count++;
}

/* In front of `next`, a member; SA_NONE: at the end. */
static inline void
sa_list_insert(struct sa_links *links, struct sa_list *list, uint32_t slot,
               uint32_t next)
{
    if (next == SA_NONE) {
        sa_list_append(links, list, slot);
        return;
    }
    if (next == list->first) {
        sa_list_prepend(links, list, slot);
        return;
    }
    uint32_t prev = links->prev[next];
    links->next[prev] = links->prev[next] = slot;
    links->next[slot] = next;
    links->prev[slot] = prev;
    list->count++;
}

static inline void
sa_list_remove(struct sa_links *links, struct sa_list *list, uint32_t slot)
{
    uint32_t next = links->next[slot], prev = links->prev[slot];
    if (prev == SA_NONE)
        list->first = next;
    else
        links->next[prev] = next;
    if (next == SA_NONE)
        list->last = prev;
    else
        links->prev[next] = prev;
    list->count--;
}

#endif
