/* The children the guardian knows: open addressing, keyed by pid. */
#include "guardian.h"

#define SA_MASK (SA_BUCKETS - 1)

/* Return the child with *pid*, or NULL. Valid until the next add or remove. */
struct sa_child *sa_table_find(struct sa_guardian *g, pid_t pid)
{
    for (uint32_t at = (uint32_t)pid & SA_MASK;; at = (at + 1) & SA_MASK) {
        struct sa_child *child = &g->children[at];
        if (child->kind == SA_KIND_FREE)
            return NULL;
        if (child->pid == pid)
            return child;
    }
}

/* Add *pid*; NULL when SA_CHILDREN_MAX are there already. */
struct sa_child *sa_table_add(struct sa_guardian *g, pid_t pid, enum sa_kind kind)
{
    if (g->child_count >= SA_CHILDREN_MAX)
        return NULL;
    uint32_t at = (uint32_t)pid & SA_MASK;
    while (g->children[at].kind != SA_KIND_FREE)
        at = (at + 1) & SA_MASK;
    g->children[at] = (struct sa_child){.pid = pid, .kind = (uint8_t)kind};
    g->child_count++;
    return &g->children[at];
}

/* Remove *pid* if it is there; the run after it moves up, so no tombstones. */
void sa_table_remove(struct sa_guardian *g, pid_t pid)
{
    struct sa_child *child = sa_table_find(g, pid);
    if (child == NULL)
        return;
    uint32_t hole = (uint32_t)(child - g->children);
    uint32_t at = hole;
    for (;;) {
        at = (at + 1) & SA_MASK;
        if (g->children[at].kind == SA_KIND_FREE)
            break;
        uint32_t home = (uint32_t)g->children[at].pid & SA_MASK;
        /* It may move only if its home is not inside (hole, at]. */
        if (((at - home) & SA_MASK) >= ((at - hole) & SA_MASK)) {
            g->children[hole] = g->children[at];
            hole = at;
        }
    }
    g->children[hole] = (struct sa_child){.kind = SA_KIND_FREE};
    g->child_count--;
}
