"""A coordinator that is lost with its disk, or seems to be: with the ledger in a database, another one goes on."""

from __future__ import annotations

import os
import random
import shutil
import signal
from contextlib import suppress
from dataclasses import replace

import pytest

from orchestrator.errors import ExitCode
from tests.e2e.harness import Check, Job, StartVendor, WriteList
from tests.ledgers import new_job
from tests.postgres import Server

LEASE_S = 2.0

pytestmark = pytest.mark.timeout(600)  # some twenty processes, one after the other


@pytest.fixture
def replaceable(job: Job, postgres: Server) -> Job:
    """Give a job whose ledger is in a database; `configure` is to be called with its vendor."""
    database = new_job(postgres)
    job.environ |= {"LEDGER": database.url, "NAME": database.job}
    return job


def configure(job: Job, base_url: str) -> None:
    job.configure(
        job=f'name = "{job.environ["NAME"]}"\ninputs = ["numbers.txt"]\ndirectory = "out"\nchunk_size = 1_000\n'
        'default_region = "CH"',
        vendors__main=f'base_url = "{base_url}"\nrequests_per_second = inf',
        platforms__instagram="requests_per_second = inf\nmax_in_flight = 4",
        platforms__amazon="requests_per_second = inf\nmax_in_flight = 4",
        polling="min_interval_s = 0.2\nmax_interval_s = 1.0",
        backoff="base_delay_s = 0.1\nmax_delay_s = 1.0",
        budget="max_cost = 100.0",
        output='formats = ["csv"]',
        ledger=f'url = "{job.environ["LEDGER"]}"\nlease_s = {LEASE_S}',
    )


def end_of(job: Job, rounds: int = 6) -> int:
    """Run until nothing is left, and send again what is held: how a person would bring the job to its end."""
    code = -1
    for _ in range(rounds):
        end = job.call("run")
        code = end.returncode
        if code != ExitCode.HELD:
            assert code == 0, end.stderr[-3000:]
            break
        assert job.call("resolve", "--all", "--resubmit").returncode == 0
    return code


def test_killed_with_its_disk_again_and_again(
    replaceable: Job, write_list: WriteList, start_vendor: StartVendor, check_master: Check, charged_once: Check
) -> None:
    """The same command on an empty disk: the same master, nothing charged twice, nothing to be restored or named."""
    job = replaceable
    expected = write_list(8_000)
    vendor = start_vendor("--pace", "4000")
    configure(job, vendor.base_url)
    rng = random.Random(1)  # noqa: S311 - test data

    killed = 0
    for _ in range(3):
        process = job.start("run")
        assert process.stderr is not None
        for _ in range(rng.randrange(2, 12)):
            if not process.stderr.readline():
                break
        killed += process.poll() is None
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        shutil.rmtree(job.directory)
    assert killed >= 2
    end = job.call("run")
    assert end.returncode in (0, 3), end.stderr[-3000:]
    charged_once(vendor.charged())
    assert end_of(job) == 0
    check_master(expected, vendor.charged())
    assert "--after" not in job.summary()["next"]


def test_frozen_and_woken(
    replaceable: Job, write_list: WriteList, start_vendor: StartVendor, check_master: Check, charged_once: Check
) -> None:
    """Another machine waits for the lease and finishes the job; the first one, woken, sends nothing and says why."""
    first = replaceable
    expected = write_list(8_000)
    vendor = start_vendor("--pace", "4000")
    configure(first, vendor.base_url)
    other = replace(first, folder=first.folder / "other")
    other.folder.mkdir()
    for name in ("config.toml", "numbers.txt"):
        shutil.copy(first.folder / name, other.folder / name)
    process = first.start("run")
    assert process.stderr is not None
    for line in process.stderr:
        if "accepted" in line:
            break
    os.killpg(process.pid, signal.SIGSTOP)

    end = other.call("run")

    assert end.returncode in (0, 3), end.stderr[-3000:]
    charged = vendor.charged()
    charged_once(charged)
    os.killpg(process.pid, signal.SIGCONT)
    _, said = process.communicate(timeout=120)
    assert process.returncode == ExitCode.LOCKED, said[-3000:]
    assert "another coordinator has taken this job over" in said
    assert vendor.charged() == charged
    held = end.returncode == ExitCode.HELD
    assert end_of(other) == 0
    assert held or vendor.charged() == charged
    shutil.rmtree(first.directory)
    shutil.move(other.directory, first.directory)
    check_master(expected, vendor.charged())
