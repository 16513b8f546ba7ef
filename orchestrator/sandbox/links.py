"""Signed links that expire, in the manner of S3 presigned URLs.

The signature covers host, path and query byte by byte as they stand in the URL, `%2F` of the credential included. S3
is more lenient (it normalises first), but a client that rewrites a signed URL is one that breaks elsewhere.
"""

from __future__ import annotations

import hmac
import math
from datetime import UTC, datetime
from enum import StrEnum
from hashlib import sha256

_DATE_FORMAT = "%Y%m%dT%H%M%SZ"
_SIGNATURE = "&X-Amz-Signature="
MAX_LIFETIME_S = 7 * 24 * 3600
"""S3 signs nothing for longer than seven days."""


class LinkCheck(StrEnum):
    """What is to be said about a link."""

    GOOD = "good"
    EXPIRED = "expired"
    WRONG = "wrong"


def secret_of(seed: int) -> bytes:
    """Return the signing secret; it follows from the seed, so links outlive a restart."""
    return sha256(f"link secret {seed}".encode()).digest()


def signed_link(secret: bytes, host: str, path: str, signed_at: float, lifetime_s: int) -> str:
    """Return a URL to `path` at `host` (host:port) that opens for `lifetime_s` from `signed_at` (epoch seconds)."""
    moment = datetime.fromtimestamp(math.floor(signed_at), UTC)
    target = (
        f"{path}?X-Amz-Algorithm=AWS4-HMAC-SHA256"
        f"&X-Amz-Credential=AKIASANDBOX%2F{moment:%Y%m%d}%2Fap-southeast-1%2Fs3%2Faws4_request"
        f"&X-Amz-Date={moment.strftime(_DATE_FORMAT)}&X-Amz-Expires={lifetime_s}&X-Amz-SignedHeaders=host"
    )
    return f"http://{host}{target}{_SIGNATURE}{_sign(secret, host, target)}"


def check_link(secret: bytes, host: str, target: str, now: float) -> LinkCheck:
    """Judge `target`, the path and query exactly as they came in, at the time `now`."""
    signed, mark, signature = target.rpartition(_SIGNATURE)
    if not mark or not hmac.compare_digest(signature.encode(), _sign(secret, host, signed).encode()):
        return LinkCheck.WRONG
    query = dict(pair.split("=") for pair in signed.partition("?")[2].split("&"))  # ours, so it is well-formed
    signed_at = datetime.fromisoformat(query["X-Amz-Date"]).timestamp()
    return LinkCheck.GOOD if now <= signed_at + int(query["X-Amz-Expires"]) else LinkCheck.EXPIRED


def _sign(secret: bytes, host: str, target: str) -> str:
    return hmac.new(secret, f"{host}\n{target}".encode(), sha256).hexdigest()
