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
    [("unnamed", "the hook '<lambda>' cannot be imported: it is a lambda"),
     ("bound", "the hook 'Pool.open' cannot be imported: Pool.open is bound to an"),
     ("twins", "the hook 'open_pool' cannot be imported: two hooks are called "
      "__main__:open_pool")],
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

    class Delay:
        def __init__(self, seconds: float) -> None:
            self.seconds = seconds

        def next_delay(self, attempt, error, traceback):
            assert type(error) is KeyError and "no_key" in traceback
            return self.seconds

    def make(strategy):
        return StemApp(workers=1, runtime_dir={rings!r}, slots=256,
                       arena_bytes=1 << 20, start_method={method!r},
                       retry_strategy=strategy)

    def no_key() -> None:
        raise KeyError("no")

    where = {threads!r}
    if where == "in the app":
        app = make(Delay(0.3))
    elif where == "by itself":
        delay = Delay(0.3)

    def main() -> None:
        if where == "in the app":
            mine = app
        elif where == "by itself":
            mine = make(delay)
        else:
            mine = make(Delay(0.3))
        mine.task(name="no_key", max_retries=1)(no_key)
        with mine:
            began = time.monotonic()
            status = mine.enqueue("no_key").wait(timeout=30).status
            print(status.attempt, 0.3 <= time.monotonic() - began < 1.4)

    if __name__ == "__main__":
        main()
"""


@pytest.mark.parametrize("method", ["import", "spawn"])
@pytest.mark.parametrize("where", ["in the app", "by itself"])
def test_a_worker_that_imports_has_the_users_retry_strategy(
    tmp_path: Path, method: str, where: str
) -> None:
    done = _run(tmp_path, STRATEGY, method=method, threads=where)

    # The default strategy waits for 1.5 s at least.
    assert done.stdout.split() == ["1", "True"]


@pytest.mark.parametrize("method", ["import", "spawn"])
def test_a_retry_strategy_that_no_global_leads_to_is_refused_with_the_remedy(
    tmp_path: Path, method: str
) -> None:
    done = _run(tmp_path, STRATEGY, method=method, threads="nowhere", check=False)

    last = done.stderr.splitlines()[-1]
    assert done.returncode != 0
    assert "SettingsError" in last
    assert f'start_method="{method}" cannot bring a Delay (retry_strategy)' in last
    assert "keep it, or the app that has it, in a global of a module" in last
    assert list((tmp_path / "rings").iterdir()) == []


def test_a_forked_worker_has_the_users_retry_strategy(tmp_path: Path) -> None:
    done = _run(tmp_path, STRATEGY, method="fork", threads="nowhere")

    assert done.stdout.split() == ["1", "True"]


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
