"""csv is RFC 4180, and no cell is a formula."""

from __future__ import annotations

import io
from collections.abc import Callable

from orchestrator.master import MasterChunk
from orchestrator.master.base_chunks import base_blocks
from orchestrator.master.master_layout import MasterLayout
from orchestrator.master.sinks import CsvSink
from orchestrator.master.tally import Tally

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
