"""Which row of a table is its header, and which columns hold numbers and verdicts; vendors spell both freely."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

NUMBER_HEADERS: Final = frozenset(
    (
        *("number", "numbers", "phone", "phones", "mobile", "cell", "tel", "telephone", "msisdn"),
        *("phonenumber", "phonenumbers", "mobilenumber", "cellnumber", "telephonenumber", "mobilephone"),
        *("número", "numero", "teléfono", "telefono", "numara", "telefon"),
        *("号码", "手机", "手机号", "手机号码", "电话", "电话号码", "號碼", "手機號碼", "電話號碼", "電話番号"),
    )
)
ALWAYS_A_VERDICT: Final = "activated"


@dataclass(frozen=True, slots=True)
class Header:
    """Which row it is, which columns may hold the numbers, and which one holds the verdicts, if there are any.

    `named` tells whether the columns of numbers are called so, or may be any. `extras` are, for each further column
    that is wanted, those of its name: samples have had two.
    """

    row: int
    numbers: tuple[int, ...]
    verdict: int | None
    named: bool
    extras: tuple[tuple[int, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class Wanted:
    """The verdict column is named like the platform, like one of `aliases`, or `activated`, in this order.

    `extras` are the names of further columns. A platform `without_verdict` has only these: there a table needs a column
    that is called one of numbers, and one of them.
    """

    platform: str
    aliases: tuple[str, ...] = ()
    extras: tuple[str, ...] = ()
    without_verdict: bool = False

    def find(self, rows: Sequence[Sequence[object]]) -> Header | None:
        """Return the first row that names both columns, else the first one that names the verdicts, or None."""
        found = [header for row, cells in enumerate(rows) if (header := self._header(row, cells)) is not None]
        return next((header for header in found if header.named), next(iter(found), None))

    def _header(self, row: int, cells: Sequence[object]) -> Header | None:
        names = [plain_header(cell) for cell in cells]
        numbers = tuple(place for place, name in enumerate(names) if name in NUMBER_HEADERS)
        extras = tuple(
            tuple(place for place, name in enumerate(names) if name == wanted)
            for wanted in map(plain_header, self.extras)
        )
        if self.without_verdict:
            return Header(row, numbers, None, named=True, extras=extras) if numbers and any(extras) else None
        verdict = next((names.index(s) for s in map(plain_header, self.spellings) if s in names), None)
        if verdict is None:
            return None
        others = tuple(place for place in range(len(names)) if place != verdict)
        return Header(row, numbers or others, verdict, bool(numbers), extras) if numbers or others else None

    @property
    def spellings(self) -> tuple[str, ...]:
        """The names of the verdict column, the best first."""
        return tuple(dict.fromkeys((self.platform, *self.aliases, ALWAYS_A_VERDICT)))

    @property
    def shown(self) -> str:
        """What a table must have, in words."""
        if self.without_verdict:
            return f"a column for numbers (named number, phone or the like) and one of: {', '.join(self.extras)}"
        return f"a column for numbers and one for verdicts (named one of: {', '.join(self.spellings)})"


@lru_cache(64, typed=True)  # the files of a job share their headers; typed, since 1 and 1.0 read differently
def plain_header(cell: object) -> str:
    """Return a header in lower case, without spaces and punctuation: `Mobile_Number ` is `mobilenumber`."""
    text = unicodedata.normalize("NFKC", str(cell)).casefold()
    return "".join(character for character in text if character.isalnum())
