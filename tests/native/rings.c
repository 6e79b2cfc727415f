/* One writer and one reader on a small ring: every record once, in order, whole. */
#include "sa_spsc.h"
#include "threads.h"

enum { CAP = 4096 };

static struct {
    uint8_t bytes[CAP];
    _Alignas(128) uint64_t tail;
    _Alignas(128) uint64_t head;
} shared;

static uint32_t
length_of(uint64_t number)
{
    return (uint32_t)(8 + number * 37 % (CAP / 8 - 48));
}

static void *
write_all(void *unused)
{
    struct sa_spsc ring;
    (void)unused;
    sa_spsc_writer(&ring, shared.bytes, CAP, &shared.tail, &shared.head);
    for (uint64_t n = 0; n < ROUNDS;) {
        uint8_t *at;
        uint32_t len = length_of(n);
        if (sa_spsc_reserve(&ring, len, &at) != SA_OK) {
            sa_pause();
            continue;
        }
        memset(at, (int)(n & 0xff), len);
        memcpy(at, &n, sizeof n);
        sa_spsc_seal(&ring, &(struct sa_record){.len = len});
        if (n++ % 3 == 0 || n == ROUNDS || length_of(n) > CAP / 16)
            sa_spsc_publish(&ring);
    }
    sa_spsc_publish(&ring);
    return NULL;
}

static void
read_all(void)
{
    struct sa_spsc ring;
    struct sa_view view;
    sa_spsc_reader(&ring, shared.bytes, CAP, &shared.tail, &shared.head);
    for (uint64_t n = 0; n < ROUNDS;) {
        int rc = sa_spsc_peek(&ring, &view);
        if (rc == SA_EMPTY) {
            sa_pause();
            continue;
        }
        uint64_t number;
        CHECK(rc == SA_OK && view.head.len == length_of(n));
        memcpy(&number, view.payload, sizeof number);
        CHECK(number == n);
        CHECK(view.head.len == 8 || view.payload[view.head.len - 1] == (n & 0xff));
        sa_spsc_next(&ring, &view);
        sa_spsc_release(&ring);
        n++;
    }
}

void
rings_run(void)
{
    pthread_t writer;
    /* So that the positions wrap on the way. */
    shared.head = shared.tail = (uint64_t)0 - 64 * CAP;
    CHECK(pthread_create(&writer, NULL, write_all, NULL) == 0);
    read_all();
    CHECK(pthread_join(writer, NULL) == 0);
}
