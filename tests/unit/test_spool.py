"""The spool's quota: exact across writers, crashes and refusals."""

from __future__ import annotations

import threading
from contextlib import suppress
from pathlib import Path

import pytest

from stem_actor.errors import PayloadError, QueueFull
from stem_actor.ring.record import TaskHead
from stem_actor.ring.spool import Spool, is_claim

HEAD = TaskHead(name="add", queue="mail").pack()
BODY = b"x" * 100_000


def test_arguments_beyond_the_quota_are_refused_and_leave_nothing(
    tmp_path: Path,
) -> None:
    spool = Spool(tmp_path, 1 << 20, quota=450_000)
    claims = [spool.stow(HEAD, BODY)[1] for _ in range(4)]

    with pytest.raises(QueueFull, match=r"'mail' is full: 450,000 bytes of large"):
        spool.stow(HEAD, BODY)

    assert len(list(tmp_path.iterdir())) == 4
    spool.discard(claims[0])
    assert is_claim(spool.stow(HEAD, BODY)[1])


def test_every_writer_counts_the_files_of_all_and_results_are_not_counted(
    tmp_path: Path,
) -> None:
    one, other = (Spool(tmp_path, 1 << 20, quota=250_000) for _ in range(2))
    for number in range(2):
        one.put(f"{number:032x}.1.out", BODY, path="the result")

    one.stow(HEAD, BODY)
    other.stow(HEAD, BODY)

    for spool in (one, other):
        with pytest.raises(QueueFull):
            spool.stow(HEAD, BODY)


def test_writers_at_once_never_pass_the_quota(tmp_path: Path) -> None:
    spools = [Spool(tmp_path, 1 << 20, quota=1_050_000) for _ in range(4)]
    gate = threading.Barrier(4)
    most: list[int] = []

    def write(spool: Spool) -> None:
        gate.wait(10)
        for _ in range(20):
            try:
                spool.stow(HEAD, BODY)
            except QueueFull:
                continue
            most.append(sum(path.suffix == ".args" for path in tmp_path.iterdir()))

    threads = [threading.Thread(target=write, args=(each,)) for each in spools]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert max(most) == 10
    assert [path for path in tmp_path.iterdir() if path.suffix == ".tmp"] == []


def test_what_a_writer_may_keep_without_a_look_is_a_small_part(tmp_path: Path) -> None:
    quota = 256 * 150_000
    idle, busy = (Spool(tmp_path, 1 << 20, quota=quota) for _ in range(2))
    idle.stow(HEAD, BODY)  # has looked, and may write 150,000 bytes more
    with suppress(QueueFull):
        while True:
            busy.stow(HEAD, BODY)

    idle.stow(HEAD, BODY)
    with pytest.raises(QueueFull):
        idle.stow(HEAD, BODY)

    kept = len(list(tmp_path.iterdir())) * len(BODY)
    assert quota < kept <= quota + 2 * (quota // 256)


# --- results


def keep(spool: Spool, number: int, size: int = 100_000) -> None:
    spool.put(f"{number:032x}.1.out", b"x" * size, path="the result")


def test_results_beyond_the_quota_are_refused_by_every_writer_and_leave_nothing(
    tmp_path: Path,
) -> None:
    one, other = (Spool(tmp_path, 1 << 20, quota=450_000) for _ in range(2))
    for number in range(4):
        keep(one, number)

    for spool in (one, other):
        with pytest.raises(PayloadError, match="there take 450,000 bytes") as caught:
            keep(spool, 4)
        assert "result_ttl" in str(caught.value)

    assert len(list(tmp_path.iterdir())) == 4
    (tmp_path / f"{0:032x}.1.out").unlink()
    keep(other, 5)


def test_results_and_arguments_have_an_account_each(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 1 << 20, quota=250_000)
    for number in range(2):
        keep(spool, number)
        spool.stow(HEAD, BODY)

    with pytest.raises(PayloadError):
        keep(spool, 3)
    with pytest.raises(QueueFull):
        spool.stow(HEAD, BODY)


def test_results_at_once_never_pass_the_quota(tmp_path: Path) -> None:
    spools = [Spool(tmp_path, 1 << 20, quota=1_050_000) for _ in range(4)]
    gate = threading.Barrier(4)
    most: list[int] = []

    def write(at: int) -> None:
        gate.wait(10)
        for number in range(20):
            try:
                keep(spools[at], at << 8 | number)
            except PayloadError:
                continue
            most.append(sum(path.suffix == ".out" for path in tmp_path.iterdir()))

    threads = [threading.Thread(target=write, args=(at,)) for at in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert max(most) == 10
    assert [path for path in tmp_path.iterdir() if path.suffix == ".tmp"] == []
