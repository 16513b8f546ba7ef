"""A list goes in, the master comes out: the whole program as a process, against a separately computed expectation."""

from __future__ import annotations

from orchestrator import sandbox
from orchestrator.ledger import Ledger, ledger_path
from orchestrator.tasks import State
from tests.e2e.harness import Check, Job, StartVendor, WriteList, configure


def test_a_hundred_thousand_messy_lines_with_all_faults(
    job: Job, write_list: WriteList, check_master: Check, charged_once: Check
) -> None:
    """The master equals the expectation, every held task is named, and each chunk was charged once a platform."""
    expected = write_list(100_000)
    configure(job, faults='["all"]')

    end = job.call("run")

    assert end.returncode in (0, 1, 3), end.stderr[-3000:]
    summary = job.summary()
    counts = {"read": expected.read, "accepted": len(expected.numbers)}
    counts |= {"duplicates": expected.duplicates, "rejected": expected.rejected}
    assert summary["numbers"] == counts
    for _ in range(3):
        with Ledger.open_to_read(ledger_path(job.directory)) as ledger:
            failed = [str(task.key) for task in ledger.tasks.select(State.FAILED)]
        if failed:  # each of their downloads was damaged, by chance: a further one is free
            job.call("resolve", "--refetch", *failed)
            job.call("run")
    charged = sandbox.read_tasks(job.directory / "sandbox")
    charged_once(charged)
    check_master(expected, charged)
    assert sandbox.read_breaches(job.directory / "sandbox") == []
    for held in job.held():
        assert held in job.call("status", "--held").stdout


def test_a_second_run_of_a_finished_job_sends_nothing(job: Job, write_list: WriteList) -> None:
    """It ends with 0, the master has the same bytes, and the vendor has seen no further request."""
    write_list(3_000)
    configure(job)
    assert job.call("run").returncode == 0
    requests = sandbox.read_requests(job.directory / "sandbox")
    master = (job.directory / "master.csv").read_bytes()

    assert job.call("run").returncode == 0

    assert sandbox.read_requests(job.directory / "sandbox") == requests
    assert (job.directory / "master.csv").read_bytes() == master
    assert job.summary()["serial"] == 2


def test_a_wrong_base_url_costs_a_few_tasks_not_all(job: Job, write_list: WriteList, start_vendor: StartVendor) -> None:
    """A path that the vendor does not have is refused three times, then the platform stops; nothing is charged."""
    write_list(50_000)
    vendor = start_vendor()
    configure(job, vendor=f'base_url = "{vendor.base_url}/typo"\nrequests_per_second = inf')

    end = job.call("run")

    assert end.returncode in (1, 3)
    assert vendor.charged() == []
    platforms = job.summary()["platforms"]
    assert all(p["failed"] + p["held"] <= 3 < p["tasks"] for p in platforms.values())
