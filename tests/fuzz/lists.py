"""Alter lists by seed, and see what reading them gives.

    python -m tests.fuzz.lists --seeds 10_000 --from 0

For every seed a list of a few files is made, in several encodings and packings, most of them altered. The rule:

- the outcome is a plan, or a `UsageError` that names an input and shows nobody's number, and nothing else;
- a plan adds up: every line counts once, every accepted number is valid and in one chunk file, once, and the tables of
  the others have a row each, with source, line and reason;
- neither the size of blocks nor the way that large lists take changes anything, and lost chunk files come back;
- where it can be told without the reader what is in the files, each run of seven or more digits in their cells is
  found again in a chunk or a table; where no cell may hold several numbers, `phonenumbers`, asked line by line, gives
  the same;
- no process dies, hangs, or needs more than `LIMITS`.

A seed that breaks the rule is printed with the command that replays it.
"""

from __future__ import annotations

import asyncio
import csv
import dataclasses
import hashlib
import io
import os
import re
import tempfile
import time
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple, TypeVar

import phonenumbers
import pytest

from orchestrator.errors import UsageError
from orchestrator.intake import ChunkLimits, Planned, ReadList, list_reading, read_list, rebuild
from orchestrator.intake.numbers.reasons import REASONS
from orchestrator.jobdir.layout import chunk_path, columns_path
from orchestrator.settings import JobSettings
from orchestrator.workers import PieceLimits, Workers
from tests.fuzz import results
from tests.fuzz.made_lists import Listing, Made, listing_of
from tests.fuzz.results import Fault, Tally

LIMITS = PieceLimits(cpu_s=results.BATCH * 10.0, memory_bytes=768 << 20)
"""Of a process that reads list after list; what one may take is below."""

SLOWEST_S = 10.0
"""Processor time that reading no list of this size takes, twice."""

LONGEST_MESSAGE = 3000

LONGEST_SHOWN = 1000
"""Characters of a rejected text that are shown."""
FEWEST_DIGITS, MOST_DIGITS = 7, 15
_RUN = re.compile(r"[0-9](?:[^\w;,|+]*[0-9]){6,}")

_UNTOLD = re.compile(r"[0-9](?:\W*[\s(\[{]\W*)?[^\W\d_]|[0-9]['\u2019][0-9]|(?:ext){2}")
"""What is passed over in cells, and not by `phonenumbers`: letters behind a number, an apostrophe, words in front."""

PACKED = (b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"PK")

T = TypeVar("T")
Outcome = ReadList | UsageError


class InPlace(Workers):
    """Runs pieces in this process, which is a worker itself."""

    async def run(self, piece: Callable[..., T], *args: object, limits: PieceLimits | None = None) -> T:
        """Run a piece."""
        del limits
        return piece(*args)


class Expected(NamedTuple):
    """What comes of the cells: accepted numbers in order, and lines of rejected and of repeated ones."""

    accepted: list[str]
    rejected: list[int]
    repeated: list[tuple[int, int]]


# --- the slow way ---------------------------------------------------------------------------------------------------


def number_in(text: str, job: JobSettings) -> str | None:
    """Return the number in a text, as the documentation has it; what can't be seen is passed over."""
    text = " ".join("".join(sign for sign in text if unicodedata.category(sign) != "Cf").split())
    if re.fullmatch(r"\+?[0-9]{5,}[.,]0{1,2}", text):
        text = text[: max(text.rfind("."), text.rfind(","))]
    elif re.fullmatch(r"\+?[0-9]([.,][0-9]+)?[eE]\+?[0-9]{1,2}", text) and int(re.split("[eE]", text)[1]) >= 5:
        value = Decimal(text.replace(",", "."))
        if value != value.to_integral_value() or int(value.as_tuple().exponent) > 0:
            return None
        text = f"{'+' * text.startswith('+')}{int(value)}"
    try:
        number = phonenumbers.parse(text, job.default_region)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_valid_number(number) or number.country_code in job.exclude_calling_codes:
        return None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def runs_of(text: str) -> Iterator[str]:
    """Yield the digits of what may be numbers in a cell that is short enough to be shown."""
    if len(text) <= LONGEST_SHOWN:
        for run in _RUN.findall(plain(text)):
            yield re.sub("[^0-9]", "", run)


