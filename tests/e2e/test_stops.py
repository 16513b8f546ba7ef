"""Stopped anywhere, started again: the same master, and nothing charged twice."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from contextlib import suppress

import pytest

from orchestrator.dispatch.caution import DOUBTS
from tests.e2e.harness import Check, Job, StartVendor, WriteList, configure

ROUNDS = 10


def kill_after(process: subprocess.Popen[str], lines: int) -> bool:
    """Kill the process group once it has logged so many lines; return whether it was still running."""
    assert process.stderr is not None
    for _ in range(lines):
        if not process.stderr.readline():
            break
    killed = process.poll() is None
    with suppress(ProcessLookupError):  # it ended by itself
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    return killed


@pytest.mark.parametrize("seed", [1])
def test_killed_at_ten_random_moments(
    job: Job, write_list: WriteList, start_vendor: StartVendor, check_master: Check, charged_once: Check, seed: int
) -> None:
    """After ten kills a last run ends with 0 or 3, few tasks held; with these sent again, the master is whole."""
    expected = write_list(40_000)
    vendor = start_vendor("--pace", "20000")
    configure(job, vendor=f'base_url = "{vendor.base_url}"\nrequests_per_second = 50.0')
    rng = random.Random(seed)  # noqa: S311 - test data

    kills = sum(kill_after(job.start("run"), rng.randrange(1, 12)) for _ in range(ROUNDS))
    end = job.call("run")

    assert kills >= 3
    assert end.returncode in (0, 3), end.stderr[-3000:]
    charged_once(vendor.charged())
    assert len(job.held()) <= DOUBTS * len(job.platforms)

    for _ in range(ROUNDS):  # a platform with three doubts has sent nothing more until they were decided on
        if end.returncode == 0:
            break
        assert job.call("resolve", "--all", "--resubmit").returncode == 0
        end = job.call("run")
    assert end.returncode == 0
    assert job.held() == []
    check_master(expected, vendor.charged())


def test_sigterm_ends_with_75_within_five_seconds(
    job: Job, write_list: WriteList, start_vendor: StartVendor, charged_once: Check
) -> None:
    """It stops in good order: nothing is held, and the next run finishes the job."""
    write_list(20_000)
    vendor = start_vendor("--pace", "2000")
    configure(job, vendor=f'base_url = "{vendor.base_url}"\nrequests_per_second = inf')
    process = job.start("run")
    assert process.stderr is not None
    assert any("accepted" in line for line in process.stderr)

    process.send_signal(signal.SIGTERM)
    began = time.monotonic()
    process.communicate()

    assert process.returncode == 75
    assert time.monotonic() - began < 5.0
    assert job.summary()["exit_code"] == 75
    assert job.held() == []
    assert job.call("run").returncode == 0
    charged_once(vendor.charged())
