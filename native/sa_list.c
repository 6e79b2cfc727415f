#include "sa_list.h"

enum { RUNS = 32 };

/* Merge two chains along `next`; equals of `a` come first. */
static uint32_t
merge(uint32_t *next, uint32_t a, uint32_t b, sa_list_before before,
      const void *context)
{
    uint32_t first = SA_NONE, *tail = &first;
    while (a != SA_NONE && b != SA_NONE) {
        uint32_t *least = before(context, b, a) ? &b : &a;
        *tail = *least;
        tail = &next[*least];
        *least = *tail;
    }
    *tail = a != SA_NONE ? a : b;
    return first;
}

void
sa_list_sort(struct sa_links *links, struct sa_list *list, sa_list_before before,
             const void *context)
{
    /* runs[i] is a sorted chain of 2^i slots, older than those of runs[i - 1]. */
    uint32_t runs[RUNS], slot = list->first;
    for (int i = 0; i < RUNS; i++)
        runs[i] = SA_NONE;
    while (slot != SA_NONE) {
        uint32_t run = slot;
        int i = 0;
        slot = links->next[slot];
        links->next[run] = SA_NONE;
        for (; i < RUNS - 1 && runs[i] != SA_NONE; i++) {
            run = merge(links->next, runs[i], run, before, context);
            runs[i] = SA_NONE;
        }
        runs[i] = run; /* slots are fewer than 2^24: the last run stays empty */
    }
    uint32_t sorted = SA_NONE;
    for (int i = 0; i < RUNS; i++)
        sorted = merge(links->next, runs[i], sorted, before, context);
    uint32_t prev = SA_NONE;
    list->first = sorted;
    for (slot = sorted; slot != SA_NONE; slot = links->next[slot]) {
        links->prev[slot] = prev;
        prev = slot;
    }
    list->last = prev;
}
