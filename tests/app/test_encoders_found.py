"""Workers find the app's encoders however they come by the user's code."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

HEAD = """
    from stem_actor import Base64PayloadEncoder, StemApp, TaskContext, task

    class Mark(Base64PayloadEncoder):
        id = "mark"

    SETTINGS = dict(
        workers=1, slots=256, arena_bytes=1 << 20, runtime_dir={rings!r},
        start_method={method!r}, args_encoder=Mark(), result_encoder=Mark(),
    )

    def echo(value: str) -> str:
        return value
"""
METHODS = pytest.mark.parametrize("method", ["fork", "import", "spawn"])
IMPORTING = pytest.mark.parametrize("method", ["import", "spawn"])


@METHODS
def test_of_an_app_in_a_global_and_for_children_too(
    tmp_path: Path, method: str
) -> None:
    done = run_script(
        tmp_path,
        method,
        """
        app = StemApp(**SETTINGS)
        echo = app.task(name="echo")(echo)

        @app.task
        def parent(context: TaskContext, value: str) -> str:
            return context.enqueue("echo", {{"value": value}}).id

        if __name__ == "__main__":
            with app:
                print(echo.enqueue("hello").wait(30).status.meta)
                child = parent.enqueue("hello").result(30)
                while not (status := app.status(child)).is_terminal:
                    pass
                print(status.payload)
        """,
    )

    assert done.stderr == ""
    assert done.stdout.splitlines() == ["{'__stemResultEncoder': 'mark'}", "hello"]


@IMPORTING
@pytest.mark.parametrize("make", ["echo", "task(name='echo')(echo)"])
def test_for_tasks_that_know_no_app_but_in_the_host(
    tmp_path: Path, method: str, make: str
) -> None:
    done = run_script(
        tmp_path,
        method,
        f"""
        app = StemApp(**SETTINGS)
        echo = {make}

        if __name__ == "__main__":
            made = app.register(echo)
            with app:
                result = made.enqueue("hello").wait(30)
                print(result.value, result.status.meta)
        """,
    )

    assert done.stderr == ""
    assert done.stdout == "hello {'__stemResultEncoder': 'mark'}\n"


@IMPORTING
def test_not_if_no_global_leads_to_them_which_is_said_at_the_start(
    tmp_path: Path, method: str
) -> None:
    done = run_script(
        tmp_path,
        method,
        """
        echo = task(name="echo")(echo)

        def start():
            StemApp([echo], **SETTINGS).start()

        if __name__ == "__main__":
            start()
        """,
    )

    assert done.returncode != 0
    last = done.stderr.splitlines()[-1]
    assert "cannot bring a TaskPayloadEncoderRegistry (encoders) over" in last
    assert "keep it, or the app that has it, in a global" in last


def run_script(
    tmp_path: Path, method: str, body: str
) -> subprocess.CompletedProcess[str]:
    rings = tmp_path / "rings"
    rings.mkdir(mode=0o700)
    text = textwrap.dedent(HEAD) + textwrap.dedent(body)
    script = tmp_path / "script.py"
    script.write_text(text.format(rings=str(rings), method=method))
    return subprocess.run(
        [sys.executable, str(script)],
        capture_output=True, text=True, timeout=90, check=False,
    )  # fmt: skip
