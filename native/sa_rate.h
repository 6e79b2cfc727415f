/* Rate limits: exact sliding windows over all workers.
 *
 * A start takes a token when it is offered, and the token is given a time when the
 * start is known: the time at which the worker took it.  Until then it counts as taken
 * now, so that no window ever holds more starts than its limit, whenever the workers
 * begin what they were offered.  An offer that was never begun gives its token back.
 *
 * A task without a token leaves its queue's line for that of its limiter, and comes
 * back in front, as many at a time as there are tokens.  Times are in the arena and
 * outlive S; everything else here is private and rebuilt.
 */
#ifndef SA_RATE_H
#define SA_RATE_H

#include "sa_index.h"
#include "sa_list.h"
#include "sa_ready.h"

enum {
    SA_LIMITERS_HALF = SA_LIMITERS_MAX / 2,
    /* In place of a limiter, for tasks whose limiter finds no room. */
    SA_LIMITER_NONE = SA_LIMITERS_MAX
};

struct sa_core;
struct sa_actor;

/* One limiter, in private. */
struct sa_line {
    struct sa_list tasks[SA_PRIORITIES];
    uint32_t count;     /* of them */
    uint32_t out;       /* tokens of starts whose time is not known */
    uint32_t released;  /* back in their queues, in front of the others */
    uint32_t picks;
};

/* A slot, as far as limits go. */
struct sa_toll {
    uint16_t line;      /* + 1: in whose line it waits, or was before it was released */
    uint16_t tokens[2]; /* + 1: limiters whose token its offer holds */
    uint8_t released;
};

struct sa_rates {
    struct sa_index index;   /* key → row */
    struct sa_line *lines;   /* of each row, and of SA_LIMITER_NONE */
    struct sa_toll *tolls;   /* by slot */
    uint64_t waits[SA_LIMITERS_MAX / 64 + 1]; /* lines with tasks, a bit for each */
    uint32_t waiting;        /* tasks in lines */
    uint32_t released;       /* tasks that are released */
    uint32_t out;            /* tokens out */
    uint32_t used[2];        /* rows, of tasks and of groups */
    uint32_t cursor[2];
    uint64_t bytes;          /* of the arena, for starts */
    int64_t next_ns;         /* when a line can move; once `changed` that is open */
    int64_t retry_ns;        /* when those without a limiter try again */
    uint8_t changed;
};

int sa_rates_open(struct sa_core *core);
void sa_rates_close(struct sa_core *core);
/* Tokens for one start of the task in `slot`, which is in its queue's line: 1 when it
 * has them, or needs none; else it waits in a limiter's line now. */
int sa_rate_take(struct sa_core *core, uint32_t slot);
/* Its start began; before the slot says so. */
void sa_rate_began(struct sa_core *core, uint32_t slot, int64_t began_ns);
/* The same, when the task or its cell says so: `kind` is that of its outcome. */
void sa_rate_ended(struct sa_core *core, struct sa_actor *actor, uint32_t cell,
                   uint32_t slot, uint32_t kind);
/* Its offer was never begun. */
void sa_rate_give(struct sa_core *core, uint32_t slot);
/* A READY slot goes: 1 when it was in a limiter's line, and in no queue's. */
int sa_rate_leave(struct sa_core *core, uint32_t slot);
/* A queue was closed: what waits there keeps no place in front of others. */
void sa_rate_closed(struct sa_core *core, uint32_t queue);
/* Let go of as many as there are tokens. */
void sa_rate_step(struct sa_core *core);
/* After a crash: rows that hold, once every slot has marked its extents. */
void sa_rates_recover(struct sa_core *core);
/* After that: a slot is leased, and its cell taken. */
void sa_rate_relink(struct sa_core *core, uint32_t slot);
/* 0 when all of it holds; counts slots in lines, and bytes of starts.  For tests, and
 * after a recovery. */
int sa_rates_check(const struct sa_core *core, uint32_t *listed, uint64_t *bytes);

/* --- lines: sa_line.c --------------------------------------------------------- */

/* From the line of its queue into that of a limiter. */
void sa_line_park(struct sa_core *core, uint32_t slot, uint32_t line);
/* How many tasks are in one line; *bad = 1 when something of it does not hold. */
uint32_t sa_line_check(const struct sa_core *core, uint32_t line, int *bad);

/* --- rows: sa_limiter.c ------------------------------------------------------- */

/* The row of a claim, made if there is none; SA_NONE: no room for it. */
uint32_t sa_limiter_get(struct sa_core *core, const struct sa_claim *claim);
/* Tokens that are left now. */
uint32_t sa_limiter_left(struct sa_core *core, uint32_t row);
/* When the next one comes by time; INT64_MAX: by none. */
int64_t sa_limiter_next(const struct sa_core *core, uint32_t row);
/* A start of `slot` began. */
void sa_limiter_began(struct sa_core *core, uint32_t row, uint32_t slot,
                      int64_t began_ns);
/* Whether that start has its time already: S died since. */
int sa_limiter_knows(const struct sa_core *core, uint32_t row, uint32_t slot);
void sa_limiters_recover(struct sa_core *core);
/* 0 when the row's times are in order and its numbers fit. */
int sa_limiter_check(const struct sa_core *core, uint32_t row);

#endif
