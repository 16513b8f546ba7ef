"""One power loss: the machine's disk as a seed leaves it, the vendor as it was, and the program started again."""

from __future__ import annotations

import hashlib
import sqlite3
from unittest.mock import patch

from orchestrator.errors import ExitCode, StorageError
from orchestrator.job.status import job_status
from orchestrator.job.verify import verify_job
from orchestrator.ledger import ledger_path
from orchestrator.sandbox import read_tasks
from orchestrator.tasks import State
from tests.ledgers import sqlite_of
from tests.powerloss.fate import Drawn
from tests.powerloss.machine import Machine, digest_of, live
from tests.powerloss.operations import Lies, honest
from tests.powerloss.recording import JOB, Outage, Recording, opened_copy
from tests.simulation.checks import BrokenPromiseError, key_of, promise
from tests.simulation.loop import DeadlockError
from tests.simulation.scenario import stream
from tests.simulation.whole import OnTheLoop

OUTAGES_S = (1.0, 60.0, 86_400.0)


def drawn_outage(recording: Recording, nth: int, lies: Lies = honest) -> Outage:
    """Draw the `nth` power loss of a recording; syncs of which `lies` says so did nothing."""
    chance = stream(recording.place.seed, f"outage {nth}")
    cut, fate = chance.choice(recording.cuts()), Drawn(chance)
    left = recording.disk.after(cut, fate, lies)
    job_tree = {name: content for name, content in left.items() if name == JOB or name.startswith(f"{JOB}/")}
    vendor = recording.vendor.whole(cut)
    known = repr((sorted(job_tree.items()), sorted(vendor.items()), recording.acknowledged(cut)))
    fingerprint = hashlib.sha256(known.encode()).hexdigest()
    at_s = recording.time_s(cut) + chance.choice(OUTAGES_S)
    return Outage(nth, cut, fate.kind, job_tree, vendor, at_s, fingerprint, lies is not honest)


def survive(recording: Recording, outage: Outage) -> None:
    """Start the program on what is left; raises `BrokenPromiseError`."""
    place = recording.place
    try:
        outage.lay_out(place)
        _check_ledger(recording, outage)
        live(
            lambda loop: Machine(place, loop, lied=outage.lied),
            lambda machine: _go_on(machine, thorough=outage.nth % 4 == 0),
            outage.ends_s,
        )
    except Exception as error:
        reason = str(error) if isinstance(error, (BrokenPromiseError, DeadlockError)) else repr(error)
        raise BrokenPromiseError(
            f"outage {outage.nth} of recording {place.seed}, after call {outage.cut}, {outage.kind} kept of what was "
            f"not synced: {reason}"
        ) from error
    finally:
        place.clear()


def _check_ledger(recording: Recording, outage: Outage) -> None:
    """See that the ledger can be opened, says what was acknowledged or more, and knows every charged task."""
    place = recording.place
    allowed, acknowledged = recording.allowed(outage.cut), recording.acknowledged(outage.cut)
    charged = [key_of(record) for record in read_tasks(place.vendor)]
    if not ledger_path(place.disk / JOB).exists():
        promise(not acknowledged, f"there is no ledger, after {acknowledged} acknowledged changes")
        promise(not charged, "there is no ledger, and the vendor has charged")
        return
    try:
        with opened_copy(place) as ledger:
            says = digest_of(sqlite_of(ledger)._sql)
            unsent = {task.key for task in ledger.tasks.select(State.PLANNED)}
    except (StorageError, sqlite3.Error) as error:
        raise BrokenPromiseError(f"the ledger can't be read: {error}") from error
    promise(says in allowed or not acknowledged, f"the ledger lacks some of {acknowledged} acknowledged changes")
    lost = [str(key) for key in charged if key in unsent]
    promise(not lost, f"{lost} were charged, and the ledger says that they were never sent")


async def _go_on(machine: Machine, *, thorough: bool) -> None:
    if thorough and ledger_path(machine.directory).exists():
        job_status(machine.settings(healed=True))  # whoever only reads comes first
    await machine.see_it_through()
    if thorough:
        with patch("orchestrator.job.verify.Workers", OnTheLoop):
            report = await verify_job(machine.settings(healed=True), machine.world())
        promise(report.exit_code is ExitCode.DONE, f"verify finds {report.findings}")
