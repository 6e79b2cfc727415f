/* What the supervisor's Python, and tests, may call. */
#ifndef SA_CORE_API_H
#define SA_CORE_API_H

#include "sa_core.h"

/* cdef begin */
/* Open a core over a segment made by sa_arena_init.  Attach every ring that
 * existed before, then call sa_core_recover once, before the first step.
 * NULL and *status on failure. */
sa_core *sa_core_open(void *segment, uint64_t len,
                      const struct sa_core_options *options, int *status);
void sa_core_close(sa_core *core);

/* Rings.  `recovering` keeps what the ring holds; otherwise it is new.  The
 * caller keeps the mapping until the detach.  Producer ids are ours to give:
 * sa_core_attach_producer returns a row, sa_core_producer_id its id. */
int sa_core_attach_worker(sa_core *core, uint32_t worker, void *ring,
                          uint64_t len, uint32_t concurrency);
int sa_core_attach_producer(sa_core *core, void *ring, uint64_t len,
                            int wake_fd, uint32_t *row);
uint32_t sa_core_next_producer_id(sa_core *core);
/* A producer's process is known to be dead (0), or back (1). */
int sa_core_connect_producer(sa_core *core, uint32_t row, int connected, int wake_fd);
/* Drain what a dead producer published, then forget it.  SA_FULL: not yet,
 * its ring still holds records for which there is no slot. */
int sa_core_detach_producer(sa_core *core, uint32_t row);
/* Rebuild everything private from the slots; fences must be done. */
int sa_core_recover(sa_core *core, int64_t now, int64_t wall,
                    struct sa_recovered *out);

/* One step: complete, deliver, admit, expire, offer, steal, watch limits.
 * `budget` records per ring.  Returns how many records moved. */
uint32_t sa_core_step(sa_core *core, int64_t now, int64_t wall, uint32_t budget);
/* What time it is, for what is decided between two steps. */
void sa_core_clock(sa_core *core, int64_t now, int64_t wall);
/* Monotonic time of the next work that no bell announces. */
int64_t sa_core_next(const sa_core *core);
/* Step until nothing moves or `budget_ns` is used up, poll `poll_ns` longer,
 * then arm the bell.  Returns nanoseconds to sleep at most; 0 = call again. */
int64_t sa_core_run(sa_core *core, void *bell, int64_t budget_ns,
                    int64_t poll_ns, int64_t sweep_ns);
uint32_t sa_core_events(sa_core *core, struct sa_event *out, uint32_t cap);
/* From now on tell news of the types in `wanted`, a bit for each. */
void sa_core_listen(sa_core *core, uint32_t wanted);
/* Take the news there are, `len` bytes of struct sa_news; they are overwritten from
 * the next call of any function of the core on.  `dropped`: that found no room yet. */
const uint8_t *sa_core_news(sa_core *core, uint32_t *len, uint64_t *dropped);

/* Workers.  `live`: may be offered tasks under this incarnation. */
int sa_core_worker_live(sa_core *core, uint32_t worker, uint32_t incarnation,
                        int spare, int wake_fd);
int sa_core_worker_spare(sa_core *core, uint32_t worker, int spare);
/* No new offers; unstarted ones are taken back.  Returns cells still held. */
int sa_core_worker_quiet(sa_core *core, uint32_t worker, int drain);
/* The worker is proven dead: drain its outbox, classify every lease.
 * `own_slot` (SA_NONE = every started one) gets `fault`, others are collateral.
 * Started slots become HELD and an event each; unstarted go to the front.
 * SA_FULL: an outcome it had committed waits for room; later steps go on by
 * themselves, and the row stays busy (SA_STALE) until they are through. */
int sa_core_worker_died(sa_core *core, uint32_t worker, uint32_t fault,
                        uint32_t own_slot);
/* Slot the worker's cell `cell` runs and when it began; SA_EMPTY = none. */
int sa_core_running(const sa_core *core, uint32_t worker, uint32_t cell,
                    uint32_t *slot, int64_t *started_ns);

/* Verdicts on a HELD slot, or on a waiting one (revoke). */
/* Replay it; `verdict`, on the start that was lost, is told to those who listen. */
int sa_core_release(sa_core *core, uint32_t slot, uint32_t gen, const uint8_t *verdict,
                    uint32_t len);
int sa_core_retry(sa_core *core, uint32_t slot, uint32_t gen, int64_t delay_ns,
                  const uint8_t *error, uint32_t len);
