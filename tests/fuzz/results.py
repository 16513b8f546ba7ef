"""Alter result files by seed, and see what the check makes of them.

    python -m tests.fuzz.results --seeds 100_000 --from 0

For every seed one file is made, as one of several writers would, then its bytes, its zip structure or the tokens of its
parts are altered. The rule:

- the outcome is a report that fits the chunk and a whole verdict file, or `DamagedResultError`, and nothing else;
- no process dies, hangs, or needs more than `check_limits`.

A seed that breaks the rule is printed with the command that replays it.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import os
import random
import re
import struct
import tempfile
import time
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, NamedTuple

from orchestrator.errors import DamagedResultError, PieceDiedError
from orchestrator.jobdir.verdict_files import read_verdicts
from orchestrator.results import ResultCheck, check_limits
from orchestrator.results.check import check_result
from orchestrator.workers import PieceLimits, Workers
from tests.benchmarks.results import KINDS, Rows, by_sandbox

ROWS = 60
BATCH = 50
SLOWEST_S = 5.0
"""Processor time that no file of this size needs."""

Alter = Callable[[random.Random, bytes], bytes]

METHODS = (zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED)
SNIPPETS = (
    *(b"<!DOCTYPE x>", b"<!-- x -->", b"<![CDATA[yes]]>", b"<?x y?>", b"&amp;", b"&lt;", b"&x;", b"&#49;", b"_x0041_"),
    *(b"<f>1+1</f>", b"<c/>", b"<row/>", b"<row></row>", b"<v>yes</v>", b"<is><t>yes</t></is>", b"<v></v>", b"<t/>"),
    *(b'<c r="C3"><v>1</v></c>', b'<c r="AA1"><v>1</v></c>', b'<c r="XFD1048576"><v>1</v></c>', b'<c r="B2"/>'),
    *(b'<row r="1048576"><c><v>1</v></c></row>', b'<row r="3"><c r="A3"><v>41791234567</v></c></row>'),
    *(b"<si><t>yes</t></si>", b"<si><r><t>ye</t></r><r><t>s</t></r></si>", b"<phoneticPr/>", b"<sheetData/>"),
    *(b'<c r="B3" t="b"><v>1</v></c>', b'<c t="e"><v>#N/A</v></c>', b'<c t="d"><v>2024-01-01</v></c>', b"</sheetData>"),
    *(b"\0", b"\r", b"\n", b"\t", b" ", b'"', b"'", b",", b";", b"\xef\xbb\xbf", b"\xff", b"\xc3\xad", b"9" * 30),
    *(b"+", b"-", b"0", b"1", b".0", b".5", b"e9", b"yes", b"no", b"unanswered", b"failed", b"s", b"t", b"A", b"Z"),
    *(b' t="s"', b' t="n"', b' t="str"', b' s="1"', b' r="5"', b' r="B5"', b' xml:space="preserve"', b' spans="1:2"'),
)
TIME = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
TOKENS = re.compile(rb"<[^>]*>|[^<,;\n]+|[,;\n]")


class Fault(NamedTuple):
    """A seed that broke the rule."""

    seed: int
    what: str


class Tally(NamedTuple):
    """What some seeds gave: how often each outcome, and what broke the rule."""

    outcomes: Counter[str]
    faults: list[Fault]


Judge = Callable[[int, int], Tally]
"""Judges some seeds from one on: a piece."""


# --- making files ---------------------------------------------------------------------------------------------------


def rows_of(seed: int) -> Rows:
    """Return the rows of the seed's chunk, with words that need care."""
    chance = random.Random(seed % 7)  # noqa: S311 - few different ones, so that files can be kept
    words = ("yes", "no", "no", "N/A", "ban", "s\u00ed", "1", "0", "")
    numbers = chance.sample(range(10**7, 10**8), ROWS)
    return [(f"+417{number}", chance.choice(words[:3] if seed % 2 else words)) for number in numbers]


