from __future__ import annotations

import csv
import io
import random
import re
from collections import Counter
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.errors import UsageError
from orchestrator.intake.blocks import MAX_LINE_BYTES, CellBlock
from orchestrator.intake.numbers.reasons import Reason
from orchestrator.intake.sources import csv_rows as table
from orchestrator.intake.sources import plain_text as text_module
from orchestrator.intake.sources.csv_rows import RecordBuffer, TableBlock, is_table, read_csv, sniff
from orchestrator.intake.sources.decode import HEAD_BYTES, as_utf8
from orchestrator.intake.sources.number_column import Wanted
from orchestrator.intake.sources.plain_text import LineBuffer
from orchestrator.intake.sources.record_fields import RecordFields, without_quoted
from orchestrator.intake.sources.table_layout import Keep, TableOptions
from orchestrator.intake.sources.table_rows import table_blocks


def blocks(
    data: str | bytes, column: Wanted = None, block_bytes: int = 1 << 18, *, keep: Keep = False
) -> list[CellBlock]:
    raw = data if isinstance(data, bytes) else data.encode()
    found = read_csv(as_utf8(io.BytesIO(raw)), TableOptions("a.csv", column, keep=keep), block_bytes)
    return [block.parsed() if isinstance(block, TableBlock) else block for block in found]


def cells(data: str | bytes, column: Wanted = None, block_bytes: int = 1 << 18) -> list[tuple[int, str]]:
    return [cell for block in blocks(data, column, block_bytes) for cell in block.cells()]


@pytest.mark.parametrize(
    ("header", "delimiter"),
    [("phone", ","), ("a,b;c,d", ","), ("a;b", ";"), ("a\tb", "\t"), ('"a,b,c";d', ";"), ("a,b\tc", ","), ("a|b", "|")],
)
def test_sniffed_delimiter(header: str, delimiter: str) -> None:
    """The delimiter is what stands in the header most often, outside of quotes; a comma when in doubt."""
    assert sniff(header) == delimiter


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_cells_and_lines(end: str, delimiter: str) -> None:
    """The column's cells come out stripped, with the physical line on which their record starts."""
    rows = ["", "Name,Phone", 'Anna,"+41"', "", ",,", f'"two{end}lines",  +42 ', 'Carl,"a ""b"""']
    text = end.join(rows).replace(",", delimiter)
    assert cells(text) == [(3, "+41"), (6, "+42"), (8, 'a "b"')]


def test_a_row_without_a_number_is_not_blank() -> None:
    """A row with something in it is a cell to reject; only a row without anything is a blank line."""
    assert cells("name,phone\nAnna\nBob,\n , \n") == [(2, ""), (3, "")]


def test_byte_order_mark_and_other_bytes() -> None:
    """A BOM is dropped; a line that is no UTF-8 is read in the Western code page."""
    assert cells(b"\xef\xbb\xbfphone,name\n+41,J\xfcrg\n+\xff,x\n") == [(2, "+41"), (3, "+\u00ff")]


def test_headerless_list() -> None:
    """A single column without a header begins with its first row; empty columns beside it don't count."""
    assert cells("+41798284651\n+41798284652\n") == [(1, "+41798284651"), (2, "+41798284652")]
    assert cells("+41798284651;\n+41798284652;\n") == [(1, "+41798284651"), (2, "+41798284652")]


@pytest.mark.parametrize("data", ["", "\n\n", "phone\n", ",\n"])
def test_nothing_in_it(data: str) -> None:
    """A table without rows gives no cells, and is no error by itself."""
    assert cells(data) == []


def test_no_column() -> None:
    """A header that does not tell is an error that names the file."""
    with pytest.raises(UsageError, match=r"a\.csv: no column in .* may hold the numbers"):
        cells("a,b\n1,2\n")


@pytest.mark.parametrize("tail", ["", "\n"])
def test_unclosed_quote(tail: str) -> None:
    """A quote that is never closed would swallow the rest of the list: from its line on, each is read for itself."""
    found = cells(f'name,phone\nx,+41\n"y,+42\nz,+43{tail}')
    assert found == [(2, "+41"), (3, "+42"), (4, "+43")]


