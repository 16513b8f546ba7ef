"""The fast path against `normalise`, which is the specification; 200,000 comparisons more are in tests/fuzz."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import numpy as np
import phonenumbers
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.intake.numbers.decide import NumberRules, normalise
from orchestrator.intake.numbers.lookup.accept import BATCH, EXCLUDED, LONGEST_LINE, UNDECIDED, is_plain
from orchestrator.intake.numbers.lookup.lookup_tables import load_tables
from tests.intake.numbers.lookup.compared import (
    compare,
    compare_neighbours,
    compare_random_digits,
    decide,
    examples,
    metadata,
    neighbours,
)

if TYPE_CHECKING:
    from pathlib import Path

COMMON = ("CH", "US", "GB", "DE", "BR", "JP", "RU", "IT")
ODD = ("AR", "KZ", "HU", "GG", "MG", "SM", "NF", "FO", "BY", "KR", "CO", "AU", "CC", "GA", "LI", "LU", "UZ", "FR")
"""Prefixes that are rewritten, optional, longer than a digit, or begin like numbers. All others: the benchmark."""


@pytest.fixture(scope="session", autouse=True)
def compiled() -> None:
    """Let `phonenumbers` keep what it compiles: with all regions at once it would compile for every number."""
    if hasattr(phonenumbers, "enable_pattern_cache"):
        phonenumbers.enable_pattern_cache()


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tables")


def test_examples_of_all_regions_and_their_neighbours(folder: Path) -> None:
    """What is accepted is what `phonenumbers` accepts, and nothing that it accepts is missed but rewritten prefixes.

    All neighbours are a campaign's: tests/fuzz. One in 23 changes every place of a number, and meets every region.
    """
    assert compare_neighbours(folder, one_in=23) > 5_000


def test_national_prefixes_behind_the_calling_code(folder: Path) -> None:
    """`phonenumbers` drops a national prefix even behind a plus sign: such a number is never taken as it stands."""
    prefixes = {code: {plan.national_prefix or "0", "0", "1", "8", "15", "06"} for code, _, plan in metadata()}
    lines = [f"+{code}{prefix}{number}" for code, _, number in examples() for prefix in prefixes[code]]
    decided, numbers, left = compare(lines, None, folder)
    assert len(lines) > 5_000
    assert decided > 500
    assert decided + len(left) == numbers


def test_the_trap(folder: Path) -> None:
    """A number with a national prefix behind its calling code becomes the number without; Italy's zero stays."""
    lines = ["+4407911123456", "+447911123456", "+390612345678", "+80012345678", "+78121234567", "+788121234567"]
    assert decide(lines, load_tables(None, folder)) == [
        447911123456, 447911123456, 390612345678, 80012345678, 78121234567, 78121234567,
    ]  # fmt: skip


def test_random_digits_for_every_calling_code(folder: Path) -> None:
    """Random digits behind every calling code, and behind what is none, are decided as `phonenumbers` would."""
    assert compare_random_digits(folder, a_code=12) > 2_500


def written(code: int, national: str, trunk: str, rnd: random.Random) -> list[str]:
    """Write a number in the ways of people and of programs."""
    spaced = " ".join(national[i : i + 3] for i in range(0, len(national), 3))
    mark = rnd.choice("-./ ")
    return [
        f"+{code} {spaced}",
        f"(+{code}) {spaced}",
        f"+{code} ({trunk}){spaced}",
        f"+{code}-({national[:3]}){mark}{national[3:]}",
        f"00{code}{national}",
        f"00 {code} ({trunk}) {spaced}",
        f"011 {code} {spaced}",
        f"{trunk}{national}",
        f"({trunk}{national[:2]}) {national[2:5]}{mark}{national[5:]}",
        f"{national[:3]}{mark}{national[3:6]}{mark}{national[6:]}",
        f"{code}{national}",
        f"{code} {spaced}",
        f" \t'+{code}{national}';",
        f'"{trunk}{spaced}",',
        f"[{trunk}/{national}]",
        f"+{code}{national}.0",
        f"'+{code}{national}.0.",
        f"{code}.{national}.",
        f"{national},00",
        f"+ {code} {national}+",
        f"++{code}{national}",
        f"{national} +{code}",
        f"+{code}{national} x12",
        f"+{code},{national}",
        f"tel:+{code}{national}",
        f"+{code}\N{NO-BREAK SPACE}{national}",
    ]


