from __future__ import annotations

import pytest

from orchestrator.intake.blocks import text_of
from orchestrator.intake.sources.number_column import every_column, find_columns, headers_of, is_header, is_headerless


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
    assert find_columns(["Name", header, "City"], None) == (1,)


@pytest.mark.parametrize(
    "header",
    [
        "Default Address Phone",
        "Billing Phone",
        "shipping_phone",
        "Person - Phone - Work",
        "HomePhone",
        "MobilePhone",
        "SMS Phone Number",
        "WhatsApp Number",
        "phone1",
        "Telefon gesch\u00e4ftlich",
        "Tel. G",
        "Mobil-Nr.",
        "TelNr",
        "T\u00e9l\u00e9phone bureau",
        "N\u00b0 T\u00e9l\u00e9phone",
        "Tel\u00e9fono del trabajo",
        "Nro de celular",
        "Celular/WhatsApp",
        "Telefono ufficio",
        "Telefon kom\u00f3rkowy",
        "Nr telefonu",
        "Mobiln\u00ed telefon",
        "Broj telefona",
        "S\u1ed1 \u0111i\u1ec7n tho\u1ea1i",
        "No. Telp",
        "\u041c\u043e\u0431\u0438\u043b\u044c\u043d\u044b\u0439 \u0442\u0435\u043b\u0435\u0444\u043e\u043d",
        "\u041c\u043e\u0431. \u0442\u0435\u043b.",
        "\u041d\u043e\u043c\u0435\u0440 \u0442\u0435\u043b\u0435\u0444\u043e\u043d\u0443",
        "\u039a\u03b9\u03bd\u03b7\u03c4\u03cc \u03c4\u03b7\u03bb\u03ad\u03c6\u03c9\u03bd\u03bf",
        "\u0631\u0642\u0645 \u0627\u0644\u0645\u0648\u0628\u0627\u064a\u0644",
        "\u0627\u0644\u062c\u0648\u0627\u0644",
        "\u0634\u0645\u0627\u0631\u0647 \u0645\u0648\u0628\u0627\u06cc\u0644",
        "\u05de\u05e1\u05e4\u05e8 \u05d8\u05dc\u05e4\u05d5\u05df",
        "\u092e\u094b\u092c\u093e\u0907\u0932 \u0928\u0902\u092c\u0930",
        "\u624b\u6a5f\u865f\u78bc",
        "\u643a\u5e2f\u96fb\u8a71\u756a\u53f7",
        "\ud734\ub300\ud3f0\ubc88\ud638",
        "\u0e40\u0e1a\u0e2d\u0e23\u0e4c\u0e42\u0e17\u0e23\u0e28\u0e31\u0e1e\u0e17\u0e4c",
    ],
)
def test_headers_that_programs_write(header: str) -> None:
    """A word of telephones, with nothing beside it but whose it is and which one: from exports in many languages."""
    assert find_columns(["Name", header, "City"], None) == (1,)


@pytest.mark.parametrize(
    "header",
    [
        "Phone Type",
        "Phone 1 - Type",
        "Mobile Opt-In",
        "WhatsApp consent",
        "Last phone call",
        "Phone verified",
        "Home Address",
        "Customer Number",
        "Contact",
        "Fax",
        "Telefonnotiz",
        "Address",
        "No",
        "\u043d\u043e\u043c\u0435\u0440",
    ],
)
def test_what_is_about_telephones_is_none(header: str) -> None:
    """Any other word, and a header is of something else; a number alone may be anybody's."""
    assert find_columns(["Name", header, "Phone"], None) == (2,)


def test_named_column() -> None:
    """`column` is looked up exactly first, then without regard to case."""
    assert find_columns(["phone", "PHONE", "Office"], "PHONE") == (1,)
    assert find_columns(["phone", "Office"], " office") == (1,)


