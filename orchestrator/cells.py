"""The one door through which telephone numbers leave cells: those of a list and those of a result. Pure.

A cell holds a text or a number. Here it is decided which digits of it are meant as telephone numbers, and whether they
begin with a plus sign; what is a valid number, and in which country, is for `phonenumbers`, which is only ever shown
digits. Shown the whole text, it takes letters for the keys of a telephone, a second number for an extension, and what
hides a digit for punctuation, and so makes somebody else's number.

    digits             of any script; a plus, brackets, dashes, dots, slashes, blanks and apostrophes of any kind
    passed over        what can't be seen, escapes of spreadsheets (`_x000D_`), quotes, `=`, and other signs around
    whole forms        floats, with all digits there; `tel:` and its parameters; `…@c.us` and `…@s.whatsapp.net`
    passed over, and   words in front or behind, where no digits follow; extensions of up to six digits
    said to be beside
    faults             see `Fault`: nothing that could be another number is dropped in silence

Shortcuts elsewhere (`intake.numbers.lookup`, `results.numbers`) read whole blocks at once, and only what gives the same
here.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_DIGITS: Final = 15
"""Where E.164 ends. `phonenumbers` calls longer ones valid in some countries; nobody can call them, nor check them."""

LONGEST_CELL: Final = 250
"""Characters that are looked at; `phonenumbers` has the same limit."""

_LONGEST_EXTENSION: Final = 6
"""More digits can be a whole number."""


class Fault(StrEnum):
    """Why there is no number in a cell, in words for the user."""

    EMPTY = "empty cell"
    NOT_A_NUMBER = "not a number"
    HIDDEN = "some digits are hidden"
    EXTENSION = "an extension as long as a number"
    ROUNDED = "rounded by a spreadsheet"
    LINE_TOO_LONG = "line too long"


@dataclass(frozen=True, slots=True)
class Cell:
    """What a cell says: `numbers`, or one `fault`.

    A number is digits, behind a plus sign where it begins with a calling code. A zero that stood in brackets still has
    the first of them: whether it belongs to the number depends on the country. `beside` tells that something else stood
    there.
    """

    numbers: tuple[str, ...] = ()
    fault: Fault | None = None
    beside: bool = False


_COMMON: Final = re.compile(r"[ =\"'(]*(\+?[0-9](?:[0-9()/ ]|-(?!--))*)[ \"';,]*")
"""What most cells look like that are not plain, so that they need none of the rest."""
_ESCAPE: Final = re.compile(r"_x([0-9A-Fa-f]{4})_")
_SCHEME: Final = re.compile(r"[\W_]*(?:tel|callto|sms|whatsapp):/{0,2}", re.IGNORECASE)
_AROUND: Final = " =\"'();,<>"
_WHOLE: Final = re.compile(r"(\+?[0-9]{5,})[.,]0+")
_FRACTION: Final = re.compile(r"[0-9]{8,}[.,][0-9]{1,2}")
_POWER: Final = re.compile(r"(\+?[0-9])(?:[.,]([0-9]+))?[eE]\+?(0?[5-9]|[1-9][0-9])")
_THOUSANDS: Final = re.compile(r"\+?[0-9]{1,3}(?:,[0-9]{3}){2,}")
_ACCOUNT: Final = re.compile(r"\+?([0-9]{5,})(?:[.:_][0-9]+)*@(?:c\.us|s\.whatsapp\.net)", re.IGNORECASE)
_PARAMETER: Final = re.compile(r";\s*([a-z][a-z0-9-]*)=([^;]*)", re.IGNORECASE)
_RUN: Final = re.compile(r"(?:\+[ \-./()+]*)?[0-9](?:[ \-./()']*[0-9])*")
_SEVERAL_DIGITS: Final = 7
"""Digits of what may be a number of its own."""
_LETTER: Final = re.compile(r"[^\W\d_]")
_APART: Final = re.compile(r"[ (),;:|\"']")
_EXTENSION: Final = re.compile(
    r"[ ,;.\-(]*(ext(?:ension|n)?|xtn?|x|доб(?:авочный)?|anexo|int(?:erno)?|poste|durchwahl|#|,+|;)[ .:=#)]*",
    re.IGNORECASE,
)
_HIDDEN_BEFORE: Final = re.compile(r"\*{2,}|(?<![^\W\d_])x{2,}(?![^\W\d_])", re.IGNORECASE)
_HIDDEN_BEHIND: Final = re.compile(
    r"\*|\.{2,}|-{3,}|[?_]{2,}|(?<![^\W\d_])(?:x{2,}|x(?=[\W_]*$))(?![^\W\d_])", re.IGNORECASE
)
_ALIKE: Final = {
    **dict.fromkeys("\uff0b\ufe62\u207a\u208a\u2795", "+"),
    **dict.fromkeys("\u2212\u02d7\u2043\u30fc\u2500", "-"),
    **dict.fromkeys("\uff0e\u3002\uff61\u00b7\u2027\u2219\u22c5\u2024\u30fb\uff65", "."),
    **dict.fromkeys("\u2044\u2215\uff0f", "/"),
    **dict.fromkeys("\u2019\u2018\u201b`\u00b4\u02b9\u02bc\u02bb\u2032\uff07", "'"),
    **dict.fromkeys("\u201c\u201d\u201e\u201f\u201a\u00ab\u00bb\u2039\u203a\u2033\uff02", '"'),
    **dict.fromkeys("\uff0c\u3001\ufe50", ","),
    **dict.fromkeys("\uff1b\ufe54", ";"),
    **dict.fromkeys("\u223c\uff5e\u301c\u2053", "~"),
    **dict.fromkeys(
        "\u2022\u25cf\u25e6\u25aa\u25a0\u25cb\u2217\uff0a\u204e\u2731\u2026\u22ef\u2588\u2592", "*"
    ),  # what hides digits
    **dict.fromkeys("\u115f\u1160\u2800\u3164\uffa0", " "),  # letters, and a symbol, that look like blanks
    **dict.fromkeys("\u034f\u17b4\u17b5\u180b\u180c\u180d\u180f\u20e3", ""),  # marks that can't be seen, or are keys
    **dict.fromkeys(map(chr, range(0xFE00, 0xFE10)), ""),
}


_OF_KIND: Final = {"Zs": " ", "Cf": "", "Pd": "-", "Ps": "(", "Pe": ")"}
"""The plain signs of Unicode's categories."""


