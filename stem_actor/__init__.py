"""Background tasks that cannot be lost, cannot run away, and need no server."""

from stem_actor.app import StemApp
from stem_actor.canvas.building import chain, chord, group
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
from stem_actor.model.events import (
    Event,
    EventsDropped,
    TaskCancelled,
    TaskEvent,
    TaskFailed,
    TaskHeartbeat,
    TaskLapsed,
    TaskProgress,
    TaskReceived,
    TaskReplayed,
    TaskRetried,
    TaskRunEnded,
    TaskStarted,
    TaskSucceeded,
    TaskTimeout,
    WorkerDied,
    WorkerEvent,
    WorkerEventType,
    WorkerReady,
    WorkerStopped,
    WorkerStopping,
)
from stem_actor.model.lifecycle import WorkerLifecycle
from stem_actor.model.metadata import PayloadEncoder, TaskMetadata
from stem_actor.model.options import InvalidOptions, TaskOptions
from stem_actor.model.payload_map import PayloadMap
from stem_actor.model.progress import ProgressSignal
from stem_actor.model.result import TaskResult
from stem_actor.model.retry_policy import TaskRetryPolicy
from stem_actor.model.state import TaskState
from stem_actor.model.status import TaskStatus
from stem_actor.model.stop_report import StopReport
from stem_actor.model.unset import UNSET, Unset
from stem_actor.observe.stream import AsyncEventStream, EventStream
from stem_actor.payload.aes_gcm import AesGcmEncoder
from stem_actor.payload.base64_encoder import Base64PayloadEncoder
from stem_actor.payload.codec import PayloadCodec
from stem_actor.payload.compression import CompressionEncoder
from stem_actor.payload.encoder import JsonPayloadEncoder, TaskPayloadEncoder
from stem_actor.payload.encoder_registry import TaskPayloadEncoderRegistry
from stem_actor.payload.pipe import pipe_encoders
from stem_actor.payload.version_registry import PayloadVersionRegistry
from stem_actor.policy.strategy import ExponentialJitterRetryStrategy, RetryStrategy
from stem_actor.roles.client import StemClient
from stem_actor.roles.stem import Stem
from stem_actor.roles.worker import Worker
from stem_actor.roles.worker_config import WorkerConfig
from stem_actor.tasks.call import TaskCall, TaskEnqueuer
from stem_actor.tasks.context import TaskContext
from stem_actor.tasks.decorator import task
from stem_actor.tasks.finder import TaskResultCaller
from stem_actor.tasks.handle import TaskHandle, as_completed
from stem_actor.tasks.handler import TaskHandler
from stem_actor.tasks.no_args_definition import NoArgsTaskDefinition
from stem_actor.tasks.signature import Immutable, Partial, Signature
from stem_actor.tasks.task import AsyncTask, BoundTask, SyncTask, Task
from stem_actor.tasks.task_definition import TaskDefinition

__all__ = (
    "UNSET",
    "AesGcmEncoder",
    "AppNotStarted",
    "AsyncEventStream",
    "AsyncTask",
    "BackendError",
    "Base64PayloadEncoder",
    "BoundTask",
    "BrokerError",
    "BrokerUnavailable",
    "CanvasError",
    "ChainFailed",
    "ChordFailed",
    "CompressionEncoder",
    "DeadLetter",
    "DeadLetters",
    "DuplicateTask",
    "EncoderNotRegistered",
    "EnqueueOptionsDict",
    "Event",
    "EventStream",
    "EventsDropped",
    "ExponentialJitterRetryStrategy",
    "HandlerNotImportable",
    "HardTimeLimitExceeded",
    "Immutable",
    "InvalidOptions",
    "JsonPayloadEncoder",
    "LeaseLost",
    "NoArgsTaskDefinition",
    "Partial",
    "PayloadCodec",
    "PayloadEncoder",
    "PayloadError",
    "PayloadMap",
    "PayloadTooLarge",
    "PayloadVersionError",
    "PayloadVersionRegistry",
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
    "Signature",
    "SoftTimeLimitExceeded",
    "Stem",
    "StemApp",
    "StemClient",
    "StemError",
    "StopReport",
    "SyncTask",
    "Task",
    "TaskCall",
    "TaskCancelled",
    "TaskCancelledError",
    "TaskContext",
    "TaskDefinition",
    "TaskEnqueueOptions",
    "TaskEnqueuer",
    "TaskError",
    "TaskEvent",
    "TaskExpired",
    "TaskFailed",
    "TaskFailedError",
    "TaskHandle",
    "TaskHandler",
    "TaskHeartbeat",
    "TaskLapsed",
    "TaskMetadata",
    "TaskNotRegistered",
    "TaskOptions",
    "TaskOptionsDict",
    "TaskPayloadEncoder",
    "TaskPayloadEncoderRegistry",
    "TaskProgress",
    "TaskReceived",
    "TaskReplayed",
    "TaskResult",
    "TaskResultCaller",
    "TaskRetried",
    "TaskRetryPolicy",
    "TaskRetryRequest",
    "TaskRevoked",
    "TaskRunEnded",
    "TaskStarted",
    "TaskState",
    "TaskStatus",
    "TaskSucceeded",
    "TaskTimeout",
    "Unset",
    "Worker",
    "WorkerConfig",
    "WorkerDied",
    "WorkerEvent",
    "WorkerEventType",
    "WorkerInfo",
    "WorkerLifecycle",
    "WorkerLost",
    "WorkerReady",
    "WorkerStopped",
    "WorkerStopping",
    "WorkflowsNotAttached",
    "as_completed",
    "chain",
    "chord",
    "group",
    "pipe_encoders",
    "task",
)
