"""What a CI system is told of a run: GitHub by its files and annotations, GitLab by a dotenv report.

Rules:

- A CI system is recognised by the variables that it sets; elsewhere nothing is written.
- Nothing here changes how a run ends: what can't be written is one warning.
- What is written holds no number and no key, and is bounded: GitHub drops a step summary above 1 MiB as a whole, and
  shows ten annotations of a step.
"""

from __future__ import annotations

import re
import secrets
from collections import Counter
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from orchestrator.errors import ExitCode
from orchestrator.jobdir.layout import REPORT
from orchestrator.jobdir.verdict_words import in_order
from orchestrator.redact import mask_numbers, printable
from orchestrator.report import streams
from orchestrator.report.printed import count, duration, money

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

MAX_ANNOTATIONS: Final = 9
MAX_NAMES: Final = 20
MAX_ROWS: Final = 50
MAX_TEXT: Final = 2_000
"""Characters of one sentence, such as a vendor's own words."""

HOSTED_LIMIT_S: Final = 6 * 3600.0
HOSTED_MARGIN_S: Final = 1800.0
"""GitHub names no limit and no start of its job: this is for what comes before the run, and for saving after it."""

GITLAB_MARGIN: Final = 0.1
MIN_MARGIN_S, MAX_MARGIN_S = 60.0, 900.0

_LOOK: Final = (
    "Look for these files on the vendor's website, or ask its support, then decide on each. "
    "`orchestrator status --held` prints what is at stake and the words for each decision; the report of this run has "
    "them for the first tasks."
)
_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>()#|!~])")


def is_github(environ: Mapping[str, str]) -> bool:
    """Whether the process is a step of a GitHub workflow."""
    return environ.get("GITHUB_ACTIONS") == "true"


def is_gitlab(environ: Mapping[str, str]) -> bool:
    """Whether the process runs in a GitLab job."""
    return environ.get("GITLAB_CI") == "true"


def default_deadline(environ: Mapping[str, str], now: float) -> tuple[float, str] | None:
    """Return after how many seconds a run should stop because the CI job ends, and why; None outside of one.

    `now` is in seconds since the epoch.
    """
    if is_github(environ):
        return HOSTED_LIMIT_S - HOSTED_MARGIN_S, f"GitHub ends a job after {duration(HOSTED_LIMIT_S)}"
    if not is_gitlab(environ):
        return None
    try:
        limit_s = float(environ["CI_JOB_TIMEOUT"])
        started_at = datetime.fromisoformat(environ["CI_JOB_STARTED_AT"]).timestamp()
    except (KeyError, ValueError):
        return None
    margin_s = min(max(limit_s * GITLAB_MARGIN, MIN_MARGIN_S), MAX_MARGIN_S)
    gone_s = max(now - started_at, 0.0)
    why = f"this job ends {duration(limit_s)} after its start, which was {duration(gone_s)} ago"
    return max(limit_s - margin_s - gone_s, 1.0), why


def tell(content: Mapping[str, Any], directory: Path | None, environ: Mapping[str, str]) -> None:
    """Tell the CI system how a run has ended.

    `content` is that of summary.json, or just the exit code and the reason where there was no run; `directory` is the
    job's, where it is known.
    """
    ends = outputs(content, directory)
    if is_github(environ):
        for line in notes(content):
            streams.quote(f"{line}\n")
        _append(environ.get("GITHUB_STEP_SUMMARY", ""), markdown(content))
        _append(environ.get("GITHUB_OUTPUT", ""), "".join(map(_output, ends, ends.values())))
    elif is_gitlab(environ):
        lines = (f"{name.replace('-', '_').upper()}={' '.join(value.split())}\n" for name, value in ends.items())
        _append(environ.get("ORCHESTRATOR_DOTENV", ""), "".join(f"ORCHESTRATOR_{line}" for line in lines))


def outputs(content: Mapping[str, Any], directory: Path | None) -> dict[str, str]:
    """Return what later steps want to know of a run; a path is as it can be opened, those of sheets are one a line."""
    written = {} if content.get("master_of_earlier_run") else content  # what another one wrote, that one has told of
    sheets = {
        kind: [] if directory is None else [str(directory / file["path"]) for file in written.get(kind, ())]
        for kind in ("master", "enriched")
    }
    report = "" if directory is None or not (directory / REPORT).is_file() else str(directory / REPORT)
    again_after_s = content.get("again_after_s")
    return {
        "exit-code": str(content["exit_code"]),
        "state": str(content.get("state", "stopped")),
        "after": str(content.get("after", "")),
        "nothing-left": str(content["nothing_left"]).lower() if "nothing_left" in content else "",
        "again-after-s": "" if again_after_s is None else f"{again_after_s:.0f}",
        "master": "\n".join(sheets["master"]),
        "sheets": "\n".join((*sheets["master"], *sheets["enriched"])),
        "report": report,
    }


def notes(content: Mapping[str, Any]) -> list[str]:
    """Return workflow commands for what a person should see above the log, the most important first."""
    code, job = content["exit_code"], content.get("job", "orchestrator")
    sentences: list[tuple[str, str, str]] = []
    if code != ExitCode.DONE:
        level = {ExitCode.AGAIN: "notice", ExitCode.SOME_FAILED: "warning"}.get(code, "error")
        sentences.append((level, f"{job}: exit code {code}", content["reason"]))
    if held := content.get("held"):
        unnamed = _all_held(content) - len(held[:MAX_NAMES])
        more = f" and {count(unnamed)} more" if unnamed > 0 else ""
        sentences.append(("error", f"{job}: held for a decision", f"{', '.join(held[:MAX_NAMES])}{more}"))
    found = [("warning", f"{job}: a finding", finding) for finding in content.get("findings", ())]
    room = MAX_ANNOTATIONS - len(sentences)
    if len(found) > room:
        left_out = count(len(found) - room + 1)
        found[room - 1 :] = [("warning", f"{job}: findings", f"{left_out} more findings are in the step's summary")]
    lines = []
    for level, title, text in (*sentences, *found):
        # A colon or a comma would end this property of a workflow command as well.
        escaped = streams.escaped(_sentence(title)).replace(":", "%3A").replace(",", "%2C")
        lines.append(f"::{level} title={escaped}::{streams.escaped(_sentence(text))}")
    return lines


