from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.cells import Cell
from orchestrator.errors import UsageError
from orchestrator.intake.blocks import (
    FIRST_REASON,
    FROM_TEXT,
    PLAIN,
    CellBlock,
    LineBlock,
    Look,
    read_columns,
    read_rows,
)
from orchestrator.intake.numbers.decide import RAW_LIMIT, NumberRules, decide, normalise
from orchestrator.intake.numbers.reasons import REASONS, Reason
from orchestrator.intake.stored_rows import normalise_block, store_block
from orchestrator.settings import JobSettings

if TYPE_CHECKING:
    from pathlib import Path

ANYWHERE = NumberRules(None, frozenset())
SWISS = NumberRules("CH", frozenset())
AMERICAN = NumberRules("US", frozenset({86}))
GERMAN = NumberRules("DE", frozenset())


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
        ("", ANYWHERE, Reason.EMPTY),
        ("hello", ANYWHERE, Reason.NOT_A_NUMBER),
        ("+41798284651\udcff", ANYWHERE, Reason.NOT_A_NUMBER),
        ("41798284651", ANYWHERE, Reason.NO_COUNTRY_CODE),
        ("0041798284651", ANYWHERE, Reason.NO_COUNTRY_CODE),
        ("(079) 828 46 51", ANYWHERE, Reason.NO_COUNTRY_CODE),
        ("+999123456789", ANYWHERE, Reason.UNKNOWN_CODE),
        ("+999123456789", SWISS, Reason.UNKNOWN_CODE),
        ("00999123456789", SWISS, Reason.UNKNOWN_CODE),
        ("+41 79", ANYWHERE, Reason.TOO_SHORT),
        ("+4", ANYWHERE, Reason.NOT_A_NUMBER),
        ("+411", ANYWHERE, Reason.TOO_SHORT),
        ("001", SWISS, Reason.TOO_SHORT),
        ("828 4651", AMERICAN, Reason.TOO_SHORT),
        ("+4179828465123", ANYWHERE, "not a valid number of CH"),
        ("+417982846512345", ANYWHERE, Reason.TOO_LONG),
        ("+41798284651234567890", ANYWHERE, Reason.BEYOND_E164),
        ("41798284651234567890", ANYWHERE, Reason.BEYOND_E164),
        ("+493012345678 (0)1234", ANYWHERE, Reason.BEYOND_E164),
        ("+49 (0) 1511 234567", ANYWHERE, "not a valid number of DE"),
        ("+41 79 828 46 51 mobile", ANYWHERE, 41798284651),
        ("+32 475 qsdfqs", ANYWHERE, Reason.TOO_SHORT),
        ("1-800-FLOWERS", AMERICAN, Reason.NOT_A_NUMBER),
        ("+49 30 ***12345", GERMAN, Reason.HIDDEN),
        ("41798284651@c.us", ANYWHERE, 41798284651),
        ("tel:798284651;phone-context=+41", ANYWHERE, 41798284651),
        ("+41" * 400, ANYWHERE, Reason.LINE_TOO_LONG),
        ("+12002000000", ANYWHERE, "not a valid number of US"),
        ("+80800000000", ANYWHERE, "not a valid number of +808"),
        ("012345678", SWISS, "not a valid number of CH"),
        ("+\u0664\u0661\u0667\u0669\u0668\u0662\u0668\u0664\u0666\u0665\u0661", ANYWHERE, 41798284651),
        ("+41\xa079\xa0828\xa046\xa051", ANYWHERE, 41798284651),
        ("+41798284651\x00", ANYWHERE, 41798284651),
        ("41798284651", SWISS, 41798284651),
        ("41798284651.0", SWISS, 41798284651),
        ("41798284651,00", SWISS, 41798284651),
        ("41798284651.0", ANYWHERE, Reason.NO_COUNTRY_CODE),
        ("4930123456.0", GERMAN, 4930123456),
        ("4.1798284651E+10", SWISS, 41798284651),
        ("+4,17982846510e10", ANYWHERE, 41798284651),
        ("4.17983E+10", ANYWHERE, Reason.ROUNDED),
        ("4,17983E+10", SWISS, Reason.ROUNDED),
        ("4E+10", SWISS, Reason.ROUNDED),
        ("1.5e2", SWISS, Reason.NOT_A_NUMBER),
        ("2026-01-02 00:00:00", AMERICAN, Reason.DATE),
        ("31.12.2026", ANYWHERE, Reason.DATE),
        ("1/2/26", SWISS, Reason.DATE),
    ],
)
def test_numbers_and_reasons(raw: str, rules: NumberRules, expected: int | Reason) -> None:
    """What `phonenumbers` accepts becomes its E.164 number; what it does not, one reason of the closed list."""
    assert normalise(raw, rules) == expected


