"""The fast path against `normalise`, which is the specification: what the tests and the campaign compare."""

from __future__ import annotations

import random
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import phonenumbers
from phonenumbers import PhoneMetadata

from orchestrator.intake.numbers.decide import NumberRules, normalise
from orchestrator.intake.numbers.lookup.accept import UNDECIDED, accept_block
from orchestrator.intake.numbers.lookup.lookup_tables import LookupTables, load_tables

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

TYPES = (
    "general_desc", "fixed_line", "mobile", "toll_free", "premium_rate", "shared_cost", "voip", "personal_number",
    "pager", "uan", "voicemail",
)  # fmt: skip


@lru_cache
def metadata() -> list[tuple[int, str, PhoneMetadata]]:
    return [
        (code, region, plan)
        for code, regions in phonenumbers.COUNTRY_CODE_TO_REGION_CODE.items()
        for region in regions
        if (plan := PhoneMetadata.metadata_for_region_or_calling_code(code, region)) is not None
    ]


@lru_cache
def examples() -> list[tuple[int, str, str]]:
    """Return the example numbers of every region and type: calling code, region, national number."""
    found: dict[tuple[int, str, str], None] = {}
    for code, region, plan in metadata():
        for name in TYPES:
            kind = getattr(plan, name)
            if kind is not None and kind.example_number:
                found[code, region, kind.example_number] = None
    return list(found)


def neighbours(number: str) -> Iterator[str]:
    """Yield the number with each digit replaced by each other one, or left out, and with digits behind it."""
    for i in range(len(number)):
        yield from (f"{number[:i]}{digit}{number[i + 1 :]}" for digit in "0123456789")
        yield number[:i] + number[i + 1 :]
    yield from (f"{number}{digit}" for digit in "0123456789")
    yield f"{number}12"


def decide(lines: Sequence[str], tables: LookupTables, excluded: Iterable[int] = ()) -> list[int]:
    data = [line.encode() for line in lines]
    ends = np.cumsum([len(line) + 1 for line in data]) - 1
    starts = ends - [len(line) for line in data]
    found: list[int] = accept_block(b"\n".join(data), starts, ends, tables, frozenset(excluded)).tolist()
    return found


def compare(lines: Sequence[str], region: str | None, folder: Path) -> tuple[int, int, list[str]]:
    """Check every decision; return how many were made, how many lines are numbers, and the numbers left undecided."""
    rules = NumberRules(region, frozenset())
    decided, numbers, left = 0, 0, []
    for line, found in zip(lines, decide(lines, load_tables(region, folder)), strict=True):
        expected = normalise(line.strip(), rules)
        if found != UNDECIDED:
            assert found == expected, line
            decided += 1
        elif isinstance(expected, int):
            left.append(line)
        numbers += isinstance(expected, int)
    return decided, numbers, left


def compare_neighbours(folder: Path, *, one_in: int) -> int:
    """Compare one in so many neighbours of every example of every region; return how many lines there were."""
    lines = [f"+{code}{near}" for code, _, number in examples() for near in neighbours(number)][::one_in]
    decided, numbers, left = compare(lines, None, folder)
    assert decided > len(lines) * 0.6
    assert decided + len(left) == numbers
    assert {line[:4] for line in left} <= {"+241", "+672"}  # Gabon and Norfolk Island: prefixes are rewritten
    return len(lines)


def compare_random_digits(folder: Path, *, a_code: int) -> int:
    """Compare random digits behind every calling code, and behind what is none; return how many lines there were."""
    rnd = random.Random(5)  # noqa: S311 - the same every time
    codes = [str(code) for code, _, _ in metadata()] + ["999", "0", "210", ""]
    lines = [
        f"+{code}{''.join(rnd.choices('0123456789', k=rnd.randint(3, 14)))}" for code in codes for _ in range(a_code)
    ]
    assert compare(lines, None, folder)[0] > len(lines) / 200
    return len(lines)