def _numeric(rows: Rows) -> bytes:
    import openpyxl  # noqa: PLC0415 - a writer among others

    book = openpyxl.Workbook()
    sheet = book["Sheet"]
    sheet.append(["Number", "name", "instagram"])
    for number, word in rows:
        sheet.append([int(number), "x", {"1": 1, "0": 0}.get(word, word)])
    packed = io.BytesIO()
    book.save(packed)
    return packed.getvalue()


def _csv(rows: Rows) -> bytes:
    return "".join(f"{number},{word}\r\n" for number, word in [("Number", "instagram"), *rows]).encode("utf-8-sig")


WRITERS: tuple[Callable[[Rows], bytes], ...] = (
    *KINDS.values(),
    lambda rows: by_sandbox(rows, references=True, shared=False),
    lambda rows: by_sandbox(rows, references=False, shared=True),
    _numeric,
    _csv,
)


@lru_cache(maxsize=256)
def _made(writer: int, variant: int) -> bytes:
    rows = rows_of(variant)
    plain = [(number, word if word in {"yes", "no"} else "no") for number, word in rows]
    try:
        content = WRITERS[writer](rows)
    except KeyError:  # the embedded vendor's writer knows its own words only
        content = WRITERS[writer](plain)
    return timeless(content)


def timeless(content: bytes) -> bytes:
    """Return a zip without the times of its making, which would make each run's files different."""
    if not content.startswith(b"PK"):
        return content
    parts = {name: timeless(part) for name, part in parts_of(content).items()}
    dated = {
        name: re.sub(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", b"2024-01-01T00:00:00Z", part) for name, part in parts.items()
    }
    return packed_of(zipfile.ZIP_DEFLATED, list(dated.items()))


# --- altering them --------------------------------------------------------------------------------------------------


def alter_bytes(chance: random.Random, content: bytes) -> bytes:
    """Flip, cut, double or insert a few bytes."""
    data = bytearray(content)
    for _ in range(chance.randint(1, 3)):
        if not data:
            break
        start = chance.randrange(len(data))
        end = min(len(data), start + chance.choice((1, 1, 2, 4, 40)))
        match chance.randrange(5):
            case 0:
                data[start] ^= 1 << chance.randrange(8)
            case 1:
                del data[start:end]
            case 2:
                data[start:start] = data[start:end]
            case 3:
                data[start:end] = chance.randbytes(end - start)
            case _:
                data[start:start] = chance.choice(SNIPPETS)
    return bytes(data)


def alter_tokens(chance: random.Random, content: bytes) -> bytes:
    """Delete, double, swap, move or change a few tokens of a text, near its beginning more often than not."""
    tokens = TOKENS.findall(content)
    for _ in range(chance.choice((1, 1, 1, 2, 5))):
        if not tokens:
            break
        place = chance.randrange(min(len(tokens), chance.choice((40, len(tokens)))))
        other = chance.randrange(len(tokens))
        match chance.randrange(7):
            case 0:
                del tokens[place]
            case 1:
                tokens.insert(place, tokens[place])
            case 2:
                tokens[place], tokens[other] = tokens[other], tokens[place]
            case 3:
                tokens.insert(place, tokens[other])
            case 4:
                tokens.insert(place, chance.choice(SNIPPETS))
            case 5:
                tokens[place] = alter_bytes(chance, tokens[place])
            case _:
                tokens[place] = _altered_attribute(chance, tokens[place])
    return b"".join(tokens)


def _altered_attribute(chance: random.Random, token: bytes) -> bytes:
    """Exchange a number or a name inside of a token."""
    found = list(re.finditer(rb"[0-9]+|[A-Za-z]+", token))
    if not found:
        return token
    one = chance.choice(found)
    new = chance.choice((b"0", b"1", b"2", b"63", b"1048576", b"4294967296", b"s", b"b", b"inlineStr", b"A", b"", b"r"))
    return token[: one.start()] + new + token[one.end() :]


def alter_text(chance: random.Random, content: bytes) -> bytes:
    """Alter the tokens of a csv file, or of one part of a zip, which is packed anew."""
    if not content.startswith(b"PK"):
        return alter_tokens(chance, content)
    parts = parts_of(content)
    likely = [name for name in parts if re.search(r"sheet|Strings|csv|styles|workbook|\.txt", name)] or list(parts)
    name = chance.choice(likely)
    inner = parts[name].startswith(b"PK")
    parts[name] = (alter_text if inner else alter_tokens)(chance, parts[name])
    return packed_of(chance.choice(METHODS), list(parts.items()))


def alter_zip(chance: random.Random, content: bytes) -> bytes:
    """Alter names and order of members, or the numbers of their headers."""
    if not content.startswith(b"PK"):
        return alter_bytes(chance, content)
    if chance.random() < 0.5:
        return _altered_header(chance, content)
    members = list(parts_of(content).items())
    place = chance.randrange(len(members))
    name, part = members[place]
    match chance.randrange(6):
        case 0:
            del members[place]
        case 1:
            members.append((chance.choice((name, name.upper(), members[0][0])), part))
        case 2:
            members[place] = (chance.choice(("../x.csv", "/x.csv", "a\\x.csv", "x\x01.csv", name + "/", "")), part)
        case 3:
            members[place] = (name, chance.choice(members)[1])
        case 4:
            chance.shuffle(members)
        case _:
            members.append(("all.csv", chance.choice((part, _csv(rows_of(0)), bytes(5_000_000)))))
    return packed_of(chance.choice(METHODS), members)


def _altered_header(chance: random.Random, content: bytes) -> bytes:
    magic = chance.choice((b"PK\x01\x02", b"PK\x03\x04", b"PK\x05\x06"))
    places = [found.start() for found in re.finditer(re.escape(magic), content)]
    if not places:
        return content
    data = bytearray(content)
    at = chance.choice(places) + 4 + 2 * chance.randrange(21 if magic == b"PK\x01\x02" else 9)
    value = chance.choice((0, 1, 8, 9, 99, 0x7FFF, 0xFFFF, chance.randrange(1 << 16)))
    if at + 2 <= len(data):
        struct.pack_into("<H", data, at, value)
    return bytes(data)


def parts_of(content: bytes) -> dict[str, bytes]:
    """Return the members of a zip."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def packed_of(method: int, members: list[tuple[str, bytes]]) -> bytes:
    """Return a zip, the same for the same members."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", compresslevel=1) as archive, warnings.catch_warnings(action="ignore"):
        for name, part in members:
            archive.writestr(zipfile.ZipInfo(name or "-"), part, method)  # of a fixed date
    return packed.getvalue()


