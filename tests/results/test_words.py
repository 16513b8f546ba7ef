"""A vendor's words become verdicts; nothing undetermined becomes a no."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.errors import DamagedResultError
from orchestrator.jobdir.verdict_words import OWN_WORDS
from orchestrator.results.words import MAX_SPELLINGS, MAX_WORDS, ODD, OddWordError, WordTable, verdict


@pytest.mark.parametrize(
    ("word", "cells"),
    [
        (
            "yes",
            [
                "yes",
                " YES ",
                "s\u00ed",
                "si\u0301",
                "S\u00cd",
                "si",
                "Evet",
                "true",
                "TRUE",
                True,
                "1",
                1,
                1.0,
                "1.0",
                "\u662f",
                "'yes'",
                'yes"',
                '="yes"',
                "\"'Yes' \"",
                "\uff39\uff25\uff33",
            ],
        ),
        ("no", ["no", "No\u00a0", "hay\u0131r", "HAYIR", "hayir", "false", False, "0", 0, 0.0, "0.0", "\u5426"]),
        ("unanswered", ["", "   ", "\u00a0", "\x00", "''", '=""']),
        ("ban", ["ban", "BAN"]),
        ("unknown", ["Unknown"]),
        ("n/a", ["N/A"]),
        ("not found", ["not\r\n  found", "Not\x0bFound"]),
        ("2", [2.0, "2"]),
        ("1.5", [1.5]),
        ("vendor:failed", ["failed", "FAILED "]),
        ("vendor:unanswered", ["unanswered"]),
        ("=1+1", ["=1+1"]),
    ],
)
def test_verdict(word: str, cells: list[object]) -> None:
    """Yes and no in the vendor's languages are yes and no; other words stay, in lower case; ours are marked."""
    assert {verdict(cell) for cell in cells} == {word}


def _bare(text: str) -> str:
    """Return what is left of a text without signs that can't be seen, blanks, and quotes around it."""
    return "".join(c for c in unicodedata.normalize("NFKC", text) if c.isprintable()).strip(" ='\"")


@given(st.text(max_size=64))
def test_any_text_is_a_clean_word(text: str) -> None:
    """Whatever the text, the verdict is one printable line and is one of our words only when the cell was empty."""
    try:
        word = verdict(text)
    except OddWordError:
        return
    assert word
    assert word.isprintable()
    assert word == word.strip()
    assert word not in OWN_WORDS or (word == "unanswered" and not _bare(text))


def test_long_words_are_odd() -> None:
    """A verdict of more than 64 characters is no verdict."""
    assert verdict("x" * 64) == "x" * 64
    with pytest.raises(OddWordError, match="65 characters"):
        verdict("x" * 65)


@pytest.mark.parametrize("cell", ["+41798284651", "079 828 46 51", "41798284651", 41798284651.0, "no: 0041798284651"])
def test_numbers_are_odd(cell: object) -> None:
    """A telephone number is what another column holds; an id, a date or a count is a word like any other."""
    with pytest.raises(OddWordError, match="telephone number"):
        verdict(cell)
    assert [verdict(word) for word in ("2025-11-21", "12345678", "a41798284651")] == [
        "2025-11-21",
        "12345678",
        "a41798284651",
    ]


def test_codes_index_words() -> None:
    """A code is the place of its word; unanswered is 0, and spellings share a code."""
    table = WordTable()
    codes = table.codes(["yes", "", "No", "YES", True, "ban", 0.0])
    assert [table.words[code] for code in codes] == ["yes", "unanswered", "no", "yes", "yes", "ban", "no"]
    assert table.codes(["ban"]).tolist() == [table.words.index("ban")]
    assert table.codes([]).tolist() == []


def test_odd_cells_leave_the_others() -> None:
    """What can't be a verdict costs its cell, and is never among the words, which are shown."""
    table = WordTable()
    codes = table.codes(["yes", "+41798284651", "x" * 65, "no"]).tolist()
    assert [code == ODD for code in codes] == [False, True, True, False]
    assert sorted(table.words) == ["no", "unanswered", "yes"]
    assert table.oddity == "a verdict is 65 characters long; at most 64 are believed"


def test_too_many_words_are_damage() -> None:
    """A verdict column holds a few words, not free text."""
    table = WordTable()
    table.codes([f"w{i}" for i in range(MAX_WORDS - 1)])
    with pytest.raises(DamagedResultError, match="different words"):
        table.codes(["one more"])


def test_a_copy_leaves_the_words_as_they_were() -> None:
    """What a table that is not taken has said is forgotten; what was said before has the same code in both."""
    table = WordTable()
    table.codes(["yes", "no"])
    other = table.copy()
    other.codes(["no", "ban"])
    assert table.words == ["unanswered", "no", "yes"]
    assert other.words == [*table.words, "ban"]
    assert table.codes(["new"]).tolist() == [len(table.words) - 1] == [3]


def test_too_many_spellings_are_damage() -> None:
    """Endless spellings of one word do not fill the memory."""
    with pytest.raises(DamagedResultError, match="different words"):
        WordTable().codes([" " * i + "yes" for i in range(MAX_SPELLINGS + 1)])


def test_not_a_number_cells() -> None:
    """Cells that equal nothing, not even themselves, are words too."""
    table = WordTable()
    assert [table.words[code] for code in table.codes([float("nan"), float("nan"), float("inf")])] == [
        "nan",
        "nan",
        "inf",
    ]
