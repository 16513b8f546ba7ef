"""The door out of cells, against texts that are made from numbers, and against what must hold for every text."""

from __future__ import annotations

import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.cells import LONGEST_CELL, MAX_DIGITS, Fault, read_cell, read_text

N = "+41798284651"
OF_KIND: dict[str, list[str]] = {}
for sign in map(chr, range(sys.maxunicode + 1)):  # once: a million signs, which every worker of pytest looks at
    OF_KIND.setdefault(unicodedata.category(sign), []).append(sign)
DIGITS = [[sign for sign in OF_KIND["Nd"] if unicodedata.decimal(sign) == digit] for digit in range(10)]
DASHES = OF_KIND["Pd"]
BLANKS = [*OF_KIND["Zs"], "\t", "_x0009_", "_x00A0_"]
UNSEEN = [*OF_KIND["Cf"], "\ufe0f", "_x200E_"]
BRACKETS = ["()", "[]", "\uff08\uff09", "\uff3b\uff3d", "\u3010\u3011", "{}"]
PLUSES = ["+", "\uff0b", "\ufe62", "\u207a"]
DOTS = [".", "\u00b7", "\uff0e", "\u3002", "\u30fb"]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (N, N),
        ("41798284651", "41798284651"),
        ("0041798284651", "0041798284651"),
        (f'="{N}"', N),
        (f"={N}", N),
        (f"'{N}", N),
        (f'"{N}",', N),
        (f"\t{N}\u00a0", N),
        ("41798284651.0", "41798284651"),
        ("41798284651,00", "41798284651"),
        ('"41798284651.000000"', "41798284651"),
        ("4.1798284651E10", "41798284651"),
        ("4.1798284651E+10", "41798284651"),
        ("4,17982846510e10", "41798284651"),
        ('="4.1798284651E+10"', "41798284651"),
        ("41,798,284,651", "41798284651"),
        ("41'798'284'651", "41798284651"),
        ("41\u2019798\u2019284\u2019651", "41798284651"),
        (f"tel:{N}", N),
        ("TEL:+41-79-828-46-51;ext=123456;isub=9", N),
        ("tel:%2B41%2079%20828%2046%2051", N),
        ("tel:798284651;phone-context=+41", N),
        (f"tel:{N};phone-context=+49", N),
        ("tel:0798284651;phone-context=example.com", "0798284651"),
        (f"whatsapp:{N}", N),
        ("41798284651@c.us", N),
        ("41798284651@s.whatsapp.net", N),
        ("41798284651:12@s.whatsapp.net", N),
        (f"{N}_x000D_", N),
        ("_x002B_41798284651", N),
        (f"\ufeff\u202a{N}\u202c", N),
        ("4\ufe0f\u20e31\ufe0f\u20e3 79 828 46 51", "41798284651"),
        (f"\u260e {N} \U0001f4f1", N),
        (f"+ +{N[1:]}", N),
        (f"({N[:3]}) {N[3:]}", N),
        ("+41 (0)79 828 46 51", "+41(0798284651"),
        ("+49 33841/1234567", "+49338411234567"),
        ("0049 (0)33841 / 1234567", "00490338411234567"),
        ("0721/123456", "0721123456"),
        ("+41 79\n828 46 51", N),
        ("+41\u202f79\u2009828\t46\u200e51_x000D_", N),
        (f"* {N}", N),
        (f"Tel......: {N}", N),
        (41798284651, "41798284651"),
        (41798284651.0, "41798284651"),
    ],
)
def test_one_number(value: object, expected: str) -> None:
    """A number that a person would read out of a cell is read out of it, with its plus sign and nothing else."""
    assert (read_cell(value).numbers, read_cell(value).fault) == ((expected,), None)


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        (None, Fault.EMPTY),
        ("", Fault.EMPTY),
        ('=""', Fault.EMPTY),
        ("\u200b\ufeff", Fault.EMPTY),
        ("_x000D_", Fault.EMPTY),
        ("hello", Fault.NOT_A_NUMBER),
        (f"{N}\udcff", Fault.NOT_A_NUMBER),
        (f"{N}#", Fault.NOT_A_NUMBER),
        ("41:79:828:46:51", Fault.NOT_A_NUMBER),
        ("+493028284651\r\n12", Fault.NOT_A_NUMBER),  # its last digits, or a house number: either may be valid
        ("+493028284651\n \t8000 Bern", Fault.NOT_A_NUMBER),
        (f"Phone 1: {N}", Fault.NOT_A_NUMBER),
        ("12:34:56", Fault.NOT_A_NUMBER),
        ("41798284651.5", Fault.NOT_A_NUMBER),
        ("41798284651,5", Fault.NOT_A_NUMBER),
        (41798284651.5, Fault.NOT_A_NUMBER),
        (-41798284651, Fault.NOT_A_NUMBER),
        (float("nan"), Fault.NOT_A_NUMBER),
        (float("inf"), Fault.NOT_A_NUMBER),
        (True, Fault.NOT_A_NUMBER),
        (0, Fault.NOT_A_NUMBER),
        ("4.17983E+10", Fault.ROUNDED),
        ("4,17983e10", Fault.ROUNDED),
        ("4E+10", Fault.ROUNDED),
        ("4.17982846519E10", Fault.ROUNDED),
        ("1-800-FLOWERS", Fault.NOT_A_NUMBER),
        ("+1 800 FLOWERS 2", Fault.NOT_A_NUMBER),
        ("+49 180 GERMANY1", Fault.NOT_A_NUMBER),
        (f"{N}\u00b2", Fault.NOT_A_NUMBER),
        (f"{N}_x0031_", Fault.NOT_A_NUMBER),
        ("41798284651@lid", Fault.NOT_A_NUMBER),
        ("41798284651@example.com", Fault.NOT_A_NUMBER),
        ("41798284651-1600000000@g.us", Fault.NOT_A_NUMBER),
        ("079 828 46 51 room 2", Fault.NOT_A_NUMBER),
        ("1.5e2", Fault.NOT_A_NUMBER),
        ("+49 30 ***123456", Fault.HIDDEN),
        ("+49 30 123456 **", Fault.HIDDEN),
        ("+49 30 1234xx", Fault.HIDDEN),
        ("+49 30 1234 xx", Fault.HIDDEN),
        ("+49 30 xxx 12345", Fault.HIDDEN),
        ("+49 30 1234 X", Fault.HIDDEN),
        ("xxx 123456", Fault.HIDDEN),
        ("**** 123456", Fault.HIDDEN),
        ("+49 30 1234..", Fault.HIDDEN),
        ("+49 30 1234\u2026", Fault.HIDDEN),
        ("+49 30 \u2022\u2022\u2022 1234", Fault.HIDDEN),
        ("+49 30 1234 ---", Fault.HIDDEN),
        ("+49 30 1234__", Fault.HIDDEN),
        ("+49 30 1234??", Fault.HIDDEN),
        ("+4930123 abc 4567890", Fault.NOT_A_NUMBER),
        (f"+49?30708211?05; {N}", Fault.NOT_A_NUMBER),
        (f"0792211122~0792211133; {N}", Fault.NOT_A_NUMBER),
        ("+32 475 qsdfqs 123456", Fault.NOT_A_NUMBER),
        (f"{N}abc; {N}", Fault.NOT_A_NUMBER),
        (f"{N};id=1234567", Fault.NOT_A_NUMBER),
        ("7" * (LONGEST_CELL + 1), Fault.LINE_TOO_LONG),
    ],
)
def test_no_number(value: object, fault: Fault) -> None:
    """What could be another number than a person means is none, and says why."""
    assert (read_cell(value).numbers, read_cell(value).fault) == ((), fault)


