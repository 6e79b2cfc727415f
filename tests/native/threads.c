/* Threads play the processes of one ring: TSan and plain checks judge the edges
 * that a test in one thread cannot reach. */
#include "threads.h"

static void *
memory(uint64_t len)
{
    void *at = aligned_alloc(4096, (len + 4095) & ~(uint64_t)4095);
    CHECK(at);
    memset(at, 0, len);
    return at;
}

void
stage_open(struct stage *stage, int bell_fd)
{
    static const uint8_t instance[16];
    const uint64_t cap = 1 << 16;
    struct sa_core_options options = {
        .workers_max = 2, .result_ttl_ns = 1000000000000, .dwell_ns = 1000000,
        .credits_max = 8};
    int status;
    stage->segment_len = sa_arena_size(1024, 1 << 20);
    stage->segment = memory(stage->segment_len);
    CHECK(sa_arena_init(stage->segment, stage->segment_len, 1024, 1 << 20, instance,
                        instance) == SA_OK);
    stage->bell = memory(4096);
    stage->bell_fd = bell_fd;
    stage->core = sa_core_open(stage->segment, stage->segment_len, &options, &status);
    CHECK(stage->core);
    stage->worker_len = sa_ring_size(8, cap, cap);
    for (uint32_t w = 0; w < 2; w++) {
        stage->worker_ring[w] = memory(stage->worker_len);
        CHECK(sa_ring_init(stage->worker_ring[w], stage->worker_len, w, 8, cap, cap,
                           instance) == SA_OK);
        CHECK(sa_core_attach_worker(stage->core, w, stage->worker_ring[w],
                                    stage->worker_len, 1) == SA_OK);
    }
    uint32_t row, id = sa_core_next_producer_id(stage->core);
    stage->producer_len = sa_ring_size(0, cap, cap);
    stage->producer_ring = memory(stage->producer_len);
    CHECK(sa_ring_init(stage->producer_ring, stage->producer_len, id, 0, cap, cap,
                       instance) == SA_OK);
    CHECK(sa_core_attach_producer(stage->core, stage->producer_ring,
                                  stage->producer_len, -1, &row) == SA_OK);
    struct sa_recovered recovered;
    CHECK(sa_core_recover(stage->core, sa_mono_ns(), sa_wall_ns(), &recovered) ==
          SA_OK);
    for (uint32_t w = 0; w < 2; w++)
        CHECK(sa_core_worker_live(stage->core, w, 1, 0, -1) == SA_OK);
}

void
stage_close(struct stage *stage)
{
    sa_core_close(stage->core);
    free(stage->segment);
    free(stage->producer_ring);
    free(stage->worker_ring[0]);
    free(stage->worker_ring[1]);
    free(stage->bell);
}

void
stage_submit(sa_producer *producer, uint32_t first, uint32_t end)
{
    struct {
        struct sa_task task;
        char names[2];
    } head = {.task = {.version = SA_TASK_VERSION, .queue_len = 1, .name_len = 1},
              .names = {'q', 't'}};
    uint8_t id[16];
    uint64_t ticket;
    int status;
    for (uint32_t n = first; n < end;) {
        uint32_t len = sizeof n;
        if (sa_producer_submit(producer, (const uint8_t *)&head, SA_TASK_HEAD + 2,
                               (const uint8_t *)&n, &len, 1, id, &ticket,
                               &status) == 1)
            n++;
        else
            stage_drain(producer);
    }
}

void
stage_drain(sa_producer *producer)
{
    struct sa_reply replies[64];
    uint8_t bytes[4096];
    uint32_t n;
    int rc = sa_producer_drain(producer, replies, 64, bytes, sizeof bytes, &n);
    CHECK(rc == SA_OK || rc == SA_EMPTY);
    if (n == 0)
        (void)sa_producer_wait_room(producer, 1000000);
}

int
main(void)
{
    rings_run();
    grants_run();
    bell_run();
    puts("rings, grants, bell: sound");
    return 0;
}
