"""What the webhook of [notify] is told, and when. Pure.

A notice holds counts, money and the program's own sentences: no number, no key. It is signed as Standard Webhooks has
it (standardwebhooks.com), for which most languages have a library.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from binascii import Error as NotBase64Error
from contextlib import suppress
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from orchestrator.errors import ExitCode
from orchestrator.jobdir.verdict_words import ALARM
from orchestrator.redact import mask_numbers, printable
from orchestrator.report import streams
from orchestrator.report.printed import money, plural
from orchestrator.settings import NoticeForm

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchestrator.report.summary import Summary

SCHEMA_VERSION = 1
SECRET_PREFIX = "whsec_"  # noqa: S105 - what Standard Webhooks writes before a secret in base64
MAX_TEXT = 1_500


class Notice(StrEnum):
    """Why the webhook is called."""

    ENDED = "ended"
    HELD = "held"
    BUDGET = "budget"
    ALARM = "alarm"


def due(summary: Summary, told: frozenset[Notice], cost_share: float) -> list[Notice]:
    """Return what there is to tell of a job that runs; what was `told` is not told again."""
    held = any(platform["held"] for platform in summary["platforms"].values())
    max_cost = summary["max_cost"]
    near = max_cost is not None and summary["cost"] > 0 and summary["cost"] >= max_cost * cost_share
    held_near_alarm = ((Notice.HELD, held), (Notice.BUDGET, near), (Notice.ALARM, bool(_alarms(summary))))
    return [notice for notice, holds in held_near_alarm if holds and notice not in told]


def _alarms(summary: Summary) -> list[str]:
    """Return the findings that are alarms: results that are not like those before them."""
    return [finding for finding in summary["findings"] if f": {ALARM}" in finding]


def body(notice: Notice, summary: Summary, form: NoticeForm, *, at: str, link: str) -> bytes:
    """Return what is sent; `link` leads to the CI job, where there is one."""
    if form is NoticeForm.SLACK:
        text = "\n".join(filter(None, (*_sentences(notice, summary), link)))
        for sign, written in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
            text = text.replace(sign, written)
        return json.dumps({"text": text}).encode()
    names = ("job", "job_id", "serial", "sandbox", "state", "exit_code", "reason", "next", "after", "again_after_s")
    values: Mapping[str, Any] = summary
    content = {name: values[name] for name in (*names, "numbers", "cost", "max_cost", "platforms")}
    content["alarms"] = _alarms(summary)
    head = {"schema_version": SCHEMA_VERSION, "event": notice.value, "at": at, "link": link}
    return json.dumps(head | _private(content)).encode()


def headers(body: bytes, secret: str, *, notice_id: str, at_s: int) -> dict[str, str]:
    """Return the headers of a notice, with a signature if there is a secret."""
    unsigned = {"Content-Type": "application/json", "webhook-id": notice_id, "webhook-timestamp": str(at_s)}
    if not secret:
        return unsigned
    key = secret.encode()
    if secret.startswith(SECRET_PREFIX):
        with suppress(NotBase64Error):
            key = base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    signed = hmac.digest(key, b".".join((notice_id.encode(), str(at_s).encode(), body)), hashlib.sha256)
    return unsigned | {"webhook-signature": f"v1,{base64.b64encode(signed).decode()}"}


def link_to_ci(environ: Mapping[str, str]) -> str:
    """Return where the log of this run can be read, "" outside of a CI system."""
    if link := environ.get("CI_JOB_URL"):
        return link
    names = ("GITHUB_SERVER_URL", "GITHUB_REPOSITORY", "GITHUB_RUN_ID")
    server, repository, run = (environ.get(name, "") for name in names)
    return f"{server}/{repository}/actions/runs/{run}" if server and repository and run else ""


def _sentences(notice: Notice, summary: Summary) -> list[str]:
    job = f"{summary['job']}, run {summary['serial']}"
    spent = f"cost so far {money(summary['cost'])}"
    if summary["max_cost"] is not None:
        spent += f" of at most {money(summary['max_cost'])}"
    held = sum(platform["held"] for platform in summary["platforms"].values())
    match notice:
        case Notice.HELD:
            return [
                f"{job}: {plural(held, 'task')} {'is' if held == 1 else 'are'} held for a decision; the rest goes on"
            ]
        case Notice.ALARM:
            first, *others = _alarms(summary)
            more = [f"and {len(others):,} more, see orchestrator status"] * bool(others)
            return [_cut(f"{job}: {first}"), *more]
        case Notice.BUDGET:
            return [f"{job}: {spent}"]
        case Notice.ENDED:
            code = summary["exit_code"]
            how = "done" if code == ExitCode.DONE else f"exit code {code}: {summary['reason']}"
            return [_cut(f"{job}: {how}"), spent, _cut(f"next: {summary['next']}") if summary["next"] else ""]


def _cut(text: str) -> str:
    plain = _plain(text)
    return plain if len(plain) <= MAX_TEXT else f"{plain[:MAX_TEXT]}…"


def _private(value: Any) -> Any:
    """Return JSON in which every text may be shown; what is counted stays as it is."""
    if isinstance(value, dict):
        return {_plain(str(name)): _private(inner) for name, inner in value.items()}
    return _cut(value) if isinstance(value, str) else value


def _plain(text: str) -> str:
    return printable(mask_numbers(streams.redacted(text)))
