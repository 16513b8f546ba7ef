"""An extra file says of itself what it was made of, and nothing of it is believed that was altered."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.errors import StorageError
from orchestrator.jobdir.extra_files import (
    CellKind,
    ExtraColumn,
    Extras,
    extras_bytes,
    kind_of,
    read_extras,
    read_extras_head,
)

DAYS = ExtraColumn("activedays", ("", "12", "7"), np.array([1, 0, 2], np.uint32))
CITY = ExtraColumn("city\n", ("", "Zürich"), np.array([0, 0, 1], np.uint32))
EXTRAS = Extras((DAYS, CITY), "abc")


def test_what_is_written_is_read(tmp_path: Path) -> None:
    """Names, words and codes come back, and the head alone says what the columns hold."""
    path = tmp_path / "000001.extras"
    path.write_bytes(extras_bytes(EXTRAS, 3))
    read = read_extras(path, 3)
    assert [(one.name, one.words, one.codes.tolist()) for one in read.columns] == [
        ("activedays", ("", "12", "7"), [1, 0, 2]),
        ("city\n", ("", "Zürich"), [0, 0, 1]),
    ]
    head = read_extras_head(path)
    assert head is not None
    assert (head.names, head.kinds, head.result_sha256) == (
        ("activedays", "city\n"),
        (CellKind.WHOLE, CellKind.TEXT),
        "abc",
    )


@pytest.mark.parametrize("cut", [0, 10, 60, -1, -9])
def test_a_torn_file_is_none(tmp_path: Path, cut: int) -> None:
    """A file that was cut short anywhere is an error, not a column with other cells."""
    path = tmp_path / "000001.extras"
    path.write_bytes(extras_bytes(EXTRAS, 3)[:cut])
    with pytest.raises(StorageError, match="cut short or altered"):
        read_extras(path, 3)


def test_altered_codes_and_other_rows(tmp_path: Path) -> None:
    """Neither is a code believed that has no word, nor a file of another chunk."""
    path = tmp_path / "000001.extras"
    content = bytearray(extras_bytes(EXTRAS, 3))
    path.write_bytes(content)
    with pytest.raises(StorageError, match="cut short or altered"):
        read_extras(path, 4)
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(StorageError, match="cut short or altered"):
        read_extras(path, 3)


def test_no_file_has_no_head(tmp_path: Path) -> None:
    """Neither a missing file nor another one has a head: it is made anew."""
    assert read_extras_head(tmp_path / "000001.extras") is None
    (tmp_path / "000001.extras").write_text("x\n")
    assert read_extras_head(tmp_path / "000001.extras") is None


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        (["", ""], CellKind.NOTHING),
        (["", "0", "-12", "365"], CellKind.WHOLE),
        (["-0"], CellKind.TEXT),
        (["999999999999999"], CellKind.WHOLE),
        (["1", "0.5"], CellKind.DECIMAL),
        (["1.0", "-2.5", "0.00001"], CellKind.DECIMAL),
        (["12345.6789012345"], CellKind.DECIMAL),
        (["12345.67890123456"], CellKind.TEXT),
        (["0.1234567890123456"], CellKind.TEXT),
        (["1.1", "1.10"], CellKind.TEXT),
        (["1.00"], CellKind.TEXT),
        (["-0.0"], CellKind.TEXT),
        (["01.5"], CellKind.TEXT),
        (["1", "N/A"], CellKind.TEXT),
        (["007"], CellKind.TEXT),
        (["1234567890123456"], CellKind.TEXT),
        (["1e5"], CellKind.TEXT),
        (["+41"], CellKind.TEXT),
        (["٣"], CellKind.TEXT),
    ],
)
def test_kinds(words: list[str], kind: CellKind) -> None:
    """A column is one of numbers if all of its cells are, as a spreadsheet keeps them."""
    assert kind_of(words) is kind


@given(st.from_regex(r"-?[0-9]{1,16}(\.[0-9]{1,16})?", fullmatch=True))
def test_a_number_comes_back(word: str) -> None:
    """What is written as a number says as one what it says as text, at the fifteen digits that a spreadsheet shows."""
    match kind_of([word]):
        case CellKind.WHOLE:
            assert str(int(float(word))) == word
        case CellKind.DECIMAL:
            for number in (float(word), float(f"{float(word):.15g}")):
                assert np.format_float_positional(number, trim="0") == word