@pytest.mark.parametrize("region", [None, *COMMON])
def test_written_numbers(region: str | None, folder: Path) -> None:
    """Spaces, dashes, brackets, quotes and prefixes change nothing: the result is that of `phonenumbers`."""
    rnd = random.Random(region or "")  # noqa: S311 - the same every time
    home = phonenumbers.country_code_for_region(region) if region else 41
    own = [one for one in examples() if one[0] == home]
    foreign = rnd.sample(examples(), 20)
    plans = {code: plan for code, _, plan in reversed(metadata())}
    lines = [
        line
        for code, _, number in own[:40] + foreign
        for near in [number, *rnd.sample(list(neighbours(number)), 1)]
        for line in written(code, near, plans[code].national_prefix or "0", rnd)
    ]
    decided, numbers, left = compare(lines, region, folder)
    assert decided > 0
    assert decided + len(left) == numbers


def test_common_forms_are_decided(folder: Path) -> None:
    """The forms that lists are full of don't need the slow path."""
    lines = [
        "+41 79 828 46 51", "079 828 46 51", "079-828-46-51", "(079) 828 46 51", "0798284651", "0041798284651",
        "00 41 (0)79 828 46 51", "+41 (0)79 828 46 51", "+41.79.828.46.51", "41798284651", '"+41798284651"',
    ]  # fmt: skip
    assert decide(lines, load_tables("CH", folder)) == [41798284651] * len(lines)
    american = ["(650) 253-0000", "1-650-253-0000", "650-253-0000", "650.253.0000", "011 41 79 828 46 51"]
    assert decide(american, load_tables("US", folder)) == [*[16502530000] * 4, 41798284651]


@pytest.mark.parametrize("region", ["NO", "SG", "NC", "US"])
def test_dates(region: str, folder: Path) -> None:
    """What may be a date is left to what tells it from a number; groups of two digits, and other signs, are none."""
    rnd = random.Random(region)  # noqa: S311 - the same every time
    lines = []
    for _ in range(4000):
        parts = [*rnd.sample([str(rnd.randint(0, 32)), f"{rnd.randint(0, 13):02d}", str(rnd.randint(1890, 2110))], 3)]
        one, other = rnd.choice("-./"), rnd.choice("-./ ")
        other = one if rnd.random() < 0.7 else other
        blank = rnd.choice(["", "", " "])
        text = f"{parts[0]}{one}{blank}{parts[1]}{other}{blank}{parts[2]}"
        lines.append(rnd.choice(["", "", "", '"', "(", "+47 "]) + text + rnd.choice(["", "", "", ".", '"', " 10", ";"]))
    compare(lines, region, folder)
    plain = {"NO": "22 22 22 22", "SG": "6521 8000", "NC": "28 12 79", "US": "650 253 0000"}[region]
    assert decide([plain, plain], load_tables(region, folder))[0] > 0


@pytest.mark.parametrize("region", [*COMMON, *ODD])
def test_digits_without_a_plus_sign(region: str, folder: Path) -> None:
    """Without a plus sign the default region decides: about prefixes, and about its own calling code in front."""
    rnd = random.Random(region)  # noqa: S311 - the same every time
    code = phonenumbers.country_code_for_region(region)
    plan = next(plan for _, name, plan in metadata() if name == region)
    own = [number for _, name, number in examples() if name == region]
    starts = ["", str(code), plan.national_prefix or "0", f"{code}{plan.national_prefix or '0'}", "0", "00", "1"]
    lines = [
        start + near
        for number in own
        for start in starts
        for near in [number, *rnd.sample(list(neighbours(number)), 2)]
    ]
    lines += [rnd.choice(starts) + "".join(rnd.choices("0123456789", k=rnd.randint(2, 12))) for _ in range(60)]
    assert compare(lines, region, folder)[0] > 0


@settings(deadline=None)  # the first look at a region builds its table
@given(
    st.lists(st.text(alphabet="+0123456789 ()-./[],;\"'\txe#*~_?\xa0\uff0b\u0664", max_size=24), max_size=30),
    st.sampled_from([None, "CH", "US", "GB", "BR"]),
)
def test_any_text(folder: Path, lines: list[str], region: str | None) -> None:
    """Whatever the characters and the borders of lines: what is decided is decided rightly."""
    rules = NumberRules(region, frozenset())
    for line, found in zip(lines, decide(lines, load_tables(region, folder)), strict=True):
        assert found == UNDECIDED or found == normalise(line.strip(), rules)


