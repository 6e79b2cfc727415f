"""Pipes: encoders one behind the other, as one."""

from __future__ import annotations

from stem_actor.errors import SettingsError
from stem_actor.model.metadata import PayloadEncoder, encoder_problem
from stem_actor.payload.encoder import TaskPayloadEncoder

__all__ = ["pipe_encoders"]


class _Pipe(TaskPayloadEncoder):
    """Encodes by each of its encoders, and decodes the other way round."""

    def __init__(self, encoders: tuple[PayloadEncoder, ...], id: str) -> None:
        self.id = id
        self._encoders = encoders

    def encode(self, value: object) -> object:
        for encoder in self._encoders:
            value = encoder.encode(value)
        return value

    def decode(self, stored: object) -> object:
        for encoder in reversed(self._encoders):
            stored = encoder.decode(stored)
        return stored


def pipe_encoders(
    *encoders: PayloadEncoder, id: str | None = None
) -> TaskPayloadEncoder:
    """
    Return the encoder that encodes by the first of *encoders*, then by the next.

    Compress before you encrypt: what is encrypted no longer gets smaller. (And where
    an attacker chooses a part of what is compressed, the size tells of the rest.)

    Args:
        encoders: Two or more.
        id: What payloads are marked with; None: the ids of all, joined by ``+``.

    Raises:
        SettingsError: If there are less than two, or one is no encoder.
    """
    problems = [problem for it in encoders if (problem := encoder_problem(it))]
    if len(encoders) < 2:
        problems.append("a pipe has at least two encoders")
    if problems:
        raise SettingsError(problems)
    return _Pipe(encoders, "+".join(it.id for it in encoders) if id is None else id)
