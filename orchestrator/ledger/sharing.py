"""What jobs of one database share that call a vendor with the same key: its pace, and what they may spend there.

A vendor is called by turns. A turn is a time, by the database's clock, in which one job alone calls it, and it ends as
long after its last call as calls are apart. So the calls of all jobs are as far apart as those of one, and no window is
over the limit, whoever comes, dies, freezes or wakes: nobody has to be counted. One that is alone waits for nobody.

What a job spends is added up beside what the others do, in the commit that releases it: two of them can't both take
what is left. What others spent that had ended before it began is no matter of a job's.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from orchestrator.ledger.postgres_schema import SCHEMA
from orchestrator.settings import Style
from orchestrator.vendor_api.paid_calls import call_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from orchestrator.ledger.line import Statement

SALT: Final = f"SELECT salt FROM {SCHEMA}.salt"
TURN: Final = f"SELECT begins_s, ends_s, spacing_s FROM {SCHEMA}.turn(%s, %s, %s, %s, %s)"
CHARGE: Final = f"SELECT {SCHEMA}.charge(%s, %s::text[], %s::bigint[], %s::bigint)"
OTHERS: Final = (
    f"SELECT coalesce(sum(greatest(s.spent_nano - own.spent_nano - own.before_nano, 0)), 0) FROM {SCHEMA}.spenders "
    f"AS own JOIN {SCHEMA}.spending AS s USING (vendor) WHERE own.job = %s AND vendor = ANY (%s)"
)
SEEN: Final = f"""
SELECT coalesce(sum(CASE WHEN own.job IS NULL OR own.ended THEN beside.nano
    ELSE greatest(s.spent_nano - own.spent_nano - own.before_nano, 0) END), 0)::bigint
FROM {SCHEMA}.spending AS s LEFT JOIN {SCHEMA}.spenders AS own ON own.vendor = s.vendor AND own.job = %s
CROSS JOIN LATERAL (
    SELECT coalesce(sum(other.spent_nano), 0) AS nano FROM {SCHEMA}.spenders AS other
    LEFT JOIN {SCHEMA}.job ON job.job = other.job
    WHERE other.vendor = s.vendor AND other.job <> %s AND NOT other.ended AND job.closed_at IS NULL
) AS beside
WHERE CASE WHEN %s::text[] IS NULL THEN own.job IS NOT NULL ELSE s.vendor = ANY (%s::text[]) END
"""
"""What others have spent that would count for a job if it went on now: at some vendors, or where it has been before."""
_SHARE: Final = f"SELECT {SCHEMA}.share(%s, %s::text[], %s::bigint[])"


def fingerprint(base_url: str, key: str, salt: str) -> str:
    """Return the name of a vendor and a key, from which nobody finds the key but by trying: some 50 ms for each try."""
    salted = f"{salt} {call_of(base_url, Style.SIMPLE, '', '').server}"
    return hashlib.scrypt(key.encode(), salt=salted.encode(), n=2**14, r=8, p=1, dklen=16).hex()


def begin(job: int, vendors: Iterable[str], spent_nano: Sequence[int]) -> list[Statement]:
    """Have a job count as one of those that spend at these vendors; the last row is what others have."""
    names = list(vendors)
    return [(_SHARE, (job, names, list(spent_nano))), charge(job, names, spent_nano, None)]


def charge(job: int, vendors: Iterable[str], spent_nano: Sequence[int], room_nano: int | None) -> Statement:
    """Note what a job has spent at each vendor; it fails if the others have spent more than `room_nano`, if any."""
    return CHARGE, (job, list(vendors), list(spent_nano), room_nano)
