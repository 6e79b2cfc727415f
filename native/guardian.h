/*
 * The guardian: parent and sub-reaper of one stem_actor tree. One thread, one
 * poll loop, no allocation after start. It knows processes, sockets and time;
 * it knows nothing of tasks or of the arena.
 *
 *   guardian.c             arguments, signals, the loop
 *   guardian_table.c       the children it knows, by pid
 *   guardian_wire.c        64-byte messages and the descriptor one may carry
 *   guardian_birth.c       zygote, spare, births (one in flight)
 *   guardian_reap.c        waiting for children and saying how they died
 *   guardian_sweep.c       killing what a dead worker left behind
 *   guardian_fence.c       the stages between two supervisors, and the end
 *   guardian_supervisor.c  starting the supervisor, talking to it, its budget
 *   guardian_directory.c   supervisor.log, removal of an anonymous directory
 */
#ifndef SA_GUARDIAN_H
#define SA_GUARDIAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define SA_CHILDREN_MAX 4200u
#define SA_WORKERS_MAX (SA_CHILDREN_MAX - 64u) /* room for zygotes and the like */
#define SA_BUCKETS 8192u /* a power of two, load at most 0.52 */
#define SA_OUTBOX_MAX 16384u /* a power of two, > 3 messages per child */
#define SA_MS 1000000LL
#define SA_SECOND 1000000000LL

#define SA_BARRIER_NS (2 * SA_SECOND)
#define SA_KILL_NS (2 * SA_SECOND)
#define SA_BIRTH_NS (8 * SA_SECOND) /* above the zygote's own 5 s bound */
#define SA_SWEEP_NS (2 * SA_SECOND) /* then the rest is left to a later sweep */
#define SA_SWEEP_TURN_NS (100 * SA_MS) /* the longest a birth waits for a sweep */
#define SA_SWEEP_PASS_NS (5 * SA_MS)
#define SA_SPARE_NS SA_SECOND /* pause between two spares that die */

#define SA_AGAIN 75 /* EX_TEMPFAIL: the host starts the ring again, so it stays */
#define SA_BUDGET_DEATHS 5u
#define SA_BUDGET_NS (30 * SA_SECOND)
#define SA_BACKOFF_MIN_NS (500 * SA_MS)
#define SA_BACKOFF_MAX_NS (30 * SA_SECOND)
/* EX_OSERR: the supervisor has seen that the arena is not to blame */
#define SA_NOT_THE_ARENA 71
#define SA_PATIENCE_NS (2 * SA_SECOND) /* what a supervisor has to end at once */
#define SA_GRACE_NS (5 * SA_SECOND) /* and for a grace of 1 s and what is left over */

/* Mirrored by stem_actor/actor/tree/verbs.py; tests/process compares the two. */
enum sa_verb {
    SA_VERB_FORK = 1,
    SA_VERB_WATCHING = 2,
    SA_VERB_READY = 3,
    SA_VERB_SHUTDOWN = 4,
    SA_VERB_BORN = 5,
    SA_VERB_DIED = 6,
    SA_VERB_SWEPT = 7,
    SA_VERB_ZYGOTE = 8,
    SA_VERB_SIGNAL = 9,
    SA_VERB_BARRIER = 10,
    SA_VERB_SPARE = 11,
};

enum sa_zygote_news {
    SA_ZYGOTE_DIED = 1,
    SA_ZYGOTE_REPLACED = 2,
    SA_ZYGOTE_NONE = 3,
};

struct sa_message {
    uint32_t verb;
    uint32_t worker;
    uint32_t epoch;
    uint32_t incarnation;
    int32_t pid;
    int32_t value; /* errno, wait status, signal or exit code: the verb says which */
    /* DIED: utime ns, stime ns, maxrss KiB, minflt << 32 | majflt */
    uint64_t a, b, c, d;
    uint64_t reserved;
};
_Static_assert(sizeof(struct sa_message) == 64, "the wire form is 64 bytes");

enum sa_kind {
    SA_KIND_FREE = 0, /* an empty bucket */
    SA_KIND_SUPERVISOR,
    SA_KIND_ZYGOTE,
    SA_KIND_SPARE,
    SA_KIND_WORKER,
    SA_KIND_DOOMED, /* a zygote given up and killed, not dead yet */
    SA_KIND_FOREIGN, /* was a child of this process before it became guardian */
};

struct sa_child {
    int32_t pid;
    uint32_t worker;
    uint32_t epoch;
    uint32_t incarnation;
    uint8_t kind;
    bool watched; /* the supervisor holds a pidfd: its pid may be given up */
    bool unkillable; /* outlived SIGKILL by SA_KILL_NS */
};

struct sa_birth {
    uint32_t worker;
    uint32_t epoch;
    uint32_t incarnation;
    int wake_fd; /* owned by the birth until it is answered; -1 if none */
};

/* What the zygote has been asked and has not answered: at most one thing. */
enum sa_flight { SA_FLIGHT_NONE = 0, SA_FLIGHT_WORKER, SA_FLIGHT_SPARE };

