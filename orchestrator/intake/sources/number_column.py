"""Which column of a table holds the numbers."""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.intake.blocks import LATIN

if TYPE_CHECKING:
    from collections.abc import Sequence

SHOWN_HEADERS = 30
SHOWN_CHARACTERS = 40

_LETTERS = str.maketrans("\u0131\u00fd\u0111\u0142\u00f8", "iidlo")
"""Letters that have no accent to take off: of Turkish, also in the Western code page, and of other languages."""
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")
_PUNCTUATION = re.compile(r"[\W_]+")
_CODE_PAGES = ["gb18030", "big5", "cp932", "cp949", "cp1250", "cp1251", "koi8_r", "cp1253", "cp1255", "cp1256", "cp874"]
"""Those of spreadsheet programs that write no UTF-8; the lines of a table are read as Windows-1252 then."""
_BRACKETS = re.compile(r"\([^()]*\)")
_PARTED = re.compile(r"\w\s*[,;|\t]\s*\w")
_COUNTED = re.compile(r" ?(?<![0-9])[1-9](?![0-9])")


def compared(header: str) -> str:
    """Return a header without case, accents, punctuation and a count: `Phone 2 - Value` is `phone value`."""
    letters = unicodedata.normalize("NFKD", header.casefold().translate(_LETTERS))
    plain = _PUNCTUATION.sub(" ", "".join(sign for sign in letters if unicodedata.category(sign)[0] != "M"))
    return _COUNTED.sub("", plain).strip()


