"""`verify`: what it takes, and what it says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orchestrator.cli.frame import commands, ending, job_command, put_either, text_width, until_done
from orchestrator.report.printed import WIDTH, count, findings, section, table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchestrator.job.verify import VerifyReport
    from orchestrator.settings import Settings


@commands.command(short_help="Recount and re-hash the job's files.", example="verify -c spring.toml")
@ending
@job_command
def verify(settings: Settings, *, as_json: bool) -> int:
    """Recount and re-hash: list = master + rejected + duplicates, and every verdict from the right task.

    It changes nothing. What is not right is exit code 1.
    """
    from orchestrator.job.verify import verify_job
    from orchestrator.job.world import real_world

    report = until_done(verify_job(settings, real_world()))
    content = as_content(report)
    put_either(content, as_text(content, text_width()), as_json=as_json)
    return report.exit_code


def as_content(report: VerifyReport) -> dict[str, Any]:
    """Return what was compared and found right, what was found wrong, and what was not compared."""
    return {
        "exit_code": int(report.exit_code),
        "right": dict(report.right),
        "findings": list(report.findings),
        "not_compared": list(report.not_compared),
    }


def as_text(content: Mapping[str, Any], width: int = WIDTH) -> str:
    """Say what was compared and found right, what was found wrong, and what was not compared."""
    right = table(("right", ""), [(what, count(number)) for what, number in content["right"].items()], width)
    left_out = section("not compared", content["not_compared"])
    fine = ["", "all else is as it was written" if left_out else "all is as it was written"]
    return "\n".join([*right, *left_out, *(findings(content) or fine)])
