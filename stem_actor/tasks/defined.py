"""Defined: a task that is known here by its definition, or its name, alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from stem_actor.model.options import TaskOptions
from stem_actor.payload.encoder_registry import TaskEncoders
from stem_actor.tasks.call import CallDefinition

__all__ = ["Defined", "Laned"]


class Laned(Protocol):
    """What a lane must know of its task: a ``Task``, or a ``Defined`` one."""

    @property
    def name(self) -> str:
        """The task's name."""
        ...

    @property
    def place(self) -> str:
        """File and line of its definition."""
        ...

    @property
    def options(self) -> TaskOptions:
        """How it is to be run."""
        ...

    @property
    def encoders(self) -> TaskEncoders:
        """What its payloads are encoded by."""
        ...

    @property
    def decode_result(self) -> Callable[[Any], Any] | None:
        """Returns the value of a stored result; None: results are plain."""
        ...

    def option_problems(self, options: TaskOptions) -> list[str]:
        """Return which of *options* cannot be honoured for it."""
        ...


class Defined:
    """
    A task whose handler is elsewhere: its arguments and options are its producer's.

    Attributes:
        name: The task's name.
        place: File and line of the definition.
        options: How it is to be run.
        encoders: What its payloads are encoded by.
        decode_result: Returns the value of a stored result; None: it is plain.
    """

    def __init__(
        self,
        name: str,
        encoders: TaskEncoders,
        definition: CallDefinition | None = None,
        handler: Laned | None = None,
    ) -> None:
        """
        Args:
            name: The task's name.
            encoders: What its payloads are encoded by.
            definition: What is known of it; None: nothing but the name.
            handler: The task itself where it is registered here: its options stand
                where the definition says none.
        """
        self.name = name
        self.encoders = encoders
        self.place = f"task {name}" if definition is None else definition.place
        self.decode_result = None if definition is None else definition.decode
        options = None if definition is None else definition.default_options
        if options is None:
            options = TaskOptions() if handler is None else handler.options
        self.options = options

    def option_problems(self, options: TaskOptions) -> list[str]:
        """The worker that has the handler knows; nobody does here."""
        return []
