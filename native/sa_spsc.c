#include "sa_spsc.h"

#include <string.h>

#include "sa_crash.h"
#include "sa_crc.h"
#include "sa_order.h"

enum { RECORD_PAD = 0, RECORD_BODY = 1, ALIGN = 32 };

static uint64_t
span(uint64_t payload)
{
    return (sizeof(struct sa_record) + payload + ALIGN - 1) & ~(uint64_t)(ALIGN - 1);
}

static uint32_t
record_crc(const struct sa_record *head, const uint8_t *payload, uint32_t len)
{
    const size_t skip = offsetof(struct sa_record, type);
    uint32_t crc = sa_crc32c(len, (const uint8_t *)head + skip, sizeof *head - skip);
    return sa_crc32c(crc, payload, len);
}

void
sa_spsc_writer(struct sa_spsc *ring, uint8_t *bytes, uint64_t cap, uint64_t *tail,
               const uint64_t *head)
{
    *ring = (struct sa_spsc){.bytes = bytes, .cap = cap, .tail = tail,
                             .head = (uint64_t *)(uintptr_t)head};
    ring->local = sa_load_relaxed(tail);
    ring->other = sa_load_acquire(head);
    if (ring->local - ring->other > cap)
        ring->other = ring->local - cap; /* nonsense: full until it makes sense */
}

void
sa_spsc_reader(struct sa_spsc *ring, uint8_t *bytes, uint64_t cap,
               const uint64_t *tail, uint64_t *head)
{
    *ring = (struct sa_spsc){.bytes = bytes, .cap = cap, .head = head,
                             .tail = (uint64_t *)(uintptr_t)tail};
    ring->local = ring->other = ring->released = sa_load_relaxed(head);
}

uint64_t
sa_spsc_payload_max(const struct sa_spsc *ring)
{
    return ring->cap / 8 - sizeof(struct sa_record);
}

static int
room(struct sa_spsc *ring, uint64_t want)
{
    if (ring->cap - (ring->local - ring->other) >= want)
        return 1;
    /* P3, pairs with A4/C5: the reader has finished with the bytes before its
     * head, so we may overwrite them. */
    uint64_t head = sa_load_acquire(ring->head);
    if (ring->local - head > ring->cap)
        return 0; /* a head in front of our tail: refuse rather than overwrite */
    ring->other = head;
    return ring->cap - (ring->local - ring->other) >= want;
}

int
sa_spsc_reserve(struct sa_spsc *ring, uint32_t len, uint8_t **payload)
{
    if (len > sa_spsc_payload_max(ring))
        return SA_TOO_LARGE;
    uint64_t need = span(len);
    uint64_t at = ring->local & (ring->cap - 1);
    uint64_t rest = ring->cap - at;
    uint64_t pad = rest < need ? rest : 0;
    if (!room(ring, pad + need))
        return SA_FULL;
    if (pad) {
        struct sa_record filler = {0};
        filler.len = (uint32_t)(pad - sizeof filler);
        filler.type = RECORD_PAD;
        filler.crc = record_crc(&filler, NULL, 0);
        memcpy(ring->bytes + at, &filler, sizeof filler);
        ring->local += pad;
        at = 0;
    }
    SA_CP("ring.reserved");
    *payload = ring->bytes + at + sizeof(struct sa_record);
    return SA_OK;
}

void
sa_spsc_seal(struct sa_spsc *ring, const struct sa_record *head)
{
    uint8_t *at = ring->bytes + (ring->local & (ring->cap - 1));
    struct sa_record sealed = *head;
    sealed.type = RECORD_BODY;
    sealed.crc = record_crc(&sealed, at + sizeof sealed, sealed.len);
    memcpy(at, &sealed, sizeof sealed);
    ring->local += span(sealed.len);
    SA_CP("ring.sealed");
}

void
sa_spsc_publish(struct sa_spsc *ring)
{
    /* P5/W6, pairs with A1/C1: every byte of the sealed records is visible to
     * whoever sees the new tail.  This store is the commit point. */
    sa_store_release(ring->tail, ring->local);
    SA_CP("ring.published");
}

static int
padding(struct sa_spsc *ring, const struct sa_record *head, uint64_t rest)
{
    if (head->len != rest - sizeof *head || head->crc != record_crc(head, NULL, 0))
        return SA_CORRUPT;
    ring->local += rest;
    return SA_OK;
}

int
sa_spsc_skim(struct sa_spsc *ring, struct sa_view *view)
{
    /* Twice at most: a padding record is never followed by another. */
    for (int pass = 0; pass < 2; pass++) {
        if (ring->local == ring->other) {
            /* A1/C1, pairs with P5/W6. */
            ring->other = sa_load_acquire(ring->tail);
            if (ring->local == ring->other)
                return SA_EMPTY;
        }
        uint64_t used = ring->other - ring->local;
        uint64_t at = ring->local & (ring->cap - 1);
        uint64_t rest = ring->cap - at;
        if (used > ring->cap || used < sizeof view->head || (at & (ALIGN - 1)))
            return SA_CORRUPT;
        memcpy(&view->head, ring->bytes + at, sizeof view->head);
        uint32_t len = view->head.len;
        if (view->head.type == RECORD_PAD) {
            if (used < rest || padding(ring, &view->head, rest) != SA_OK)
                return SA_CORRUPT;
            continue;
        }
        if (view->head.type != RECORD_BODY || len > sa_spsc_payload_max(ring) ||
            span(len) > used || span(len) > rest)
            return SA_CORRUPT;
        view->payload = ring->bytes + at + sizeof view->head;
        view->end = ring->local + span(len);
        return SA_OK;
    }
    return SA_CORRUPT;
}

int
sa_spsc_peek(struct sa_spsc *ring, struct sa_view *view)
{
    int rc = sa_spsc_skim(ring, view);
    if (rc != SA_OK)
        return rc;
    uint32_t crc = record_crc(&view->head, view->payload, view->head.len);
    return view->head.crc == crc ? SA_OK : SA_CORRUPT;
}

void
sa_spsc_next(struct sa_spsc *ring, const struct sa_view *view)
{
    ring->local = view->end;
}

void
sa_spsc_release(struct sa_spsc *ring)
{
    /* A4/C5, pairs with P3: our reads of the bytes are done. */
    ring->released = ring->local;
    sa_store_release(ring->head, ring->local);
    SA_CP("ring.released");
}
