/* One message, one packet, at most one descriptor. Never blocks. */
#define _GNU_SOURCE
#include "guardian.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Send; *passed_fd* stays the caller's, -1 for none. Returns 0 or -errno. */
int sa_wire_send(int fd, const struct sa_message *message, int passed_fd)
{
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control;
    struct iovec part = {.iov_base = (void *)message, .iov_len = sizeof(*message)};
    struct msghdr header = {.msg_iov = &part, .msg_iovlen = 1};

    if (passed_fd >= 0) {
        memset(&control, 0, sizeof(control));
        header.msg_control = control.bytes;
        header.msg_controllen = sizeof(control.bytes);
        struct cmsghdr *item = CMSG_FIRSTHDR(&header);
        item->cmsg_level = SOL_SOCKET;
        item->cmsg_type = SCM_RIGHTS;
        item->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(item), &passed_fd, sizeof(int));
    }
    ssize_t sent;
    do
        sent = sendmsg(fd, &header, MSG_DONTWAIT | MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    return sent < 0 ? -errno : 0;
}

/*
 * Receive one message; a descriptor that came along is the caller's, else -1.
 *
 * Returns 1; 0 at the end of the stream; -EAGAIN when there is nothing;
 * -EMFILE when the message is there but its descriptor did not fit; -EPROTO for
 * a packet that is no message; another -errno.
 */
int sa_wire_receive(int fd, struct sa_message *message, int *passed_fd)
{
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control;
    struct iovec part = {.iov_base = message, .iov_len = sizeof(*message)};
    struct msghdr header = {
        .msg_iov = &part,
        .msg_iovlen = 1,
        .msg_control = control.bytes,
        .msg_controllen = sizeof(control.bytes),
    };

    *passed_fd = -1;
    ssize_t got;
    do
        got = recvmsg(fd, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    while (got < 0 && errno == EINTR);
    if (got <= 0)
        return got < 0 ? -errno : 0;
    for (struct cmsghdr *item = CMSG_FIRSTHDR(&header); item != NULL;
         item = CMSG_NXTHDR(&header, item)) {
        if (item->cmsg_level == SOL_SOCKET && item->cmsg_type == SCM_RIGHTS)
            memcpy(passed_fd, CMSG_DATA(item), sizeof(int));
    }
    if (got != (ssize_t)sizeof(*message) || (header.msg_flags & MSG_TRUNC) != 0) {
        sa_close(passed_fd);
        return -EPROTO;
    }
    return (header.msg_flags & MSG_CTRUNC) != 0 && *passed_fd < 0 ? -EMFILE : 1;
}
