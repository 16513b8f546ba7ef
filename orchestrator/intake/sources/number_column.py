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
    phone; phones; phone number; phone numbers; phone no; phone nr; phonenumber; phone e164; mobile; mobiles;
    mobile number; mobile numbers; mobile phone; mobile phone number; mobile no; mobilephone; number; numbers; tel;
    tel no; tel nr; tel number; telephone; telephones; telephone number; telephone no; telephone numbers; msisdn;
    msisdns; cell; cells; cellphone; cell phone; cell number; cellular; e164; e 164; gsm; gsm no; whatsapp;
    whatsapp number; contact number; contact no; contact phone; phone 1 value; home phone; work phone; business phone;
    telefon; telefone; telefonnummer; telefonnummern; telefonnr; telefon nr; telefon mobil; rufnummer; rufnummern;
    nummer; nummern; handy; handynummer; handynummern; handynr; handy nr; mobil; mobilnr; mobilnummer; mobilnummern;
    mobiltelefon; mobilfunknummer; natel; festnetz;
    telefono; telefonos; telefono movil; telefono celular; telefono fijo; numero; numeros; numero de telefono;
    numeros de telefono; no de telefono; numero telefono; numero telefonico; movil; moviles; numero movil;
    numero de movil; celular; celulares; numero celular; numero de celular; tlf; tfno; telf; telef;
    numero de telephone; numeros de telephone; no de telephone; n de telephone; numero telephone; telephone portable;
    telephone mobile; tel portable; tel mobile; portable; numero de portable; numero mobile; numero de mobile;
    telefones; telefone celular; telefone movel; telemovel; telemoveis; numero de telefone; numero telefone; fone;
    numero de telemovel; numero do telefone; numero do celular;
    numeri; numeri di telefono; numero di telefono; numero telefonico; telefono cellulare; telefono fisso; cellulare;
    cellulari; numero cellulare; numero di cellulare; n di telefono; recapito telefonico;
    cep; cep telefonu; cep telefonlari; cep no; cep numarasi; cep tel; telefon numarasi; telefon numaralari;
    telefon no; tel numarasi; gsm numarasi; gsm no; numara; numaralar; numarasi; cep telefonu numarasi;
    telefoon; telefoonnummer; mobiel; mobiel nummer; mobiele nummer; telefonnummer mobil
    """.split(";")  # noqa: SIM905 - as a list of strings it would be pages long
)
_PUNCTUATION = re.compile(r"[\W_]+")
_DIGIT = re.compile(r"\d")
_FEWEST_DIGITS = 5
_LETTERS = str.maketrans("\u0131\u00fd", "ii")  # Turkish, also where its code page was taken for the Western one


@dataclass(frozen=True, slots=True)
class NumberColumn:
    """Where the numbers stand, counted from 0; a headerless list begins with its first row."""

    index: int
    headerless: bool = False


def find_column(first_row: Sequence[str], wanted: str | None, source: str) -> NumberColumn:
    """Find the column that `wanted` names, or the one whose header says that it holds numbers.

    Raises `UsageError`, listing the headers, when there is none or more than one.
    """
    headers = [header.strip() for header in first_row]
    if len(headers) == 1 and _holds_number(headers[0]):
        return NumberColumn(0, headerless=True)
    found = _guess(headers) if wanted is None else named(headers, wanted)
    if len(found) == 1:
        return NumberColumn(found[0])
    raise UsageError(f"{source}: {_complaint(headers, wanted, len(found))}. The first row has: {shown(headers)}")


def is_header(cells: Sequence[str], wanted: str | None) -> bool:
    """Whether cells are the header of a table: several, one of which says that it holds numbers, or is `wanted`."""
    headers = [cell.strip() for cell in cells]
    return len(headers) > 1 and bool(_guess(headers) or (wanted is not None and named(headers, wanted)))


def named(headers: Sequence[str], wanted: str) -> list[int]:
    """Return where `wanted` stands among headers: exactly, or else but for case."""
    exact = [i for i, header in enumerate(headers) if header == wanted.strip()]
    return exact or [i for i, header in enumerate(headers) if header.casefold() == wanted.strip().casefold()]


def _guess(headers: Sequence[str]) -> list[int]:
    return [i for i, header in enumerate(headers) if _plain(header) in _KNOWN]


def _plain(header: str) -> str:
    letters = unicodedata.normalize("NFKD", header.casefold().translate(_LETTERS))
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


def _is_personal(text: str) -> bool:
    return "@" in text or len(_DIGIT.findall(text)) >= _FEWEST_DIGITS


def shown(headers: Sequence[str]) -> str:
    """List headers for a message, none of them when the row may be a person's: no line of a list is ever repeated."""
    if any(map(_is_personal, headers)):
        return "what looks like a person's data, so it is not shown"
    names = [repr(header[:SHOWN_CHARACTERS]) for header in headers]
    return ", ".join(names[:SHOWN_HEADERS]) + (", ..." if len(names) > SHOWN_HEADERS else "")
