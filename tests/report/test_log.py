from __future__ import annotations

import asyncio
import errno
import io
import json
import logging
import os
import stat
import threading
from contextvars import copy_context
from typing import TYPE_CHECKING, Any

import pytest
import structlog
import structlog.testing

from orchestrator.errors import UsageError
from orchestrator.logger import log
from orchestrator.report import streams
from orchestrator.report.log import _Bridge, logging_to, wants_colour

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

NOW = 1_795_292_102.25  # 2026-11-21T20:15:02.250Z
KEY = "k-0123456789abcdef"
NUMBER = "+41798284651"
TEXT = f"sent {NUMBER} with {KEY}"


def clock() -> float:
    return NOW


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Lost(io.StringIO):
    """A stream whose reader has gone."""

    writes = 0

    def write(self, _: str) -> int:
        self.writes += 1
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")


def records(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture(autouse=True)
def hidden() -> Iterator[None]:
    """Have the key hidden, as the commands do before anything else."""
    with streams.private():
        streams.hide(KEY)
        yield


def written(say: Callable[[], None]) -> str:
    stream = io.StringIO()
    with logging_to(stream, clock=clock, environ={}):
        say()
    return stream.getvalue()


def test_a_line_can_be_read_and_found_again() -> None:
    """A console line has the time in UTC, the level, the event and its fields, in the order they were given."""
    line = written(lambda: log.info("accepted", platform="instagram", chunk="000017", task_id="3f1b"))
    assert line == "2026-11-21T20:15:02Z info  accepted  platform=instagram chunk=000017 task_id=3f1b\n"


def test_counts_by_word_can_be_read() -> None:
    """A dictionary is shown without the signs of a programming language."""
    assert written(lambda: log.info("done", verdicts={"yes": 3, "no": 4})).endswith("done  verdicts=yes:3,no:4\n")


def test_the_same_event_is_one_json_object_in_the_file(tmp_path: Path) -> None:
    """`run.jsonl` has one object a line, with the time to the millisecond and values as they are."""
    path = tmp_path / "run.jsonl"
    with logging_to(io.StringIO(), path, clock=clock, environ={}):
        log.warning("stalled", task="instagram/000017", rows=20_000, where=tmp_path)
    stamp = "2026-11-21T20:15:02.250Z"
    assert records(path) == [
        {
            "timestamp": stamp,
            "level": "warning",
            "event": "stalled",
            "task": "instagram/000017",
            "rows": 20_000,
            "where": str(tmp_path),
        }
    ]


def test_the_file_is_private_and_grows(tmp_path: Path) -> None:
    """A second run adds to the log of the first; only its owner may read it."""
    path = tmp_path / "run.jsonl"
    for serial in (1, 2):
        with logging_to(io.StringIO(), path, clock=clock, environ={}):
            log.info("run", serial=serial)
    assert [record["serial"] for record in records(path)] == [1, 2]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_line_that_was_cut_off_spoils_no_other(tmp_path: Path) -> None:
    """After a kill inside a line the next run begins on a line of its own."""
    path = tmp_path / "run.jsonl"
    path.write_text('{"event": "acc')
    with logging_to(io.StringIO(), path, clock=clock, environ={}):
        log.info("run")
    assert json.loads(path.read_text().splitlines()[1])["event"] == "run"


def test_debug_is_not_written() -> None:
    """What only a developer wants does not fill the log of a job with a million tasks."""
    assert written(lambda: log.debug("detail")) == ""


def test_what_says_nothing_is_no_field() -> None:
    """Lines are for people: a field that is empty is left out there, and yes and no are words."""
    line = written(lambda: log.info("x", reason="", left=None, rows=0, sure=True, late=False))
    assert line.endswith(" x  rows=0 sure=yes late=no\n")


@pytest.mark.parametrize("value", ["two words", "line\nbreak", "\x1b[31mred", "::error::x y", "c1\x9bm", 'a"b'])
def test_no_value_can_break_or_forge_a_line(value: str) -> None:
    """Whatever the vendor says stays one quoted value on one line, without control characters."""
    line = written(lambda: log.info("x", value=value))
    assert line.count("\n") == 1
    assert line.rstrip("\n").isprintable()
    assert json.loads(line.split("value=", 1)[1]) == value


@pytest.mark.parametrize(
    "say",
    [
        lambda: log.info("x", text=TEXT),
        lambda: log.info(TEXT),
        lambda: log.info("x", nested={"deep": [NUMBER, KEY]}),
        lambda: log.info("x", **{NUMBER: 1, KEY: 2}),
        lambda: log.info("sent %s with %s", NUMBER, KEY),
        lambda: log.bind(number=NUMBER, text=KEY).info("x"),
        lambda: log.info("x", api_key="other-key", headers={"X-API-Key": "other-key"}),
        lambda: log.info("x", reason=f"{NUMBER[1:]} is no number", link="https://h/?X-Amz-Signature=other-key&a=1"),
        lambda: logging.getLogger("aiohttp.client").error("failed for %s with %s", NUMBER, KEY),
    ],
)
def test_nothing_gets_around_redaction(say: Callable[[], None], tmp_path: Path) -> None:
    """Event, fields, their names, nested values, bound values, libraries: no number and no key on either output."""
    stream, path = io.StringIO(), tmp_path / "run.jsonl"
    with logging_to(stream, path, clock=clock, environ={}):
        say()
    for text in (stream.getvalue(), path.read_text()):
        assert text
        assert NUMBER[1:] not in text
        assert KEY not in text
        assert "other-key" not in text
    assert len(records(path)) == 1


def test_an_exception_shows_its_way_but_no_values(tmp_path: Path) -> None:
    """A traceback has files and lines, no local variables, and its own words are redacted."""

    def fail() -> None:
        secret_local = "local-value-" + "x"
        raise ValueError(f"bad {NUMBER}, {NUMBER[1:]}, {KEY}, {len(secret_local)}")

    stream, path = io.StringIO(), tmp_path / "run.jsonl"
    with logging_to(stream, path, clock=clock, environ={}):
        try:
            fail()
        except ValueError:
            log.exception("failed")
    for text in (stream.getvalue(), path.read_text()):
        assert "in fail" in text
        assert "ValueError" in text
        assert "local-value-x" not in text
        assert NUMBER[1:] not in text
        assert KEY not in text
    assert records(path)[0]["level"] == "error"
    assert all(line.startswith("    | ") for line in stream.getvalue().splitlines()[1:])


def test_a_fault_of_the_program_is_logged_on_its_way_out(tmp_path: Path) -> None:
    """An unexpected exception stands in the log with its traceback; a message for the user does not."""
    path = tmp_path / "run.jsonl"
    with pytest.raises(KeyError), logging_to(io.StringIO(), path, clock=clock, environ={}):
        raise KeyError("x")
    with pytest.raises(UsageError), logging_to(io.StringIO(), path, clock=clock, environ={}):
        raise UsageError("mend it")
    assert [record["event"] for record in records(path)] == ["internal_error"]
    assert "KeyError" in records(path)[0]["exception"]


def test_a_key_found_later_is_hidden() -> None:
    """A key that is read while the log is open is hidden from then on."""
    stream = io.StringIO()
    with logging_to(stream, clock=clock, environ={}):
        streams.hide("k-of-another-vendor")
        log.info("x", text="k-of-another-vendor")
    assert "another" not in stream.getvalue()


def test_libraries_speak_through_the_same_log() -> None:
    """Warnings of libraries appear with their name; their chatter does not; odd arguments do no harm."""
    stream = io.StringIO()
    with logging_to(stream, clock=clock, environ={}) as sink:
        library = logging.getLogger("somewhere")
        library.setLevel(logging.DEBUG)
        library.info("chatter")
        library.warning("careful")
        library.log(45, "loud")
        odd = {"name": "odd", "levelno": logging.ERROR, "msg": "%d wrong", "args": ("not a number",)}
        _Bridge(sink).emit(logging.makeLogRecord(odd))  # not by a logger: pytest's own handler would choke on it

    assert [line.split(" ", 1)[1] for line in stream.getvalue().splitlines()] == [
        "warn  library_message  library=somewhere message=careful",
        "error library_message  library=somewhere message=loud",
        'error library_message  library=odd message="%d wrong"',
    ]


def test_the_log_can_be_set_up_again_and_again() -> None:
    """Blocks may be nested and repeated; after each one everything is as it was before."""
    handlers = list(logging.getLogger().handlers)
    outer, inner = io.StringIO(), io.StringIO()
    with logging_to(outer, clock=clock, environ={}):
        with logging_to(inner, clock=clock, environ={}):
            log.info("inside")
        log.info("outside")
    assert "inside" in inner.getvalue()
    assert outer.getvalue().count("\n") == 1
    assert logging.getLogger().handlers == handlers


def test_two_jobs_at_a_time_have_a_log_each() -> None:
    """What a task says goes to the log that was open when it began, and so do its threads."""

    async def job(stream: io.StringIO, word: str) -> None:
        with logging_to(stream, clock=clock, environ={}):
            await asyncio.sleep(0)
            log.info(word)
            await asyncio.to_thread(log.info, f"{word}_in_a_thread")
            await asyncio.create_task(say(f"{word}_in_a_task"))

    async def say(word: str) -> None:
        log.info(word)

    async def both() -> None:
        await asyncio.gather(*(job(stream, word) for stream, word in said.items()))

    said = {io.StringIO(): "one", io.StringIO(): "two"}
    asyncio.run(both())
    for stream, word in said.items():
        assert [line.split()[2] for line in stream.getvalue().splitlines()] == [
            word,
            f"{word}_in_a_thread",
            f"{word}_in_a_task",
        ]


def test_the_configuration_of_structlog_is_left_alone() -> None:
    """It belongs to whoever calls the program as a library: what they log goes where it went before."""
    with structlog.testing.capture_logs() as theirs:
        line = written(lambda: structlog.get_logger().info("theirs"))
    assert line == ""
    assert [event["event"] for event in theirs] == ["theirs"]


def test_what_libraries_say_can_be_left_to_the_caller() -> None:
    """In another program's process its own handlers have it, and no other."""
    stream = io.StringIO()
    handlers = list(logging.getLogger().handlers)
    with logging_to(stream, clock=clock, environ={}, libraries=False):
        assert logging.getLogger().handlers == handlers


def test_a_task_has_one_line() -> None:
    """Of each task the console says that it was accepted, and beside bars nothing; the file has the rest."""

    def say() -> None:
        log.info("run", serial=3)
        log.info("accepted", platform="instagram", chunk="000017", task_id="3f1b")
        log.info("done", task="instagram/000017", rows=5)
        log.warning("finding", task="instagram/000017", reason="foreign rows")

    assert [line.split()[2] for line in written(say).splitlines()] == ["run", "accepted", "finding"]
    stream = io.StringIO()
    with logging_to(stream, clock=clock, environ={}, bars=True):
        say()
    assert [line.split()[2] for line in stream.getvalue().splitlines()] == ["finding"]


def test_what_repeats_itself_is_counted(tmp_path: Path) -> None:
    """A vendor in trouble fills no log: a few lines a minute, then how many there were; an id is never left out."""
    now = [NOW]
    stream, path = io.StringIO(), tmp_path / "run.jsonl"
    with logging_to(stream, path, clock=lambda: now[0], environ={}):
        for chunk in range(1, 101):
            log.warning("poll_failed", task=f"instagram/{chunk:06d}", reason="reset")
            log.error("not_recorded", task=f"instagram/{chunk:06d}", task_id=f"id-{chunk}")
        now[0] += 60.0
        log.info("progress", percent=3)
        for _ in range(8):
            log.warning("put_off", reason="busy")
    counted = [line.split()[2:] for line in stream.getvalue().splitlines()]
    names = [name for name, *_ in counted]
    assert names.count("poll_failed") == names.count("put_off") == 5
    assert names.count("not_recorded") == 100
    assert [rest for name, *rest in counted if name == "and_more"] == [
        ["poll_failed=95", "see=run.jsonl"],
        ["put_off=3", "see=run.jsonl"],
    ]
    assert len(records(path)) == 100 + 100 + 1 + 8


def test_seconds_and_dollars_are_shown_as_people_write_them() -> None:
    """In the file, and for programs, they are plain numbers."""
    line = written(lambda: log.info("x", left_s=8_040, wait_s=0.25, cost_usd=12.65))
    assert line.endswith("x  left=2h14m wait=0.25s cost=12.65USD\n")


def test_who_hears_events_gets_them_redacted_and_ends_no_run() -> None:
    """Events come with their fields, without numbers and keys; one who fails is told no more, and the log says so."""
    heard: list[tuple[str, Any]] = []

    def hear(name: str, fields: Mapping[str, Any]) -> None:
        heard.append((name, fields["text"]))
        if len(heard) == 2:
            raise ZeroDivisionError

    stream = io.StringIO()
    with logging_to(stream, clock=clock, environ={}) as sink, sink.told(hear):
        for _ in range(4):
            log.info("x", text=TEXT)
    assert heard == [("x", "sent +41…51 with ***")] * 2
    assert [line.split()[2] for line in stream.getvalue().splitlines()] == ["x", "x", "events_lost", "x", "x"]


def test_a_reader_that_left_does_not_end_the_run(tmp_path: Path) -> None:
    """When standard error breaks, the file says so once and goes on; nothing is tried on the console again."""
    stream, path = Lost(), tmp_path / "run.jsonl"
    with logging_to(stream, path, clock=clock, environ={}):
        log.info("one")
        log.info("two")
    assert [record["event"] for record in records(path)] == ["console_lost", "one", "two"]
    assert records(path)[0]["reason"] == "Broken pipe"
    assert stream.writes == 1


def test_a_full_disk_does_not_end_the_run() -> None:
    """When the file can't be written, the console says so once and goes on."""
    stream = io.StringIO()
    full = os.open("/dev/full", os.O_WRONLY)
    with logging_to(stream, clock=clock, environ={}) as sink:
        sink._file = full
        log.info("one")
        log.info("two")
    events = [line.split()[2] for line in stream.getvalue().splitlines()]
    assert events == ["one", "run_log_lost", "two"]
    assert '"No space left on device"' in stream.getvalue()


def test_a_disk_that_runs_full_leaves_whole_lines_but_the_last(small_disk: Path) -> None:
    """The file fills up; the run and its console go on."""
    stream = io.StringIO()
    with logging_to(stream, small_disk / "run.jsonl", clock=clock, environ={}):
        for _ in range(40):
            log.info("x", text="y" * 40_000)
    assert "run_log_lost" in stream.getvalue()
    assert stream.getvalue().count("\n") == 41
    *whole, _last = (small_disk / "run.jsonl").read_text().splitlines()
    assert all(json.loads(line) for line in whole)


def test_a_folder_that_is_not_there_costs_the_file_only(tmp_path: Path) -> None:
    """Without a file the console still has everything."""
    stream = io.StringIO()
    with logging_to(stream, tmp_path / "gone" / "run.jsonl", clock=clock, environ={}):
        log.info("one")
    assert "run_log_lost" in stream.getvalue()
    assert "one" in stream.getvalue()


def test_both_outputs_lost_is_silence(tmp_path: Path) -> None:
    """With nowhere left to write, logging does nothing, and raises nothing."""
    with logging_to(Lost(), tmp_path / "gone" / "run.jsonl", clock=clock, environ={}):
        log.info("one")


def test_threads_do_not_mix_their_lines(tmp_path: Path) -> None:
    """Lines from several threads come out whole."""
    stream, path = io.StringIO(), tmp_path / "run.jsonl"
    with logging_to(stream, path, clock=clock, environ={}):
        say = lambda: [log.info("x", text="y" * 100) for _ in range(50)]  # noqa: E731 - called once a thread
        threads = [threading.Thread(target=copy_context().run, args=(say,)) for _ in "abcd"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(records(path)) == 200
    assert len(set(stream.getvalue().splitlines())) == 1


def test_console_lines_can_be_handed_to_somebody_else(tmp_path: Path) -> None:
    """While bars stand, they get the redacted lines; the file is written as ever; afterwards the stream is back."""
    stream, lines, path = io.StringIO(), list[str](), tmp_path / "run.jsonl"
    with logging_to(stream, path, clock=clock, environ={}) as sink:
        with sink.diverted(lines.append):
            log.info("one", text=KEY)
        log.info("two")
    assert len(lines) == 1
    assert lines[0].endswith("one  text=***")
    assert stream.getvalue().endswith("two\n")
    assert [record["event"] for record in records(path)] == ["one", "two"]


@pytest.mark.parametrize(
    ("stream", "environ", "expected"),
    [
        (Terminal(), {}, True),
        (Terminal(), {"NO_COLOR": "1"}, False),
        (Terminal(), {"NO_COLOR": ""}, True),
        (Terminal(), {"TERM": "dumb"}, False),
        (io.StringIO(), {}, False),
    ],
)
def test_colour_is_for_terminals_that_want_it(stream: io.StringIO, environ: dict[str, str], expected: bool) -> None:  # noqa: FBT001 - a table's column
    """Colours appear on a terminal only, and not with NO_COLOR."""
    assert wants_colour(stream, environ) is expected


def test_colour_marks_what_went_wrong() -> None:
    """On a terminal warnings and errors stand out; ordinary lines are plain."""
    stream = Terminal()
    with logging_to(stream, clock=clock, environ={}):
        log.info("fine")
        log.error("wrong")
    fine, wrong = stream.getvalue().splitlines()
    assert "\x1b" not in fine
    assert "\x1b[31merror\x1b[0m wrong" in wrong
