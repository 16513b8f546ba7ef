from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.errors import UsageError
from orchestrator.intake.blocks import CellBlock, LineBlock, read_columns, read_rows
from orchestrator.intake.normalise import (
    FIRST_REASON,
    FROM_TEXT,
    PLAIN,
    RAW_LIMIT,
    REASONS,
    NumberRules,
    Reason,
    normalise,
    normalise_block,
    store_block,
)
from orchestrator.settings import JobSettings

if TYPE_CHECKING:
    from pathlib import Path

ANYWHERE = NumberRules(None, frozenset())
SWISS = NumberRules("CH", frozenset())
AMERICAN = NumberRules("US", frozenset({86}))


@pytest.mark.parametrize(
    ("raw", "rules", "expected"),
    [
        ("+41798284651", ANYWHERE, 41798284651),
        ("+41 (0)79 828 46 51", ANYWHERE, 41798284651),
        ("\uff0b41 79 828 46 51", ANYWHERE, 41798284651),
        ("079 828 46 51", SWISS, 41798284651),
        ("0041798284651", SWISS, 41798284651),
        ("+4407911123456", ANYWHERE, 447911123456),
        ("+390612345678", ANYWHERE, 390612345678),
        ("+80012345678", ANYWHERE, 80012345678),
        ("order 4417982846", AMERICAN, 14417982846),
        ("+8613912345678", ANYWHERE, 8613912345678),
        ("+8613912345678", AMERICAN, Reason.EXCLUDED),
        ("+861391", AMERICAN, Reason.TOO_SHORT),
        ("", ANYWHERE, Reason.NOT_A_NUMBER),
        ("hello", ANYWHERE, Reason.NOT_A_NUMBER),
        ("+41798284651\udcff", ANYWHERE, Reason.NOT_A_NUMBER),
        ("41798284651", ANYWHERE, Reason.NO_COUNTRY_CODE),
        ("0041798284651", ANYWHERE, Reason.NO_COUNTRY_CODE),
        ("(079) 828 46 51", ANYWHERE, Reason.NO_COUNTRY_CODE),
        ("+999123456789", ANYWHERE, Reason.NOT_VALID),
        ("+999123456789", SWISS, Reason.NOT_VALID),
        ("00999123456789", SWISS, Reason.NOT_VALID),
        ("+41 79", ANYWHERE, Reason.TOO_SHORT),
        ("+4", ANYWHERE, Reason.NOT_A_NUMBER),
        ("+411", ANYWHERE, Reason.TOO_SHORT),
        ("001", SWISS, Reason.TOO_SHORT),
        ("828 4651", AMERICAN, Reason.TOO_SHORT),
        ("+4179828465123", ANYWHERE, Reason.NOT_VALID),
        ("+417982846512345", ANYWHERE, Reason.TOO_LONG),
        ("+41798284651234567890", ANYWHERE, Reason.TOO_LONG),
        ("+41" * 100, ANYWHERE, Reason.TOO_LONG),
        ("+12002000000", ANYWHERE, Reason.NOT_VALID),
    ],
)
def test_numbers_and_reasons(raw: str, rules: NumberRules, expected: int | Reason) -> None:
    """What `phonenumbers` accepts becomes its E.164 number; what it does not, one reason of the closed list."""
    assert normalise(raw, rules) == expected


@given(
    st.text(alphabet="+0123456789 ()-.abxext;#\uff0b\u0664\udcff\x00", max_size=25), st.sampled_from(["CH", "US", None])
)
def test_phonenumbers_decides(raw: str, region: str | None) -> None:
    """Accepted is exactly what parses and is valid, in the form that `format_number` gives it."""
    found = normalise(raw, NumberRules(region, frozenset()))
    if "\udcff" in raw:
        assert found is Reason.NOT_A_NUMBER
        return
    try:
        number = phonenumbers.parse(raw, region)
    except phonenumbers.NumberParseException:
        assert isinstance(found, Reason)
        return
    expected = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    assert isinstance(found, Reason) if not phonenumbers.is_valid_number(number) else f"+{found}" == expected


def test_the_list_of_reasons_is_closed() -> None:
    """Users and outside checks rely on these words."""
    assert [str(reason) for reason in REASONS] == [
        "not a number", "no country code", "too short", "too long", "not a valid number", "excluded calling code",
    ]  # fmt: skip


def test_rules_of_a_job(tmp_path: Path) -> None:
    """The rules are settings; a region that does not exist would reject everything, and is an error instead."""
    job = JobSettings(name="a", inputs=("-",), directory=tmp_path, default_region="CH", exclude_calling_codes=(86, 7))
    assert NumberRules.of(job) == NumberRules("CH", frozenset({86, 7}))
    with pytest.raises(UsageError, match="default_region = 'XX'"):
        NumberRules.of(JobSettings(name="a", inputs=("-",), directory=tmp_path, default_region="XX"))


def test_rows_of_a_block() -> None:
    """A block becomes rows in its order: accepted plainly, accepted out of other text, or rejected with raw text."""
    rows = normalise_block(LineBlock(5, b"+41798284651\n\n079 8284651\ncall 0798284651\n12\n"), SWISS)
    assert rows.numbers.tolist() == [41798284651] * 3 + [0]
    assert rows.lines.tolist() == [5, 7, 8, 9]
    assert rows.codes.tolist() == [PLAIN, PLAIN, FROM_TEXT, FIRST_REASON + REASONS.index(Reason.TOO_SHORT)]
    assert [rows.raw(i) for i in range(4)] == ["+41798284651", "079 8284651", "call 0798284651", "12"]


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("a\udcff\udc80", r"a\xff\x80"),
        ("\x1b[31m\x00\x7f", r"\x1b[31m\x00\x7f"),
        ("a\ud83d", r"a\ud83d"),
        ("a\tb\nc", "a\tb\nc"),
        ("\u00fc" * RAW_LIMIT, "\u00fc" * RAW_LIMIT),
        ("\u00fc" * (RAW_LIMIT + 1), "\u00fc" * (RAW_LIMIT - 1) + "\u2026"),
    ],
)
def test_raw_text_is_safe_to_show(raw: str, shown: str) -> None:
    """Bytes that are no text and control characters are written out, and long text is cut."""
    rows = normalise_block(CellBlock([1], [raw]), ANYWHERE)
    assert rows.raw(0) == shown
    assert rows.raws[0].decode() == shown


def test_stored_block(tmp_path: Path) -> None:
    """A stored block says what is in it, and its private file gives the same rows back."""
    block = LineBlock(1, "+41798284651\nJ\u00fcrg\nx\n079 8284651\n+41 7".encode())
    stored = store_block(block, SWISS, tmp_path / "rows")
    assert (stored.rows, stored.rejected) == (5, {Reason.NOT_A_NUMBER: 2, Reason.TOO_SHORT: 1})
    assert stored.path.stat().st_mode & 0o777 == 0o600
    rows, expected = read_rows(stored.path), normalise_block(block, SWISS)
    columns: tuple[np.ndarray, ...] = (expected.numbers, expected.lines, expected.codes)
    assert list(rows.raws) == list(expected.raws)
    for found, column in zip(read_columns(stored.path), columns, strict=True):
        assert isinstance(found, np.ndarray)
        assert (found.tolist(), found.dtype) == (column.tolist(), column.dtype)


def test_block_without_rows(tmp_path: Path) -> None:
    """A block of blank lines is stored like any other."""
    stored = store_block(LineBlock(1, b"\n\n"), SWISS, tmp_path / "rows")
    assert (stored.rows, dict(stored.rejected), read_rows(stored.path).raws) == (0, {}, [])