@pytest.mark.parametrize("block_bytes", [1 << 12, 1 << 18, 1_100_000])
def test_unclosed_quote_in_a_large_file(block_bytes: int) -> None:
    """A quote that is not closed for too long is taken for a stray one, however blocks are cut."""
    rows = MAX_LINE_BYTES // 50
    found = cells('phone,note\n"+41,\n' + f"+42,{'x' * 60}\n" * rows, block_bytes=block_bytes)
    assert found[:2] == [(2, '"+41'), (3, "+42")]
    assert len(found) == rows + 1


NUMBER = "+4179828{:04d}"


@pytest.mark.parametrize("end", ['"x, y",{}', '7 inch 3",{}', '"",{}', 'n3,"{}"'])
@pytest.mark.parametrize("rows", [2, 3, 500])
def test_a_stray_quote(end: str, rows: int) -> None:
    """What stands between a stray quote and the next one are rows, each with its line; nothing is swallowed."""
    lines = [f"n{i},{NUMBER.format(i)}" for i in range(rows)]
    lines[0] = f'"5 inch pipe,{NUMBER.format(0)}'
    lines[-1] = end.format(NUMBER.format(rows - 1))
    found = "".join(text for _, text in cells("note,phone\n" + "\n".join(lines) + "\n"))
    assert [i for i in range(rows) if NUMBER.format(i) not in found] == []


SWALLOWED = "+41791110001,Bob\n+41791110002,{}\n+41791110003,Cy\n"


@pytest.mark.parametrize("end", ['"Al"', 'Al"', '"Al', "Al", '7 inch 3"'])
@pytest.mark.parametrize("above", ["", "List of May\n\n"])
def test_a_stray_quote_in_the_header(above: str, end: str) -> None:
    """The header ends with its line where rows stand in what a quote of it brings together; none of them is lost."""
    begin = above.count("\n") + 2
    for header in ('phone,"name', '"phone,name', 'phone,name,"'):
        found = cells(f"{above}{header}\n{SWALLOWED.format(end)}")
        assert [(line, number[:12]) for line, number in found if number] == [
            (begin, "+41791110001"), (begin + 1, "+41791110002"), (begin + 2, "+41791110003"),
        ]  # fmt: skip
        assert {block.look.headers for block in blocks(f"{above}{header}\n{SWALLOWED.format(end)}") if block.look} <= {
            ("phone", "name"), ("phone", "name", "Column 3"),
        }  # fmt: skip


@pytest.mark.parametrize(
    "header",
    ['phone,"name\n(in full)"', '"name\n(in full)",phone', '"name\n(in full)" ,phone', 'x,phone,"sales\n2024 - 2025"',
     'phone,"from\n01.11.2026 10:00"', '"phone\nnumber",name'],
)  # fmt: skip
def test_a_header_of_several_lines(header: str) -> None:
    """A line break that is meant in the name of a column is a part of it."""
    place = next(place for place, name in enumerate(next(csv.reader([header]))) if "phone" in name)
    row = ["a"] * len(next(csv.reader(io.StringIO(header))))
    row[place] = "+41791110001"
    found = blocks(f"{header}\n{','.join(row)}\n", keep=True)
    assert [list(block.cells()) for block in found] == [[(3, "+41791110001")]]
    assert len(found[0].names) == len(row) - 1


def test_blanks_behind_a_closing_quote() -> None:
    """A record whose cells are all in their places is one, although its quotes are not as they should be."""
    assert cells('a,b,phone\nx,"a\nb" ,+41791110001\ny,"a\nb"c,+41791110002\n') == [
        (2, "+41791110001"),
        (4, "+41791110002"),
    ]
    swallowed = 'a,b,phone\nx,"a,+41791110001\ny,b"c,+41791110002\n'
    assert "+41791110001" in "".join(text for _, text in cells(swallowed))


def test_fields_of_several_lines() -> None:
    """Fields with line ends of their own are what quotes are for, whether or not there are numbers in them."""
    text = 'phone,note\n+41791112233,"call 0791112244\nor, 0791112255\n"\n+41791112266,"a\nb"\n'
    assert cells(text) == [(2, "+41791112233"), (5, "+41791112266")]
    text = 'note,phone\n"Main Street 1\nZurich",+41791112233\n"x ""y""\n\nz",+41791112244\n'
    assert cells(text) == [(2, "+41791112233"), (4, "+41791112244")]