def test_several_columns() -> None:
    """Columns are named one by one, those of one name by a count; a list without a number means every one of them."""
    headers = headers_of(["Name", "Phone", "", "Phone", "Mobile", " "])
    assert headers == ("Name", "Phone", "Column 3", "Phone#2", "Mobile")
    assert headers_of(["Phone_x000D_\nNumber"]) == ("Phone Number",)
    assert find_columns(headers, "Phone") == (1,)
    assert find_columns(headers, ("mobile", "Phone#2")) == (4, 3)
    assert find_columns(headers, ("Phone", "phone")) == (1,)
    assert find_columns(headers, ("Phone", "Office")) is None
    assert every_column(headers, "Name") == (0, 1, 3, 4)
    assert every_column(["Name"], None) is None


@pytest.mark.parametrize(
    ("headers", "wanted", "message"),
    [
        (["Phone", "Mobile"], None, "several columns may hold the numbers; name one with `column`, or several"),
        (["Phone", "phone"], "PHONE", "several columns are called 'PHONE'"),
        (["Phone", 'The "mobile" (cell)', "Tel"], None, r'several as a list: column = \["Phone", "Tel"\]'),
        (["Phone", "Tel (+41798284651)"], None, "several as a list$"),
    ],
)
def test_columns_that_cant_be_told_apart(headers: list[str], wanted: str | None, message: str) -> None:
    """Where several are as good, nothing is guessed."""
    with pytest.raises(ValueError, match=message):
        find_columns(headers, wanted)


@pytest.mark.parametrize(
    ("header", "page"),
    [
        ("\u624b\u673a\u53f7", "gb18030"),
        ("\u96fb\u8a71\u756a\u53f7", "cp932"),
        ("\u0422\u0435\u043b\u0435\u0444\u043e\u043d", "cp1251"),
        ("\u0631\u0642\u0645 \u0627\u0644\u062c\u0648\u0627\u0644", "cp1256"),
        ("\uc804\ud654\ubc88\ud638", "cp949"),
        ("\u05d8\u05dc\u05e4\u05d5\u05df", "cp1255"),
    ],
)
def test_headers_in_code_pages(header: str, page: str) -> None:
    """A spreadsheet program writes csv files in the code page of its country: the header is known, and can be named."""
    (seen, _) = headers_of([text_of(header.encode(page)), "x"])
    assert seen != header
    assert find_columns([seen, "x"], None) == (0,)
    assert find_columns(["x", seen], header) == (1,)


def test_headerless_list() -> None:
    """One column that begins with a number is a list without a header."""
    assert is_headerless(["+41 79 828 46 51", ""])
    assert not is_headerless(["Phone"])
    assert not is_headerless(["", "+41 79 828 46 51"])
    assert not is_headerless(["Anna", "+41 79 828 46 51"])


def test_headers_of_tables() -> None:
    """A header has several names, one of which tells of numbers, or is the one that is wanted."""
    assert is_header(["Name", " Phone "], None)
    assert is_header(["Name", "Contact"], "contact")
    assert not is_header(["Name", "Contact"], None)
    assert not is_header(["Phone"], None)


@pytest.mark.parametrize(
    "header",
    ["Phone 2", "Phone 3 - Value", "Tel. 2", "Business Phone 2", "Primary Phone", "Phone (mobile)", "Puhelin",
     "Telefonsz\u00e1m", "\u0422\u0435\u043b\u0435\u0444\u043e\u043d", "\u0647\u0627\u062a\u0641",
     "\u624b\u673a\u53f7", "\uc804\ud654\ubc88\ud638"],
)  # fmt: skip
def test_counted_headers_and_those_of_other_scripts(header: str) -> None:
    """What is called phone, and counted, is a column of numbers too: none of several is passed over in silence."""
    assert every_column([header, f"{header} 23456"], None) == (0,)
    with pytest.raises(ValueError, match="several columns may hold the numbers"):
        find_columns(["Phone", header, "Name"], None)
