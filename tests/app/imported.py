"""A module for ``imports``: a task without an app, and a handler object."""

from __future__ import annotations

from stem_actor import PayloadMap, TaskContext, TaskHandler, task


@task(name="imported")
def imported(n: int) -> int:
    return 2 * n


class Handler(TaskHandler[PayloadMap, str]):
    name = "imported.handler"

    def call(self, context: TaskContext, args: PayloadMap) -> str:
        return "handled"


handler = Handler()
