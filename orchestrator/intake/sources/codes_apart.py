"""Finds area codes, calling codes and countries that have a column of their own, beside the one of the numbers.

Without its area code a number is somebody else's where numbers have no fixed length: `0711` and `8284651` are +49 711
8284651, and the second alone is +49 8284651. Of several countries, `default_region` can be but one.
"""

from __future__ import annotations

import json
import re
from functools import cache
from typing import TYPE_CHECKING

from phonenumbers import SUPPORTED_REGIONS, country_code_for_region

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
    \u043a\u043e\u0434 \u0441\u0442\u0440\u0430\u043d\u044b;
    country; countries; country name; country region; country iso; country iso code; iso country code; iso; iso2;
    nation; billing country; shipping country; mailing country; primary address country; home country; business country;
    home address country; work address country; land; l\u00e4nder; laenderkuerzel; pays; pais; paese; nazione; stato;
    ulke; kraj; zeme; orszag; maa; krajina; negara; drzava; tara; quoc gia; \u0441\u0442\u0440\u0430\u043d\u0430;
    \u56fd\u5bb6; \u56fd; \u570b\u5bb6
    """.split(";"),  # noqa: SIM905 - as a list of strings it would be twice as long
    )
)
_CODE = re.compile(r"(?:\+|00)?0?([1-9][0-9]{0,5})")
_AROUND = " '\"=()\xa0"


def codes_apart(headers: Sequence[str], rows: Sequence[Sequence[str]], numbers: int) -> str:
    """Say which column has codes or countries without which most cells of the column `numbers` are no whole numbers.

    It is "" where there is none. What begins with a plus sign, the code itself or, where that is an area's, with a zero
    is whole.
    """
    for place, header in enumerate(headers):
        name = compared(header)
        if name not in _AREA | _COUNTRY or place == numbers:
            continue
        cells = [
            (row[place].strip(_AROUND), row[numbers].strip(_AROUND)) for row in rows if len(row) > max(place, numbers)
        ]
        are_countries = name in _COUNTRY or all(told.startswith(("+", "00")) for told, _ in cells if told)
        pairs = [(told, number) for told, number in cells if number]
        beginning = "00" if are_countries else "0"
        is_bare = [number[0].isdigit() and not number.startswith(beginning) for _, number in pairs]
        if not any(is_bare):  # most lists are so, and the names of countries take a while to load
            continue
        codes = [_code(told, are_countries) for told, _ in pairs]
        apart = [
            code
            for code, (_, number), bare in zip(codes, pairs, is_bare, strict=True)
            if code and bare and not number.startswith(code)
        ]
        if len(apart) <= sum(map(bool, codes)) // 2 or (are_countries and len(set(apart)) == 1):
            continue
        codes_of, numbers_of = (json.dumps(headers[i], ensure_ascii=False) for i in (place, numbers))
        if any(map(str.isalpha, "".join(told for told, _ in cells))):
            lacking = f"names countries whose calling codes the numbers of {numbers_of} lack; write them in front"
        else:
            lacking = f"holds codes that the numbers of {numbers_of} lack; join the two into one column"
        return f"the column {codes_of} {lacking}"
    return ""


def _code(told: str, is_country: bool) -> str:  # noqa: FBT001
    """Return the digits of a code, be it of a country that is named; "" for what is none."""
    if found := _CODE.fullmatch(told):
        return found[1]
    if not is_country or not told:
        return ""
    region = told.upper() if told.upper() in SUPPORTED_REGIONS else _regions().get(compared(told), "")
    return str(country_code_for_region(region) or "")


@cache
def _regions() -> dict[str, str]:
    """Return the regions by their names in the languages that `phonenumbers` has; it takes a while to load."""
    from phonenumbers.geodata.locale import LOCALE_DATA  # noqa: PLC0415

    named = {"usa": "US", "uk": "GB"}
    for region, names in LOCALE_DATA.items():
        named |= {compared(name): region for name in names.values() if not name.startswith("*")}
    return named
