"""Whole runs that are killed or refused a system call, and go on: a spread of the campaign's points."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.syscalls.disk import NoDiskError, live_on, small_disk
from tests.syscalls.harness import Bench
from tests.syscalls.living import live
from tests.syscalls.points import KILL, Point, points_of, spread

LOG = """\
10 openat(AT_FDCWD</>, "/job/config.toml", O_RDONLY|O_CLOEXEC) = 3</job/config.toml>
10 fsync(3</job/out>)                = 0
11 fsync(3</job/out> <unfinished ...>
11 <... fsync resumed>)              = 0
11 fsync(3</job/out>)                = 0
10 fsync(3</job/out>)                = 0
12 fsync(3</job/out>)                = 0
10 socket(AF_INET, SOCK_STREAM|SOCK_CLOEXEC, IPPROTO_TCP) = 13<TCP:[1]>
"""


def test_points_are_read_from_a_log() -> None:
    """Each call of the first thread that gets to it is a point; the main thread's others are points of it alone."""
    points, unreachable = points_of(LOG.splitlines(), Path("/job"))
    assert [str(point) for point in points if point.fault in (KILL, "EMFILE")] == [
        "openat:config.toml:1:EMFILE",
        "fsync:out:1:KILL",
        "fsync:out:2:KILL",
        "fsync:out:2:KILL:alone",
        "socket::1:EMFILE",
    ]
    assert unreachable == 2
    assert [Point.parse(str(point)) for point in points] == points


@pytest.mark.parametrize(
    ("call", "fault", "share"),
    [
        ("fdatasync", KILL, 0.5),
        ("fsync", KILL, 0.7),
        ("rename", KILL, 0.6),
        ("pwrite64", KILL, 0.75),
        ("write", KILL, 0.3),
        ("fdatasync", "EIO", 0.6),
        ("pwrite64", "ENOSPC", 0.6),
        ("openat", "EMFILE", 0.5),
    ],
)
def test_a_run_that_is_hit_ends_well_and_goes_on(
    bench: Bench, points: list[Point], call: str, fault: str, share: float
) -> None:
    """It ends as documented; the same command goes on to the whole master; each chunk is paid for once."""
    assert live(bench, spread(points, call, fault, share)).met


@pytest.mark.parametrize("room_kib", [0, 100, 200])
def test_a_full_disk(bench: Bench, tmp_path: Path, room_kib: int) -> None:
    """A run on it ends with 74; with room again the same command goes on to the end."""
    try:
        with small_disk(tmp_path / "disk") as disk:
            assert live_on(bench, disk, room_kib) == 74
    except NoDiskError as error:
        pytest.skip(str(error))
