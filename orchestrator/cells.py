"""The one door through which telephone numbers leave cells: those of a list and those of a result. Pure.

A cell holds a text or a number. Here it is decided which digits of it are meant as telephone numbers, and whether they
begin with a plus sign; what is a valid number, and in which country, is for `phonenumbers`, which is only ever shown
digits. Shown the whole text, it takes letters for the keys of a telephone, a second number for an extension, and what
hides a digit for punctuation, and so makes somebody else's number.

    digits             of any script; a plus, brackets, dashes, dots, slashes, blanks and apostrophes of any kind
    passed over        what can't be seen, escapes of spreadsheets (`_x000D_`), quotes, `=`, and other signs around
    whole forms        floats, with all digits there; `tel:` and its parameters; `…@c.us` and `…@s.whatsapp.net`; links
                       to WhatsApp, wherever they stand: all of these begin with the calling code, written or not
    passed over, and   words in front or behind; extensions of up to six digits
    said to be beside
    several numbers    kept apart by `;` `,` `|`, a word, or what is read as an extension and is too long for one; by a
                       slash or a line end, where either side is long enough for a number
    refused            a date with all of its year (`31.12.1979`), save behind a calling code; of several, digits
                       without a plus or zero in front that stand behind a word, or as an extension: a customer's number
                       is none of a telephone, and they are worth no doubt; nor do those that are short, beside one that
                       has its plus or zero: `030 5252057 / 5252058`
    faults             see `Fault`: nothing that could be another number is dropped in silence

Shortcuts elsewhere (`intake.numbers.lookup`, `results.numbers`) read whole blocks at once, and only what gives the same
here.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import pairwise
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_DIGITS: Final = 15
"""Where E.164 ends. `phonenumbers` calls longer ones valid in some countries; nobody can call them, nor check them."""

LONGEST_CELL: Final = 1_000
"""Characters that are looked at."""

_LONGEST_EXTENSION: Final = 6
"""More digits can be a whole number."""


class Fault(StrEnum):
    """Why there is no number in a cell, in words for the user."""

    EMPTY = "empty cell"
    NOT_A_NUMBER = "not a number"
    HIDDEN = "some digits are hidden"
    ROUNDED = "rounded by a spreadsheet"
    LINE_TOO_LONG = "line too long"
    DATE = "a date"
    LABELLED = "behind a word or as an extension, and without a plus sign"
    PARTIAL = "beside a whole number, and without its calling or area code"


@dataclass(frozen=True, slots=True)
class Cell:
    """What a cell says: `numbers`, or one `fault`.

    A number is digits, behind a plus sign where it begins with a calling code. A zero that stood in brackets still has
    the first of them: whether it belongs to the number depends on the country. `beside` tells that something else stood
    there. `refused` are places in `numbers` of what is none of a telephone, and why; there a date is as it is written.
    """

    numbers: tuple[str, ...] = ()
    fault: Fault | None = None
    beside: bool = False
    refused: tuple[tuple[int, Fault], ...] = ()


_COMMON: Final = re.compile(r"[ =\"'(]*(\+?[0-9](?:[0-9()/ ]|-(?!--))*)[ \"';,]*")
"""What most cells look like that are not plain, so that they need none of the rest."""
_ESCAPE: Final = re.compile(r"_x([0-9A-Fa-f]{4})_")
_SCHEME: Final = re.compile(r"[\W_]*(?:tel|callto|sms|whatsapp):/{0,2}", re.IGNORECASE)
_AROUND: Final = " \n=\"'();,<>|"
_WHOLE: Final = re.compile(r"(\+?[0-9]{5,})[.,]0+")
_FRACTION: Final = re.compile(r"[0-9]{8,}[.,][0-9]{1,2}")
_POWER: Final = re.compile(r"(\+?[0-9])(?:[.,]([0-9]+))?[eE]\+?(0?[5-9]|[1-9][0-9])")
_THOUSANDS: Final = re.compile(r"\+?[0-9]{1,3}(?:,[0-9]{3}){2,}")
_ACCOUNT: Final = re.compile(r"\+?([0-9]{5,})(?:[.:_][0-9]+)*@(?:c\.us|s\.whatsapp\.net)", re.IGNORECASE)
_LINK: Final = re.compile(
    r"(?:https?://)?(?:(?<!\w)wa\.me/|(?:api|web|www)\.whatsapp\.com/send/?\?phone=|whatsapp://send/?\?phone=)"
    r"(?:\+|%2B)?([0-9]{5,})(?:[?&/#][^\s;,|]*)?",
    re.IGNORECASE,
)
_PARAMETER: Final = re.compile(r";\s*([a-z][a-z0-9-]*)=([^;]*)", re.IGNORECASE)
_RUN: Final = re.compile(r"(?:\+[ \n\-./()+]*)?[0-9](?:[ \n\-./()']*[0-9])*")
_PLUS_BETWEEN: Final = re.compile(r"(?:(?<=[0-9])|(?<=[0-9]\))) +\+ +(?=[0-9(])")
"""A plus that stands for "and": `(201) 555-7286 + (201) 550-6068` has nothing of Egypt, whose code is 20. Behind a word
in brackets it is one of a calling code, `(mobil) + 41 79 828 46 51`."""
_WIDE: Final = re.compile(r" +/ *|/ +|[ \n]*\n[ \n]*")
_SOFT: Final = re.compile(r"/")
"""What stands within a number as often as between two."""
_GAP: Final = re.compile(r"[ \n\-./]+")
_HARD: Final = re.compile(r"[;,|/\n]")
_SEVERAL_DIGITS: Final = 7
"""Digits of what may be a number of its own."""
_MORE_THAN_CODES: Final = 8
"""Digits that calling code and area code together never have, so that a slash behind them parts two numbers."""
_FEWEST_BEGUN: Final = 4
"""Digits behind a zero, with that, that are more than a count or a door's."""
_LEAST_BESIDE: Final = 9
"""Digits of a number without a plus or zero beside one that has it: without its area code it has up to eight."""
_OR_WORDS: Final = "or|oder|ou|o|u|and|und|et|y|e|i|en|of|ve|veya"
_OR: Final = re.compile(rf"[\W_]*(?:{_OR_WORDS})[\W_]*", re.IGNORECASE)
_LABEL_BEGINS: Final = re.compile(rf"[;,|/\n]|\b(?:{_OR_WORDS})\b", re.IGNORECASE)
_OF_TELEPHONES: Final = re.compile(
    r"\b(?:tel\b|telef|teleph|telem|tlf|tfno|ph(?:one|\b)|fono?\b|mob\b|mobi|m[o\u00f3]vil|cell?\b|cellu|celul|handy|natel|gsm|"
    r"cep\b|portable|whats|wa\b|fax|home|work|office|priv|b[u\u00fc]ro|festnetz|landline)",
    re.IGNORECASE,
)
"""How words begin that people write in front of telephone numbers; other words may name any other number."""
_DAY, _MONTH, _YEAR = "(?:0?[1-9]|[12][0-9]|3[01])", "(?:0?[1-9]|1[0-2])", "(?:19|20)[0-9]{2}"
_DATED: Final = re.compile(
    rf"(?:{_YEAR}([-./] ?){_MONTH}\1{_DAY}|{_DAY}([-./] ?){_MONTH}\2{_YEAR}|{_MONTH}([-./] ?){_DAY}\3{_YEAR})"
    r"(?: [0-2]?[0-9])?"
)
"""A date, with the hour that a run of digits may end with.

One of two digits for the year may be a number: `28.12.79` is how they are written in New Caledonia. Nobody groups the
eight digits of Norway or Singapore like a day, a month and a whole year.
"""
_FOR_A_DIGIT: Final = re.compile(r"\A[\W_]*\+[^\W\d_]|(?<![^\W_])[OoIl](?=[0-9])")
"""A letter where a digit belongs: behind the plus sign that a cell begins with, or one that looks like a digit."""
_LETTER: Final = re.compile(r"[^\W\d_]")
_APART: Final = re.compile(r"[ \n(),;:|\"']")
_EXTENSION: Final = re.compile(
    r"[ \n,;.\-(]*(ext(?:ension|n)?|xtn?|x|доб(?:авочный)?|anexo|int(?:erno)?|poste|durchwahl|#|,+|;)[ .:=#)]*",
    re.IGNORECASE,
)
"""What stands between a number and its extension."""
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
    **dict.fromkeys("\n\r\x85\u2028\u2029", "\n"),
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
            # With a fraction, or not above zero, it is no telephone number, whatever its digits are.
            whole = int(value) if 0 < value < float("inf") else 0
            return Cell((str(whole),)) if whole and whole == value else Cell(fault=Fault.NOT_A_NUMBER)
        case _:
            return read_text(str(value).strip())


