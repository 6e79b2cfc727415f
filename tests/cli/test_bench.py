"""``stem-actor bench`` measures, as a table and as JSON, and leaves nothing."""

from __future__ import annotations

from tests.cli.terminal import Terminal


def test_the_figures_are_told_as_json(terminal: Terminal) -> None:
    answer = terminal.run("bench", "--seconds", 0.3, "--workers", 1, "--json")

    assert (answer.code, answer.err) == (0, "")
    facts = answer.json
    assert facts["workers"] == 1
    assert facts["livesPerSecond"] > 0
    assert 0 < facts["roundTripMicros"]["p50"] <= facts["roundTripMicros"]["longest"]
    assert 0 < facts["hardLimitLateMillis"]["longest"] < 10_000
    assert facts["hardLimitLateMillis"]["runs"] >= 1


def test_the_figures_are_told_as_text(terminal: Terminal) -> None:
    answer = terminal.run("bench", "--seconds", 0.3, "--workers", 1)

    assert (answer.code, answer.err) == (0, "")
    assert "1 workers" in answer.out.splitlines()[0]
    assert "round trip" in answer.out
    assert answer.out.splitlines()[-1].partition(" whole lives a second")[1]
