"""The Parquet file has the same cells, typed for analysis."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable

import pyarrow as pa
import pytest
from pyarrow import parquet as pq

from orchestrator.errors import UsageError
from orchestrator.master import MasterChunk, Overlay
from orchestrator.master.base_chunks import base_blocks
from orchestrator.master.master_layout import MasterLayout
from orchestrator.master.parquet_sink import BANNER_KEY, ROWS_PER_GROUP, ParquetSink
from orchestrator.master.resolved import resolved
from orchestrator.master.tally import Tally

Chunk = Callable[..., MasterChunk]


def write(layout: MasterLayout, chunks: list[MasterChunk], kept: list[list[str]] | None = None) -> io.BytesIO:
    file = io.BytesIO()
    row = 0
    with ParquetSink(file, layout) as sink:
        for chunk in chunks:
            for block in base_blocks(chunk, row):
                last = row + len(block.numbers)
                sink.write(block, kept[row:last] if kept else ())
                row = last
        sink.finish(Tally(layout.platforms))
    assert sink.rows == row
    return file


def test_cells_and_types(chunk: Chunk) -> None:
    """Numbers are strings with their plus sign, verdicts dictionaries over all chunks, kept cells strings."""
    chunks = [
        chunk(["+41798284651", "+12025550123"], ["yes", "no"], "held"),
        chunk(["+4915112345678"], ["=1+1"], ["\U0001f600"]),
    ]
    layout = MasterLayout(("instagram", "amazon"), 3, (3,), columns=("name", "Number"))
    table = pq.read_table(write(layout, chunks, [["a", ""], ["b", "x"], ["=c", "y"]]))
    assert table.to_pydict() == {
        "Number": ["+41798284651", "+12025550123", "+4915112345678"],
        "instagram": ["yes", "no", "=1+1"],
        "amazon": ["held", "held", "\U0001f600"],
        "name": ["a", "b", "=c"],
        "Number (list)": ["", "x", "y"],
    }
    verdict = pa.dictionary(pa.int16(), pa.string())
    assert table.schema.types == [pa.string(), verdict, verdict, pa.string(), pa.string()]


def test_banner_is_metadata(chunk: Chunk) -> None:
    """The banner stands in the file's metadata; without one there is none."""
    made = chunk(["+41798284651"], "held")
    with_banner = pq.read_metadata(write(MasterLayout(("p",), 1, (1,), "Made up."), [made])).metadata
    assert with_banner[BANNER_KEY.encode()] == b"Made up."
    assert BANNER_KEY.encode() not in pq.read_metadata(write(MasterLayout(("p",), 1, (1,)), [made])).metadata


def test_row_groups(chunk: Chunk) -> None:
    """Small chunks share a row group, a large one is several, and every row is there once."""
    numbers = [f"+4179{i:07d}" for i in range(ROWS_PER_GROUP + 10)]
    chunks = [chunk(numbers[:5], ["yes"] * 5), chunk(numbers[5:9], ["no"] * 4), chunk(numbers[9:], "held")]
    file = write(MasterLayout(("p",), len(numbers), (0,)), chunks)
    assert pq.read_table(file)["Number"].to_pylist() == numbers
    metadata = pq.read_metadata(file)
    groups = [metadata.row_group(place).num_rows for place in range(metadata.num_row_groups)]
    assert max(groups) <= ROWS_PER_GROUP
    assert len(groups) == 2


def test_more_words_than_a_byte_holds(chunk: Chunk, overlay: Callable[..., Overlay]) -> None:
    """A column may have more words than one chunk's table."""
    numbers = [f"+4179{i:07d}" for i in range(400)]
    first, second = [f"a{i}" for i in range(200)], [f"b{i}" for i in range(200)]
    file = io.BytesIO()
    with ParquetSink(file, MasterLayout(("p",), 400, (400,))) as sink:
        overlays = [overlay("p", 2, range(200, 400), numbers, second)]
        for block in resolved(("p",), [chunk(numbers, first + first)], lambda: overlays):
            sink.write(block, ())
        sink.finish(Tally(("p",)))
    assert pq.read_table(file)["p"].to_pylist() == first + second


def test_empty_list() -> None:
    """A list without numbers gives the columns."""
    assert pq.read_table(write(MasterLayout(("p",), 0, (0,)), [])).to_pydict() == {"Number": [], "p": []}


def test_same_input_same_bytes(chunk: Chunk) -> None:
    """Equal verdicts give equal bytes."""
    made = chunk(["+41798284651", "+12025550123"], ["yes", "no"])
    first, second = (write(MasterLayout(("p",), 2, (2,)), [made]).getvalue() for _ in "ab")
    assert first == second


def test_without_pyarrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who asks for parquet without pyarrow is told how to get it, or how to do without."""
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.delitem(sys.modules, "orchestrator.master.parquet_sink")
    with pytest.raises(UsageError, match=r"needs pyarrow: pip install .*\[parquet\]"):
        import orchestrator.master.parquet_sink  # noqa: F401, PLC0415
