"""Claims: what makes two enqueues the same, and whose limit a task shares."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stem_actor import StemError, TaskCall
from stem_actor.engine.children import CHILD_RESULTS
from stem_actor.engine.claims import CLAIM_BYTES, UniqueKey
from stem_actor.engine.head import group_in
from stem_actor.errors import PayloadError, RingCorrupt
from stem_actor.ids import format_id, new_id
from stem_actor.model.rate import MAX_TOKENS, RateLimit, parse_rate, rate_text
from stem_actor.ring.producer import Kind
from stem_actor.ring.record import (
    GROUP_CLAIM,
    RATE_CLAIM,
    UNIQUE_CLAIM,
    Claim,
    TaskHead,
    claims_of,
    unpack_record,
)
from tests.unit.task_surface import Shop, fresh, open_shop

ARGS = {"to": "a@b.c", "parts": [1, {"x": None}]}


def claim_of(shop: Shop, kind: int) -> Claim:
    """Return the claim of one kind of what was published last."""
    [claim] = [it for it in claims_of(shop.last.head) if it.kind == kind]
    return claim


def key(
    args: dict[str, Any], *, name: str = "t", queue: str = "q", **more: Any
) -> bytes:
    """Return the unique key of an enqueue."""
    headers, meta = more.get("headers", {}), more.get("meta", {})
    return UniqueKey(name, queue, 0).claim(args, headers, meta)


# --- unique keys


def test_the_order_of_arguments_makes_no_other_key() -> None:
    assert key({"a": 1, "b": {"x": 1, "y": 2}}) == key({"b": {"y": 2, "x": 1}, "a": 1})


@pytest.mark.parametrize(
    "other",
    [
        {"args": {"a": 2}},
        {"args": {"a": 1, "b": None}},
        {"args": {"a": True}},
        {"args": {"a": 1.0}},
        {"args": {"a": "1"}},
        {"args": {"a": b"1"}},
        {"name": "u"},
        {"queue": "r"},
        {"headers": {"tenant": "x"}},
        {"meta": {"run": 1}},
    ],
)
def test_another_value_anywhere_makes_another_key(other: dict[str, Any]) -> None:
    assert key(**{"args": {"a": 1}, **other}) != key({"a": 1})


@pytest.mark.parametrize(
    "same",
    [
        {"headers": {"traceparent": "00-1"}},
        {"headers": {"tracestate": "x", "baggage": "y"}},
        {"headers": {"stem-args-encoder": "base64"}},
        {"meta": {"stem.parentTaskId": "1"}},
    ],
)
def test_what_says_where_it_came_from_makes_none(same: dict[str, Any]) -> None:
    assert key({"a": 1}, **same) == key({"a": 1})


def test_none_and_not_a_number_are_two_keys() -> None:
    assert key({"a": None}) != key({"a": float("nan")})


def test_a_key_may_be_named_and_is_nothing_else_then() -> None:
    named = {"uniqueKey": "order 7"}

    assert key({"a": 1}, meta=named) == key({"a": 2}, name="u", meta=named)
    assert key({"a": 1}, meta={"uniqueKey": ""}) != key({"a": 1}, meta=named)
    override = {"stem.unique.override": "order 7", "uniqueKey": "x"}
    assert key({}, meta=override) == key({}, meta=named)


@given(
    st.dictionaries(
        st.text(max_size=3),
        st.none() | st.integers(-9, 9) | st.text(max_size=3) | st.binary(max_size=3),
        max_size=4,
    ),
    st.randoms(use_true_random=False),
)
def test_a_key_depends_on_the_values_alone(args: dict[str, Any], rng: Any) -> None:
    items = list(args.items())
    rng.shuffle(items)

    assert key(dict(items)) == key(args)


def test_every_way_of_enqueueing_claims_the_same_key() -> None:
    task = fresh(name="add", unique=True, unique_for=60)
    shop = open_shop(task)

    task.enqueue(1)
    task.map([1])
    task.with_options(priority=3).enqueue(1)
    shop.publisher.enqueue_call(TaskCall(name="add", args={"a": 1}))
    shop.publisher.enqueue_many([task.build_call(1), task.build_call(1)])

    claims = [claims_of(it.head) for it in shop.submitter.sent]
    assert len(claims) == 6
    assert {claim.key for [claim] in claims} == {claims[0][0].key}
    assert {(it.kind, it.span_ns) for [it] in claims} == {(UNIQUE_CLAIM, 60 * 10**9)}


def test_an_enqueue_says_whether_it_is_unique() -> None:
    plain, unique = fresh(name="a"), fresh(name="b", unique=True, unique_for=5)
    shop = open_shop(plain, unique)

    plain.with_options(unique=True, unique_for=2).enqueue(1)
    assert claim_of(shop, UNIQUE_CLAIM).span_ns == 2 * 10**9
    unique.with_options(unique=False).enqueue(1)
    assert claims_of(shop.last.head) == ()


def test_a_task_without_claims_has_none_in_its_record() -> None:
    shop = open_shop(task := fresh())

    task.enqueue(1)

    assert shop.last.head.claims == b""


# --- handles


def test_a_handle_asks_once_which_task_it_stands_for() -> None:
    shop = open_shop(task := fresh(unique=True))
    handle = task.enqueue(1)
    first = new_id()
    shop.source.others[handle.task_id] = first

    assert repr(handle).startswith("<UniqueHandle")
    assert shop.source.asked == []
    assert (handle.id, handle.id) == (format_id(first), format_id(first))

    assert [verb for verb, _ in shop.source.asked] == ["identify"]


def test_a_handle_that_was_renamed_or_settled_asks_nobody() -> None:
    shop = open_shop(task := fresh(unique=True))
    one, two = task.enqueue(1), task.enqueue(2)
    first = new_id()

    one.renamed(first)
    shop.source.end(2, Kind.SUCCEEDED, b"\x03")

    assert (one.id, two.id) == (format_id(first), format_id(two.task_id))
    assert shop.source.asked == []


def test_a_handle_of_a_plain_task_never_asks() -> None:
    shop = open_shop(task := fresh())

    assert task.enqueue(1).id

    assert shop.source.asked == []


# --- limits


def test_a_limit_is_one_for_all_who_publish_the_task() -> None:
    shop = open_shop(task := fresh(name="a", rate_limit="5/s"))
    task.enqueue(1)
    one = claim_of(shop, RATE_CLAIM)
    task.with_options(priority=3).enqueue(2)

    assert claim_of(shop, RATE_CLAIM) == one
    assert (one.tokens, one.span_ns) == (5, 10**9)


def test_tasks_of_one_group_share_its_limit() -> None:
    one = fresh(name="a", group_rate_limit="9/m", group_rate_key="mail")
    two = fresh(name="b", group_rate_limit="9/m", group_rate_key="mail")
    shop = open_shop(one, two)

    one.enqueue(1)
    mine = claim_of(shop, GROUP_CLAIM)
    two.enqueue(1)

    assert claim_of(shop, GROUP_CLAIM) == mine
    assert (mine.tokens, mine.span_ns, mine.is_closed) == (9, 60 * 10**9, False)
    assert group_in(shop.last.head) == "mail"


def test_the_group_is_read_from_the_headers() -> None:
    task = fresh(name="a", group_rate_limit="9/m")
    shop = open_shop(task)

    def claim_with(headers: dict[str, str]) -> tuple[bytes, str]:
        call = TaskCall(name="a", args={"a": 1}, headers=headers)
        shop.publisher.enqueue_call(call)
        return claim_of(shop, GROUP_CLAIM).key, group_in(shop.last.head)

    assert claim_with({"tenant": "x"})[1] == "x"
    assert claim_with({"tenant": "x"}) != claim_with({"tenant": "y"})
    assert claim_with({})[1] == claim_with({"other": "x"})[1] == "global"


def test_a_closed_group_says_so() -> None:
    mode = {"group_rate_limiter_failure_mode": "fail_closed"}
    shop = open_shop(task := fresh(group_rate_limit="1/h", **mode))

    task.enqueue(1)

    assert claim_of(shop, GROUP_CLAIM).is_closed


@given(st.integers(1, MAX_TOKENS), st.sampled_from("smh"))
def test_a_rate_is_written_as_it_was_read(tokens: int, unit: str) -> None:
    limit = parse_rate(f"{tokens}/{unit}")

    assert rate_text(limit.tokens, limit.interval_ns) == f"{tokens}/{unit}"


def test_a_rate_without_a_unit_is_written_in_seconds() -> None:
    limit = RateLimit(3, 1_500_000_000)

    assert rate_text(limit.tokens, limit.interval_ns) == "3 in 1.5 s"


# --- records


def test_claims_travel_in_the_record_in_the_order_of_their_kinds() -> None:
    task = fresh(unique=True, rate_limit="5/s", group_rate_limit="9/m")
    shop = open_shop(task)

    task.enqueue(1)

    head = shop.last.head
    assert [it.kind for it in claims_of(head)] == [1, 2, 3]
    assert len(head.claims) == 3 * CLAIM_BYTES
    assert unpack_record(head.pack()).head == head
    assert shop.last.content == {"a": 1}


def test_claims_that_are_cut_off_are_refused() -> None:
    with pytest.raises(RingCorrupt, match="cut off"):
        claims_of(TaskHead(name="t", claims=bytes(31)))


def test_an_argument_without_a_wire_form_is_told_as_ever() -> None:
    def keep(value: object) -> None: ...

    open_shop(task := fresh(keep, unique=True))

    with pytest.raises(PayloadError, match=r"args\.value"):
        task.enqueue({1})


def test_a_child_cannot_ask_which_task_it_stands_for() -> None:
    with pytest.raises(StemError, match="cannot ask for the other name"):
        CHILD_RESULTS.identify(bytes(16))
