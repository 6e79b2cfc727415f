"""What is refused where it is written, and the words that say what to change."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest

from stem_actor import PayloadTooLarge, SettingsError, StemApp, TaskEnqueueOptions
from stem_actor.errors import RingError
from stem_actor.ring.directory import RingDirectory, parse_ring_url
from stem_actor.tasks.outcome import PROGRESS_MAX, pack_progress, unpack_progress
from tests.unit.task_surface import add, fresh, open_shop


@pytest.mark.parametrize(
    ("name", "value"),
    [("visibility_timeout", 0), ("visibility_timeout", 30)],
)
def test_an_option_that_would_do_nothing_is_refused_by_name(
    name: str, value: object
) -> None:
    app = StemApp()

    with pytest.raises(SettingsError, match=f"{name} is not supported"):
        app.task(**{name: value})(add)  # type: ignore[call-overload]


def test_a_group_without_a_limit_is_refused() -> None:
    with pytest.raises(SettingsError, match="says nothing without a group_rate_limit"):
        StemApp().task(group_rate_key="k")(add)


def test_publish_retry_is_refused_and_no_visibility_timeout_is_fine() -> None:
    task = fresh(visibility_timeout=None)
    open_shop(task)

    task.with_options(publish_retry=False)
    with pytest.raises(SettingsError, match="publish_retry is not supported"):
        task.with_options(publish_retry=True).enqueue(1)


def test_a_progress_report_is_whole_or_refused_by_its_size() -> None:
    room = PROGRESS_MAX - len(pack_progress(50.0, b"")) - 1

    assert unpack_progress(pack_progress(50.0, b"x" * room)).data == b"x" * room
    with pytest.raises(PayloadTooLarge, match=r"progress takes 4,\d+ bytes, 4,096"):
        pack_progress(50.0, b"x" * (room + 1))


@pytest.mark.parametrize("name", [".", ".."])
def test_a_ring_name_cannot_lead_out_of_the_runtime_directory(
    tmp_path: Path, name: str
) -> None:
    with pytest.raises(SettingsError, match="is not a ring name"):
        parse_ring_url(f"ring://{name}", tmp_path)


def test_nothing_is_put_into_a_directory_that_others_can_read(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)

    with pytest.raises(RingError, match="is open to other users"):
        RingDirectory(tmp_path, is_anonymous=False).create()

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("broker", ["ring://", "ring://name"])
def test_a_path_that_no_socket_can_have_is_a_wrong_setting(broker: str) -> None:
    with pytest.raises(SettingsError, match="choose a shorter runtime_dir"):
        StemApp(broker=broker, runtime_dir="/tmp/" + 107 * "x")


def test_the_longest_path_of_a_socket_is_taken() -> None:
    longest = "/" + (107 - len("//ctl.sock")) * "x"

    assert len(os.fsencode(parse_ring_url(f"ring://{longest}").socket)) == 107


def test_an_unknown_setting_names_the_nearest_and_all_there_are() -> None:
    wrong: dict[str, Any] = {"worker": 2, "backend": "redis://"}

    with pytest.raises(SettingsError) as caught:
        StemApp(**wrong)

    assert caught.value.problems == (
        "there is no setting 'worker'; did you mean 'workers'?",
        "there is no setting 'backend'",
    )
    assert "arena_bytes" in str(caught.value.hint)


def test_the_arena_is_at_most_what_the_core_can_address() -> None:
    assert StemApp(arena_bytes=16 << 30).settings.arena_bytes == 16 << 30
    with pytest.raises(SettingsError, match="arena_bytes must be in"):
        StemApp(arena_bytes=(16 << 30) + (64 << 10))


def test_enqueue_options_as_a_map_are_refused_with_their_type() -> None:
    app = StemApp([fresh(name="add")])
    wrong: Any = {"priority": 3}

    with pytest.raises(TypeError, match=r"must be TaskEnqueueOptions\(\.\.\.\), not"):
        app.enqueue("add", {"a": 1}, enqueue_options=wrong)


def test_a_task_is_enqueued_by_text() -> None:
    app = StemApp([fresh(name="add")])
    wrong: Any = 5

    with pytest.raises(TypeError, match="named by a str, not by 5"):
        app.enqueue(wrong, enqueue_options=TaskEnqueueOptions())


def test_a_handler_whose_parameters_cannot_be_read_is_refused() -> None:
    with pytest.raises(SettingsError, match="call it from a function of your own"):
        StemApp().register(time.sleep)
