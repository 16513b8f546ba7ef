"""Rows that are alike are found together; a row that differs anywhere else than in its digits is not among them."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from orchestrator.results.plainmatrix import FEWEST_ROWS, alike, row_starts

Rows = list[bytes]
INLINE = b'<row r="%d"><c r="A%d" t="inlineStr"><is><t>+%d</t></is></c><c r="B%d" t="str"><v>no</v></c></row>'
SHARED = b'<row r="%d"><c r="A%d" t="s"><v>%d</v></c><c r="B%d" t="s"><v>7</v></c></row>'
BARE = b'<row><c><v>%d</v></c><c t="str"><v>no</v></c></row>'
MAKERS: dict[str, Callable[[int, int], bytes]] = {
    "inline": lambda row, number: INLINE % (row, row, number, row),
    "shared": lambda row, number: SHARED % (row, row, number % 10**8, row),
    "bare": lambda _, number: BARE % number,
}


def found(rows: Rows) -> dict[int, tuple[int, int]]:
    """Return the rows that were found, by place: their own number and that of the number column."""
    block = b"".join(rows)
    starts = row_starts(block)
    assert starts.tolist() == [sum(map(len, rows[:place])) for place in range(len(rows))]
    result: dict[int, tuple[int, int]] = {}
    for one in alike(block, starts, 0, 1):
        own = one.row_numbers.tolist() or [0] * len(one.places)
        for place, row, number in zip(one.places.tolist(), own, one.numbers.tolist(), strict=True):
            assert place not in result
            result[place] = (row, number)
    return result


@pytest.mark.parametrize("maker", MAKERS)
def test_alike(maker: str) -> None:
    """Rows that differ in their digits are found, with their numbers, whatever their order."""
    chance = random.Random(5)  # noqa: S311 - the same rows again
    numbers = [chance.randrange(10_000, 10 ** chance.randint(5, 15)) for _ in range(900)]
    rows = [MAKERS[maker](place + 100, number) for place, number in enumerate(numbers)]
    said = found(rows)
    assert len(said) > 300
    for place, (row, number) in said.items():
        assert number == numbers[place] % (10**8 if maker == "shared" else 10**15)
        assert row in {0, place + 100}
        assert (row == 0) == (maker == "bare")


PLAIN = b'<row r="%d"><c r="A%d" t="str"><v>41791234567</v></c><c r="B%d" t="str"><v>no</v></c></row>'


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'r="A250"', b'r="A251"'),
        (b'r="A250"', b'r="B250"'),
        (b'r="B250"', b'r="B260"'),
        (b'<row r="250"', b'<row r="050"'),
        (b'<row r="250"', b'<row r="2x0"'),
        (b"41791234567", b"01791234567"),
        (b"41791234567", b"4179123456x"),
        (b"41791234567", b"4179 234567"),
        (b"41791234567", b"4179123456\xb7"),
        (b"<v>no</v>", b"<v>yo</v>"),
        (b'"str"><v>4', b'"stR"><v>4'),
        (b"</row>", b"</rox>"),
        (b"<c r", b"<d r"),
    ],
)
def test_any_other_difference(old: bytes, new: bytes) -> None:
    """One row that differs elsewhere, by a byte, is left for the other readers; the others are found."""
    rows = [PLAIN % (row, row, row) for row in range(200, 300)]
    assert old in rows[50]
    rows[50] = rows[50].replace(old, new, 1)
    assert found(rows).keys() == {*range(100)} - {50}


def test_few_rows() -> None:
    """Few rows are not worth a matrix."""
    rows = [PLAIN % (row, row, row) for row in range(200, 200 + FEWEST_ROWS)]
    assert len(found(rows)) == FEWEST_ROWS
    assert found(rows[1:]) == {}


@pytest.mark.parametrize(
    "row",
    [
        b"<row><c><v>41791234567</v></c></row>",
        b"<row><c/><c><v>41791234567</v></c></row>",
        b"<row><c><v>4179</v></c><c><v>1</v></c></row>",
        b"<row><c><v>4.5</v></c><c><v>1</v></c></row>",
        b'<row><c t="str"><v>number</v></c><c><v>1</v></c></row>',
        b"<row>?</row>",
    ],
)
def test_rows_without_a_number(row: bytes) -> None:
    """Rows that lack a column, or whose number is not made of digits, are for the other readers."""
    assert found([row] * 50) == {}


def test_several_verdicts_of_one_length() -> None:
    """Each verdict has rows of its own."""
    rows = [(PLAIN % (row, row, row)).replace(b"no", word) for row in range(200, 300) for word in (b"no", b"si", b"ab")]
    assert len(found(rows)) == 300


def test_text_that_looks_like_a_tag() -> None:
    """Text may hold what stands in tags: only the digits of real places are free."""
    row = PLAIN.replace(b"<v>no", b'<v> r="B%d"')
    other = [row % (n, n, n, n) for n in range(200, 300)]
    assert len(found(other)) < 20  # those that were looked at, each by itself
    assert len(found([row % (n, n, n, 7) for n in range(200, 300)])) == 100


def test_nothing() -> None:
    """A block without rows has no starts."""
    assert row_starts(b"").tolist() == []
    assert row_starts(b"woww").tolist() == []