class _Signs(dict[int, str]):
    """Every sign as the plain one of its kind: one table for `str.translate`, filled as signs are met."""

    def __missing__(self, code: int) -> str:
        self[code] = plain = _plain(chr(code))
        return plain


def _plain(sign: str) -> str:
    kind = unicodedata.category(sign)
    if kind == "Nd":
        return str(unicodedata.decimal(sign))
    if (alike := _ALIKE.get(sign, " " if sign.isspace() else _OF_KIND.get(kind))) is not None:
        return alike
    folded = unicodedata.normalize("NFKC", sign)
    if folded.isascii() and not any(map(str.isdigit, folded)):
        return folded
    # A mark belongs to its letter; superscripts, fractions and circled digits are no digits of a number.
    return "z" if kind[0] in "MN" or kind == "Cs" else sign


_SIGNS: Final = _Signs()


def read_cell(value: object) -> Cell:
    """Return the numbers that a cell holds: a text, a number, or nothing."""
    match value:
        case None:
            return Cell(fault=Fault.EMPTY)
        case bool():
            return Cell(fault=Fault.NOT_A_NUMBER)
        case int() | float():
            return _of_number(value)
        case _:
            return read_text(str(value).strip())


def _of_number(value: float) -> Cell:
    """Read a number; one with a fraction, or not above zero, is no telephone number, whatever its digits are."""
    whole = int(value) if 0 < value < float("inf") else 0
    return Cell((str(whole),)) if whole and whole == value else Cell(fault=Fault.NOT_A_NUMBER)


def read_text(text: str) -> Cell:
    """Return the numbers that a text holds."""
    if len(text) > LONGEST_CELL:
        return Cell(fault=Fault.LINE_TOO_LONG)
    if common := _COMMON.fullmatch(text):
        return Cell((_digits(common[1]),))
    text = _ESCAPE.sub(_escaped, text)
    if scheme := _SCHEME.match(text):
        text = unquote(text[scheme.end() :])
    text = text.translate(_SIGNS)
    if not (bare := text.strip(_AROUND)):
        return Cell(fault=Fault.EMPTY)
    for form, read in _FORMS.items():
        if found := form.fullmatch(bare):
            return read(found)
    return _of_uri(text)


