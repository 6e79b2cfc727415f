"""What is asked of kernel and interpreter before a tree is started."""

from __future__ import annotations

import ctypes
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from stem_actor.actor.host.preflight import require_kernel, require_python
from stem_actor.errors import SettingsError
from tests.process.tree import environment

IS_X86 = platform.machine() == "x86_64"
PRCTL = 157 if IS_X86 else 167
EVENTFD = 290 if IS_X86 else 19
ANY = 0xFFFFFFFF

#: Has the kernel refuse one system call to this process, by its own filter.
REFUSE = """
import ctypes, os, struct, sys

number, argument = int(sys.argv[1]), int(sys.argv[2])
LOAD, EQUAL, RETURN = 0x20, 0x15, 0x06
ALLOW, REFUSE = 0x7FFF0000, 0x00050000 | 1
program = [(LOAD, 0, 0, 0), (EQUAL, 0, 3, number)]
if argument == 0xFFFFFFFF:
    program[1] = (EQUAL, 0, 1, number)
else:
    program += [(LOAD, 0, 0, 16), (EQUAL, 0, 1, argument)]
program += [(RETURN, 0, 0, REFUSE), (RETURN, 0, 0, ALLOW)]
code = b"".join(struct.pack("HBBI", *step) for step in program)
libc = ctypes.CDLL(None, use_errno=True)
buffer = ctypes.create_string_buffer(code)
head = ctypes.create_string_buffer(
    struct.pack("HxxxxxxP", len(program), ctypes.addressof(buffer))
)
libc.prctl(38, 1, 0, 0, 0)
if libc.prctl(22, 2, head, 0, 0) != 0:
    sys.exit(77)
"""
START = """
from stem_actor import StemApp
from stem_actor.errors import RingError
try:
    StemApp(runtime_dir=sys.argv[3], workers=1).start()
except RingError as error:
    print(error)
"""


@pytest.mark.parametrize(
    ("call", "number", "argument"),
    [
        ("pidfd_open", 434, ANY),
        ("eventfd", EVENTFD, ANY),
        ("prctl(PR_SET_CHILD_SUBREAPER)", PRCTL, 36),
        ("close_range", 436, ANY),
    ],
)
@pytest.mark.skipif(
    platform.machine() not in ("x86_64", "aarch64"), reason="numbers of other machines"
)
def test_a_kernel_that_refuses_what_is_needed_is_named_before_anything_starts(
    tmp_path: Path, call: str, number: int, argument: int
) -> None:
    command = [sys.executable, "-c", REFUSE + START, str(number), str(argument)]

    done = subprocess.run(
        [*command, str(tmp_path)],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    if done.returncode == 77:
        pytest.skip("this machine allows no seccomp filter")
    assert done.stderr == ""
    assert done.stdout.startswith(f"this kernel refuses {call}: Operation not permit")
    assert "seccomp filter that allows" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_the_probe_of_the_kernel_changes_nothing() -> None:
    before = _subreaper(), os.listdir("/proc/self/fd")

    require_kernel()

    assert (_subreaper(), os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "is no program"),
        ("#!/bin/sh\necho hello", "it said 'hello'"),
        ("#!/bin/sh\necho cpython-27", "it said 'cpython-27'"),
        ("no program", "it said 'OSError'"),
    ],
)
def test_a_program_that_is_no_python_is_refused_with_the_remedy(
    tmp_path: Path, text: str | None, said: str
) -> None:
    path = tmp_path / "python"
    if text is not None:
        path.write_text(text + "\n")
        path.chmod(0o755)

    with pytest.raises(SettingsError, match="pass python=") as caught:
        require_python(str(path))

    assert said in str(caught.value)
    assert str(path) in str(caught.value)


def test_an_interpreter_behind_another_name_is_accepted(tmp_path: Path) -> None:
    path = tmp_path / "snake"
    path.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    path.chmod(0o755)

    require_python(str(path))


def _subreaper() -> int:
    flag = ctypes.c_int()
    ctypes.CDLL(None).prctl(37, ctypes.byref(flag), 0, 0, 0)
    return flag.value
