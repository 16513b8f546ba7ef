"""Takes the key and the numbers out of text that leaves the program. Pure.

Redaction works on what is about to be written, not on what was meant to be: a key in an exception's message or a
number in the vendor's own words is found like any other. The replacement is safe inside a JSON string.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from urllib.parse import quote

HIDDEN = "***"

MIN_SECRET_CHARS = 4
"""Shorter secrets are not looked for: they would blot out ordinary words, and no vendor hands out such a key."""

PUBLISHED = frozenset({"sandbox"})
"""Keys that are no secret: that of the embedded vendor."""

SECRET_NAMES = frozenset(
    {"api_key", "apikey", "authorization", "cookie", "password", "secret", "token", "x_api_key", "x_amz_signature"}
)
"""Names of fields whose value is hidden whatever it is; compared in lower case, with `_` for `-`."""

_GAP = r"[ ().\-/\u00a0\u2007\u2009-\u2015\u202f]"
# At most two separators between digits, so that "+41 (0)79 828-46-51" counts as one number.
_NUMBER = re.compile(rf"(?:\+|%2[Bb])(\d(?:{_GAP}{{0,2}}\d){{6,}})")
_OCTET = r"(?:25[0-5]|2[0-4]\d|1?\d?\d)"
_OTHER = rf"(?:\d{{4}}-\d\d-\d\d|{_OCTET}(?:\.{_OCTET}){{3}}|\d\.\d+)(?!\d|\.\d)"
"""What has as many digits and is no number: a date, an address of a machine, a fraction."""
# A number as vendors and people write it without "+", in one piece or in groups; not a part of a word, a hash, a
# version, a fraction or a path.
_BARE_NUMBER = re.compile(rf"(?<![\w.+/-])(?!{_OTHER})(?:\d{{10,18}}|\d(?:{_GAP}{{0,3}}\d){{8,17}})(?![\w/-])")
_NAMED_SECRET = re.compile(
    r"""(X-Amz-(?:Signature|Credential|Security-Token)|X-API-Key)(\\?["']?\s*(?:=|:|%3D)\s*\\?["']?)[^&\s"'\\]+""",
    re.IGNORECASE,
)
_PASSWORD_IN_URL = re.compile(r"://[^/\s@\"'\\]+@")


@lru_cache(1024)
def is_secret_name(name: str) -> bool:
    """Tell whether a field called `name` holds a secret."""
    return name.lower().replace("-", "_") in SECRET_NAMES


def mask_numbers(text: str) -> str:
    """Shorten every number in free text, with or without `+`, to its first and last two digits."""
    return _BARE_NUMBER.sub(_masked, _NUMBER.sub(_masked, text))


def printable(text: str) -> str:
    """Spell out what would move a cursor, colour a terminal or begin a line that a CI system takes for a command."""
    return "".join([sign if sign.isprintable() else f"\\x{ord(sign):02x}" for sign in text])


class Redactor:
    """Redacts whole lines. `secrets` are hidden in every spelling of JSON, `repr` and URLs, and in JSON of those."""

    def __init__(self, secrets: tuple[str, ...] = ()) -> None:
        self._spellings: tuple[str, ...] = ()
        self.hide(*secrets)

    def hide(self, *secrets: str) -> None:
        """Hide these from now on, too."""
        spellings = {
            spelling
            for secret in secrets
            if len(secret) >= MIN_SECRET_CHARS and secret not in PUBLISHED
            for once in (
                secret,
                json.dumps(secret)[1:-1],
                repr(secret)[1:-1],
                quote(secret, safe="", errors="surrogatepass"),
            )
            for spelling in (once, json.dumps(once)[1:-1])
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
        if "+" in line or "%2" in line:
            line = _NUMBER.sub(_masked, line)
        if "x-a" in line.lower():
            line = _NAMED_SECRET.sub(rf"\1\2{HIDDEN}", line)
        if "@" in line:
            line = _PASSWORD_IN_URL.sub(f"://{HIDDEN}@", line)
        return line


def _masked(number: re.Match[str]) -> str:
    text = number[0].replace("%2B", "+").replace("%2b", "+")
    digits = "".join(filter(str.isdigit, text))
    return f"{'+' if text.startswith('+') else ''}{digits[:2]}…{digits[-2:]}"
