"""What tells one paid check from another: the call that it makes, however its address is spelt.

Spellings that a server could take for the same count as one: what is told apart here is paid for apart.
"""

from __future__ import annotations

from ipaddress import ip_address
from typing import NamedTuple, assert_never
from urllib.parse import unquote

from yarl import URL

from orchestrator.settings import SANDBOX, Style


class PaidCall(NamedTuple):
    """A paid check; `path` is what stands between its slashes, decoded, and `task_type` empty where none is sent."""

    server: str
    path: tuple[str, ...]
    style: str
    task_type: str


def call_of(base_url: str, style: str, path: str, task_type: str) -> PaidCall:
    """Return the call that these settings make; `base_url` and `path` are divided where it suits their writer."""
    server, base = SANDBOX, ""
    if base_url != SANDBOX:
        url = URL(base_url)
        host = (url.raw_host or "").rstrip(".").lower()
        if ":" in host:
            host = f"[{ip_address(host)}]"  # one address has many spellings
        server, base = f"{url.scheme}://{host}:{url.port}", url.raw_path
    walked: list[str] = []
    for part in (*base.split("/"), *path.split("/")):
        # As a server walks a path: what is empty leads nowhere, as does a dot, and two of them lead back.
        name = unquote(part, errors="surrogateescape")
        if name == "..":
            del walked[-1:]
        elif name not in ("", "."):
            walked.append(name)
    match Style(style):
        case Style.SIMPLE:
            sent = ""
        case Style.V1:
            sent = task_type
        case unknown:
            assert_never(unknown)
    return PaidCall(server, tuple(walked), str(style), sent)
