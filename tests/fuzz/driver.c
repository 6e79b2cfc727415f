/* A seeded mutation loop for machines without libFuzzer.
 *   target SECONDS SEED CRASH-FILE SEED-FILE…
 * On a finding the sanitizer stops the process; its input is in CRASH-FILE. */
#include <sanitizer/common_interface_defs.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { INPUT_MAX = 8192, SEEDS_MAX = 64 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t input[INPUT_MAX], corpus[SEEDS_MAX][INPUT_MAX];
static size_t size, sizes[SEEDS_MAX];
static uint32_t seeds;
static uint64_t dice;
static const char *crash_file;

static uint32_t
roll(uint32_t below)
{
    dice = dice * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(dice >> 33) % below;
}

static void
save(void)
{
    FILE *file = fopen(crash_file, "wb");
    if (!file)
        return;
    (void)fwrite(input, 1, size, file);
    (void)fclose(file);
}

static void
on_abort(int signo)
{
    save();
    signal(signo, SIG_DFL);
    raise(signo);
}

static void
mutate(void)
{
    static const uint64_t odd[] = {0, 1, 0x7f, 0x80, 0xff, 0x7fff, 0xffff, 0x10000,
                                   0x7fffffff, 0x80000000, 0xffffffff, ~0ull,
                                   1ull << 63, (1ull << 63) - 1};
    uint32_t at = size ? roll((uint32_t)size) : 0, width = 1u << roll(4);
    switch (roll(6)) {
    case 0:
        if (size)
            input[at] ^= (uint8_t)(1u << roll(8));
        break;
    case 1:
        if (size)
            input[at] = (uint8_t)roll(256);
        break;
    case 2:
        if (at + width <= size)
            memcpy(input + at, &odd[roll(sizeof odd / sizeof *odd)], width);
        break;
    case 3:
        size = at;
        break;
    case 4:
        for (uint32_t n = 1 + roll(32); n > 0 && size < INPUT_MAX; n--)
            input[size++] = (uint8_t)roll(256);
        break;
    default: {
        uint32_t other = roll(seeds), from = roll((uint32_t)sizes[other] + 1);
        size_t n = sizes[other] - from;
        n = n < INPUT_MAX - at ? n : INPUT_MAX - at;
        memcpy(input + at, corpus[other] + from, n);
        size = at + n > size ? at + n : size;
    }
    }
}

int
main(int argc, char **argv)
{
    if (argc < 5)
        return 64;
    time_t until = time(NULL) + atoi(argv[1]);
    dice = strtoull(argv[2], NULL, 0);
    crash_file = argv[3];
    for (int i = 4; i < argc && seeds < SEEDS_MAX; i++) {
        FILE *file = fopen(argv[i], "rb");
        if (!file)
            return 66;
        sizes[seeds] = fread(corpus[seeds], 1, INPUT_MAX, file);
        (void)fclose(file);
        seeds++;
    }
    __sanitizer_set_death_callback(save);
    signal(SIGABRT, on_abort);
    uint64_t runs = 0;
    for (; (runs & 255) || time(NULL) < until; runs++) {
        uint32_t from = (uint32_t)(runs < seeds ? runs : roll(seeds));
        size = sizes[from];
        memcpy(input, corpus[from], size);
        for (uint32_t n = runs < seeds ? 0 : 1 + roll(6); n > 0; n--)
            mutate();
        (void)LLVMFuzzerTestOneInput(input, size);
    }
    printf("%llu runs\n", (unsigned long long)runs);
    return 0;
}
