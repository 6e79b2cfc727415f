"""TaskPayloadEncoderRegistry: the encoders of one app, by their ids."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal, get_args

from stem_actor.errors import EncoderNotRegistered, SettingsError
from stem_actor.model.metadata import PayloadEncoder, TaskMetadata, encoder_problem
from stem_actor.payload.encoder import JSON, JsonPayloadEncoder

__all__ = ["PLAIN", "EncoderIds", "TaskEncoders", "TaskPayloadEncoderRegistry"]

EncoderIds = Literal["strict", "lenient"]

_PASS_THROUGH: Final = JsonPayloadEncoder()


class TaskPayloadEncoderRegistry:
    """
    Which encoder is meant by an id, and which ones a task uses.

    Every process that reads payloads needs those that wrote them, by the same ids.
    """

    def __init__(
        self,
        default_args_encoder: PayloadEncoder | None = None,
        default_result_encoder: PayloadEncoder | None = None,
        additional_encoders: Iterable[PayloadEncoder] = (),
        *,
        ids: EncoderIds = "strict",
    ) -> None:
        """
        Args:
            default_args_encoder: For tasks that name none; None: plain values.
            default_result_encoder: Likewise for results.
            additional_encoders: Further ones that payloads may be marked with.
            ids: ``"strict"``: an id that is not known is an error; ``"lenient"``: the
                default encoder decodes it.

        Raises:
            SettingsError: If one is no encoder, or two share an id and are not equal.
        """
        if ids not in get_args(EncoderIds):
            raise SettingsError([f'encoder_ids is "strict" or "lenient", not {ids!r}'])
        self._is_strict = ids == "strict"
        self._by_id: dict[str, PayloadEncoder] = {JSON: _PASS_THROUGH}
        given = (default_args_encoder, default_result_encoder)
        self._args, self._result = (it or _PASS_THROUGH for it in given)
        for encoder in (self._args, self._result, *additional_encoders):
            self.register(encoder)
        self._is_plain = len(self._by_id) == 1 and self._is_strict

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids that are known, sorted."""
        return tuple(sorted(self._by_id))

    @property
    def is_plain(self) -> bool:
        """Whether it was made of nothing but defaults."""
        return self._is_plain

    def register(self, encoder: PayloadEncoder) -> None:
        """
        Let payloads be marked with the id of *encoder*; an equal one may be there.

        Raises:
            SettingsError: If it is no encoder, or another one has its id.
        """
        problem = encoder_problem(encoder)
        if encoder is None or problem is not None:
            raise SettingsError([f"{problem or 'None is no encoder'}"])
        other = self._by_id.setdefault(encoder.id, encoder)
        if other != encoder:
            raise SettingsError(
                [f"two payload encoders that differ have the id {encoder.id!r}"],
                hint="use one of them for both, or give one another id",
            )

    def resolve_args(self, encoder_id: str | None) -> PayloadEncoder:
        """
        Return the encoder of arguments that bear the mark *encoder_id*.

        Args:
            encoder_id: The mark; None: the default encoder is meant.

        Raises:
            EncoderNotRegistered: If there is none, and ids are strict.
        """
        return self._resolve(encoder_id, self._args)

    def resolve_result(self, encoder_id: str | None) -> PayloadEncoder:
        """As ``resolve_args``, for results."""
        return self._resolve(encoder_id, self._result)

    def of(self, metadata: TaskMetadata) -> TaskEncoders:
        """
        Return what a task with *metadata* is encoded by; registers its encoders.

        Raises:
            SettingsError: As ``register``.
        """
        for own in (metadata.args_encoder, metadata.result_encoder):
            if own is not None:
                self.register(own)
        return TaskEncoders(
            _effective(metadata.args_encoder or self._args),
            _effective(metadata.result_encoder or self._result),
            self,
        )

    def _resolve(
        self, encoder_id: str | None, default: PayloadEncoder
    ) -> PayloadEncoder:
        if encoder_id is None:
            return default
        found = self._by_id.get(encoder_id)
        if found is not None:
            return found
        if self._is_strict:
            raise EncoderNotRegistered(str(encoder_id), known=self._by_id)
        return default


@dataclass(frozen=True, slots=True, eq=False)
class TaskEncoders:
    """
    The encoders of one task; None: plain values, for which nothing is done.

    Attributes:
        args: For its arguments.
        result: For its result, errors, progress and kept meta.
        registry: Where marks are looked up.
    """

    args: PayloadEncoder | None
    result: PayloadEncoder | None
    registry: TaskPayloadEncoderRegistry


PLAIN: Final = TaskEncoders(None, None, TaskPayloadEncoderRegistry())
"""What a task is encoded by that says nothing: plain values."""


def _effective(encoder: PayloadEncoder) -> PayloadEncoder | None:
    return None if encoder.id == JSON else encoder
