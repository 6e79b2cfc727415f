/* The supervisor's core: all dispatch policy, over slots that only it writes.
 * One thread.  Time comes in with each call, so tests drive it with a virtual
 * clock; nothing is allocated after sa_core_open. */
#ifndef SA_CORE_H
#define SA_CORE_H

#include "sa_arena.h"
#include "sa_extent.h"
#include "sa_heap.h"
#include "sa_index.h"
#include "sa_layout.h"
#include "sa_list.h"
#include "sa_news.h"
#include "sa_rate.h"
#include "sa_ready.h"
#include "sa_spsc.h"
#include "sa_unique.h"

/* cdef begin */
typedef struct sa_core sa_core;

struct sa_core_options {
    uint32_t workers_max;    /* rows of the worker table, 1 … 1,024 */
    uint32_t child_reserve;  /* slots only worker submissions may take */
    int64_t result_ttl_ns;   /* how long a finished slot is kept */
    int64_t dwell_ns;        /* an offer this old may be revoked (5 ms) */
    uint32_t credits_max;    /* most offers one worker holds (64) */
    uint32_t only_allowed;   /* 1: only queues of sa_core_allow_queue are open */
};

struct sa_recovered {
    uint32_t live, finished, requeued, held, bad;
    uint32_t spare;
};
/* cdef end */

/* Events stop at SA_EVENTS; the spare ones are for a quarantine, of which there
 * is at most one for each ring. */
enum {
    SA_EVENTS = 4096,
    SA_EVENTS_SPARE = SA_WORKERS_MAX + SA_PRODUCERS_MAX,
    SA_BATCH = 256
};

/* A producer as S sees it. */
struct sa_peer {
    struct sa_ring_words *words;
    struct sa_spsc submit, reply;
    struct sa_list pending;  /* finished, not yet in the reply ring */
    uint32_t id;             /* counter * SA_PRODUCERS_MAX + row */
    uint32_t outstanding;    /* live, or finished and not delivered */
    uint64_t bytes;          /* what those take of the arena */
    int wake_fd;
    uint8_t used, connected, quarantined;
    uint8_t leaving;         /* being detached: nobody reads its replies */
};

/* Bits of sa_actor.quarantined: which ring holds a bad record, or that words which
 * are ours to write, or cells, hold what we did not write (sa_sound.c). */
enum { SA_BAD_OUTBOX = 1, SA_BAD_SUBMIT = 2, SA_BAD_WORDS = 4 };

enum sa_cell_look { SA_LOOK_EMPTY, SA_LOOK_OFFERED, SA_LOOK_TAKEN, SA_LOOK_SPOILT };

/* After so many collateral starts a task is run alone: if it is the one that
 * ends its workers, it is found out, and its neighbours suffer no more. */
enum { SA_COLLATERALS_MAX = 3 };

enum sa_actor_state { SA_ACTOR_ABSENT = 0, SA_ACTOR_LIVE = 1, SA_ACTOR_QUIET = 2 };

struct sa_lease {
    uint32_t slot;        /* SA_NONE = the cell is free */
    uint8_t soft_sent, hard_sent;
    uint8_t limited;      /* 1 when the task carries a limit */
    uint8_t alone;        /* 1 when nothing else may run beside it */
    uint8_t told;         /* 1 when its start has been news */
    uint8_t seen;         /* 1 when the cell has been seen taken, see sa_sound.c */
    uint64_t offer;       /* number of the offer: a worker takes them in this order */
    int64_t offered_ns;
    int64_t began_ns;     /* 0 until S has seen the cell taken */
    int64_t extended_ns;  /* added to both limits by extend_limit */
    int64_t shifted_ns;   /* the time that S did not see, see sa_core_shift */
};

/* A worker as S sees it. */
struct sa_actor {
    struct sa_ring_words *words;
    struct sa_ring_head head;    /* as it was when attached: a worker can spoil it */
    uint64_t *cells;
    int64_t *started;
    uint32_t *order;
    uint32_t ncells, concurrency;
    struct sa_spsc submit, outbox;
    struct sa_lease *leases;     /* by cell */
    uint32_t *free_cells;        /* stack */
    uint32_t nfree, leased, limited, credits;
    int64_t service_ns, last_done_ns, revoked_ns;
    int64_t offered_ns;          /* the last offer */
    uint64_t stalled_beat;       /* with `stalled`: its last look for a task */
    int wake_fd;
    uint8_t state, quarantined, spare, kick;
    uint8_t alone;               /* runs a task that must be alone */
    uint8_t stalled;             /* had room, and began nothing: see sa_steal */
    uint8_t dying;               /* dead; an outcome of it waits for room */
    uint32_t fault, own_slot;    /* while dying: what sa_core_worker_died said */
};

