"""
A new interpreter as the guardian's beginning, for a process that cannot be forked.

``start`` runs in the host, ``become`` in a command line's process, ``main`` in the new
interpreter. Between them goes one JSON document over an inherited descriptor; the
command line holds no secrets.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NoReturn

from stem_actor.actor.tree import founding, importing, zygote
from stem_actor.actor.tree.birth import Birth
from stem_actor.actor.tree.importing import ImportSpec
from stem_actor.actor.tree.start_method import StartMethod
from stem_actor.errors import StemError

_BOOT = """
import json, os, sys
with os.fdopen(int(sys.argv[1])) as file:
    letter = json.load(file)
sys.path[:] = letter["sys_path"]
sys.argv[:] = letter["argv"]
from stem_actor.actor.tree.launcher import main
main(letter)
"""
_START_S = 60.0


def start(
    plan: founding.Plan,
    spec: ImportSpec,
    method: StartMethod,
    *,
    python: str = sys.executable,
) -> None:
    """
    Found the guardian of *plan* from a new interpreter.

    Args:
        plan: Its image is not used; the new interpreter makes its own from *spec*.
        spec: Where the user's code is.
        method: IMPORT or SPAWN.
        python: The interpreter.

    Raises:
        HandlerNotImportable: If a handler cannot be found by its name.
        StemError: If the interpreter fails; its own words are on stderr.
    """
    with _posted(plan, spec, method) as document:
        passed = (document, plan.host_pidfd, plan.status_fd, plan.handshake_fd)
        _run(_argv(python, document), passed)


def become(
    plan: founding.Plan,
    spec: ImportSpec,
    method: StartMethod,
    *,
    python: str = sys.executable,
) -> NoReturn:
    """
    Turn this process into a new interpreter that becomes the guardian of *plan*.

    Args:
        plan: As in ``start``; without a host and without a handshake.
        spec: Likewise.
        method: Likewise.
        python: Likewise.

    Raises:
        HandlerNotImportable: If a handler cannot be found by its name.
        OSError: If there is no room for another program.
    """
    with _posted(plan, spec, method) as document:
        for number in (document, plan.status_fd):
            os.set_inheritable(number, True)
        os.execv(python, _argv(python, document))  # noqa: S606 - no shell is wanted


@contextmanager
def _posted(
    plan: founding.Plan, spec: ImportSpec, method: StartMethod
) -> Iterator[int]:
    """Yield a descriptor from which the new interpreter reads what it needs."""
    letter = {
        "directory": plan.directory,
        "supervisor_argv": plan.supervisor_argv,
        "remove_directory": plan.remove_directory,
        "host_pidfd": plan.host_pidfd,
        "status_fd": plan.status_fd,
        "handshake_fd": plan.handshake_fd,
        "method": method,
        "body": spec.body,
        "prepare": spec.prepare,
        "modules": spec.all_modules(),
        "main": importing.main_location(),
        "sys_path": [os.path.abspath(entry) for entry in sys.path],
        "argv": sys.argv,
    }
    document = os.memfd_create("stem_actor launch")
    try:
        with os.fdopen(os.dup(document), "w", encoding="utf-8") as file:
            json.dump(letter, file)
        os.lseek(document, 0, os.SEEK_SET)
        yield document
    finally:
        os.close(document)


def main(letter: Mapping[str, Any]) -> NoReturn:
    """Become the guardian that *letter* describes; below a host, fork it and exit."""
    plan = founding.Plan(
        directory=letter["directory"],
        supervisor_argv=tuple(letter["supervisor_argv"]),
        remove_directory=letter["remove_directory"],
        host_pidfd=letter["host_pidfd"],
        status_fd=letter["status_fd"],
        handshake_fd=letter["handshake_fd"],
        image=image_of(letter),
    )
    if plan.host_pidfd < 0:
        founding.found(plan)
    founding.fork_guardian(plan)


def image_of(letter: Mapping[str, Any]) -> zygote.Image:
    """Return the image that imports: in the zygote, or with SPAWN in each worker."""
    modules = tuple(letter["modules"])

    def gather() -> None:
        importing.import_all(modules, letter["main"])
        if letter["prepare"] is not None:
            importing.resolve(letter["prepare"])()

    def body(birth: Birth) -> None:
        if letter["method"] == StartMethod.SPAWN:
            gather()
        importing.resolve(letter["body"])(birth)

    spawned = letter["method"] == StartMethod.SPAWN
    return zygote.Image(prepare=None if spawned else gather, body=body)


def _argv(python: str, document: int) -> list[str]:
    return [python, "-I", "-c", _BOOT, str(document)]


def _run(argv: list[str], passed: tuple[int, ...]) -> None:
    child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, pass_fds=passed)
    try:
        code = child.wait(_START_S)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
        raise StemError("the new interpreter did not start within 60 s") from None
    if code != 0:
        raise StemError(f"the new interpreter failed with status {code}")