def read_text(text: str) -> Cell:
    if len(text) > LONGEST_CELL:
        return Cell(fault=Fault.LINE_TOO_LONG)
    if common := _COMMON.fullmatch(text):
        return _of_parts([(part, "") for part in _parted(common[1])])
    text = _LINK.sub(r" +\1", _ESCAPE.sub(_escaped, text))
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
    more: list[tuple[str, str]] = []
    for name, value in _PARAMETER.findall(text, first.start()):
        digits = "".join(filter(str.isdigit, value))
        if name.lower() == "phone-context" and value.startswith("+"):
            context = "+" + digits
        elif len(digits) > _LONGEST_EXTENSION and name.lower() == "ext":
            more.append((value, name))
        elif len(digits) > _LONGEST_EXTENSION:
            return Cell(fault=Fault.NOT_A_NUMBER)
        else:
            cell = replace(cell, beside=True)
    numbers = tuple(number if number.startswith("+") else context + number for number in cell.numbers)
    if not numbers or not more:
        return replace(cell, numbers=numbers)
    others = _of_parts([("", ""), *more])
    refused = tuple((len(numbers) + place - 1, fault) for place, fault in others.refused if place)
    return Cell((*numbers, *others.numbers[1:]), None, cell.beside, (*cell.refused, *refused))


