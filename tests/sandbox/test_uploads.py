from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from orchestrator.sandbox.uploads import BadFileError, read_numbers

if TYPE_CHECKING:
    from pathlib import Path


def read(tmp_path: Path, text: bytes) -> list[int]:
    path = tmp_path / "upload.txt"
    path.write_bytes(text)
    found: list[int] = read_numbers(path).tolist()
    return found


@pytest.mark.parametrize(
    "text", [b"+41798284651\n+12025551234\n", b"+41798284651\n+12025551234", b"+41798284651\r\n+12025551234\r\n"]
)
def test_lines_may_end_as_they_like(tmp_path: Path, text: bytes) -> None:
    """A missing last line end, or CRLF, is no error."""
    assert read(tmp_path, text) == [41798284651, 12025551234]


def test_duplicates_are_dropped_and_order_stays(tmp_path: Path) -> None:
    """The vendor counts a number once; the first appearance stays."""
    assert read(tmp_path, b"+33333333\n+11111111\n+33333333\n+22222222\n") == [33333333, 11111111, 22222222]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"+41798284651\n41798284651\n", "line 2 "),
        (b"+41798284651\n\n+12025551234\n", "line 2 "),
        (b"\xef\xbb\xbf+41798284651\n", "line 1 "),
        (b"+0798284651\n", "line 1 "),
        (b"+4179\n", "line 1 "),
        (b"+1234567890123456\n", "line 1 "),
        (b"+41 79 828 46 51\n", "line 1 "),
        (b"+41798284651 \n", "line 1 "),
        (b"+41798284651,+41798284652\n", "line 1 "),
        (b"+41798284651\n+4179\xd9\xa8\n", "line 2 "),
        (b"+41798284651\n+41798284652\nabc", "line 3 "),
        (b"\n", "line 1 "),
        (b"", "empty"),
    ],
)
def test_anything_but_e164_fails_the_file(tmp_path: Path, text: bytes, message: str) -> None:
    """One bad line fails the whole file, and the message names the line, not the number."""
    with pytest.raises(BadFileError, match=message) as caught:
        read(tmp_path, text)
    assert "4179" not in str(caught.value)


def test_files_larger_than_a_block(tmp_path: Path) -> None:
    """Lines across block borders are read whole, and counted right in messages."""
    lines = [b"+%d\n" % (41_790_000_000 + n) for n in range(200_000)]
    assert read(tmp_path, b"".join(lines)) == [41_790_000_000 + n for n in range(200_000)]
    with pytest.raises(BadFileError, match="line 200001 "):
        read(tmp_path, b"".join(lines) + b"x\n")


def test_a_file_without_line_ends_is_not_kept_in_memory(tmp_path: Path) -> None:
    """A line of megabytes is refused at its first block."""
    with pytest.raises(BadFileError, match="line 1 "):
        read(tmp_path, b"+" + b"1" * (3 << 20))
