/* sa_spsc_peek over any bytes and any positions. */
#include <stdlib.h>
#include <string.h>

#include "sa_crc.h"
#include "sa_spsc.h"

enum { CAP = 1024 };

static uint64_t
align32(uint8_t byte)
{
    return (uint64_t)byte * 32;
}

/* A fuzzer cannot guess a CRC: make the first record's right. */
static void
repair(uint8_t *ring, uint64_t at)
{
    struct sa_record head;
    memcpy(&head, ring + at, sizeof head);
    const size_t skip = offsetof(struct sa_record, type);
    uint64_t rest = CAP - at - sizeof head;
    uint32_t crc = sa_crc32c(head.len, (uint8_t *)&head + skip, sizeof head - skip);
    if (head.type != 0 && head.len <= rest)
        crc = sa_crc32c(crc, ring + at + sizeof head, head.len);
    head.crc = crc;
    memcpy(ring + at, &head, sizeof head);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 3)
        return 0;
    uint64_t head = align32(data[0]) - 4096, tail = head + align32(data[1]);
    uint8_t *ring = malloc(CAP); /* of its own, so that ASan sees both ends */
    memset(ring, 0, CAP);
    memcpy(ring, data + 3, size - 3 < CAP ? size - 3 : CAP);
    if (data[2] & 1)
        repair(ring, head & (CAP - 1));
    if (data[2] & 2)
        tail += data[2];
    struct sa_spsc reader;
    struct sa_view view;
    sa_spsc_reader(&reader, ring, CAP, &tail, &head);
    volatile uint8_t sum = 0;
    for (int i = 0; i < 2 * CAP / 32 && sa_spsc_peek(&reader, &view) == SA_OK; i++) {
        for (uint32_t b = 0; b < view.head.len; b++)
            sum = (uint8_t)(sum + view.payload[b]);
        sa_spsc_next(&reader, &view);
        sa_spsc_release(&reader);
    }
    free(ring);
    return 0;
}