@given(st.text(alphabet="+0123456789 ()-./[]\uff0b\u0664\xa0", max_size=25), st.sampled_from(["CH", "US", None]))
def test_phonenumbers_decides(raw: str, region: str | None) -> None:
    """What digits are worth is decided by `phonenumbers` alone; what may hide digits, or be a float, it never sees."""
    found = normalise(raw, NumberRules(region, frozenset()))
    if found is Reason.HIDDEN or re.fullmatch(r"\D*\d{5,}\.\d{1,2}\D*", raw):
        return
    try:
        number = phonenumbers.parse(raw, region)
    except phonenumbers.NumberParseException:
        assert isinstance(found, str)
        return
    expected = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    assert isinstance(found, str) if not phonenumbers.is_valid_number(number) else f"+{found}" == expected


LONGER = [
    "+4946054151435311", "+49881531100273197", "+6200180313480013", "+6200180336182262494", "+8100667928012827",
    "+81006636584400258", "+810078881326327365", "+8100375788337526579", "+8200798672235439", "+2347006880916639",
    "+23480018277887893",
]  # fmt: skip
"""Numbers of 16 to 19 digits that `phonenumbers` calls valid."""


@pytest.mark.parametrize("number", LONGER)
@pytest.mark.parametrize("form", ["{0}", '="{0}"', "{0} Fax", "00{1}", "{1}@c.us", "{1}.0"])
def test_where_e164_ends(number: str, form: str) -> None:
    """No number of more than 15 digits is accepted, also where `phonenumbers` calls it valid; the reason says so."""
    assert phonenumbers.is_valid_number(phonenumbers.parse(number))
    assert normalise(form.format(number, number[1:]), ANYWHERE) == Reason.BEYOND_E164


@given(st.sampled_from(LONGER), st.integers(7, 25), st.text("0123456789", min_size=25), st.booleans())
def test_any_length(number: str, digits: int, more: str, is_signed: bool) -> None:  # noqa: FBT001 - drawn
    """From 7 to 25 digits: what is accepted has 15 at most, and what is longer is rejected for that."""
    code = phonenumbers.region_code_for_number(phonenumbers.parse(number))
    raw = ("+" if is_signed else "") + (number[1:] + more)[:digits]
    found = normalise(raw, NumberRules(code, frozenset()))
    assert isinstance(found, str) or len(str(found)) <= 15
    assert digits <= 15 or not is_signed or found == Reason.BEYOND_E164


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


def test_several_numbers_in_a_cell() -> None:
    """Each number is a row of its line: accepted, or rejected with what was written of it."""
    block = CellBlock([2, 3, 4], ["+41798284651; 0798284652 / 12345678", "+41798284653", "044 668 18 00\nor +3212"])
    rows = normalise_block(block, ANYWHERE)
    assert rows.numbers.tolist() == [41798284651, 0, 0, 41798284653, 0]
    assert (rows.lines.tolist(), rows.cells is not None and rows.cells.tolist()) == ([2, 2, 2, 3, 4], [0, 0, 0, 1, 2])
    assert list(rows.raws[:4]) == [b"", b"0798284652", b"12345678", b""]
    assert REASONS[rows.codes[1] - FIRST_REASON] == Reason.NO_COUNTRY_CODE


LABELLED = Reason.LABELLED


