"""What a CI system reads: files and lines in its own forms, bounded, and without a number or a key."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

import pytest

import orchestrator
from orchestrator.cli import main
from orchestrator.errors import ExitCode
from orchestrator.report import pipeline

CONFIG = """\
[job]
inputs = ["numbers.txt"]
[vendors.main]
base_url = "sandbox"
[platforms.instagram]
[polling]
min_interval_s = 0.01
[sandbox]
pace = 1e9
"""
HELD = [f"instagram/{number:06}" for number in range(1, 101)]
PLATFORM = {"tasks": 3, "done": 3, "held": 0, "failed": 0, "verdicts": {"yes": 2, "no": 1}, "cost": 0.25}
MANY_HELD = {"instagram": PLATFORM | {"held": 3_000}, "amazon": PLATFORM | {"held": 2_000}}
"""Of five thousand held tasks the summary names the first hundred."""
LONG = "x" * 10_000


def summary(**changes: Any) -> dict[str, Any]:
    """Give what summary.json has of a run that ended well."""
    content: dict[str, Any] = {"job": "spring", "serial": 3, "sandbox": False, "state": "finished", "exit_code": 0}
    content |= {"reason": "", "next": "", "after": "3.157", "again_after_s": None, "cost": 0.25, "max_cost": 50.0}
    content |= {"numbers": {"read": 3, "accepted": 3, "duplicates": 0, "rejected": 0}, "held": [], "findings": []}
    content |= {"platforms": {"instagram": PLATFORM}, "master": [{"path": "master.csv", "sha256": "", "rows": 3}]}
    return content | changes


def read_command(line: str) -> tuple[str, dict[str, str], str]:
    """Read a workflow command as the runner does (actions/runner, ActionCommand.cs)."""
    found = re.fullmatch(r"::([a-z-]+)(?: (.*?))?::(.*)", line)
    assert found, line

    def plain(text: str, *, inside: bool) -> str:
        for sign, written in (("\r", "%0D"), ("\n", "%0A"), *(((":", "%3A"), (",", "%2C")) if inside else ())):
            text = text.replace(written, sign)
        return text.replace("%25", "%")

    pairs = [part.split("=", 1) for part in (found[2] or "").split(",") if part]
    return found[1], {name: plain(value, inside=True) for name, value in pairs}, plain(found[3], inside=False)


def read_outputs(text: str) -> dict[str, str]:
    """Read GITHUB_OUTPUT as the runner does: NAME=VALUE, or NAME<<END, lines, END."""
    values, lines = {}, iter(text.splitlines())
    for line in lines:
        if "<<" in line and "=" not in line.partition("<<")[0]:
            name, end = line.split("<<", 1)
            inside = []
            while (row := next(lines)) != end:
                inside.append(row)
            values[name] = "\n".join(inside)
        else:
            name, value = line.split("=", 1)
            values[name] = value
    return values


def test_nothing_elsewhere(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a CI system nothing is said, whatever its files are called."""
    files = {"GITHUB_OUTPUT": str(tmp_path / "a"), "GITHUB_STEP_SUMMARY": str(tmp_path / "b")}
    pipeline.tell(summary(exit_code=3, reason="why"), tmp_path, files | {"ORCHESTRATOR_DOTENV": str(tmp_path / "c")})
    assert not list(tmp_path.iterdir())
    assert capsys.readouterr() == ("", "")
    assert pipeline.default_deadline(files, 0.0) is None


def test_a_good_end_needs_nobody() -> None:
    """A job that is done has no annotation."""
    assert pipeline.notes(summary()) == []


@pytest.mark.parametrize(
    ("code", "level"), [(ExitCode.AGAIN, "notice"), (ExitCode.SOME_FAILED, "warning"), (ExitCode.HELD, "error")]
)
def test_an_end_is_as_loud_as_the_workflow_takes_it(code: ExitCode, level: str) -> None:
    """75 is a notice, 1 a warning, all else an error; what would end the command is escaped."""
    (line,) = pipeline.notes(summary(exit_code=int(code), reason="50 % of a,b: gone", job="a:b,c"))
    assert read_command(line) == (level, {"title": f"a:b,c: exit code {int(code)}"}, "50 % of a,b: gone")


def test_at_most_nine() -> None:
    """GitHub shows ten annotations of a step: ours are nine at most, each of a length that is read."""
    many = summary(
        exit_code=3, reason=LONG, held=HELD, platforms=MANY_HELD, findings=[f"instagram/{n:06}: odd" for n in range(80)]
    )
    lines = pipeline.notes(many)
    assert len(lines) == pipeline.MAX_ANNOTATIONS
    assert max(map(len, lines)) < 3_000
    assert "instagram/000020 and 4,980 more" in read_command(lines[1])[2]
    assert read_command(lines[-1])[2].startswith("74 more findings")
    six = summary(exit_code=3, reason="why", held=HELD[:1], findings=["odd"] * 7)
    assert [read_command(line)[2] for line in pipeline.notes(six)] == ["why", HELD[0], *["odd"] * 7]