@pytest.mark.parametrize(
    ("text", "is_beside"),
    [
        (N, False),
        (f"tel:{N}", False),
        ("41798284651@c.us", False),
        (f"{N}_x000D_", False),
        (f"{N} Fax", True),
        (f"{N} (Anna)", True),
        (f"{N};mobile", True),
        (f"Mobil {N}", True),
        (f"{N} ext. 12", True),
        (f"{N} x12", True),
        (f"{N} #12", True),
        (f"{N},,12#", True),
        (f"{N};12", True),
        (f"{N};ext=12", True),
        (f"{N} \u0434\u043e\u0431. 12", True),
        ("Tel (mobil) + 41 79 828 46 51", True),
        ("[privat] + 41 79 828 46 51", True),
        (") + 41 79 828 46 51", False),
    ],
)
def test_what_stands_beside(text: str, is_beside: bool) -> None:  # noqa: FBT001 - a column of the table
    """Words and short extensions are passed over, and said to be there."""
    assert (read_text(text).numbers, read_text(text).beside) == ((N,), is_beside)


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("+34612345670;34612345671", ("+34612345670", "34612345671")),
        ("+34612345674, 612345675", ("+34612345674", "612345675")),
        ("+6591234501,91234502", ("+6591234501", "91234502")),
        (f"{N} {N}", (N, N)),
        (f"{N}{N}", (N, N)),
        (f"{N}/{N}", (N, N)),
        (f"{N} or {N} (home 2)", (N, N)),
        (f"{N}\u3001{N}", (N, N)),
        (f"{N} ~ 0798284652", (N, "0798284652")),
        (f"{N} ext. 1234567", (N, "1234567")),
        (f"{N};ext=1234567", (N, "1234567")),
        (f"{N} x 34612345677", (N, "34612345677")),
        ("079 221 53 86 / 079 221 11 22", ("0792215386", "0792211122")),
        ("0792215386 / 0041/44/6681800", ("0792215386", "0041446681800")),
        ("030/1234567/00", ("030123456700",)),
        ("0792215386/0792211122", ("0792215386", "0792211122")),
        ("+49 30/1234567/7654321", ("+49301234567", "7654321")),
        ("0792215386\n0792211122", ("0792215386", "0792211122")),
        ("0792215386_x000D_\n0792211122", ("0792215386", "0792211122")),
        ("0792215386\u20280792211122", ("0792215386", "0792211122")),
        ("0792215386 0792211122", ("0792215386", "0792211122")),
        ("0792215386 - 0792211122", ("0792215386", "0792211122")),
        ("0792215386 | 0792211122", ("0792215386", "0792211122")),
        ("0792215386 or 0792211122", ("0792215386", "0792211122")),
        ("5551234 oder 5551235", ("5551234", "5551235")),
        (f"{N} Anna, 0798284652 Beat", (N, "0798284652")),
        (f"{N};{N};12", (N, N)),
        ("(201) 555-7286 + (201) 550-6068", ("2015557286", "2015506068")),
        ("555 72 86 (201) + (201) 550-6068", ("5557286201", "2015506068")),
    ],
)
def test_several_numbers(text: str, numbers: tuple[str, ...]) -> None:
    """Of several numbers in a cell none vanishes: they come in their order, and the caller sees how many they are."""
    assert read_text(text).numbers == numbers


