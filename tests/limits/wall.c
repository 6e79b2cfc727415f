/*
 * Preloaded into a supervisor by a test: a wall clock that is set while it runs.
 * The file that STEM_TEST_WALL names holds, as one number, what to add, in seconds.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static volatile int64_t *offset;

__attribute__((constructor)) static void open_offset(void)
{
    const char *path = getenv("STEM_TEST_WALL");
    int fd = path != NULL ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0)
        return;
    void *page = mmap(NULL, sizeof *offset, PROT_READ, MAP_SHARED, fd, 0);
    close(fd);
    if (page != MAP_FAILED)
        offset = page;
}

int clock_gettime(clockid_t which, struct timespec *now)
{
    int rc = (int)syscall(SYS_clock_gettime, which, now);
    if (rc == 0 && which == CLOCK_REALTIME && offset != NULL)
        now->tv_sec += *offset;
    return rc;
}
