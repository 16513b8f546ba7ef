"""Takes the key and the numbers out of text that leaves the program. Pure.

Redaction works on what is about to be written, not on what was meant to be: a key in an exception's message or a
number in the vendor's own words is found like any other. The replacement is safe inside a JSON string.
"""

from __future__ import annotations

import json
import re
from base64 import b64decode, b64encode
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Iterator

HIDDEN = "***"
AS_BEFORE = "<as before>"
"""Stands for a secret in a command that is to be typed again: no shell takes it, so nobody pastes it unseen."""

MIN_SECRET_CHARS = 4
"""Shorter secrets are not looked for: they would blot out ordinary words, and no vendor hands out such a key."""

MIN_PACKED_CHARS = 8
"""Shorter parts of base64 are not looked for, for the same reason."""

_FOR_URLS = str.maketrans("+/", "-_")

PUBLISHED = frozenset({"sandbox"})
"""Keys that are no secret: that of the embedded vendor."""

SECRET_NAMES = frozenset(
    {"api_key", "apikey", "authorization", "cookie", "password", "secret", "token", "x_api_key", "x_amz_signature"}
)
"""Names of fields whose value is hidden whatever it is; compared in lower case, with `_` for `-`."""

# What may stand between two digits of a number: no letter and no digit, and not what ends a clause. In text that was
# escaped already an escape is such a sign, too.
_GAP = r"(?:[^\w\s,;:+]|_|[^\S\r\n]|[,;:](?!\s)|\\u[0-9A-Fa-f]{4}|\\x[0-9A-Fa-f]{2})"
# At most three signs between digits, so that "+41 (0)79 828-46-51" counts as one number.
_SIGNED = rf"(?:[+\uff0b]|%2[Bb])\(?\d(?:{_GAP}{{0,3}}\d){{6,}}"
# As vendors and people write it without "+", in groups or in one piece; not a part of a word, a hash, a version or a
# fraction. Eight digits in one piece are an id or a count more often. Only one piece is looked for in paths, and it may
# be a date there.
_GROUPED = rf"(?<![\w.+/-])(?!\d{{8}}(?!{_GAP}{{0,3}}\d))\d(?:{_GAP}{{0,3}}\d){{7,17}}(?![^\W_]|[/-])"
_IN_ONE = r"(?<![^\W_])(?<![.+-])(?!(?:19|20)\d\d(?:0[1-9]|1[0-2])\d\d(?:\d{4}|\d{6})?(?!\d))\d{9,18}(?![^\W_]|[/-])"
_FLOAT = r"(?<![\w.+-])\d[.,]\d{5,}[eE]\+?\d{1,2}(?!\w)"

# What has as many digits and is no number: a moment, an address of a machine, a fraction, a count of something.
_DAY, _MONTH, _YEAR = r"(?:0[1-9]|[12]\d|3[01])", r"(?:0[1-9]|1[0-2])", r"(?:19|20)\d\d"
_DATE = rf"(?:{_YEAR}(?:-{_MONTH}-|/{_MONTH}/){_DAY}|{_DAY}(?:\.{_MONTH}\.|/{_MONTH}/){_YEAR})"
_TIME = r"(?:[01]\d|2[0-3]):[0-5]\d(?::[0-5]\d(?:[.,]\d{1,9})?)?(?:Z|[+-]\d\d:?\d\d)?"
_MOMENT = rf"(?<![\w.:/+-])(?:{_DATE}(?:[T ]{_TIME})?|{_TIME})(?!\d|[-.:/_]\d)"
_OCTET = r"(?:25[0-5]|2[0-4]\d|1?\d?\d)"
_UNIT = r"(?= ?(?:bytes|[kMG]B|USD|characters|lines|rows|numbers|tasks|files|cells)\b)"
_COUNT = (
    rf"(?:\d{{1,3}}(?:,\d{{3}})+|\d+)(?:\.\d+)?{_UNIT}|\d{{1,2}}(?:,\d{{3}}){{1,2}}(?![\d,]|\.\d)|\d{{1,3}}(?:,000)+"
)
_OTHER = rf"(?<![\w.,+-])(?:{_OCTET}(?:\.{_OCTET}){{3}}(?::\d+)?|\d\.\d+|{_COUNT})(?!\d|\.\d|[eE][+\d])"

