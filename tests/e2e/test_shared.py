"""Two jobs with one key and one database, as a user starts them: one limit and one budget for both."""

from __future__ import annotations

import os
import shutil
import signal
from dataclasses import replace

import pytest

from orchestrator import sandbox
from orchestrator.errors import ExitCode
from tests.e2e.harness import Job, StartVendor, Vendor, WriteList
from tests.ledgers import new_job
from tests.postgres import Server

RATE = 5
TASK_USD = 0.1
LATE = 0.85
"""What is left of a second between requests that left a second apart: this machine has other things to do as well."""

pytestmark = pytest.mark.timeout(600)


@pytest.fixture
def two(job: Job, postgres: Server, write_list: WriteList) -> tuple[Job, Job]:
    """Give two jobs of twelve tasks each, with directories and names of their own; `configure` names their vendor."""
    write_list(13_000)
    jobs = job, replace(job, folder=job.folder / "other", environ=job.environ.copy())
    jobs[1].folder.mkdir()
    shutil.copy(job.folder / "numbers.txt", jobs[1].folder / "numbers.txt")
    for each in jobs:
        database = new_job(postgres)
        each.environ |= {"LEDGER": database.url, "NAME": database.job}
    return jobs


def configure(job: Job, vendor: Vendor, max_cost: float, budget: str = "") -> None:
    job.configure(
        job=f'name = "{job.environ["NAME"]}"\ninputs = ["numbers.txt"]\ndirectory = "out"\nchunk_size = 1_000\n'
        'default_region = "CH"\ntrial_rows = 0',
        vendors__main=f'base_url = "{vendor.base_url}"\nrequests_per_second = {RATE}',
        platforms__instagram="requests_per_second = inf\ncanary = false\nprice_per_10000 = 1.0",
        polling="min_interval_s = 0.1\nmax_interval_s = 0.5",
        backoff="base_delay_s = 0.1\nmax_delay_s = 1.0",
        budget=f"max_cost = {max_cost}\n{budget}",
        output='formats = ["csv"]',
        ledger=f'url = "{job.environ["LEDGER"]}"\nlease_s = 2.0',
    )


def arrivals(vendor: Vendor) -> list[float]:
    """Tell when requests came to the API, of which there are so many a second at most."""
    requests = sandbox.read_requests(vendor.directory)
    return sorted(request["time"] for request in requests if request["kind"] in ("submit", "status", "balance"))


def check_pace(vendor: Vendor) -> int:
    """Fail where more came within a second than the limit of one; return how many came."""
    came = arrivals(vendor)
    fastest = min(later - earlier for earlier, later in zip(came, came[RATE:], strict=False))
    assert fastest >= LATE, f"{RATE + 1} requests within {fastest:.3f} s"
    return len(came)


def test_one_limit_for_both(two: tuple[Job, Job], start_vendor: StartVendor) -> None:
    """No second has more requests than one job may send: while both run, one is frozen, or killed and begun again."""
    vendor = start_vendor("--pace", "4000")
    for job in two:
        configure(job, vendor, 100.0)
    first, other = (job.start("run") for job in two)
    assert first.stderr is not None
    assert other.stderr is not None
    while len(vendor.charged()) < 4:
        first.stderr.readline()
    os.killpg(first.pid, signal.SIGSTOP)
    for _ in range(4):
        other.stderr.readline()
    os.killpg(first.pid, signal.SIGCONT)
    for _ in range(3):
        first.stderr.readline()
    os.killpg(other.pid, signal.SIGKILL)
    other.communicate()
    again = two[1].start("run")
    said = [process.communicate(timeout=300)[1] for process in (first, again)]
    assert first.returncode == 0, said[0][-3000:]
    assert again.returncode in (0, ExitCode.HELD), said[1][-3000:]
    assert len({(record.file_name, record.sha256) for record in vendor.charged()}) == len(vendor.charged())
    assert check_pace(vendor) >= 40


def test_one_budget_for_both(two: tuple[Job, Job], start_vendor: StartVendor) -> None:
    """What both were charged never exceeds what each may cost, to the task; the message names the ways out."""
    vendor = start_vendor("--pace", "20000")
    for job in two:
        configure(job, vendor, 1.55)
    running = [job.start("run") for job in two]
    said = [process.communicate(timeout=300)[1] for process in running]
    charged = len(vendor.charged())
    assert charged <= 15
    codes = [process.returncode for process in running]
    assert ExitCode.OVER_BUDGET in codes, said
    short = codes.index(ExitCode.OVER_BUDGET)
    assert "by other jobs with the same key" in said[short]

    planned, standing = two[short].call("plan"), two[short].call("status")
    assert planned.returncode == ExitCode.OVER_BUDGET
    assert "of which other jobs with the same key have spent" in planned.stdout
    assert "by other jobs with the same key\n" in standing.stdout

    again = two[short].call("run")  # nothing has changed, so nothing more is spent
    assert again.returncode == ExitCode.OVER_BUDGET
    assert len(vendor.charged()) == charged
    check_pace(vendor)

    alone = two[short].call("run", "--set", "budget.shared=false")
    assert alone.returncode == 0, alone.stderr[-3000:]
