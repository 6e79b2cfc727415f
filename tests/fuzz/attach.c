/* sa_ring_attach, sa_arena_attach and sa_core_open over any header. */
#include <stdlib.h>
#include <string.h>

#include "sa_core_api.h"
#include "sa_crc.h"

enum { LEN = 1 << 20 };

static void
seal(void *at, size_t crc_at)
{
    uint32_t crc = sa_crc32c(0, at, crc_at);
    memcpy((uint8_t *)at + crc_at, &crc, sizeof crc);
}

static void
laid_out(uint8_t *at, int arena)
{
    static const uint8_t instance[16];
    if (arena)
        (void)sa_arena_init(at, LEN, 64, 1 << 18, instance, instance);
    else
        (void)sa_ring_init(at, LEN, 3, 8, 1 << 16, 1 << 16, instance);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    int arena = data[0] & 1, status;
    static uint8_t *memory;
    if (!memory)
        memory = calloc(1, LEN);
    laid_out(memory, arena);
    /* The input is laid over the header by exclusive or: zeroes leave it whole. */
    for (size_t i = 1; i < size && i <= 256; i++)
        memory[i - 1] ^= data[i];
    if (data[0] & 2)
        seal(memory, arena ? offsetof(struct sa_super, crc)
                           : offsetof(struct sa_ring_head, crc));
    uint64_t len = data[0] & 4 ? LEN : 4096u * data[0];
    if (!arena) {
        (void)sa_ring_attach(memory, len);
        return 0;
    }
    struct sa_core_options options = {.workers_max = 1, .result_ttl_ns = 1};
    sa_core *core = sa_core_open(memory, len, &options, &status);
    if (core) {
        struct sa_recovered recovered;
        (void)sa_core_recover(core, 1, 1, &recovered);
        (void)sa_core_step(core, 2, 2, 8);
        if (sa_core_check(core) != 0)
            abort();
    }
    sa_core_close(core);
    return 0;
}
