"""Finds area codes and calling codes that have a column of their own, beside the one of the numbers.

Without its area code a number is somebody else's where numbers have no fixed length: `0711` and `8284651` are +49 711
8284651, and the second alone is +49 8284651. Of several calling codes, `default_region` can have but one.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from orchestrator.intake.sources.number_column import compared

if TYPE_CHECKING:
    from collections.abc import Sequence

_AREA = frozenset(
    map(
        compared,
        """
    vorwahl; ortsvorwahl; vorwahlnummer; vorwahl nr; ortskennzahl; onkz; telefonvorwahl; handyvorwahl; mobilvorwahl;
    area code; areacode; city code; std; std code; phone area code; dialing code; dialling code; prefix;
    phone prefix; network code; ndc; ddd; lada; caracteristica; codigo de area; cod area; prefijo; indicatif;
    indicativo; prefisso; prefisso telefonico; netnummer; kengetal; alan kodu; riktnummer; retningsnummer; suuntanumero;
    kierunkowy; numer kierunkowy; predvolba; predcisli; korzetszam;
    \u043a\u043e\u0434 \u0433\u043e\u0440\u043e\u0434\u0430;
    \u533a\u53f7; \u5e02\u5916\u5c40\u756a
    """.split(";"),  # noqa: SIM905 - as a list of strings it would be twice as long
    )
)
_COUNTRY = frozenset(
    map(
        compared,
        """
    country code; countrycode; phone country code; mobile country code; calling code; country calling code; dial code;
    country dial code; isd; isd code; ddi; idd; phone code; landesvorwahl; landervorwahl; laendervorwahl;
    landeskennzahl; lkz; codigo pais; codigo de pais; cod pais; prefijo internacional; indicatif pays;
    prefisso internazionale; landnummer; landcode; ulke kodu; landskod; landekode; kod kraju;
    \u043a\u043e\u0434 \u0441\u0442\u0440\u0430\u043d\u044b
    """.split(";"),  # noqa: SIM905 - as a list of strings it would be twice as long
    )
)
_CODE = re.compile(r"(?:\+|00)?0?([1-9][0-9]{0,5})")
_AROUND = " '\"=()\xa0"


def codes_apart(headers: Sequence[str], rows: Sequence[Sequence[str]], numbers: int) -> str:
    """Return the header of a column of codes without which most cells of the column `numbers` are no whole numbers.

    It is "" where there is none. What begins with a plus sign, a zero or the code itself is whole.
    """
    for place, header in enumerate(headers):
        name = compared(header)
        if name not in _AREA | _COUNTRY or place == numbers:
            continue
        pairs = [
            (row[place].strip(_AROUND), row[numbers].strip(_AROUND)) for row in rows if len(row) > max(place, numbers)
        ]
        codes = [(found[1], number) for code, number in pairs if (found := _CODE.fullmatch(code)) and number]
        apart = [code for code, number in codes if number[0] in "123456789" and not number.startswith(code)]
        are_countries = name in _COUNTRY or all(code.startswith(("+", "00")) for code, _ in pairs if code)
        if len(apart) > len(codes) // 2 and (not are_countries or len(set(apart)) > 1):
            return header
    return ""