ALTERATIONS: tuple[Alter, ...] = (alter_text, alter_text, alter_text, alter_zip, alter_bytes)


def file_of(seed: int) -> bytes:
    """Return the altered file of a seed."""
    chance = random.Random(seed)  # noqa: S311 - by seed
    content = _made(seed % len(WRITERS), seed // len(WRITERS) % 14)
    return chance.choice(ALTERATIONS)(chance, content)


# --- judging the outcome --------------------------------------------------------------------------------------------


def outcome(content: bytes, folder: Path, numbers: list[str]) -> str:
    """Return the outcome of a check in one line; raises `AssertionError` when it does not fit the chunk."""
    result, verdicts = folder / "result", folder / "verdicts.bin"
    result.write_bytes(content)
    (folder / "chunk.txt").write_text("".join(f"{number}\n" for number in numbers))
    check = ResultCheck(result, folder / "chunk.txt", verdicts, "instagram", (), "task", None)
    try:
        report, found = check_result(check)
    except DamagedResultError:
        return "damaged"
    verdicts.write_bytes(found)
    written = read_verdicts(verdicts)
    counted = Counter(written.words[code] for code in written.codes)
    fits = len(written.codes) == len(numbers) and counted == report.counts and 0 < report.rows <= len(numbers)
    if not fits or report.foreign > report.rows + report.doubled or report.contradictions > report.doubled:
        raise AssertionError(f"the report does not fit: {report}")
    return f"{report.counts} {report.rows} {report.foreign} {report.contradictions} {report.verdicts_sha256}"


def judge(seed: int, folder: Path) -> tuple[str, str]:
    """Return the kind of outcome of a seed, and what broke the rule, if anything."""
    numbers = [number for number, _ in rows_of(seed // len(WRITERS) % 14)]
    content = file_of(seed)
    started = time.process_time()
    try:
        found = outcome(content, folder, numbers)
    except Exception as error:  # noqa: BLE001 - any other exception is what is looked for
        return "fault", f"{type(error).__name__}: {error}"
    if time.process_time() - started > SLOWEST_S:
        return "fault", "too slow"
    return ("damaged" if found == "damaged" else "read"), ""


def judge_all(first: int, count: int) -> Tally:
    """Judge the seeds `first` to `first + count - 1`: a piece."""
    outcomes: Counter[str] = Counter()
    faults = []
    with tempfile.TemporaryDirectory() as name:
        for seed in range(first, first + count):
            kind, what = judge(seed, Path(name))
            outcomes[kind] += 1
            if what:
                faults.append(Fault(seed, what))
    return Tally(outcomes, faults)


async def campaign(
    first: int, count: int, processes: int, piece: Judge = judge_all, limits: PieceLimits | None = None
) -> Tally:
    """Judge seeds on worker processes, as the piece does; one that kills its process is found and named."""
    batch = partial(_judged, piece=piece, limits=limits or check_limits(ROWS))
    starts = iter(range(first, first + count, BATCH))
    tallies: list[Tally] = []

    async def take_turns(workers: Workers) -> None:
        for start in starts:
            tallies.append(await batch(workers, start, min(BATCH, first + count - start)))  # noqa: PERF401 - shared

    async with Workers(processes) as workers, asyncio.TaskGroup() as group:
        for _ in range(2 * processes):
            group.create_task(take_turns(workers))
    return _sum(tallies)


async def _judged(workers: Workers, first: int, count: int, *, piece: Judge, limits: PieceLimits) -> Tally:
    try:
        return await workers.run(piece, first, count, limits=limits)
    except PieceDiedError as error:
        if count == 1:
            return Tally(Counter(fault=1), [Fault(first, str(error))])
    return _sum([await _judged(workers, seed, 1, piece=piece, limits=limits) for seed in range(first, first + count)])


def _sum(tallies: Sequence[Tally]) -> Tally:
    faults = sorted(fault for tally in tallies for fault in tally.faults)
    return Tally(sum((tally.outcomes for tally in tallies), Counter[str]()), faults)


def main(run: Callable[[int, int, int], Coroutine[Any, Any, Tally]] = campaign, module: str = "results") -> None:
    """Run a campaign as the command line has it, and print what it found."""
    options = argparse.ArgumentParser(description=f"Alter {module} by seed.")
    options.add_argument("--seeds", type=int, default=10_000)
    options.add_argument("--from", type=int, default=0, dest="first")
    given = options.parse_args()
    tally = asyncio.run(run(given.first, given.seeds, os.cpu_count() or 1))
    print(f"{given.seeds:,} seeds: {dict(tally.outcomes)}")  # noqa: T201 - the point
    for fault in tally.faults:
        print(f"{fault.what}\n    python -m tests.fuzz.{module} --seeds 1 --from {fault.seed}")  # noqa: T201 - the point
    raise SystemExit(bool(tally.faults))


if __name__ == "__main__":
    # Worker processes find a piece by the name of its module, which this one does not go by now.
    from tests.fuzz import results

    results.main()
