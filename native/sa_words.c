#include "sa_words.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

#include "sa_abi.h"

static volatile sig_atomic_t next;

static void
on_words(int signo)
{
    int error = errno;
    (void)signo;
    (void)raise(next);
    errno = error;
}

int
sa_words_follow(int signo, int then)
{
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = on_words;
    action.sa_flags = SA_RESTART | SA_ONSTACK;
    next = then;
    return sigaction(signo, &action, NULL) == 0 ? SA_OK : SA_INVALID;
}
