"""The wire form of events, and how they are asked for."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import stem_actor
from stem_actor.errors import RingCorrupt
from stem_actor.model.error import TaskError
from stem_actor.model.events import (
    Event,
    EventsDropped,
    TaskEvent,
    TaskFailed,
    TaskSucceeded,
    TaskTimeout,
    WorkerDied,
    WorkerEvent,
    WorkerEventType,
    WorkerReady,
)
from stem_actor.observe.reading import EVENTS, EventReader, kinds_of, wanted_by
from stem_actor.ring.native import ffi
from stem_actor.ring.news import (
    _HEAD,
    News,
    NewsType,
    pack_news,
    split_news,
    unpack_news,
)
from stem_actor.ring.spool import Spool
from stem_actor.tasks.outcome import pack_failure

TABLE = Path(__file__).parents[2] / "docs" / "reference" / "events.md"
LEAVES = frozenset(EVENTS.values())


def record_of(news: News) -> bytes:
    """Return *news* in the form that the core gives it."""
    queue, name = news.queue.encode(), news.name.encode()
    size = _HEAD.size + len(queue) + len(name) + len(news.payload)
    padding = -size % 8
    lengths = (len(queue), len(name), len(news.payload))
    head = _HEAD.pack(size + padding, *news[:9], *lengths)
    return head + queue + name + news.payload + bytes(padding)


def reader(tmp_path_factory: pytest.TempPathFactory) -> EventReader:
    return EventReader(Spool(tmp_path_factory.mktemp("spool"), 1 << 20))


NEWS = st.builds(
    News,
    type=st.sampled_from(sorted(EVENTS)),
    kind=st.integers(0, 2**16 - 1),
    task_id=st.binary(min_size=16, max_size=16),
    at_ns=st.integers(0, 2**62),
    value=st.integers(0, 2**64 - 1),
    attempt=st.integers(0, 2**32 - 1),
    starts=st.integers(0, 2**32 - 1),
    worker=st.integers(0, 2**32 - 1),
    pid=st.integers(0, 2**32 - 1),
    queue=st.text("abcé", max_size=20),
    name=st.text("abcé", max_size=20),
    payload=st.binary(max_size=100),
)


@given(st.lists(NEWS, max_size=5))
def test_news_cross_the_wire_unchanged(many: list[News]) -> None:
    data = b"".join(map(record_of, many))

    parts = list(split_news(data))

    assert [unpack_news(record) for _, _, record in parts] == many
    assert [(kind, task_id) for kind, task_id, _ in parts] == [
        (it.type, it.task_id) for it in many
    ]


@given(st.lists(NEWS, min_size=1, max_size=2), st.data())
def test_news_that_were_cut_are_refused(many: list[News], data: st.DataObject) -> None:
    whole = b"".join(map(record_of, many))
    ends = {0, len(whole), len(record_of(many[0]))}
    cut = data.draw(st.integers(0, len(whole)).filter(lambda it: it not in ends))

    with pytest.raises(RingCorrupt):
        list(split_news(whole[:cut]))


def test_lengths_that_reach_beyond_the_record_are_refused() -> None:
    record = bytearray(pack_news(NewsType.WORKER_READY, at_ns=1, worker=0, pid=1))
    record[-4:] = (9).to_bytes(4, "little")

    with pytest.raises(RingCorrupt):
        unpack_news(bytes(record))


def test_the_numbers_and_the_head_are_those_of_the_core() -> None:
    theirs = ffi.typeof("enum sa_news_type").elements.items()
    ours = {k: v for k, v in vars(NewsType).items() if k.isupper()}

    assert {name.removeprefix("SA_NEWS_"): value for value, name in theirs} == ours
    assert ffi.sizeof("struct sa_news") == _HEAD.size


def test_every_news_has_a_class_of_its_own_that_is_public_and_has_a_name() -> None:
    numbers = {value for name, value in vars(NewsType).items() if name.isupper()}
    signals = {cls.signal for cls in LEAVES}

    assert set(EVENTS) == numbers
    assert len(LEAVES) == len(signals) == len(EVENTS)
    assert all(getattr(stem_actor, cls.__name__) is cls for cls in LEAVES)


def test_the_reference_has_a_row_for_every_class_with_its_signal_and_its_kind() -> None:
    rows = re.findall(
        r"^\| `(\w+)` \| `([\w-]+)` \| (?:`(\w+)`)? ?\|", TABLE.read_text(), re.M
    )
    classes = (*EVENTS.values(), EventsDropped)

    assert sorted(rows) == sorted(
        (cls.__name__, cls.signal, cls.type or "") for cls in classes
    )


@pytest.mark.parametrize("kind", WorkerEventType)
def test_each_kind_of_worker_event_is_one_class(kind: WorkerEventType) -> None:
    assert len(kinds_of([kind])) == 1


def test_a_class_stands_for_those_derived_from_it() -> None:
    tasks, workers = wanted_by([TaskEvent]), wanted_by([WorkerEvent])

    assert tasks & workers == 0
    assert tasks | workers == wanted_by(kinds_of([])) == wanted_by([Event])
    assert wanted_by([TaskTimeout]) == 1 << NewsType.TIMEOUT
    assert wanted_by([EventsDropped]) == 0


def test_an_error_of_a_later_attempt_is_told_whole(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    verdict = {"reason": "hard", "worker": 3, "pid": 77}
    error = TaskError(type="E", message="m", meta={"verdict": verdict})
    news = News(
        NewsType.FAILED, 0, bytes(16), 10**18, 0, 2, 3, 2**32 - 1, 0, "q", "n",
        pack_failure(error, meta={"page": 7}),
    )  # fmt: skip

    event = reader(tmp_path_factory).read(record_of(news))

    assert isinstance(event, TaskFailed)
    assert (event.error, event.meta) == (error, {"page": 7})
    assert (event.worker, event.pid, event.attempt, event.starts) == (3, 77, 2, 3)


def test_an_error_that_nobody_can_read_says_so(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    news = News(NewsType.FAILED, 0, bytes(16), 1, 0, 0, 1, 0, 5, "q", "n", b"\xc1")

    event = reader(tmp_path_factory).read(record_of(news))

    assert isinstance(event, TaskFailed)
    assert event.error.type == "PayloadError"


@given(NEWS)
def test_whatever_a_worker_has_written_an_event_of_its_task_can_be_read(
    news: News,
) -> None:
    kinds = {NewsType.RUN_ENDED: 1}
    news = news._replace(type=news.type % 12 + 1)
    news = news._replace(kind=kinds.get(news.type, news.kind))

    event = EventReader(Spool(_NOWHERE, 1)).read(record_of(news))

    assert isinstance(event, TaskEvent)
    assert type(event) is EVENTS[news.type]


def test_workers_are_told_with_index_and_process(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    record = pack_news(NewsType.WORKER_READY, at_ns=10**18, worker=4, pid=99)

    event = reader(tmp_path_factory).read(record)

    assert isinstance(event, WorkerReady)
    assert (event.worker, event.pid) == (4, 99)


def test_events_are_values() -> None:
    at = EventReader.dropped(1, 10**18).at
    one = TaskSucceeded(at=at, task_id="a", name="n", queue="q")

    assert one == TaskSucceeded(at=at, task_id="a", name="n", queue="q")
    assert {field.name for field in fields(WorkerDied)} >= {"worker", "pid", "oom"}
    with pytest.raises(AttributeError):
        one.name = "m"  # type: ignore[misc]


_NOWHERE = Path("/nonexistent/spool")
