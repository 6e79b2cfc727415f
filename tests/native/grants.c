/* Claim against revoke: S takes offers back at random while workers claim them.
 * Every task runs exactly once, or was revoked and runs never. */
#include "threads.h"

static struct stage stage;
static uint32_t ran[ROUNDS], revoked[ROUNDS];
static uint32_t over;

static void *
submit_all(void *unused)
{
    int status;
    (void)unused;
    sa_producer *producer = sa_producer_open(stage.producer_ring, stage.producer_len,
                                             stage.bell, stage.bell_fd, &status);
    CHECK(producer);
    stage_submit(producer, 0, ROUNDS);
    while (!sa_load32(&over))
        stage_drain(producer);
    sa_producer_close(producer);
    return NULL;
}

static void *
work(void *ring)
{
    int status;
    sa_worker *worker =
        sa_worker_open(ring, stage.worker_len, stage.segment, stage.segment_len,
                       stage.bell, stage.bell_fd, 0, 1, &status);
    CHECK(worker);
    while (!sa_load32(&over)) {
        struct sa_grant grant;
        uint32_t number;
        int rc = sa_worker_next(worker, &grant, 1000000);
        if (rc != SA_OK) {
            CHECK(rc == SA_TIMEOUT || rc == SA_EMPTY);
            continue;
        }
        CHECK(grant.body_len == sizeof number);
        memcpy(&number, grant.body, sizeof number);
        CHECK(sa_add32(&ran[number], 1) == 0);
        CHECK(sa_worker_report(worker, &grant, SA_SUCCEEDED, 0, NULL, 0,
                               10000000000) == SA_OK);
    }
    sa_worker_close(worker);
    return NULL;
}

static void
disturb(uint32_t *dice)
{
    *dice = *dice * 1664525 + 1013904223;
    struct sa_actor *actor = &stage.core->actors[*dice >> 8 & 1];
    uint32_t cell = *dice >> 16 & 7, slot = actor->leases[cell].slot;
    if (slot == SA_NONE)
        return;
    if (*dice >> 24 & 3) {
        (void)sa_actor_revoke(stage.core, actor, cell);
        return;
    }
    const struct sa_slot *at = &stage.core->arena.slots[slot];
    const struct sa_task *task = sa_core_task(stage.core, at);
    uint32_t number;
    memcpy(&number, (const uint8_t *)task + SA_TASK_HEAD + 2, sizeof number);
    if (sa_core_revoke(stage.core, slot, SA_WORD_GEN(at->word), NULL, 0) == SA_OK)
        revoked[number]++;
}

void
grants_run(void)
{
    pthread_t threads[3];
    uint32_t dice = 1;
    stage_open(&stage, -1);
    CHECK(pthread_create(&threads[0], NULL, submit_all, NULL) == 0);
    CHECK(pthread_create(&threads[1], NULL, work, stage.worker_ring[0]) == 0);
    CHECK(pthread_create(&threads[2], NULL, work, stage.worker_ring[1]) == 0);
    int64_t until = sa_mono_ns() + 60000000000;
    while (stage.core->arena.stats->finished < ROUNDS) {
        CHECK(sa_mono_ns() < until);
        sa_core_step(stage.core, sa_mono_ns(), sa_wall_ns(), SA_BATCH);
        for (int i = 0; i < 64; i++)
            disturb(&dice);
    }
    sa_store32(&over, 1);
    for (int i = 0; i < 3; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    CHECK(sa_core_check(stage.core) == 0);
    CHECK(stage.core->arena.stats->finished == ROUNDS);
    for (uint32_t n = 0; n < ROUNDS; n++)
        CHECK(ran[n] + revoked[n] == 1);
    stage_close(&stage);
}
