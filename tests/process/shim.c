/*
 * Preloaded into the guardian by tests: a process that cannot be killed, and a
 * kernel without CONFIG_PROC_CHILDREN.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

/* The process whose pid is in the file that STEM_TEST_IMMORTAL names. */
static pid_t immortal(void)
{
    const char *path = getenv("STEM_TEST_IMMORTAL");
    FILE *file = path != NULL ? fopen(path, "r") : NULL;
    int pid = 0;
    if (file == NULL)
        return 0;
    if (fscanf(file, "%d", &pid) != 1)
        pid = 0;
    fclose(file);
    return pid;
}

int kill(pid_t pid, int number)
{
    int (*next)(pid_t, int) = (int (*)(pid_t, int))dlsym(RTLD_NEXT, "kill");
    pid_t spared = immortal();
    if (spared != 0 && (pid == spared || pid == -spared))
        return 0;
    return next(pid, number);
}

int open(const char *path, int flags, ...)
{
    int (*next)(const char *, int, ...) =
        (int (*)(const char *, int, ...))dlsym(RTLD_NEXT, "open");
    const char *dot = strrchr(path, '/');
    va_list rest;
    va_start(rest, flags);
    unsigned int mode = (flags & O_CREAT) != 0 ? va_arg(rest, unsigned int) : 0;
    va_end(rest);
    if (getenv("STEM_TEST_NO_CHILDREN") != NULL && dot != NULL &&
        strcmp(dot, "/children") == 0) {
        errno = ENOENT;
        return -1;
    }
    return next(path, flags, mode);
}
