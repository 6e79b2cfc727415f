"""TaskError: any exception becomes a bounded record, and crosses the wire."""

from __future__ import annotations

import pytest

from stem_actor.model.error import MESSAGE_BYTES, STACK_BYTES, TaskError, class_name


def raised(exc: BaseException) -> TaskError:
    """Return the record of *exc* with a traceback of its own."""
    try:
        raise exc
    except BaseException as caught:
        return TaskError.from_exception(caught, meta={"k": 1})


def test_an_exception_keeps_its_type_text_stack_and_bases() -> None:
    error = raised(ConnectionResetError("boom"))

    assert error.type == "ConnectionResetError"
    assert error.message == "boom"
    assert "in raised" in (error.stack or "")
    assert error.meta == {"k": 1}
    assert error.bases == (
        "builtins.ConnectionResetError",
        "builtins.ConnectionError",
        "builtins.OSError",
        "builtins.Exception",
        "builtins.BaseException",
    )


def test_a_record_survives_the_wire() -> None:
    error = raised(KeyError("x"))

    assert TaskError.from_wire(error.to_wire()) == error


def test_missing_keys_get_their_defaults() -> None:
    assert TaskError.from_wire({}) == TaskError(type="Unknown", message="")


@pytest.mark.parametrize(
    "wire",
    [
        {"type": 1},
        {"message": None},
        {"stack": b""},
        {"retryable": "no"},
        {"meta": []},
        {"bases": "x"},
    ],
)
def test_a_value_of_the_wrong_type_is_named(wire: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=f"'{next(iter(wire))}' holds a"):
        TaskError.from_wire(wire)


@pytest.mark.parametrize("letter", ["a", "ä", "😀"])
def test_long_texts_are_cut_in_the_middle_to_valid_text(letter: str) -> None:
    text = "START" + letter * 100_000 + "END"

    error = TaskError(message=text, stack=text)

    assert len(error.message.encode()) <= MESSAGE_BYTES
    assert STACK_BYTES - 16 <= len((error.stack or "").encode()) <= STACK_BYTES
    assert error.message.startswith("START")
    assert error.message.endswith("END")
    assert "... cut ..." in error.message


def test_the_bound_counts_bytes_and_not_characters() -> None:
    assert len(TaskError(message="😀" * 1500).message.encode()) <= MESSAGE_BYTES


def test_an_undecodable_file_name_becomes_text_that_can_be_packed() -> None:
    error = raised(FileNotFoundError("caf\udce9.py"))

    assert error.message == "caf\\udce9.py"
    error.message.encode()
    (error.stack or "").encode()


def test_an_exception_that_cannot_be_printed_is_still_recorded() -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no")

    error = raised(Mute())

    assert error.type == "Mute"
    assert error.message == "<str() of the Mute raised RuntimeError>"


def test_the_script_has_one_name_in_every_process() -> None:
    cls = type("Gone", (Exception,), {"__module__": "__mp_main__"})

    assert class_name(cls) == "__main__.Gone"