def _escaped(found: re.Match[str]) -> str:
    """Return the sign that a spreadsheet's escape stands for; digits and letters are not written so."""
    sign = chr(int(found[1], 16))
    return found[0] if sign.isalnum() else sign


def _of_power(found: re.Match[str]) -> Cell:
    """Read a float with an exponent, if all of its digits are there: none is made up."""
    decimals, power = found[2] or "", int(found[3])
    if len(decimals) < power or decimals[power:].strip("0"):
        return Cell(fault=Fault.ROUNDED)
    return Cell((found[1] + decimals[:power],))


_FORMS: Final[dict[re.Pattern[str], Callable[[re.Match[str]], Cell]]] = {
    _WHOLE: lambda found: Cell((found[1],)),
    _FRACTION: lambda _: Cell(fault=Fault.NOT_A_NUMBER),
    _POWER: _of_power,
    _THOUSANDS: lambda found: Cell((found[0].replace(",", ""),)),
    _ACCOUNT: lambda found: Cell((f"+{found[1]}",)),
}
"""What a text may be from end to end."""


def _of_uri(text: str) -> Cell:
    """Take the parameters of RFC 3966 off, wherever they stand: `;ext=12`, `;phone-context=+41`."""
    first = next((one for one in _PARAMETER.finditer(text) if _RUN.search(text, 0, one.start())), None)
    if first is None:
        return _of_text(text)
    cell = _of_text(text[: first.start()])
    context = ""
    for name, value in _PARAMETER.findall(text, first.start()):
        digits = "".join(filter(str.isdigit, value))
        if name.lower() == "phone-context" and value.startswith("+"):
            context = "+" + digits
        elif len(digits) > _LONGEST_EXTENSION:
            return Cell(fault=Fault.EXTENSION if name.lower() == "ext" else Fault.NOT_A_NUMBER)
        else:
            cell = Cell(cell.numbers, cell.fault, beside=True)
    numbers = tuple(number if number.startswith("+") else context + number for number in cell.numbers)
    return Cell(numbers, cell.fault, cell.beside)


def _of_text(text: str) -> Cell:
    runs = list(_RUN.finditer(text))
    if not runs:
        return Cell(fault=Fault.NOT_A_NUMBER)
    first = runs[0]
    before, behind = text[: first.start()], text[first.end() :]
    if _HIDDEN_BEFORE.search(before) or _HIDDEN_BEHIND.search(text, first.start()):
        return Cell(fault=Fault.HIDDEN)
    if len(runs) > 1:
        return _of_runs(text, runs)
    label = _LETTER.search(behind)
    if label and not _APART.search(behind, 0, label.start()):
        return Cell(fault=Fault.NOT_A_NUMBER)
    if "#" in behind:
        return Cell(fault=Fault.NOT_A_NUMBER)
    return Cell((_digits(first[0]),), beside=bool(label or _LETTER.search(before)))


def _of_runs(text: str, runs: list[re.Match[str]]) -> Cell:
    """Return what runs of digits are that other signs keep apart: a number and its extension, or several numbers."""
    first, second = runs[:2]
    between = text[first.end() : second.start()]
    marked = _EXTENSION.fullmatch(between)
    if len(runs) == 2 and marked and not second[0].startswith("+") and not _LETTER.search(text, second.end()):  # noqa: PLR2004
        if _count(second[0]) <= _LONGEST_EXTENSION:
            return Cell((_digits(first[0]),), beside=True)
        if marked[1][0] not in ",;":
            return Cell(fault=Fault.EXTENSION)
    numbers = [_digits(run[0]) for run in runs if _count(run[0]) >= _SEVERAL_DIGITS]
    if len(numbers) > 1:
        return Cell(tuple(numbers), beside=len(numbers) < len(runs) or bool(_LETTER.search(text)))
    return Cell(fault=Fault.NOT_A_NUMBER)


def _digits(run: str) -> str:
    if found := _WHOLE.fullmatch(run):
        return found[1]
    plain = re.sub(r"[^0-9(]|\((?!0)", "", run)
    return f"+{plain}" if run.startswith("+") else plain.replace("(", "")


def _count(run: str) -> int:
    return sum(map(str.isdigit, run))