_KNOWN = frozenset(
    compared(name)
    for name in """
    phone; phones; phone number; phone numbers; phone no; phone nr; phonenumber; phone e164; mobile; mobiles;
    mobile number; mobile numbers; mobile phone; mobile phone number; mobile no; mobilephone; number; numbers; tel;
    tel no; tel nr; tel number; telephone; telephones; telephone number; telephone no; telephone numbers; msisdn;
    msisdns; cell; cells; cellphone; cell phone; cell number; cellular; e164; e 164; gsm; gsm no; whatsapp;
    whatsapp number; contact number; contact no; contact phone; phone value; home phone; work phone; business phone;
    primary phone; main phone; other phone; alternate phone; alternative phone; secondary phone; car phone;
    company main phone;
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
    telefoon; telefoonnummer; mobiel; mobiel nummer; mobiele nummer; telefonnummer mobil;
    telefon mobil; telefon privat; mobil privat; puhelin; puhelinnumero; matkapuhelin; telefonszam; mobilszam;
    numer telefonu; komorka; telefonni cislo; numar de telefon; nomor telepon; nomor hp; no hp; so dien thoai;
    \u0442\u0435\u043b\u0435\u0444\u043e\u043d;
    \u043d\u043e\u043c\u0435\u0440 \u0442\u0435\u043b\u0435\u0444\u043e\u043d\u0430;
    \u043c\u043e\u0431\u0438\u043b\u044c\u043d\u044b\u0439; \u03c4\u03b7\u03bb\u03ad\u03c6\u03c9\u03bd\u03bf;
    \u03ba\u03b9\u03bd\u03b7\u03c4\u03cc;
    \u0647\u0627\u062a\u0641; \u0627\u0644\u0647\u0627\u062a\u0641;
    \u0631\u0642\u0645 \u0627\u0644\u0647\u0627\u062a\u0641; \u062c\u0648\u0627\u0644;
    \u0631\u0642\u0645 \u0627\u0644\u062c\u0648\u0627\u0644; \u0645\u0648\u0628\u0627\u064a\u0644;
    \u05d8\u05dc\u05e4\u05d5\u05df; \u05e0\u05d9\u05d9\u05d3;
    \u624b\u673a; \u624b\u673a\u53f7; \u624b\u673a\u53f7\u7801; \u7535\u8bdd; \u7535\u8bdd\u53f7\u7801;
    \u8054\u7cfb\u7535\u8bdd; \u96fb\u8a71\u756a\u53f7; \u643a\u5e2f\u96fb\u8a71; \uc804\ud654\ubc88\ud638;
    \ud734\ub300\ud3f0;
    \u624b\u6a5f; \u624b\u6a5f\u865f\u78bc; \u624b\u6a5f\u865f; \u884c\u52d5\u96fb\u8a71; \u96fb\u8a71;
    \u79fb\u52a8\u7535\u8bdd; \u56fa\u5b9a\u7535\u8bdd; \u643a\u5e2f\u96fb\u8a71\u756a\u53f7;
    \u643a\u5e2f\u756a\u53f7; \u643a\u5e2f; \ud734\ub300\ud3f0\ubc88\ud638; \ud734\ub300\ud3f0 \ubc88\ud638;
    \ud734\ub300\uc804\ud654; \ud734\ub300\uc804\ud654\ubc88\ud638; \ud578\ub4dc\ud3f0;
    \ud578\ub4dc\ud3f0\ubc88\ud638; \u0e40\u0e1a\u0e2d\u0e23\u0e4c\u0e42\u0e17\u0e23\u0e28\u0e31\u0e1e\u0e17\u0e4c;
    \u0e40\u0e1a\u0e2d\u0e23\u0e4c\u0e42\u0e17\u0e23;
    \u0e40\u0e1a\u0e2d\u0e23\u0e4c\u0e21\u0e37\u0e2d\u0e16\u0e37\u0e2d; \u0e21\u0e37\u0e2d\u0e16\u0e37\u0e2d;
    \u0e42\u0e17\u0e23\u0e28\u0e31\u0e1e\u0e17\u0e4c; dien thoai; di dong; sdt; komorka; ph; ph no
    """.split(";")  # noqa: SIM905 - as a list of strings it would be pages long
)
_OF_TELEPHONES = frozenset(
    compared(word)
    for word in """
    phone phones telephone telephones tel telf telef tlf tfno telefon telefone telefono telefoon telefonnr telnr
    mobile mobil movil mobiel mobiele mobilephone mobiltelefon cell cellphone cellular celular cellulare handy
    handynr natel gsm whatsapp wa msisdn fone telemovel telefonu telefonni telefona telefonas telefonszam mobilszam
    mobiltelefonszam mob hp telp telepon rufnr tlfn \u0442\u0435\u043b\u0435\u0444\u043e\u043d
    \u0442\u0435\u043b\u0435\u0444\u043e\u043d\u0430 \u0442\u0435\u043b\u0435\u0444\u043e\u043d\u0443
    \u0442\u0435\u043b\u0435\u0444\u043e\u043d\u0435\u043d \u043c\u043e\u0431\u0438\u043b\u044c\u043d\u044b\u0439
    \u043c\u043e\u0431\u0438\u043b\u044c\u043d\u043e\u0433\u043e
    \u043c\u043e\u0431\u0456\u043b\u044c\u043d\u0438\u0439 \u043c\u043e\u0431\u0438\u043b\u0435\u043d
    \u0441\u043e\u0442\u043e\u0432\u044b\u0439 \u0442\u0435\u043b \u043c\u043e\u0431
    \u03c4\u03b7\u03bb\u03ad\u03c6\u03c9\u03bd\u03bf \u03ba\u03b9\u03bd\u03b7\u03c4\u03cc \u0647\u0627\u062a\u0641
    \u0627\u0644\u0647\u0627\u062a\u0641 \u062c\u0648\u0627\u0644 \u0627\u0644\u062c\u0648\u0627\u0644
    \u0645\u0648\u0628\u0627\u064a\u0644 \u0627\u0644\u0645\u0648\u0628\u0627\u064a\u0644 \u062a\u0644\u0641\u0646
    \u0645\u0648\u0628\u0627\u06cc\u0644 \u05d8\u05dc\u05e4\u05d5\u05df \u05e0\u05d9\u05d9\u05d3
    \u092e\u094b\u092c\u093e\u0907\u0932 \u092b\u093c\u094b\u0928 \u092b\u094b\u0928
    """.split()  # noqa: SIM905 - as above
)
_BESIDE = frozenset(
    compared(word)
    for word in """
    number numbers no nr nro num numero nummer numer n numar numarasi numarali cislo broj nomor so value work home
    business office private privat personal main primary other secondary alternate alternative default address
    shipping billing customer contact person user client kontakt company first second mobile recipient lead sms g p
    m geschaftlich dienstlich buro festnetz bureau domicile fixe pro professionnel personnel portable trabajo
    particular casa oficina fijo comercial residencial ufficio lavoro fisso ev is komorkowy mobilny kom mobilni
    mobilus mobilusis principal principale de di do del da le celular movil \u043d\u043e\u043c\u0435\u0440
    \u0440\u0430\u0431\u043e\u0447\u0438\u0439 \u0434\u043e\u043c\u0430\u0448\u043d\u0438\u0439
    \u043a\u043e\u043d\u0442\u0430\u043a\u0442\u043d\u044b\u0439 \u043b\u0438\u0447\u043d\u044b\u0439
    \u0631\u0642\u0645 \u0627\u0644\u0645\u062d\u0645\u0648\u0644 \u0634\u0645\u0627\u0631\u0647
    \u0647\u0645\u0631\u0627\u0647 \u05de\u05e1\u05e4\u05e8 \u0928\u0902\u092c\u0930 \u043c\u043e\u0431
    """.split()  # noqa: SIM905 - as above
)
"""What may stand beside a word of telephones: which one of them, and whose. `Phone type` is not made of these alone."""
_DIGIT = re.compile(r"\d")
_FEWEST_DIGITS = 5

Wanted = str | tuple[str, ...] | None
"""What `column` names: one column, several, or none."""


