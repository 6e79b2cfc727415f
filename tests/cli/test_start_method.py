"""``stem-actor worker`` honours the start method, as an app in a program does."""

from __future__ import annotations

import pytest

from tests.cli.terminal import Terminal, end, first_line

APP = """
import sys, threading, time
from stem_actor import StemApp

{threads}
app = StemApp(broker="ring://{ring}", workers=1, slots=256, arena_bytes=1 << 20,
              start_method="{method}")

@app.task
def is_copy() -> bool:
    return "stem_actor.cli.worker" in sys.modules
"""
#: Not where workers import the module: there it would be a thread of theirs.
THREAD = """
if "stem_actor.cli.worker" in sys.modules:
    threading.Thread(target=time.sleep, args=(3600,), daemon=True).start()
"""
ASK = "import shop\nprint(shop.is_copy.enqueue().result(timeout=30))\nshop.app.close()"


@pytest.mark.parametrize(
    ("method", "threads", "is_copy"),
    [("auto", "", True), ("auto", THREAD, False), ("import", "", False),
     ("spawn", "", False)],
)  # fmt: skip
def test_a_worker_is_a_copy_of_the_command_line_only_where_that_is_safe(
    terminal: Terminal, method: str, threads: str, is_copy: bool
) -> None:
    write_app(terminal, method=method, threads=threads)
    process = terminal.start("worker", "shop:app")
    try:
        line = first_line(process)
        answer = terminal.python(ASK)
    finally:
        process.terminate()
        end(process)

    assert line.endswith(": ready\n")
    assert answer == str(is_copy)
    assert process.returncode == 0


def test_what_cannot_be_imported_is_one_line_on_the_terminal(
    terminal: Terminal,
) -> None:
    write_app(terminal, method="import")
    with (terminal.folder / "shop.py").open("a") as file:
        file.write("\napp.worker_init(lambda: None)\n")

    answer = terminal.run("worker", "shop:app")

    assert answer.code == 70
    assert len(answer.err.splitlines()) == 1
    assert "it is a lambda" in answer.err


@pytest.mark.parametrize("method", ["import", "spawn"])
def test_workers_that_import_the_app_have_its_own_retry_strategy(
    terminal: Terminal, method: str
) -> None:
    text = STRATEGY.format(ring=terminal.ring, method=method)
    (terminal.folder / "shop.py").write_text(text)
    process = terminal.start("worker", "shop:app")
    try:
        line = first_line(process)
        answer = terminal.python(RETRY)
    finally:
        process.terminate()
        end(process)

    assert line.endswith(": ready\n")
    assert answer == "3"  # the default strategy would wait for 3 × 1.5 s at least


STRATEGY = """
from stem_actor import StemApp

class AtOnce:
    def next_delay(self, attempt, error, traceback):
        return 0.0

app = StemApp(broker="ring://{ring}", workers=1, slots=256, arena_bytes=1 << 20,
              start_method="{method}", retry_strategy=AtOnce())

@app.task(max_retries=3)
def fails() -> None:
    raise ValueError
"""
RETRY = """
import shop
print(shop.fails.enqueue().wait(timeout=4).status.attempt)
shop.app.close()
"""


def write_app(terminal: Terminal, *, method: str, threads: str = "") -> None:
    """Put an app into the folder."""
    text = APP.format(ring=terminal.ring, method=method, threads=threads)
    (terminal.folder / "shop.py").write_text(text)
