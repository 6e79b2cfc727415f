"""Replays: which entries they take, and under which ids those go on."""

from __future__ import annotations

import pytest

from stem_actor import StemApp
from stem_actor.control.dead_letters import DeadLetters, Replay
from stem_actor.errors import StemError
from stem_actor.ids import format_id
from tests.app.conftest import Maker

MORE_THAN_A_PAGE = 60


def test_a_replay_ends_although_each_of_its_tasks_fails_again(app: StemApp) -> None:
    fail = app.registry.get("fail")
    handles = [fail.enqueue(str(n)) for n in range(MORE_THAN_A_PAGE)]
    for handle in handles:
        handle.wait(timeout=20)

    replays = app.dead_letters().replay()

    assert sorted(it.letter.id for it in replays) == sorted(it.id for it in handles)
    assert not {it.new_id for it in replays} & {it.id for it in handles}


def test_a_replay_leaves_out_what_has_died_since_its_first_page(app: StemApp) -> None:
    fail = app.registry.get("fail")
    before = [fail.enqueue("before") for _ in range(MORE_THAN_A_PAGE)]
    for handle in before:
        handle.wait(timeout=20)
    late: list[str] = []

    class Letters(DeadLetters):
        def _replay(self, task_id: bytes, delay_ns: int) -> Replay | None:
            if not late:
                late.append(fail.enqueue("late").id)
                app.connection.wait(fail.enqueue("later"), 10**10)
            return super()._replay(task_id, delay_ns)

    replays = Letters(app.connection).replay()

    assert {it.letter.id for it in replays} == {it.id for it in before}


def test_a_replay_may_be_planned_and_takes_the_entries_that_are_named(
    app: StemApp,
) -> None:
    first = app.enqueue("fail", {"message": "first"})
    second = app.enqueue("fail", {"message": "second"})
    for handle in (first, second):
        handle.wait(timeout=10)
    letters = app.dead_letters()

    planned = letters.replay([first.id], dry_run=True)
    done = letters.replay([first.id])

    assert [(it.letter.id, it.new_id) for it in planned] == [(first.id, None)]
    assert [it.letter.error.message for it in done] == ["first"]
    assert letters.get(first.id) is None
    assert letters.get(second.id) is not None


def test_a_replay_of_an_unknown_entry_says_so_and_takes_none(app: StemApp) -> None:
    handle = app.enqueue("fail", {"message": "kept"})
    handle.wait(timeout=10)
    letters = app.dead_letters()

    with pytest.raises(StemError, match="there is no dead letter 0000"):
        letters.replay([handle.id, format_id(bytes(16))])

    assert letters.get(handle.id) is not None


def test_an_entry_that_another_replay_took_first_is_not_counted(
    make_app: Maker,
) -> None:
    with make_app() as app:
        app.enqueue("fail", {"message": "twice"}).wait(timeout=10)

        class Letters(DeadLetters):
            def _replay(self, task_id: bytes, delay_ns: int) -> Replay | None:
                app.dead_letters().purge()
                return super()._replay(task_id, delay_ns)

        assert Letters(app.connection).replay() == []


def test_the_arguments_of_an_entry_are_read_from_the_spool(app: StemApp) -> None:
    handle = app.enqueue("fail", {"message": "x" * 200_000})
    handle.wait(timeout=10)

    body = app.dead_letters().body(handle.id)

    assert body == {"message": "x" * 200_000}