def plain(text: str) -> str:
    """Return a text with the digits of any script as ours."""
    return "".join(str(unicodedata.decimal(sign, sign)) for sign in text)


def check_runs(written: Written) -> None:
    """Check that the digits of each cell that is known are found again: accepted, a duplicate, or rejected."""
    directory = written.job.directory
    tables = [table_of((directory / name).read_bytes())[1:] for name in ("rejected.csv", "duplicates.csv")]
    shown = [text for rows in tables for row in rows for text in row[1:3]]
    numbers = [path.read_text() for path in (directory / "chunks").glob("*.txt")]
    found = re.sub(
        "[^0-9\n]", "", "\n".join([*numbers, *(re.sub(r"\\x[0-9a-f]{2}", "", plain(text)) for text in shown)])
    )
    runs = {run for made in written.files for _, text in made.cells or () for run in runs_of(text)}
    check(not (lost := [run for run in runs if not is_there(run, found)]), f"vanished: {lost}")


def is_there(run: str, found: str) -> bool:
    """Whether digits stand in what was found; of those of several numbers, nearly all that stand beside one another."""
    tail = run.removeprefix("00").removeprefix("0").rstrip("0")
    if len(run) <= MOST_DIGITS or tail in found:
        return tail in found or tail.removeprefix("410") in found
    windows = [range(place, place + FEWEST_DIGITS) for place in range(len(run) - FEWEST_DIGITS + 1)]
    covered = {place for window in windows if run[window.start : window.stop] in found for place in window}
    return len(covered) > 0.9 * len(run)


def expected_of(files: list[Made], job: JobSettings) -> Expected | None:
    """Return what has to come of the files, None where it can't be told, as of several numbers in a cell."""
    found = Expected([], [], [])
    firsts: dict[str, int] = {}
    for made in files:
        # What has a header only is refused, and an empty sheet is not.
        if made.cells is None or (made.content and not made.cells):
            return None
        for line, text in made.cells:
            if (
                len(runs := list(runs_of(text))) > 1
                or text.count("+") > 1
                or any(len(run) > MOST_DIGITS for run in runs)
                or len(text) > LONGEST_SHOWN
                or _UNTOLD.search(text)
            ):
                return None
            number = number_in(text.strip(), job)
            if number is None:
                found.rejected.append(line)
            elif firsts.setdefault(number, line) != line or number in found.accepted:
                found.repeated.append((line, firsts[number]))
            else:
                found.accepted.append(number)
    return found


# --- reading a list -------------------------------------------------------------------------------------------------


class Written(NamedTuple):
    """A list on the disk: its job, what is piped in, and its files in the order in which they are read."""

    job: JobSettings
    stdin: bytes | None
    files: list[Made]


def write_list(listing: Listing, folder: Path) -> Written:
    """Write the files, and the settings of a job that reads them."""
    for made in listing.files:
        path = folder / made.name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(made.content)
    piped = None if listing.piped is None else listing.files[listing.piped]
    files = [made for made in listing.files if made is not piped]
    if piped is not None:
        (folder / piped.name).unlink()
    inputs = [str(folder / made.name) for made in files]
    if listing.globbed and files:
        inputs = [inputs[-1], str(folder / "l" / "**")]  # which has the first one again
        files = [files[-1], *sorted(files[:-1], key=lambda made: os.fsencode(folder / made.name))]
    if piped is not None:
        inputs, files = ["-", *inputs], [piped, *files]
    job = JobSettings(name="job", inputs=tuple(inputs), directory=folder / "run", **listing.settings)
    return Written(job, None if piped is None else piped.content, files)


async def read(written: Written, listing: Listing, workers: Workers, block_bytes: int | None = None) -> Outcome:
    """Read a list."""
    limits = ChunkLimits(listing.chunk_size, 1, 10_000)
    stdin = None if written.stdin is None else io.BytesIO(written.stdin)
    try:
        return await read_list(
            written.job, lambda _: limits, workers, stdin, keep=listing.keep, block_bytes=block_bytes
        )
    except UsageError as error:
        return error


