"""Canvases and deaths: of supervisors, workers, producers, and of everybody."""

from __future__ import annotations

import contextlib
import os
import random
import sqlite3
import sys
import textwrap
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stem_actor import StemApp, group
from stem_actor.errors import CanvasError
from stem_actor.policy.plan import Chain, Chord, Group, Leaf, Tree
from stem_actor.tasks.call import TaskCall
from stem_actor.tasks.signature import CallStep, Signature
from tests.app.killing import kill_owner
from tests.app.until import until
from tests.canvas.conftest import Shop
from tests.properties.canvas_trees import TREES, Lost, leaves
from tests.test_snippets import run_program

TIMEOUT_S = 60.0
IS_LONG = os.environ.get("STEM_ACTOR_FAULT") == "long"


def kill_supervisor(app: StemApp) -> None:
    owner = kill_owner(app.directory)
    until(lambda: app.directory.owner() not in (None, 0, owner))


def test_a_chain_goes_on_under_the_next_supervisor(shop: Shop, tmp_path: Path) -> None:
    gate = tmp_path / "open"
    handle = shop.app.canvas.chain(
        shop.add.s(1) | shop.gate.partial(str(gate)) | shop.add | shop.tell
    )
    until(lambda: shop.starts("gate"))

    for _ in range(3):
        kill_supervisor(shop.app)
    gate.touch()

    assert handle.result(TIMEOUT_S)[0] == 3
    assert (shop.starts("add"), shop.starts("tell")) == (2, 1)


def test_a_callback_runs_once_however_often_supervisors_die(shop: Shop) -> None:
    seen = []
    for round_ in range(4):
        body = [shop.add.s(n, round_) for n in range(200)]
        handle = shop.app.canvas.chord(body, shop.total)
        kill_supervisor(shop.app)
        seen.append(handle.result(TIMEOUT_S))

    assert seen == [sum(range(200)) + 200 * n for n in range(4)]
    assert shop.starts("total") == 4
    assert until(lambda: shop.app.stats()["canvases"] == 0)
    with contextlib.closing(sqlite3.connect(shop.app.directory.canvases)) as file:
        kept = file.execute("SELECT count(*) FROM part").fetchone()
    assert kept == (0,), "what is over is forgotten"


def test_a_revoke_outlives_the_supervisor(shop: Shop, tmp_path: Path) -> None:
    gate = tmp_path / "open"
    handle = shop.app.canvas.chain(
        shop.gate.s(1, str(gate)) | shop.tell.partial("after")
    )
    until(lambda: shop.starts("gate"))
    assert handle.revoke()

    kill_supervisor(shop.app)
    gate.touch()

    until(lambda: shop.app.stats()["canvases"] == 0)
    assert handle.wait(TIMEOUT_S).is_cancelled
    assert shop.starts("after") == 0


def test_a_named_ring_goes_on_with_its_canvases_at_the_next_start(root: Path) -> None:
    first, second = (Shop(root, broker="ring://shop") for _ in range(2))
    slow = first.add.with_options(countdown=1.0)
    with first.app:
        tree = group([first.add.s(1), slow.s(2)]) | first.total
        handle = first.app.canvas.enqueue(tree)
        until(lambda: first.starts("add"))
        first.app.stop(deadline=5)

    with second.app as app:
        status = until(
            lambda: (it := app.status(handle.id)) and it.state == "succeeded" and it
        )

    assert status.payload == 5
    assert second.starts("total") == 1


def test_a_canvas_outlives_its_producer(root: Path, tmp_path: Path) -> None:
    shop = Shop(root, broker="ring://shop")
    program = tmp_path / "producer.py"
    program.write_text(
        textwrap.dedent(f"""
        import os, pathlib, sys
        sys.path[:0] = {sys.path!r}
        from tests.canvas.conftest import Shop
        shop = Shop(pathlib.Path({str(root)!r}), broker="ring://shop")
        print(shop.app.canvas.chain(shop.add.s(1) | shop.add | shop.add).id, flush=True)
        os._exit(0)
        """)
    )
    with shop.app as app:
        code, output = run_program(program, timeout_s=TIMEOUT_S)
        id_ = output.strip()
        status = until(
            lambda: (it := app.status(id_)) and it.state == "succeeded" and it
        )

    assert code == 0
    assert status.payload == 4


