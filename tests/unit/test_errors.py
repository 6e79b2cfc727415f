"""The error tree: facts, one line, classes, and the way across processes."""

from __future__ import annotations

import inspect
import pickle

import pytest

from stem_actor import errors
from stem_actor.errors import (
    HardTimeLimitExceeded,
    QueueFull,
    ResultTimeout,
    SettingsError,
    SoftTimeLimitExceeded,
    StemError,
    TaskExpired,
    TaskFailedError,
    TaskNotRegistered,
    TaskRetryRequest,
    TaskRevoked,
    WorkerLost,
    task_failure,
)
from stem_actor.model.ending import RetryRequested
from stem_actor.model.error import TaskError, class_names

FAILURE = TaskError(type="ValueError", message="line 1\nline 2", stack="Traceback")


def samples() -> list[StemError]:
    """Return one instance of every error of the tree."""
    return [
        StemError("wrong", hint="mend it"),
        SettingsError(["a", "b"]),
        errors.AppNotStarted("not started"),
        TaskNotRegistered("a.b", known=["a.c"]),
        errors.DuplicateTask("a", where="x.py:1"),
        errors.HandlerNotImportable("a", reason="it is a lambda"),
        errors.EncoderNotRegistered("zstd", known=["json"]),
        errors.WorkflowsNotAttached("no workflows"),
        errors.PayloadError("odd", path="args.x"),
        errors.PayloadTooLarge(9_000, 8_000),
        errors.PayloadVersionError(3, known=[1, 2]),
        QueueFull("email", 10),
        errors.BrokerError("no"),
        errors.BrokerUnavailable("gone"),
        errors.LeaseLost("t1"),
        errors.BackendError("no"),
        errors.ResultExpired("t1"),
        ResultTimeout("t1", 1.5, state="running"),
        TaskFailedError("t1", FAILURE),
        HardTimeLimitExceeded("t1", FAILURE),
        WorkerLost("t1", FAILURE),
        errors.TaskCancelledError("t1", "stopped"),
        TaskExpired("t1"),
        errors.CanvasError("odd tree"),
        errors.ChainFailed(2, "t1"),
        errors.ChordFailed("t1"),
        errors.RingError("no"),
        errors.RingCorrupt("bad crc"),
        errors.RingVersionMismatch(1, 2),
        errors.RingInUse(42, path="/run/x"),
    ]


def test_the_samples_cover_the_whole_tree() -> None:
    tree = {
        cls
        for _, cls in inspect.getmembers(errors, inspect.isclass)
        if issubclass(cls, StemError)
    }

    assert tree == {type(error) for error in samples()}


@pytest.mark.parametrize("error", samples(), ids=lambda e: type(e).__name__)
def test_an_error_reads_as_one_line_and_survives_pickling(error: StemError) -> None:
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes

    assert type(error) is type(copy)
    assert str(error) == str(copy)
    assert error.fields == copy.fields
    assert "\n" not in str(error)


def test_str_ends_with_the_hint() -> None:
    assert str(StemError("it is full", hint="empty it")) == "it is full; empty it"


def test_fields_hold_the_facts_by_name() -> None:
    fields = QueueFull("email", 10, accepted=3).fields
    assert fields == {"queue": "email", "limit": 10, "accepted": 3}


def test_settings_errors_keep_all_problems() -> None:
    assert SettingsError(["a", "b"]).problems == ("a", "b")


def test_an_unknown_task_suggests_the_nearest_name() -> None:
    error = TaskNotRegistered("shop.send_mail", known=["shop.send_email", "x"])

    assert error.hint == "did you mean 'shop.send_email'?"


@pytest.mark.parametrize(
    "error", [ResultTimeout("t", 1.0), HardTimeLimitExceeded("t", FAILURE)]
)
def test_time_outs_are_caught_as_timeout_error(error: StemError) -> None:
    assert isinstance(error, TimeoutError)


def test_a_failure_chains_its_cause_and_shows_the_workers_stack() -> None:
    cause = ValueError("boom")

    error = TaskFailedError("t1", FAILURE, cause)

    assert error.cause is cause
    assert error.__cause__ is cause
    assert error.__notes__ == ["In the worker:\nTraceback"]


def test_a_lost_worker_gets_its_own_class_with_its_facts() -> None:
    meta = {"signal": 9, "exitStatus": None, "oom": True}
    record = TaskError(type="WorkerLost", meta=meta, bases=class_names(WorkerLost))

    error = task_failure("t1", record)

    assert isinstance(error, WorkerLost)
    assert (error.signal, error.exit_status, error.oom) == (9, None, True)


def test_a_users_class_of_the_same_name_is_not_a_lost_worker() -> None:
    record = TaskError(type="WorkerLost", bases=("shop.WorkerLost",))

    assert type(task_failure("t1", record)) is TaskFailedError


@pytest.mark.parametrize(
    "error",
    [
        TaskRetryRequest(RetryRequested()),
        SoftTimeLimitExceeded(),
        SoftTimeLimitExceeded(2.5),
        TaskRevoked(),
    ],
)
def test_control_flow_escapes_except_exception(error: BaseException) -> None:
    assert not isinstance(error, Exception)
    assert str(error)
