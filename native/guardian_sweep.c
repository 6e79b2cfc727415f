/*
 * Sweeping. Workers are sub-reapers of their own, so a child of ours that is in
 * no table was left by a dead one and may be killed. A pass lists our children,
 * kills the strangers and reaps those already dead; a fork-runner's next child
 * falls to us when its parent dies, so passes go on until two found nobody.
 */
#define _GNU_SOURCE
#include "guardian.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

struct entry { /* the kernel's struct linux_dirent64 */
    uint64_t inode;
    int64_t offset;
    uint16_t length;
    uint8_t type;
    char name[];
};

/* Read the children file: pids in decimal, each with a space after it. */
static bool each_listed(struct sa_guardian *g, int fd, sa_visitor visit, int64_t until)
{
    char text[4096];
    pid_t pid = 0;
    ssize_t got;
    while ((got = read(fd, text, sizeof(text))) > 0) {
        for (ssize_t at = 0; at < got; at++) {
            if (isdigit((unsigned char)text[at])) {
                pid = pid * 10 + (text[at] - '0');
            } else if (pid > 0) {
                visit(g, pid);
                pid = 0;
            }
        }
        if (sa_now() > until)
            return false;
    }
    return got == 0;
}

/* Return the parent of *pid* by /proc/PID/stat, 0 if it is gone. */
static pid_t parent_of(pid_t pid)
{
    char text[512];
    snprintf(text, sizeof(text), "/proc/%d/stat", pid);
    int fd = open(text, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    ssize_t got = read(fd, text, sizeof(text) - 1);
    close(fd);
    if (got <= 0)
        return 0;
    text[got] = '\0';
    /* pid (comm) state ppid: comm may hold spaces and brackets, so from behind. */
    char *behind = strrchr(text, ')');
    return behind != NULL && strlen(behind) > 4 ? (pid_t)atoi(behind + 4) : 0;
}

/* The way without CONFIG_PROC_CHILDREN: every process, asked for its parent. */
static bool each_in_proc(struct sa_guardian *g, sa_visitor visit, int64_t until)
{
    static char buffer[32768] __attribute__((aligned(8)));
    int fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return false;
    bool whole = true;
    long got;
    while (whole && (got = syscall(SYS_getdents64, fd, buffer, sizeof(buffer))) > 0) {
        for (long at = 0; at < got;) {
            const struct entry *entry = (const struct entry *)(buffer + at);
            at += entry->length;
            pid_t pid = (pid_t)atoi(entry->name);
            if (pid > 0 && pid != g->pid && parent_of(pid) == g->pid)
                visit(g, pid);
        }
        whole = sa_now() <= until;
    }
    close(fd);
    return whole;
}

/* Call *visit* for each child of ours; false if *until* came before the end. */
bool sa_children_each(struct sa_guardian *g, sa_visitor visit, int64_t until)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/self/task/%d/children", g->pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return each_in_proc(g, visit, until);
    bool whole = each_listed(g, fd, visit, until);
    close(fd);
    return whole;
}

static void kill_stranger(struct sa_guardian *g, pid_t pid)
{
    if (sa_table_find(g, pid) != NULL)
        return;
    g->swept_something = true;
    kill(pid, SIGKILL);
    if (waitpid(pid, NULL, WNOHANG) == pid)
        g->sweep_killed++;
}

/* Make one pass of at most SA_SWEEP_PASS_NS; true if it met no stranger. */
bool sa_sweep_pass(struct sa_guardian *g)
{
    g->swept_something = false;
    bool whole = sa_children_each(g, kill_stranger, sa_now() + SA_SWEEP_PASS_NS);
    return whole && !g->swept_something;
}

/* Ask for a sweep; *dead_worker* (0: none) is named in SWEPT when it is done. */
void sa_sweep_want(struct sa_guardian *g, pid_t dead_worker)
{
    int64_t now = sa_now();
    if (!g->sweeping) {
        g->sweeping = true;
        g->sweep_killed = 0;
        g->sweep_turn = now;
    }
    g->empty_passes = 0;
    g->sweep_until = now + SA_SWEEP_NS;
    if (dead_worker != 0 && g->sweep_count < SA_CHILDREN_MAX)
        g->swept_pids[g->sweep_count++] = dead_worker;
}

/* Make the next pass of a sweep in progress; SWEPT when two found nobody. */
void sa_sweep_step(struct sa_guardian *g)
{
    if (!g->sweeping || g->flight != SA_FLIGHT_NONE || g->stage != SA_STAGE_SERVING)
        return;
    g->empty_passes = sa_sweep_pass(g) ? g->empty_passes + 1 : 0;
    bool late = sa_now() >= g->sweep_until;
    if (g->empty_passes < 2 && !late)
        return;
    if (late && g->empty_passes < 2)
        sa_log("a sweep found processes that would not die; left to the next one");
    g->sweeping = false;
    for (uint32_t at = 0; at < g->sweep_count; at++) {
        const struct sa_message swept = {
            .verb = SA_VERB_SWEPT,
            .pid = g->swept_pids[at],
            .a = g->sweep_killed,
        };
        sa_supervisor_tell(g, &swept);
    }
    g->sweep_count = 0;
}