def test_rows_with_other_cells_than_the_header() -> None:
    """A number that stands beside its column is rejected with its row; one that stands in it counts."""
    (block,) = blocks("name;phone;x\nAnna,+41798284651\nBob\nDoe; Jane;+41798284652;y\nEve;+41798284653\n")
    expected = ["Anna,+41798284651", "", "Doe; Jane;+41798284652;y", "+41798284653"]
    assert (list(block.texts), dict(block.faults)) == (expected, {0: Reason.MOVED, 2: Reason.MOVED})


def test_a_number_behind_the_last_column() -> None:
    """It is lost for no column: its row is rejected, save where most rows have such a number there."""
    text = "name;phone;cust\nAnna;+41798284651;12345678\nBob;+41798284652;12345679;x\n"
    (block,) = blocks(f"{text}A;+41798284653;0798284654;12345670\nEve;+41798284655;12345671;;\n")
    assert list(block.texts) == [
        *("+41798284651", "+41798284652", "A;+41798284653;0798284654;12345670", "+41798284655")
    ]
    assert dict(block.faults) == {2: Reason.MOVED}
    (block,) = blocks("phone;x\n+41798284651;a;12345678\n+41798284652;b;12345679\n")
    assert list(block.texts) == ["+41798284651", "+41798284652"]
    (block,) = blocks("phone;x;y\n;;2026-01-02 03:04:00;\n+41798284651;;2026-01-02 03:04:00\n")
    assert (list(block.texts), dict(block.faults)) == (["", "+41798284651"], {})


def test_a_row_that_was_moved_and_is_as_wide_as_the_header() -> None:
    """What came to stand beside its column is rejected in the place of what stands there now, and nothing else is."""
    text = "name,phone,note\nAnn,+41798284651,x\nDoe, Jane,+41798284652\nEve,,079 828 46 53\nJo,12,0798284654\nKim,,x\n"
    (block,) = blocks(text + "Lou,+41798284655,y\nMo,+41798284656,z\n")
    assert list(block.texts)[:5] == ["+41798284651", "+41798284652", "079 828 46 53", "12", ""]
    assert dict(block.faults) == {1: Reason.ELSEWHERE, 2: Reason.ELSEWHERE}
    assert block.left == 1  # twelve may be a number, of a small country


@pytest.mark.parametrize("moved", ["0791110002", "41791110002", "+41791110002", "1000012345"])
def test_a_number_that_is_unlike_the_others_of_its_column(moved: str) -> None:
    """A row without a number is rejected with one that has a zero, a plus or more digits than its column mostly has."""
    rows = "".join(f"Anna,+4179111{row:04d},{10_000_000 + row}\n" for row in range(60))
    for more in (f"Bob,,{moved}\n", f"Bob,Bern,{moved}\n", f'Bob,,"{moved}"\n"""x",,\n'):
        (block,) = blocks(f"Name,Phone,Customer\n{rows}{more}Carl,,10000099\nDora,,100000991\n")
        assert dict(block.faults) == {60: Reason.ELSEWHERE}
        assert (block.texts[60], block.left) == (moved, 0)


def test_every_field_in_quotes() -> None:
    """A cell of several lines, in a record with quotes around all fields, is no row of its own, whatever it holds."""
    text = '"A","Phone","B"\n"Anna","+41791110001\n+41791110002,5","x"\n"Bob","+41791110003","y"\n'
    assert cells(text) == [(2, "+41791110001\n+41791110002,5"), (4, "+41791110003")]


def test_a_short_line_of_a_field_is_no_row() -> None:
    """The last line of a field that ends its record is a row by itself only if it has as many cells as rows have."""
    text = 'Mobile,B,C,Home\n+41791110001,b,c,"Tel. +41791110002\n +4179876759,9"\n'
    assert cells(text, ("Mobile", "Home")) == [(2, "+41791110001"), (2, "Tel. +41791110002\n +4179876759,9")]