@dataclass(frozen=True, slots=True)
class NumberColumn:
    """Where the numbers stand, counted from 0, in one column or more; a headerless list begins with its first row."""

    indexes: tuple[int, ...]
    headerless: bool = False


def headers_of(row: Sequence[str]) -> tuple[str, ...]:
    """Return a name for every column but empty ones at the end: its header, and a count where others have the same."""
    filled = [place for place, cell in enumerate(row, 1) if cell.strip()]
    seen: Counter[str] = Counter()
    names = []
    for place, cell in enumerate(row[: filled[-1] if filled else 0], 1):
        header = " ".join(cell.replace("_x000D_", " ").split()) or f"Column {place}"
        seen[header] += 1
        names.append(header if seen[header] == 1 else f"{header}#{seen[header]}")
    return tuple(names)


def is_headerless(first_row: Sequence[str]) -> bool:
    """Whether a table is a list of numbers without a header: a single column that begins with one."""
    cells = [cell for cell in first_row if cell.strip()]
    if len(cells) != 1 or not first_row[0].strip():
        return False
    return len(_DIGIT.findall(first_row[0])) >= _FEWEST_DIGITS and not any(map(str.isalpha, first_row[0]))


def find_columns(headers: Sequence[str], wanted: Wanted) -> tuple[int, ...] | None:
    """Return the columns that `wanted` names, or that headers call numbers; None where this can't be a header row.

    Raises `ValueError`, with the reason, when it can't be told which columns are meant.
    """
    if wanted is None:
        found = _guess(headers)
        if len(found) > 1:
            names = [headers[place] for place in found]
            which = "" if any(map(_is_personal, names)) else f": column = {json.dumps(names, ensure_ascii=False)}"
            raise ValueError(
                f"several columns may hold the numbers; name one with `column`, or several as a list{which}"
            )
        return tuple(found) or None
    places = []
    for name in (wanted,) if isinstance(wanted, str) else wanted:
        found = named(headers, name)
        if len(found) > 1:
            raise ValueError(f"several columns are called {name!r}; set `column` to one that is there")
        places += found
    count = 1 if isinstance(wanted, str) else len(wanted)
    return tuple(dict.fromkeys(places)) if len(places) == count else None


def every_column(headers: Sequence[str], wanted: Wanted) -> tuple[int, ...] | None:
    """Return all columns that headers call numbers, or that `wanted` names."""
    names = (wanted,) if isinstance(wanted, str) else wanted or ()
    return tuple(sorted({*_guess(headers), *(place for name in names for place in named(headers, name))})) or None


def is_header(cells: Sequence[str], wanted: Wanted) -> bool:
    """Whether cells are the header of a table: several, one of which says that it holds numbers, or is `wanted`."""
    return len(headers_of(cells)) > 1 and every_column(headers_of(cells), wanted) is not None


def named(headers: Sequence[str], wanted: str) -> list[int]:
    """Return where `wanted` stands among headers: exactly, or else but for case, or in another code page."""
    readings = [_readings(header) for header in headers]
    exact = [place for place, texts in enumerate(readings) if wanted.strip() in texts]
    folded = wanted.strip().casefold()
    return exact or [place for place, texts in enumerate(readings) if folded in map(str.casefold, texts)]


def _readings(header: str) -> list[str]:
    """Return a header, and how it reads in other code pages where it was taken for one of Windows-1252."""
    texts = [header]
    if header.isascii():
        return texts
    try:
        data = header.encode("cp1252", LATIN)
    except UnicodeEncodeError:
        return texts
    for page in _CODE_PAGES:
        with suppress(UnicodeDecodeError):
            texts.append(data.decode(page))
    return texts


def _guess(headers: Sequence[str]) -> list[int]:
    return [i for i, header in enumerate(headers) if is_known(header)]


def is_known(header: str) -> bool:
    """Whether a header says that its column holds numbers."""
    # What another delimiter parts is no name: `Tel;Mobile` in a table that was taken for one with commas.
    if _PARTED.search(header):
        return False
    bares = [_BRACKETS.sub("", text.partition("#")[0]) for text in _readings(header)]
    names = {compared(form) for bare in bares for form in (bare, _CAMEL.sub(" ", bare))}
    split = (set(name.split()) for name in names)
    return not names.isdisjoint(_KNOWN) or any(
        words & _OF_TELEPHONES and words <= _OF_TELEPHONES | _BESIDE for words in split
    )


def _is_personal(text: str) -> bool:
    return "@" in text or len(_DIGIT.findall(text)) >= _FEWEST_DIGITS


def shown(headers: Sequence[str]) -> str:
    """List headers for a message, none of them when the row may be a person's: no line of a list is ever repeated."""
    if any(map(_is_personal, headers)):
        return "what looks like a person's data, so it is not shown"
    names = [repr(header[:SHOWN_CHARACTERS]) for header in headers]
    return ", ".join(names[:SHOWN_HEADERS]) + (", ..." if len(names) > SHOWN_HEADERS else "")
