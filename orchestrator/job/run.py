"""`run`: one run of a job, from the lock to the summary.

`_Run` reads from top to bottom: `go` is the frame of a run, `_work` what is done in it, `_dispatch` what is sent,
`_ending` how that ends.
"""

from __future__ import annotations

import asyncio
import math
import os
import socket
from contextlib import AsyncExitStack, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from orchestrator.dispatch.context import RunContext
from orchestrator.dispatch.dispatcher import Dispatcher
from orchestrator.dispatch.receipts import Seal
from orchestrator.dispatch.result_versions import ResultVersions, read_quarantine
from orchestrator.errors import ExitCode, LeaseLostError, OrchestratorError, StorageError, UsageError
from orchestrator.files import failed_machine
from orchestrator.job.access import opened
from orchestrator.job.balances import (
    ask_for_balances,
    look_behind_doubts,
    note_balances,
    pause_the_short,
    say_what_is_missing,
    without_look,
)
from orchestrator.job.budget import objection, outlook, planned_costs, total_cost
from orchestrator.job.ending import MASTER_CODES, Ending, ending, what_waits
from orchestrator.job.engine import workers_of
from orchestrator.job.enrich import enrich_inputs, enriched_files
from orchestrator.job.following import follow, platforms_to_follow, too_few
from orchestrator.job.ledger_plan import bring_in_step
from orchestrator.job.notify import Notifier
from orchestrator.job.pages import keep_page, renew_page
from orchestrator.job.platform_names import with_former_names
from orchestrator.job.platform_runs import platform_runs, vendor_runs
from orchestrator.job.quote import beyond_quote, check_quote, read_quote
from orchestrator.job.rehearsal import rehearse
from orchestrator.job.repair import repair
from orchestrator.job.scratch import job_files
from orchestrator.job.settings_hash import settings_hash
from orchestrator.job.shared import fingerprints, share_budget
from orchestrator.job.sheet import behind_a_master, build_master, made_of, order_master
from orchestrator.job.signals import handled
from orchestrator.job.trial import check_trial, trial_chunks, trial_content, trial_is_read
from orchestrator.job.vendors import is_made_up, read_keys, vendor_clients
from orchestrator.jobdir.layout import (
    CHUNK_FILES,
    LISTS,
    LOG,
    REPLACED_BY_A_MASTER,
    REPORT,
    SANDBOX_FILES,
    SUMMARY,
)
from orchestrator.ledger import Ledger, LedgerWriter
from orchestrator.logger import log
from orchestrator.records import NANO
from orchestrator.report import streams, summary
from orchestrator.report.log import Hear, LogSink, logging_to, wants_bars
from orchestrator.report.printed import seconds
from orchestrator.report.progress import ProgressTeller, progress
from orchestrator.report.readings import MoneySoFar, Overview
from orchestrator.report.streams import as_argument, job_arguments
from orchestrator.tasks import HELD, State

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator, Mapping
    from pathlib import Path

    from orchestrator.dispatch.platform_run import PlatformRun
    from orchestrator.job.budget import Objection, PlannedCost
    from orchestrator.job.world import World
    from orchestrator.master import MasterReport
    from orchestrator.records import Standing, Task, Token
    from orchestrator.report.summary import EnrichedContent, MasterLeft, Summary
    from orchestrator.settings import Settings
    from orchestrator.workers import Workers

T = TypeVar("T")

SUMMARY_INTERVAL_S = 10.0
DOWNLOADS = 32
"""Results on their way at a time, each with a block of 1 MiB at most in memory."""


@dataclass(frozen=True, slots=True)
class RunOptions:
    """The command line's wishes: see the `run` command."""

    deadline_s: float | None = None
    submit_only: bool = False
    after: Token | None = None
    extend: bool = False
    quote: Path | None = None
    trial: bool = False

    def to_repeat(self, *, extended: bool) -> str:
        """Return those that the next run wants as well; not to stop early, nor to take in once more what was taken."""
        extend = " --extend" if self.extend and not extended else ""
        quote = "" if self.quote is None else f" --quote {as_argument(self.quote)}"
        deadline = "" if self.deadline_s is None else f" --deadline {seconds(self.deadline_s)}"
        return extend + quote + deadline


