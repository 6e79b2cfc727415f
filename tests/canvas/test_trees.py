"""Trees of tasks, run by real workers: values, failures, ends."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from stem_actor import (
    Signature,
    StemApp,
    TaskContext,
    chain,
    chord,
    group,
)
from stem_actor.errors import (
    AppNotStarted,
    CanvasError,
    ChainFailed,
    ChordFailed,
    TaskCancelledError,
    TaskNotRegistered,
)
from tests.app.until import until
from tests.canvas.conftest import Shop

TIMEOUT_S = 30.0


@dataclass
class Order:
    """What a handler is annotated with."""

    number: int


def test_a_chain_hands_each_value_on(shop: Shop) -> None:
    add = shop.add

    by_bars = shop.app.canvas.chain(add.s(1) | add | add.partial(10))
    by_list = shop.app.canvas.chain([add.s(1), add, add.partial(10)])

    assert (by_bars.result(TIMEOUT_S), by_list.result(TIMEOUT_S)) == (13, 13)


def test_a_group_has_its_values_in_the_order_of_its_members(shop: Shop) -> None:
    handle = shop.app.canvas.group([shop.add.s(n, n) for n in range(20)])

    assert handle.result(TIMEOUT_S) == [2 * n for n in range(20)]


def test_a_chord_hands_the_list_to_its_callback_in_the_order_of_its_body(
    shop: Shop,
) -> None:
    body = [shop.add.s(n, 0) for n in range(10)]

    handle = shop.app.canvas.chord(body, shop.tell)

    [values, _] = handle.result(TIMEOUT_S)
    assert values == list(range(10))


def test_parts_nest(shop: Shop) -> None:
    add, total = shop.add, shop.total
    inner = group([add.s(1), add.s(2) | add]) | total  # 2 + 4

    handle = shop.app.canvas.chord(
        [inner, add.s(3), chord([add.s(0)], total) | group([add, add]) | total],
        total,
    )

    assert handle.result(TIMEOUT_S) == 6 + 4 + 4


def test_nothing_to_do_is_done_at_once(shop: Shop) -> None:
    canvas = shop.app.canvas

    assert canvas.group([]).result(TIMEOUT_S) == []
    assert canvas.chord([], shop.total).result(TIMEOUT_S) == 0
    with pytest.raises(ValueError, match="at least one step"):
        canvas.chain([])


def test_an_immutable_part_is_handed_nothing_and_waits_all_the_same(
    shop: Shop,
) -> None:
    steps = shop.tell.s(0, "first") | shop.tell.si(7, "second")

    [value, meta] = shop.app.canvas.chain(steps).result(TIMEOUT_S)

    assert value == 7
    assert "chainPrevResult" not in meta
    assert shop.journal.read_text().split() == ["first", "second"]


def test_a_handler_finds_in_meta_what_it_was_handed_and_where_it_stands(
    shop: Shop,
) -> None:
    handle = shop.app.canvas.chain(shop.add.s(1) | shop.tell)
    of_chord = shop.app.canvas.chord([shop.add.s(1)], shop.tell)

    [value, meta] = handle.result(TIMEOUT_S)
    [_, chord_meta] = of_chord.result(TIMEOUT_S)
    assert (value, meta["chainPrevResult"]) == (2, 2)
    assert meta["canvasPath"] == [1]
    assert meta["canvasId"] == handle.id.replace("-", "")
    assert chord_meta["chordResults"] == [2]


@pytest.mark.parametrize("kind", ["chain", "chord", "group"])
def test_a_failure_fails_the_whole_and_names_the_part(shop: Shop, kind: str) -> None:
    canvas, add, fail = shop.app.canvas, shop.add, shop.fail
    expected: type[CanvasError]
    handle: Any
    if kind == "chain":
        handle, expected = canvas.chain(add.s(1) | fail | add), ChainFailed
    elif kind == "chord":
        handle = canvas.chord([add.s(1), fail.s()], shop.total)
        expected = ChordFailed
    else:
        handle, expected = canvas.group([add.s(1), fail.s()]), CanvasError

    with pytest.raises(expected) as caught:
        handle.result(TIMEOUT_S)

    assert caught.type is expected
    [note] = caught.value.__notes__
    assert "part 1" in note
    assert "ValueError: it had to be" in note
    part = handle.part_ids[1]
    assert part in note
    if isinstance(caught.value, ChainFailed | ChordFailed):
        assert caught.value.task_id == part
    result = handle.wait(TIMEOUT_S)
    assert result.is_failed


def test_what_comes_after_a_failure_never_runs_and_what_stands_beside_it_does(
    shop: Shop, tmp_path: Path
) -> None:
    gate = tmp_path / "open"
    tree = group(
        [
            shop.fail.s() | shop.tell.partial("never"),
            shop.gate.s(1, str(gate)) | shop.tell.partial("beside"),
        ]
    )

    handle = shop.app.canvas.enqueue(tree)
    with pytest.raises(CanvasError):
        handle.result(TIMEOUT_S)  # at once: the other one still waits at its gate
    gate.touch()

    assert until(lambda: shop.starts("beside")) == 1
    assert until(lambda: shop.app.stats()["canvases"] == 0)
    assert shop.starts("never") == 0


def test_a_part_that_is_retried_and_loses_its_worker_is_handed_on_once(
    shop: Shop,
) -> None:
    body = [shop.fragile.s(n) for n in range(4)]

    assert shop.app.canvas.chord(body, shop.total).result(TIMEOUT_S) == 6
    assert shop.starts("total") == 1
    assert shop.starts("fragile-3-1") == 1


def test_an_expired_part_fails_the_whole(shop: Shop) -> None:
    late = shop.add.with_options(countdown=30, expires=0.05)

    handle = shop.app.canvas.chord([late.s(1), shop.add.s(1)], shop.total)

    with pytest.raises(ChordFailed) as caught:
        handle.result(TIMEOUT_S)
    assert "it was cancelled" in caught.value.__notes__[0]


def test_a_countdown_of_a_later_step_counts_from_the_end_of_the_one_before(
    shop: Shop, tmp_path: Path
) -> None:
    gate = tmp_path / "open"
    later = shop.tell.with_options(countdown=0.5)
    handle = shop.app.canvas.chain([shop.gate.s(1, str(gate)), later.partial("later")])
    until(lambda: shop.starts("gate"))

    gate.touch()
    until(lambda: (it := shop.app.status(handle.part_ids[1])) and it.meta["waiting"])
    early = shop.starts("later")

    assert early == 0
    handle.result(TIMEOUT_S)


def test_a_whole_is_running_while_its_parts_are_and_counts_them(
    shop: Shop, tmp_path: Path
) -> None:
    gate = tmp_path / "open"
    handle = shop.app.canvas.chord(
        [shop.add.s(1), shop.gate.s(1, str(gate))], shop.total
    )

    def is_under_way() -> bool:
        status = handle.status()
        assert status is not None
        parts: Any = status.meta.get("parts")
        return status.state == "running" and parts["succeeded"] == 1

    until(is_under_way)
    gate.touch()

    assert handle.result(TIMEOUT_S) == 3
    status = shop.app.status(handle.id)
    assert status is not None
    assert (status.state, status.payload) == ("succeeded", 3)


@pytest.mark.parametrize("terminate", [False, True])
def test_a_revoked_whole_opens_nothing_more(
    shop: Shop, tmp_path: Path, *, terminate: bool
) -> None:
    gate = tmp_path / "open"
    handle = shop.app.canvas.chain(
        shop.gate.s(1, str(gate)) | shop.tell.partial("after")
    )
    until(lambda: shop.starts("gate"))

    revoked = handle.revoke(terminate=terminate, reason="no need")
    with pytest.raises(TaskCancelledError, match="no need"):
        handle.result(TIMEOUT_S)
    if not terminate:
        gate.touch()

    until(lambda: shop.app.stats()["canvases"] == 0)
    part = shop.app.status(handle.part_ids[0])
    assert revoked
    assert part is not None
    assert part.state == ("cancelled" if terminate else "succeeded")
    assert shop.starts("after") == 0
    assert handle.revoke() is False


def test_large_values_go_through_files_and_leave_none(shop: Shop) -> None:
    size = 300_000

    whole = shop.app.canvas.group([shop.large.s(size), shop.large.s(size)])
    handed = shop.app.canvas.chord(
        [shop.large.s(size), shop.large.s(size)], shop.length
    )

    assert [len(it) for it in whole.result(TIMEOUT_S)] == [size, size]
    assert handed.result(TIMEOUT_S) == 2
    spool = shop.app.directory.spool
    until(lambda: not list(spool.glob("*.args")))


def test_a_chord_of_thousands_goes_through_a_ring_of_a_thousand_slots(
    shop: Shop,
) -> None:
    body = [shop.add.s(n, 0) for n in range(3000)]

    assert shop.app.canvas.chord(body, shop.total).result(TIMEOUT_S) == 4498500
    assert shop.app.health()["ok"]


def test_records_of_parts_may_be_as_large_as_those_of_tasks(shop: Shop) -> None:
    text = "y" * 200_000

    handle = shop.app.canvas.chain(shop.tell.s(text) | shop.length)

    assert handle.result(TIMEOUT_S) == 2


def test_values_are_raised_to_what_handlers_are_annotated_with(root: Path) -> None:
    app = StemApp(workers=1, runtime_dir=root)

    @app.task(name="make")
    def make(number: int) -> Order:
        return Order(number)

    @app.task(name="bill")
    def bill(order: Order) -> int:
        assert isinstance(order, Order)
        return order.number

    @app.task(name="bills")
    def bills(orders: list[Order]) -> int:
        return sum(it.number for it in orders)

    with app:
        one = app.canvas.chain(make.s(3) | bill).result(TIMEOUT_S)
        many = app.canvas.chord([make.s(3), make.s(4)], bills).result(TIMEOUT_S)
        orders = app.canvas.group([make.s(5)]).result(TIMEOUT_S)

    assert (one, many, orders) == (3, 7, [Order(5)])


def test_what_does_not_fit_the_next_step_fails_that_step(shop: Shop) -> None:
    steps: Signature[Any] = chain([shop.tell.s("text"), shop.add])

    with pytest.raises(ChainFailed) as caught:
        shop.app.canvas.chain(steps).result(TIMEOUT_S)

    assert caught.value.index == 1


def test_a_handler_may_submit_a_canvas_and_may_not_wait_for_it(root: Path) -> None:
    shop = Shop(root)

    @shop.app.task(name="parent")
    def parent(context: TaskContext) -> list[str]:
        handle = shop.app.canvas.chain(shop.add.s(1) | shop.tell.partial("child"))
        try:
            handle.result(1)
        except Exception as error:
            return [handle.id, str(error)]
        return [handle.id]

    with shop.app:
        [id_, refused] = parent.enqueue().result(TIMEOUT_S)

        def is_done() -> bool:
            status = shop.app.status(id_)
            return status is not None and status.state == "succeeded"

        until(is_done)

    assert "cannot wait" in refused
    assert shop.starts("child") == 1


def test_a_canvas_is_awaited(shop: Shop) -> None:
    async def run() -> int:
        return await shop.app.canvas.chain(shop.add.s(1) | shop.add)

    assert asyncio.run(run()) == 3


def test_without_a_ring_nothing_is_submitted(root: Path) -> None:
    shop = Shop(root)

    with pytest.raises(AppNotStarted):
        shop.app.canvas.chain(shop.add.s(1) | shop.add)


def test_a_task_that_is_not_known_here_is_refused_before_anything_runs(
    shop: Shop, root: Path
) -> None:
    other = StemApp(workers=1, runtime_dir=root)

    @other.task(name="stranger")
    def stranger(value: int) -> int:
        return value

    with pytest.raises(TaskNotRegistered):
        shop.app.canvas.chain(shop.add.s(1) | stranger)
    assert shop.app.stats()["admitted"] == 0


def test_a_part_that_lacks_its_first_argument_cannot_begin(shop: Shop) -> None:
    with pytest.raises(TypeError, match="lacks its first argument"):
        shop.app.canvas.enqueue(shop.add.partial())  # type: ignore[arg-type]


def test_a_stop_cancels_what_is_left_of_a_canvas(root: Path, tmp_path: Path) -> None:
    shop = Shop(root)
    with shop.app:
        handle = shop.app.canvas.chain(
            shop.add.s(1) | shop.add.with_options(countdown=600).partial()
        )
        until(lambda: shop.starts("add"))
        shop.app.stop(deadline=5)

    with pytest.raises(TaskCancelledError, match="stopped"):
        handle.result(TIMEOUT_S)
