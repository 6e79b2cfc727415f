"""A host in a process of its own: a script that launches a tree."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.process.tree import FAKE_SUPERVISOR, environment

PRELUDE = """
import json, os, signal, sys, threading
from stem_actor.actor.tree.importing import ImportSpec
from stem_actor.actor.tree.launch import LaunchSpec, become_guardian, launch
from tests.process.actor import body_for

ROOT = {root!r}
body = body_for(ROOT + "/actor.sock")


def spec(**settings):
    return LaunchSpec(**{{
        "directory": ROOT + "/runtime",
        "supervisor_argv": (
            sys.executable, "-I", {supervisor!r}, ROOT + "/supervisor.sock"
        ),
        "worker_body": body,
        "remove_directory": True,
        **settings,
    }})


def tell(**facts):
    sys.stdout.write(json.dumps(facts) + "\\n")
    sys.stdout.flush()

"""
MAIN = """
if __name__ == "__main__":
    tell(guardian=launch(spec()).pid)
    signal.pause()
"""


class Script:
    """A host script; a tree's sockets must exist before it starts."""

    def __init__(self, root: Path, text: str = MAIN) -> None:
        self.path = root / "host.py"
        prelude = PRELUDE.format(root=str(root), supervisor=str(FAKE_SUPERVISOR))
        self.path.write_text(prelude + text)
        self._process: subprocess.Popen[str] | None = None

    def start(self, *arguments: str) -> Script:
        """Start it with *arguments*; the caller kills or waits for it."""
        self._process = subprocess.Popen(
            [sys.executable, str(self.path), *arguments],
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        return self

    @property
    def process(self) -> subprocess.Popen[str]:
        """The process, once started."""
        assert self._process is not None
        return self._process

    def answer(self) -> dict[str, Any]:
        """Return the next line it tells."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, self.errors()
        facts: dict[str, Any] = json.loads(line)
        return facts

    def kill(self) -> None:
        """End it without a chance to do anything."""
        self.process.kill()
        self.process.wait()

    def rest(self) -> str:
        """Return the rest of its stdout, up to the end."""
        assert self.process.stdout is not None
        return self.process.stdout.read()

    def errors(self) -> str:
        """Return its stderr, up to the end."""
        assert self.process.stderr is not None
        return self.process.stderr.read()

    def close(self) -> None:
        """Kill it if need be, and give up what we hold of it."""
        self.kill()
        for stream in (self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()
