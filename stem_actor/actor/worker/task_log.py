"""Log records of handlers: to stderr, with the task they belong to."""

from __future__ import annotations

import logging
import sys

from stem_actor.tasks.context import TaskContext

__all__ = ["configure_logging"]


def configure_logging() -> None:
    """Send records to stderr, unless the user has configured the root logger."""
    root = logging.getLogger()
    if root.handlers:
        return
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_TaskFormatter())
    root.addHandler(handler)


class _TaskFormatter(logging.Formatter):
    """``WARNING logger [name id attempt 0]: message``."""

    def __init__(self) -> None:
        super().__init__("%(levelname)s %(name)s%(task)s: %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        context = TaskContext.current()
        record.task = (
            ""
            if context is None
            else f" [{context.name} {context.id} attempt {context.attempt}]"
        )
        return super().format(record)
