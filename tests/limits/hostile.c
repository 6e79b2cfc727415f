/* What a task may do in a C library, where no interpreter looks. */
#include <pthread.h>
#include <stdint.h>
#include <unistd.h>

/* Recur until the stack ends; the page written to keeps it from being a loop. */
int recur(int depth)
{
    volatile char page[4096];
    page[0] = (char)depth;
    return recur(depth + 1) + page[0];
}

static void *spin(void *unused)
{
    (void)unused;
    for (volatile uint64_t turn = 0;; turn++)
        ;
    return NULL;
}

/* Have so many threads use the processor for ever. */
void burn(int threads)
{
    pthread_t thread;
    for (int at = 0; at < threads; at++)
        pthread_create(&thread, NULL, spin, NULL);
    for (;;)
        pause();
}
