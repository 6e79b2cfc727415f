/*
 * _guardian: the program the guardian process becomes. It is exec'd by the
 * Python process that was its beginning and so keeps pid, children and the
 * sub-reaper flag, while the host's memory goes.
 *
 *   _guardian --dir DIR --host-pidfd N|-1 --zygote-fd N --zygote-pid PID
 *             --bell-fd N --status-fd N [--remove-dir] [--cli] -- SUPERVISOR ARG…
 *
 * Exit status: the SHUTDOWN's value; 0 after the host's end; 64 bad arguments;
 * 70 it could not begin; 128 + n ended by signal n.
 */
#define _GNU_SOURCE
#include "guardian.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#define SA_OWN_FD_MIN 10 /* below are the numbers that the supervisor gets */

static struct sa_guardian the_guardian;

/* Nanoseconds of CLOCK_MONOTONIC. */
int64_t sa_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * SA_SECOND + now.tv_nsec;
}

/* Write one line to supervisor.log, which is our stderr. */
void sa_log(const char *format, ...)
{
    char line[512] = "guardian: ";
    size_t used = strlen(line);
    va_list values;
    va_start(values, format);
    int more = vsnprintf(line + used, sizeof(line) - used - 1, format, values);
    va_end(values);
    if (more > 0)
        used += (size_t)more;
    if (used > sizeof(line) - 2)
        used = sizeof(line) - 2;
    line[used] = '\n';
    ssize_t ignored = write(STDERR_FILENO, line, used + 1);
    (void)ignored; /* a full disk must not stop the guardian */
}

