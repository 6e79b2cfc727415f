/* Any task record: through the check, and through a ring into a core that goes on. */
#include <stdlib.h>
#include <string.h>

#include "sa_core_api.h"
#include "sa_worker.h"

enum { CAP = 1 << 18 };

static struct {
    void *segment, *producer, *worker;
    uint64_t segment_len, producer_len, worker_len;
    sa_core *core;
    sa_worker *actor;
    uint32_t row;
    int64_t now;
} stage;

static const uint8_t instance[16];

static void
attach(void)
{
    uint32_t id = sa_core_next_producer_id(stage.core);
    if (sa_ring_init(stage.producer, stage.producer_len, id, 0, CAP, CAP, instance) ||
        sa_core_attach_producer(stage.core, stage.producer, stage.producer_len, -1,
                                &stage.row))
        abort();
}

static void
open_stage(void)
{
    struct sa_core_options options = {
        .workers_max = 1, .result_ttl_ns = 1000, .credits_max = 4};
    static uint8_t bell[4096];
    struct sa_recovered recovered;
    int status;
    stage.segment_len = sa_arena_size(64, 1 << 20);
    stage.producer_len = sa_ring_size(0, CAP, CAP);
    stage.worker_len = sa_ring_size(8, CAP, CAP);
    stage.segment = calloc(1, stage.segment_len);
    stage.producer = calloc(1, stage.producer_len);
    stage.worker = calloc(1, stage.worker_len);
    sa_arena_init(stage.segment, stage.segment_len, 64, 1 << 20, instance, instance);
    sa_ring_init(stage.worker, stage.worker_len, 0, 8, CAP, CAP, instance);
    stage.core = sa_core_open(stage.segment, stage.segment_len, &options, &status);
    if (!stage.core ||
        sa_core_attach_worker(stage.core, 0, stage.worker, stage.worker_len, 1) ||
        sa_core_recover(stage.core, 0, 0, &recovered) ||
        sa_core_worker_live(stage.core, 0, 1, 0, -1))
        abort();
    stage.actor = sa_worker_open(stage.worker, stage.worker_len, stage.segment,
                                 stage.segment_len, bell, -1, 0, 1, &status);
    attach();
}

static void
push(const uint8_t *data, uint32_t len)
{
    struct sa_ring_words *words = stage.producer;
    struct sa_spsc ring;
    uint8_t *at;
    sa_spsc_writer(&ring, (uint8_t *)stage.producer + words->head.submit_at, CAP,
                   &words->submit_tail.word, &words->submit_head.word);
    if (sa_spsc_reserve(&ring, len, &at) != SA_OK)
        return;
    memcpy(at, data, len);
    sa_spsc_seal(&ring, &(struct sa_record){.len = len});
    sa_spsc_publish(&ring);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sa_event events[64];
    struct sa_grant grant;
    if (!stage.core)
        open_stage();
    if (size > 16384)
        return 0;
    uint8_t *exact = malloc(size ? size : 1);
    memcpy(exact, data, size);
    (void)sa_task_check(exact, (uint32_t)size);
    push(exact, (uint32_t)size);
    free(exact);
    for (int i = 0; i < 3; i++) {
        stage.now += 500;
        sa_core_step(stage.core, stage.now, stage.now, 16);
        while (sa_worker_take(stage.actor, &grant) == SA_OK)
            if (sa_worker_report(stage.actor, &grant, SA_CANCELLED, 0, NULL, 0, 0))
                abort();
    }
    (void)sa_core_events(stage.core, events, 64);
    if (sa_core_check(stage.core) != 0)
        abort();
    /* A bad record quarantines its ring; the next one starts afresh. */
    if (sa_core_detach_producer(stage.core, stage.row) == SA_OK)
        attach();
    return 0;
}
