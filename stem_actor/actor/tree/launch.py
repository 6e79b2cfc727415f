"""Starting a tree: from a host, or by becoming its guardian."""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import NoReturn

from stem_actor.actor.tree import (
    founding,
    hygiene,
    importing,
    launcher,
    start_method,
    zygote,
)
from stem_actor.actor.tree.birth import Birth
from stem_actor.actor.tree.guardian import Guardian
from stem_actor.actor.tree.importing import ImportSpec
from stem_actor.actor.tree.start_method import StartMethod
from stem_actor.errors import SettingsError, StemError

_HANDSHAKE_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchSpec:
    """
    What a tree is started with.

    Attributes:
        directory: Absolute path of its directory, which exists.
        supervisor_argv: See ``founding.Plan``.
        worker_body: Runs in every worker's main thread; used by FORK.
        prepare: Runs once in the zygote before the first birth; used by FORK.
        remove_directory: Whether the directory goes with the tree.
        start_method: A ``StartMethod``.
        import_spec: Where the code is, for IMPORT and SPAWN; None if it has no name.
        python: The interpreter that imports, for IMPORT and SPAWN.
    """

    directory: str
    supervisor_argv: tuple[str, ...]
    worker_body: Callable[[Birth], None]
    prepare: Callable[[], None] | None = None
    remove_directory: bool = False
    start_method: StartMethod | str = StartMethod.AUTO
    import_spec: ImportSpec | None = None
    python: str = sys.executable


def launch(spec: LaunchSpec) -> Guardian:
    """
    Start a tree below this process, without becoming its parent.

    The guardian ends with this *process*, not with the thread that calls.

    Raises:
        HandlerNotImportable: If code has to be imported and has no name.
        SettingsError: If *spec* cannot work.
        StemError: If the guardian does not come up.
    """
    _check(spec)
    method = start_method.choose(spec.start_method)
    status_out, status_in = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    host = os.pidfd_open(os.getpid())
    plan = _plan(spec, host, status_in, theirs.fileno())
    try:
        if method is StartMethod.FORK:
            with hygiene.quiet_fork():
                first = hygiene.fork_into(lambda: founding.fork_guardian(plan))
                hygiene.reap(first)
        else:
            launcher.start(plan, _named(spec, method), method, python=spec.python)
        theirs.close()
        pid, pidfd = _meet(ours)
    except BaseException:
        os.close(status_out)
        raise
    finally:
        theirs.close()
        ours.close()
        os.close(status_in)
        os.close(host)
    return Guardian(pid, pidfd, status_out)


def become_guardian(spec: LaunchSpec) -> NoReturn:
    """
    Turn this process into the guardian of a tree; it returns only by an error.

    With FORK its zygote is a copy of this process; else this process first becomes a
    new interpreter, which has none of its threads.

    Raises:
        HandlerNotImportable: If code has to be imported and has no name.
        SettingsError: If *spec* cannot work.
    """
    _check(spec)
    method = start_method.choose(spec.start_method)
    named = None if method is StartMethod.FORK else _named(spec, method)
    hygiene.flush_streams()
    # There is no host to read the status lines: they go to the terminal.
    plan = _plan(spec, -1, os.dup(2), -1)
    if named is not None:
        launcher.become(plan, named, method, python=spec.python)
    founding.found(plan)


def _check(spec: LaunchSpec) -> None:
    if importing.is_importing():
        raise SettingsError(
            ["a tree was started while a worker imports this module"],
            hint='put the start under `if __name__ == "__main__":`',
        )
    problems = []
    if not os.path.isabs(spec.directory) or not os.path.isdir(spec.directory):
        problems.append(f"{spec.directory!r} is not the absolute path of a directory")
    if not spec.supervisor_argv:
        problems.append("there is no supervisor command")
    if not os.access(founding.PROGRAM, os.X_OK):
        problems.append(f"{founding.PROGRAM} is missing: install stem_actor again")
    if problems:
        raise SettingsError(problems)


def _named(spec: LaunchSpec, method: StartMethod) -> ImportSpec:
    if spec.import_spec is None:
        raise SettingsError(
            [f'start_method="{method}" has to import the handlers, and none is named'],
            hint="start before any thread does, or define the handlers in a module",
        )
    problems = [
        f'start_method="{method}" cannot bring a {type(it).__name__} ({name}) over'
        for name, it in spec.import_spec.unreachable.items()
    ]
    if problems:
        raise SettingsError(
            problems, hint="keep it, or the app that has it, in a global of a module"
        )
    return spec.import_spec


def _plan(
    spec: LaunchSpec, host_pidfd: int, status_fd: int, handshake_fd: int
) -> founding.Plan:
    return founding.Plan(
        directory=spec.directory,
        supervisor_argv=spec.supervisor_argv,
        remove_directory=spec.remove_directory,
        host_pidfd=host_pidfd,
        status_fd=status_fd,
        handshake_fd=handshake_fd,
        image=zygote.Image(prepare=spec.prepare, body=spec.worker_body),
    )


def _meet(line: socket.socket) -> tuple[int, int]:
    """Return pid and pidfd of the guardian that is at the other end of *line*."""
    line.settimeout(_HANDSHAKE_S)
    failure = b"did not start; stderr says why, if it could"
    packet, fds = b"", list[int]()
    with suppress(TimeoutError):
        packet, fds, _flags, _address = socket.recv_fds(line, 32, 1)
    if fds:
        try:
            os.set_inheritable(fds[0], False)
            failure = line.recv(4096)  # nothing but its end if the exec succeeded
            if not failure:
                return int(packet), fds[0]
        except BaseException:
            # Nobody would own it: Ctrl-C, or an exec that does not return.
            signal.pidfd_send_signal(fds[0], signal.SIGKILL)
            os.close(fds[0])
            raise
        os.close(fds[0])
    raise StemError(f"the guardian {failure.decode(errors='replace')}")
