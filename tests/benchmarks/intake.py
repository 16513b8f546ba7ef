"""Measure how fast a list becomes chunk files, beside what a user would write.

    python -m tests.benchmarks.intake 10_000_000                    # speed, memory of all processes, same output
    python -m tests.benchmarks.intake 1_000_000 --baseline 100_000  # a short run
    python -m tests.benchmarks.intake 1_000_000 --prove             # the fast path against phonenumbers, line by line

The list is E.164 lines of twelve countries, one in twenty a duplicate. The user's way is one process that parses,
checks and formats each line with `phonenumbers`, knows by a set what it has seen, and writes chunk files. As it takes
minutes where we take seconds, it gets the first lines of the same list; what it writes has to be what ours begins with.
Start-up is counted, and so are our syncs.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import sys
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import phonenumbers

from tests.benchmarks.figures import Taken, watched

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator

    from numpy.typing import NDArray

CHUNK = 20_000
BATCH = 1_000_000
COUNTRIES = ("CH", "US", "GB", "DE", "FR", "IT", "ES", "BR", "IN", "ID", "MX", "TR")
DUPLICATES = 0.05
FREE_DIGITS = 6
SHUFFLE = 982_451_653
"""A prime: multiples of it, modulo the count of numbers that there are, take each of them once."""
LINES_OF_A_PROOF = 4_000
MARKS = ("", "", "", " ", "-", ".", "/", "(", ")", " (0)", "00", "+", "'", ";", "x", "\t", "0")


def write_list(path: Path, count: int) -> None:
    """Write `count` lines. A line is new, or, one in twenty, repeats any line before."""
    rng = np.random.default_rng(1)
    with path.open("wb") as file:
        for begin in range(0, count, BATCH):
            places = np.arange(begin, min(begin + BATCH, count))
            again = rng.random(len(places)) < DUPLICATES
            again[0] &= begin > 0
            places[again] = rng.integers(0, places[again])
            file.write(lines_of(places))


def lines_of(places: NDArray[np.int64]) -> bytes:
    """Return a line for each place, with a valid number of its own, of which neighbours are far apart."""
    heads = np.array(_heads())
    shuffled = (places * SHUFFLE + 1) % (len(heads) * 10**FREE_DIGITS)
    numbers = heads[shuffled // 10**FREE_DIGITS] * 10**FREE_DIGITS + shuffled % 10**FREE_DIGITS
    return ("+" + "\n+".join(map(str, numbers.tolist())) + "\n").encode()


@cache
def _heads() -> list[int]:
    """Return beginnings of mobile numbers, which are valid whatever six digits follow."""
    heads = []
    for region in COUNTRIES:
        number = phonenumbers.example_number_for_type(region, phonenumbers.PhoneNumberType.MOBILE)
        if number is None:
            raise LookupError(region)
        example = int(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)[1:-FREE_DIGITS])
        heads += [head for head in range(example // 100 * 100, example // 100 * 100 + 100) if _is_head(head)]
    return heads


def _is_head(head: int) -> bool:
    tails = (tail % 10**FREE_DIGITS for tail in range(0, 40 * 271_829, 271_829))
    numbers = (f"+{head}{tail:0{FREE_DIGITS}d}" for tail in tails)
    return all(phonenumbers.is_valid_number(phonenumbers.parse(number)) for number in numbers)


def theirs(folder: Path, lines: int) -> None:
    """Read the first lines of the list as a user would."""
    seen: set[str] = set()
    chunk: list[str] = []
    chunks = 0
    with (folder / "list.txt").open() as file:
        for _, line in zip(range(lines), file, strict=False):
            try:
                number = phonenumbers.parse(line.strip(), None)
            except phonenumbers.NumberParseException:
                continue
            if not phonenumbers.is_valid_number(number):
                continue
            text = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
            if text in seen:
                continue
            seen.add(text)
            chunk.append(text)
            if len(chunk) == CHUNK:
                chunks += 1
                (folder / f"theirs{chunks:06d}.txt").write_text("\n".join(chunk) + "\n")
                chunk = []
    (folder / f"theirs{chunks + 1:06d}.txt").write_text("\n".join(chunk) + "\n")


def ours(folder: Path) -> None:
    """Read the list as the program does."""
    from orchestrator.intake import ChunkLimits, read_list  # noqa: PLC0415 - theirs must not pay for it
    from orchestrator.settings import JobSettings  # noqa: PLC0415
    from orchestrator.workers import Workers  # noqa: PLC0415

    async def read() -> int:
        job = JobSettings(name="job", inputs=(str(folder / "list.txt"),), directory=folder / "job")
        async with Workers(os.cpu_count() or 1) as workers:
            plan = await read_list(job, lambda _: ChunkLimits(CHUNK, 1, 10_000_000), workers)
        return plan.counts.accepted

    (folder / "accepted").write_text(str(asyncio.run(read())))


def run_side(side: str, folder: Path, lines: int) -> Taken:
    """Run one side in a process of its own."""
    command = [sys.executable, "-m", "tests.benchmarks.intake", str(lines), "--side", side, "--folder", str(folder)]
    return watched(command)


def same_output(folder: Path) -> bool:
    """Whether our chunk files begin with what theirs hold."""
    expected = b"".join(path.read_bytes() for path in sorted(folder.glob("theirs*.txt")))
    found = b""
    for path in sorted((folder / "job" / "chunks").iterdir()):
        found += path.read_bytes()
        if len(found) >= len(expected):
            break
    return bool(expected) and found.startswith(expected)


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn of both sides: the user's had the first `baseline` of the `lines`."""

    lines: int
    baseline: int
    ours: Taken
    theirs: Taken

    @property
    def ratio(self) -> float:
        """How many times as many lines a second we read."""
        return (self.lines / self.ours.clock_s) / (self.baseline / self.theirs.clock_s)

    def told(self) -> str:
        """Say it as JSON."""
        figures = {
            "lines": self.lines,
            "seconds": self.ours.clock_s,
            "numbers/s": self.lines / self.ours.clock_s,
            "cpu_s": self.ours.cpu_s,
            "peak_mb": self.ours.peak_bytes / 1e6,
            "baseline numbers/s": self.baseline / self.theirs.clock_s,
            "baseline peak_mb": self.theirs.peak_bytes / 1e6,
            "baseline cpu_s": self.theirs.cpu_s,
            "ratio": self.ratio,
        }
        return json.dumps({key: round(value, 2) for key, value in figures.items()})


