"""A small disk that can be filled to the brim: a tmpfs, mounted by root, or by anybody in a name space of his own."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from orchestrator.errors import ExitCode
from tests.syscalls.harness import Bench, check_end, check_left, demand, finish

SIZE = "1m"
KIB = 1024


class NoDiskError(Exception):
    """This machine allows neither."""


@dataclass(frozen=True, slots=True)
class Disk:
    """A disk at `path` for commands that begin with `prefix`; we see it at `seen`."""

    path: Path
    seen: Path
    prefix: tuple[str, ...] = ()

    def fill(self, room_kib: int) -> None:
        """Leave only so much room."""
        state = os.statvfs(self.seen)
        ballast = state.f_bavail * state.f_frsize - room_kib * KIB
        (self.seen / "ballast").write_bytes(bytes(max(ballast, 0)))

    def make_room(self) -> None:
        (self.seen / "ballast").unlink()


@contextmanager
def small_disk(path: Path) -> Iterator[Disk]:
    """Give a disk of 1 MiB at `path`, which is made; raises `NoDiskError`."""
    path.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE},mode=0700", "tmpfs", str(path)]
    if os.geteuid() == 0 and subprocess.run(mount, check=False, capture_output=True).returncode == 0:  # noqa: S603
        try:
            yield Disk(path, path)
        finally:
            subprocess.run(["umount", "--lazy", str(path)], check=True)  # noqa: S603, S607 - the one mounted above
        return
    with _in_a_name_space(mount, path) as disk:
        yield disk


@contextmanager
def _in_a_name_space(mount: list[str], path: Path) -> Iterator[Disk]:
    unshare = shutil.which("unshare")
    if unshare is None:
        raise NoDiskError("mounting a disk needs root or unshare")
    holder = subprocess.Popen(  # noqa: S603 - what is started is written here
        [unshare, "--map-root-user", "--mount", "sh", "-c", '"$@" && echo ready && cat', "sh", *mount],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert holder.stdout is not None
        if holder.stdout.readline() != "ready\n":
            raise NoDiskError("this machine lets nobody but root mount a disk, not even in a name space of his own")
        enter = ("nsenter", "--target", str(holder.pid), "--user", "--mount", "--preserve-credentials", "--")
        yield Disk(path, Path(f"/proc/{holder.pid}/root{path}"), enter)
    finally:
        holder.communicate()


def live_on(bench: Bench, disk: Disk, room_kib: int) -> int:
    """Run a job into a full disk, make room, and run it to its end; return how the first run ended."""
    files = bench.files()
    job = bench.job(disk.path / "out", disk.prefix, disk.seen / "out")
    try:
        disk.fill(room_kib)
        end = job.run()
        check_end(end)
        demand(end.returncode in (ExitCode.DONE, ExitCode.STORAGE), f"a full disk ended a run with {end.returncode}")
        disk.make_room()
        finish(job)
        check_left(job, files)
    finally:
        for left in disk.seen.iterdir():
            shutil.rmtree(left) if left.is_dir() else left.unlink()
    return end.returncode
