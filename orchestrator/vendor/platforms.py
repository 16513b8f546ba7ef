"""The known platforms: what a configuration need not say.

The keys are those of `PlatformSettings`. The two documented platforms follow their pages; prices are the listed ones,
in USD for 10,000 numbers, and they move, so every value here is a default that the configuration overrides.
"""

from __future__ import annotations

from typing import Any, Final

KNOWN: Final[dict[str, dict[str, Any]]] = {
    "instagram": {
        "style": "simple",
        "path": "/ins/api/simple/tasks",
        "min_rows": 1,  # not published
        "price_per_10000": 1.0,
        "result_columns": ("instagram", "activated"),
    },
    "amazon": {
        "style": "v1",
        "path": "/v1/tasks",
        "task_type": "amazon",
        "min_rows": 100,
        "price_per_10000": 2.0,
        "result_columns": ("amazon", "activated"),
    },
}
