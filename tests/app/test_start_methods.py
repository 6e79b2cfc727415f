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
    tmp_path: Path, script: str, *, method: str, threads: bool, check: bool = True
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
