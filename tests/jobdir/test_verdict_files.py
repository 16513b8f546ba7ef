"""A verdict file comes back as it was written, or not at all."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.errors import StorageError
from orchestrator.jobdir.layout import verdict_path
from orchestrator.jobdir.verdict_files import Verdicts, read_verdicts
from tests.results.written import write_verdicts

VERDICTS = Verdicts(("unanswered", "yes", "s\u00ed"), bytes([0, 1, 2, 1, 0] * 40), "task", "ab" * 32)


def test_path() -> None:
    """Verdicts lie by platform and chunk."""
    assert verdict_path(Path("job"), "instagram", 17) == Path("job/verdicts/instagram/000017.bin")


@given(words=st.lists(st.text(min_size=1, max_size=64), max_size=249, unique=True), data=st.data())
def test_round_trip(tmp_path_factory: pytest.TempPathFactory, words: list[str], data: st.DataObject) -> None:
    """Any words and codes come back."""
    known = ("unanswered", *words)
    codes = bytes(data.draw(st.lists(st.integers(0, len(known) - 1), min_size=1)))
    path = tmp_path_factory.mktemp("verdicts") / "platform" / "000001.bin"
    written = Verdicts(known, codes, "t", "00" * 32)
    write_verdicts(path, written)
    assert read_verdicts(path) == written


def test_one_byte_a_number(tmp_path: Path) -> None:
    """The file is a line of ASCII and one byte a number."""
    write_verdicts(tmp_path / "v", VERDICTS)
    line, codes = (tmp_path / "v").read_bytes().split(b"\n", 1)
    assert codes == VERDICTS.codes
    assert line.isascii()


def test_any_flipped_byte_is_noticed(tmp_path: Path) -> None:
    """A torn or altered file is refused, unless the change is outside of what it says."""
    path = tmp_path / "v"
    write_verdicts(path, VERDICTS)
    whole = path.read_bytes()
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        try:
            read = read_verdicts(path)
        except StorageError:
            continue
        assert read.codes == VERDICTS.codes
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        with pytest.raises(StorageError):
            read_verdicts(path)


@pytest.mark.parametrize(
    "header",
    [
        {"words": ["yes"], "rows": 1, "task_id": "", "chunk_sha256": ""},
        {"words": ["unanswered"], "rows": 1, "task_id": "", "chunk_sha256": ""},
        {"words": None, "rows": 1, "task_id": "", "chunk_sha256": ""},
        {"words": ["unanswered", 1], "rows": 1, "task_id": "", "chunk_sha256": ""},
        {"words": ["unanswered", ["yes"]], "rows": 1, "task_id": "", "chunk_sha256": ""},
        {"words": ["unanswered", "\ud800"], "rows": 1, "task_id": "", "chunk_sha256": ""},
        {"words": ["unanswered", "yes"], "rows": 1, "task_id": None, "chunk_sha256": ""},
        {"words": ["unanswered", "yes"], "rows": 1, "task_id": "", "chunk_sha256": []},
        [],
    ],
)
def test_headers_that_do_not_fit(tmp_path: Path, header: object) -> None:
    """Codes beyond the words, other first words, what is no text and other headers are refused."""
    if isinstance(header, dict):
        header["sha256"] = "4bf5122f344554c53bde2ebb8cd2b7e3d1600ad631c385a5d7cce23c7785459a"  # of b"\x01"
    (tmp_path / "v").write_bytes(b"numbercheck-verdicts 1 " + json.dumps(header).encode() + b"\n\x01")
    with pytest.raises(StorageError):
        read_verdicts(tmp_path / "v")


def test_a_header_that_is_nested_too_deep(tmp_path: Path) -> None:
    """However a header came to be, it is refused."""
    (tmp_path / "v").write_bytes(b"numbercheck-verdicts 1 " + b"[" * 100_000 + b"\n\x01")
    with pytest.raises(StorageError, match="not a verdict file"):
        read_verdicts(tmp_path / "v")


def test_missing(tmp_path: Path) -> None:
    """A missing verdict file is an error of the disk that names it."""
    with pytest.raises(StorageError, match="nowhere"):
        read_verdicts(tmp_path / "nowhere")
