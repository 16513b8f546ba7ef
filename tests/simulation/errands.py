"""What an operator does between two runs: a further generation, a longer list, other platforms, a look at it all."""

from __future__ import annotations

import hashlib
import shutil
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from orchestrator.errors import ExitCode
from orchestrator.job.resolve import Adopt, Refetch
from orchestrator.job.run import RunOptions
from orchestrator.records import Task, Token
from orchestrator.sandbox import TaskRecord, read_tasks
from orchestrator.tasks import State, TaskKey
from tests.simulation.checks import key_of, promise
from tests.simulation.commands import (
    job_status,
    merge_job,
    opened,
    plan_job,
    resolve_tasks,
    retry_job,
    run_job,
    verify_job,
)
from tests.simulation.expectation import Cells, cells_of, check_master
from tests.simulation.faults import Mischief
from tests.simulation.listing import counts_of, kept_of, numbers_in, write_list
from tests.simulation.runs import Runs
from tests.simulation.scenario import KNOWN, OTHER_NAMES, PlatformDraw, Scenario

AGAIN = frozenset({"failed", "unanswered"})
LOOKED = frozenset({ExitCode.DONE, ExitCode.SOME_FAILED, ExitCode.VENDOR_STOP, ExitCode.OVER_BUDGET})


def most_of(numbers: int, platform: PlatformDraw) -> int:
    """Return how many of so many numbers go into files that the platform takes."""
    return max((min(numbers, files * platform.most) for files in range(numbers // platform.least + 1)), default=0)


class Errands(Runs):
    """An operator's errands by name. What they change is noted for the checks."""

    scenario: Scenario
    mischief: Mischief
    resubmits: Counter[TaskKey]

    @property
    def healed(self) -> bool:
        """Whether the faults have stopped."""
        return self.mischief.healed

    def begin_list(self) -> None:
        """Take the list, the columns and the platforms of the beginning."""
        self.lines = self.scenario.lines
        self.accepted = self.scenario.numbers
        self.kept = kept_of(self.lines, self.scenario.keep)
        self.platforms: list[PlatformDraw] = list(self.scenario.platforms)
        self.by_hand: set[TaskKey] = set()
        self.asked_again: Counter[tuple[str, str]] = Counter()
        self.growths = list(self.scenario.growth)
        self.copied = Token(0)
        self.remembered: dict[int, list[str]] = {}
        self.altered = False
        self.woken: set[float] = set()
        self.altered_chunks: set[Path] = set()
        self.lost_results: set[TaskKey] = set()
        self._kinds: dict[str, str] = {}

    @property
    def names(self) -> list[str]:
        """The platforms of the configuration, in its order."""
        return [platform.name for platform in self.platforms]

    @property
    def _list(self) -> Path:
        return self.folder / f"list.{self.scenario.table}"

    def write_list(self) -> None:
        """Put the list where the configuration says."""
        write_list(self._list, self.scenario.table, self.lines)

    def owes_extension(self) -> bool:
        if not self.begun():
            return False
        (known,) = self.read(lambda ledger: ledger.plan.inputs(), ())
        return bool(known.sha256 != hashlib.sha256(self._list.read_bytes()).hexdigest())

    async def errand(self, name: str) -> None:
        """Do one errand, as far as it makes sense now."""
        errands: dict[str, Callable[[], Awaitable[None]]] = {
            "retry": self._retry,
            "extend": self._extend,
            "join": self._join,
            "leave": self._leave,
            "mend": self._mend,
            "older copy": self._older_copy,
            "plan": self._plan,
            "merge": self._merge,
            "verify": self._verify,
            "status": self._status,
            "lose": self._lose,
            "rename": self._rename,
        }
        self.note("errand", name=name)
        await errands[name]()

    # --- what changes the job ----------------------------------------------------------------------------------------

    async def _retry(self) -> None:
        settings = self.settings(healed=self.healed)
        if not self.begun() or self._unplanned():
            await self.refused(retry_job(settings, self.world()), ExitCode.USAGE, "a retry of nothing")
            return
        every = self.chance.random() < 0.5
        lacking = {name: [n for n, cell in cells.items() if cell in AGAIN] for name, cells in cells_of(self).items()}
        free = {} if every else self._known_to_the_vendor()
        least = {platform.name: platform.least for platform in self.platforms}
        before, done = self.chunks(), self._tasks(State.DONE)
        call = retry_job(settings, self.world(), every=every)
        deed = await self.do(call, self.drawn_end() if not self.healed else None)
        if deed.code is ExitCode.STORAGE and self.does_as_told(str(deed.error)):
            return
        to_fetch = {task.key for task in self._tasks(State.SUBMITTED)}
        for task in done:
            if task.key in to_fetch and task.key.platform in lacking:
                # Its result was lost with a disk: what it says is not known until the next run.
                lost = set(self.numbers_of(task))
                lacking[task.key.platform] = [n for n in lacking[task.key.platform] if n not in lost]
        planned: dict[str, list[str]] = {}
        for chunk, only in self.chunks().items():
            if chunk not in before:
                planned.setdefault(only, []).extend(self.chunk_numbers(chunk))
        for name, numbers in planned.items():
            left_out = set(lacking[name]) - set(numbers)
            promise(
                numbers == [n for n in lacking[name] if n not in left_out], f"a retry plans other numbers of {name}"
            )
            left_over = len(left_out - free.get(name, set()))
            promise(left_over < least[name], f"a retry of {name} leaves out {left_over} that can't be had for free")
            self.asked_again.update((name, number) for number in numbers)
            self.note("retried", platform=name, numbers=len(numbers))
        if deed.killed:
            return
        numbers = deed.result.numbers
        over, some = deed.code is ExitCode.OVER_BUDGET, any(numbers[name] < len(lacking[name]) for name in self.names)
        fit = {platform.name: most_of(numbers[platform.name], platform) for platform in self.platforms}
        finds = some or fit != numbers
        promise(over or deed.code is (ExitCode.SOME_FAILED if finds else ExitCode.DONE), f"retry ends with {deed.code}")
        promise(not (every and some), "a retry of everything leaves something out")
        promise(not (over and planned), "a retry over the budget plans something")
        told = {name: 0 if over else count for name, count in fit.items()}
        promise(told == {name: len(planned.get(name, [])) for name in self.names}, "retry counts otherwise")

    def _known_to_the_vendor(self) -> dict[str, set[str]]:
        """Return, by platform, the numbers of tasks with an id that say nothing of them: to be had for free, maybe."""
        known: dict[str, set[str]] = {}
        for task in self._tasks(State.FAILED, State.DONE):
            if task.task_id is not None:
                known.setdefault(task.key.platform, set()).update(self.numbers_of(task))
        return known

    async def _extend(self) -> None:
        """Let the list grow; the next run takes it in."""
        if not self.growths or self.owes_extension() or self.altered:  # nobody extends a job that lacks files
            return
        self.lines = self.growths.pop(0)
        found, kept = numbers_in(self.lines), kept_of(self.lines, self.scenario.keep)
        if self.begun():
            self.accepted = tuple(dict.fromkeys((*self.accepted, *found)))
            self.kept = kept | self.kept
        else:
            self.accepted, self.kept = found, kept
        self.write_list()
        self.note("grown", numbers=len(self.accepted))

    async def _join(self) -> None:
        there = {platform.kind for platform in self.platforms}
        absent = [it for it in self.scenario.everyone if it.kind not in there and it.name not in self.names]
        if absent:
            self.platforms.insert(self.chance.randint(0, len(self.platforms)), self.chance.choice(absent))
            self.note("joined", names=self.names)
            await self._follow_names()

    async def _leave(self) -> None:
        if len(self.platforms) > 1:
            self.platforms.pop(self.chance.randrange(len(self.platforms)))
            self.note("left", names=self.names)

    async def _rename(self) -> None:
        """Give a platform another name, which may be that of another one, or let two of them swap theirs."""
        place = self.chance.randrange(len(self.platforms))
        platform = self.platforms[place]
        name = self.chance.choice([name for name in OTHER_NAMES if name != platform.name])
        for other, its in enumerate(self.platforms):
            if its.name == name:
                self.platforms[other] = self._called(its, platform.name)
        self.platforms[place] = self._called(platform, name)
        self.note("renamed", names=self.names)
        await self._follow_names()

    def _called(self, platform: PlatformDraw, name: str) -> PlatformDraw:
        """Call a platform by another name; what the job has not begun under the vendor's name says its columns."""
        known = self.read(lambda ledger: ledger.platforms.fixed(), {}) if self.begun() else {}
        return replace(platform, called=name, by_default=platform.by_default and platform.name in known)

    async def _follow_names(self) -> None:
        """Let the job have the names of the configuration, and note them."""
        settings = self.settings(healed=self.healed)

        async def follow() -> None:
            with opened(settings):
                pass

        if self.begun():
            await self.do(follow())
        fixed = self.read(lambda ledger: ledger.platforms.fixed(), {})
        before, there = self._kinds, {platform.kind for platform in self.platforms}
        of_calls = {call: kind for kind, call in KNOWN.items()}
        in_ledger = {name: of_calls[its["style"], its["path"], its["task_type"]] for name, its in fixed.items()}
        self._kinds = {name: kind for name, kind in in_ledger.items() if kind not in there}
        self._kinds |= {platform.name: platform.kind for platform in self.platforms}

        def now(name: str) -> str:
            return self.name_of(before.get(name, name))

        def keys(names: Iterable[TaskKey]) -> list[TaskKey]:
            return [TaskKey(now(key.platform), key.chunk) for key in names]

        self.by_hand, self.lost_results = set(keys(self.by_hand)), set(keys(self.lost_results))
        self.resubmits = Counter(dict(zip(keys(self.resubmits), self.resubmits.values(), strict=True)))
        self.asked_again = Counter({(now(name), number): n for (name, number), n in self.asked_again.items()})

    async def _mend(self) -> None:
        """Ask once more for the results of tasks that failed."""
        settings = self.settings(healed=self.healed)
        there = {record.id for record in self.charged()}
        for task in self._tasks(State.FAILED):
            if task.task_id in there:
                again = self.chance.choice((Adopt(task.task_id or ""), Refetch()))
                await resolve_tasks(settings, again, [str(task.key)], self.world())
                self.note("mended", task=task.key)

    async def _lose(self) -> None:
        """Lose files of the job, or have them altered, as disks, tidy people and half a restore do.

        A chunk file that was altered ends the run that would send it, which names it. Nobody makes files anew of
        platforms that have left.
        """
        if not self.begun() or self.owes_extension():
            return
        self.remember()
        by_hand = {f"{key.chunk:06d}" for key in self.by_hand}  # nobody could bring those back
        found = [
            path
            for name in ("chunks", *(f"{kind}/{name}" for kind in ("results", "verdicts") for name in self.names))
            for path in sorted((self.directory / name).rglob("*"))
            if path.is_file() and (name == "chunks" or path.name.partition(".")[0] not in by_hand)
        ]
        found += [path for name in ("master.csv", "duplicates.csv") if (path := self.directory / name).is_file()]
        for path in self.chance.sample(found, min(len(found), self.chance.choice((1, 1, 2, 5)))):
            content = path.read_bytes()
            lost = not content or self.chance.random() < 0.5
            if lost:
                path.unlink()
            else:
                at = self.chance.randrange(len(content))
                shorter = self.chance.random() < 0.5
                path.write_bytes(content[:at] if shorter else content[:at] + b"#" + content[at + 1 :])
            self.note("lost" if lost else "altered", path=path.relative_to(self.directory))
            if self.elsewhere is not None and self.is_in_bucket:
                self.elsewhere.follow(self.directory, path)
            if path.parent.name == "chunks" and not lost:
                self.altered_chunks.add(path)
            if path.parent.parent.name == "results":
                self.lost_results.add(TaskKey(path.parent.name, int(path.name.partition(".")[0])))
        self.altered = True

    def does_as_told(self, told: str) -> bool:
        """Remove the altered chunk file that a message names, as it says; return whether it names one."""
        for path in self.altered_chunks:
            if f"{path.parent.name}/{path.name}: " in told and "remove it" in told:
                path.unlink()
                self.altered_chunks.remove(path)
                self.note("removed", path=path.name)
                return True
        return False

    async def refetch_lost(self) -> int:
        """Do as `verify` says where a result is lost whose verdicts are there; return how many there were."""
        settings, refetched = self.settings(healed=self.healed), 0
        for task in self._tasks(State.DONE):
            if task.key in self.lost_results and task.task_id is not None:
                await resolve_tasks(settings, Refetch(), [str(task.key)], self.world())
                self.note("refetched", task=task.key)
                refetched += 1
        self.lost_results.clear()
        return refetched

    # --- what must not be taken --------------------------------------------------------------------------------------

    async def _older_copy(self) -> None:
        """Put an earlier copy of the directory in place, or none at all, and run as if it were the last one."""
        settings, token = self.settings(healed=self.healed), self.token()
        if self.elsewhere is not None:  # there is one ledger, and nobody copies it
            return
        if token is None:
            missing = run_job(settings, RunOptions(after=Token(1)), self.world())
            await self.refused(missing, ExitCode.USAGE, "no ledger")
            return
        now, copy = self.folder / "now", self.folder / "copy"
        if not copy.exists():
            shutil.copytree(self.directory, copy)
            self.copied = token
            return
        if self.copied >= token:
            return
        self.directory.rename(now)
        if self.chance.random() < 0.8:
            copy.rename(self.directory)
        again = run_job(settings, RunOptions(after=token, extend=self.chance.random() < 0.5), self.world())
        await self.refused(again, ExitCode.USAGE, "an older copy")
        shutil.rmtree(self.directory, ignore_errors=True)
        shutil.rmtree(copy, ignore_errors=True)
        now.rename(self.directory)

    # --- what only looks ---------------------------------------------------------------------------------------------

    async def _plan(self) -> None:
        settings = self.settings(healed=self.healed)
        if self.owes_extension():
            await self.refused(plan_job(settings, self.world()), ExitCode.USAGE, "a plan of a changed list")
            return
        before = len(self.charged())
        deed = await self.do(plan_job(settings, self.world()), self.drawn_end() if not self.healed else None)
        promise(len(self.charged()) == before, "plan has sent something")
        if deed.killed or (deed.code is ExitCode.STORAGE and self.does_as_told(str(deed.error))):
            return
        promise(deed.code in LOOKED, f"plan ends with {deed.code}: {deed.error}")
        self._check_counts(deed.result.counts)
        due = Counter(task.key.platform for task in self._tasks(State.PLANNED))
        told = {cost.platform: cost.tasks for cost in deed.result.platforms}
        promise(told == {name: due[name] for name in self.names}, f"plan tells of {told} tasks, there are {due}")

    async def _merge(self) -> None:
        settings = self.settings(healed=self.healed)
        if self._unplanned():
            await self.refused(merge_job(settings, self.world()), ExitCode.USAGE, "a merge of nothing")
        elif self.begun() and not self.owes_extension():
            deed = await self.do(merge_job(settings, self.world()))
            promise(deed.code is ExitCode.DONE, f"merge ends with {deed.code}: {deed.error}")
            check_master(self, partial=deed.result.pending > 0)
            self.altered = False

    async def _verify(self) -> None:
        settings = self.settings(healed=self.healed)
        if self.altered:  # it has every reason to find something, until a run or a merge has made it anew
            return
        if self.serial() is None:
            await self.refused(verify_job(settings, self.world()), ExitCode.USAGE, "no ledger to verify")
        elif self.begun() and not self.owes_extension():
            deed = await self.do(verify_job(settings, self.world()))
            findings = (str(deed.error),) if deed.error else deed.result.findings
            findings = [it for it in findings if not any(f"/{path}." in it for path in self.forgotten())]
            promise(not findings, f"verify finds {findings}")

    def forgotten(self) -> set[str]:
        """Return the paths of what a store has forgotten, without what they end with; nobody may need them any more."""
        if self.elsewhere is None:
            return set()
        return {name.removeprefix("objects/").rsplit(".", 2)[0] for name in self.elsewhere.forgotten}

    async def _status(self) -> None:
        settings = self.settings(healed=self.healed)
        if self.serial() is None:
            return
        report = job_status(settings)
        tasks = self._tasks(*State)
        for standing in report.standings:
            here = sum(task.key.platform == standing.platform for task in tasks)
            promise(standing.tasks() == here, f"status counts {standing.tasks()} tasks, there are {here}")
        promise(self.begun() or not self.charged(), "something was charged before the job began")

    # --- looking -----------------------------------------------------------------------------------------------------

    def otherwise_known(self, cells: Cells) -> Cells:
        """Return the cells of a job with what it knows without tasks of its own."""
        return cells

    def served(self, sha256: str) -> dict[str, str] | None:
        """Return what each number has by a result that is not as the sandbox wrote it."""
        raise NotImplementedError

    @property
    def vendor(self) -> Path:
        """The vendor's own directory."""
        return self.directory / "sandbox" if self.scenario.embedded else self.folder / "vendor"

    def charged(self) -> list[TaskRecord]:
        """Return what the vendor has charged."""
        return read_tasks(self.vendor)

    def kind_of(self, name: str) -> str:
        """Return what the vendor calls a platform."""
        return self._kinds.get(name, name)

    def name_of(self, kind: str) -> str:
        """Return what the job calls a platform by now."""
        return next((name for name, its in self._kinds.items() if its == kind), kind)

    def key_of(self, record: TaskRecord) -> TaskKey:
        """Return which task a file belongs to, as the job calls it by now."""
        return TaskKey(self.name_of(record.platform), key_of(record).chunk)

    def numbers_of(self, task: Task) -> list[str]:
        """Return the numbers of a task."""
        return self.chunk_numbers(task.key.chunk)

    def chunk_numbers(self, chunk: int) -> list[str]:
        """Return the numbers of a chunk file."""
        if chunk in self.remembered:
            return self.remembered[chunk]
        return (self.directory / "chunks" / f"{chunk:06d}.txt").read_text().split()

    def remember(self) -> None:
        """Note the numbers of all chunks of a begun job, whose files may be gone for a while."""
        for chunk in self.chunks():
            self.remembered[chunk] = self.chunk_numbers(chunk)

    @property
    def is_in_bucket(self) -> bool:
        """Whether the directory is only what is shown of a bucket."""
        return self.scenario.away is not None and self.scenario.away.in_bucket

    def chunks(self) -> dict[int, str]:
        """Return the chunks with the only platform of each; "" is for all."""
        chunks: dict[int, str] = self.read(lambda ledger: {c.chunk: c.only or "" for c in ledger.plan.chunks()}, {})
        return chunks

    def _unplanned(self) -> bool:
        """Whether a platform of the configuration is not in the ledger yet."""
        return not set(self.names) <= set(self.read(lambda ledger: ledger.platforms.fixed(), {}))

    def _check_counts(self, counts: Any) -> None:
        told = {name: getattr(counts, name) for name in ("read", "accepted", "duplicates", "rejected")}
        promise(told == counts_of(self.lines), f"the list was counted {told}, not {counts_of(self.lines)}")