@pytest.mark.parametrize(
    ("raw", "region", "expected"),
    [
        ("31.12.1979", "NO", [Reason.DATE]),
        ("31-12-1979", "NO", [Reason.DATE]),
        ("31/12/1979", "NO", [Reason.DATE]),
        ("31. 12. 1979", "NO", [Reason.DATE]),
        ("31.12.1979 10", "DE", [Reason.DATE]),
        ("born 31.12.1979.", "NO", [Reason.DATE]),
        ("31.12.1979 ext. 12", "NO", [Reason.DATE]),
        ("1979-12-31", "SG", [Reason.DATE]),
        ("31.12.19.79", "NO", [4731121979]),
        ("31.13.1979", "NO", [4731131979]),
        ("31 12 1979", "NO", [4731121979]),
        ("+47 31.12.1979", "NO", [4731121979]),
        ("0047 31.12.1979", "NO", [4731121979]),
        ("28.12.79", "NC", [687281279]),
        ("01.23.45.67.89", "FR", [33123456789]),
        ("+47 412 34 567, 31.12.1979", "NO", [4741234567, Reason.DATE]),
        ("31-12-1979 / 412 34 567", "NO", [Reason.DATE, 4741234567]),
        ("0171 1234567/1979-12-31", "DE", [491711234567, Reason.DATE]),
        ("0171 1234567\n31.12.1979 10:30", "DE", [491711234567, Reason.DATE]),
        ("0171 1234567, Kd-Nr. 4711234567", "DE", [491711234567, LABELLED]),
        ("0171 1234567 Kd-Nr. 4711234567", "DE", [491711234567, LABELLED]),
        ("Order 3012345678: +49 171 1234567", "DE", [LABELLED, 491711234567]),
        ("ID 3012345678 / 0171 1234567", "DE", [LABELLED, 491711234567]),
        ("+43 800 123456 x1234567", "AT", [43800123456, LABELLED]),
        ("+43 800 123456;ext=1234567", "AT", [43800123456, LABELLED]),
        ("+43 800 123456 #1234567", "AT", [43800123456, LABELLED]),
        ("+43 800 123456 ext. +431234567", "AT", [43800123456, 431234567]),
        ("0171 1234567, Kd 4711234567; 0171 1234568", "DE", [491711234567, LABELLED, 491711234568]),
        ("0171 1234567, Kd; 4711234567", "DE", [491711234567, 494711234567]),
        ("0171 1234567;4930123456", "DE", [491711234567, 4930123456]),
        ("Home 4152345678, mobile: 4152345679", "US", [14152345678, 14152345679]),
        ("4152345678 (Anna) or 4152345679", "US", [14152345678, 14152345679]),
        ("+34612345670;34612345671", "ES", [34612345670, 34612345671]),
        ("0171/5252057 / 0171/5252058", "DE", [491715252057, 491715252058]),
        ("0171/5252057\n\n0171/5252058", "DE", [491715252057, 491715252058]),
        ("0171 5252057/0171 5252058", "DE", [491715252057, 491715252058]),
        ("0171 5252057 / 0049/171/5252058", "DE", [491715252057, 491715252058]),
        ("0171 5252057 / 0049 / 171 / 5252058", "DE", [Reason.BEYOND_E164]),
        ("+689 40 44 69 00 49 96 21 48", "PF", [Reason.BEYOND_E164]),
        ("0171/5252057/0171/5252058", "DE", [Reason.BEYOND_E164]),
        ("0171/5252057 0171/5252058", "DE", [Reason.BEYOND_E164]),
        ("030/52520570171/5252058", "DE", [Reason.BEYOND_E164]),
        ("079/5/25205/7 0041 44 /55/130/74", "DE", [Reason.BEYOND_E164]),
        ("030 5252057 / 5252058", "DE", [49305252057, Reason.PARTIAL]),
        ("030 5252057; 5252058", "DE", [49305252057, Reason.PARTIAL]),
        ("+49 30 5252057 / 52520581", "DE", [49305252057, Reason.PARTIAL]),
        ("32123456; 32123457", "DK", [4532123456, 4532123457]),
        ("+45 32 12 34 56 / 32123457", "DK", [4532123456, 4532123457]),
        ("+41798184403 or 0041 44 ?8976883", "CH", [Reason.NOT_A_NUMBER]),
        ("+41798184403 +41 \x1779-488 2438", "DE", [Reason.NOT_A_NUMBER]),
        ("+A 79-344 1991", "CH", [Reason.NOT_A_NUMBER]),
        ("l71 5252057", "DE", [Reason.NOT_A_NUMBER]),
        ("Tel. O171 5252057", "DE", [Reason.NOT_A_NUMBER]),
        ("Tel0171 5252057", "DE", [491715252057]),
        ("Mobile+WhatsApp 079 344 19 91", "CH", [41793441991]),
        ("628123456789", "ID", [628123456789]),
        ("62 812-3456-789", "ID", [628123456789]),
        ("4915123456789", "DE", [4915123456789]),
        ("468124727", "SE", [Reason.AMBIGUOUS]),
        ("+468124727", "SE", [468124727]),
        ("46701234567", "SE", [46701234567]),
        ("41798284651", "CH", [41798284651]),
        ("12025550143", "US", [12025550143]),
        ("+493019694004\t7", "DE", [Reason.MORE_DIGITS]),
        ("+493019694004\t7 Berlin", "DE", [Reason.MORE_DIGITS]),
        ("030 1234567/8", "DE", [Reason.MORE_DIGITS]),
        ("030 1234567 / -68", "DE", [Reason.MORE_DIGITS]),
        ("+49 30 1234567 (2)", None, [Reason.MORE_DIGITS]),
        ("+62 812-348-476 [2]", None, [Reason.MORE_DIGITS]),
        ("0171 1234567; +4930121495 /8", "DE", [Reason.MORE_DIGITS]),
        ("+62 812-342-582 (8-17)", "IT", [Reason.MORE_DIGITS]),
        ("2. 01512 3440100", "DE", [Reason.MORE_DIGITS]),
        ("(1) 08-12 56 83", "SE", [Reason.MORE_DIGITS]),
        ("12\t0664 672880", "AT", [Reason.MORE_DIGITS]),
        ("0475/12/34/56", "BE", [32475123456]),
        ("+49 (0)30/1234567", None, [49301234567]),
        ("+39 06 698 12345", "DE", [390669812345]),
        ("https://wa.me/33612345678", "DE", [33612345678]),
        ("WhatsApp: wa.me/33612345678?text=hi", "DE", [33612345678]),
        ("https://api.whatsapp.com/send?phone=33612345678&text=1", "DE", [33612345678]),
        ("whatsapp://send?phone=%2B33612345678", "DE", [33612345678]),
        ("https://wa.me/33612345678, https://wa.me/4915123456789", "DE", [33612345678, 4915123456789]),
        ("(201) 555-7286 + (201) 550-6068", "US", [12015557286, 12015506068]),
        ("Ph: 4152345678 ph 4152345679", "US", [14152345678, 14152345679]),
        ("+41798284651; " + "(1) " * 210, "DE", [Reason.MORE_DIGITS]),
        ("\t".join(f"+417982846{i}" for i in range(10, 80)), "DE", [*range(41798284610, 41798284680)]),
        ("+41\t79\t8284651", "DE", [41798284651]),
        ("+41798284651\tAnna", "DE", [41798284651]),
        ("+41798284651\t0798284652", "CH", [41798284651, 41798284652]),
    ],
)
def test_other_numbers_in_a_cell(raw: str, region: str | None, expected: list[int | str]) -> None:
    """Dates, and what stands behind a word or as an extension, are rows of their own, rejected: nobody's number."""
    found = [
        number or REASONS[code - FIRST_REASON] for number, code, _ in decide(raw, NumberRules(region, frozenset()))
    ]
    assert found == expected


