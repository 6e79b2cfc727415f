"""What commands show of encoded tasks: with the app's encoders, and without."""

from __future__ import annotations

from contextlib import suppress

from tests.cli.terminal import Terminal, end, first_line

HIDDEN = """
from stem_actor import AesGcmEncoder, StemApp

aes = AesGcmEncoder({{"k": b"k" * 32}})
app = StemApp(broker="ring://{ring}", workers=1, slots=1024, arena_bytes=4 << 20,
              args_encoder=aes, result_encoder=aes)

@app.task
def echo(text: str) -> str:
    return text

@app.task
def fail(why: str) -> None:
    raise RuntimeError(why)
"""
FINISH = "import hidden; h = hidden.{call}; h.wait(30); print(h.id)"


def test_commands_decode_for_who_names_the_app_and_for_nobody_else(
    terminal: Terminal,
) -> None:
    (terminal.folder / "hidden.py").write_text(HIDDEN.format(ring=terminal.ring))
    worker = terminal.start("worker", "hidden:app")
    try:
        assert first_line(worker).endswith(": ready\n")
        done = terminal.python(FINISH.format(call="echo.enqueue('canary')"))
        dead = terminal.python(FINISH.format(call="fail.enqueue('canary')"))
        shown = {
            target: "".join(
                terminal.run(*command, target, value).out
                for command in (
                    ("tasks", "show", done),
                    ("tasks", "show", done, "--json"),
                    ("tasks", "show", dead),
                    ("dlq", "list"),
                    ("dlq", "show", dead),
                    ("dlq", "show", dead, "--json"),
                )
            )
            for target, value in (("--app", "hidden:app"), ("--ring", terminal.ring))
        }
    finally:
        with suppress(ProcessLookupError):
            worker.terminate()
        end(worker)

    assert shown["--app"].count("canary") >= 6
    assert "canary" not in shown["--ring"]
    assert "RuntimeError: (encoded by 'aes-gcm')" in shown["--ring"]
