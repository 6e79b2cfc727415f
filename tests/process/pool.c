/* A thread pool with the manners of OpenBLAS: it stops before every fork. */
#include <pthread.h>
#include <semaphore.h>

static pthread_t thread;
static sem_t stop;

static void *wait_for_stop(void *unused)
{
    (void)unused;
    sem_wait(&stop);
    return NULL;
}

static void stop_for_fork(void)
{
    sem_post(&stop);
    pthread_join(thread, NULL);
}

void start_pool(void)
{
    sem_init(&stop, 0, 0);
    pthread_create(&thread, NULL, wait_for_stop, NULL);
    pthread_atfork(stop_for_fork, NULL, NULL);
}