def test_tabs_below_a_header_of_one_column() -> None:
    """They part cells, of which none makes a number together with the next one."""
    text = 'a title\t\there\nPhone\n+41791110001\tno. 5\n41791110002\t7\n"+4179\t1110\t003"\tx\n+41791110004\t\n'
    found = ["+41791110001 | no. 5", "41791110002 | 7", "+4179\t1110\t003 | x", "+41791110004"]
    assert [cell for _, cell in cells(text)] == found


def test_rows_that_two_stray_quotes_make_one_cell_of() -> None:
    """Each is a row again where tabs part cells, which within a number are blanks."""
    text = 'Phone\tno.\n"+41791110001\t1\n+4179111000\t2\n+41791110003"\t3\n'
    assert cells(text) == [(2, '"+41791110001'), (3, "+4179111000"), (4, '+41791110003"')]


def test_moved_rows_among_few() -> None:
    """Where they make another column one that mostly holds numbers, a plus sign tells whose these are."""
    text = "name,phone,note\nDoe, Jane,+41798284651\nRoe, Jo,+41798284652\nBob,+41798284653,x\n"
    (block,) = blocks(text)
    assert list(block.texts) == ["+41798284651", "+41798284652", "+41798284653"]
    assert dict(block.faults) == {0: Reason.ELSEWHERE, 1: Reason.ELSEWHERE}


def test_what_stands_in_other_columns_is_counted() -> None:
    """Also in a cell of several lines, be they a note or rows that quotes tore; dates are no numbers."""
    text = 'name,phone,note\na,+41798284651,"call 0798284652\nor, 0798284653"\nb,+41798284654,2026-01-02\n'
    (block,) = blocks(text + "c,+41798284655,\n")
    assert (list(block.texts), block.left) == (["+41798284651", "+41798284654", "+41798284655"], 2)


def test_one_of_two_columns_without_a_number() -> None:
    """A word there shows that the row was moved; nothing there, that a person has none of the kind: that is counted."""
    text = "name,phone,mobile,fax\na,+41798284651,,\nb,+41798284652,,+41446681800\nDoe, c,+41798284653,0446681801\n"
    (block,) = blocks(text + "d,+41798284656,+41798284657,\n", ("phone", "mobile"))
    assert list(block.texts)[:4] == ["+41798284651", "+41798284652", "0446681801", "+41798284653"]
    assert (dict(block.faults), block.left) == ({2: Reason.ELSEWHERE}, 1)


def test_a_column_that_mostly_holds_other_numbers() -> None:
    """Those of customers are none of a telephone: a row without one has nothing in another column."""
    text = "customer,phone,since\n12345678,+41798284651,\n12345679,,\n12345670,,2026-01-02 03:04:00\n"
    (block,) = blocks(text)
    assert (list(block.texts), dict(block.faults), block.left) == (["+41798284651", "", ""], {}, 0)


def test_two_numbers_that_a_delimiter_parts() -> None:
    """Written by hand, without quotes: the row is longer than others, although what stands behind is empty."""
    (block,) = blocks("name,phone,note\nAnn,+41798284651, 0446681800,\nBob,+41798284652,\nEve,+41798284653,x\n")
    assert dict(block.faults) == {0: Reason.MOVED}
    (block,) = blocks("name,phone,note\nAnn,+41798284651,0446681800,\nBob,+41798284652,12345678,\n")
    assert dict(block.faults) == {}


def test_a_line_that_looks_like_a_header() -> None:
    """A line of a card names what it holds, and holds it: it is no header, whose number would be lost."""
    card = b"BEGIN:VCARD\nTEL;TYPE=CELL:+41798284651\nTEL;TYPE=HOME:+41798284652\n"
    assert not is_table(card, None)
    with pytest.raises(UsageError, match=r"row 1 is read as the header, and holds a number itself.*`header_row = 1`"):
        blocks("tel;+41798284651\ntel;+41798284652\n")
    named = TableOptions("a.csv", header_row=1)
    (block,) = read_csv(as_utf8(io.BytesIO(b"tel;no. 1234567\n+41798284652;x\n")), named, 1 << 18)
    assert isinstance(block, TableBlock)
    assert list(block.parsed().cells()) == [(2, "+41798284652")]


