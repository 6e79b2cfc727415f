"""With encryption on, plain text is in no file and in no memory but the users' own."""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

import pytest

from stem_actor import (
    AesGcmEncoder,
    Base64PayloadEncoder,
    CompressionEncoder,
    Event,
    StemApp,
    TaskContext,
    TaskHandle,
    TaskPayloadEncoder,
    TaskRunEnded,
    pipe_encoders,
)
from stem_actor.observe.stream import EventStream
from stem_actor.observe.subscription import Subscription
from tests.app.conftest import Maker
from tests.app.until import until

PARTS = ("args", "result", "error", "progress", "meta")
LARGE = 3_000  # times a word: more than a record takes
NEEDS_ROOT = pytest.mark.skipif(
    os.geteuid() != 0, reason="only root may read the supervisor's memory"
)


def canary(part: str, seed: str) -> str:
    """A word that stands nowhere but in *part*: not even in what it is made from."""
    return f"canary-{part}-{hashlib.sha256((part + seed).encode()).hexdigest()[:24]}"


def carry(context: TaskContext, word: str, seed: str, gate: str, fails: bool) -> str:
    """Say a word by every way there is; hold on at the gate so that one can look."""
    context.meta["kept"] = canary("meta", seed)
    context.progress(50, {"said": canary("progress", seed)})
    while not Path(gate).exists():
        time.sleep(0.005)
    if fails:
        raise ValueError(canary("error", seed))
    return canary("result", seed) * (LARGE if len(word) > 1000 else 1)


def places(app: StemApp, events: list[Event]) -> Iterator[tuple[str, bytes]]:
    """Yield all that lies outside of producers and workers, by its name."""
    root = app.directory.path
    for path in sorted(root.rglob("*")):
        if path.is_file() and not path.is_symlink():
            yield str(path.relative_to(root)), path.read_bytes()
    owner = app.directory.owner()
    assert owner is not None
    yield from memory(owner)
    yield "events", repr(events).encode()


def memory(pid: int) -> Iterator[tuple[str, bytes]]:
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as file:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            match = re.match(r"([0-9a-f]+)-([0-9a-f]+) r", line)
            if match is None:
                continue
            start, end = (int(it, 16) for it in match.groups())
            try:
                file.seek(start)
                yield "memory", file.read(end - start)
            except (OSError, ValueError, OverflowError):
                continue  # [vvar] and [vsyscall] cannot be read


def found(app: StemApp, events: list[Event], words: Mapping[str, str]) -> set[str]:
    """Return ``part in place`` for each canary that is seen anywhere."""
    seen: set[str] = set()
    for place, content in places(app, events):
        kind = place.partition("/")[0].partition(".")[0]
        seen |= {
            f"{part} in {kind}" for part in PARTS if words[part].encode() in content
        }
    return seen


def watch(app: StemApp) -> EventStream:
    """Listen as somebody without any encoder does."""
    stream = EventStream(Subscription(app.directory, (Event,), None))
    stream.until_ready()
    return stream


def lives(app: StemApp, tmp_path: Path, *, is_large: bool) -> set[str]:
    """Let a task succeed and one fail, looking on the way; returns what was seen."""
    seed = os.urandom(8).hex()
    words = {part: canary(part, seed) for part in PARTS}
    word = words["args"] * (LARGE if is_large else 1)
    gate = tmp_path / f"gate-{seed}"
    args = {"word": word, "seed": seed, "gate": str(gate)}
    seen: set[str] = set()
    with watch(app) as stream:
        good = app.enqueue("carry", {**args, "fails": False})
        bad = app.enqueue("carry", {**args, "fails": True})
        for handle in (good, bad):
            until(partial(progress_of, handle))
        seen |= found(app, [], words)
        gate.touch()
        good.result(timeout=20)
        error = bad.wait(timeout=20).status
        assert error is not None
        assert error.error is not None
        assert error.error.message == words["error"]
        until(lambda: app.dead_letters().get(bad.id))
        events: list[Event] = []
        while sum(isinstance(it, TaskRunEnded) for it in events) < 2:
            events.append(next(stream))
        seen |= found(app, events, words)
    return seen


def progress_of(handle: TaskHandle[object]) -> object:
    """Return the progress, after a moment for it to come."""
    handle.wait(timeout=0.01)
    return handle.progress


def app_with(make_app: Maker, encoder: TaskPayloadEncoder | None) -> StemApp:
    app = make_app(args_encoder=encoder, result_encoder=encoder)
    app.task(name="carry")(carry)
    return app


@NEEDS_ROOT
@pytest.mark.parametrize("is_large", [False, True], ids=["small", "large"])
@pytest.mark.parametrize("piped", [False, True], ids=["aes", "zlib-aes-base64"])
def test_nothing_of_an_encrypted_task_is_seen_outside_of_its_own_processes(
    make_app: Maker, tmp_path: Path, is_large: bool, piped: bool
) -> None:
    aes: TaskPayloadEncoder = AesGcmEncoder({"k": os.urandom(32)})
    if piped:
        aes = pipe_encoders(CompressionEncoder(), aes, Base64PayloadEncoder())
    with app_with(make_app, aes) as app:
        seen = lives(app, tmp_path, is_large=is_large)

    assert seen == set()


@NEEDS_ROOT
def test_the_same_search_finds_plain_tasks_everywhere(
    make_app: Maker, tmp_path: Path
) -> None:
    with app_with(make_app, None) as app:
        small = lives(app, tmp_path, is_large=False)
        large = lives(app, tmp_path, is_large=True)

    # What the search would miss here, it could miss with encryption too.
    everywhere = {f"{part} in memory" for part in PARTS}
    assert everywhere <= small
    assert {"args in core", "result in core", "error in core", "meta in core"} <= small
    assert {"error in events", "progress in events", "meta in events"} <= small
    assert {"args in dead", "error in dead"} <= small
    assert {"args in spool", "result in spool"} <= large
