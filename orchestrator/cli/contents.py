"""What the commands say, as values: the last line of --json, and what the plain-text tables are made from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orchestrator.errors import ExitCode
from orchestrator.report import streams, summary

if TYPE_CHECKING:
    from collections.abc import Iterable

    from orchestrator.job.ledger_plan import PlannedCost, PlanReport
    from orchestrator.job.purge import PurgeReport
    from orchestrator.job.resolve import ResolveReport
    from orchestrator.job.retry import RetryReport
    from orchestrator.job.status import StatusReport
    from orchestrator.job.verify import VerifyReport
    from orchestrator.master import MasterReport
    from orchestrator.records import Task
    from orchestrator.settings import Settings

Content = dict[str, Any]


def of_plan(report: PlanReport) -> Content:
    """Return numbers, rejects and what would help, chunks, cost per platform and findings."""
    return {
        "exit_code": int(report.exit_code),
        "numbers": summary.numbers(report.counts),
        "rejected_by_reason": dict(report.counts.rejected_by_reason),
        "advice": list(report.advice),
        "from_text": report.counts.from_text,
        "chunks": report.chunks,
        "platforms": _costs(report.platforms),
        "cost": report.cost_usd,
        "max_cost": report.max_cost,
        "findings": list(report.findings),
    }


def of_status(report: StatusReport, settings: Settings) -> Content:
    """Return what summary.json has, as the ledger knows it now."""
    last = report.last
    facts = summary.RunFacts(
        job=settings.job.name,
        job_id=report.job_id,
        serial=report.serial,
        config=streams.as_argument(settings.source),
        arguments=streams.job_arguments(settings),
        token=report.token,
        sandbox=report.sandbox,
        started_at=last.started_at if last else None,
        ended_at=last.ended_at if last else None,
        exit_code=None if last is None or last.exit_code is None else ExitCode(last.exit_code),
        reason=last.reason if last else "",
        max_cost=settings.budget.max_cost,
    )
    content = summary.build(facts, report.counts, report.standings, report.held, findings=report.findings)
    return content | summary.CLOSED if report.closed else content


def of_held(report: StatusReport, settings: Settings) -> Content:
    """Return what waits for a decision, what failed, and what was decided since the last run, a task at a time."""
    config = streams.as_argument(settings.source)
    return {
        "held_tasks": [_waiting(task, settings, config) for task in report.held],
        "failed_tasks": [_waiting(task, settings, config) for task in report.failed],
        "decided_tasks": [summary.decided_task(task, config) for task in report.decided],
    }


def _waiting(task: Task, settings: Settings, config: str) -> Content:
    platform = settings.platforms.get(task.key.platform)
    known = platform is not None and (settings.is_sandbox or platform.price_per_10000 is not None)
    again = platform.cost_nano(task.rows) if platform is not None and known else None
    return summary.held_task(task, config, again_nano=again)


def of_resolve(report: ResolveReport) -> Content:
    """Return what was decided, what each decision may cost, and what `--all` passed over."""
    return {
        "exit_code": int(ExitCode.SOME_FAILED if report.left_out else ExitCode.DONE),
        "settled": [settled.task for settled in report.settled],
        "decisions": [
            {
                "task": settled.task,
                "decision": settled.decision.value,
                "cost": settled.cost,
                "cost_so_far": settled.paid,
                "task_id": settled.task_id,
                "replaced": settled.replaced or None,
                "missing": settled.missing,
            }
            for settled in report.settled
        ],
        "left_out": [{"task": o.task, "task_id": o.task_id, "reason": o.reason} for o in report.left_out],
    }


def of_retry(report: RetryReport) -> Content:
    """Return how many numbers lack a verdict, what is to be sent now, and what it costs."""
    return {
        "exit_code": int(report.exit_code),
        "without_verdict": dict(report.numbers),
        "planned": report.planned,
        "platforms": _costs(report.platforms),
        "cost": report.cost_usd,
        "max_cost": report.max_cost,
        "findings": list(report.findings),
    }


def of_merge(report: MasterReport) -> Content:
    """Return the files of the master, and what stands in them."""
    return {
        "exit_code": int(ExitCode.DONE),
        "pending": report.pending,
        "verdicts": report.counts,
        "master": summary.master_files(report),
    }


def of_verify(report: VerifyReport) -> Content:
    """Return what was compared and found right, what was found wrong, and what was not compared."""
    return {
        "exit_code": int(report.exit_code),
        "right": dict(report.right),
        "findings": list(report.findings),
        "not_compared": list(report.not_compared),
    }


def of_purge(report: PurgeReport, settings: Settings) -> Content:
    """Return what holds numbers, relative to the job's directory, and what is elsewhere."""
    directory = settings.job.directory
    return {
        "exit_code": int(ExitCode.DONE),
        "done": report.done,
        "directory": str(directory),
        "paths": [str(path.relative_to(directory)) for path in report.paths],
        "files": report.files,
        "size_bytes": report.size_bytes,
        "out_of_reach": list(report.out_of_reach),
    }


def _costs(platforms: Iterable[PlannedCost]) -> Content:
    return {
        p.platform: {"tasks": p.tasks, "numbers": p.rows, "skipped": p.skipped, "cost": p.cost_usd} for p in platforms
    }