def test_swallowed_lines() -> None:
    """A field that is opened and closed where no field is takes no row with it, be it the last one, or a short one."""
    for text in (
        'phone;a;b\n+41798284651;"x;y\n+41798284652;"z;w\n',
        'phone;a;\n"\t+41798284651;\n"\t+41798284652;x\n+41798284653;y;\n',
        'phone;a;b\n+41798284651;x;"y\n+;y;2\n+41798284652;"z";w\n',
    ):
        said = " ".join(raw for _, raw in cells(text, "phone"))
        assert [number for number in ("+41798284651", "+41798284652") if number not in said] == [], text
    legit = 'name,phone,note\n"A\nB","Tel ""x"" +41798284651","c\nd"\n'
    assert cells(legit) == [(2, 'Tel "x" +41798284651')]


def test_what_stands_behind_the_last_header_is_counted() -> None:
    """Also where most rows have a number there: nothing says what these are."""
    rows = "".join(f"a;+4179828465{n};+4930123456{n}\n" for n in range(4))
    (block,) = blocks(f"name;phone\n{rows}")
    assert (list(block.texts), block.left) == ([f"+4179828465{n}" for n in range(4)], 4)


def test_a_table_of_one_column() -> None:
    """What parts the cells of other tables stands within the only one of this: several numbers in a cell."""
    found = cells('phone\n+41798284651, +41798284652\n+41798284653,\n,+41798284654\n"+41798284655",x\n')
    assert found == [
        (2, "+41798284651, +41798284652"), (3, "+41798284653"), (4, ",+41798284654"), (5, "+41798284655,x"),
    ]  # fmt: skip


def test_two_stray_quotes_on_a_line() -> None:
    """What they bring together is no cell where a delimiter is in it; where there is none, all is in its place."""
    found = cells('name,phone,a,b\n5" x,"079 828 46 51,7,"y" z\n"Tom" Dee,0798284652,"q",r\n')
    assert found == [(2, '"079 828 46 51'), (3, "0798284652")]


def test_a_row_whose_last_quote_is_not_closed() -> None:
    """A line break that it takes in swallows no number: neither that of its own line, nor that of the next."""
    text = 'phone,note,work\n+41798284651,"a"", Tel. +41798284652\n+41798284653,b",+41798284654\n'
    said = " ".join(text for _, text in cells(text, ("phone", "work")))
    assert [number for number in range(41798284651, 41798284655) if str(number) not in said] == []


def test_quotes_in_the_middle_of_a_field() -> None:
    """A quote means something at the beginning of a field only, or sloppy files would lose the rest of the list."""
    assert cells('name,phone\n5" pipe,+41\n "x,+42\n"a"b",+43\n') == [(2, "+41"), (3, "+42"), (4, "+43")]


@pytest.mark.parametrize("first", ["sep=;\r\n", '"sep=;"\n', "\n\nSEP=;\n"])
def test_a_line_that_names_the_delimiter(first: str) -> None:
    """Excel's own first line says what the delimiter is, and is no header."""
    lines = first.count("\n")
    assert cells(first + "a,b,c,phone;d\n+41;x\n", "a,b,c,phone") == [(lines + 2, "+41")]


def test_titles_above_a_table() -> None:
    """Titles, whose delimiters are others, are no part of the table; quoted ones may have several lines."""
    text = 'Call report, November; all\n\n"Generated\n2026-11-01 10:00"\nName;Phone;Phone\nx;+41;+42\ny;;+43\n'
    assert cells(text, ("Phone", "Phone#2")) == [(6, "+41"), (6, "+42"), (7, "+43")]
    assert is_table(text.encode(), None)
    (block,) = blocks(text, "Phone")
    assert block.look is not None
    assert block.look.above == 2


def test_a_line_that_names_the_tab() -> None:
    """The delimiter that it names may be white, and stands at the end of the line then."""
    assert cells("sep=\t\r\na,b\tphone\r\nx\t+41\r\n") == [(3, "+41")]


