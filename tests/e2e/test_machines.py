"""A whole job on machines unlike the one that it was written on: each of them does it, as if nothing were."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

import orchestrator
from orchestrator.errors import ExitCode

CONFIG = """\
[job]
inputs = ["numbers.txt"]
directory = "out"
[vendors.main]
base_url = "sandbox"
requests_per_second = inf
[platforms.instagram]
requests_per_second = inf
[polling]
min_interval_s = 0.01
[workers]
count = 1
"""

MANY_CORES = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <sched.h>
#include <string.h>
#include <unistd.h>
long sysconf(int name) {
  static long (*real)(int);
  if (!real) real = dlsym(RTLD_NEXT, "sysconf");
  return name == _SC_NPROCESSORS_CONF || name == _SC_NPROCESSORS_ONLN ? 64 : real(name);
}
int get_nprocs(void) { return 64; }
int sched_getaffinity(pid_t pid, size_t size, cpu_set_t *set) {
  (void)pid; memset(set, 0, size);
  for (int i = 0; i < 64; i++) CPU_SET_S(i, size, set);
  return 0;
}
"""

OWN_MOUNTS = "unshare --mount bash -c"
SHELL = "bash -c"

Run = subprocess.CompletedProcess[str]

MACHINES = {
    "stacks of 512 MiB": (SHELL, 'ulimit -s 524288; exec "$0" "$@"'),
    "an own limit of data": (SHELL, 'ulimit -d 3000000; exec "$0" "$@"'),
    "a long TMPDIR": (SHELL, 't=$PWD/$(printf x%.0s {1..120}); mkdir "$t"; TMPDIR=$t exec "$0" "$@"'),
    "a TMPDIR that is not there": (SHELL, 'TMPDIR=/nowhere/at/all exec "$0" "$@"'),
    "no HOME": (SHELL, 'unset HOME; exec "$0" "$@"'),
    "a HOME that is not there": (SHELL, 'HOME=/nowhere/at/all exec "$0" "$@"'),
    "nothing in the environment": (SHELL, 'exec env -i "$0" "$@"'),
    "a directory that is gone": (SHELL, 'mkdir gone; cd gone; rmdir ../gone; exec "$0" "$@"'),
    "no standard streams": (SHELL, 'exec "$0" "$@" <&- >&- 2>&-'),
    "signals ignored": (SHELL, 'trap "" INT TERM HUP CHLD; exec "$0" "$@"'),
    "a read-only /dev/shm": (OWN_MOUNTS, 'mount -t tmpfs -o ro none /dev/shm && exec "$0" "$@"'),
    "no /dev/shm": (
        OWN_MOUNTS,
        'mount -t tmpfs none /dev && mknod -m 666 /dev/null c 1 3 && mknod -m 666 /dev/urandom c 1 9 && exec "$0" "$@"',
    ),
    "an overlay": (
        OWN_MOUNTS,
        'mkdir low up w out && mount -t overlay -o lowerdir=low,upperdir=up,workdir=w none out && exec "$0" "$@"',
    ),
    "a read-only /tmp": (OWN_MOUNTS, 'mount -t tmpfs -o ro none /tmp && unset TMPDIR && exec "$0" "$@"'),
    "a /tmp that runs nothing": (OWN_MOUNTS, 'mount -t tmpfs -o noexec none /tmp && unset TMPDIR && exec "$0" "$@"'),
    "no place for temporary files": (
        OWN_MOUNTS,
        'for place in /tmp /var/tmp; do mount -t tmpfs -o ro none $place; done; TMPDIR=/nowhere exec "$0" "$@"',
    ),
    "no /proc": (OWN_MOUNTS, 'mount -t tmpfs none /proc && exec "$0" "$@"'),
}


def start_in(folder: Path, under: tuple[str, str] = (SHELL, 'exec "$0" "$@"'), **environ: str) -> Run:
    (folder / "numbers.txt").write_text("+41798284651\n")
    (folder / "config.toml").write_text(CONFIG)
    shell, script = under
    command = [sys.executable, "-m", "orchestrator", "run", "-c", str(folder / "config.toml")]
    return subprocess.run(  # noqa: S603 - our own program
        [*shell.split(), script, *command],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(Path(orchestrator.__file__).parents[1])} | environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def check_done(run: Run, folder: Path) -> None:
    assert (run.returncode, run.stderr.count("Traceback")) == (ExitCode.DONE, 0), run.stderr
    out = folder / ("up" if (folder / "up").exists() else "out")
    assert (out / "master.csv").read_text(encoding="utf-8-sig").count("+41798284651") == 1


@pytest.mark.parametrize("machine", MACHINES)
def test_a_machine(machine: str, tmp_path: Path) -> None:
    """What the machine lacks, or has too much of, is nothing that the job needs, or counts from zero."""
    shell, _ = MACHINES[machine]
    if shell == OWN_MOUNTS and subprocess.run([*shell.split(), "true"], check=False, capture_output=True).returncode:  # noqa: S603
        pytest.skip("mounts of one's own need root and the right to mount")
    folder = Path(tempfile.mkdtemp(dir=tmp_path if shell == SHELL else Path.home()))  # what is mounted may hide /tmp
    try:
        check_done(start_in(folder, MACHINES[machine]), folder)
    finally:
        shutil.rmtree(folder)


@pytest.mark.parametrize("limit", ["-v 300000", "-d 100000", "-f 2000", "-n 20"])
def test_a_limit_that_is_too_low(limit: str, tmp_path: Path) -> None:
    """It is named as a shell calls it, before anything is done; with what is asked for, the job is done."""
    run = start_in(tmp_path, (SHELL, f'ulimit {limit}; exec "$0" "$@" --json'))
    said = json.loads(run.stdout)
    assert (run.returncode, said["exit_code"]) == (ExitCode.STORAGE, ExitCode.STORAGE)
    assert run.stderr.startswith("orchestrator: the limit ulimit -")
    assert not (tmp_path / "out").exists()
    asked = re.search(r"(ulimit -\w) \d+ .* set it to (\d+) or more", said["reason"])
    assert asked is not None
    check_done(start_in(tmp_path, (SHELL, f'{asked[1]} {asked[2]}; exec "$0" "$@"')), tmp_path)


def test_a_file_system_that_is_not_known(tmp_path: Path) -> None:
    """It is named as the kernel here says it, with the way out."""
    if subprocess.run([*OWN_MOUNTS.split(), "true"], check=False, capture_output=True).returncode:  # noqa: S603
        pytest.skip("mounts of one's own need root and the right to mount")
    run = start_in(tmp_path, (OWN_MOUNTS, 'mkdir out && mount -t hugetlbfs none out && exec "$0" "$@"'))
    assert run.returncode == ExitCode.USAGE
    assert "out: lies on a file system that is not known to be a local one (hugetlbfs)" in run.stderr


def test_many_cores(tmp_path: Path) -> None:
    """Libraries begin a thread a core when they are imported, each with a stack that counts as data."""
    if shutil.which("gcc") is None:
        pytest.skip("there is no compiler for the library that shows more cores than there are")
    library = tmp_path / "cores.so"
    (tmp_path / "cores.c").write_text(MANY_CORES)
    subprocess.run(  # noqa: S603 - our own source
        ["gcc", "-shared", "-fPIC", "-o", library, tmp_path / "cores.c", "-ldl"],  # noqa: S607 - where it is found
        check=True,
    )
    check_done(start_in(tmp_path, LD_PRELOAD=str(library)), tmp_path)
