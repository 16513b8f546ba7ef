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
}

KNOWN: Final = DOCUMENTED | SEEN_ELSEWHERE

ALSO_CALLED: Final = {
    "ins": "instagram",
    "ig": "instagram",
    "ws": "whatsapp",
    "wa": "whatsapp",
    "tg": "telegram",
    "fb": "facebook",
    "x": "twitter",
    "linkedin_phone": "linkedin",
}
"""Words for platforms in paths, task types and people's mouths, too far from the names to be guessed."""