def test_a_line_end_begins_no_command() -> None:
    """A vendor's words can't make the runner do anything."""
    (line,) = pipeline.notes(summary(exit_code=1, reason="bad\n::set-output name=x::y\r::stop-commands::z"))
    assert "\n" not in line
    assert "\r" not in line


def test_the_summary_is_bounded_and_says_what_is_next() -> None:
    """GitHub drops a step's summary above 1 MiB: ours stays far below, whatever there is to say."""
    platforms = {f"p{n}": summary()["platforms"]["instagram"] for n in range(1_000)}
    text = pipeline.markdown(
        summary(exit_code=3, reason=LONG, held=HELD, findings=[LONG] * 100, platforms=platforms, next=LONG)
    )
    assert len(text.encode()) < 200_000
    assert "And 950 more platforms" in text
    short = pipeline.markdown(summary(exit_code=75, reason="stopped", next="orchestrator run -c a.toml --after 3.157"))
    assert "```\norchestrator run -c a.toml --after 3.157\n```" in short
    assert "| instagram | 3 | 3 | 0.25 USD |" in short
    assert "Cost so far 0.25 USD of at most 50.00 USD." in short
    large = {"tasks": 1_003, "done": 862_500, "verdicts": {"yes": 41_798_284_651}, "cost": 1_234_567.92}
    long = pipeline.markdown(summary(platforms={"instagram": large}))
    assert "| instagram | 1,003 | 862,500 | 1,234,567.92 USD |" in long
    assert "| instagram | 41,798,284,651 |" in long


def test_what_is_held_can_be_looked_for() -> None:
    """Each held task stands there with its file as sent, and where the rest is said; what was not sent says so."""
    text = pipeline.markdown(
        summary(exit_code=3, reason="2 tasks held", held=HELD[:2], held_sent_as={HELD[0]: "spring-000001-0f3a.txt"})
    )
    assert "| instagram/000001 | spring-000001-0f3a.txt |" in text
    assert "| instagram/000002 | not sent |" in text
    assert "`orchestrator status --held` prints what is at stake" in text
    assert "more" not in text
    many = pipeline.markdown(summary(exit_code=3, held=HELD, held_sent_as={}, platforms=MANY_HELD))
    assert many.count("not sent") == pipeline.MAX_ROWS
    assert "And 4,950 more, which `orchestrator status --held` lists." in many


def test_what_is_quoted_stays_text() -> None:
    """A pipe sign opens no cell, a tag no HTML, ticks no end of the block, and a number is masked."""
    hostile = "<img src=x> a|b [c](d) +41798284651 4179 828 46 51"
    text = pipeline.markdown(summary(exit_code=1, reason=hostile, next="a ```` b", findings=[hostile]))
    assert text.count("<") == text.count("\\<") == 2
    assert "a\\|b" in text
    assert "+41…51" in text
    assert "8284651" not in text
    assert "`````\na ```` b\n`````" in text


def test_outputs_can_be_read_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Later steps get each output as it is, paths of several files too; a report only when there is one."""
    out = tmp_path / "out"
    files = [{"path": name, "sha256": "", "rows": 1} for name in ("master.csv", "master.xlsx")]
    environ = {"GITHUB_ACTIONS": "true", "GITHUB_OUTPUT": str(out)}
    told = summary(exit_code=75, again_after_s=300.0, master=files, nothing_left=False)
    pipeline.tell(told | {"enriched": [{"path": "enriched/crm.xlsx", "rows": 3}]}, tmp_path, environ)
    wanted = {"exit-code": "75", "state": "finished", "after": "3.157", "again-after-s": "300", "report": ""}
    wanted["nothing-left"] = "false"
    wanted["master"] = f"{tmp_path / 'master.csv'}\n{tmp_path / 'master.xlsx'}"
    wanted["sheets"] = f"{wanted['master']}\n{tmp_path / 'enriched/crm.xlsx'}"
    assert read_outputs(out.read_text()) == wanted
    (tmp_path / "report.html").touch()
    pipeline.tell(summary(), tmp_path, environ)
    assert read_outputs(out.read_text())["report"] == str(tmp_path / "report.html")


def test_a_refusal_has_outputs_too(tmp_path: Path) -> None:
    """Where there was no run, later steps get its exit code, and everything else empty."""
    out = tmp_path / "out"
    environ = {"GITHUB_ACTIONS": "true", "GITHUB_OUTPUT": str(out), "GITHUB_STEP_SUMMARY": str(tmp_path / "summary")}
    pipeline.tell({"exit_code": 2, "reason": "no such file"}, None, environ)
    assert read_outputs(out.read_text()) == {
        "exit-code": "2", "state": "stopped", "after": "", "again-after-s": "", "nothing-left": "", "master": "",
        "sheets": "", "report": "",
    }  # fmt: skip
    assert "no such file" in (tmp_path / "summary").read_text()


def test_a_dotenv_report(tmp_path: Path) -> None:
    """GitLab gets the same as variables, one a line, in the file that the job names."""
    files = [{"path": name, "sha256": "", "rows": 1} for name in ("master.csv", "master.xlsx")]
    pipeline.tell(
        summary(exit_code=75, again_after_s=0.0, master=files, nothing_left=True),
        Path("runs"),
        {"GITLAB_CI": "true", "ORCHESTRATOR_DOTENV": str(tmp_path / "out.env")},
    )
    assert (tmp_path / "out.env").read_text().splitlines() == [
        "ORCHESTRATOR_EXIT_CODE=75",
        "ORCHESTRATOR_STATE=finished",
        "ORCHESTRATOR_AFTER=3.157",
        "ORCHESTRATOR_NOTHING_LEFT=true",
        "ORCHESTRATOR_AGAIN_AFTER_S=0",
        "ORCHESTRATOR_MASTER=runs/master.csv runs/master.xlsx",
        "ORCHESTRATOR_SHEETS=runs/master.csv runs/master.xlsx",
        "ORCHESTRATOR_REPORT=",
    ]


def test_what_cannot_be_told_is_a_warning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file of the CI system that can't be written changes nothing else."""
    environ = {"GITHUB_ACTIONS": "true", "GITHUB_OUTPUT": str(tmp_path), "GITHUB_STEP_SUMMARY": str(tmp_path / "s")}
    pipeline.tell(summary(), tmp_path, environ)
    assert capsys.readouterr().err.count("could not be told") == 1
    assert (tmp_path / "s").exists()


