"""`resolve --adopt-log`: what a CI log says of accepted submits, read back into a ledger that has lost it.

The ledger may be an older copy, or a new one, planned from the same list after the whole directory was lost. A line is
believed only if its check fits the chunk that the ledger has, and nothing is adopted twice. What was in doubt, or may
have been on its way as the log broke off, is held: nobody knows whether it was paid for.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from orchestrator.dispatch.caution import DOUBTS
from orchestrator.dispatch.receipts import Seal, read_log
from orchestrator.errors import UsageError
from orchestrator.intake.sources.find import STANDARD_INPUT
from orchestrator.job.access import opened
from orchestrator.job.pages import renew_page
from orchestrator.job.platform_names import with_former_names
from orchestrator.job.target import named_file
from orchestrator.jobdir.layout import LOG
from orchestrator.logger import log
from orchestrator.report.log import logging_to
from orchestrator.tasks import DECISIONS, HELD, Event, State, TaskKey

if TYPE_CHECKING:
    from pathlib import Path

    from orchestrator.dispatch.receipts import LogContent, Receipt
    from orchestrator.job.world import World
    from orchestrator.ledger import Ledger
    from orchestrator.records import Task
    from orchestrator.settings import Settings

_IN_DOUBT: Final = "in doubt, by the log of the run that sent it"
_UNFIT: Final = "its check does not fit: it is of another list or job, or not whole"
_ON_ITS_WAY: Final = "it may have been on its way as the log of its run broke off"


@dataclass(slots=True)
class AdoptedLog:
    """What came of a log: tasks that are `adopted`, by id, that the ledger `knows` already, and that are now `held`.

    `odd` says of each line, by its number, why nothing came of it.
    """

    adopted: dict[str, str] = field(default_factory=dict)
    known: int = 0
    held: list[str] = field(default_factory=list)
    odd: list[tuple[int, str]] = field(default_factory=list)


async def adopt_log(settings: Settings, path: Path, world: World) -> AdoptedLog:
    """Bring the ledger up to what the log in `path` says; `UsageError` when it says nothing of this job."""
    text = _text(path, world)
    at = world.clock()
    with (
        opened(settings, create=False) as ledger,
        logging_to(world.stderr, settings.job.directory / LOG, clock=world.clock, environ=world.environ),
    ):
        settings = with_former_names(ledger, settings)
        chunks = list(ledger.plan.chunks())
        hashes, seal = {chunk.chunk: chunk.sha256 for chunk in chunks}, Seal.of(chunks)

        def fits(receipt: Receipt) -> bool:
            sha256 = hashes.get(receipt.key.chunk)
            return sha256 is not None and seal.check(receipt.key, sha256, receipt.task_id) == receipt.check

        content = read_log(text, fits)
        if not content.receipts:
            if not content.odd:
                raise UsageError(
                    f"{path}: it says of no task that the vendor has accepted it; the lines that say so have accepted, "
                    "platform, chunk, check and task_id, and stand in what a run writes off a terminal, and in "
                    "run.jsonl"
                )
            lines = (
                f"line {content.odd[0]}" if len(content.odd) == 1 else f"lines {content.odd[0]} to {content.odd[-1]}"
            )
            raise UsageError(
                f"{path}: {lines}: what the vendor has accepted there is of no chunk that is planned here; plan the "
                "list with which the job was begun, with the same settings of [job], and give the log again"
            )
        outcome = AdoptedLog(odd=[(line, _UNFIT) for line in content.odd])
        ledger.change(lambda changed: _Adoption(changed, settings, outcome, at).take(content))
        log.info("log_adopted", adopted=len(outcome.adopted), known=outcome.known, held=len(outcome.held))
        await renew_page(settings, world)
    return outcome


def _text(path: Path, world: World) -> str:
    if str(path) == STANDARD_INPUT:
        data = b"" if world.stdin is None else world.stdin.read()
    else:
        with named_file(path) as file:
            data = file.read()
    is_wide = data.startswith((b"\xff\xfe", b"\xfe\xff"))  # as PowerShell redirects
    return data.decode("utf-16" if is_wide else "utf-8", errors="replace")


class _Adoption:
    """One transaction that takes in what a log says."""

    def __init__(self, ledger: Ledger, settings: Settings, outcome: AdoptedLog, at: float) -> None:
        self._ledger = ledger
        self._settings = settings
        self._outcome = outcome
        self._at = at
        self._now = {old: name for name, former in ledger.platforms.former_names().items() for old in former}
        self._now |= {name: name for name in ledger.platforms.fixed()}

    def take(self, content: LogContent) -> None:
        self._ledger.doubt_unanswered(at=self._at)
        latest = {self._called(receipt.key): receipt for receipt in content.receipts}
        for receipt in content.receipts:
            key = self._called(receipt.key)
            if latest[key].task_id != receipt.task_id:
                self._odd(receipt, f"a later line says that {key} has another task id, {latest[key].task_id}")
            elif latest[key] is receipt:
                self._adopt(key, receipt)
        for key in map(self._called, content.in_doubt):
            self._hold(key, _IN_DOUBT)
        # A run sends in the order of the chunks, and no more at a time than doubts may come of it; what is missing
        # before the last one that was accepted was put off, or stands in another run's log.
        last: dict[str, int] = {}
        for receipt in content.lately:
            key = self._called(receipt.key)
            last[key.platform] = max(last.get(key.platform, 0), key.chunk)
        for platform in self._settings.platforms if content.lately else ():
            planned = self._ledger.tasks.select(State.PLANNED, platform=platform)
            before = [task.key for task in planned if task.key.chunk < last.get(platform, 0)]
            behind = [task.key for task in planned if task.key.chunk > last.get(platform, 0)]
            # The first one is awaited alone.
            for key in (*before, *behind[: DOUBTS if platform in last else 1]):
                self._hold(key, _ON_ITS_WAY)
        self._outcome.odd.sort()

    def _called(self, key: TaskKey) -> TaskKey:
        """Return what a task is called now."""
        return TaskKey(self._now.get(key.platform, key.platform), key.chunk)

    def _adopt(self, key: TaskKey, receipt: Receipt) -> None:
        ledger, task_id = self._ledger, receipt.task_id
        task = ledger.tasks.get(key)
        if task is None:
            self._odd(receipt, f"{key}: the job has no such task; plan it with the platforms that it had")
        elif task.task_id == task_id:
            self._outcome.known += 1
        elif owner := ledger.tasks.owner_of(key, task_id, once=True):
            self._odd(receipt, f"{key}: the ledger knows the task id {task_id} as that of {owner}")
        elif task.state is State.PLANNED and key.platform not in self._settings.platforms:
            self._odd(
                receipt, f"{key}: [platforms.{key.platform}] is not in {self._settings.source}; put it back for this"
            )
        elif task.state is State.PLANNED:
            self._release(task)
            ledger.transitions.accept(key, task_id, total=0, at=self._at)
            self._outcome.adopted[str(key)] = task_id
        elif task.state is State.IN_DOUBT:
            ledger.transitions.adopt(key, task_id, at=self._at)
            self._outcome.adopted[str(key)] = task_id
        else:
            of_its = "" if task.task_id is None else f" under the task id {task.task_id}"
            state = "held" if task.state in HELD else task.state.value
            way = f"; resolve {key} --adopt {task_id} looks at this one" * (
                Event.ADOPT in DECISIONS.get(task.state, ())
            )
            self._odd(receipt, f"{key}: it is {state}{of_its}, so this one is not taken{way}")

    def _hold(self, key: TaskKey, reason: str) -> None:
        """Hold a task that is to be sent, for it may have been sent already."""
        task = self._ledger.tasks.get(key)
        if task is not None and task.state is State.PLANNED and key.platform in self._settings.platforms:
            self._release(task)
            self._ledger.transitions.doubt(key, reason, at=self._at)
            self._outcome.held.append(str(key))

    def _release(self, task: Task) -> None:
        """Note that a task was sent, and count what it may cost: over the budget or not, it has happened."""
        key = task.key
        cost_nano = self._settings.platforms[key.platform].cost_nano(task.rows)
        name = key.file_name(self._settings.job.name, task.sha256)
        self._ledger.transitions.release(key, cost_nano=cost_nano, max_cost_nano=None, at=self._at, sent_name=name)

    def _odd(self, receipt: Receipt, why: str) -> None:
        self._outcome.odd.append((receipt.line, why))
