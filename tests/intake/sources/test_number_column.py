from __future__ import annotations

import pytest

from orchestrator.errors import UsageError
from orchestrator.intake.sources.number_column import NumberColumn, find_column, is_header


@pytest.mark.parametrize(
    "header",
    ["phone", " Phone Number ", "PHONE_NUMBER", "Mobile", "tel.", "MSISDN", "Telefon", "Tel\u00e9fono", "N\u00famero",
     "N\u00ba de tel\u00e9fono", "M\u00f3vil", "Celular", "CEP", "Cep Telefonu", "Telefon Numaras\u0131",
     "TELEFON NUMARASI", "Telefon Numaras\u00fd", "GSM No", "Handy-Nr.", "Rufnummer", "T\u00e9l\u00e9phone portable",
     "N\u00b0 de t\u00e9l\u00e9phone", "Telem\u00f3vel", "N\u00famero de telefone", "Cellulare",
     "Numero di telefono", "Telefoonnummer", "E.164", "Phone 1 - Value"],
)  # fmt: skip
def test_known_headers(header: str) -> None:
    """Usual names in several languages are known, without regard to case, accents and punctuation."""
    assert find_column(["Name", header, "City"], None, "a.csv") == NumberColumn(1)


def test_named_column() -> None:
    """`column` is looked up exactly first, then without regard to case."""
    assert find_column(["phone", "PHONE", "Office"], "PHONE", "a.csv") == NumberColumn(1)
    assert find_column(["phone", "Office"], " office", "a.csv") == NumberColumn(1)


@pytest.mark.parametrize(
    ("row", "wanted", "message"),
    [
        (["Phone", "Mobile"], None, "a.csv: several columns may.*`column`.*'Phone', 'Mobile'"),
        (["Name", "City"], None, "a.csv: no column may.*`column`.*'Name', 'City'"),
        (["Name", "City"], "phone", "no column is called 'phone'.*`column`.*'Name', 'City'"),
        (["Phone", "phone"], "PHONE", "several columns are called 'PHONE'"),
        (["Anna", "+41 79 828 46 51"], None, "first row holds a number.*what looks like a person's data"),
        (["Anna", "anna@example.org"], None, "no column may.*what looks like a person's data"),
        (["x" * 100] * 40, None, "'x{40}', [.]{3}$"),
    ],
)
def test_a_column_that_cant_be_found(row: list[str], wanted: str | None, message: str) -> None:
    """Without exactly one column, the message lists the headers, but no row of a person, and names the key."""
    with pytest.raises(UsageError, match=message) as caught:
        find_column(row, wanted, "a.csv")
    assert "828" not in str(caught.value)
    assert "Anna" not in str(caught.value)


@pytest.mark.parametrize("wanted", [None, "phone"])
def test_headerless_list(wanted: str | None) -> None:
    """One column that begins with a number is a list without a header, whatever the column should be called."""
    assert find_column(["+41 79 828 46 51"], wanted, "a.csv") == NumberColumn(0, headerless=True)


def test_headers_of_tables() -> None:
    """A header has several names, one of which tells of numbers, or is the one that is wanted."""
    assert is_header(["Name", " Phone "], None)
    assert is_header(["Name", "Contact"], "contact")
    assert not is_header(["Name", "Contact"], None)
    assert not is_header(["Phone"], None)