@dataclass(frozen=True, slots=True)
class RunReport:
    """How the run ended; `summary` is what `summary.json` has."""

    exit_code: ExitCode
    summary: Summary


class StoppedError(Exception):
    """The run was told to stop while it was not dispatching."""


@dataclass(slots=True)
class StopWish:
    """The wish to stop, and why."""

    wished: asyncio.Event = field(default_factory=asyncio.Event)
    reason: str = ""

    def wish(self, reason: str) -> None:
        """Stop in good order; the first reason counts."""
        if not self.wished.is_set():
            self.reason = reason
            log.info("stopping", reason=reason)
            self.wished.set()


async def run_job(
    settings: Settings, options: RunOptions, world: World, *, stop: StopWish | None = None, hear: Hear | None = None
) -> RunReport:
    """Run the job, going on with a begun one, until nothing is left for this run, or somebody wishes it to `stop`.

    What happens is told to `hear`.
    Raises `OrchestratorError` when the job could not be opened at all; every later end is a `RunReport`.
    """
    keys = read_keys(settings, world.environ)
    if options.quote is not None:
        read_quote(options.quote)  # before a list is read for it
    with opened(settings, after=options.after) as ledger:
        hashes = {name: settings_hash(settings, name) for name in settings.platforms}
        settings = with_former_names(ledger, settings)
        with (
            logging_to(
                world.stderr,
                settings.job.directory / LOG,
                clock=world.clock,
                environ=world.environ,
                bars=world.stderr is not None and wants_bars(world.stderr, world.environ),
                libraries=world.owns_process,
            ) as sink,
            sink.told(hear),
        ):
            marks = fingerprints(ledger, settings, keys)
            share_budget(ledger, settings, marks)
            return await _Run(ledger, settings, options, world, keys, marks, hashes, sink, stop or StopWish()).go()


