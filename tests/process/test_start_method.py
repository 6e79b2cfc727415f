"""Forked or imported: what is chosen, and what each can and cannot do."""

from __future__ import annotations

import functools
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from stem_actor.actor.tree import start_method
from stem_actor.actor.tree.importing import ImportSpec, require_importable
from stem_actor.actor.tree.launch import LaunchSpec, launch
from stem_actor.errors import HandlerNotImportable, SettingsError
from tests.process.script import Script
from tests.process.tree import Tree

THREADED = """
LOADED_BY = os.getpid()
threading.Thread(target=threading.Event().wait, daemon=True).start()


def run(birth):
    body(birth)


if __name__ == "__main__":
    imports = ImportSpec(body="__main__:run", handlers={"shop.run": run})
    method = sys.argv[1]
    tree = launch(spec(start_method=method, import_spec=imports))
    tell(guardian=tree.pid)
    signal.pause()
"""


def test_a_host_with_a_thread_has_its_main_module_imported(
    tree: Tree, host: Callable[..., Script]
) -> None:
    script = host(THREADED, "auto", "--verbose")
    supervisor = tree.supervisor()
    supervisor.fork(0)
    supervisor.fork(1)
    first, second = tree.actor(), tree.actor()

    assert script.answer()["guardian"] == first.ask("os.getppid()")
    main = "sys.modules['__main__']"
    assert first.ask(f"{main}.__name__") == "__mp_main__"
    assert first.ask(f"{main} is sys.modules['__mp_main__']") is True
    assert first.ask(f"{main}.run.__globals__ is vars({main})") is True
    assert first.ask("sys.argv") == [str(script.path), "auto", "--verbose"]
    assert first.ask("sys.path[0]") == str(tree.root)
    assert first.ask("os.getcwd()") == os.getcwd()
    # Imported once, by the zygote: not by the host, and not by each worker.
    loaders = {it.ask(f"{main}.LOADED_BY") for it in (first, second)}
    assert len(loaders) == 1
    assert loaders.isdisjoint({script.process.pid, first.pid, second.pid})
    script.kill()
    tree.watch(first.pid).is_gone()


def test_spawned_workers_import_for_themselves(
    tree: Tree, host: Callable[..., Script]
) -> None:
    script = host(THREADED, "spawn")
    supervisor = tree.supervisor()
    supervisor.fork(0)
    actor = tree.actor()

    assert actor.ask("sys.modules['__main__'].LOADED_BY") == actor.pid
    script.kill()
    assert tree.watch(actor.pid).is_gone()


def test_a_start_without_a_guard_is_refused_in_the_import(
    tree: Tree, host: Callable[..., Script]
) -> None:
    script = host("""
threading.Thread(target=threading.Event().wait, daemon=True).start()
tree = launch(spec(import_spec=ImportSpec(body="__main__:body", modules=("__main__",))))
tell(said=[tree.wait_status(20), tree.wait_status(20)])
tree.end()
tree.wait()
os._exit(0)
""")

    said = [line for line in script.answer()["said"] if line != "ready"]

    assert said[0].startswith("failed: SettingsError: a tree was started while")
    assert said[0].endswith('put the start under `if __name__ == "__main__":`')
    script.process.wait(20)


def test_a_host_without_threads_is_forked_although_its_thread_starts_it(
    tree: Tree, host: Callable[..., Script]
) -> None:
    script = host("""
from stem_actor.actor.tree import start_method
tell(alone=start_method.choose("auto"))
done = threading.Event()
threading.Thread(target=done.wait, name="metrics").start()
tell(beside=start_method.choose("auto"), names=start_method.surviving_threads())
done.set()
""")

    assert script.answer() == {"alone": "fork"}
    assert script.answer() == {"beside": "import", "names": ["metrics"]}
    script.process.wait(20)


def test_a_pool_that_stops_for_a_fork_does_not_count(
    host: Callable[..., Script], pool: Path
) -> None:
    script = host(
        """
import ctypes
from stem_actor.actor.tree import hygiene
from stem_actor.actor.tree import start_method
ctypes.CDLL(sys.argv[1]).start_pool()
tell(threads=len(hygiene.thread_names()), method=start_method.choose("auto"))
""",
        str(pool),
    )

    assert script.answer() == {"threads": 1, "method": "fork"}
    script.process.wait(20)


def test_a_method_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match="forkserver"):
        start_method.choose("forkserver")


def closure() -> Callable[[], None]:
    """Return a function that no import can find."""

    def inner() -> None: ...

    return inner


@pytest.mark.parametrize(
    ("handler", "reason"),
    [
        (lambda: None, "it is a lambda"),
        (closure(), r"closure\.<locals>\.inner is defined inside a function"),
        (functools.partial(print, 1), "a partial has no name"),
    ],
)
def test_what_cannot_be_imported_is_refused_by_its_name(
    handler: Callable[..., object], reason: str
) -> None:
    with pytest.raises(HandlerNotImportable, match=reason) as caught:
        require_importable("shop.charge", handler)

    assert caught.value.name == "shop.charge"
    assert "'shop.charge'" in str(caught.value)
    assert caught.value.hint is not None


def test_a_handler_of_an_interactive_session_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def handler() -> None: ...

    handler.__module__, handler.__qualname__ = "__main__", "handler"
    monkeypatch.setitem(sys.modules, "__main__", ModuleType("__main__"))

    with pytest.raises(HandlerNotImportable, match="interactive session"):
        require_importable("shop.charge", handler)


def test_a_lambda_is_refused_before_anything_is_started(tree: Tree) -> None:
    spec = ImportSpec(body="tests.process.actor:serve", handlers={"f": lambda: None})
    tree.settings |= {"start_method": "import", "import_spec": spec}

    with pytest.raises(HandlerNotImportable, match="'f'"):
        launch(LaunchSpec(**tree.settings))

    assert not list(tree.directory.iterdir())


def test_code_without_a_name_needs_a_host_without_threads(tree: Tree) -> None:
    tree.settings["start_method"] = "auto"
    done = threading.Event()
    other = threading.Thread(target=done.wait)
    other.start()
    try:
        with pytest.raises(SettingsError, match="start before any thread does"):
            launch(LaunchSpec(**tree.settings))
    finally:
        done.set()
        other.join()