struct sa_core {
    struct sa_arena arena;
    struct sa_extents extents;
    struct sa_ready ready;
    struct sa_heap timers;
    struct sa_index index;
    struct sa_unique unique;
    struct sa_rates rates;
    struct sa_links links;
    struct sa_list free, delivered, orphaned, held, parked, driven;
    struct sa_peer peers[SA_PRODUCERS_MAX];
    struct sa_actor *actors;
    struct sa_core_options options;
    uint8_t *watched;
    uint8_t allowed[SA_QUEUES_MAX];
    uint32_t queue_tasks[SA_QUEUES_MAX]; /* slots that name the queue */
    uint8_t *owed;               /* an event found no room: told again later */
    uint32_t owed_count;
    uint16_t *cell_of_slot;      /* where a LEASED slot was offered */
    struct sa_event events[SA_EVENTS + SA_EVENTS_SPARE];
    uint32_t event_count;
    struct sa_news_box news;
    uint32_t peer_turn, actor_turn, peers_used;
    uint64_t peer_counter, offers;
    int64_t now, wall, offset;   /* offset = wall - monotonic */
    int64_t anchor;              /* the offset the timers were last set with */
    int64_t looked_ns;           /* when the rings of workers were last compared */
    int64_t next_ns;             /* earliest moment with work to do */
    int64_t ran_ns;              /* when sa_core_run last looked; 0 = never */
    uint32_t moved;
};

/* --- shared by the parts of the core; S's thread only ------------------- */

static inline uint32_t
sa_core_slots(const struct sa_core *core)
{
    return core->arena.super->slots;
}

static inline const struct sa_task *
sa_core_task(const struct sa_core *core, const struct sa_slot *slot)
{
    return (const struct sa_task *)sa_arena_at(&core->arena, slot->body_at,
                                               slot->body_len);
}

static inline void
sa_core_wake_at(struct sa_core *core, int64_t when_ns)
{
    if (when_ns < core->next_ns)
        core->next_ns = when_ns;
}

/* Sums of times: what a peer sends may be any number. */
static inline int64_t
sa_core_plus(int64_t at_ns, int64_t by_ns)
{
    int64_t sum;
    if (__builtin_add_overflow(at_ns, by_ns, &sum))
        return by_ns > 0 ? INT64_MAX : INT64_MIN;
    return sum;
}

/* Slabs that only outcomes may open.  Bodies and last errors stay out of them,
 * so a task that has ended always finds room for its outcome once delivered
 * results are evicted: a full arena cannot stop what would empty it. */
static inline uint32_t
sa_core_kept_slabs(const struct sa_core *core)
{
    return core->extents.nslabs / 16 + 1;
}

/* Commit new numbers and a new state in one store (the slot's two copies). */
void sa_slot_commit(struct sa_slot *slot, uint32_t state, uint32_t owner,
                    const struct sa_var *var);
/* A new state, same numbers. */
void sa_slot_move(struct sa_slot *slot, uint32_t state, uint32_t owner);

int sa_core_event(struct sa_core *core, uint32_t type, uint32_t slot,
                  uint32_t worker, uint64_t a, uint64_t b);
int sa_core_event_room(const struct sa_core *core);

/* Where a slot goes after READY/DELAYED was decided; `in_front` for replays. */
void sa_core_enqueue(struct sa_core *core, uint32_t slot, int in_front);
/* (Re)set the slot's timer from its numbers and its task. */
void sa_core_timer(struct sa_core *core, uint32_t slot);
/* Out of whatever list or heap a waiting slot is in. */
void sa_core_unqueue(struct sa_core *core, uint32_t slot);
/* As sa_core_revoke, where there is no room for its words: a sa_mark says them. */
int sa_revoke_wordless(struct sa_core *core, uint32_t slot, uint32_t gen,
                       uint32_t mark);
/* Finish a slot that is in no list: outcome bytes are copied into the arena.
 * SA_FULL when there is no room even after eviction. */
int sa_core_finish(struct sa_core *core, uint32_t slot, const struct sa_var *var,
                   uint32_t kind, const uint8_t *payload, uint32_t len);
/* A start of a LEASED slot has ended without an outcome: HELD for a verdict.  If it
 * was revoked that is the fault, whatever else has ended it. */
void sa_core_hold(struct sa_core *core, uint32_t slot, uint32_t fault,
                  enum sa_held how);
/* Keep `payload` as the slot's last error while it lives on.  SA_FULL: no room, and
 * what it had before stands. */
int sa_core_keep_error(struct sa_core *core, uint32_t slot, const uint8_t *payload,
                       uint32_t len);
/* Give up the record of a task that will not be run again. */
void sa_core_give_body(struct sa_core *core, struct sa_slot *slot);
void sa_core_free_slot(struct sa_core *core, uint32_t slot);
/* Tell which file of the spool held the arguments of a task that needs them no more;
 * `slot` SA_NONE: it has none. */
void sa_core_tell_spooled(struct sa_core *core, uint32_t slot, const uint8_t *record,
                          uint32_t len);
