"""How values and keys are worded."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from orchestrator.config.problems import did_you_mean, dotted, guess, listed, shown, titled

SHOWN = [
    (True, "true"),
    (False, "false"),
    (3, "3"),
    (10**80, "a very large number"),
    (-1.5, "-1.5"),
    (float("inf"), "inf"),
    (float("nan"), "nan"),
    ("a", '"a"'),
    ('quote " and\nline', '"quote \\" and\\nline"'),
    ("Zürich", '"Zürich"'),
    ("x" * 61, f'"{"x" * 60}…"'),
    ([], "an empty list"),
    ([1], "a list"),
    ({}, "a table"),
    (date(2024, 1, 1), "a date or a time"),
    (datetime(2024, 1, 1, tzinfo=UTC), "a date or a time"),
]


@pytest.mark.parametrize(("value", "words"), SHOWN)
def test_a_value_is_shown_as_toml_spells_it(value: object, words: str) -> None:
    """Short values are repeated, long ones cut, and tables and lists only named."""
    assert shown(value) == words


MASKED = [
    ("https://user:secret@host/x", '"https://…@host/x"'),
    ("https://user:sec/ret@host", '"https://…@host"'),
    ("user:secret@host", '"…@host"'),
    ("at http://a:b@c@host or d@host", '"at http://…@host or …@host"'),
    ("https://host/?key=secret", '"https://host/?…"'),
    ("https://host/#secret", '"https://host/#…"'),
    ("list of +41 79 828 46 51", '"list of +…"'),
    ("+41798284651.txt", '"+….txt"'),
]


@pytest.mark.parametrize(("text", "words"), MASKED)
def test_what_may_be_private_is_masked(text: str, words: str) -> None:
    """Credentials, tokens in URLs and phone numbers stand in no message."""
    assert shown(text) == words


def test_a_long_text_is_shown_at_once() -> None:
    """The time for a text of any length grows with its length alone."""
    assert shown("x" * 1_000_000) == f'"{"x" * 60}…"'


def test_guesses_know_no_case_and_give_up_on_strangers() -> None:
    """A guess is made for a slip of the finger, not for another word, and never repeats the word itself."""
    assert guess("XSLX", ["csv", "xlsx"]) == "xlsx"
    assert guess("banana", ["csv", "xlsx"]) == ""
    assert did_you_mean("ch", ["CH", "DE"]) == "; did you mean CH?"
    assert did_you_mean("CH", ["CH", "DE"]) == ""
    assert did_you_mean(3, ["3"]) == ""


def test_names_of_keys() -> None:
    """Keys are quoted where TOML wants it; items count from 1."""
    assert dotted(("platforms", "a b", "min_rows")) == 'platforms."a b".min_rows'
    assert titled(("platforms", "amazon", "min_rows"), is_table=False) == "[platforms.amazon] min_rows"
    assert titled(("job", "inputs", 1), is_table=False) == "[job] inputs, item 2"
    assert titled(("x",), is_table=False) == "x"
    assert titled(("platforms", "amazon"), is_table=True) == "[platforms.amazon]"


def test_lists_read_as_sentences() -> None:
    """One, two or three words are joined as one would say them."""
    assert [listed("a"), listed("ab"), listed("abc", "or")] == ["a", "a and b", "a, b or c"]
