"""Background tasks that cannot be lost, cannot run away, and need no server."""

from stem_actor.app import StemApp
from stem_actor.control.dead_letters import DeadLetter, DeadLetters
from stem_actor.control.queue import QueueControl, QueueInfo
from stem_actor.control.steering import WorkerInfo
from stem_actor.errors import (
    AppNotStarted,
    BackendError,
    BrokerError,
    BrokerUnavailable,
    CanvasError,
    ChainFailed,
    ChordFailed,
    DuplicateTask,
    EncoderNotRegistered,
    HandlerNotImportable,
    HardTimeLimitExceeded,
    LeaseLost,
    PayloadError,
    PayloadTooLarge,
    PayloadVersionError,
    QueueFull,
    ResultExpired,
    ResultTimeout,
    RingCorrupt,
    RingError,
    RingInUse,
    RingVersionMismatch,
    SettingsError,
    SoftTimeLimitExceeded,
    StemError,
    TaskCancelledError,
    TaskExpired,
    TaskFailedError,
    TaskNotRegistered,
    TaskRetryRequest,
    TaskRevoked,
    WorkerLost,
    WorkflowsNotAttached,
)
from stem_actor.model.enqueue_options import (
    EnqueueOptionsDict,
    TaskEnqueueOptions,
    TaskOptionsDict,
)
from stem_actor.model.error import TaskError
from stem_actor.model.lifecycle import WorkerLifecycle
from stem_actor.model.options import InvalidOptions, TaskOptions
from stem_actor.model.result import TaskResult
from stem_actor.model.retry_policy import TaskRetryPolicy
from stem_actor.model.state import TaskState
from stem_actor.model.status import TaskStatus
from stem_actor.model.stop_report import StopReport
from stem_actor.model.unset import UNSET, Unset
from stem_actor.policy.strategy import ExponentialJitterRetryStrategy, RetryStrategy
from stem_actor.tasks.call import TaskCall, TaskEnqueuer
from stem_actor.tasks.context import TaskContext
from stem_actor.tasks.decorator import task
from stem_actor.tasks.handle import TaskHandle, as_completed
from stem_actor.tasks.outcome import ProgressSignal
from stem_actor.tasks.task import AsyncTask, BoundTask, SyncTask, Task

__all__ = (
    "UNSET",
    "AppNotStarted",
    "AsyncTask",
    "BackendError",
    "BoundTask",
    "BrokerError",
    "BrokerUnavailable",
    "CanvasError",
    "ChainFailed",
    "ChordFailed",
    "DeadLetter",
    "DeadLetters",
    "DuplicateTask",
    "EncoderNotRegistered",
    "EnqueueOptionsDict",
    "ExponentialJitterRetryStrategy",
    "HandlerNotImportable",
    "HardTimeLimitExceeded",
    "InvalidOptions",
    "LeaseLost",
    "PayloadError",
    "PayloadTooLarge",
    "PayloadVersionError",
    "ProgressSignal",
    "QueueControl",
    "QueueFull",
    "QueueInfo",
    "ResultExpired",
    "ResultTimeout",
    "RetryStrategy",
    "RingCorrupt",
    "RingError",
    "RingInUse",
    "RingVersionMismatch",
    "SettingsError",
    "SoftTimeLimitExceeded",
    "StemApp",
    "StemError",
    "StopReport",
    "SyncTask",
    "Task",
    "TaskCall",
    "TaskCancelledError",
    "TaskContext",
    "TaskEnqueueOptions",
    "TaskEnqueuer",
    "TaskError",
    "TaskExpired",
    "TaskFailedError",
    "TaskHandle",
    "TaskNotRegistered",
    "TaskOptions",
    "TaskOptionsDict",
    "TaskResult",
    "TaskRetryPolicy",
    "TaskRetryRequest",
    "TaskRevoked",
    "TaskState",
    "TaskStatus",
    "Unset",
    "WorkerInfo",
    "WorkerLifecycle",
    "WorkerLost",
    "WorkflowsNotAttached",
    "as_completed",
    "task",
)