def test_the_file_of_canvases_is_nobody_elses_to_read(shop: Shop) -> None:
    assert shop.app.directory.canvases.stat().st_mode & 0o777 == 0o600


def expected(tree: Tree[int], failing: frozenset[int], ran: set[int]) -> object:
    """Return the value of *tree*, by its definition; raises Lost without one."""

    def value(part: Tree[int], before: object = None) -> object:
        match part:
            case Leaf(call, takes):
                ran.add(call)
                if call in failing:
                    raise Lost
                return [call, before if takes else None]
            case Chain(links):
                for link in links:
                    before = value(link, before)
                return before
            case Group(members):
                return values(members, before)
            case Chord(body, callback):
                return value(callback, values(body, before))

    def values(members: tuple[Tree[int], ...], before: object) -> list[object]:
        found: list[object] = []
        is_lost = False
        for member in members:
            try:
                found.append(value(member, before))
            except Lost:
                is_lost = True
        if is_lost:
            raise Lost
        return found

    return value(tree)


def calls_of(tree: Tree[int], failing: frozenset[int]) -> Tree[CallStep]:
    """Return *tree* with calls of the task ``step`` for its numbers."""

    def made(part: Tree[int]) -> Tree[CallStep]:
        match part:
            case Leaf(call, takes):
                args = {"number": call, "fails": call in failing}
                step = TaskCall(name="step", args=args)
                return Leaf(CallStep(step, into="value" if takes else None), takes)
            case Chain(links):
                return Chain(tuple(map(made, links)))
            case Group(members):
                return Group(tuple(map(made, members)))
            case Chord(body, callback):
                return Chord(tuple(map(made, body)), made(callback))

    return made(tree)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("kills", [False, True])
def test_random_trees_do_what_their_definition_says(root: Path, *, kills: bool) -> None:
    shop = Shop(root)
    log = root.parent / "steps"

    @shop.app.task(name="step", max_retries=2)
    def step(
        value: object = None, number: int = 0, fails: bool = False
    ) -> list[object]:
        with log.open("a", encoding="ascii") as file:
            file.write(f"{number}\n")
        if fails:
            raise LookupError(str(number))
        return [number, value]

    rounds = (200 if kills else 1000) if IS_LONG else (8 if kills else 40)
    chance = random.Random(7)

    @settings(max_examples=rounds, suppress_health_check=list(HealthCheck))
    @given(TREES, st.data())
    def check(tree: Tree[int], data: st.DataObject) -> None:
        calls = list(leaves(tree))
        few = st.frozensets(st.sampled_from(calls), max_size=2) if calls else None
        failing = frozenset() if few is None else data.draw(few)
        ran: set[int] = set()
        log.write_text("")
        try:
            value: object = expected(tree, failing, ran)
            is_lost = False
        except Lost:
            value, is_lost = None, True

        signature: Signature[object] = Signature(calls_of(tree, failing))
        handle = shop.app.canvas.enqueue(signature)
        if kills and chance.random() < 0.7:
            kill_supervisor(shop.app)
        if is_lost:
            with pytest.raises(CanvasError):
                handle.result(TIMEOUT_S)
        else:
            assert handle.result(TIMEOUT_S) == value
        until(lambda: shop.app.stats()["canvases"] == 0)
        starts = [int(word) for word in log.read_text().split()]
        assert set(starts) == ran
        if not kills:
            retried = [it for it in failing if it in ran]
            assert len(starts) == len(ran) + 2 * len(retried)

    with shop.app:
        check()
