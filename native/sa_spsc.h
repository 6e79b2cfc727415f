/* A byte ring with one writer and one reader, in different processes.
 *
 * Positions are free-running 64-bit byte counts and are compared only by
 * unsigned difference, so wrap-around needs no thought.  Records are
 * contiguous and 32-aligned; where the rest of the ring is too short, a padding
 * record fills it.  A record larger than an eighth of the ring is refused: it
 * could make the ring useless for everybody behind it.
 *
 * The struct is private to one side; `head` and `tail` point into the shared
 * mapping.  The writer caches the reader's head, the reader the writer's tail.
 */
#ifndef SA_SPSC_H
#define SA_SPSC_H

#include "sa_abi.h"

struct sa_spsc {
    uint8_t *bytes;
    uint64_t cap;      /* power of two */
    uint64_t *tail;    /* stored by the writer */
    uint64_t *head;    /* stored by the reader */
    uint64_t local;    /* own position: tail (writer) or head (reader) */
    uint64_t other;    /* last seen position of the other side */
    uint64_t released; /* reader: what it has last stored in `head` */
    uint8_t stalled;   /* for the reader's use: what waits found no room yet */
};

struct sa_view {
    struct sa_record head;  /* copied once, checked, then used */
    const uint8_t *payload; /* in the ring: valid until sa_spsc_release */
    uint64_t end;           /* ring position after the record */
};

void sa_spsc_writer(struct sa_spsc *ring, uint8_t *bytes, uint64_t cap,
                    uint64_t *tail, const uint64_t *head);
void sa_spsc_reader(struct sa_spsc *ring, uint8_t *bytes, uint64_t cap,
                    const uint64_t *tail, uint64_t *head);

/* Largest payload the ring takes. */
uint64_t sa_spsc_payload_max(const struct sa_spsc *ring);

/* Reserve room for a payload of `len` bytes: SA_OK and a place to write it, or
 * SA_FULL, or SA_TOO_LARGE.  Nothing is visible before sa_spsc_publish. */
int sa_spsc_reserve(struct sa_spsc *ring, uint32_t len, uint8_t **payload);

/* Seal the reserved record (length, CRC) without publishing it, so that many
 * records can share one release store. */
void sa_spsc_seal(struct sa_spsc *ring, const struct sa_record *head);
void sa_spsc_publish(struct sa_spsc *ring);

/* Next record: SA_OK, SA_EMPTY, or SA_CORRUPT (then nothing behind it can be
 * trusted either). */
int sa_spsc_peek(struct sa_spsc *ring, struct sa_view *view);
/* As sa_spsc_peek, with every length checked and the CRC not: for who looks at what
 * waits, on a copy of the struct, and takes nothing. */
int sa_spsc_skim(struct sa_spsc *ring, struct sa_view *view);
/* Step over the record last peeked; sa_spsc_release makes the room visible. */
void sa_spsc_next(struct sa_spsc *ring, const struct sa_view *view);
void sa_spsc_release(struct sa_spsc *ring);

#endif
