"""Where an interruption has struck, told from real frames of chosen files."""

from __future__ import annotations

import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import stem_actor
from stem_actor.actor.worker.place import Place, place_of

PACKAGE = Path(stem_actor.__file__).parent
STDLIB = Path(sysconfig.get_path("stdlib"))

WORKER = (str(PACKAGE / "actor/worker/worker.py"), "start")
RUN = (str(PACKAGE / "tasks/runner.py"), "run")
RUN_WITH_CONTEXT = (str(PACKAGE / "tasks/runner.py"), "run_with_context")
RECEIVE = (str(PACKAGE / "tasks/runner.py"), "receive")
UPGRADE = (str(PACKAGE / "tasks/task_version.py"), "upgrade")
RAISE = (str(PACKAGE / "model/raising.py"), "raise_")
PROGRESS = (str(PACKAGE / "tasks/context.py"), "progress")
CALL = (str(PACKAGE / "tasks/task.py"), "__call__")
LOWER = (str(PACKAGE / "payload/lowering.py"), "lower")
COMMAND = (str(PACKAGE / "cli/demo.py"), "handler")
JOIN = (str(STDLIB / "threading.py"), "join")
NUMPY = (str(STDLIB / "site-packages/numpy/core.py"), "dot")
GENERATED = ("<string>", "__init__")
HANDLER = ("/srv/shop/tasks.py", "handler")
HELPER = ("/srv/shop/tasks.py", "run")  # a name of the runner's, in another file


def place_in(*chain: tuple[str, str], is_owned: bool = False) -> Place:
    """Return the place of the innermost frame of *chain*, the outermost first."""

    def look() -> Place:
        return place_of(sys._getframe(1), is_owned=is_owned)

    call: Callable[[], Any] = look
    for path, name in reversed(chain):
        names: dict[str, Any] = {"call": call}
        source = f"def {name}():\n    return call()\n"
        exec(compile(source, path, "exec"), names)  # noqa: S102 - text of our own
        call = names[name]
    return call()  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("chain", "place"),
    [
        ([WORKER, RUN, HANDLER], Place.HANDLER),
        ([WORKER, RUN_WITH_CONTEXT, HANDLER], Place.HANDLER),
        ([WORKER, RUN, HANDLER, JOIN], Place.HANDLER),
        ([WORKER, RUN, HANDLER, NUMPY], Place.HANDLER),
        ([WORKER, RUN, HANDLER, HELPER], Place.HANDLER),
        ([WORKER, RUN, HANDLER, GENERATED], Place.HANDLER),
        ([WORKER, RUN, COMMAND], Place.HANDLER),
        # The standard library straight below the runner: the handler is a partial.
        ([WORKER, RUN, JOIN], Place.HANDLER),
        ([WORKER, RUN, HANDLER, PROGRESS], Place.LIBRARY),
        ([WORKER, RUN, HANDLER, PROGRESS, JOIN], Place.LIBRARY),
        ([WORKER, RUN, HANDLER, PROGRESS, GENERATED], Place.LIBRARY),
        # A handler that calls another task as a function.
        ([WORKER, RUN, HANDLER, CALL, HANDLER], Place.HANDLER),
        ([WORKER, RUN, HANDLER, CALL], Place.LIBRARY),
        # The user's code that reads an argument or writes a result.
        ([WORKER, RUN, RECEIVE, LOWER, HANDLER], Place.LIBRARY),
        ([WORKER, RUN, HANDLER, PROGRESS, LOWER, HANDLER, JOIN], Place.LIBRARY),
        ([WORKER, RUN, RECEIVE], Place.LIBRARY),
        ([WORKER, RUN, RECEIVE, UPGRADE, HANDLER], Place.LIBRARY),
        ([WORKER, RUN, HANDLER, RAISE, HANDLER], Place.LIBRARY),
        ([WORKER, RUN], Place.OUTSIDE),
        ([WORKER, RUN_WITH_CONTEXT], Place.OUTSIDE),
        ([WORKER], Place.OUTSIDE),
        ([WORKER, JOIN], Place.OUTSIDE),
        ([HANDLER], Place.OUTSIDE),
    ],
    ids=lambda it: " > ".join(name for _, name in it) if isinstance(it, list) else "",
)
def test_the_place_follows_from_the_frames(
    chain: list[tuple[str, str]], place: Place
) -> None:
    assert place_in(*chain) is place


@pytest.mark.parametrize(
    ("chain", "place"),
    [
        ([HANDLER], Place.HANDLER),
        ([HANDLER, JOIN], Place.HANDLER),
        ([HANDLER, PROGRESS], Place.LIBRARY),
        ([LOWER, HANDLER], Place.LIBRARY),
        ([WORKER, RUN, HANDLER], Place.HANDLER),
        ([WORKER, RUN], Place.OUTSIDE),
    ],
    ids=lambda it: " > ".join(name for _, name in it) if isinstance(it, list) else "",
)
def test_a_coroutine_that_the_handler_has_started_has_no_runner_below(
    chain: list[tuple[str, str]], place: Place
) -> None:
    assert place_in(*chain, is_owned=True) is place


@pytest.mark.parametrize("is_owned", [False, True])
def test_without_a_frame_only_the_owner_tells(is_owned: bool) -> None:
    place = place_of(None, is_owned=is_owned)

    assert place is (Place.HANDLER if is_owned else Place.OUTSIDE)