@settings(deadline=None)  # the first look at a region builds its table
@given(
    st.sampled_from(examples()),
    st.lists(
        st.sampled_from(
            ["", " ", "-", "(", ")", ".", "/", ",", ";", '"', "\t", "+", "0", "x", "#", "..", "---", "??", "_?"]
        ),
        max_size=8,
    ),
    st.randoms(use_true_random=False),
    st.sampled_from([None, "CH", "US", "GB"]),
)
def test_text_around_real_numbers(
    folder: Path, example: tuple[int, str, str], marks: list[str], rnd: random.Random, region: str | None
) -> None:
    """Marks anywhere in a real number are passed over where `phonenumbers` passes over them, and only there."""
    text = f"+{example[0]}{example[2]}"
    for mark in marks:
        place = rnd.randint(0, len(text))
        text = text[:place] + mark + text[place:]
    found = decide([text], load_tables(region, folder))[0]
    assert found == UNDECIDED or found == normalise(text.strip(), NumberRules(region, frozenset()))


def test_digits_behind_a_slash_or_in_brackets(folder: Path) -> None:
    """So many that nobody takes them for an extension belong to the number; fewer are left to the careful way."""
    tables = load_tables("AT", folder)
    usual = ["+43 664/1234567", "+43 664/123 45 67", "+43 (0)664/1234567", "0043 664/1234567", "+43 664 (1234567)"]
    assert decide(usual, tables) == [436641234567] * 5
    apart = ["+43 664/1234567/8", "+43 6641234567/89", "+43 664/1234 567 (8)", "+43 66412/12  34567", "+43 664/1234"]
    assert decide(apart, tables) == [UNDECIDED] * 5


def test_excluded_calling_codes(folder: Path) -> None:
    """A valid number whose calling code is not wanted is marked as such; a code is no prefix of another's numbers."""
    lines = ["+8613912345678", "+41798284651", "+12015550123", "0086 139 1234 5678", "+861391", "+88612345678", ""]
    found = decide(lines, load_tables("CH", folder), {86, 1})
    assert found == [
        EXCLUDED,
        41798284651,
        EXCLUDED,
        EXCLUDED,
        UNDECIDED,
        decide(lines, load_tables("CH", folder))[5],
        0,
    ]


def test_blocks_of_any_kind(folder: Path) -> None:
    """Empty blocks, blank lines, long lines, lines beyond a batch: every line gets its own decision, in its place."""
    tables = load_tables("CH", folder)
    assert decide([], tables) == []
    assert decide(["", " "], tables) == [UNDECIDED] * 2
    assert decide(["+" + "4" * 200, "1" * 300, " " * LONGEST_LINE + "+41798284651"], tables) == [UNDECIDED] * 3
    lines = ["+41798284651", "no", "079 828 46 51", ""] * BATCH
    assert decide(lines, tables) == [41798284651, UNDECIDED, 41798284651, UNDECIDED] * BATCH
    few = ["+41798284651"] * 50 + ["079 828 46 51", "x" * 100]
    assert decide(few, tables) == [41798284651] * 51 + [UNDECIDED]


def test_a_batch_that_is_too_long_for_the_counters(folder: Path) -> None:
    """Between messy lines there may be any amount of text; it is passed over."""
    lines = [f"079 828 {i:02d} 51" + "\n" + "7" * 3_000_000 for i in range(2)]
    lines = [part for line in lines for part in line.split("\n")]
    assert decide(lines, load_tables("CH", folder)) == [41798280051, UNDECIDED, 41798280151, UNDECIDED]


def test_plain_lines() -> None:
    """A line is plain when it is its number behind a plus sign and nothing else."""
    text = b"+41798284651 +41 798284651 041798284651 +1"
    starts, ends = np.array([0, 13, 27, 40]), np.array([12, 26, 39, 42])
    numbers = np.array([41798284651, 41798284651, 41798284651, 0])
    assert is_plain(text, starts, ends, numbers).tolist() == [True, False, False, False]