def compare(lines: int, baseline: int, rounds: int) -> Iterator[Turn]:
    """Measure both sides in turns; raises `SystemExit` when their output differs."""
    baseline = min(baseline, lines)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_list(folder / "list.txt", lines)
        for _ in range(rounds):
            ours_took, theirs_took = run_side("ours", folder, lines), run_side("theirs", folder, baseline)
            if not same_output(folder):
                raise SystemExit("the outputs differ")
            yield Turn(lines, baseline, ours_took, theirs_took)


def alone(lines: int) -> Taken:
    """Measure our side, without the other."""
    with tempfile.TemporaryDirectory() as name:
        write_list(Path(name) / "list.txt", lines)
        return run_side("ours", Path(name), lines)


def prove(seed: int, region: str | None) -> tuple[int, int, list[str]]:
    """Compare the fast path with `normalise` on generated lines: a piece. Returns lines, decisions, and mistakes."""
    from orchestrator.intake.numbers.decide import NumberRules, normalise  # noqa: PLC0415
    from orchestrator.intake.numbers.lookup.accept import UNDECIDED, accept_block  # noqa: PLC0415 - the sides must not pay for it
    from orchestrator.intake.numbers.lookup.lookup_tables import cache_folder, load_tables  # noqa: PLC0415

    lines = list(_lines(random.Random(seed), region))  # noqa: S311 - the same lines for the same seed
    data = [line.encode() for line in lines]
    ends = np.cumsum([len(line) + 1 for line in data]) - 1
    starts = ends - [len(line) for line in data]
    found = accept_block(b"\n".join(data), starts, ends, load_tables(region, cache_folder())).tolist()
    rules = NumberRules(region, frozenset())
    pairs = [(line, number) for line, number in zip(lines, found, strict=True) if number != UNDECIDED]
    return len(lines), len(pairs), [line for line, number in pairs if normalise(line.strip(), rules) != number]


