"""Result files as vendors make them, and a chunk to hold them against."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import openpyxl
import pytest

from orchestrator.jobdir.verdict_files import read_verdicts
from orchestrator.results import ResultCheck, ResultReport
from orchestrator.results.check import check_result

Rows = Sequence[Sequence[object]]


@pytest.fixture
def numbers() -> list[str]:
    """Give the numbers of a chunk, not in ascending order."""
    return [f"+4179{(i * 7919) % 10_000:04d}123" for i in range(400)]


@pytest.fixture
def rows(numbers: list[str]) -> list[list[object]]:
    """Give a plain result for the chunk: every third number has an account."""
    answers: list[list[object]] = [[number, "no" if i % 3 else "yes"] for i, number in enumerate(numbers)]
    return [["Number", "instagram"], *answers]


@pytest.fixture
def expected(numbers: list[str]) -> list[str]:
    """Give the verdicts that `rows` stand for."""
    return ["no" if i % 3 else "yes" for i in range(len(numbers))]


@pytest.fixture
def xlsx() -> Callable[..., bytes]:
    """Give a maker of workbooks: one argument a sheet."""

    def make(*sheets: Rows) -> bytes:
        book = openpyxl.Workbook(write_only=True)
        for place, rows in enumerate(sheets):
            sheet = book.create_sheet(f"S{place}")
            for row in rows:
                sheet.append(row)
        packed = io.BytesIO()
        book.save(packed)
        return packed.getvalue()

    return make


@pytest.fixture
def csv_text() -> Callable[..., bytes]:
    """Give a maker of csv as vendors write it: a byte order mark, no quotes."""

    def make(rows: Rows, delimiter: str = ",") -> bytes:
        return b"\xef\xbb\xbf" + "".join(delimiter.join(map(str, row)) + "\r\n" for row in rows).encode()

    return make


@pytest.fixture
def zipped() -> Callable[..., bytes]:
    """Give a maker of zips from names and contents."""

    def make(members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", method) as archive:
            for name, content in members.items():
                archive.writestr(name, content)
        return packed.getvalue()

    return make


@pytest.fixture
def sheet_xlsx(zipped: Callable[..., bytes]) -> Callable[[str], bytes]:
    """Give a maker of workbooks from the bare XML of their only sheet."""
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    package = "http://schemas.openxmlformats.org/package/2006"

    def relation(kind: str, target: str) -> bytes:
        link = f'<Relationship Id="r1" Type="{office}/{kind}" Target="{target}"/>'
        return f'<Relationships xmlns="{package}/relationships">{link}</Relationships>'.encode()

    def make(xml: str) -> bytes:
        book = f'<workbook xmlns="{main}" xmlns:r="{office}"><sheets><sheet name="S" sheetId="1" r:id="r1"/></sheets>'
        return zipped(
            {
                "[Content_Types].xml": f'<Types xmlns="{package}/content-types"/>'.encode(),
                "_rels/.rels": relation("officeDocument", "xl/workbook.xml"),
                "xl/workbook.xml": (book + "</workbook>").encode(),
                "xl/_rels/workbook.xml.rels": relation("worksheet", "worksheets/sheet1.xml"),
                "xl/worksheets/sheet1.xml": f'<worksheet xmlns="{main}">{xml}</worksheet>'.encode(),
            }
        )

    return make


@pytest.fixture
def check(tmp_path: Path, numbers: list[str]) -> Callable[..., ResultReport]:
    """Give a check of a file's content against the chunk; the verdicts are then at `tmp_path`/verdicts.bin."""

    def run(
        content: bytes, *, success: int | None = None, columns: tuple[str, ...] = (), without_verdict: bool = False
    ) -> ResultReport:
        (tmp_path / "result").write_bytes(content)
        (tmp_path / "chunk.txt").write_text("".join(f"{number}\n" for number in numbers))
        report, content = check_result(
            ResultCheck(
                result=tmp_path / "result",
                chunk=tmp_path / "chunk.txt",
                verdicts=tmp_path / "verdicts.bin",
                platform="instagram",
                columns=columns,
                task_id="cs9viu7i61pkfs4oavvg",
                success=success,
                without_verdict=without_verdict,
            )
        )
        (tmp_path / "verdicts.bin").write_bytes(content)
        return report

    return run


@pytest.fixture
def verdicts(tmp_path: Path) -> Callable[[], list[str]]:
    """Give the verdicts that were written, a word a number."""

    def read() -> list[str]:
        written = read_verdicts(tmp_path / "verdicts.bin")
        return [written.words[code] for code in written.codes]

    return read
