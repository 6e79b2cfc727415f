"""Which task is next."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st
from stem_actor._core import lib

from .harness import MS, SECOND, Arena, Shape
from .memory import Kind, State
from .peers import Producer, ScriptedWorker, Task, body_of

QUEUES = tuple(f"q{number}" for number in range(4))
AGEING = 16


class Picker:
    """The documented order, written out plainly."""

    def __init__(self) -> None:
        self.waiting: dict[tuple[int, str], deque[tuple[int, int]]] = {}
        self.turn = dict.fromkeys(range(10), 0)
        self.picks = 0
        self.rows: list[str] = []

    def add(self, queue: str, priority: int, number: int, since_ns: int) -> None:
        if queue not in self.rows:
            self.rows.append(queue)
        self.waiting.setdefault((priority, queue), deque()).append((number, since_ns))

    def next(self) -> int:
        self.picks += 1
        return self._oldest() if self.picks % AGEING == 0 else self._highest()

    def _oldest(self) -> int:
        oldest = min(
            (line[0][1], priority, self.rows.index(queue))
            for (priority, queue), line in self.waiting.items()
            if line
        )
        return self.waiting[oldest[1], self.rows[oldest[2]]].popleft()[0]

    def _highest(self) -> int:
        top = max(priority for (priority, _), line in self.waiting.items() if line)
        for step in range(256):
            row = (self.turn[top] + step) % 256
            if row < len(self.rows) and self.waiting.get((top, self.rows[row])):
                self.turn[top] = (row + 1) % 256
                return self.waiting[top, self.rows[row]].popleft()[0]
        raise AssertionError("nothing waits")


def run_one(arena: Arena, worker: ScriptedWorker) -> int:
    """Let the worker run the next task; return its number."""
    arena.step()
    grant = worker.take()
    number = int(body_of(grant))
    assert worker.report(grant, Kind.SUCCEEDED) == lib.SA_OK
    return number


@given(
    st.lists(
        st.tuples(st.sampled_from(QUEUES), st.integers(0, 9), st.integers(0, 2)),
        min_size=1,
        max_size=60,
    )
)
def test_the_next_task_is_the_one_of_the_documented_order(
    tasks: list[tuple[str, int, int]],
) -> None:
    arena = Arena(Shape(workers=1, credits_max=1, slots=128))
    _, producer = arena.connect()
    picker = Picker()
    for number, (queue, priority, wait) in enumerate(tasks):
        producer.submit(Task(queue=queue, priority=priority, body=b"%d" % number))
        arena.step(wait * MS)
        picker.add(queue, priority, number, arena.now_ns)
    worker = arena.start_worker(0)

    order = [run_one(arena, worker) for _ in tasks]

    assert order == [picker.next() for _ in tasks]
    producer.close()
    arena.close()


def test_the_lowest_priority_starts_after_sixteen_picks_at_most(
    arena_of: Callable[..., Arena],
) -> None:
    arena = arena_of(workers=1, credits_max=1)
    _, producer = arena.connect()
    producer.submit(Task(priority=0, body=b"0"))
    arena.step()
    producer.submit(Task(priority=9), [b"%d" % n for n in range(1, 60)])
    arena.step(MS)
    worker = arena.start_worker(0)

    order = [run_one(arena, worker) for _ in range(20)]

    assert order.index(0) == AGEING - 1


def test_queues_of_one_priority_take_turns(arena_of: Callable[..., Arena]) -> None:
    arena = arena_of(workers=1, credits_max=1)
    _, producer = arena.connect()
    for at, queue in enumerate(QUEUES):
        producer.submit(Task(queue=queue), [b"%d" % at] * 6)
    arena.settle()
    worker = arena.start_worker(0)

    order = [run_one(arena, worker) for _ in range(12)]

    assert order == [0, 1, 2, 3] * 3


def offered_then(
    arena: Arena, producer: Producer, event: Callable[[], object]
) -> list[int]:
    """Offer some of ten tasks to a worker, let *event* happen, run all elsewhere."""
    producer.submit(Task(), [b"%d" % n for n in range(10)])
    arena.step()
    assert any(slot.state is State.LEASED for slot in arena.live_slots())
    event()
    worker = arena.start_worker(1)
    return [run_one(arena, worker) for _ in range(10)]


def permuted_cells(arena: Arena) -> Producer:
    """Let worker 0 finish tasks in another order than it took them."""
    _, producer = arena.connect()
    worker = arena.start_worker(0)
    producer.submit(Task(), [b"-"] * 4)
    arena.settle()
    grants = [worker.take() for _ in range(4)]
    for at in (2, 0, 3, 1):
        assert worker.report(grants[at], Kind.SUCCEEDED) == lib.SA_OK
        arena.step()
    return producer


def test_unstarted_offers_of_a_dead_worker_run_first_and_in_order(
    arena_of: Callable[..., Arena],
) -> None:
    arena = arena_of()
    producer = permuted_cells(arena)

    order = offered_then(arena, producer, lambda: arena.crash_worker(0))

    assert order == list(range(10))


def test_offers_a_quiet_worker_gives_back_run_first_and_in_order(
    arena_of: Callable[..., Arena],
) -> None:
    arena = arena_of()
    producer = permuted_cells(arena)

    order = offered_then(
        arena, producer, lambda: lib.sa_core_worker_quiet(arena.core, 0, 0)
    )

    assert order == list(range(10))


def test_order_survives_the_supervisor(arena_of: Callable[..., Arena]) -> None:
    arena = arena_of(slots=64)
    producer = permuted_cells(arena)  # so that slot numbers are not in order either
    for _ in range(3):
        producer.submit(Task(), [b"0"] * 20)
        worker = arena.workers[0]
        for _ in range(20):
            run_one(arena, worker)
        arena.settle()
        producer.drain()

    order = offered_then(arena, producer, arena.crash_supervisor)

    assert order == list(range(10))


def test_an_offer_behind_a_long_task_goes_to_an_idle_worker_after_a_dwell(
    arena_of: Callable[..., Arena],
) -> None:
    arena = arena_of(dwell_ns=5 * MS)
    _, producer = arena.connect()
    slow = arena.start_worker(0)
    producer.submit(Task(), [b"0", b"1", b"2"])
    arena.settle()
    assert slow.take() is not None
    idle = arena.start_worker(1)

    arena.step(4 * MS)
    before = idle.take()
    arena.step(2 * MS)

    assert before is None
    assert body_of(idle.take()) == b"1"


def test_a_paused_queue_is_passed_over_and_goes_on_when_resumed(
    arena_of: Callable[..., Arena],
) -> None:
    arena = arena_of(workers=1)
    _, producer = arena.connect()
    producer.submit(Task(queue="stopped", priority=9, body=b"1"))
    arena.step()
    lib.sa_core_pause(arena.core, b"stopped", 7, 1)
    producer.submit(Task(queue="open", body=b"2"))
    worker = arena.start_worker(0)

    first = run_one(arena, worker)
    arena.crash_supervisor()
    worker = arena.start_worker(0)
    arena.settle()
    still = worker.take()
    lib.sa_core_pause(arena.core, b"stopped", 7, 0)

    assert (first, still) == (2, None)
    assert run_one(arena, worker) == 1


def test_a_delayed_task_starts_at_its_time_by_the_wall_clock(
    arena_of: Callable[..., Arena],
) -> None:
    arena = arena_of(workers=1)
    _, producer = arena.connect()
    worker = arena.start_worker(0)
    producer.submit(Task(not_before_ns=arena.wall_ns + 3600 * SECOND))
    arena.step(SECOND)

    early = worker.take()
    arena.wall_ns += 3600 * SECOND  # the clock is set forward
    arena.step()

    assert early is None
    assert worker.take() is not None


def test_a_task_is_not_offered_after_it_expired_however_many_expire_with_it(
    arena_of: Callable[..., Arena],
) -> None:
    arena = arena_of(workers=1)
    _, producer = arena.connect()
    producer.submit(Task(expires_ns=arena.wall_ns + MS), [b""] * 100)
    arena.step()
    worker = arena.start_worker(0)

    arena.step(2 * MS, budget=1)

    assert worker.take() is None
    arena.settle()
    assert {reply.kind for reply in producer.drain()} == {Kind.CANCELLED}