def test_how_a_date_is_shown() -> None:
    """A date is shown as it was written."""
    assert decide("+47 412 34 567, 31.12.1979", NumberRules("NO", frozenset()))[1][2] == b"31.12.1979"


def test_more_digits_than_were_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader of cells that drops a number's digits is found out, and the cell rejected."""
    monkeypatch.setattr("orchestrator.intake.numbers.decide.read_text", lambda _: Cell(("+41798284651",)))
    assert normalise("+41798284651 ext. 0798284652", ANYWHERE) == Reason.MORE_DIGITS
    assert normalise("+41798284651 ext. 079828", ANYWHERE) == 41798284651


def test_faults_of_cells() -> None:
    """A cell that came with a reason is rejected for it, whatever its text would be."""
    block = CellBlock([2, 3], ["+41798284651", "20260102"], {1: Reason.DATE})
    rows = normalise_block(block, NumberRules("DK", frozenset()))
    assert rows.numbers.tolist() == [41798284651, 0]
    assert rows.codes.tolist() == [PLAIN, FIRST_REASON + REASONS.index(Reason.DATE)]


def test_stored_cells_with_kept_columns(tmp_path: Path) -> None:
    """Kept cells are written beside the rows; names and first look are handed on."""
    look = Look("a.csv", ("phone", "name"), (0,), (1, 0))
    block = CellBlock([2, 3], ["+41798284651", "x"], names=("name",), kept=[["Anna"], ["a\nb"]], look=look)
    stored = store_block(block, SWISS, tmp_path / "rows")
    assert (stored.columns, stored.look) == (("name",), look)
    assert (tmp_path / "rows.columns").read_bytes() == b'Anna\r\n"a\nb"\r\n'
    assert (tmp_path / "rows.columns").stat().st_mode & 0o777 == 0o600


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
    assert (stored.rows, dict(stored.rejected), list(read_rows(stored.path).raws)) == (0, {}, [])
