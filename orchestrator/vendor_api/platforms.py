"""The known platforms: what a configuration need not say.

The keys are those of `PlatformSettings`, and every value is a default that the configuration overrides. Two platforms
are documented by the vendor, with listed prices in USD for 10,000 numbers, and those move. The others are only seen
elsewhere, on further public pages of the same API family: their task types, limits and columns are plausible and not
promised, and they have no price, so a real vendor is not asked before the user has set one.
"""

from __future__ import annotations

from typing import Any, Final

from orchestrator.settings import Style

ACTIVATED: Final = "activated"
"""What the verdicts' column is called where it is not named after the platform."""


def _seen_elsewhere(task_type: str, *columns: str, **limits: int) -> dict[str, Any]:
    """Return a platform of the style `v1`; `columns` are names of the verdicts' column, the platform's own first."""
    return {
        "style": Style.V1.value,
        "path": "/v1/tasks",
        "task_type": task_type,
        **limits,
        "result_columns": (*(columns or (task_type,)), ACTIVATED),
    }


def _with_columns(task_type: str, extras: tuple[str, ...], *columns: str) -> dict[str, Any]:
    """Return a platform whose results have more columns than the number and, if there are `columns`, a verdict.

    What says something of a person's body or face (`age`, `gender`, `avatar`, `hair_color`, `skin_color`) is in the
    master of those only who name it.
    """
    return _seen_elsewhere(task_type) | {"result_columns": columns, "extra_columns": extras}


_CARRIER: Final = ("number_type", "country_code", "carrier", "underlying_carrier", "region", "city")

DOCUMENTED: Final[dict[str, dict[str, Any]]] = {
    "instagram": {
        "style": Style.SIMPLE.value,
        "path": "/ins/api/simple/tasks",
        "min_rows": 1,  # not published
        "price_per_10000": 1.0,
        "result_columns": ("instagram", ACTIVATED),
    },
    "amazon": {
        "style": Style.V1.value,
        "path": "/v1/tasks",
        "task_type": "amazon",
        "min_rows": 100,
        "price_per_10000": 2.0,
        "result_columns": ("amazon", ACTIVATED),
    },
}

SEEN_ELSEWHERE: Final[dict[str, dict[str, Any]]] = {
    "whatsapp": _seen_elsewhere("ws", "whatsapp", "ws", "wa", min_rows=500),
    "telegram": _seen_elsewhere("tg", "telegram", "tg"),
    "facebook": _seen_elsewhere("facebook", "facebook", "fb", min_rows=100),
    "twitter": _seen_elsewhere("twitter", "twitter", "x"),
    "linkedin": _seen_elsewhere("linkedin_phone", "linkedin", "linkedin_phone"),
    "apple": _seen_elsewhere("apple"),
    "viber": _seen_elsewhere("viber"),
    "line": _seen_elsewhere("line"),
    "zalo": _seen_elsewhere("zalo"),
    "vk": _seen_elsewhere("vk", min_rows=1_000),
    "max": _seen_elsewhere("max", min_rows=1_000),
    "signal": _seen_elsewhere("signal"),
    "tiktok": _seen_elsewhere("tiktok"),
    "snapchat": _seen_elsewhere("snapchat"),
    "microsoft": _seen_elsewhere("microsoft"),
    "netflix": _seen_elsewhere("netflix"),
    "airbnb": _seen_elsewhere("airbnb"),
    "shopee": _seen_elsewhere("shopee"),
    "binance": _seen_elsewhere("Binance", "binance"),
    "temu": _seen_elsewhere("temu", max_rows=100_000),
    "whatsapp_active": _with_columns("ws_active", ("activetime", "activedays", "business"), ACTIVATED),
    "whatsapp_avatar": _with_columns("ws_avatar", ("category",), ACTIVATED),
    "whatsapp_business": _with_columns("ws_business", ("business",), "whatsapp", ACTIVATED),
    "telegram_avatar": _with_columns("tg_avatar", (), "telegram", ACTIVATED),
    "telegram_active": _with_columns("tg_active", ("telegram_days",)),
    "carrier": _with_columns("globalCarrier", _CARRIER),
    "us_carrier": _with_columns("us_carrier_premium", _CARRIER),
    "active_check": _with_columns("active_check", (), "ActiveStatus"),
    "high_value_users": _with_columns("high_value_users", (), "Result"),
}

KNOWN: Final = DOCUMENTED | SEEN_ELSEWHERE


def columns_of(name: str) -> tuple[str, ...]:
    """Return what the verdicts' column of a platform may be called, where the configuration does not say."""
    return tuple(KNOWN[name]["result_columns"]) if name in KNOWN else (name, ACTIVATED)


ALSO_CALLED: Final = {
    "ins": "instagram",
    "ig": "instagram",
    "ws": "whatsapp",
    "wa": "whatsapp",
    "tg": "telegram",
    "fb": "facebook",
    "x": "twitter",
    "linkedin_phone": "linkedin",
    "ws_active": "whatsapp_active",
    "ws_avatar": "whatsapp_avatar",
    "ws_business": "whatsapp_business",
    "tg_avatar": "telegram_avatar",
    "tg_active": "telegram_active",
    "globalcarrier": "carrier",
    "us_carrier_premium": "us_carrier",
}
"""Words for platforms in paths, task types and people's mouths, too far from the names to be guessed."""
