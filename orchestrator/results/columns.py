"""Which row of a table is its header, and which columns hold numbers and verdicts; vendors spell both freely."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

NUMBER_HEADERS: Final = frozenset(
    (
        *("number", "numbers", "phone", "phones", "mobile", "cell", "tel", "telephone", "msisdn"),
        *("phoneno", "phonenr", "mobileno", "mobilenr", "telno", "telnr", "telephoneno"),
        *("phonenumber", "phonenumbers", "mobilenumber", "cellnumber", "telephonenumber", "mobilephone"),
        *("número", "numero", "teléfono", "telefono", "numara", "telefon"),
        *("号码", "手机", "手机号", "手机号码", "电话", "电话号码", "號碼", "手機號碼", "電話號碼", "電話番号"),
    )
)
ALWAYS_A_VERDICT: Final = "activated"


@dataclass(frozen=True, slots=True)
class Header:
    """Which row it is, and which columns may hold what.

    `numbers` are the columns that are called so, `verdicts` those of the verdicts, the best name first, and `others`
    are neither. `extras` are, for each further column that is wanted, those of its name: samples have had two.
    """

    row: int
    numbers: tuple[int, ...]
    others: tuple[int, ...]
    verdicts: tuple[int, ...]
    extras: tuple[tuple[int, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class Wanted:
    """The verdict column is named like the platform, like one of `aliases`, or `activated`, in this order.

    `extras` are the names of further columns. A platform `without_verdict` has only these: there a table needs a column
    that is called one of numbers, and one of them. `chunk` are the numbers that were sent, sorted: the column that has
    them is that of the numbers. Without them it goes by names, and by what may be a number.
    """

    platform: str
    aliases: tuple[str, ...] = ()
    extras: tuple[str, ...] = ()
    without_verdict: bool = False
    chunk: NDArray[np.int64] = field(default_factory=lambda: np.array([], np.int64), repr=False, compare=False)

    def find(self, rows: Sequence[Sequence[object]]) -> Header | None:
        """Return the first row that names both columns, else the first one that names the verdicts, or None."""
        found = [header for row, cells in enumerate(rows) if (header := self._header(row, cells)) is not None]
        return next((header for header in found if header.numbers), next(iter(found), None))

    def _header(self, row: int, cells: Sequence[object]) -> Header | None:
        names = [plain_header(cell) for cell in cells]
        numbers = tuple(place for place, name in enumerate(names) if name in NUMBER_HEADERS)
        extras = tuple(
            tuple(place for place, name in enumerate(names) if name == wanted)
            for wanted in map(plain_header, self.extras)
        )
        wanted = () if self.without_verdict else tuple(dict.fromkeys(map(plain_header, self.spellings)))
        verdicts = tuple(place for spelling in wanted for place, name in enumerate(names) if name == spelling)
        others = tuple(place for place in range(len(names)) if place not in {*numbers, *verdicts})
        is_one = (numbers and any(extras)) if self.without_verdict else (verdicts and (numbers or others))
        return Header(row, numbers, others, verdicts, extras) if is_one else None

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
