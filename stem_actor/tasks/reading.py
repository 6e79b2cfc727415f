"""Reading: the arguments, headers and meta in the body of a task."""

from __future__ import annotations

from stem_actor.errors import PayloadError
from stem_actor.payload.encoder import ARGS_ENCODER, ARGS_ENCODER_META, decode
from stem_actor.payload.encoder_registry import TaskEncoders
from stem_actor.payload.wire import unpack

__all__ = ["Parts", "open_body"]

Parts = tuple[dict[str, object], dict[str, str], dict[str, object]]


def open_body(body: bytes, encoders: TaskEncoders) -> Parts:
    """
    Return the three parts of an ARGS_HEADERS_META body, the arguments decoded.

    Raises:
        PayloadError: If it is none, or the encoder fails.
        EncoderNotRegistered: If there is no such encoder.
    """
    match unpack(body):
        case [args, dict() as headers, dict() as meta]:
            mark = headers.get(ARGS_ENCODER)
            if mark is not None:
                args = _decoded(encoders, str(mark), args)
                meta[ARGS_ENCODER_META] = mark
            if isinstance(args, dict):
                return args, headers, meta
    raise PayloadError("the body is not arguments, headers and meta", path="args")


def _decoded(encoders: TaskEncoders, mark: str, stored: object) -> dict[str, object]:
    encoder = encoders.registry.resolve_args(mark)
    args = decode(encoder, stored, path="args")
    if args is None:
        return {}
    if isinstance(args, dict) and all(type(name) is str for name in args):
        return args
    raise PayloadError(
        f"what the encoder {encoder.id!r} has decoded is no map of arguments by name",
        path="args",
    )
