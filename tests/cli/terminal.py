"""Terminal: runs the command line in a folder of its own, and a worker beside it."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.imports import ROOT

TIMEOUT_S: Final = 60

SHOP: Final = """
import os, time
from stem_actor import StemApp

app = StemApp(broker="ring://{ring}", workers=1, slots=1024, arena_bytes=4 << 20)
number = 3

@app.task
def add(a: int, b: int) -> int:
    return a + b

@app.task
def fail(why: str) -> None:
    raise RuntimeError(why)

@app.task(soft_time_limit=0.1, hard_time_limit=0.4)
def never_end() -> None:
    while True:
        try:
            time.sleep(60)
        except BaseException:
            pass

@app.task(queue="slow")
def wait_for(path: str) -> str:
    while not os.path.exists(path):
        time.sleep(0.01)
    return "seen"
"""


@dataclass(frozen=True)
class Answer:
    """What a command came to."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass(frozen=True)
class Terminal:
    """A user's shell in *folder*; *ring* is a path, so nothing else is touched."""

    folder: Path

    @property
    def ring(self) -> Path:
        return self.folder / "ring"

    def run(self, *arguments: object, timeout_s: float = TIMEOUT_S) -> Answer:
        """Run one command to its end."""
        done = subprocess.run(
            self._argv(arguments),
            cwd=self.folder,
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        return Answer(done.returncode, done.stdout, done.stderr)

    def start(self, *arguments: object) -> subprocess.Popen[str]:
        """Start a command in a process group of its own."""
        return subprocess.Popen(
            self._argv(arguments),
            cwd=self.folder,
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    @staticmethod
    def answer(process: subprocess.Popen[str], out: str, err: str) -> Answer:
        """Return what an ended *process* came to."""
        return Answer(process.returncode, out, err)

    def write_shop(self) -> None:
        """Put a module with an app into the folder."""
        (self.folder / "shop.py").write_text(SHOP.format(ring=self.ring))

    def python(self, program: str) -> str:
        """Run *program* in the folder and return what it prints."""
        return subprocess.run(
            [sys.executable, "-c", program],
            cwd=self.folder,
            env=self._environment(),
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=True,
        ).stdout.strip()

    @contextmanager
    def worker(self, *options: str) -> Iterator[subprocess.Popen[str]]:
        """Run the shop's workers for the time of the block; it has to end drained."""
        self.write_shop()
        process = self.start("worker", "shop:app", *options)
        try:
            line = first_line(process)
            assert line.endswith(": ready\n"), line
            yield process
        finally:
            with suppress(ProcessLookupError):
                process.terminate()
            end(process)

    def _argv(self, arguments: tuple[object, ...]) -> list[str]:
        program = "import sys; from stem_actor.cli import main; sys.exit(main())"
        return [sys.executable, "-c", program, *map(str, arguments)]

    @staticmethod
    def _environment() -> dict[str, str]:
        return {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}


def first_line(process: subprocess.Popen[str]) -> str:
    """Return the first whole line on stderr, or what came before the end of it."""
    assert process.stderr is not None
    fd, text, deadline = process.stderr.fileno(), b"", time.monotonic() + TIMEOUT_S
    while not text.endswith(b"\n"):
        ready, _, _ = select.select([fd], [], [], max(0, deadline - time.monotonic()))
        byte = os.read(fd, 1) if ready else b""
        if not byte:
            break
        text += byte
    return text.decode()


def end(process: subprocess.Popen[str]) -> None:
    """Wait for *process*; kill its group if it does not end by itself."""
    try:
        process.communicate(timeout=TIMEOUT_S)
    except subprocess.TimeoutExpired:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        raise
