"""Text in the workbook is what it was: XML can hold it, and Excel takes nothing in it for an escape."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.master.xml_text import literal


def as_excel_shows_it(text: str) -> str:
    """Undo escapes as ECMA-376, 22.9.2.19 has them."""
    return re.sub("_x([0-9A-Fa-f]{4})_", lambda found: chr(int(found[1], 16)), text)


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("_x0041_", "_x005F_x0041_"),
        ("a_x000D_b", "a_x005F_x000D_b"),
        ("_x005F_", "_x005F_x005F_"),
        ("_x0041_x0042_", "_x005F_x0041_x005F_x0042_"),
        ("_x041_", "_x041_"),
        ("a_b", "a_b"),
    ],
)
def test_escapes_of_the_format_are_escaped(text: str, written: str) -> None:
    """Only what would be taken for an escape is changed, and the reader has it back."""
    assert literal(text) == written
    assert as_excel_shows_it(written) == text


@given(st.text(st.sampled_from("_x041F ")))
def test_any_text_is_shown_as_it_was(text: str) -> None:
    """Also where escapes overlap."""
    assert as_excel_shows_it(literal(text)) == text
