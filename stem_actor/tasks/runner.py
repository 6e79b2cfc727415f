"""
The runner of a task: from the bytes of its body to the bytes of its result.

Each handler gets a closure of its own, in which everything that can be known before
the first start is decided. The engine adds the context and what follows from errors.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, cast

from stem_actor.errors import EncoderNotRegistered, PayloadError
from stem_actor.payload.encoder_registry import TaskEncoders
from stem_actor.payload.wire import unpack
from stem_actor.ring.record import HANDED, IGNORE_RESULT
from stem_actor.tasks.binder import Binder
from stem_actor.tasks.context import TaskContext
from stem_actor.tasks.handing import open_handed
from stem_actor.tasks.outcome import NOTHING, pack_encoded_success, pack_success
from stem_actor.tasks.reading import open_body

__all__ = [
    "ArgumentsRefused",
    "AsyncRunner",
    "ResultRefused",
    "Runner",
    "build_async_runner",
    "build_runner",
]

Handler = Callable[..., Any]
Runner = Callable[[TaskContext], bytes]
AsyncRunner = Callable[[TaskContext], Awaitable[bytes]]


class ArgumentsRefused(Exception):
    """The body does not fit the handler's signature; the cause says how."""


class ResultRefused(Exception):
    """What the handler returned has no wire form; the cause says where."""


def build_runner(handler: Handler, binder: Binder, encoders: TaskEncoders) -> Runner:
    """Return the function that runs *handler* for the start of a context."""
    receive, finish = _receiver(binder, encoders), _finisher(binder, encoders)

    def run(context: TaskContext) -> bytes:
        args = receive(context)
        try:
            value = handler(**args)
        except TypeError as error:
            _check_call(error)
            raise
        return finish(context, value)

    def run_with_context(context: TaskContext) -> bytes:
        args = receive(context)
        try:
            value = handler(context, **args)
        except TypeError as error:
            _check_call(error)
            raise
        return finish(context, value)

    return run_with_context if binder.takes_context else run


def build_async_runner(
    handler: Handler, binder: Binder, encoders: TaskEncoders
) -> AsyncRunner:
    """As ``build_runner``, for a coroutine function."""
    receive, finish = _receiver(binder, encoders), _finisher(binder, encoders)
    takes_context = binder.takes_context

    async def run(context: TaskContext) -> bytes:
        args = receive(context)
        try:
            coroutine = handler(context, **args) if takes_context else handler(**args)
        except TypeError as error:
            _check_call(error)
            raise
        return finish(context, await coroutine)

    return run


def _receiver(
    binder: Binder, encoders: TaskEncoders
) -> Callable[[TaskContext], Mapping[str, Any]]:
    """Return what decodes a body, tells the context and raises the arguments."""
    is_plain, current = binder.is_plain, binder.current

    def read_any_version(body: bytes) -> object:
        return current(cast("dict[str, object]", unpack(body)))

    # Decided here: a task without a version pays nothing for those that have one.
    read: Callable[..., object] = unpack
    if binder.version is not None:
        read = read_any_version

    def receive(context: TaskContext) -> Mapping[str, Any]:
        delivery = context.delivery
        try:
            if delivery.kind:
                parts = open_handed if delivery.kind == HANDED else open_body
                given, headers, meta = parts(delivery.body, encoders)
                args = current(given)
                context.receive(args, headers, meta)
            else:
                args = cast("Mapping[str, object]", read(delivery.body))
                context.receive(args)
            return args if is_plain else binder.raise_args(args)
        except (PayloadError, EncoderNotRegistered) as error:
            raise ArgumentsRefused from error

    return receive


def _finisher(
    binder: Binder, encoders: TaskEncoders
) -> Callable[[TaskContext, object], bytes]:
    """Return what packs a result, and the meta that the handler has written."""
    encode = binder.encode_result if binder.encodes_result else None
    encoder = encoders.result
    is_plain = encoder is None
    pack: Callable[..., bytes] = (
        pack_success if encoder is None else partial(pack_encoded_success, encoder)
    )

    def finish(context: TaskContext, value: object) -> bytes:
        is_ignored = context.delivery.flags & IGNORE_RESULT
        if is_ignored:
            value = None
        meta = context.written_meta
        if value is None and meta is None and (is_plain or is_ignored):
            return NOTHING
        try:
            if encode is not None:
                value = encode(value)
            return pack(value, meta=meta)
        except PayloadError as error:
            raise ResultRefused from error

    return finish


def _check_call(error: TypeError) -> None:
    """
    Raise ArgumentsRefused if *error* says that the arguments do not fit.

    The interpreter raises it then before the handler has a frame, so the traceback
    ends in the runner.
    """
    if error.__traceback__ is None or error.__traceback__.tb_next is None:
        raise ArgumentsRefused from error
