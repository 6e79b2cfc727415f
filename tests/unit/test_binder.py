"""The binder: arguments of a call to a map, checked as the handler would."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Optional

import pytest

from stem_actor.errors import PayloadError, SettingsError
from stem_actor.payload.wire import pack_args, unpack
from stem_actor.tasks.binder import Binder, build_binder

if TYPE_CHECKING:
    # Names that only a type checker would see, so that they stay text at run time.
    import somewhere  # type: ignore[import-not-found]
    from somewhere import NotATaskContext, TaskExecutionContext, Unknown


class TaskContext:
    """A stand-in with the name that counts."""


class DeepContext(TaskContext):
    """A subclass of it."""


class Opaque:
    """A class without a wire form."""


@dataclass
class Invoice:
    """A record."""

    amount: int
    due: datetime | None = None


DUE = datetime(2026, 1, 3, tzinfo=UTC)


def send(context: TaskContext, to: str, body: str = "", *, copies: int = 1) -> bool:
    return True


def binder_of(function: Callable[..., object], **options: Any) -> Binder:
    return build_binder(function, name="shop.task", **options)


@pytest.mark.parametrize(
    ("args", "kwargs", "bound"),
    [
        (("a",), {}, {"to": "a"}),
        (("a", "hi"), {}, {"to": "a", "body": "hi"}),
        (("a",), {"body": ""}, {"to": "a", "body": ""}),
        ((), {"copies": 2, "to": "a"}, {"to": "a", "copies": 2}),
    ],
)
def test_arguments_become_a_map_without_the_defaults(
    args: tuple[Any, ...], kwargs: dict[str, Any], bound: dict[str, object]
) -> None:
    assert binder_of(send).bind(*args, **kwargs) == bound


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [
        ((), {}),
        (("a", "b", "c"), {}),
        (("a",), {"to": "b"}),
        (("a",), {"cc": "b"}),
        ((), {"body": "b"}),
    ],
)
def test_a_wrong_call_is_worded_as_by_python(
    args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    def plain(to: str, body: str = "", *, copies: int = 1) -> None: ...

    plain.__qualname__ = "shop.task"
    with pytest.raises(TypeError) as expected:
        plain(*args, **kwargs)

    with pytest.raises(TypeError) as caught:
        binder_of(send).bind(*args, **kwargs)

    assert str(expected.value) == str(caught.value)


def typed(  # type: ignore[no-untyped-def]
    s: str = "",
    i: int = 0,
    f: float = 0.0,
    b: bytes = b"",
    t: bool = False,
    l: list[int] = [],  # noqa: B006, E741
    d: dict[str, int] = {},  # noqa: B006
    o: str | None = None,
    u: Optional[int] = None,  # noqa: UP045
    a: Any = None,
    x=None,  # noqa: ANN001
    later: Unknown = None,
) -> None: ...


@pytest.mark.parametrize(
    "kwargs",
    [
        {"s": "x", "i": True, "f": 3, "b": b"", "t": True, "l": [], "d": {}},
        {"o": None, "u": 4, "a": object(), "x": object(), "later": object()},
        {"o": "x", "u": None},
    ],
)
def test_fitting_types_pass(kwargs: dict[str, Any]) -> None:
    assert binder_of(typed).bind(**kwargs) == kwargs


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("s", 1, "shop.task() argument 's' must be str, not int"),
        ("i", 1.0, "shop.task() argument 'i' must be int, not float"),
        ("f", "1", "shop.task() argument 'f' must be float or int, not str"),
        ("b", "x", "shop.task() argument 'b' must be bytes, not str"),
        ("t", 1, "shop.task() argument 't' must be bool, not int"),
        ("l", (), "shop.task() argument 'l' must be list, not tuple"),
        ("d", [], "shop.task() argument 'd' must be dict, not list"),
        ("s", None, "shop.task() argument 's' must be str, not None"),
        ("o", 1, "shop.task() argument 'o' must be str or None, not int"),
        ("u", "x", "shop.task() argument 'u' must be int or None, not str"),
    ],
)
def test_a_wrong_type_names_task_argument_expected_and_given(
    name: str, value: object, message: str
) -> None:
    with pytest.raises(TypeError) as caught:
        binder_of(typed).bind(**{name: value})

    assert str(caught.value) == message


def quoted(context: "TaskContext", n: int) -> None: ...  # noqa: UP037
def subclass(context: DeepContext, n: int) -> None: ...
def unseen(context: somewhere.TaskInvocationContext, n: int) -> None: ...
def generic(context: TaskExecutionContext[int], n: int) -> None: ...
def positional(context: TaskContext, /, n: int) -> None: ...
def without(n: int) -> None: ...
def other(context: NotATaskContext, n: int) -> None: ...


@pytest.mark.parametrize("function", [quoted, subclass, unseen, generic, positional])
def test_the_context_is_found_by_its_annotation(function: Any) -> None:
    binder = binder_of(function)

    assert binder.takes_context
    assert binder.bind(3) == {"n": 3}


@pytest.mark.parametrize("function", [without, other])
def test_no_other_parameter_is_taken_for_the_context(function: Any) -> None:
    assert not binder_of(function).takes_context


def test_the_context_can_be_denied_or_asserted() -> None:
    assert not binder_of(other, context=False).takes_context
    assert binder_of(other, context=True).bind(1) == {"n": 1}


def starred(*values: int) -> None: ...
def slashed(a: int, /, b: int) -> None: ...
def late(n: int, context: TaskContext) -> None: ...
def opaque(thing: Opaque) -> None: ...
def returns_opaque() -> Opaque:
    return Opaque()


def reserved(_stem_args: int) -> None: ...
def nothing() -> None: ...


@pytest.mark.parametrize(
    ("function", "options", "message"),
    [
        (starred, {}, "*values has no names to send its values under"),
        (slashed, {}, "'a' is positional-only"),
        (late, {}, "the context 'context' must be the first parameter"),
        (opaque, {}, "the annotation of 'thing' has no wire form"),
        (returns_opaque, {}, "the annotation of the result has no wire form"),
        (reserved, {}, "names that start with '_stem_' are reserved"),
        (nothing, {"context": True}, "there is no parameter for it"),
    ],
)
def test_a_signature_that_cannot_work_is_refused_with_its_place(
    function: Callable[..., object], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        binder_of(function, **options)

    line = function.__code__.co_firstlineno
    assert message in str(caught.value)
    assert f"test_binder.py:{line}: task shop.task: " in str(caught.value)


def test_all_problems_of_a_signature_are_told_at_once() -> None:
    def bad(a: Opaque, /, *b: int) -> Opaque:
        return a

    with pytest.raises(SettingsError) as caught:
        binder_of(bad)

    assert len(caught.value.problems) == 3


def test_rich_arguments_are_lowered_and_raised() -> None:
    def pay(
        invoice: Invoice, at: datetime, notes: list[str], again: set[int]
    ) -> None: ...

    binder = binder_of(pay)

    bound = binder.bind(Invoice(5, DUE), at=DUE, notes=["x"], again={1})
    raised = binder.raise_args(unpack(pack_args(bound)))  # type: ignore[arg-type]

    assert bound["invoice"] == {"amount": 5, "due": "2026-01-03T00:00:00Z"}
    assert raised == {
        "invoice": Invoice(5, DUE),
        "at": DUE,
        "notes": ["x"],
        "again": {1},
    }


def test_plain_arguments_are_not_touched_by_raising() -> None:
    args: dict[str, object] = {"n": 1}

    assert binder_of(without).raise_args(args) is args


def test_a_single_record_is_its_own_map() -> None:
    def pay(context: TaskContext, invoice: Invoice) -> Invoice:
        return invoice

    binder = binder_of(pay)

    assert binder.bind(Invoice(5)) == {"amount": 5, "due": None}
    assert binder.raise_args({"amount": 5}) == {"invoice": Invoice(5)}
    assert binder.returns is Invoice
    with pytest.raises(TypeError, match="'invoice' must be Invoice, not dict"):
        binder.bind({"amount": 5})


def test_an_argument_that_does_not_fit_is_named_in_the_worker() -> None:
    def pay(at: datetime, n: int = 0) -> None: ...

    with pytest.raises(PayloadError, match=r"args\.at: expected `datetime`"):
        binder_of(pay).raise_args({"at": 5})


def test_an_optional_record_keeps_its_name() -> None:
    def pay(invoice: Invoice | None = None) -> None: ...

    binder = binder_of(pay)

    assert binder.bind() == {}
    assert binder.bind(None) == {"invoice": None}
    assert binder.raise_args({"invoice": {"amount": 1}}) == {"invoice": Invoice(1)}


def test_quoted_parts_of_an_annotation_are_understood() -> None:
    def pay(invoices: list[Invoice], last: Invoice | None) -> None: ...

    pay.__annotations__["invoices"] = "list['Invoice']"
    pay.__annotations__["last"] = Optional["Invoice"]
    binder = binder_of(pay)

    assert binder.annotations == {"invoices": list[Invoice], "last": Invoice | None}


def test_an_annotation_without_a_value_leaves_its_argument_alone() -> None:
    binder = binder_of(typed)

    assert "later" not in binder.annotations


def test_further_keywords_are_taken_if_the_handler_takes_them() -> None:
    def tag(name: str, **labels: str) -> None: ...

    assert binder_of(tag).bind("a", x="1") == {"name": "a", "x": "1"}


def test_names_of_builtins_are_only_names() -> None:
    def odd(isinstance: int, list: str, dict: int = 0) -> None: ...

    assert binder_of(odd).bind(1, "x", dict=2) == {
        "isinstance": 1,
        "list": "x",
        "dict": 2,
    }
