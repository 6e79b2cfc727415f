"""
The first steps of a guardian, in Python: it forks the zygote while it still is the
host's image, then becomes the small C program that keeps its pid and its children.
"""

from __future__ import annotations

import os
import signal
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from stem_actor.actor.tree import hygiene, prctl, zygote

PROGRAM = Path(__file__).resolve().parents[2] / "_guardian"


@dataclass(frozen=True, slots=True)
class Plan:
    """
    What a guardian is founded with.

    Attributes:
        directory: Absolute; exists, belongs to this tree alone.
        supervisor_argv: The supervisor's command; it finds the guardian's socket on
            descriptor 3, the bell on 4 and the status pipe on 5.
        remove_directory: Whether the directory goes with the guardian.
        host_pidfd: The process whose end is this tree's end; -1 on the command line,
            where the calling process becomes the guardian.
        status_fd: Write end of the pipe that tells the host how it stands.
        handshake_fd: Socket on which the guardian hands out its pidfd; its end says
            that the C program runs, a line before it why not; -1 for none.
        image: The user's code.
    """

    directory: str
    supervisor_argv: tuple[str, ...]
    remove_directory: bool
    host_pidfd: int
    status_fd: int
    handshake_fd: int
    image: zygote.Image


def fork_guardian(plan: Plan) -> NoReturn:
    """Fork the guardian and exit, so that the host is not its parent."""

    def life() -> NoReturn:
        os.setsid()
        found(plan)

    hygiene.fork_into(life)
    os._exit(0)


def found(plan: Plan) -> NoReturn:
    """Turn this process into the guardian of *plan*."""
    hygiene.fresh_signals()
    prctl.adopt_orphans()
    # Made before the first fork: it outlives every supervisor, and every worker has it.
    bell_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    cradle = zygote.Cradle(os.getpid(), plan.directory, bell_fd)

    def life() -> NoReturn:
        ours.close()
        zygote.run(theirs.detach(), plan.status_fd, cradle, plan.image)

    zygote_pid = hygiene.fork_into(life)
    theirs.close()
    if plan.handshake_fd >= 0:
        _introduce(plan.handshake_fd)
    argv = _argv(plan, ours.fileno(), zygote_pid, bell_fd)
    for number in (plan.host_pidfd, ours.fileno(), bell_fd, plan.status_fd):
        if number >= 0:
            os.set_inheritable(number, True)
    try:
        os.execv(PROGRAM, argv)  # noqa: S606 - no shell is wanted
    except OSError as error:
        os.kill(zygote_pid, signal.SIGKILL)
        if plan.handshake_fd >= 0:
            os.write(plan.handshake_fd, f"cannot run {PROGRAM}: {error}".encode())
        raise


def _introduce(handshake_fd: int) -> None:
    """Hand the host our own pidfd: a pid alone could come to mean another process."""
    myself = os.pidfd_open(os.getpid())
    with socket.socket(fileno=os.dup(handshake_fd)) as line:
        socket.send_fds(line, [str(os.getpid()).encode()], [myself])
    os.close(myself)
    os.set_inheritable(handshake_fd, False)  # so that a successful exec closes it


def _argv(plan: Plan, line_fd: int, zygote_pid: int, bell_fd: int) -> list[str]:
    numbers = {
        "--host-pidfd": plan.host_pidfd,
        "--zygote-fd": line_fd,
        "--zygote-pid": zygote_pid,
        "--bell-fd": bell_fd,
        "--status-fd": plan.status_fd,
    }
    argv = [str(PROGRAM), "--dir", plan.directory]
    for option, number in numbers.items():
        argv += [option, str(number)]
    if plan.remove_directory:
        argv.append("--remove-dir")
    if plan.host_pidfd < 0:
        argv.append("--cli")
    return [*argv, "--", *plan.supervisor_argv]