/* Close *fd* if it is open and mark it closed. */
void sa_close(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static _Noreturn void refuse(const char *why)
{
    fprintf(stderr, "_guardian: %s\n", why);
    exit(64);
}

static void parse(struct sa_guardian *g, int argc, char **argv)
{
    static const struct option options[] = {
        {"dir", required_argument, NULL, 'd'},
        {"host-pidfd", required_argument, NULL, 'h'},
        {"zygote-fd", required_argument, NULL, 'z'},
        {"zygote-pid", required_argument, NULL, 'p'},
        {"bell-fd", required_argument, NULL, 'b'},
        {"status-fd", required_argument, NULL, 's'},
        {"remove-dir", no_argument, NULL, 'r'},
        {"cli", no_argument, NULL, 'c'},
        {0},
    };
    int option;
    while ((option = getopt_long(argc, argv, "+", options, NULL)) != -1) {
        switch (option) {
        case 'd': g->directory = optarg; break;
        case 'h': g->host_fd = atoi(optarg); break;
        case 'z': g->zygote.fd = atoi(optarg); break;
        case 'p': g->zygote.pid = atoi(optarg); break;
        case 'b': g->bell_fd = atoi(optarg); break;
        case 's': g->status_fd = atoi(optarg); break;
        case 'r': g->remove_directory = true; break;
        case 'c': g->cli = true; break;
        default: refuse("unknown argument");
        }
    }
    g->supervisor_argv = argv + optind;
    if (g->directory == NULL || g->zygote.fd < 0 || g->zygote.pid <= 0 ||
        g->bell_fd < 0 || g->status_fd < 0 || optind >= argc)
        refuse("an argument is missing; this program is started by stem_actor");
}

/* Move *fd* out of the way of 0-9 and make it close-on-exec; -1 stays -1. */
static void move_up(int *fd)
{
    if (*fd < 0)
        return;
    int moved = fcntl(*fd, F_DUPFD_CLOEXEC, SA_OWN_FD_MIN);
    if (moved < 0)
        refuse("a descriptor that was named is not open");
    close(*fd);
    *fd = moved;
}

static int by_number(const void *left, const void *right)
{
    return *(const int *)left - *(const int *)right;
}

/* Close all but std and ours: a host's pipe reader must see its end of file. */
static void close_inherited(struct sa_guardian *g)
{
    int keep[] = {g->dir_fd, g->host_fd, g->zygote.fd, g->bell_fd, g->status_fd};
    size_t count = sizeof(keep) / sizeof(keep[0]);
    unsigned int next = 3;
    qsort(keep, count, sizeof(keep[0]), by_number);
    for (size_t at = 0; at < count; at++) {
        if (keep[at] < 0)
            continue;
        if ((unsigned int)keep[at] > next)
            close_range(next, (unsigned int)keep[at] - 1, 0);
        next = (unsigned int)keep[at] + 1;
    }
    close_range(next, ~0u, 0);
}

static void take_descriptors(struct sa_guardian *g)
{
    struct rlimit files;
    g->dir_fd = open(g->directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    if (g->dir_fd < 0)
        refuse("the directory cannot be opened");
    move_up(&g->dir_fd);
    move_up(&g->host_fd);
    move_up(&g->zygote.fd);
    move_up(&g->bell_fd);
    move_up(&g->status_fd);
    close_inherited(g);
    int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    int log_fd = sa_directory_open_log(g->dir_fd);
    if (null_fd < 0 || log_fd < 0 || dup2(null_fd, 0) < 0 || dup2(log_fd, 1) < 0 ||
        dup2(log_fd, 2) < 0)
        refuse("supervisor.log cannot be opened");
    close(null_fd);
    close(log_fd);
    /* Queued births hold one descriptor each. */
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
}

/*
 * Embedded, the host is the one to stop: SIGTERM to a whole control group must
 * not take the tree away from under its drain. SIGQUIT ends it at once.
 */
static void take_signals(struct sa_guardian *g)
{
    static const int ignored[] = {SIGPIPE, SIGTTIN, SIGTTOU};
    static const int for_cli[] = {SIGTERM, SIGINT, SIGHUP};
    sigset_t taken;
    struct sigaction hang_up = {0};

    sigaction(SIGHUP, NULL, &hang_up); /* ignored by nohup: it stays so */
    for (int number = 1; number < NSIG; number++)
        signal(number, SIG_DFL);
    for (size_t at = 0; at < sizeof(ignored) / sizeof(ignored[0]); at++)
        signal(ignored[at], SIG_IGN);
    sigemptyset(&taken);
    sigaddset(&taken, SIGCHLD);
    sigaddset(&taken, SIGQUIT);
    for (size_t at = 0; at < sizeof(for_cli) / sizeof(for_cli[0]); at++) {
        if (g->cli && !(for_cli[at] == SIGHUP && hang_up.sa_handler == SIG_IGN))
            sigaddset(&taken, for_cli[at]);
        else
            signal(for_cli[at], SIG_IGN);
    }
    sigprocmask(SIG_SETMASK, &taken, NULL);
    g->signal_fd = signalfd(-1, &taken, SFD_CLOEXEC | SFD_NONBLOCK);
    if (g->signal_fd < 0)
        refuse("no signalfd");
    move_up(&g->signal_fd);
}

/*
 * Pass *number* on to the supervisor. A second SIGTERM, and SIGQUIT, are orders to
 * end at once, a second SIGINT is one to end in a second, and it may hang: they set
 * a time after which its help is not needed.
 */
static void relay(struct sa_guardian *g, int number)
{
    const struct sa_message told = {.verb = SA_VERB_SIGNAL, .value = number};
    bool at_once = number == SIGQUIT ||
                   (number == SIGTERM && g->asked_to_end != 0);
    bool soon = number == SIGINT && g->interrupted;
    sa_supervisor_tell(g, &told);
    if (number == SIGINT)
        g->interrupted = true;
    if (number != SIGINT || g->asked_to_end == 0)
        g->asked_to_end = number;
    if ((at_once || soon) && g->end_at == 0)
        g->end_at = sa_now() + (at_once ? SA_PATIENCE_NS : SA_GRACE_NS);
}

static void heed_signals(struct sa_guardian *g)
{
    struct signalfd_siginfo info;
    while (read(g->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        int number = (int)info.ssi_signo;
        if (number == SIGCHLD)
            continue;
        /* A terminal that goes away asks for a drain, as a service manager does. */
        if (g->cli && g->supervisor_fd >= 0)
            relay(g, number == SIGHUP ? SIGTERM : number);
        else
            sa_stop(g, 128 + number);
    }
    if (g->end_at != 0 && sa_now() >= g->end_at && g->stage != SA_STAGE_STOPPING) {
        sa_log("the supervisor did not end in time; everything is ended");
        sa_stop(g, 128 + g->asked_to_end);
    }
}

static void note_foreign(struct sa_guardian *g, pid_t pid)
{
    if (sa_table_find(g, pid) == NULL)
        sa_table_add(g, pid, SA_KIND_FOREIGN);
}

/* How long poll may wait, in ms; -1 for ever. */
static int patience(const struct sa_guardian *g)
{
    int64_t until = 0;
    bool passes = g->sweeping && g->flight == SA_FLIGHT_NONE;
    if (passes || g->stage == SA_STAGE_CLEARING || g->stage == SA_STAGE_STOPPING)
        return g->swept_something ? 1 : 0;
    if (g->stage != SA_STAGE_SERVING)
        until = g->stage_until;
    if (g->end_at != 0 && (until == 0 || g->end_at < until))
        until = g->end_at;
    if (g->flight_until != 0 && (until == 0 || g->flight_until < until))
        until = g->flight_until;
    bool spare_wanted = g->spare.pid == 0 && g->flight == SA_FLIGHT_NONE;
    if (spare_wanted && g->zygote.fd >= 0 && g->stage == SA_STAGE_SERVING &&
        (until == 0 || g->spare_after < until))
        until = g->spare_after;
    if (until == 0)
        return -1;
    int64_t wait = until - sa_now();
    return wait <= 0 ? 0 : (int)((wait + SA_MS - 1) / SA_MS);
}

static void wait_for_news(struct sa_guardian *g)
{
    bool owed = g->outbox_head != g->outbox_tail;
    short hear = sa_supervisor_may_speak(g) ? POLLIN : 0;
    struct pollfd watched[] = {
        {.fd = g->signal_fd, .events = POLLIN},
        {.fd = g->stage == SA_STAGE_STOPPING ? -1 : g->host_fd, .events = POLLIN},
        {.fd = g->zygote.fd, .events = POLLIN},
        {.fd = g->supervisor_fd, .events = (short)(hear | (owed ? POLLOUT : 0))},
    };
    if (poll(watched, sizeof(watched) / sizeof(watched[0]), patience(g)) < 0)
        return; /* EINTR: every signal we heed is a descriptor */
    if (watched[1].revents != 0)
        sa_stop(g, 0);
}

static void run(struct sa_guardian *g)
{
    sa_supervisor_start(g);
    for (;;) {
        heed_signals(g);
        sa_zygote_read(g);
        sa_supervisor_read(g);
        sa_reap(g);
        sa_zygote_check(g);
        if (sa_stage_step(g))
            return;
        sa_sweep_step(g);
        sa_birth_pump(g);
        sa_supervisor_flush(g);
        wait_for_news(g);
    }
}

int main(int argc, char **argv)
{
    struct sa_guardian *g = &the_guardian;
    g->dir_fd = g->host_fd = g->bell_fd = g->status_fd = g->signal_fd = -1;
    g->supervisor_fd = g->zygote.fd = g->spare.fd = g->spare_offer_fd = -1;
    g->pid = getpid();
    parse(g, argc, argv);
    prctl(PR_SET_NAME, "stem-guardian");
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    take_descriptors(g);
    take_signals(g);
    if (sa_table_add(g, g->zygote.pid, SA_KIND_ZYGOTE) == NULL)
        return 70;
    sa_children_each(g, note_foreign, INT64_MAX);
    run(g);
    if (g->remove_directory && g->exit_code != SA_AGAIN)
        sa_directory_remove(g);
    return g->exit_code;
}
