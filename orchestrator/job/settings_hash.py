"""A hash of the settings under which a platform's caution was learned: with others, it begins anew."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from orchestrator.settings import WhenTooSmall

if TYPE_CHECKING:
    from orchestrator.settings import Settings


def settings_hash(settings: Settings, name: str) -> str:
    """Return a hash of what decides how the vendor takes a platform's submits, and how its results are read."""
    platform = settings.platforms[name]
    vendor = settings.vendors[platform.vendor]
    # Field by field: a setting of the output, or one that a later version adds, must lift no breaker. The words, and
    # those for what decides nothing, are the ones in which earlier versions hashed it, so that their ledgers agree.
    # As the configuration has them, not with the names that a platform once had: with those a rename would change it.
    ours = (
        f"PlatformSettings(vendor='', style={platform.style!r}, path={platform.path!r}, "
        f"task_type={platform.task_type!r}, min_rows={platform.min_rows!r}, max_rows={platform.max_rows!r}, "
        f"max_in_flight=1, requests_per_second=1.0, price_per_10000=None, billing_block=1, "
        f"result_columns={platform.result_columns!r}, when_too_small={WhenTooSmall.STOP!r}, canary=True)"
    )
    # Without a verdict it is the further columns that tell whether there is an answer.
    answers = "" if platform.result_columns else f", {sorted(platform.extra_columns)!r}"
    # Said of results that looked like a vendor's fault: they are none, and what was stopped for them goes on.
    one_word = ", one_word=True" if platform.one_word else ""
    text = f"({ours}, {vendor.base_url!r}, {vendor.user_id!r}{answers}{one_word})"
    return hashlib.sha256(text.encode()).hexdigest()
