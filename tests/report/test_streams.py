from __future__ import annotations

import errno
import json
import logging
import os
import subprocess
import sys
import threading
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import orchestrator
from orchestrator.errors import StorageError
from orchestrator.report import streams

KEY = "k-0123456789abcdef"


def test_data_and_messages_go_separate_ways(capsys: pytest.CaptureFixture[str]) -> None:
    """Data is on standard output, one object a line when it is JSON; messages are on standard error."""
    streams.put("data")
    streams.put_json({"reason": "später"})
    streams.say("a message")
    out, err = capsys.readouterr()
    assert out.splitlines()[0] == "data"
    assert json.loads(out.splitlines()[1]) == {"reason": "später"}
    assert out.isascii()
    assert err == "orchestrator: a message\n"


def test_messages_show_no_number(capsys: pytest.CaptureFixture[str]) -> None:
    """A message may quote the vendor or the list."""
    streams.say("refused: 41798284651 and +41798284651")
    assert capsys.readouterr().err == "orchestrator: refused: 41…51 and +41…51\n"


def run_child(code: str, *, lost: str = "", full: str = "") -> subprocess.CompletedProcess[str]:
    """Run `code` with one of its streams lost, whose reader has left, or on a full disk."""
    read_end, write_end = os.pipe()
    os.close(read_end)
    with os.fdopen(write_end, "wb") as lost_file, Path("/dev/full").open("wb") as full_file:
        files: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        files |= {lost: lost_file} if lost else {full: full_file}
        environ = {"PYTHONPATH": str(Path(orchestrator.__file__).parents[1])}
        return subprocess.run([sys.executable, "-c", code], text=True, check=False, env=environ, **files)  # noqa: S603 - our own code


@pytest.mark.parametrize(("call", "lost"), [("put", "stdout"), ("say", "stderr")])
def test_a_reader_that_has_left_is_nobodys_fault(call: str, lost: str) -> None:
    """Like `| head`: whatever is written after the reader left is dropped, and the exit code stays."""
    child = run_child(
        f"""
import sys
from orchestrator.report import streams
for _ in range(3):
    streams.{call}("x" * 100_000)
streams.flush_all()
sys.exit(7)
""",
        lost=lost,
    )
    assert child.returncode == 7
    assert not child.stdout
    assert not child.stderr


def test_a_stream_that_breaks_at_the_end_is_quiet_too() -> None:
    """What a stream still holds when its reader leaves does not turn the exit code into 120."""
    child = run_child(
        """
import sys
from orchestrator.report import streams
sys.stdout.write("held back")
streams.flush_all()
sys.exit(7)
""",
        lost="stdout",
    )
    assert (child.returncode, child.stderr) == (7, "")


@pytest.mark.parametrize("name", ["stdout", "stderr"])
def test_a_broken_stream_stays_usable(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the first failure what is written goes nowhere, and nothing fails any more."""
    read_end, write_end = os.pipe()
    os.close(read_end)
    with os.fdopen(write_end, "w") as stream:
        monkeypatch.setattr(sys, name, stream)
        stream.write("held back")
        streams.flush_all()
        stream.flush()
    read_end, write_end = os.pipe()
    os.close(read_end)
    with os.fdopen(write_end, "w") as stream:
        monkeypatch.setattr(sys, name, stream)
        for _ in range(2):
            streams.put("data")
            streams.say("message")
        stream.flush()


def test_a_terminal_that_is_gone_is_nobodys_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    """Work that is done stays done when the window it was started in is closed; what is written goes nowhere."""
    screen, terminal = os.openpty()
    with os.fdopen(terminal, "w") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        os.close(screen)
        for _ in range(2):
            streams.put("data")
        stream.flush()


def test_a_disk_that_fails_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The same error of a file means that data is lost."""
    with (tmp_path / "data").open("w") as stream:

        def fail() -> None:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

        monkeypatch.setattr(stream, "flush", fail)
        monkeypatch.setattr(sys, "stdout", stream)
        with pytest.raises(StorageError, match="Input/output error; repair the disk"):
            streams.put("data")
        monkeypatch.undo()


def test_a_full_disk_is_said_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command can still end in order, and write its last line to nowhere."""
    with Path("/dev/full").open("w") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        with pytest.raises(StorageError, match="No space left on device"):
            streams.put("data")
        streams.put_json({})


def test_data_that_does_not_fit_the_disk_is_an_error() -> None:
    """A file of results that is cut short must not look like a success."""
    child = run_child("from orchestrator.report import streams; streams.put('x')", full="stdout")
    assert child.returncode == 1
    assert "StorageError: standard output: No space left on device" in child.stderr


def test_a_crash_names_places_and_no_values() -> None:
    """Where it broke can be told to anybody; what the exception says may hold a key."""
    with pytest.raises(ValueError, match=KEY) as caught:
        raise ValueError(f"bad header {KEY}")
    text = streams.crash(caught.value)
    assert "ValueError" in text
    assert "test_streams.py:" in text
    assert KEY not in text


def test_paths_can_be_typed_as_they_are_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Relative where that is shorter, quoted where a shell needs it."""
    monkeypatch.chdir(tmp_path)
    assert streams.as_argument(tmp_path / "my jobs" / "spring.toml") == "'my jobs/spring.toml'"
    assert streams.as_argument(Path("/etc/spring.toml")) == "/etc/spring.toml"


ODD_KEY = 'k-"0123\\456789abcdef'
RAW = "Aurelia Quillfeather; 0041 79 828 46 51"


def test_what_is_hidden_stands_in_nothing_that_is_written(capsys: pytest.CaptureFixture[str]) -> None:
    """A key that is known is taken out of data, JSON and messages, whoever worded them; the next begins anew."""
    with streams.private():
        streams.hide(ODD_KEY)
        streams.put(f"text {ODD_KEY}")
        streams.put_json({"reason": f"no {ODD_KEY}", "again": json.dumps(ODD_KEY)})
        streams.say(f"bad {ODD_KEY!r} at http://h/?X-Amz-Signature=abc1")
    written = "".join(capsys.readouterr())
    assert "456789" not in written
    assert "abc1" not in written
    with streams.private():
        assert streams.redacted(ODD_KEY) == ODD_KEY


def test_libraries_without_a_log_say_what_they_always_say(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """While no log is open, a library's warning is told without what it fills in or adds below."""
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    before = logging.lastResort
    with streams.libraries_hushed():
        logging.getLogger("somewhere").error("cannot read %s", RAW)
        logging.getLogger("somewhere").error("never retrieved\n%s", RAW, exc_info=ValueError(RAW))
    assert capsys.readouterr().err == (
        "orchestrator: somewhere: cannot read %s\norchestrator: somewhere: never retrieved\n"
    )
    assert logging.lastResort is before


def test_lost_exceptions_and_warnings_keep_their_words(capsys: pytest.CaptureFixture[str]) -> None:
    """What Python itself prints about threads, finalizers and warnings is told by type and place only."""
    hooks = threading.excepthook, sys.unraisablehook, warnings.showwarning
    with streams.private():
        threading.excepthook(threading.ExceptHookArgs((ValueError, ValueError(RAW), None, None)))
        sys.unraisablehook(SimpleNamespace(exc_value=None, exc_type=KeyError))
        warnings.showwarning(UserWarning(RAW), UserWarning, "/lib/book.py", 7)
    said = capsys.readouterr().err
    assert "Aurelia" not in said
    assert "ValueError" in said
    assert "KeyError" in said
    assert "UserWarning at book.py:7" in said
    assert (threading.excepthook, sys.unraisablehook, warnings.showwarning) == hooks
