"""What producers and workers of these tests share: DTOs and definitions, no handler."""

from __future__ import annotations

import dataclasses
from typing import Any, TypedDict

import attrs
import msgspec
import pydantic

from stem_actor import PayloadVersionRegistry, TaskDefinition, TaskMetadata, TaskOptions


@dataclasses.dataclass
class Invoice:
    id: str
    cents: int = 0


@dataclasses.dataclass
class Receipt:
    number: str
    total: int


@attrs.define
class AttrsNote:
    text: str
    tags: list[str]


class StructNote(msgspec.Struct):
    text: str
    tags: list[str]


class TypedNote(TypedDict):
    text: str
    tags: list[str]


class ModelNote(pydantic.BaseModel):
    text: str
    tags: list[str]


@dataclasses.dataclass
class DataNote:
    text: str
    tags: list[str]


PUBLISH = TaskDefinition.json(
    "invoice.publish",
    args_type=Invoice,
    result_type=Receipt,
    metadata=TaskMetadata(description="Publishes invoices downstream"),
    default_options=TaskOptions(queue="billing"),
)

TOTAL = TaskDefinition.versioned_json(
    "invoice.total",
    version=2,
    args_type=Invoice,
    decode_result_versioned=PayloadVersionRegistry(
        {1: lambda it: it["euros"] * 100, 2: lambda it: it["cents"]}
    ),
)


def read_receipt(payload: dict[str, Any], version: int) -> tuple[str, int]:
    return payload["number"], version


PING: Any = TaskDefinition.no_args_json("ping", result_type=list)
LATER: TaskDefinition[Invoice, str] = TaskDefinition.json(
    "invoice.later", args_type=Invoice, default_options={"max_retries": 2}
)