/* SERVING → BARRIER → KILLING → CLEARING → RESTING → SERVING; any → STOPPING. */
enum sa_stage {
    SA_STAGE_SERVING = 0, /* a supervisor is there */
    SA_STAGE_BARRIER, /* the zygote finishes what it was doing */
    SA_STAGE_KILLING, /* every worker dies and is reaped */
    SA_STAGE_CLEARING, /* what they left dies */
    SA_STAGE_RESTING, /* until the next supervisor may start */
    SA_STAGE_STOPPING, /* everything dies, then this process ends */
};

struct sa_line { /* a zygote or a spare, and our end of its socket */
    pid_t pid; /* 0 if there is none */
    int fd; /* -1 if closed */
};

struct sa_guardian {
    /* fixed at start */
    pid_t pid;
    const char *directory;
    char *const *supervisor_argv;
    int dir_fd, host_fd, bell_fd, status_fd, signal_fd;
    bool remove_directory, cli;

    /* stage */
    enum sa_stage stage;
    int64_t stage_until; /* deadline of the stage, ns */
    int exit_code;

    /* supervisor */
    pid_t supervisor_pid; /* 0 if there is none */
    int supervisor_fd; /* -1 if closed */
    uint32_t outbox_head, outbox_tail; /* free-running */
    int64_t deaths[SA_BUDGET_DEATHS]; /* since the last READY, a ring */
    uint32_t death_count;
    int64_t backoff;
    bool failure_told;
    bool was_ready; /* one supervisor of this tree has come up */
    uint32_t blamed; /* deaths in a row, before READY, that the arena may have caused */
    bool quarantining; /* the next supervisor puts the arena aside */
    char failure[96]; /* what the host is told of it */
    int asked_to_end; /* the last signal of those that end a tree by and by; 0: none */
    bool interrupted; /* by a SIGINT */
    int64_t end_at; /* ended by then, whatever the supervisor does; 0: no such time */
    uint32_t epoch; /* the highest a FORK has named */

    /* zygote and births */
    struct sa_line zygote, spare;
    int spare_offer_fd; /* our end while the spare is being made, -1 if none */
    bool zygote_ready; /* has answered once: its preparation is over */
    bool barrier_open; /* a BARRIER is not answered yet */
    enum sa_flight flight;
    struct sa_birth flying;
    int64_t flight_until; /* 0: no deadline */
    int64_t spare_after; /* no spare is asked for before */
    uint32_t birth_head, birth_tail; /* free-running over births[] */

    /* sweep */
    bool sweeping;
    bool swept_something; /* the last pass met a stranger */
    uint32_t empty_passes;
    int64_t sweep_until, sweep_turn;
    uint64_t sweep_killed;
    uint32_t sweep_count; /* dead workers waiting for SWEPT */

    /* tables; untouched pages of them cost nothing */
    uint32_t child_count;
    struct sa_child children[SA_BUCKETS];
    struct sa_birth births[SA_BUCKETS];
    struct sa_message outbox[SA_OUTBOX_MAX];
    int32_t swept_pids[SA_CHILDREN_MAX];
};

int64_t sa_now(void);
void sa_log(const char *format, ...) __attribute__((format(printf, 1, 2)));
void sa_close(int *fd);

/* table */
struct sa_child *sa_table_find(struct sa_guardian *g, pid_t pid);
struct sa_child *sa_table_add(struct sa_guardian *g, pid_t pid, enum sa_kind kind);
void sa_table_remove(struct sa_guardian *g, pid_t pid);

/* wire */
int sa_wire_send(int fd, const struct sa_message *message, int passed_fd);
int sa_wire_receive(int fd, struct sa_message *message, int *passed_fd);

/* births */
void sa_birth_ask(struct sa_guardian *g, const struct sa_message *fork, int wake_fd);
void sa_birth_pump(struct sa_guardian *g);
void sa_birth_forget(struct sa_guardian *g);
void sa_zygote_read(struct sa_guardian *g);
void sa_zygote_lost(struct sa_guardian *g);
void sa_zygote_bar(struct sa_guardian *g);
void sa_zygote_check(struct sa_guardian *g);
void sa_spare_lost(struct sa_guardian *g);

/* reap */
void sa_reap(struct sa_guardian *g);

/* sweep */
typedef void (*sa_visitor)(struct sa_guardian *g, pid_t pid);
bool sa_children_each(struct sa_guardian *g, sa_visitor visit, int64_t until);
void sa_sweep_want(struct sa_guardian *g, pid_t dead_worker);
void sa_sweep_step(struct sa_guardian *g);
bool sa_sweep_pass(struct sa_guardian *g);

/* fence and end */
void sa_fence_begin(struct sa_guardian *g);
void sa_stop(struct sa_guardian *g, int exit_code);
bool sa_stage_step(struct sa_guardian *g);

/* supervisor */
void sa_supervisor_start(struct sa_guardian *g);
void sa_supervisor_tell(struct sa_guardian *g, const struct sa_message *message);
void sa_supervisor_flush(struct sa_guardian *g);
bool sa_supervisor_may_speak(const struct sa_guardian *g);
void sa_supervisor_read(struct sa_guardian *g);
void sa_supervisor_died(struct sa_guardian *g, int status);
void sa_status_write(struct sa_guardian *g, const char *line);

/* directory */
int sa_directory_open_log(int dir_fd);
void sa_directory_remove(struct sa_guardian *g);

#endif
