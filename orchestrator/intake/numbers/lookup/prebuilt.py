"""The international automaton as it comes with the package, built with it, so that a fresh machine builds nothing.

The metadata of `phonenumbers` changes every few weeks. So each calling code has a hash of the files that its part was
built from: what fits those that are installed is taken, and the rest is built. An installation without the file builds
all of it. This is imported while the package is built, too, where there is nothing but `phonenumbers`.
"""

from __future__ import annotations

import hashlib
import json
import sys
import zlib
from array import array
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Final

import phonenumbers
import phonenumbers.data

from orchestrator.intake.numbers.lookup.automata import Automaton, international

PREBUILT: Final = Path(__file__).with_name("international.table")
_BUILDERS: Final = ("automata.py", "patterns.py", "validity.py")
_DIGITS: Final = 10


def write_prebuilt(path: Path = PREBUILT) -> None:
    """Build the automaton, and keep it at `path`; raises `OSError`."""
    built = international()
    hashes = _hashes()
    steps = array("H", (state for following in built.steps for state in following))
    if sys.byteorder == "big":
        steps.byteswap()
    begins = {str(code): [state, hashes[code]] for code, state in built.begins.items()}
    head = {"built_by": _built_by(), "start": built.start, "states": len(built.steps), "begins": begins}
    body = zlib.compress(steps.tobytes() + bytes(built.labels), 9)
    path.write_bytes(json.dumps(head).encode() + b"\n" + body)


@cache
def prebuilt(path: Path = PREBUILT) -> Automaton | None:
    """Return what is kept at `path` of the automaton; where only some of its codes fit, it has these, and no start."""
    with suppress(OSError, ValueError, KeyError, zlib.error):
        head, _, body = path.read_bytes().partition(b"\n")
        said = json.loads(head)
        if said["built_by"] == _built_by():
            hashes = _hashes()
            begins = {int(code): state for code, (state, its) in said["begins"].items() if hashes.get(int(code)) == its}
            start = said["start"] if begins.keys() == hashes.keys() and len(begins) == len(said["begins"]) else 0
            content = zlib.decompress(body)
            steps = array("H", content[: said["states"] * _DIGITS * 2])
            if sys.byteorder == "big":
                steps.byteswap()
            following = list(zip(*[iter(steps)] * _DIGITS, strict=True))
            return Automaton(start, following, list(content[said["states"] * _DIGITS * 2 :]), begins)
    return None


def _built_by() -> str:
    """Return a hash of what builds automata: a file by another version says other things."""
    folder = Path(__file__).parent
    return hashlib.sha256(b"".join((folder / name).read_bytes() for name in _BUILDERS)).hexdigest()


def _hashes() -> dict[int, str]:
    """Return a hash of the metadata of each calling code that has its files."""
    folder = Path(phonenumbers.data.__file__).parent
    found = {}
    for code, regions in phonenumbers.COUNTRY_CODE_TO_REGION_CODE.items():
        names = [str(code) if region == "001" else region for region in regions]
        content = hashlib.sha256(repr(regions).encode())
        with suppress(OSError):
            for name in names:
                content.update((folder / f"region_{name}.py").read_bytes())
            found[code] = content.hexdigest()[:32]
    return found
