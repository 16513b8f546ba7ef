"""The program as a process beside others: what its streams, its user, its shell and its signals do to it."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from orchestrator.cli import main
from tests.small_jobs import Child, in_a_shell, run, start, write_small_job

BUT_INIT = [
    "status",
    "plan",
    "run --after 1",
    "run",
    "resolve --all --give-up",
    "retry",
    "merge",
    "enrich numbers.txt -o enriched.csv",
    "verify",
    "purge",
]
WITHOUT_OVERRIDE = ("setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-all")


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a folder with a small job for the embedded vendor; the test stands inside it."""
    write_small_job(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_output_that_is_redirected_has_no_colours_and_no_bars(directory: Path) -> None:
    """In a pipe, a file or CI there is nothing but text, whatever the terminal would have had."""
    done = run(directory, "run", NO_COLOR="1", CI="1", COLUMNS="40")
    assert done.returncode == 0
    assert "\x1b" not in done.stdout + done.stderr
    assert "\r" not in done.stdout + done.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_are_told_how_to_complete(directory: Path, shell: str) -> None:
    """The script that the manual names comes out, and the names of commands, options and pages complete."""

    def complete(words: str, nth: int) -> str:
        asked = {"COMP_WORDS": words, "COMP_CWORD": words.rsplit(maxsplit=1)[-1] if shell == "fish" else str(nth)}
        return run(directory, _ORCHESTRATOR_COMPLETE=f"{shell}_complete", **asked).stdout

    script = run(directory, _ORCHESTRATOR_COMPLETE=f"{shell}_source").stdout
    assert "_ORCHESTRATOR_COMPLETE" in script
    assert "status" in complete("orchestrator sta", 1)
    assert "--deadline" in complete("orchestrator run --dea", 2)
    assert "exit-codes" in complete("orchestrator help ex", 2)


@pytest.mark.parametrize(
    ("folder", "commands"), [("", BUT_INIT), ("ledger", BUT_INIT), ("results/instagram", ["verify"])]
)
def test_a_directory_that_this_user_may_not_search_is_74(
    directory: Path, start_child: Callable[..., Child], folder: str, commands: list[str]
) -> None:
    """Every command names what it may not look at and the way out."""
    if os.geteuid() == 0 and shutil.which("setpriv") is None:
        pytest.skip("root may search everything, unless setpriv takes that right")
    assert main(["run"]) == 0
    closed = directory / "runs" / "config" / folder
    closed.chmod(0)
    code = "import sys; from orchestrator.cli import main; print([main(a.split()) for a in sys.argv[1:]], end='')"
    out, err = start_child(code, *commands, under=() if os.geteuid() else WITHOUT_OVERRIDE).communicate(timeout=60)
    closed.chmod(0o700)
    assert out == str([74] * len(commands))
    for line in err.splitlines():
        assert line.startswith(f"orchestrator: {closed}")
        assert line.endswith(
            "Permission denied; give this user the right to it, or choose another directory, and run the same command "
            "again"
        )


def test_a_reader_that_left_is_nobodys_fault(directory: Path) -> None:
    """`orchestrator plan | head -0` is quiet and ends as if everything had been read."""
    read_end, write_end = os.pipe()
    os.close(read_end)
    with start(directory, "plan", stdout=write_end) as child:
        os.close(write_end)
        _, err = child.communicate(timeout=60)
    assert child.returncode == 0
    assert "Broken" not in err
    assert "Traceback" not in err


@pytest.mark.parametrize("closed", [">&-", "<&- >&- 2>&-"])
def test_a_closed_stream_changes_nothing(directory: Path, closed: str) -> None:
    """Whoever started the program has closed a standard stream: no file of the job gets its number."""
    ended = in_a_shell(directory, f"exec $ORCHESTRATOR run {closed}")
    assert ended.returncode == 0
    assert "Traceback" not in ended.stderr
    job_directory = directory / "runs" / "config"
    assert [path.read_text() for path in sorted(job_directory.glob("chunks/*"))] == [
        f"{number}\n" for number in ("+41798284651", "+41798284652", "+393331234567", "+447911123456")
    ]


def test_a_stream_that_lacks_a_letter_shows_its_number(directory: Path) -> None:
    """An old encoding of the terminal does not end a command that has done its work."""
    ended = in_a_shell(directory, "$ORCHESTRATOR init zü", PYTHONIOENCODING="ascii")
    assert ended.returncode == 0
    assert "wrote z\\xfc/config.toml" in ended.stdout


def test_a_current_directory_that_is_gone(directory: Path) -> None:
    """CI systems clean up under a job: with full paths it does not care where it was started."""
    assert main(["plan"]) == 0
    config = shlex.quote(str(directory / "config.toml"))
    ended = in_a_shell(directory, f"mkdir gone && cd gone && rmdir ../gone && $ORCHESTRATOR status -c {config}")
    assert ended.returncode == 0
    assert "not begun" in ended.stdout


@pytest.mark.parametrize("command", [["plan", "--json"], ["plan", "--no-such-option"]])
def test_a_key_that_is_no_text(directory: Path, command: list[str]) -> None:
    """A key with bytes that are no UTF-8 is hidden like any other; what the command does with it is its own matter."""
    ended = run(directory, *command, EKYCPRO_API_KEY=os.fsdecode(b"k\xffey1234"))
    assert ended.returncode in {0, 2}
    assert "Traceback" not in ended.stderr


def test_control_c_during_planning_is_130(directory: Path) -> None:
    """A plan that is interrupted has sent nothing; it ends at once, and the next one begins anew."""
    with start(directory, "plan", "--set", 'job.inputs=["-"]', stdin=subprocess.PIPE) as child:
        assert child.stderr is not None
        assert "reading" in child.stderr.readline()
        child.send_signal(signal.SIGINT)
        assert child.wait(timeout=30) == 130
        assert "Traceback" not in child.stderr.read()


def test_off_a_terminal_a_task_has_one_line(directory: Path) -> None:
    """That it was accepted; beside those there is a handful a run, and one a minute."""
    (directory / "numbers.txt").write_text("".join(f"+{41_790_000_000 + n}\n" for n in range(60)))
    done = run(directory, "run")
    lines = [line for line in done.stderr.splitlines() if " accepted  " not in line]
    assert len(done.stderr.splitlines()) - len(lines) == 60
    assert len(lines) <= 12 + sum(" progress  " in line for line in lines)
    assert not [line for line in lines if "instagram/0" in line]


def test_events_come_at_once(directory: Path) -> None:
    """In a pipe each line is there when it happens, not when a buffer is full; standard error likewise."""
    with start(directory, "run", "--json", "--set", "sandbox.pace=1", "--set", "polling.max_interval_s=0.1") as child:
        assert child.stdout is not None
        assert child.stderr is not None
        names = [json.loads(child.stdout.readline())["event"] for _ in range(3)]
        assert child.poll() is None
        assert names == ["run", "planned", "accepted"]
        assert "run  serial=1" in child.stderr.readline()
        assert child.poll() is None
        child.send_signal(signal.SIGTERM)
        child.communicate(timeout=60)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Callable[..., tuple[subprocess.Popen[str], str]]]:
    """Start the embedded vendor as a process and return it with its base URL."""
    children: list[subprocess.Popen[str]] = []

    def serve(*arguments: str) -> tuple[subprocess.Popen[str], str]:
        children.append(child := start(tmp_path, "sandbox", *arguments))
        assert child.stdout is not None
        return child, child.stdout.readline().strip()

    yield serve
    for child in children:
        child.kill()
        child.communicate()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_sandbox_serves_until_it_is_told_to_stop(
    served: Callable[..., tuple[subprocess.Popen[str], str]], number: signal.Signals
) -> None:
    """It prints its base URL, answers there, and ends with 0 on either signal."""
    child, base_url = served("--directory", "vendor", "--faults", "")
    request = urllib.request.Request(f"{base_url}/v1/balance", headers={"X-API-Key": "any"})  # noqa: S310 - our own server
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - our own server
        assert "balance" in json.load(answer)
    child.send_signal(number)
    assert child.wait(timeout=20) == 0


def test_two_sandboxes_do_not_share_a_directory(
    served: Callable[..., tuple[subprocess.Popen[str], str]], tmp_path: Path
) -> None:
    """The second one is told to take another."""
    served("--directory", "vendor")
    second = run(tmp_path, "sandbox", "--directory", "vendor")
    assert second.returncode == 2
    assert "--directory" in second.stderr
