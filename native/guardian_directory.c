/* The runtime directory: the log in it, and its removal. */
#define _GNU_SOURCE
#include "guardian.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

struct entry { /* the kernel's struct linux_dirent64 */
    uint64_t inode;
    int64_t offset;
    uint16_t length;
    uint8_t type;
    char name[];
};

/* Open supervisor.log for appending; -1 with errno set. */
int sa_directory_open_log(int dir_fd)
{
    return openat(dir_fd, "supervisor.log",
                  O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);
}

/*
 * Unlink what is in *dir_fd*, going *depth* levels down. By descriptor and
 * without following links, so that nobody can lead us to another directory.
 */
static void empty(int dir_fd, int depth)
{
    char buffer[4096] __attribute__((aligned(8)));
    bool removed = true;
    while (removed) {
        removed = false;
        if (lseek(dir_fd, 0, SEEK_SET) != 0)
            return;
        long got;
        while ((got = syscall(SYS_getdents64, dir_fd, buffer, sizeof(buffer))) > 0) {
            for (long at = 0; at < got;) {
                const struct entry *entry = (const struct entry *)(buffer + at);
                at += entry->length;
                if (strcmp(entry->name, ".") == 0 || strcmp(entry->name, "..") == 0)
                    continue;
                if (unlinkat(dir_fd, entry->name, 0) == 0) {
                    removed = true;
                    continue;
                }
                int inner = openat(dir_fd, entry->name,
                                   O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
                if (inner < 0)
                    continue;
                if (depth > 0)
                    empty(inner, depth - 1);
                close(inner);
                removed |= unlinkat(dir_fd, entry->name, AT_REMOVEDIR) == 0;
            }
        }
    }
}

/* Remove the directory: its entries and those two levels below (quarantine). */
void sa_directory_remove(struct sa_guardian *g)
{
    empty(g->dir_fd, 2);
    if (rmdir(g->directory) != 0)
        sa_log("%s could not be removed", g->directory);
}