@pytest.mark.parametrize(
    ("timeout", "gone_s", "wanted_s"),
    [("3600", 100, 3140), ("600", 0, 540), ("86400", 0, 85_500), ("300", 30, 210), ("60", 59, 1)],
)
def test_the_deadline_of_a_gitlab_job(timeout: str, gone_s: float, wanted_s: float) -> None:
    """It is the job's own end, less a tenth for what comes after: a minute at least, a quarter of an hour at most."""
    environ = {"GITLAB_CI": "true", "CI_JOB_TIMEOUT": timeout, "CI_JOB_STARTED_AT": "2026-11-30T02:00:00Z"}
    started = datetime(2026, 11, 30, 2, tzinfo=UTC).timestamp()
    found = pipeline.default_deadline(environ, started + gone_s)
    assert found is not None
    assert found[0] == wanted_s


@pytest.mark.parametrize("missing", ["CI_JOB_TIMEOUT", "CI_JOB_STARTED_AT"])
def test_no_deadline_from_half_of_it(missing: str) -> None:
    """An older GitLab names only one of the two: nothing is guessed."""
    environ = {"GITLAB_CI": "true", "CI_JOB_TIMEOUT": "3600", "CI_JOB_STARTED_AT": "2026-11-30T02:00:00Z"}
    assert pipeline.default_deadline({key: environ[key] for key in environ if key != missing}, 0.0) is None


def job(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "config.toml").write_text(CONFIG)
    (folder / "numbers.txt").write_text("+41798284651\n+41798284652\n")
    monkeypatch.chdir(folder)


def test_a_run_on_github(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A run names its deadline in its first line and leaves outputs and a summary; a refused one leaves its code."""
    job(tmp_path, monkeypatch)
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_OUTPUT", str(tmp_path / "out"))
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary"))
    assert main(["run", "--json"]) == 0
    said = capsys.readouterr()
    assert (
        "the deadline is in 5h30m, because GitHub ends a job after 6h; --deadline sets another"
        in said.err.splitlines()[0]
    )
    left = json.loads(said.out.splitlines()[-1])
    assert read_outputs((tmp_path / "out").read_text())["after"] == left["after"]
    text = (tmp_path / "summary").read_text()
    assert "exit code 0" in text
    assert "8284651" not in text
    assert main(["run", "--json", "--deadline", "1h", "--set", "job.chunk_size=0"]) == 2
    assert read_outputs((tmp_path / "out").read_text())["exit-code"] == "2"
    assert "the deadline is" not in capsys.readouterr().err


KEY = "k%1-23:45,67-secret"


def told(folder: Path, stderr: int | IO[str]) -> str:
    """Run the program as a step of a workflow, with the key where it may be shown by mistake."""
    environ = os.environ | {"GITHUB_ACTIONS": "true", "EKYCPRO_API_KEY": KEY}
    command = [sys.executable, "-m", "orchestrator", "run", "--set", f"job.name={KEY}"]
    environ["PYTHONPATH"] = str(Path(orchestrator.__file__).parents[1])
    done = subprocess.run(  # noqa: S603 - our own program
        command, cwd=folder, env=environ, stderr=stderr, stdout=subprocess.PIPE, text=True, check=False
    )
    return f"{done.stderr or ''}{done.stdout}"


def test_the_key_is_hidden_before_anything_can_show_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The runner is told of the key first, once, and as it is; a file is not, where it would stay readable."""
    job(tmp_path, monkeypatch)
    first, *rest = told(tmp_path, subprocess.PIPE).splitlines()
    assert read_command(first) == ("add-mask", {}, KEY)
    assert rest
    assert not any("add-mask" in line or KEY in line for line in rest)
    with (tmp_path / "log").open("w") as log:
        told(tmp_path, log)
    assert "job" in (tmp_path / "log").read_text()
    assert KEY not in (tmp_path / "log").read_text().replace("%25", "%")