@pytest.mark.parametrize("block_bytes", [1000, 1 << 18, 1_100_000])
def test_long_records(block_bytes: int) -> None:
    """A record above the limit is a fault, shown cut, and what follows is read; one at the limit is not."""
    limit = "x," + "7" * (MAX_LINE_BYTES - 2)
    text = f"name,phone\n{limit}\n{limit}7\r\ny,+41\n"
    found = blocks(text, block_bytes=block_bytes)
    rows = [(line, len(raw)) for block in found for line, raw in block.cells()]
    assert rows == [(2, MAX_LINE_BYTES - 2), (3, 1000), (4, 3)]
    assert [dict(block.faults) for block in found if block.faults] == [{0: Reason.LINE_TOO_LONG}]


@pytest.mark.parametrize("block_bytes", [1 << 12, 1 << 18, 1_100_000])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_long_record_with_quotes(end: str, block_bytes: int) -> None:
    """A record that is too long is one also where its fields are quoted, to its own end: line breaks in them count."""
    fields = [f"x{end}y", "7" * 900_000 + f"{end}z,+43{end}", "8" * 900_000]
    text = f'name,phone{end}"' + '","'.join(fields) + f'"{end}y,+41{end}'
    found = blocks(text, block_bytes=block_bytes)
    assert [(line, len(raw)) for block in found for line, raw in block.cells()] == [(2, 1000), (6, 3)]
    assert [dict(block.faults) for block in found if block.faults] == [{0: Reason.LINE_TOO_LONG}]


class Work:
    """Counts the quoted fields that a buffer of records finds."""

    def __init__(self, buffer: RecordBuffer) -> None:
        self.fields = 0
        self._pattern = buffer._quoted
        buffer._quoted = self  # type: ignore[assignment]  # as much of a pattern as is used

    def finditer(self, data: bytearray, start: int) -> Iterator[re.Match[bytes]]:
        for match in self._pattern.finditer(data, start):
            self.fields += 1
            yield match


