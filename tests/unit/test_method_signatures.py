"""Signatures that are written in several places say the same everywhere."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from dataclasses import fields
from typing import Any

import pytest

from stem_actor import StemApp, TaskContext
from stem_actor.actor.host import connection, settings
from stem_actor.actor.worker import runtime
from stem_actor.engine.children import ChildResults
from stem_actor.engine.disconnected import Disconnected
from stem_actor.engine.publish import Publisher
from stem_actor.model.enqueue_options import (
    EnqueueOptionsDict,
    TaskEnqueueOptions,
    TaskOptionsDict,
)
from stem_actor.model.options import TaskOptions
from stem_actor.tasks import ports
from stem_actor.tasks.call import CallDict, TaskCall, TaskEnqueuer
from stem_actor.tasks.finder import TaskFinder
from stem_actor.tasks.handle import TaskHandle
from stem_actor.tasks.local import LocalRuntime
from stem_actor.tasks.no_args_definition import NoArgsTaskDefinition
from stem_actor.tasks.producing import Producing
from stem_actor.tasks.task import AsyncTask, SyncTask
from stem_actor.tasks.task_definition import TaskDefinition

#: The first of each row is the pattern; the others have its parameters and result.
SAME = [
    (StemApp.enqueue, TaskContext.enqueue, TaskContext.spawn),
    (TaskEnqueuer.enqueue_call, StemApp.enqueue_call, TaskContext.enqueue_call,
     Publisher.enqueue_call),
    (TaskFinder.find, Publisher.find),
    (TaskDefinition.enqueue_and_wait, TaskDefinition.aenqueue_and_wait),
    (NoArgsTaskDefinition.enqueue_and_wait, NoArgsTaskDefinition.aenqueue_and_wait),
    (Producing.wait_for_task, Producing.await_for_task),
    (Publisher.enqueue_many, StemApp.enqueue_many),
    (TaskHandle.settle, ports.PendingHandle.settle),
    (TaskHandle.progressed, ports.PendingHandle.progressed),
    *((getattr(ports.Submitter, name), getattr(Disconnected, name),
       getattr(connection.Connection, name), getattr(runtime.ChildSubmitter, name))
      for name in ("submit", "submit_many", "stow", "discard")),
    *((getattr(ports.ResultSource, name), getattr(Disconnected, name),
       getattr(connection.Connection, name), getattr(ChildResults, name))
      for name in ("attach", "attach_many", "find", "lose", "wait", "wait_async",
                   "status", "revoke")),
    *((getattr(ports.Runtime, name), getattr(runtime.WorkerRuntime, name),
       getattr(LocalRuntime, name))
      for name in ("progress", "extend", "extend_limit", "facts", "remaining_ns")),
    (SyncTask.enqueue, SyncTask.aenqueue, AsyncTask.enqueue),
    (SyncTask.enqueue_and_wait, SyncTask.aenqueue_and_wait),
]  # fmt: skip

#: Keyword form → the class whose fields it repeats.
KEYWORDS = [(TaskOptionsDict, TaskOptions), (EnqueueOptionsDict, TaskEnqueueOptions)]


@pytest.mark.parametrize("row", SAME, ids=lambda row: row[0].__qualname__)
def test_methods_of_one_row_have_one_signature(row: tuple[Any, ...]) -> None:
    first, *others = map(_shape, row)

    assert others == [first] * len(others)


@pytest.mark.parametrize("pair", KEYWORDS, ids=lambda pair: pair[0].__name__)
def test_the_keyword_form_of_options_has_their_fields(pair: tuple[Any, Any]) -> None:
    keywords, options = pair

    assert [*keywords.__annotations__] == [it.name for it in _public(fields(options))]


def test_a_prepared_call_has_the_parameters_of_enqueue() -> None:
    assert ["name", "args", *CallDict.__annotations__, "definition"] == [
        it.name for it in fields(TaskCall)
    ]


def test_the_settings_that_are_documented_are_those_that_are_taken() -> None:
    taken = inspect.signature(settings.build_settings).parameters

    assert {*settings.SettingsDict.__annotations__} == {*taken}


def _public(found: Iterable[Any]) -> list[Any]:
    return [it for it in found if it.init]


def _shape(method: Any) -> tuple[list[tuple[str, Any, Any, str]], str]:
    """Every parameter, and the types as they are written."""
    found = inspect.signature(method)
    rows = [
        (it.name, it.kind, it.default, str(it.annotation))
        for it in found.parameters.values()
    ]
    return rows, str(found.return_annotation)
