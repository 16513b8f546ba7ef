from __future__ import annotations

import asyncio
import errno
import gc
import json
import os
import platform
import re
import shlex
import subprocess
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import orchestrator
from orchestrator import cli
from orchestrator.cli import main, parse_duration
from orchestrator.config.starter import STARTER_FILES
from orchestrator.errors import BudgetError, ExitCode, LockedError, StorageError, UsageError
from orchestrator.ledger import Ledger, ledger_path
from orchestrator.report.events import EVENTS
from orchestrator.tasks import TaskKey
from tests.small_jobs import LIST, run, write_small_job

if TYPE_CHECKING:
    pass

COMMANDS = [
    "init",
    "plan",
    "run",
    "status",
    "resolve",
    "retry",
    "merge",
    "enrich",
    "diff",
    "verify",
    "purge",
    "help",
    "sandbox",
]
"""In the order of a job's life, which is that of the help."""


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a folder with a small job for the embedded vendor; the test stands inside it."""
    write_small_job(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def held(directory: Path) -> Path:
    """Give the job after a run was cut off between release and answer, which leaves its first task held."""
    assert main(["plan"]) == 0
    with Ledger.open(ledger_path(directory / "runs" / "config")) as ledger:
        key = TaskKey("instagram", 1)
        ledger.change(lambda ledger: ledger.begin_run(at=1.0, host="here", pid=1))
        name = "config-instagram-000001-ab12cd34.txt"
        ledger.change(lambda it: it.transitions.release(key, cost_nano=100, max_cost_nano=None, at=2.0, sent_name=name))
        ledger.change(lambda ledger: ledger.transitions.doubt(key, "connection reset", at=3.0))
    return directory


def last_line(text: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(text.splitlines()[-1])
    return content


# --- the command line ------------------------------------------------------------------------------------------------


def test_the_bare_command_says_where_to_start(tmp_path: Path) -> None:
    """Somebody who types the name alone gets the next thing to type, and no error."""
    done = run(tmp_path)
    assert done.returncode == 0
    for command in ("orchestrator init", "orchestrator plan", "orchestrator run"):
        assert command in done.stdout


@pytest.mark.parametrize("width", [40, 80])
@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_shows_an_example(
    command: str, width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each help ends with an unbroken line that can be copied and is right; all others keep to the terminal."""
    monkeypatch.setenv("COLUMNS", str(width))
    assert main([command, "--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    (example,) = (line for line in lines if line.startswith("Example: "))
    assert all(len(line) <= width for line in lines if line != example)
    name, *arguments = shlex.split(example)[2:]
    assert name == command
    cli.commands.commands[command].make_context(command, arguments)


@pytest.mark.parametrize("short", ["-h", "--help"])
def test_help_has_a_short_form(short: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Both spellings that people try are there."""
    assert main([short]) == 0
    assert main(["run", short]) == 0
    assert "Example: orchestrator run" in capsys.readouterr().out


def test_a_narrow_terminal_gets_narrow_text(
    directory: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """At 40 columns the bare command, the help and every table keep to the width; only sentences may be longer."""
    monkeypatch.setenv("COLUMNS", "40")
    assert main([]) == 0
    assert main(["--help"]) == 0
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 40
    assert main(["run"]) == 0
    assert main(["plan"]) == 0
    tables = [line for line in capsys.readouterr().out.splitlines() if "  " in line]
    assert tables
    assert max(map(len, tables)) <= 40


def test_the_help_lists_the_commands_and_the_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    """One look shows what there is to type and what the codes mean."""
    assert main(["--help"]) == 0
    out = capsys.readouterr().out
    assert [line.split()[0] for line in out.split("Commands:\n")[1].split("\n\n")[0].splitlines()] == COMMANDS
    assert "..." not in out.partition("Commands:")[2]
    assert "75  stopped in good order" in out


def test_the_help_is_there_at_once() -> None:
    """`--help` imports none of the heavy parts; what it may cost is measured in the benchmarks."""
    code = "import sys; from orchestrator.cli import main; main(['--help']); print(*sys.modules, file=sys.stderr)"
    environ = {"PYTHONPATH": str(Path(orchestrator.__file__).parents[1])}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environ)  # noqa: S603 - our own code
    heavy = {"aiohttp", "asyncio", "numpy", "phonenumbers", "pydantic", "rich", "sqlite3", "structlog"}
    heavy |= {"annotated_types", "orchestrator.settings", "orchestrator.records"}  # dozens of classes to make
    assert not heavy & set(done.stderr.split())


def test_the_version_can_be_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    """`--version` is what a report of a fault needs: the program, Python, the system, and each library."""
    assert main(["--version"]) == 0
    first, second, *libraries = capsys.readouterr().out.splitlines()
    assert first == f"orchestrator {orchestrator.__version__} with Python {platform.python_version()}"
    assert "SQLite 3." in second
    assert {line.split()[0] for line in libraries} >= {"aiohttp", "click", "numpy", "phonenumbers", "structlog"}
    assert not {line.split()[0] for line in libraries} & {"pytest", "mypy"}


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("run spring.toml", "run -c spring.toml"),
        ("spring.toml --deadline 5h", "run -c spring.toml --deadline 5h"),
        ("plan --set job.name=x 'my jobs/spring.toml' --json", "plan --set job.name=x -c 'my jobs/spring.toml' --json"),
        ("status .", "status -c config.toml"),
        (".", "run -c config.toml"),
    ],
)
def test_a_configuration_without_c_says_what_is_meant(
    directory: Path, capsys: pytest.CaptureFixture[str], typed: str, meant: str
) -> None:
    """Its file, or the folder that it lies in, where no argument is taken; the whole line can be copied."""
    assert main(shlex.split(typed)) == ExitCode.USAGE
    err = capsys.readouterr().err
    assert err.endswith(f"behind -c: orchestrator {meant}\n")
    name, *arguments = shlex.split(meant)
    cli.commands.commands[name].make_context(name, arguments)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("5h30m", 19_800), ("2d", 172_800), ("1d1h1m1s", 90_061), ("0s", 0), ("45m", 2_700)],
)
def test_durations_are_read(text: str, seconds: float) -> None:
    """Days, hours, minutes and seconds, in this order, any of them left out."""
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "90", "5h 30m", "30m5h", "-5m", "1.5h", "5x", "h", f"{'9' * 400}d"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    """A number without a unit could mean anything; the message shows how to write it."""
    with pytest.raises(ValueError, match="write it like 90s, 45m or 5h30m"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["fly"], "No such command"),
        (["pln"], "Did you mean 'plan'?"),
        (["run", "--fast"], "No such option"),
        (["run", "--deadlin", "5h"], "Did you mean '--deadline'?"),
        (["run", "--deadline", "soon"], "5h30m"),
        (["run", "--after", "-1"], "--after"),
        (["plan", "-c", "gone.toml"], "gone.toml"),
        (["plan", "--set", "job.chunk_sise=5"], "chunk_size"),
        (["resolve", "instagram/000001"], "exactly one of --resubmit"),
        (["resolve", "instagram/000001", "--resubmit", "--give-up"], "exactly one of --resubmit"),
        (["resolve", "--give-up"], "--all"),
        (["resolve", "--all", "instagram/000001", "--give-up"], "--all"),
        (["resolve", "--all", "--adopt", "3f1b"], "exactly one task"),
        (["resolve", "instagram/000001", "instagram/000002", "--result", "x"], "exactly one task"),
        (["sandbox", "--faults", "earthquake"], "earthquake"),
        (["sandbox", "--pace", "0"], "pace"),
    ],
)
def test_a_wrong_command_sends_nothing_and_says_what_was_meant(
    directory: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], hint: str
) -> None:
    """Exit code 2, the way out on standard error, nothing on standard output."""
    assert main(arguments) == ExitCode.USAGE
    out, err = capsys.readouterr()
    assert out == ""
    assert hint in err


@pytest.mark.parametrize("arguments", [["plan", "-c", "gone.toml"], ["run", "--fast"], ["run", "--deadline", "soon"]])
def test_an_error_is_json_too(directory: Path, capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    """A program that asked for --json gets its last line whatever happens."""
    assert main([*arguments, "--json"]) == 2
    content = last_line(capsys.readouterr().out)
    assert content["exit_code"] == 2
    assert content["reason"]


# --- how commands end ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UsageError("mend it"), 2),
        (BudgetError("mend it"), 5),
        (LockedError("mend it"), 6),
        (StorageError("mend it"), 74),
        (KeyboardInterrupt(), 130),
    ],
)
def test_every_error_has_its_exit_code(
    directory: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: BaseException,
    code: int,
) -> None:
    """The class of an error is the exit code; its message is all that the user sees."""

    def fail(_: object) -> None:
        raise error

    monkeypatch.setattr("orchestrator.job.status.job_status", fail)
    assert main(["status", "--json"]) == code
    out, err = capsys.readouterr()
    reason = str(error) or "interrupted"
    assert last_line(out) == {"exit_code": code, "reason": reason}
    assert err == f"orchestrator: {reason}\n"


def test_a_fault_of_the_program_is_70_and_shows_no_values(
    directory: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The place where it broke is named, what the exception says is not: it may hold a key."""

    def fail(_: object) -> None:
        raise RuntimeError("k-0123456789abcdef")

    monkeypatch.setattr("orchestrator.job.status.job_status", fail)
    assert main(["status", "--json"]) == 70
    out, err = capsys.readouterr()
    assert last_line(out)["exit_code"] == 70
    assert "RuntimeError" in err
    assert "test_cli.py" in err
    assert "k-0123456789abcdef" not in out + err


def test_a_machine_that_has_run_out_is_74(
    directory: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """No files, memory or processes left: the user can mend that, so it is no fault of the program."""

    def fail(_: object) -> None:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr("orchestrator.job.status.job_status", fail)
    assert main(["status"]) == 74
    message = "Too many open files; raise the limit (ulimit -a shows it) and run the same command again"
    assert capsys.readouterr().err == f"orchestrator: {message}\n"


@pytest.mark.parametrize("arguments", [["init", "n" * 5_000], ["run", "--set", f"job.directory={'n' * 5_000}"]])
def test_a_name_that_no_disk_takes_is_74(
    directory: Path, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    """The message says what to choose instead."""
    assert main(arguments) == 74
    assert "File name too long; choose another directory and run" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["run", "plan", "sandbox"])
def test_no_room_for_an_event_loop_is_74(
    command: str, directory: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The message is all that is said: no library warns beside it of what was not begun."""

    def refuse() -> None:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(asyncio, "new_event_loop", refuse)
    monkeypatch.setattr(asyncio.events, "new_event_loop", refuse)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        assert main([command]) == 74
        gc.collect()
    assert not [str(one.message) for one in warned if "never awaited" in str(one.message)]
    assert capsys.readouterr().err.startswith("orchestrator: Too many open files; raise the limit")


def test_control_c_while_the_command_line_is_read_is_130(monkeypatch: pytest.MonkeyPatch) -> None:
    """An interrupt before the command began ends like any other."""

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli.commands, "invoke", interrupted)
    assert main(["plan"]) == 130


def test_a_list_of_any_name(directory: Path) -> None:
    """The name of a file is bytes; some are no UTF-8."""
    (directory / "numbers.txt").rename(directory / os.fsdecode(b"a\xff.txt"))
    assert main(["run", "--set", 'job.inputs=["*.txt"]']) == 0
    assert main(["verify", "--set", 'job.inputs=["*.txt"]']) == 0


# --- the commands ----------------------------------------------------------------------------------------------------


def test_init_writes_a_job_that_can_be_planned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first two commands that a user types work, one after the other; nothing is overwritten."""
    monkeypatch.chdir(tmp_path)
    assert main(["init", "spring"]) == 0
    out, err = capsys.readouterr()
    assert out == "".join(f"wrote spring/{name}\n" for name in STARTER_FILES)
    assert err == "orchestrator: next: orchestrator plan -c spring/config.toml\n"
    assert main(["plan", "-c", "spring/config.toml"]) == 0
    assert main(["init", "spring"]) == 2


def test_plan_shows_what_a_run_would_do(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Numbers, rejects and tasks are data; what to type next is a message."""
    assert main(["plan"]) == 0
    out, err = capsys.readouterr()
    assert re.search(r"numbers +read +accepted +duplicates +rejected\n +6 +4 +1 +1\n", out)
    assert re.search(r"instagram +4 +4 ", out)
    assert err.endswith("orchestrator: next: orchestrator run -c config.toml\n")


def test_plan_is_json_for_programs(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same content as one object."""
    assert main(["plan", "--json", "--set", "job.chunk_size=2"]) == 0
    content = last_line(capsys.readouterr().out)
    assert content["numbers"] == {"read": 6, "accepted": 4, "duplicates": 1, "rejected": 1}
    assert content["rejected_by_reason"] == {"not a number": 1}
    assert content["chunks"] == 2
    assert content["platforms"]["instagram"]["tasks"] == 2
    assert content["findings"] == []


def test_plan_says_what_would_help_with_rejected_lines(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A list of local numbers is told the setting that reads them, from a look at the list itself."""
    (directory / "numbers.txt").write_text(LIST + "079 828 46 60\n079 828 46 61\n")
    assert main(["plan"]) == 0
    text = capsys.readouterr().out
    assert main(["plan", "--json"]) == 0
    (advice,) = last_line(capsys.readouterr().out)["advice"]
    assert "default_region" in advice
    assert advice in text.splitlines()


def test_plan_says_from_which_column_and_why(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The header was the reason, or the configuration; who has named the column is not told to."""
    first, second, *_ = LIST.split()
    (directory / "crm.csv").write_text(f"Name,Mobile\nAda,{first}\nBob,\nEve,{second}\n")
    assert main(["plan", "--set", 'job.inputs=["crm.csv", "numbers.txt"]']) == 0
    text = capsys.readouterr().out
    assert 'crm.csv: numbers are read from the column "Mobile", guessed by its header; [job] column names' in text
    assert "numbers.txt: numbers are read" not in text
    named = ["--set", 'job.inputs=["crm.csv"]', "--set", 'job.column=["Mobile", "Name"]']
    assert main(["plan", *named, "--set", "job.max_rejected=1"]) == 0
    text = capsys.readouterr().out
    assert 'crm.csv: numbers are read from the columns "Mobile", "Name", as [job] column says' in text
    assert main(["plan", *named, "--set", "job.max_rejected=1", "--json"]) == 0
    (account,) = last_line(capsys.readouterr().out)["inputs"]
    assert (account["columns"], account["guessed"]) == (["Mobile", "Name"], False)


def test_a_plan_that_found_something_says_so(
    directory: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nobody listens at the vendor's address, and no budget is set: exit code 1, and no word about `run`."""
    monkeypatch.setenv("EKYCPRO_API_KEY", "k-0123456789abcdef")
    assert main(["plan", "--set", 'vendors.main.base_url="http://127.0.0.1:9"']) == 1
    out, err = capsys.readouterr()
    assert "\nfindings\n- vendor main could not be asked for its balance" in out
    assert "[budget] max_cost is not set" in out
    assert "next:" not in err
    assert "k-0123456789abcdef" not in out + err


def test_a_plan_needs_no_key(
    directory: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever has none yet sees list and cost; that a run would be refused is a finding, and the exit code its own."""
    monkeypatch.delenv("EKYCPRO_API_KEY", raising=False)
    assert main(["plan", "--set", 'vendors.main.base_url="http://127.0.0.1:9"']) == 2
    out, err = capsys.readouterr()
    assert "planned cost" in out
    assert "\nfindings\n- the environment variable EKYCPRO_API_KEY is not set" in out
    assert "next:" not in err


def test_a_whole_job_in_one_command(directory: Path) -> None:
    """`run` ends with 0; standard output has the tables, standard error every accepted submit; the master is there."""
    done = run(directory, "run")
    assert done.returncode == 0, done.stderr
    assert re.search(r"instagram +4 +4 ", done.stdout)
    assert "/master.csv, 4 numbers" in done.stdout
    assert len(re.findall(r" accepted  platform=instagram chunk=00000\d check=\S+ task_id=\S+\n", done.stderr)) == 4
    assert "+41798284651" not in done.stdout + done.stderr
    assert (directory / "runs" / "config" / "master.csv").exists()


def test_the_last_line_of_a_run_is_its_summary(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With --json standard output is an event a line, as documented, and what summary.json has as the last one."""
    assert main(["run", "--json"]) == 0
    *events, content = map(json.loads, capsys.readouterr().out.splitlines())
    assert content == json.loads((directory / "runs" / "config" / "summary.json").read_text())
    assert (content["exit_code"], content["state"]) == (0, "finished")
    for event in events:
        assert set(event) == {"v", "event", "at", *EVENTS[event["event"]].fields}
    names = [event["event"] for event in events]
    assert (names[0], names[-1], names.count("accepted"), names.count("done")) == ("run", "run_ended", 4, 4)
    assert main(["status"]) == 0
    assert main(["merge"]) == 0
    assert "pending" not in capsys.readouterr().err


def test_a_run_stops_at_its_deadline(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A deadline of nothing is 75 at once: stopped in good order, and the message says to run again."""
    assert main(["run", "--deadline", "0s"]) == 75
    out, err = capsys.readouterr()
    assert "exit code 75" in out
    assert "orchestrator: stopped by the deadline\norchestrator: run the same command again" in err
    assert main(["status"]) == 0
    (step,) = (line for line in err.splitlines() if "run the same command again" in line)
    assert "--deadline 1s --after 1." in step
    assert capsys.readouterr().err == f"orchestrator: stopped by the deadline\n{step}\n"


def test_a_run_refuses_an_older_ledger(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`--after 1` without a ledger is exit code 2."""
    assert main(["run", "--after", "1"]) == 2
    assert "ledger" in capsys.readouterr().err


def test_status_needs_a_job(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Before the first plan there is nothing to say."""
    assert main(["status"]) == 2
    assert "no ledger" in capsys.readouterr().err


def test_status_shows_what_is_held(held: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A held task is a finding; --held lists it with what is needed to find it at the vendor."""
    capsys.readouterr()
    assert main(["status"]) == 1
    assert re.search(r"tasks +all +planned +held .*\ninstagram +4 +3 +1 ", capsys.readouterr().out)
    assert main(["status", "--held"]) == 1
    out = capsys.readouterr().out
    assert out.startswith("instagram/000001  in doubt  1 number\n    sent as  config-instagram-000001-")
    assert "connection reset" in out


def test_status_is_json_for_programs(held: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The fields of summary.json, and with --held every held task in full."""
    capsys.readouterr()
    assert main(["status", "--held", "--json"]) == 1
    content = last_line(capsys.readouterr().out)
    assert content["schema_version"] == 1
    assert content["held"] == ["instagram/000001"]
    assert content["held_tasks"][0]["reason"] == "connection reset"
    assert content["platforms"]["instagram"]["held"] == 1


@pytest.mark.parametrize(
    ("arguments", "settled"),
    [
        (
            ["instagram/000001", "--resubmit"],
            "to be sent again; this may cost 0.0001 USD; 0.0000001 USD may have been paid for it already",
        ),
        (["instagram/000001", "--adopt", "3f1b"], "at the vendor under the task id 3f1b; this costs nothing"),
        (
            ["--all", "--give-up"],
            "given up: its numbers are failed; this costs nothing; 0.0000001 USD may have been paid for it already",
        ),
    ],
)
def test_resolve_settles_and_says_what_next(
    held: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], settled: str
) -> None:
    """The settled tasks are data; the next run acts on them."""
    capsys.readouterr()
    assert main(["resolve", *arguments]) == 0
    out, err = capsys.readouterr()
    assert out == f"instagram/000001  {settled}\n"
    assert err == "orchestrator: next: orchestrator run -c config.toml\n"
    assert main(["status", "--held"]) == (1 if "--give-up" in arguments else 0)


@pytest.mark.parametrize("word", ["TASK_ID", "<TASK_ID>", "task_id"])
def test_what_stands_for_an_id_is_none(held: Path, capsys: pytest.CaptureFixture[str], word: str) -> None:
    """A command that was copied with its placeholder settles nothing."""
    capsys.readouterr()
    assert main(["resolve", "instagram/000001", "--adopt", word]) == 2
    assert "in the place of this word" in capsys.readouterr().err
    assert main(["status"]) == 1


def test_once_all_is_decided_the_next_step_is_a_run(held: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`status` does not ask any more for what a person has done."""
    with Ledger.open(ledger_path(held / "runs" / "config")) as ledger:
        ledger.change(lambda it: it.runs.end(1, at=4.0, exit_code=3, reason="1 task held for a decision"))
    assert main(["status"]) == 1
    assert "1 task held, which the vendor may or may not have" in capsys.readouterr().err
    assert main(["resolve", "--all", "--resubmit"]) == 0
    capsys.readouterr()
    assert main(["status"]) == 0
    assert "to send or fetch the rest: orchestrator run -c config.toml --after 1." in capsys.readouterr().err


def test_resolve_takes_a_file_for_one_task(held: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A result that was fetched by hand is checked and taken."""
    capsys.readouterr()
    (held / "result.csv").write_text("Number,instagram\n+41798284651,yes\n")
    assert main(["resolve", "instagram/000001", "--result", "result.csv", "--json"]) == 0
    content = last_line(capsys.readouterr().out)
    assert (content["exit_code"], content["settled"], content["left_out"]) == (0, ["instagram/000001"], [])
    assert content["decisions"] == [
        {
            "task": "instagram/000001",
            "decision": "finish",
            "cost": 0.0,
            "cost_so_far": 1e-7,
            "task_id": None,
            "replaced": None,
            "missing": 0,
        }
    ]


def test_a_decision_can_be_exchanged_and_taken_back(held: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Until the next run has acted on it; `status --held` shows what was decided, and how to take it back."""
    assert main(["resolve", "--all", "--resubmit"]) == 0
    assert main(["resolve", "instagram/000001", "--adopt", "3f1b"]) == 0
    assert "in the place of --resubmit" in capsys.readouterr().out
    assert main(["resolve", "--all", "--resubmit"]) == 0
    assert capsys.readouterr().err == (
        "orchestrator: nothing is held; 1 were decided on since the last run: --all --undo takes that back\n"
    )
    assert main(["status", "--held"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "nothing is held",
        "",
        "decided, for the next run to act on",
        "instagram/000001  at the vendor under the task id 3f1b",
        "    orchestrator resolve instagram/000001 --undo -c config.toml  # take it back",
    ]
    assert main(["resolve", "--all", "--undo"]) == 0
    out, err = capsys.readouterr()
    assert out == "instagram/000001  as it was before --adopt\n"
    assert err == "orchestrator: next: orchestrator status --held -c config.toml\n"
    assert main(["status", "--held", "--json"]) == 1
    assert last_line(capsys.readouterr().out)["held"] == ["instagram/000001"]
    assert main(["resolve", "--all", "--undo"]) == 0
    assert "no decision since the last run" in capsys.readouterr().err


def test_nothing_held_is_nothing_to_resolve(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`--all` on a job where nothing waits is no error."""
    main(["plan"])
    capsys.readouterr()
    assert main(["resolve", "--all", "--give-up"]) == 0
    assert capsys.readouterr() == ("", "orchestrator: nothing is held\n")


def test_merge_builds_what_is_there(held: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """While cells are pending the files are called partial, and a message says how many."""
    capsys.readouterr()
    assert main(["merge"]) == 0
    out, err = capsys.readouterr()
    assert "/master.partial.csv, 4 numbers" in out
    assert "3 cells are pending; orchestrator run -c config.toml goes on" in err
    assert main(["merge", "--json"]) == 0
    content = last_line(capsys.readouterr().out)
    assert content["verdicts"]["instagram"]["held"] == 1
    assert content["pending"] == 3


def test_verify_says_what_is_right_and_what_is_not(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Right is 0; a file that was altered is a finding, named, and 1."""
    assert main(["run"]) == 0
    capsys.readouterr()
    assert main(["verify"]) == 0
    out = capsys.readouterr().out
    assert re.search(r"chunk files +4\n", out)
    assert out.endswith("\nall is as it was written\n")
    chunk = directory / "runs" / "config" / "chunks" / "000001.txt"
    chunk.write_text("+41798284659\n")
    assert main(["verify", "--json"]) == 1
    content = last_line(capsys.readouterr().out)
    assert content["findings"] == [f"{chunk}: altered since it was written"]
    assert content["not_compared"] == ["the master with chunks and verdicts: the findings come first"]
    assert "+41798284659" not in str(content)


@pytest.mark.usefixtures("held")
def test_what_comes_next_is_the_whole_command(capsys: pytest.CaptureFixture[str]) -> None:
    """As `status` has it: whoever copies it keeps the deadline, and has an older ledger refused."""
    assert main(["run", "--deadline", "5h30m"]) == ExitCode.HELD
    for command in (["resolve", "--all", "--give-up"], ["retry"]):
        capsys.readouterr()
        assert main(command) == 0
        said = capsys.readouterr().err.splitlines()[-1].removeprefix("orchestrator: next: ")
        assert re.fullmatch(r"orchestrator run -c config\.toml --deadline 5h30m --after \d+\.\d+", said)
    assert main(shlex.split(said)[1:]) == 0


def test_an_empty_list_at_the_embedded_vendor_costs_nothing(
    directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also before anything is planned nobody is told of a budget."""
    (directory / "numbers.txt").write_text("")
    assert main(["run"]) == ExitCode.USAGE
    out = capsys.readouterr().out
    assert "cost: none, the embedded vendor is free" in out
    assert "cost so far" not in out


def test_retry_plans_what_lacks_a_verdict(held: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """After a task was given up its numbers are planned again; the message says what sends them."""
    assert main(["resolve", "--all", "--give-up"]) == 0
    capsys.readouterr()
    assert main(["retry"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("without verdict  numbers\ninstagram              1\n\nto be sent\n")
    assert err.endswith("orchestrator: next: orchestrator run -c config.toml\n")
    assert main(["run"]) == 0


def test_with_every_verdict_there_is_nothing_to_retry(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A finished job says so, and no word about a next run."""
    assert main(["run"]) == 0
    capsys.readouterr()
    assert main(["retry"]) == 0
    out, err = capsys.readouterr()
    assert out == "every number has a verdict: there is nothing to retry\n"
    assert "next" not in err


def test_a_list_that_has_grown_is_taken_with_extend(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without the option a longer list is refused, and with it only its new number is sent."""
    assert main(["run"]) == 0
    (directory / "numbers.txt").write_text(LIST + "+447911123457\n")
    capsys.readouterr()
    assert main(["run"]) == 2
    assert "--extend" in capsys.readouterr().err
    assert main(["run", "--extend", "--json"]) == 0
    content = last_line(capsys.readouterr().out)
    assert content["platforms"]["instagram"]["submits"] == 5


def test_purge_says_first_and_removes_on_demand(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without --yes nothing happens; with it the numbers are gone, the ledger stays, and no run can pay again."""
    assert main(["run"]) == 0
    capsys.readouterr()
    master = directory / "runs" / "config" / "master.csv"
    assert main(["purge"]) == 0
    out, err = capsys.readouterr()
    assert "would be removed" in out
    assert "- master.csv\n" in out
    assert "out of reach, for you to remove\n- the list itself: " in out
    assert err == (
        "orchestrator: nothing was removed; orchestrator purge --yes -c config.toml removes it and closes the job\n"
    )
    assert master.exists()
    assert main(["purge", "--yes", "--json"]) == 0
    content = last_line(capsys.readouterr().out)
    assert content["done"]
    assert "master.csv" in content["paths"]
    assert not master.exists()
    assert ledger_path(directory / "runs" / "config").exists()
    assert main(["run"]) == 2
    assert "purged" in capsys.readouterr().err


@pytest.mark.parametrize("typed", [["--version"], ["--help"], [], ["run", "--help"], ["help", "money"]])
def test_output_on_a_full_disk(typed: list[str]) -> None:
    """Whatever was to be printed: one line says what is wrong, and the code is that of a failed disk."""
    with Path("/dev/full").open("wb") as full:
        ended = subprocess.run(  # noqa: S603 - our own
            [sys.executable, "-m", "orchestrator", *typed], stdout=full, stderr=subprocess.PIPE, check=False
        )
    said = ended.stderr.decode()
    assert (ended.returncode, said.count("\n")) == (74, 1), said
    assert "standard output: No space left on device" in said


@pytest.mark.parametrize("typed", [["x" * 300], ["run", "x" * 300]])
def test_a_word_that_is_longer_than_a_file_name(typed: list[str]) -> None:
    """It is a usage error like any other."""
    assert main(typed) == 2