def _of_text(text: str) -> Cell:
    text = _PLUS_BETWEEN.sub(" ; ", text)
    runs = list(_RUN.finditer(text))
    if not runs:
        return Cell(fault=Fault.NOT_A_NUMBER)
    first = runs[0]
    before, behind = text[: first.start()], text[first.end() :]
    if _HIDDEN_BEFORE.search(before) or _HIDDEN_BEHIND.search(text, first.start()):
        return Cell(fault=Fault.HIDDEN)
    if (
        _FOR_A_DIGIT.search(text)
        or any(map(_is_attached, _gaps(text, runs)))
        or "#" in (behind if len(runs) == 1 else "")
    ):
        return Cell(fault=Fault.NOT_A_NUMBER)
    if any(map(_goes_on_below, runs)):
        return Cell(fault=Fault.NOT_A_NUMBER)
    if len(runs) > 1:
        return _of_runs(text, runs)
    parts = [(part, before * (not place)) for place, part in enumerate(_parted(first[0]))]
    return _of_parts(parts, is_beside=bool(_LETTER.search(before) or _LETTER.search(behind)))


def _gaps(text: str, runs: list[re.Match[str]]) -> list[str]:
    """Return what stands behind each run of digits, up to the next one."""
    ends = [*(run.start() for run in runs[1:]), len(text)]
    return [text[run.end() : end] for run, end in zip(runs, ends, strict=True)]


def _is_attached(gap: str) -> bool:
    """Whether letters follow digits at once: they are part of what is written there, and no label of a number."""
    label = _LETTER.search(gap)
    return bool(label and not _APART.search(gap, 0, label.start()) and not _EXTENSION.fullmatch(gap))


def _goes_on_below(run: re.Match[str]) -> bool:
    """Whether a few digits stand in the line below a number: its end, or a house's, and it can't be told which."""
    lines = [line for line in run[0].split("\n") if line.strip()]
    return any(
        _significant(line) >= _MORE_THAN_CODES and 0 < _count(below) < _SEVERAL_DIGITS
        for line, below in pairwise(lines)
    )


def _of_runs(text: str, runs: list[re.Match[str]]) -> Cell:
    """Return what runs of digits are that other signs keep apart: a number and its extension, or several numbers."""
    gaps = _gaps(text, runs)
    number, *others = (run[0] for run in runs)
    if len(others) == 1 and _EXTENSION.fullmatch(gaps[0]) and not _LETTER.search(gaps[1]):
        (extension,) = others
        if _count(extension) <= _LONGEST_EXTENSION and not extension.startswith("+"):
            return _of_parts([(part, "") for part in _parted(number)], is_beside=True)
    for (run, after), gap in zip(pairwise(runs), gaps, strict=False):
        is_apart = _APART.search(gap) or _HARD.search(gap) or _LETTER.search(gap) or _EXTENSION.fullmatch(gap)
        if gap and not is_apart and after[0][0] != "+":
            return Cell(fault=Fault.NOT_A_NUMBER)  # a sign that keeps no two numbers apart, so one that is broken
        # A word within a number: what stands before it may be valid, and somebody else's.
        is_word = _LETTER.search(gap) and not (_HARD.search(gap) or _OR.fullmatch(gap) or _EXTENSION.fullmatch(gap))
        least = min(_count(run[0]), _count(after[0]))
        if is_word and after[0][0] not in "+0" and least >= _SEVERAL_DIGITS and _count(run[0] + after[0]) <= MAX_DIGITS:
            return Cell(fault=Fault.NOT_A_NUMBER)
    labels = [text[: runs[0].start()], *gaps]
    parts = [
        (part, label * (not place))
        for run, label in zip(runs, labels, strict=False)
        for place, part in enumerate(_parted(run[0]))
    ]
    numbers = [(part, label) for part, label in parts if _count(part) >= _SEVERAL_DIGITS]
    # What begins as a number and ends too early may go on in the next one: `0041 44 ?6681800`.
    begun = (part for part, _ in parts if _is_whole(part) and _count(part) < _SEVERAL_DIGITS)
    is_broken = any(part.startswith("+") or _count(part) >= _FEWEST_BEGUN for part in begun)
    if len(numbers) > 1 and not is_broken:
        return _of_parts(numbers, is_beside=len(numbers) < len(parts) or bool(_LETTER.search(text)))
    return Cell(fault=Fault.NOT_A_NUMBER)