@contextmanager
def buckets() -> Iterator[None]:
    """Have duplicates dropped as in large lists."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(list_reading, "AT_ONCE_ROWS", 0)
        yield


# --- judging the outcome --------------------------------------------------------------------------------------------


def check(condition: object, what: str) -> None:
    """Raise `AssertionError` unless a part of the rule holds."""
    if not condition:
        raise AssertionError(what)


def check_refusal(error: UsageError, written: Written) -> None:
    """Check that a message is one, and that nothing is left behind."""
    message = str(error)
    names = ["standard input" if entry == "-" else Path(entry).name for entry in written.job.inputs]
    names += [Path(made.name).name for made in written.files]
    check(any(name in message for name in names), f"names no input: {message}")
    check(message.isprintable() and "Traceback" not in message, f"not a message: {message!r}")
    check(len(message) < LONGEST_MESSAGE, f"{len(message)} characters: {message}")
    check(not re.search(r"\+?(?:4179|120255)\d{4}", message), f"shows a number: {message}")
    check(files_of(written.job.directory).keys() <= {"rejected.csv", "duplicates.csv"}, "something is left behind")


def files_of(directory: Path) -> dict[str, bytes]:
    """Return all files below a directory by name."""
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def check_plan(plan: ReadList, written: Written, *, piped: bool) -> list[str]:
    """Check that a plan adds up, and return the accepted numbers."""
    directory = written.job.directory
    counts = plan.counts
    check(counts.read == counts.accepted + counts.duplicates + counts.rejected, "the counts don't add up")
    check(sum(chunk.rows for chunk in plan.chunks) == counts.accepted > 0, "the chunks don't add up")
    numbers: list[str] = []
    wanted = {"rejected.csv", "duplicates.csv"}
    for chunk in plan.chunks:
        path = chunk_path(directory, chunk.chunk)
        content = path.read_bytes()
        lines = content.decode("ascii").split("\n")
        check(lines.pop() == "" and len(lines) == chunk.rows, "a chunk file has other rows")
        check(hashlib.sha256(content).hexdigest() == chunk.sha256, "a chunk file has another hash")
        check(chunk.first_row == len(numbers), "a chunk begins elsewhere")
        numbers += lines
        wanted.add(str(path.relative_to(directory)))
        if plan.counts.columns:
            beside = columns_path(directory, chunk.chunk)
            records = table_of(beside.read_bytes())
            check([len(plan.counts.columns)] * chunk.rows == list(map(len, records)), "kept columns do not fit")
            wanted.add(str(beside.relative_to(directory)))
    check(files_of(directory).keys() == wanted, "other files than planned")
    check(len(set(numbers)) == len(numbers), "a number was accepted twice")
    check(all(map(is_valid, numbers)), "an accepted number is none")
    check(len(plan.listed.inputs) == len(written.files), "not every input has a fingerprint")
    for found, made in zip(plan.listed.inputs, written.files, strict=True):
        check(found.sha256 == hashlib.sha256(made.content).hexdigest(), "an input has another hash")
    check_tables(plan, written, set(numbers), piped=piped)
    return numbers


def is_valid(number: str) -> bool:
    """Whether a text is a valid number, in the one form that there is."""
    parsed = phonenumbers.parse(number)
    written = phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)
    return phonenumbers.is_valid_number(parsed) and written == number


def table_of(content: bytes) -> list[list[str]]:
    """Return the records of a csv file."""
    return list(csv.reader(io.StringIO(content.decode(), newline="")))


def check_tables(plan: ReadList, written: Written, numbers: set[str], *, piped: bool) -> None:
    """Check that every line that was not accepted is in a table, with all that there is to say."""
    sources = {Path(made.name).name for made in written.files}
    if piped:
        sources.add("standard input")
    rejected = table_of((written.job.directory / "rejected.csv").read_bytes())[1:]
    repeated = table_of((written.job.directory / "duplicates.csv").read_bytes())[1:]
    check(
        len(rejected) == plan.counts.rejected and len(repeated) == plan.counts.duplicates,
        "a table has other rows than counted",
    )
    check(Counter(row[2] for row in rejected) == Counter(plan.counts.rejected_by_reason), "other reasons than counted")
    check(plan.counts.rejected_by_reason.keys() <= set(REASONS), "an unknown reason")
    for line, _, _, source in rejected:
        check(int(line) > 0 and Path(source).name in sources, f"rejected: {line} of {source!r}")
    for line, raw, number, first_line, source, first_source in repeated:
        check(int(line) > 0 and int(first_line) > 0 and raw and number in numbers, f"repeated: {line}")
        check({Path(source).name, Path(first_source).name} <= sources, f"repeated: of {source!r}")


def check_cells(outcome: Outcome, numbers: list[str], written: Written) -> bool:
    """Check an outcome against the slow way, and return whether there is one."""
    if not isinstance(outcome, UsageError):
        check_runs(written)
    expected = expected_of(written.files, written.job)
    if expected is None:
        return False
    read = len(expected.accepted) + len(expected.rejected) + len(expected.repeated)
    enough = expected.accepted and len(expected.rejected) <= read * written.job.max_rejected
    if isinstance(outcome, UsageError):
        check(not enough, f"refused, although there is nothing wrong: {outcome}")
        return True
    check(enough, "not refused")
    check(numbers == expected.accepted, f"accepted {numbers} in place of {expected.accepted}")
    rejected = table_of((written.job.directory / "rejected.csv").read_bytes())[1:]
    repeated = table_of((written.job.directory / "duplicates.csv").read_bytes())[1:]
    check([int(row[0]) for row in rejected] == expected.rejected, "other lines were rejected")
    check([(int(row[0]), int(row[3])) for row in repeated] == expected.repeated, "other lines are repeated")
    return True


async def judge_list(listing: Listing, folder: Path, workers: Workers) -> str:
    """Return the kind of outcome of a list; raises `AssertionError` when it breaks the rule."""
    written = write_list(listing, folder)
    outcome = await read(written, listing, workers)
    numbers: list[str] = []
    if isinstance(outcome, UsageError):
        check_refusal(outcome, written)
    else:
        numbers = check_plan(outcome, written, piped=listing.piped is not None)
    told = check_cells(outcome, numbers, written)
    await _check_again(outcome, written, listing, workers)
    return f"{'refused' if isinstance(outcome, UsageError) else 'read'}{', told beforehand' * told}"


async def _check_again(outcome: Outcome, written: Written, listing: Listing, workers: Workers) -> None:
    """Check that other blocks, and the way of large lists, give the same; and that lost files come back."""
    size = sum(len(made.content) for made in written.files)
    packed = any(made.content.startswith(PACKED) for made in written.files)  # and who knows how large
    other = dataclasses.replace(written.job, directory=written.job.directory.with_name("again"))
    with buckets():
        again = await read(written._replace(job=other), listing, workers, max(1 << 17 if packed else 64, size // 20))
    if isinstance(outcome, UsageError):
        same = str(again).replace(str(other.directory), str(written.job.directory)) == str(outcome)
        check(same, f"two readings disagree: {outcome} | {again}")
        return
    check(again == outcome, f"two readings disagree: {outcome} | {again}")
    files = files_of(other.directory)
    check(files == files_of(written.job.directory), "two readings wrote other files")
    chunk_path(other.directory, outcome.chunks[-1].chunk).unlink()
    stdin = None if written.stdin is None else io.BytesIO(written.stdin)
    await rebuild(other, workers, Planned(outcome.chunks, outcome.counts.columns), stdin, keep=listing.keep)
    check(files_of(other.directory) == files, "a lost chunk file came back as another one")


def judge(seed: int, workers: Workers | None = None) -> tuple[str, str]:
    """Return the kind of outcome of a seed, and what broke the rule, if anything."""
    listing = listing_of(seed)
    started = time.process_time()
    try:
        with tempfile.TemporaryDirectory() as name:
            kind = asyncio.run(judge_list(listing, Path(name), workers or InPlace(2)))
    except Exception as error:  # noqa: BLE001 - any other exception is what is looked for
        return "fault", f"{type(error).__name__}: {error}"
    if (taken := time.process_time() - started) > SLOWEST_S:
        return "fault", f"too slow: {taken:.1f} s"
    return kind, ""


def judge_all(first: int, count: int) -> Tally:
    """Judge the seeds `first` to `first + count - 1`: a piece."""
    outcomes: Counter[str] = Counter()
    faults = []
    for seed in range(first, first + count):
        kind, what = judge(seed)
        outcomes[kind] += 1
        if what:
            faults.append(Fault(seed, what))
    return Tally(outcomes, faults)


async def campaign(first: int, count: int, processes: int) -> Tally:
    """Judge seeds on worker processes."""
    return await results.campaign(first, count, processes, judge_all, LIMITS)


if __name__ == "__main__":
    # Worker processes find a piece by the name of its module, which this one does not go by now.
    from tests.fuzz import lists

    results.main(lists.campaign, "lists")
