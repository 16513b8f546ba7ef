"""Values that nobody may read again, in many spellings, and the search for them in all that was written.

A number is found when eight or more consecutive digits of its national part stand anywhere, whatever separates them;
a key when six consecutive characters of its middle do; everything else by a word that stands nowhere but in it.
"""

from __future__ import annotations

import re
import stat
import unicodedata
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

CORE = "Vx7Qz9wKt4Lm2Rb8"
KEY = f'sk"\\%{CORE}+/='
"""A key with all that JSON, `repr`, URLs and shells spell in ways of their own."""

WORDS = {
    "Quillfeather": "a person's name beside a number",
    "Threnody": "a person's name in a line that is no number",
    "Zuckermandel": "a column of a table",
    "Pelargonium": "the user id",
    "Ranunculus": "an environment variable that is none of our business",
    "Delphinium": "the password of the proxy",
    "Snapdragon": "the user of the proxy",
}
USER_ID = "uid-Pelargonium-31"
PROXY = "http://Snapdragon:Delphinium@127.0.0.1:9"
ENVIRON = {"EKYCPRO_API_KEY": KEY, "DATABASE_URL": "postgres://app:Ranunculus@db/x", "RANUNCULUS": "Ranunculus"}

NATIONAL = ("798284651", "798284652", "798284653", "798284654", "798284655", "798284656", "798284657", "798284658")
ODD = ("79828465", "7982846599")
"""National parts of what is no number: a digit short, and one too many."""
OF_THE_TABLE = ("446681800", "446681801", "446681802", "446681803")

WINDOW = 8
_CORE_WINDOW = 6
_GAPS = re.compile(r"(?<=\d)(?:[\s().\-/_:,;+…·\u00a0]|%20|\\u00a0){1,3}(?=\d)")
_RUNS = re.compile(r"\d{8,}")
_OPENER = re.compile(r"X-Amz-(?:Signature|Credential|Security-Token)[\"'\\]*\s*(?:=|:|%3D)\s*[\"'\\]*([0-9A-Za-z/%+]+)")


def spellings(national: str) -> tuple[str, ...]:
    """Spell a Swiss number as people, tables and vendors do."""
    a, b, c, d = national[:2], national[2:5], national[5:7], national[7:]
    return (
        f"+41{national}",
        f"0041{national}",
        f"41{national}",
        f"0{national}",
        f"+41 {a} {b} {c} {d}",
        f"0041 {a} {b} {c} {d}",
        f"+41 (0){a}-{b}-{c}-{d}",
        f"(0{a}) {b} {c} {d}",
        f"0{a}-{b}-{c}-{d}",
        f"41.{a}.{b}.{c}.{d}",
        f"0{a}/{b}{c}{d}",
        f"%2B41{national}",
        "".join(chr(0xFF10 + int(digit)) for digit in f"0041{national}"),
    )


def lines() -> list[str]:
    """Give a list with every spelling: accepted, repeated, rejected, and odd lines with names."""
    each = [spellings(national)[place % 11] for place, national in enumerate(NATIONAL)]
    return [
        *each,
        *(spelling for spelling in spellings(NATIONAL[0])[:11]),
        f"Aurelia Quillfeather <aurelia@example.org> {spellings(NATIONAL[1])[4]}",
        *(
            f"Basil Threnody, {spelling}"
            for odd in ODD
            for spelling in (f"+41 {odd}", f"0041{odd}", f"0{odd[:2]} {odd[2:]}")
        ),
        "Basil Threnody",
        "=cmd|Threnody",
    ]


def table() -> list[str]:
    """Give a table whose other columns are personal data."""
    people = ("Aurelia Quillfeather", "Basil Threnody", "Clement Quillfeather", "Dora Threnody")
    rows = [
        f"{who},Zuckermandel Lane {place},{spellings(national)[place]}"
        for place, (who, national) in enumerate(zip(people, OF_THE_TABLE, strict=True))
    ]
    return ["name,address,phone", *rows, "Basil Threnody,Zuckermandel Lane,none"]


def _windows(text: str, width: int) -> Iterator[str]:
    return (text[start : start + width] for start in range(len(text) - width + 1))


DIGITS = frozenset(window for part in (*NATIONAL, *ODD, *OF_THE_TABLE) for window in _windows(part, WINDOW))
_SECRETS = re.compile("|".join(re.escape(piece) for piece in _windows(CORE, _CORE_WINDOW)))
_PERSONAL = re.compile("|".join(WORDS), re.IGNORECASE)
_STORED = tuple(
    int(f"41{part}").to_bytes(5, order) for part in (*NATIONAL, *OF_THE_TABLE) for order in ("big", "little")
)
"""Numbers as a database and an array of integers keep them."""


@dataclass
class Search:
    """Looks through what was written; `signatures` are those of the links that were handed out."""

    signatures: set[str] = field(default_factory=set)
    size_bytes: int = 0
    files: int = 0
    texts: int = 0

    def in_text(self, text: str, *, holds_numbers: bool = False) -> list[str]:
        """Return what of the baits stands in a text; a text that is meant to hold numbers may hold them."""
        self.texts += 1
        self.size_bytes += len(text)
        found = [f"the key: {match[0]}" for match in _SECRETS.finditer(text)]
        found += [f"what opens a link: {match[0]}" for match in _OPENER.finditer(text)]
        found += [f"a signature: {signature}" for signature in self.signatures if signature in text]
        if not holds_numbers:
            found += [f"{WORDS[match[0].capitalize()]}: {match[0]}" for match in _PERSONAL.finditer(text)]
            found += [f"a number: {run}" for run in numbers_in(text)]
        else:
            account = ("Pelargonium", "Ranunculus", "Delphinium")
            found += [f"{WORDS[word]}: {word}" for word in account if word in text]
        return list(dict.fromkeys(found))

    def in_file(self, path: Path, *, holds_numbers: bool) -> list[str]:
        """Return what of the baits stands in a file, also inside of a workbook."""
        self.files += 1
        content = path.read_bytes()
        found = [] if holds_numbers else [f"a stored number: {part.hex()}" for part in _STORED if part in content]
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as packed:
                content = b"\n".join(_members(packed))
        text = content.decode("utf-8", errors="replace")
        return [f"{path.name}: {what}" for what in (*found, *self.in_text(text, holds_numbers=holds_numbers))]


def _members(packed: zipfile.ZipFile) -> Iterator[bytes]:
    for name in packed.namelist():
        try:
            yield packed.read(name)
        except (zipfile.BadZipFile, OSError, zlib.error, RuntimeError):  # what a fault has damaged, or encrypted
            continue


def numbers_in(text: str) -> list[str]:
    """Return the runs of digits in which a bait's digits stand, whatever separates them and however they look."""
    if not text.isascii():
        text = "".join(str(unicodedata.digit(sign, sign)) if sign.isdigit() else sign for sign in text)
    runs = {run for spelled in (text, _GAPS.sub("", text)) for run in _RUNS.findall(spelled)}
    return [run for run in sorted(runs) if any(window in DIGITS for window in _windows(run, WINDOW))]


def too_open(paths: Iterable[Path]) -> list[str]:
    """Return the files and directories that others than their owner may use."""
    found = []
    for path in paths:
        mode = stat.S_IMODE(path.lstat().st_mode)
        if mode != (0o700 if path.is_dir() else 0o600):
            found.append(f"{path} has mode {mode:04o}")
    return found