def _lines(rnd: random.Random, region: str | None) -> list[str]:
    """Return lines that are nearly numbers: of the region's code and others, in forms of all kinds."""
    codes = list(phonenumbers.COUNTRY_CODE_TO_REGION_CODE)
    home = phonenumbers.country_code_for_region(region) if region else 0
    lines = []
    for _ in range(LINES_OF_A_PROOF):
        code = home if home and rnd.random() < 0.6 else rnd.choice(codes)
        national = _national(rnd, code)
        start = rnd.choice(["+", "+", "+", "00", "", "", "011", "0"])
        text = start + (str(code) if start in {"+", "00", "011"} or rnd.random() < 0.3 else "") + national
        for _ in range(rnd.choice([0, 0, 1, 3])):
            place = rnd.randint(0, len(text))
            text = text[:place] + rnd.choice(MARKS) + text[place:]
        lines.append(text)
    return lines


def _national(rnd: random.Random, code: int) -> str:
    """Return an example number of a calling code, changed in up to three digits, or random digits."""
    region = rnd.choice(phonenumbers.COUNTRY_CODE_TO_REGION_CODE[code])
    kind = rnd.choice([0, 1, 1, 1, 2, 3, 4, 6])
    number = phonenumbers.example_number_for_type(region, kind) if region != "001" else None
    number = number or phonenumbers.example_number_for_non_geo_entity(code)
    if number is None or rnd.random() < 0.1:
        return "".join(rnd.choices("0123456789", k=rnd.randint(4, 13)))
    digits = list(phonenumbers.national_significant_number(number))
    for _ in range(rnd.randint(0, 3)):
        digits[rnd.randrange(len(digits))] = rnd.choice("0123456789")
    digits += rnd.choices("0123456789", k=rnd.choice([0, 0, 0, 1]))
    return "".join(digits[: len(digits) - rnd.choice([0, 0, 0, 1])])


async def _prove_all(count: int) -> None:
    from orchestrator.workers import Workers  # noqa: PLC0415 - the sides must not pay for it

    regions = [None, *sorted(phonenumbers.SUPPORTED_REGIONS)]
    rounds = -(-count // LINES_OF_A_PROOF)

    async def calls() -> AsyncGenerator[tuple[object, ...]]:
        for seed in range(rounds):
            yield seed, regions[seed % len(regions)]

    async with Workers(os.cpu_count() or 1) as workers:
        results = await workers.map(prove, calls())
    lines, decided = sum(result[0] for result in results), sum(result[1] for result in results)
    mistakes = [line for result in results for line in result[2]]
    print(f"{lines:,} lines in {len(regions)} regions, {decided:,} decided, {len(mistakes)} wrongly")  # noqa: T201
    if mistakes:
        raise SystemExit("\n".join(mistakes[:20]))


def main() -> None:
    """Measure, or prove, what the command line says."""
    parser = argparse.ArgumentParser()
    parser.add_argument("lines", type=int)
    parser.add_argument("--baseline", type=int, default=300_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--prove", action="store_true")
    parser.add_argument("--side", choices=["ours", "theirs"])
    parser.add_argument("--folder", type=Path)
    given = parser.parse_args()
    if given.side == "ours":
        ours(given.folder)
    elif given.side == "theirs":
        theirs(given.folder, given.lines)
    elif given.prove:
        asyncio.run(_prove_all(given.lines))
    else:
        for turn in compare(given.lines, given.baseline, given.rounds):
            print(turn.told(), flush=True)  # noqa: T201 - the point


if __name__ == "__main__":
    main()
