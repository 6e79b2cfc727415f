/* Wake-ups: S sleeps on its eventfd for much longer than the test may take, a
 * producer and a worker on their futexes.  One lost wake-up is one time-out. */
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "threads.h"

enum { TRIPS = ROUNDS / 2, PATIENCE_MS = 5000, SPIN_NS = 50000 };
#define PATIENCE_NS ((int64_t)PATIENCE_MS * 1000000)

static struct stage stage;
static uint32_t over;

static void *
round_trips(void *unused)
{
    int status;
    (void)unused;
    sa_producer *producer = sa_producer_open(stage.producer_ring, stage.producer_len,
                                             stage.bell, stage.bell_fd, &status);
    CHECK(producer);
    for (uint32_t n = 0; n < TRIPS; n++) {
        struct sa_reply reply;
        uint8_t bytes[64];
        uint32_t got = 0;
        /* Every moment of S's way to sleep is to be met, so the next record comes
         * a little later each time. */
        for (uint32_t i = 0; i < n % 512; i++)
            sa_pause();
        stage_submit(producer, n, n + 1);
        while (got == 0) {
            int rc = sa_producer_wait(producer, n & 1 ? SPIN_NS : 0, PATIENCE_NS);
            CHECK(rc != SA_TIMEOUT);
            (void)sa_producer_drain(producer, &reply, 1, bytes, sizeof bytes, &got);
        }
        CHECK(reply.kind == SA_SUCCEEDED);
    }
    sa_store32(&over, 1);
    sa_bell_write(stage.bell_fd);
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
        if (sa_worker_next(worker, &grant, 10000000) == SA_OK)
            CHECK(sa_worker_report(worker, &grant, SA_SUCCEEDED, 0, NULL, 0,
                                   PATIENCE_NS) == SA_OK);
    }
    sa_worker_close(worker);
    return NULL;
}

static void
supervise(void)
{
    while (!sa_load32(&over)) {
        int64_t sleep_ns = sa_core_run(stage.core, stage.bell, 1000000, 0,
                                       2 * PATIENCE_NS);
        if (sleep_ns == 0)
            continue;
        struct pollfd bell = {.fd = stage.bell_fd, .events = POLLIN};
        uint64_t rung;
        CHECK(poll(&bell, 1, PATIENCE_MS) == 1);
        CHECK(read(stage.bell_fd, &rung, sizeof rung) == sizeof rung);
    }
}

void
bell_run(void)
{
    pthread_t threads[3];
    int fd = eventfd(0, EFD_CLOEXEC);
    CHECK(fd >= 0);
    stage_open(&stage, fd);
    CHECK(pthread_create(&threads[0], NULL, round_trips, NULL) == 0);
    CHECK(pthread_create(&threads[1], NULL, work, stage.worker_ring[0]) == 0);
    CHECK(pthread_create(&threads[2], NULL, work, stage.worker_ring[1]) == 0);
    supervise();
    for (int i = 0; i < 3; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    stage_close(&stage);
    CHECK(close(fd) == 0);
}
