#include "sa_platform.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "sa_abi.h"
#include "sa_crash.h"
#include "sa_order.h"

/* A page shared with the test: [0] hits seen, [1] the hit to die at (0 = none), from
 * byte 8 the name of the point at which somebody died.  `seen` counts hits of every
 * process that is armed with the page; a fork inherits the page, not the role. */
static uint32_t *page;

/* Tests only.  Arms the crash points of this process; NULL disarms. */
void
sa_crash_arm(void *shared)
{
    page = shared;
}

/* 1 when the build has crash points. */
int
sa_crash_built(void)
{
#ifdef STEM_CP
    return 1;
#else
    return 0;
#endif
}

#ifdef STEM_CP
enum { NAME_BYTES = 32 };

void
sa_crash_point(const char *name)
{
    if (!page)
        return;
    uint32_t hit = sa_add32(&page[0], 1) + 1;
    if (page[1] && hit == page[1]) {
        size_t len = strlen(name) + 1;
        memcpy(&page[2], name, len < NAME_BYTES ? len : NAME_BYTES);
        kill(getpid(), SIGKILL);
        for (;;)
            pause();
    }
}
#endif