/* Room for an outcome of `len` bytes, evicting finished slots oldest first. */
uint32_t sa_core_room(struct sa_core *core, uint32_t len);
/* Bytes of the arena that the slot takes, its record and its outcome. */
uint64_t sa_core_cost(const struct sa_slot *slot);
/* Room for what lives on (a body, a last error): the kept slabs stay free. */
uint32_t sa_core_room_to_live(struct sa_core *core, uint32_t len);
int sa_core_evict(struct sa_core *core);

struct sa_peer *sa_core_owner(struct sa_core *core, const struct sa_slot *slot);
void sa_core_deliver(struct sa_core *core, struct sa_peer *peer);
void sa_core_settle(struct sa_core *core, uint32_t slot);
/* What waits for the owner's reply ring waits for nobody. */
void sa_core_orphan(struct sa_core *core, struct sa_peer *peer);
void sa_core_forget_peer(struct sa_core *core, struct sa_peer *peer);

/* Check a task record of `len` bytes that nobody else can change any more. */
int sa_task_check(const uint8_t *at, uint32_t len);
/* The row of a queue name, added if it is new; SA_NONE when all are used. */
uint32_t sa_queue_add(struct sa_core *core, const uint8_t *name, uint32_t len);
void sa_queue_refresh(struct sa_core *core, uint32_t queue);
/* A slot was just filled: cancel it if it was revoked before. */
void sa_revoke_admitted(struct sa_core *core, uint32_t slot);
/* After a recovery: what was admitted by S before, and not yet cancelled. */
void sa_revoke_recovered(struct sa_core *core);
/* Tell the sender of a task that is not admitted why, in place of an outcome. */
int sa_admit_answer(struct sa_peer *peer, uint64_t ticket, uint32_t kind,
                    const void *payload, uint32_t len);
/* Take in one record: SA_OK also where its sender is told that it is refused. */
int sa_admit(struct sa_core *core, const struct sa_view *view, uint32_t src,
             struct sa_peer *peer);
int sa_admit_ring(struct sa_core *core, struct sa_spsc *ring, uint32_t src,
                  struct sa_peer *peer, uint32_t budget);
/* `budget` SA_NONE: to the end, whatever the room for events. */
int sa_complete_actor(struct sa_core *core, uint32_t worker, uint32_t budget);
/* Forget rows of the queue table that name no queue. */
void sa_queues_check(struct sa_core *core);
/* What a crash left of a slot: 1 when it can be used, its extents are marked then. */
int sa_slot_usable(struct sa_core *core, struct sa_slot *slot);
/* A dead worker: drain its outbox to the end, then classify its leases. */
int sa_core_bury(struct sa_core *core, uint32_t worker);
/* Tell again the events for which there was no room. */
void sa_core_announce(struct sa_core *core);
/* Order of arrival, as far as the slots tell: does `a` come before `b`? */
int sa_core_before(const struct sa_core *core, uint32_t a, uint32_t b);
void sa_expire(struct sa_core *core, uint32_t budget);
/* Cancel a waiting slot if it may not start any more: 1 when it did. */
int sa_expire_one(struct sa_core *core, uint32_t slot);
void sa_offer(struct sa_core *core, uint32_t budget);
void sa_steal(struct sa_core *core);
void sa_limits(struct sa_core *core, uint32_t worker);
/* News of a start that its hard limit has ended. */
void sa_tell_hard(struct sa_core *core, uint32_t worker, uint32_t cell);
/* When the start in a TAKEN cell began, monotonic. */
int64_t sa_lease_began(const struct sa_core *core, struct sa_actor *actor,
                       uint32_t cell);
/* S was stopped for `gap_ns`: no limit may pass for time that nobody watched. */
void sa_limits_shift(struct sa_core *core, int64_t gap_ns);
/* The cell of `worker` is free again. */
void sa_actor_release(struct sa_actor *actor, uint32_t cell);
/* The word of a cell in which `slot` is offered for its next start. */
uint64_t sa_cell_offered(const struct sa_core *core, uint32_t slot);
enum sa_cell_look sa_cell_look(const struct sa_core *core, const struct sa_actor *actor,
                               uint32_t cell);
/* Of the leased cells that do not tell whether their start was taken, the one that
 * was offered first; SA_NONE: there is none. */
uint32_t sa_first_spoilt(const struct sa_core *core, const struct sa_actor *actor);
/* 1 when every word that only S writes, and every cell, is what it must be. */
int sa_actor_sound(const struct sa_core *core, const struct sa_actor *actor);
/* Outbox, hints and S's words of a fenced worker: as after the last record read. */
void sa_actor_mend(struct sa_actor *actor);
/* Twenty times a second: quarantine the workers whose rings are not sound. */
void sa_sound_all(struct sa_core *core);
/* Take an offer back: 1 when it was ours to take (V1 won). */
int sa_actor_revoke(struct sa_core *core, struct sa_actor *actor, uint32_t cell);

#endif
