"""csv is RFC 4180, and no cell is a formula."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from orchestrator.jobdir.extra_files import CellKind
from orchestrator.master import MasterChunk
from orchestrator.master.base_chunks import CodedColumn, base_blocks
from orchestrator.master.master_layout import MasterLayout
from orchestrator.master.sinks import CsvSink
from orchestrator.master.tally import Tally
from orchestrator.settings import CsvStyle

Chunk = Callable[..., MasterChunk]


def test_bytes(chunk: Chunk) -> None:
    """UTF-8, comma, CRLF; quotes where needed; numbers keep their plus sign, formulas get an apostrophe."""
    words = ["yes", "s\u00ed", 'a,"b"', "=1+1", "+1+1", "-2+A1", "-12.50", "@x", "two\nlines"]
    numbers = [f"+4179828465{i}" for i in range(len(words))]
    file = io.BytesIO()
    with CsvSink(file, MasterLayout(("instagram", "=x,"), len(words), ())) as sink:
        for block in base_blocks(chunk(numbers, words, "held"), 0):
            sink.write(block, ())
        sink.finish(Tally(["instagram", "=x,"]))
    shown = ["yes", "s\u00ed", '"a,""b"""', "'=1+1", "'+1+1", "'-2+A1", "-12.50", "'@x", '"two\nlines"']
    expected = ['Number,instagram,"\'=x,"', *(f"{n},{w},held" for n, w in zip(numbers, shown, strict=True)), ""]
    assert file.getvalue().decode() == "\r\n".join(expected)
    assert sink.rows == len(words)


def test_a_csv_for_excel(chunk: Callable[..., MasterChunk]) -> None:
    """Semicolons, a byte order mark, decimals with a comma; a comma needs no quotes then, a semicolon does."""
    made = chunk(["+41798284651", "+12025550123"], ["yes", "a;b"])
    block = next(iter(base_blocks(made, 0, (1,))))
    days = CodedColumn(("", "1.5", "12"), np.array([1, 2], np.uint32))
    layout = MasterLayout(("p",), 2, (2,), columns=("name",), extras=({"days": CellKind.DECIMAL},), csv=CsvStyle.EXCEL)
    file = io.BytesIO()
    CsvSink(file, layout).write(replace(block, extras=((days,),)), [["Zürich, CH"], ["=1"]])
    assert file.getvalue().decode("utf-8-sig") == (
        'Number;p;p.days;name\r\n+41798284651;yes;1,5;Zürich, CH\r\n+12025550123;"a;b";12;\'=1\r\n'
    )
    assert file.getvalue().startswith(b"\xef\xbb\xbf")
