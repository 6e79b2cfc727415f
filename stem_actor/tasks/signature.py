"""Signatures: calls that are parts of a canvas tree, typed by what they return."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, Final, Generic, NoReturn, Protocol, TypeVar, overload

from stem_actor.payload.lowering import lower
from stem_actor.policy.plan import Chain, Leaf, Tree
from stem_actor.tasks.binder import Binder
from stem_actor.tasks.call import TaskCall

__all__ = [
    "AsStep",
    "AsyncStep",
    "CallStep",
    "Handled",
    "Immutable",
    "Part",
    "Partial",
    "Signature",
    "Step",
    "SyncStep",
    "partial_of",
    "tree_of",
]

T_contra = TypeVar("T_contra", contravariant=True)
R_co = TypeVar("R_co", covariant=True)
S = TypeVar("S")

_HOLE: Final = object()


@dataclass(frozen=True, slots=True)
class CallStep:
    """
    What a leaf of a canvas tree holds.

    Attributes:
        call: The prepared call, without the argument that is handed to it.
        into: The parameter that the value of what comes before goes into; ``""``: it
            is the whole map of arguments; None: it is not handed any.
    """

    call: TaskCall
    into: str | None = None


class SyncStep(Protocol[T_contra, R_co]):
    """A plain task that can be called with one value."""

    aliases: tuple[str, ...]

    def __call__(self, value: T_contra, /) -> R_co: ...


class AsyncStep(Protocol[T_contra, R_co]):
    """A coroutine task that can be called with one value."""

    aliases: tuple[str, ...]

    def __call__(self, value: T_contra, /) -> Coroutine[Any, Any, R_co]: ...


class Part(Generic[R_co]):
    """
    A part of a canvas tree that returns an ``R``.

    Attributes:
        tree: What it is.
    """

    __slots__ = ("tree",)

    def __init__(self, tree: Tree[CallStep]) -> None:
        self.tree = tree

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {_text(self.tree)}>"

    def _then(self, step: Step[S]) -> Tree[CallStep]:
        tree = tree_of(step)
        links = self.tree.links if isinstance(self.tree, Chain) else (self.tree,)
        return Chain((*links, tree))


class Signature(Part[R_co]):
    """
    A part with every argument it needs: it can be run as it is, or begin a chain.

    ``a | b`` runs *b* after *a*, and hands it *a*'s value as its first argument.
    """

    __slots__ = ()

    @overload
    def __or__(self, step: AsyncStep[R_co, S]) -> Signature[S]: ...
    @overload
    def __or__(self, step: SyncStep[R_co, S]) -> Signature[S]: ...
    @overload
    def __or__(self, step: Partial[S] | Immutable[S]) -> Signature[S]: ...
    def __or__(self, step: Any) -> Signature[Any]:
        return Signature(self._then(step))


class Immutable(Signature[R_co]):
    """A part that is handed nothing, wherever it stands."""

    __slots__ = ()

    @overload
    def __or__(self, step: AsyncStep[R_co, S]) -> Immutable[S]: ...
    @overload
    def __or__(self, step: SyncStep[R_co, S]) -> Immutable[S]: ...
    @overload
    def __or__(self, step: Partial[S] | Immutable[S]) -> Immutable[S]: ...
    def __or__(self, step: Any) -> Immutable[Any]:
        return Immutable(self._then(step))


class Partial(Part[R_co]):
    """A part that lacks its first argument: it can only stand behind another one."""

    __slots__ = ()

    @overload
    def __or__(self, step: AsyncStep[R_co, S]) -> Partial[S]: ...
    @overload
    def __or__(self, step: SyncStep[R_co, S]) -> Partial[S]: ...
    @overload
    def __or__(self, step: Partial[S] | Immutable[S]) -> Partial[S]: ...
    def __or__(self, step: Any) -> Partial[Any]:
        return Partial(self._then(step))


class AsStep(Protocol[R_co]):
    """Whatever says itself how it stands behind another part: a task."""

    def partial(self, *args: Any, **kwargs: Any) -> Partial[R_co]: ...


Step = Partial[S] | Immutable[S] | AsStep[S]
"""What may stand behind another part."""


def tree_of(step: Step[Any]) -> Tree[CallStep]:
    """
    Return the tree of *step*, which is to stand behind another part.

    Raises:
        TypeError: If it cannot: it has its first argument already, or is no part.
    """
    if isinstance(step, Partial | Immutable):
        return step.tree
    if isinstance(step, Signature):
        _refuse(
            f"{step!r} has its first argument already, and the value before it is its "
            "first argument; write .partial(...) without that argument, or .si(...) "
            "if it is to be handed nothing"
        )
    if not hasattr(step, "partial"):
        _refuse(f"{step!r} is no part of a canvas; use a task, .partial or .si of it")
    return step.partial().tree


class Handled(Protocol):
    """A task, as far as its arguments go."""

    handler: Callable[..., Any]
    binder: Binder


def partial_of(
    task: Handled,
    call: Callable[[dict[str, object]], TaskCall],
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
) -> Partial[Any]:
    """
    Return the part that calls *task* with a value to come and these arguments.

    Args:
        task: What is called.
        call: Makes a prepared call of a map of arguments.
        args: The arguments behind the first.
        kwargs: Those by name.

    Raises:
        TypeError: If no value could make these a call of the handler.
        PayloadError: If an argument has no wire form.
    """
    binder, signature = task.binder, inspect.signature(task.handler)
    parameters = list(signature.parameters.values())[int(binder.takes_context) :]
    names = [it.name for it in parameters if it.kind is not it.VAR_KEYWORD]
    if not names:
        raise TypeError(f"{binder.name}() takes no value; write .si() of it")
    try:
        bound = signature.replace(parameters=parameters).bind(_HOLE, *args, **kwargs)
    except TypeError as error:
        raise TypeError(f"{binder.name}(): {error}, with a value to come") from None
    if binder.record is not None:
        return Partial(Leaf(CallStep(call({}), into="")))
    given: dict[str, object] = {}
    for parameter in parameters:
        if parameter.name in bound.arguments:
            value = bound.arguments[parameter.name]
            given |= value if parameter.kind is parameter.VAR_KEYWORD else {
                parameter.name: value
            }  # fmt: skip
    del given[names[0]]
    lowered = {name: lower(it, path=f"args.{name}") for name, it in given.items()}
    return Partial(Leaf(CallStep(call(lowered), into=names[0])))


def _refuse(why: str) -> NoReturn:
    raise TypeError(why)


def _text(tree: Tree[CallStep]) -> str:
    match tree:
        case Leaf(step, _):
            return step.call.name
        case Chain(links):
            return " | ".join(map(_text, links))
        case _:
            return type(tree).__name__.lower() + "(…)"
