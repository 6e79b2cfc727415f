"""What ``tasks show`` and ``dlq show`` tell of how a start has ended."""

from __future__ import annotations

import pytest

from stem_actor.cli.output import Output
from stem_actor.cli.verdict import show_stacks, show_verdict
from stem_actor.model.verdict import Verdict
from tests.cli.terminal import Terminal


@pytest.mark.parametrize("command", ["tasks", "dlq"])
def test_a_killed_task_is_shown_with_its_verdict_and_both_stacks(
    shop: Terminal, command: str
) -> None:
    id_ = shop.python(
        "import shop; h = shop.never_end.enqueue(); h.wait(30); print(h.id)"
    )

    text = shop.run(command, "show", id_, "--ring", shop.ring)
    facts = shop.run(command, "show", id_, "--ring", shop.ring, "--json")

    assert text.code == 0, text.err
    lines = [" ".join(line.split()) for line in text.out.splitlines()]
    assert "reason hard" in lines
    assert "soft limit had passed" in lines
    assert "signal SIGKILL (9)" in lines
    first, last = lines.index("at its soft limit"), lines.index("at its end")
    assert any("in never_end" in line for line in lines[first:last])
    assert any("in never_end" in line for line in lines[last:])
    verdict = facts.json["verdict"]
    assert (verdict["reason"], verdict["signal"]) == ("hard", 9)
    assert verdict["softExceeded"]
    assert 0 <= verdict["lateS"] < 2


def test_what_is_not_known_is_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    show_verdict(Verdict(reason="lost"), Output())
    show_stacks(Verdict(reason="lost"), None, Output())

    assert capsys.readouterr().out == "verdict\n  reason        lost\n"


def test_every_fact_has_a_line_with_its_unit(
    capsys: pytest.CaptureFixture[str],
) -> None:
    verdict = Verdict(
        reason="memory",
        soft_exceeded=True,
        signal=36,
        exit_status=3,
        oom=True,
        wall_s=1.5,
        late_s=0.0123,
        cpu_s=0.25,
        peak_rss=300 << 20,
        minor_faults=1234,
        major_faults=5,
        descendants=("sleep (7)",),
        swept=2,
        threads=("helper",),
        worker=1,
        pid=42,
    )

    show_verdict(verdict, Output())

    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        "verdict",
        "reason memory",
        "soft limit had passed",
        "signal 36",
        "exit status 3",
        "memory the kernel had none left",
        "took 1.500 s",
        "late by 12.3 ms",
        "processor 0.250 s",
        "peak memory 300.0 MiB",
        "page faults 1,234, and 5 from disk",
        "ended too sleep (7)",
        "swept up 2 processes that it had left behind",
        "threads left helper",
        "process 42, worker 1",
    ]
