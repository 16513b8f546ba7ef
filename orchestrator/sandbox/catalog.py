"""What the vendor sells: words in paths, task types, row limits, prices. Source: the public pages of the API family.

A platform has one name here whatever the style calls it: `/wa/…` and `task_type=ws` both ask `whatsapp`. That name
is the result's verdict column and the `platform` of `verdict`.
"""

from __future__ import annotations

from enum import StrEnum


class ApiStyle(StrEnum):
    """The two dialects of the API."""

    SIMPLE = "simple"
    V1 = "v1"


MAX_ROWS = 10_000_000
"""The most rows of one task, whatever its type (temu takes fewer)."""

_SAME_NAME = (
    *("instagram", "facebook", "amazon", "apple", "viber", "line", "zalo", "twitter", "linkedin_phone", "vk", "max"),
    *("signal", "tiktok", "snapchat", "microsoft", "netflix", "airbnb", "shopee", "Binance", "temu"),
)

_CARRIER = ("number_type", "country_code", "carrier", "underlying_carrier", "region", "city")
FURTHER_COLUMNS = {
    "whatsapp_active": ("activetime", "activedays", "business"),
    "whatsapp_avatar": ("age", "avatar", "category", "gender", "hair_color", "skin_color"),
    "whatsapp_business": ("business",),
    "telegram_avatar": ("avatar", "gender", "age", "hair", "skin"),
    "telegram_active": ("telegram_days",),
    "carrier": _CARRIER,
    "us_carrier": _CARRIER,
}
"""Platform → what its results have beside the number and the verdict."""
VERDICT_HEADERS = {
    "whatsapp_active": "activated",
    "whatsapp_avatar": "activated",
    "whatsapp_business": "whatsapp",
    "telegram_avatar": "telegram",
    "telegram_active": "",
    "carrier": "",
    "us_carrier": "",
    "active_check": "ActiveStatus",
    "high_value_users": "Result",
}
"""Platform → what the verdicts' column is called, where that is not the platform's name; "" without verdicts."""

TASK_TYPES = {
    "ws": "whatsapp",
    "tg": "telegram",
    **{name: name.lower() for name in _SAME_NAME},
    **{f"ws_{kind}": f"whatsapp_{kind}" for kind in ("active", "avatar", "business")},
    **{f"tg_{kind}": f"telegram_{kind}" for kind in ("active", "avatar")},
    "globalCarrier": "carrier",
    "us_carrier_premium": "us_carrier",
    **{name: name for name in ("active_check", "high_value_users")},
}
"""`task_type` → platform; case-sensitive, as at the vendor."""

SIMPLE_WORDS = {name.lower(): name.lower() for name in _SAME_NAME} | {
    "ins": "instagram",
    "wa": "whatsapp",
    "tg": "telegram",
    "fb": "facebook",
    "amazon": "amazon",
    "x": "twitter",
}
"""The word in `/{word}/api/simple/tasks` → platform."""

MIN_ROWS = {"amazon": 100, "facebook": 100, "whatsapp": 500, "vk": 1_000, "max": 1_000}
_MAX_ROWS = {"temu": 100_000}
_PRICES_PER_10000 = {"amazon": 2.0}
_USUAL_PRICE_PER_10000 = 1.0


def platform_of(style: ApiStyle, word: str) -> str | None:
    """Return the platform that `word` (of the path, or the task type) asks about; None when there is none."""
    return (SIMPLE_WORDS if style is ApiStyle.SIMPLE else TASK_TYPES).get(word)


def max_rows(platform: str) -> int:
    return _MAX_ROWS.get(platform, MAX_ROWS)


def cost(platform: str, rows: int) -> float:
    """Return what a task costs, in USD, to nine digits."""
    return round(rows * _PRICES_PER_10000.get(platform, _USUAL_PRICE_PER_10000) / 10_000, 9)
