"""Which column of a table holds the numbers."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

SHOWN_HEADERS = 30
SHOWN_CHARACTERS = 40

# Compared without case, accents and punctuation.
_KNOWN = frozenset(
    name.strip()
    for name in """
    phone; phones; phone number; phone numbers; phone no; phonenumber; mobile; mobile number; mobile phone; mobile no;
    number; numbers; tel; tel no; telephone; telephone number; msisdn; cell; cellphone; cell phone; e164; e 164; gsm;
    whatsapp; telefon; telefonnummer; rufnummer; nummer; handy; handynummer; mobil; mobilnummer; mobiltelefon;
    telefono; numero; numero de telefono; movil; celular; numero di telefono; cellulare; telefone; telemovel;
    numero de telephone; portable; cep; cep telefonu; cep no; telefon numarasi; telefon no; numara
    """.split(";")  # noqa: SIM905 - as a list of strings it would be a page long
)
_PUNCTUATION = re.compile(r"[\W_]+")
_DIGIT = re.compile(r"\d")
_FEWEST_DIGITS = 5


@dataclass(frozen=True, slots=True)
class Column:
    """Where the numbers stand, counted from 0; a headerless list begins with its first row."""

    index: int
    headerless: bool = False


def find_column(first_row: Sequence[str], wanted: str | None, source: str) -> Column:
    """Find the column that `wanted` names, or the one whose header says that it holds numbers.

    Raises `UsageError`, listing the headers, when there is none or more than one.
    """
    headers = [header.strip() for header in first_row]
    if len(headers) == 1 and _holds_number(headers[0]):
        return Column(0, headerless=True)
    found = _guess(headers) if wanted is None else _named(headers, wanted)
    if len(found) == 1:
        return Column(found[0])
    raise UsageError(f"{source}: {_complaint(headers, wanted, len(found))}. The first row has: {_shown(headers)}")


def _named(headers: Sequence[str], wanted: str) -> list[int]:
    exact = [i for i, header in enumerate(headers) if header == wanted.strip()]
    return exact or [i for i, header in enumerate(headers) if header.casefold() == wanted.strip().casefold()]


def _guess(headers: Sequence[str]) -> list[int]:
    return [i for i, header in enumerate(headers) if _plain(header) in _KNOWN]


def _plain(header: str) -> str:
    letters = unicodedata.normalize("NFKD", header.casefold().replace("\u0131", "i"))
    return _PUNCTUATION.sub(" ", "".join(c for c in letters if not unicodedata.combining(c))).strip()


def _complaint(headers: Sequence[str], wanted: str | None, found: int) -> str:
    if wanted is not None:
        return (
            f"{'several columns are' if found else 'no column is'} called {wanted!r}; set `column` to one that is there"
        )
    if any(map(_holds_number, headers)):
        return "the first row holds a number where headers should be; add a row of headers, and name one with `column`"
    return f"{'several columns' if found else 'no column'} may hold the numbers; name the one with `column`"


def _holds_number(text: str) -> bool:
    return len(_DIGIT.findall(text)) >= _FEWEST_DIGITS and not any(map(str.isalpha, text))


def _shown(headers: Sequence[str]) -> str:
    """List headers for a message; what may be a person's number is not repeated there."""
    shown = ["(a number)" if _holds_number(header) else repr(header[:SHOWN_CHARACTERS]) for header in headers]
    return ", ".join(shown[:SHOWN_HEADERS]) + (", ..." if len(shown) > SHOWN_HEADERS else "")
