"""What tells one paid check from another: the call that it makes, however its address is spelt.

Spellings that a server could take for the same count as one: what is told apart here is paid for apart.
"""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote

from yarl import URL

from orchestrator.settings import SANDBOX, Style

if TYPE_CHECKING:
    from collections.abc import Iterable


class PaidCall(NamedTuple):
    """A paid check; `path` is what stands between its slashes, decoded, and `task_type` empty where none is sent."""

    server: str
    path: tuple[str, ...]
    style: str
    task_type: str


def call_of(base_url: str, style: str, path: str, task_type: str) -> PaidCall:
    """Return the call that these settings make; `base_url` and `path` are divided where it suits their writer."""
    server, base = _address(base_url)
    return PaidCall(server, _plain((*base, *_parts(path))), str(style), task_type if style == Style.V1 else "")


def _address(base_url: str) -> tuple[str, tuple[str, ...]]:
    if base_url == SANDBOX:
        return SANDBOX, ()
    url = URL(base_url)
    host = (url.raw_host or "").rstrip(".").lower()
    if ":" in host:
        host = f"[{ip_address(host)}]"
    return f"{url.scheme}://{host}:{url.port}", _parts(url.raw_path)


def _parts(path: str) -> tuple[str, ...]:
    return tuple(unquote(part, errors="surrogateescape") for part in path.split("/"))


def _plain(parts: Iterable[str]) -> tuple[str, ...]:
    """Walk the path: what is empty leads nowhere, as does a dot, and two of them lead back."""
    walked: list[str] = []
    for part in parts:
        if part == "..":
            del walked[-1:]
        elif part not in ("", "."):
            walked.append(part)
    return tuple(walked)