def _of_parts(parts: list[tuple[str, str]], *, is_beside: bool = False) -> Cell:
    """Return the numbers of a cell; each comes with what stands in front of it.

    A single one is believed to be meant, save for a date. Of several, each is judged for itself: they stand in one cell
    for some reason, and people write dates and the numbers of customers there.
    """
    if len(parts) == 1 and not _DATED.fullmatch(parts[0][0].strip()):
        return Cell((_digits(parts[0][0]),), beside=is_beside)
    least = _LEAST_BESIDE if any(_is_whole(part) for part, _ in parts) else 0
    refused = [(place, why) for place, part in enumerate(parts) if (why := _why_refused(*part, least))]
    dates = {place for place, why in refused if why is Fault.DATE}
    numbers = (part.strip() if place in dates else _digits(part) for place, (part, _) in enumerate(parts))
    return Cell(tuple(numbers), None, is_beside, tuple(refused))


def _is_whole(part: str) -> bool:
    return _digits(part).startswith(("+", "0"))


def _why_refused(part: str, label: str, least: int) -> Fault | None:
    if _DATED.fullmatch(part.strip()):
        return Fault.DATE
    if _is_whole(part):
        return None
    label = _LABEL_BEGINS.split(label)[-1]
    if "#" in label or (_LETTER.search(label) and not _OF_TELEPHONES.search(label)):
        return Fault.LABELLED
    return Fault.PARTIAL if _count(part) < least else None


def _parted(run: str) -> list[str]:
    """Cut a run of digits between two numbers: at slashes and line ends, and at blanks in what is too long for one.

    A slash with a blank beside it is a wider gap than one without. Where a gap may as well stand within a number, part
    of the run would be somebody else's number: then it stays whole, too long for any.
    """
    if len(run) < _MORE_THAN_CODES + _SEVERAL_DIGITS:
        return [run]
    parts = _cut(run, _WIDE)
    for sign in (_SOFT, _GAP):
        parts = [one for part in parts for one in (_cut(part, sign) if _significant(part) > MAX_DIGITS else [part])]
    return [run] if len(parts) > 1 and any(_significant(part) > MAX_DIGITS for part in parts) else parts


def _cut(run: str, sign: re.Pattern[str]) -> list[str]:
    """Cut a run at a sign wherever it stands, if that makes numbers of all parts, and nowhere otherwise.

    What begins with a plus may go on behind it: `+49 30/1234567/7654321`.
    """
    first, *others = sign.split(run)
    while first.startswith("+") and others and _significant(first) < _MORE_THAN_CODES:
        first += f" {others.pop(0)}"
    is_each = _significant(first) >= _MORE_THAN_CODES and all(_count(part) >= _SEVERAL_DIGITS for part in others)
    return [first, *others] if is_each else [sign.sub(" ", run)]


def _significant(run: str) -> int:
    """Count digits but for those in front of a calling code, or in brackets behind it."""
    plain = re.sub(r"[^0-9(]", "", run).replace("(0", "").replace("(", "")
    return len(plain.removeprefix("00"))


def _digits(run: str) -> str:
    if found := _WHOLE.fullmatch(run):
        return found[1]
    plain = re.sub(r"[^0-9(]|\((?!0)", "", run)
    return f"+{plain}" if run.startswith("+") else plain.replace("(", "")


def _count(run: str) -> int:
    return sum(map(str.isdigit, run))
