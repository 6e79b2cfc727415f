/* Unique keys: which live task holds one, and who was answered with its id. */
#ifndef SA_UNIQUE_H
#define SA_UNIQUE_H

#include "sa_index.h"
#include "sa_spsc.h"

struct sa_core;
struct sa_peer;

struct sa_unique {
    struct sa_index held;  /* key → slot that holds it */
    uint8_t *keys;         /* 16 bytes a slot; of those with a claim */
    uint32_t *merged;      /* by slot: how many enqueues were answered with its id */
};

int sa_unique_open(struct sa_core *core);
void sa_unique_close(struct sa_core *core);
/* The live slot that holds the task's key; SA_NONE: none does, or it claims none. */
uint32_t sa_unique_holder(const struct sa_core *core, const struct sa_task *task);
/* The task in `slot` lives from now on; its key is nobody's.  In a recovery: of two
 * that claim one key the later enqueued holds it. */
void sa_unique_hold(struct sa_core *core, uint32_t slot);
/* It has ended; its record is still there. */
void sa_unique_free(struct sa_core *core, uint32_t slot);
/* Answer `task`, which is in no slot, with the id of `holder`.  SA_FULL: no room. */
int sa_unique_merge(struct sa_core *core, struct sa_peer *peer,
                    const struct sa_task *task, uint32_t holder,
                    const struct sa_view *view, uint32_t src);
/* Where a ring was read up to, by the duplicates that came from it; at least `head`. */
uint64_t sa_unique_head(const struct sa_core *core, const struct sa_spsc *submit,
                        uint32_t src, uint64_t head);
/* Counts from the log, once every slot is in the index; the last answer again. */
void sa_unique_recover(struct sa_core *core);

#endif
