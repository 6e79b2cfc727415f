"""Scripts, threads and imports: however the host looks, handlers are found."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

SCRIPT = """
    import sys, threading, os
    from stem_actor import StemApp

    app = StemApp(workers=1, runtime_dir={rings!r}, slots=256, arena_bytes=1 << 20,
                  start_method={method!r})
    BASE = 40

    @app.task
    def add(n: int) -> int:
        return BASE + n

    @app.task
    async def later(n: int) -> int:
        return BASE - n

    @app.worker_init
    def open_pool() -> None:
        global BASE
        BASE = 100

    if __name__ == "__main__":
        if {threads}:
            stop = threading.Event()
            threading.Thread(target=stop.wait, daemon=True).start()
        with app:
            handles = add.enqueue(2), later.enqueue(1)
            print(*(handle.result(timeout=30) for handle in handles))
"""


@pytest.mark.parametrize(
    ("method", "threads"),
    [("auto", False), ("auto", True), ("fork", False), ("import", False),
     ("spawn", False)],
)  # fmt: skip
def test_a_script_runs_its_own_handlers(
    tmp_path: Path, method: str, threads: bool
) -> None:
    done = _run(tmp_path, SCRIPT, method=method, threads=threads)

    assert done.stdout.split() == ["102", "99"]
    assert list((tmp_path / "rings").iterdir()) == []


def test_a_closure_in_a_host_with_threads_is_refused_by_name(tmp_path: Path) -> None:
    script = """
        import threading
        from stem_actor import StemApp

        app = StemApp(workers=1, runtime_dir={rings!r}, start_method={method!r})

        def main() -> None:
            @app.task(name="inner")
            def inner() -> int:
                return 1
            threading.Thread(target=threading.Event().wait, daemon=True).start()
            app.start()

        if __name__ == "__main__":
            main()
    """

    done = _run(tmp_path, script, method="auto", threads=False, check=False)

    assert done.returncode != 0
    assert "inner" in done.stderr.splitlines()[-1]
    assert "top level of a module" in done.stderr.splitlines()[-1]


HOOKS = """
    import sys
    from stem_actor import StemApp

    app = StemApp(workers=1, runtime_dir={rings!r}, start_method={method!r})

    class Pool:
        def open(self) -> None: ...

    def open_pool() -> None: ...
    first = open_pool

    def open_pool() -> None: ...

    HOOKS = dict(
        unnamed=[lambda: None],
        bound=[Pool().open],
        twins=[first, open_pool],
    )

    if __name__ == "__main__":
        for hook in HOOKS[{threads!r}]:
            app.worker_shutdown(hook)
        app.start()
"""


@pytest.mark.parametrize("method", ["import", "spawn"])
@pytest.mark.parametrize(
    ("hooks", "reason"),
    [("unnamed", "it is a lambda"), ("bound", "Pool.open is bound to an object"),
     ("twins", "two hooks are called __main__:open_pool")],
)  # fmt: skip
def test_a_hook_that_workers_could_not_import_is_refused(
    tmp_path: Path, method: str, hooks: str, reason: str
) -> None:
    done = _run(tmp_path, HOOKS, method=method, threads=hooks, check=False)

    assert done.returncode != 0
    assert "HandlerNotImportable" in done.stderr.splitlines()[-1]
    assert reason in done.stderr.splitlines()[-1]
    assert list((tmp_path / "rings").iterdir()) == []


def test_hooks_of_one_name_in_two_modules_both_run(tmp_path: Path) -> None:
    module = "ran = []\ndef connect() -> None:\n    ran.append(__name__)\n"
    (tmp_path / "one.py").write_text(module)
    (tmp_path / "two.py").write_text(module)
    script = """
        import one, two
        from stem_actor import StemApp

        app = StemApp(workers=1, runtime_dir={rings!r}, slots=256, arena_bytes=1 << 20,
                      start_method={method!r})
        app.worker_init(one.connect)
        app.worker_init(two.connect)

        @app.task
        def ran() -> list[str]:
            return one.ran + two.ran

        if __name__ == "__main__":
            with app:
                print(*ran.enqueue().result(timeout=30))
    """

    done = _run(tmp_path, script, method="import", threads=False)

    assert done.stdout.split() == ["one", "two"]


STRATEGY = """
    import time
    from stem_actor import StemApp

    class AtOnce:
        def next_delay(self, attempt, error, traceback):
            return 0.0

    app = StemApp(workers=1, runtime_dir={rings!r}, slots=256, arena_bytes=1 << 20,
                  start_method={method!r}, retry_strategy=AtOnce())

    @app.task(max_retries=1)
    def fails() -> None:
        raise ValueError

    if __name__ == "__main__":
        with app:
            print(fails.enqueue().wait(timeout=30).status.attempt)
"""


@pytest.mark.parametrize("method", ["import", "spawn"])
def test_a_retry_strategy_that_workers_could_not_have_is_refused(
    tmp_path: Path, method: str
) -> None:
    done = _run(tmp_path, STRATEGY, method=method, threads=False, check=False)

    assert done.returncode != 0
    assert "SettingsError" in done.stderr.splitlines()[-1]
    assert "AtOnce (retry_strategy)" in done.stderr.splitlines()[-1]
    assert "give each task a retry_policy" in done.stderr.splitlines()[-1]
    assert list((tmp_path / "rings").iterdir()) == []


def test_a_forked_worker_has_the_users_retry_strategy(tmp_path: Path) -> None:
    done = _run(tmp_path, STRATEGY, method="fork", threads=False)

    assert done.stdout.split() == ["1"]


def test_ctrl_c_in_the_host_stops_in_peace(tmp_path: Path) -> None:
    script = """
        import os, signal, sys
        from stem_actor import StemApp

        app = StemApp(workers=1, runtime_dir={rings!r}, start_method={method!r})

        @app.task
        def one() -> int:
            return 1

        if __name__ == "__main__":
            try:
                with app:
                    one.enqueue().result(timeout=30)
                    os.kill(os.getpid(), signal.SIGINT)
                    signal.pause()
            except KeyboardInterrupt:
                print("interrupted")
    """

    done = _run(tmp_path, script, method="auto", threads=False)

    assert done.stdout.split() == ["interrupted"]
    assert list((tmp_path / "rings").iterdir()) == []


def _run(
    tmp_path: Path, script: str, *, method: str, threads: bool | str, check: bool = True
) -> subprocess.CompletedProcess[str]:
    path = tmp_path / "program.py"
    rings = str(tmp_path / "rings")
    text = textwrap.dedent(script)
    path.write_text(text.format(rings=rings, method=method, threads=threads))
    return subprocess.run(
        [sys.executable, str(path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=check,
        cwd=tmp_path,
    )