@pytest.mark.parametrize("record", [b',","', b'"",', b'"a""b",'])
def test_a_long_record_is_looked_at_once(record: bytes) -> None:
    """A record of megabytes of quotes costs what its length is, not its square, and stays out of memory."""
    data = record * (1_600_000 // len(record))
    lines = LineBuffer(io.BytesIO(data + b"\n+41\n"), 1 << 14)
    buffer = RecordBuffer(lines, ",", "a.csv")
    work, sizes = Work(buffer), [0]
    sizes.extend(len(lines.buffer) for _ in buffer.blocks())
    assert 0 < work.fields <= data.count(b'"') // 2 + 2 * len(data) // (1 << 14)
    assert max(sizes) <= MAX_LINE_BYTES + (1 << 14)


def test_a_header_that_is_no_header() -> None:
    """A first row longer than what is looked at is an error, and not a table without end."""
    with pytest.raises(UsageError, match="the first row is longer than"):
        cells("phone," + "x" * HEAD_BYTES + "\n+41,y\n")


def test_tables_by_content() -> None:
    """Text is a table if its first line is a header: several names, one of which says that numbers are below it."""
    assert is_table(b"\n\nName;Phone\n1;+41\n", None)
    assert is_table(b"a\tb\n", "b")
    assert not is_table(b"a;b\n", None)
    assert not is_table(b"phone\n+41\n", None)
    assert not is_table(b"", None)
    assert not is_table(b"+41 79, +41 78\n", None)


def test_kept_columns() -> None:
    """Kept cells come with every row, in blocks of any size; the first block tells what the table looks like."""
    text = 'name,phone,city\nAnna,+41,"Bern, BE"\nBob,+42\n,+43,x\n'
    for block_bytes in (1, 25, 1 << 18):
        found = blocks(text, block_bytes=block_bytes, keep=True)
        assert {block.names for block in found} == {("name", "city")}
        assert [kept for block in found for kept in block.kept] == [["Anna", "Bern, BE"], ["Bob", ""], ["", "x"]]
        assert [block.look is not None for block in found] == [True] + [False] * (len(found) - 1)


def test_blocks_of_cells_are_bounded() -> None:
    """A block of another table's rows holds about as much text as was asked for, kept cells included."""
    rows = [(1, ["phone", "note"]), *((i, ["+41", "x" * 40]) for i in range(2, 100))]
    found = list(table_blocks(rows, TableOptions("a", keep=True), 200))
    assert max(len(block.lines) for block in found) == 4
    assert [line for block in found for line, _ in block.cells()] == list(range(2, 100))


def whole_records(text: str) -> list[tuple[int, bytes, list[str]]] | None:
    """Return line, bytes without line end, and cells of every record; None if a quote is never closed."""
    lines = text.encode().splitlines(keepends=True)
    reader = csv.reader([*(line.decode() for line in lines), "\0end"])
    found: list[tuple[int, bytes, list[str]]] = []
    begin = 0
    for row in reader:
        end = reader.line_num
        if row == ["\0end"]:
            return found
        found.append((begin + 1, re.sub(rb"\r?\n?\Z", b"", b"".join(lines[begin:end])), row))
        begin = end
    return None


@given(st.text(alphabet='ab,"\n\r', max_size=60), st.integers(1, 9))
def test_records_above_a_limit(tail: str, block_bytes: int) -> None:
    """However blocks are cut, records above the limit are the same faults, each from its line, and others are rows."""
    text, limit = f"x,phone\n{tail}\n", 9
    records = whole_records(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(table, "MAX_LINE_BYTES", limit)
        patch.setattr(text_module, "MAX_LINE_BYTES", limit)
        patch.setattr(csv, "field_size_limit", lambda limit: limit)  # of the process; too low for the look at the head
        try:
            found = [cell for block in blocks(text, "phone", block_bytes) for cell in line_and_fault(block)]
        except UsageError:  # a quoted field above the limit counts as one that is never closed
            assert records is None or any(len(raw) > limit and b'"' in raw for _, raw, _ in records)
            return
    if records is None or any(b'"' in raw and (len(raw) > limit or is_torn(raw)) for _, raw, _ in records):
        assert {line for line, _ in found} <= set(range(2, len(text.encode().splitlines()) + 1))
        return
    assert found == [
        (line, len(raw) > limit) for line, raw, row in records[1:] if len(raw) > limit or "".join(row).strip()
    ]


def is_torn(raw: bytes) -> bool:
    """Whether a record does not end as quoted fields do."""
    try:
        list(csv.reader([line.decode() for line in raw.splitlines(keepends=True)], strict=True))
    except csv.Error:
        return True
    return False


def line_and_fault(block: CellBlock) -> list[tuple[int, bool]]:
    return [(line, place in block.faults) for place, line in enumerate(block.lines)]


def reference(text: str) -> list[tuple[int, list[str]]] | None:
    """Parse by Python's csv module as a whole; return None for a quote that is never closed."""
    lines = text.encode().splitlines(keepends=True)
    reader = csv.reader([*(line.decode() for line in lines), "\0end"])
    rows, line = [], 1
    for row in reader:
        if any(map(str.strip, row)):
            rows.append((line, row))
        line = reader.line_num + 1
    return rows[:-1] if rows[-1][1] == ["\0end"] else None


@given(st.text(alphabet='ab,"\n\r ', max_size=40), st.integers(1, 60))
def test_records_are_those_of_the_csv_module(tail: str, block_bytes: int) -> None:
    """Whatever quotes stand where, and however blocks are cut, rows are those of one parser over the whole file."""
    text = f"x,phone\n{tail}\n"
    found = [
        (line, [kept[0], cell])
        for block in blocks(text, block_bytes=block_bytes, keep=True)
        for (line, cell), kept in zip(block.cells(), block.kept, strict=True)
    ]
    rows, records = reference(text), whole_records(text)
    if rows is None or records is None or any(is_torn(raw) for _, raw, _ in records):
        read = Counter("".join(cell for _, row in found for cell in row))
        assert all(read[letter] >= tail.count(letter) for letter in "ab" if "," not in tail)
        return
    expected = [(line, [(*row, "", "")[0], (*row, "", "")[1].strip()]) for line, row in rows[1:]]
    assert found == expected


@given(st.lists(st.text(alphabet='ab,"\n\r ', max_size=6), max_size=12), st.integers(1, 60))
def test_borders_of_blocks_change_nothing(values: list[str], block_bytes: int) -> None:
    """Whatever the size of blocks, every cell comes out once, in order, with its line."""
    text = "x,phone\n"
    expected = []
    for value in values:
        expected.append((len(text.splitlines()) + 1 if "\r" not in text else 0, value.strip()))
        text += 'x,"' + value.replace('"', '""') + '"\n'
    found = cells(text, block_bytes=block_bytes)
    assert [cell for _, cell in found] == [cell for _, cell in expected]
    assert "\r" in text or found == expected


@pytest.mark.parametrize("seed", range(6))
def test_rows_are_read_at_once_or_one_by_one(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    """What is read of most rows at once is what one row after the other gives: cells, lines, faults, what is left."""
    dice = random.Random(seed)  # noqa: S311 - tables for a test
    own = (
        "+41798284651",
        "079 828 46 51",
        '"a ""b"""',
        "",
        " ",
        '" +41 79 828 46 51 "',
        "Fax",
        "M\u00fcller",
        "\u0664\u0661\u0667\u0669\u0668\u0662\u0668\u0664\u0666\u0665\u0661",
    )
    others = (
        *own,
        "31.12.1979 12:30",
        "1979-12-31",
        "2019 - 2020",
        "10000123",
        "0791234567",
        "1234567",
        '"Bern, CH"',
        "+49 30 1234567",
        "call 079/123 45 67",
        "\u042f\u043d\u0432\u0430\u0440\u044c",
        "12,5",
        "",
        "",
        "x" * 9,
        "\xa0",
    )
    for _ in range(120):
        width = dice.randrange(1, 6)
        place = dice.randrange(width)
        usual = [dice.choice((None, "1%07d", "41%09d")) for _ in range(width)]
        lines = [",".join("Phone" if column == place else f"C{column}" for column in range(width))]
        for row in range(dice.choice((3, 30, 90))):
            cells = [dice.choice(own if column == place else others) for column in range(width)]
            for column, kind in enumerate(usual):
                if kind and column != place and dice.random() < 0.9:
                    cells[column] = kind % (row * 7)
            if dice.random() < 0.1:
                cells = dice.choice((cells[:-1], [*cells, ""], [*cells, "more"], [""] * width))
            lines.append(",".join(cells))
        text = dice.choice(("\n", "\r\n")).join(lines)
        data = text.encode() if dice.random() < 0.8 else text.encode("cp1252", "replace")
        keep = dice.choice((False, True))
        found: list[list[CellBlock]] = []
        for at_once in (RecordFields.of, lambda *_: None):
            monkeypatch.setattr(RecordFields, "of", at_once)
            found.append(blocks(data, "Phone", dice.choice((200, 1 << 18)) if not found else 1 << 18, keep=keep))
        monkeypatch.undo()
        one, other = (
            [row for block in read for row in zip(block.lines, block.texts, block.kept or block.texts, strict=True)]
            for read in found
        )
        assert one == other, data
        faults = [[(block.lines[row], why) for block in read for row, why in block.faults.items()] for read in found]
        assert faults[0] == faults[1], data
        assert (
            len({(sum(block.left for block in read), sum(block.filled_lines or 0 for block in read)) for read in found})
            == 1
        )


@pytest.mark.parametrize("seed", range(4))
def test_records_are_found_at_once_or_quote_by_quote(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    """Where each line is a record that is seen at once: the blocks hold the same records as when each quote is seen."""
    dice = random.Random(seed)  # noqa: S311 - tables for a test
    cells = ("a", '"b;c"', '"q""x"', "", '"two\nlines"', 'x"y', '"bad"z', '"', '""')
    for _ in range(300):
        lines = [";".join(dice.choice(cells) for _ in range(3)) for _ in range(dice.randrange(12))]
        data = dice.choice(("\n", "\r\n", "\r")).join(lines).encode() + dice.choice((b"", b"\n"))
        block_bytes = dice.choice((1, 3, 20, 1_000))
        found = []
        for quickly in (without_quoted, lambda *_: None):
            monkeypatch.setattr(table, "without_quoted", quickly)
            buffer = table.RecordBuffer(LineBuffer(io.BytesIO(data), block_bytes), ";", "a.csv")
            blocks = [block for block in buffer.blocks() if isinstance(block, tuple)]
            records = [
                (line + record.begin, record.cells)
                for line, part in blocks
                for record in table._parsed(part.splitlines(keepends=True), 0, ";")
            ]
            found.append((b"".join(part for _, part in blocks), records))
        monkeypatch.undo()
        assert found[0] == found[1], data