_SIGNED_NUMBER = re.compile(rf"(?P<kept>{_MOMENT})|{_SIGNED}")
_ANY_NUMBER = re.compile(rf"(?P<kept>{_MOMENT}|{_OTHER})|{_SIGNED}|{_FLOAT}|{_GROUPED}|{_IN_ONE}")
_NAMED_SECRET = re.compile(
    r"""(X-Amz-(?:Signature|Credential|Security-Token)|X-API-Key)(\\?["']?\s*(?:=|:|%3D)\s*\\?["']?)[^&\s"'\\]+""",
    re.IGNORECASE,
)
_PASSWORD_IN_URL = re.compile(r"://[^/\s@\"'\\]+@")
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{12,}={0,2}")
_SEVERAL_DIGITS = re.compile(rb"\d{7}")


@lru_cache(1024)
def is_secret_name(name: str) -> bool:
    """Tell whether a field called `name` holds a secret."""
    return name.lower().replace("-", "_") in SECRET_NAMES


def is_secret(text: str) -> bool:
    """Tell whether a secret is one to look for."""
    return len(text) >= MIN_SECRET_CHARS and text not in PUBLISHED


def mask_numbers(text: str) -> str:
    """Shorten every number in free text, with or without `+`, to its first and last two digits.

    What holds one in base64 goes: gateways quote what they were sent so.
    """
    return _ANY_NUMBER.sub(_masked, _BASE64.sub(_unpacked, text))


def printable(text: str) -> str:
    """Spell out what would move a cursor, colour a terminal or begin a line that a CI system takes for a command."""
    return "".join([sign if sign.isprintable() else f"\\x{ord(sign):02x}" for sign in text])


class Redactor:
    """Redacts whole lines.

    `secrets` are hidden in every spelling of JSON, `repr` and URLs, in JSON of those, and within anything in base64.
    """

    def __init__(self, secrets: tuple[str, ...] = ()) -> None:
        self._spellings: tuple[str, ...] = ()
        self.hide(*secrets)

    def hide(self, *secrets: str) -> None:
        """Hide these from now on, too."""
        spellings = {
            spelling
            for secret in filter(is_secret, secrets)
            for once in (
                secret,
                json.dumps(secret)[1:-1],
                repr(secret)[1:-1],
                quote(secret, safe="", errors="surrogatepass"),
            )
            for spelling in (once, json.dumps(once)[1:-1], *_in_base64(secret))
        }
        self._spellings = tuple(sorted({*self._spellings, *spellings}, key=len, reverse=True))

    def __call__(self, line: str) -> str:
        """Return `line` as it may be written.

        Searching for a fixed text is far cheaper than a regular expression, so that goes first: nearly no line has
        anything to hide.
        """
        for spelling in self._spellings:
            if spelling in line:
                line = line.replace(spelling, HIDDEN)
        if "+" in line or "%2" in line or "\uff0b" in line:
            line = _SIGNED_NUMBER.sub(_masked, line)
        if "x-a" in line.lower():
            line = _NAMED_SECRET.sub(rf"\1\2{HIDDEN}", line)
        if "@" in line:
            line = _PASSWORD_IN_URL.sub(f"://{HIDDEN}@", line)
        return line


def _in_base64(secret: str) -> Iterator[str]:
    """Yield how base64 spells a secret within a text, as in `user:key`: there are three ways to stand in threes.

    What hangs on the neighbours as well is left out.
    """
    content = secret.encode(errors="surrogatepass")
    for before in range(3):
        packed = b64encode(bytes(before) + content)[-(-before * 8 // 6) : (before + len(content)) * 8 // 6].decode()
        if len(packed) >= MIN_PACKED_CHARS:
            yield from (packed, packed.translate(_FOR_URLS))


def _unpacked(packed: re.Match[str]) -> str:
    """Return what may be base64 as it is, or hidden if digits are in it; it may have been cut at either end."""
    text = packed[0].rstrip("=").replace("-", "+").replace("_", "/")
    for start in range(4):
        part = text[start:]
        if _SEVERAL_DIGITS.search(b64decode(part[: len(part) // 4 * 4])):
            return HIDDEN
    return packed[0]


def _masked(number: re.Match[str]) -> str:
    if number["kept"] is not None:
        return number[0]
    text = re.sub("^(?:%2[Bb]|\uff0b)", "+", number[0])
    digits = "".join(filter(str.isdecimal, text))
    return f"{'+' if text.startswith('+') else ''}{digits[:2]}…{digits[-2:]}"
