"""Which columns of a header hold the numbers and the verdicts; vendors spell both in many ways."""

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
    )
)
ALWAYS_A_VERDICT: Final = "activated"


@dataclass(frozen=True, slots=True)
class Wanted:
    """The verdict column is named like the platform, like one of `aliases`, or `activated`, in this order."""

    platform: str
    aliases: tuple[str, ...] = ()

    def places(self, header: Sequence[object]) -> tuple[int, int] | None:
        """Return the indices of the number and of the verdict column, or None when either is missing."""
        names = [_plain(cell) for cell in header]
        number = next((i for i, name in enumerate(names) if name in NUMBER_HEADERS), None)
        spellings = [_plain(name) for name in self.spellings]
        verdict = next((names.index(s) for s in spellings if s in names), None)
        return None if number is None or verdict is None else (number, verdict)

    @property
    def spellings(self) -> tuple[str, ...]:
        """The names of the verdict column, the best first."""
        return (self.platform, *self.aliases, ALWAYS_A_VERDICT)


@lru_cache(64, typed=True)  # the files of a job share their headers; typed, since 1 and 1.0 read differently
def _plain(cell: object) -> str:
    """Return a header in lower case, without spaces and punctuation: `Mobile_Number ` is `mobilenumber`."""
    text = unicodedata.normalize("NFC", str(cell)).casefold()
    return "".join(character for character in text if character.isalnum())