@st.composite
def spelt(draw: st.DrawFn) -> tuple[str, str]:
    """Draw digits, and a spelling of them out of all of Unicode: digits of any script, and anything between them."""
    digits = draw(st.text("0123456789", min_size=7, max_size=MAX_DIGITS))
    plus = draw(st.sampled_from(["", *PLUSES]))
    between = st.lists(
        st.one_of(st.just(""), *map(st.sampled_from, (BLANKS, UNSEEN, DASHES, DOTS, BRACKETS))), max_size=2
    )
    text = plus + draw(st.sampled_from(UNSEEN + BLANKS))
    for place, digit in enumerate(digits):
        marks = "".join(draw(between)) if place and draw(st.booleans()) else ""
        text += marks + draw(st.sampled_from(DIGITS[int(digit)]))
    before, behind = draw(st.sampled_from([("", ""), ('="', '"'), ("'", ""), ("tel:", ""), ("\u202a", "\u202c")]))
    return f"{before}{text}{behind}", f"{'+' if plus else ''}{digits}"


@given(spelt())
def test_any_spelling(case: tuple[str, str]) -> None:
    """However digits are written and set apart, they are the number, unless what stands between them hides some."""
    text, expected = case
    found = read_text(text.strip())
    if len(text.strip()) > LONGEST_CELL:
        assert found.fault is Fault.LINE_TOO_LONG
    elif found.fault is Fault.NOT_A_NUMBER:  # what looks like a fraction
        assert sum(sign in DOTS for sign in text) == 1
    elif found.fault is not Fault.HIDDEN:
        (number,) = found.numbers
        plain, wanted = number.replace("(", ""), expected
        assert plain == wanted or (wanted.startswith(plain) and not wanted[len(plain) :].strip("0"))  # a whole float
    else:
        dots = sum(sign in DOTS for sign in text), sum(sign in DASHES for sign in text)
        assert dots[0] >= 2 or dots[1] >= 3


ANYTHING = st.one_of(
    st.text(max_size=30),
    st.text("+0123456789 ()-./,;:xXeE#*~_?=\"'@\u00a0\uff0b\u0664\u200e\u2026abF\u00b2", max_size=30),
    st.builds(
        "".join, st.lists(st.sampled_from([N, "0798284651", "12", " ", ";", ", ", "x", "ext.", " Fax", "..", "*"]))
    ),
)


@given(ANYTHING)
def test_no_digit_is_made_up_or_lost(text: str) -> None:
    """A number's digits are those with which the text begins, and what is left of them is too few for a number."""
    cell = read_text(text)
    digits = "".join(str(unicodedata.decimal(sign)) for sign in text if sign.isdecimal())
    if len(cell.numbers) != 1 or "_x" in text or ";" in text:
        return
    number = cell.numbers[0].lstrip("+").replace("(", "")
    assert digits.startswith(number)
    left = digits[len(number) :]
    assert len(left) <= 6 or not left.strip("0") or "@" in text or "e" in text.lower()
    places = [place for place, sign in enumerate(text) if sign.isdecimal()]
    assert not any(map(str.isalpha, text[places[0] : places[len(number) - 1]])) or "e" in text.lower()


@given(ANYTHING)
def test_either_numbers_or_a_fault(text: str) -> None:
    """Every text has numbers of ASCII digits, or a fault, never both, and reading never fails."""
    cell = read_text(text)
    assert bool(cell.numbers) != bool(cell.fault)
    for number in cell.numbers:
        plain = number.removeprefix("+").replace("(0", "0")
        assert plain.isascii()
        assert plain.isdecimal()