def markdown(content: Mapping[str, Any]) -> str:
    """Return where the job stands and what to do next, as a step's summary."""
    code = content["exit_code"]
    mark = "✅" if code == ExitCode.DONE else "⏳" if code == ExitCode.AGAIN else "⚠️" if code == 1 else "❌"
    head = (
        f"{content['job']}, run {content['serial']}: exit code {code}" if "serial" in content else f"exit code {code}"
    )
    lines = [f"## {mark} {_marked(_sentence(head))}", "", _marked(_sentence(content["reason"])), ""]
    if content.get("sandbox"):
        lines += ["**The verdicts come from the embedded vendor: none is real.**", ""]
    if step := content.get("next"):
        # Set so that the command is copied as it is, whatever stands in it.
        fence = "`" * max(3, *(len(ticks) + 1 for ticks in re.findall("`+", step) or [""]))
        lines += ["What to do next:", "", fence, _sentence(step), fence, ""]
    if "numbers" in content:
        lines += _table(("", *content["numbers"]), [("numbers", *content["numbers"].values())])
        lines += _platform_tables(content["platforms"])
        limit = "" if content["max_cost"] is None else f" of at most {money(content['max_cost'])}"
        lines += [f"Cost so far {money(content['cost'])}{limit}.", ""]
    if held := content.get("held"):
        files = content.get("held_sent_as", {})
        lines += ["### Held for a decision", "", _LOOK, ""]
        lines += _table(
            ("task", "its file at the vendor"), [(name, files.get(name, "not sent")) for name in held[:MAX_ROWS]]
        )
        if (unnamed := _all_held(content) - len(held[:MAX_ROWS])) > 0:
            lines += [f"And {count(unnamed)} more, which `orchestrator status --held` lists.", ""]
    if found := content.get("findings"):
        more = [f"- and {count(len(found) - MAX_NAMES)} more"] * (len(found) > MAX_NAMES)
        lines += ["### Findings", "", *(f"- {_marked(_sentence(name))}" for name in found[:MAX_NAMES]), *more, ""]
    return "\n".join(lines) + "\n"


def _all_held(content: Mapping[str, Any]) -> int:
    """Count what is held: `held` names the first tasks only."""
    return sum(entry["held"] for entry in content["platforms"].values())


def _platform_tables(platforms: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    shown = dict(list(platforms.items())[:MAX_ROWS])
    columns = ("tasks", "done", "at_the_vendor", "planned", "held", "failed", "skipped", "submits", "status_calls")
    used = [name for name in columns if any(entry.get(name) for entry in shown.values())]
    rows = [
        (platform, *(entry.get(name, 0) for name in used), float(entry["cost"])) for platform, entry in shown.items()
    ]
    yield from _table(("platform", *(name.replace("_", " ") for name in used), "cost"), rows)
    total = sum((Counter(entry["verdicts"]) for entry in shown.values()), Counter[str]())
    words = list(in_order(total))[:MAX_NAMES]
    if words:
        verdicts = [(name, *(entry["verdicts"].get(word, 0) for word in words)) for name, entry in shown.items()]
        yield from _table(("verdicts", *words), verdicts)
    if len(platforms) > len(shown):
        yield from (f"And {count(len(platforms) - len(shown))} more platforms.", "")


def _table(header: Sequence[str], rows: Sequence[Sequence[str | int | float]]) -> list[str]:
    """Return a table; what is counted, and money, is ours and no telephone number, however long it is."""

    def cell(value: str | float) -> str:
        return _marked(_sentence(value)) if isinstance(value, str) else figure(value)

    def figure(value: float) -> str:
        return count(value) if isinstance(value, int) else money(value)

    cells = [list(map(cell, row)) for row in (header, *rows)]
    lines = [f"| {' | '.join(row)} |" for row in cells]
    return [lines[0], f"|---|{'---:|' * (len(header) - 1)}", *lines[1:], ""]


def _marked(text: str) -> str:
    """Write text that means what it says in Markdown, in a table too; HTML begins no tag."""
    return _MARKDOWN.sub(r"\\\1", text)


def _sentence(text: str) -> str:
    """Return text for one line, as long as a person reads."""
    plain = printable(mask_numbers(streams.redacted(" ".join(text.split()))))  # first: escapes would hide a key from it
    return plain if len(plain) <= MAX_TEXT else f"{plain[: MAX_TEXT - 1]}…"


def _output(name: str, value: str) -> str:
    """Write one output; a value of several lines ends with a word that it can't hold, since nobody can guess it."""
    end = f"end-{secrets.token_hex(8)}"
    return f"{name}<<{end}\n{value}\n{end}\n" if "\n" in value else f"{name}={value}\n"


def _append(path: str, text: str) -> None:
    if not path:
        return
    try:
        with Path(path).open("a", encoding="utf-8", errors="backslashreplace") as file:
            file.write(streams.redacted(text))
    except OSError as error:
        with suppress(OSError):
            streams.say(f"the CI system could not be told how the run ended: {path}: {error.strerror or error}")