class _Run:
    """The parts of one run that share its ledger, its stop and its start."""

    def __init__(  # noqa: PLR0913, PLR0917 - what a run is made of
        self,
        ledger: Ledger,
        settings: Settings,
        options: RunOptions,
        world: World,
        keys: Mapping[str, str],
        marks: Mapping[str, str],
        hashes: Mapping[str, str],
        sink: LogSink,
        stop: StopWish,
    ) -> None:
        self._ledger = ledger
        self._writer = LedgerWriter(ledger)
        self._settings = settings
        self._options = options
        self._world = world
        self._keys = keys
        self._marks = marks
        self._hashes = hashes
        self._sink = sink
        self._stop = stop
        self._deadline_at = math.inf
        self._started_at = world.clock()
        self._serial = 0
        self._planned = False
        self._planned_usd: float | None = None
        self._master: MasterReport | None = None
        self._enriched: list[EnrichedContent] = []
        self._master_left: MasterLeft | None = None
        self._dearer = ""
        self._balances: dict[str, float] = {}
        self._quote: dict[str, Any] | None = None
        self._files = job_files(settings)
        self._notifier = Notifier(settings.notify, world)

    async def go(self) -> RunReport:
        self._serial = self._ledger.change(
            lambda ledger: ledger.begin_run(at=self._started_at, host=socket.gethostname(), pid=os.getpid())
        )
        log.info("run", serial=self._serial, job=self._settings.job.name)
        with handled(self._stop.wish) if self._world.owns_process else nullcontext(), self._deadline():
            try:
                self._master_left = await self._writer.do(self._look_for_master)
                at_start = await self._writer.do(self._summary)
                summary.write(self._settings.job.directory, at_start)
                if self._writer.holds:
                    await asyncio.to_thread(self._files.put_records, SUMMARY)
                self._notifier.begin(at_start)
                end = await self._shown(self._work)
            except StoppedError:
                waiting: tuple[list[str], ...] = ()
                with suppress(StorageError):  # that the ledger failed is found out when the end is noted
                    waiting = await self._writer.do(lambda ledger: what_waits(*self._waiting(ledger)))
                reasons = (f"stopped by {self._stop.reason}", *(words for part in waiting for words in part))
                end = Ending(ExitCode.AGAIN, "; ".join(reasons))
            except OrchestratorError as error:
                end = Ending(error.exit_code, str(error))
            except Exception as error:  # noqa: BLE001 - it is logged, and ends the run
                if reason := failed_machine(error):
                    log.exception("machine_failed")
                    end = Ending(ExitCode.STORAGE, reason)
                else:
                    log.exception("internal_error")
                    end = Ending(
                        ExitCode.INTERNAL, f"internal error: {type(error).__name__} in {streams.this_version()}"
                    )
            finally:
                await self._writer.close()  # from here on the ledger is used directly again
            log.info("run_ended", exit_code=int(end.code), reason=end.reason)
            ended_at = self._world.clock()
            try:
                self._ledger.change(
                    lambda ledger: ledger.runs.end(self._serial, at=ended_at, exit_code=end.code, reason=end.reason)
                )
            except StorageError as error:
                log.error("end_not_recorded", reason=str(error))
                if isinstance(error, LeaseLostError):  # how the job ends is for the other one to say
                    end = Ending(error.exit_code, str(error))
            content = self._summary(self._ledger, end)
            with suppress(StorageError):
                summary.write(self._settings.job.directory, content)
            with suppress(StorageError):
                self._notifier.put_metrics(content, *self._measured(self._ledger))
            await self._notifier.end(content, hurried=self._stop.reason.startswith("SIG"))
            await renew_page(self._settings, self._world)
        return RunReport(end.code, content)

    @contextmanager
    def _deadline(self) -> Iterator[None]:
        if self._options.deadline_s is None:
            yield
            return
        loop = asyncio.get_running_loop()
        self._deadline_at = loop.time() + self._options.deadline_s
        timer = loop.call_at(self._deadline_at, self._stop.wish, "the deadline")
        try:
            yield
        finally:
            timer.cancel()

    async def _work(self, teller: ProgressTeller) -> Ending:
        settings, writer = self._settings, self._writer
        async with AsyncExitStack() as stack:
            workers = await self._unless_stopped(stack.enter_async_context(workers_of(settings)))
            if settings.is_sandbox:
                await self._files.bring_below(writer, SANDBOX_FILES)
            now, extend = self._world.clock(), self._options.extend
            plan = bring_in_step(writer, settings, workers, self._world.stdin, now=now, extend=extend)
            await self._unless_stopped(plan)
            self._planned = True
            await self._unless_stopped(self._files.put_new(writer, CHUNK_FILES, *LISTS))
            if self._options.trial:
                await writer.do(lambda ledger: check_trial(ledger, settings))
            if (path := self._options.quote) is not None:
                quote = read_quote(path)
                await writer.do(lambda ledger: check_quote(ledger, settings, path, quote))
                self._quote = quote
            versions = ResultVersions(settings.job.directory, writer, workers, self._world.clock, self._files.bucket)
            # What a newer version can read of it needs no second payment, so it comes before anything is sent.
            await self._unless_stopped(read_quarantine(versions, settings.platforms))
            for _ in range(2):  # the second time for what the repair of files has sent back to the vendor
                end = await self._bring_to_rest(versions, workers, teller)
                if end.code not in MASTER_CODES:
                    return end
                if not await self._unless_stopped(repair(versions, settings)):
                    await self._write_master(workers)
                    return end
        return Ending(ExitCode.AGAIN, "files of the job were altered while it ran")

    async def _bring_to_rest(self, versions: ResultVersions, workers: Workers, teller: ProgressTeller) -> Ending:
        """Dispatch what is due, and what is due by what has come of it, until nothing is; say how that ends."""
        to_follow = partial(platforms_to_follow, settings=self._settings)
        while True:
            due = [] if self._options.trial else await self._writer.do(to_follow)
            # Verdicts that are lost are no reason to leave out numbers: what comes back is looked at behind this.
            if due and not await self._unless_stopped(repair(versions, self._settings)):
                await self._unless_stopped(follow(self._writer, self._settings, workers))
            end = await self._dispatch(workers, teller)
            if end.code not in MASTER_CODES or self._options.trial or not await self._writer.do(to_follow):
                return end

    async def _write_master(self, workers: Workers) -> None:
        """Write the master, and the tables that are brought back with verdicts; publish them where a job has a URL."""
        settings, writer = self._settings, self._writer
        log.info("writing_master")
        await self._unless_stopped(self._files.bring_below(writer, *behind_a_master(settings)))
        order = await writer.do(partial(order_master, settings=settings))
        self._master = await self._unless_stopped(build_master(order, workers))
        if settings.output.enrich:
            reports = await self._unless_stopped(enrich_inputs(order, settings, workers))
            self._enriched = enriched_files(reports, settings.job.directory)
        if not order.pending:
            await writer.do(lambda it: self._files.drop_stale(it, *REPLACED_BY_A_MASTER))
        await self._unless_stopped(self._files.put_new(writer, ""))

    async def _dispatch(self, workers: Workers, teller: ProgressTeller) -> Ending:
        """Send, poll and download what is due, and say how that ends; `UsageError` when nobody knows what it costs."""
        settings = self._settings
        costs, objected = await self._writer.do(self._reckoned)
        spent = await self._writer.do(lambda ledger: ledger.platforms.spent_nano())
        to_spend = total_cost(costs)
        self._planned_usd = None if to_spend is None else spent / NANO + to_spend
        if objected and objected.code is ExitCode.USAGE:
            raise UsageError(f"{settings.source}: {objected.text} (nothing was sent)")
        if objected:
            log.error("over_budget", reason=objected.text)
        due = {cost.platform for cost in costs if cost.tasks}
        if due and not objected:
            await self._unless_stopped(rehearse(workers, settings.job.directory))
        async with vendor_clients(settings, self._keys, self._world) as clients:
            now = asyncio.get_running_loop().time()
            platforms = await self._writer.do(
                partial(
                    platform_runs,
                    settings=settings,
                    vendors=vendor_runs(clients, self._marks, settings, self._writer, now=now),
                    hashes=self._hashes,
                    now=now,
                    deadline_at=self._deadline_at,
                    trial=self._options.trial,
                )
            )
            for platform in platforms:
                platform.over_budget = objected is not None and platform.name in due
            asked = [platform.vendor for platform in platforms if platform.name in due and not platform.why_not_sent]
            asked += await without_look(self._writer, [platform.vendor for platform in platforms])
            begun = await self._writer.do(lambda ledger: ledger.runs.begun)
            await self._unless_stopped(ask_for_balances(asked, settings, begun=begun))
            await note_balances(self._writer, asked, at=self._world.clock())
            pause_the_short(platforms, costs)
            vendors = {platform.vendor.name: platform.vendor.balance_usd for platform in platforms}
            self._balances = {name: balance for name, balance in vendors.items() if balance is not None}
            max_cost = None if settings.is_sandbox else settings.budget.max_cost
            context = RunContext(
                job_name=settings.job.name,
                directory=settings.job.directory,
                ledger=self._writer,
                workers=workers,
                polling=settings.polling,
                backoff=settings.backoff,
                max_cost_nano=None if max_cost is None or math.isinf(max_cost) else round(max_cost * NANO),
                clock=self._world.clock,
                random=self._world.random,
                stopping=self._stop.wished,
                seal=await self._writer.do(lambda ledger: Seal.of(ledger.plan.chunks())),
                bucket=self._files.bucket,
            )
            dispatcher = Dispatcher(context, platforms, downloads=DOWNLOADS)
            await teller.begin()
            sending = self._keeping_summary(dispatcher.run(submit_only=self._options.submit_only))
            await _beside(keep_page(settings, self._world, workers), sending)
            if not self._stop.reason:
                costs, _ = await self._writer.do(self._reckoned)
                await say_what_is_missing(platforms, costs)
                all_vendors = [platform.vendor for platform in platforms]
                await look_behind_doubts(self._writer, all_vendors, settings, at=self._world.clock())
        return await self._ending(platforms)

    async def _ending(self, platforms: list[PlatformRun]) -> Ending:
        """Say how it ends that nothing more is sent or fetched."""
        if self._options.trial and await self._writer.do(partial(trial_is_read, settings=self._settings)):
            return Ending(ExitCode.DONE, "")
        now = asyncio.get_running_loop().time()
        late = [platform.caution.answer_s for platform in platforms if platform.is_too_late(now)]
        if self._stop.reason:
            stop_reason = f"stopped by {self._stop.reason}"
        elif late:
            stop_reason = f"too near to the deadline: an answer to a submit may take {max(late):.0f} s"
        else:
            stop_reason = "all is submitted" if self._options.submit_only else ""
        _, objected = await self._writer.do(self._reckoned)  # anew: a budget may also run out on the way
        standings = await self._writer.do(lambda ledger: ledger.platforms.standing())
        _, first_failed = await self._writer.do(self._waiting)
        return ending(
            platforms,
            standings,
            stop_reason=stop_reason,
            first_failed=first_failed,
            objected=objected,
            trial=self._options.trial,
        )

    def _reckoned(self, ledger: Ledger) -> tuple[tuple[PlannedCost, ...], Objection | None]:
        last_chunks = trial_chunks(ledger, self._settings) if self._options.trial else None
        costs = planned_costs(ledger, self._settings, last_chunks=last_chunks)
        spent_nano, others_nano = ledger.platforms.spent_nano(), ledger.connection.others_nano
        objected = objection(self._settings, costs, spent_nano, others_nano)
        if objected is None and self._quote is not None and any(cost.tasks for cost in costs):
            objected = beyond_quote(ledger, self._settings, self._quote)
        return costs, objected

    def _standings(self, ledger: Ledger) -> list[Standing]:
        """Return where the platforms of the configuration stand, as far as they are planned."""
        standings = ledger.platforms.standing()
        return [standings[name] for name in self._settings.platforms if name in standings]

    def _waiting(self, ledger: Ledger) -> tuple[list[Standing], Task | None]:
        """Return where the platforms stand, and the first task of theirs that failed."""
        tasks = (ledger.tasks.select(State.FAILED, platform=name, most=1) for name in self._settings.platforms)
        return self._standings(ledger), next((task for first in tasks for task in first), None)

    async def _keeping_summary(self, work: Coroutine[Any, Any, None]) -> None:
        """Do the work while the summary is kept up to date, from the ledger."""

        async def keep() -> None:
            while True:
                await asyncio.sleep(SUMMARY_INTERVAL_S)
                content = await self._writer.do(self._summary)
                try:
                    await asyncio.to_thread(summary.write, self._settings.job.directory, content)
                except StorageError as error:  # the next one is due soon, and the job needs none
                    log.warning("summary_not_written", reason=str(error))
                if self._writer.holds:
                    with suppress(StorageError):  # whoever publishes a result will say so
                        await asyncio.to_thread(self._files.put_records, SUMMARY, REPORT)
                measured = await self._writer.do(self._measured)
                await asyncio.to_thread(self._notifier.put_metrics, content, *measured)
                await self._notifier.look(content)

        await _beside(keep(), work)

    async def _shown(self, work: Callable[[ProgressTeller], Coroutine[Any, Any, T]]) -> T:
        """Do the work while it is told how far it is, from the ledger."""

        async def read() -> Overview:
            standings, spent_nano = await self._writer.do(
                lambda ledger: (self._standings(ledger), ledger.platforms.spent_nano())
            )
            most = self._settings.budget.max_cost
            money = None if self._settings.is_sandbox else MoneySoFar(spent_nano / NANO, self._planned_usd, most)
            return Overview({standing.platform: standing for standing in standings}, money)

        command = f"orchestrator status --held {job_arguments(self._settings)}"
        job = f"{self._settings.job.name}, run {self._serial}"
        with progress(read, self._sink, job=job, command=command, deadline_at=self._deadline_at) as teller:
            return await _beside(teller.run(), work(teller))

    def _measured(self, ledger: Ledger) -> tuple[list[Standing], list[Standing], float | None]:
        return (
            self._standings(ledger),
            ledger.platforms.removed(self._settings.platforms),
            ledger.runs.last_done_at(),
        )

    async def _unless_stopped(self, work: Coroutine[Any, Any, T]) -> T:
        """Do the work, or cut it off and raise `StoppedError` when the run is told to stop."""
        task = asyncio.create_task(work)
        stopping = asyncio.create_task(self._stop.wished.wait())
        try:
            await asyncio.wait((task, stopping), return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return task.result()
            raise StoppedError
        finally:
            for one in (task, stopping):
                one.cancel()
            await asyncio.gather(task, stopping, return_exceptions=True)

    def _look_for_master(self, ledger: Ledger) -> MasterLeft | None:
        """Return what the summary of the last command says of a master that lies there: this run may write none."""
        directory = self._settings.job.directory
        return summary.master_left(directory, ledger.runs.job_id, lambda path: self._files.has(ledger, path))

    def _summary(self, ledger: Ledger, end: Ending | None = None) -> Summary:
        configured = self._standings(ledger)
        costs = planned_costs(ledger, self._settings) if len(configured) == len(self._settings.platforms) else ()
        removed = ledger.platforms.removed(self._settings.platforms)
        dearer = "" if self._settings.is_sandbox else outlook((*configured, *removed), costs)
        if dearer and not self._dearer:
            log.warning("dearer_than_planned", reason=dearer)
        self._dearer = dearer
        facts = summary.RunFacts(
            job=self._settings.job.name,
            job_id=ledger.runs.job_id,
            serial=self._serial,
            config=as_argument(self._settings.source),
            arguments=job_arguments(self._settings),
            options=self._options.to_repeat(extended=self._planned),
            token=ledger.runs.token,
            needs_after=not self._settings.ledger.url,
            sandbox=is_made_up(ledger, self._settings),
            started_at=self._started_at,
            ended_at=self._world.clock() if end else None,
            exit_code=end.code if end else None,
            reason=end.reason if end else "",
            again_after_s=end.again_after_s if end else None,
            max_cost=self._settings.budget.max_cost,
            needed_usd=end.needed_usd if end else None,
            others_usd=ledger.connection.others_nano / NANO,
            planned_usd={cost.platform: cost.cost_usd for cost in costs},
            warning=dearer,
            too_few=too_few(ledger, self._settings),
        )
        findings = ledger.tasks.findings(most=summary.MAX_HELD_NAMES)
        content = summary.build(
            facts, ledger.plan.counts(), configured, ledger.tasks.select(*HELD), self._master, findings, removed
        )
        if end and costs and (trial := trial_content(ledger, self._settings, self._balances)):
            content["trial"] = trial
        if self._master:
            content["master_made_of"] = made_of(ledger, self._settings)
            content["enriched"] = self._enriched
        elif self._master_left and ledger.runs.begun:  # before that, another list may be planned in its place
            content = {**content, **self._master_left}
        return content


async def _beside(companion: Coroutine[Any, Any, None], work: Coroutine[Any, Any, T]) -> T:
    """Do the work, and the other until that is done, however it ends; an error of the other ends nothing else."""

    def say_why_it_ended(task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("reporting_failed", exc_info=error)

    task = asyncio.create_task(companion)
    task.add_done_callback(say_why_it_ended)
    try:
        return await work
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