int sa_core_settle_held(sa_core *core, uint32_t slot, uint32_t gen, uint32_t kind,
                        const uint8_t *payload, uint32_t len, int dead_letter);
/* Revoke a task that has not started: SA_OK, SA_STALE (running or finished). */
int sa_core_revoke(sa_core *core, uint32_t slot, uint32_t gen,
                   const uint8_t *payload, uint32_t len);
/* Revoke a task that runs: its start may still return, and that counts; whatever else
 * becomes of it, the task is HELD as revoked, and never run again, by any supervisor.
 * `payload`, its reason, is kept; the first one stands.  SA_OK, SA_STALE (it does not
 * run), SA_FULL (no room to keep the reason). */
int sa_core_forbid(sa_core *core, uint32_t slot, uint32_t gen, const uint8_t *payload,
                   uint32_t len);
/* A task that cannot be read fails, and is dead: SA_OK, SA_FULL (no room to say
 * why), SA_STALE (running or finished). */
int sa_core_give_up(sa_core *core, uint32_t slot, uint32_t gen,
                    const uint8_t *payload, uint32_t len);
int sa_core_unpark(sa_core *core);
int sa_core_dead_lettered(sa_core *core, uint32_t slot, uint32_t gen);
int sa_core_watch(sa_core *core, uint32_t slot);
/* What has become of a DRIVEN task: SA_OK, SA_FULL (no room to say it), SA_STALE.
 * `spooled`: the payload is a claim check. */
int sa_core_settle_driven(sa_core *core, uint32_t slot, uint32_t gen, uint32_t kind,
                          const uint8_t *payload, uint32_t len, int spooled);
/* The end of a part is written down: its slot may go. */
int sa_core_end_noted(sa_core *core, uint32_t slot, uint32_t gen);
/* Take in a task record that no producer sends.  SA_OK (also where the id is known
 * already), SA_FULL (no room now), SA_CORRUPT. */
int sa_core_submit(sa_core *core, const uint8_t *record, uint32_t len);

uint32_t sa_core_find(const sa_core *core, const uint8_t *id);
/* The same, and by the id of an enqueue that was answered with a live task's id. */
uint32_t sa_core_locate(const sa_core *core, const uint8_t *id);
/* How many enqueues were answered with the id of the task in `slot`; the latest `cap`
 * of them, as far as they are known still, into `out`, newest first. */
uint32_t sa_core_duplicates(const sa_core *core, uint32_t slot,
                            struct sa_duplicate *out, uint32_t cap, uint32_t *rows);
/* Which limit a READY slot waits for: a sa_claim_kind; SA_CLAIM_UNIQUE: there is no
 * limiter for it as yet; 0: none. */
uint32_t sa_core_limited_by(const sa_core *core, uint32_t slot);
/* Of a task that was accepted and is in no slot yet: copy its record, `len` bytes, to
 * `out`, which has room for SA_RECORD_MAX.  SA_OK, SA_EMPTY (in no submit ring). */
int sa_core_find_submitted(const sa_core *core, const uint8_t *id, uint8_t *out,
                           uint32_t *len);
/* Cancel such a task at its admission.  SA_OK, SA_EMPTY, SA_FULL (SA_REVOKES_MAX
 * wait already), SA_TOO_LARGE (`len` above SA_REASON_MAX). */
int sa_core_revoke_submitted(sa_core *core, const uint8_t *id, const uint8_t *payload,
                             uint32_t len);
/* 1 when that was done for this id. */
int sa_core_is_revoked(const sa_core *core, const uint8_t *id);
/* With `only_allowed`: the workers here take tasks of this queue too. */
int sa_core_allow_queue(sa_core *core, const uint8_t *name, uint32_t len);
int sa_core_pause(sa_core *core, const uint8_t *name, uint32_t len, int paused);
/* Walk every invariant; 0, or the number of the first one broken. */
int sa_core_check(sa_core *core);
uint32_t sa_core_oldest_ready(const sa_core *core, int64_t *since_ns);
/* The same with those that wait in workers' mailboxes. */
uint32_t sa_core_backlog(const sa_core *core, int64_t *since_ns);
/* What an outcome without a payload says by its `marks`, as MessagePack: "revoked",
 * "purged", or nothing, which stands for "expired".  Ends with a zero byte, too. */
const uint8_t *sa_mark_words(uint32_t marks, uint32_t *len);
int sa_core_purge(sa_core *core, const uint8_t *name, uint32_t len,
                  const uint8_t *payload, uint32_t payload_len, uint32_t *count);
/* cdef end */

#endif
