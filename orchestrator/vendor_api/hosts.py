"""Where result files may come from.

A result link is text from outside, and opening it must not become a way into our own network. So:

- https on any host with public addresses, checked when connecting (a name may point anywhere, and change);
- the vendor's own host, on any port, with the vendor's own scheme;
- `result_hosts`, as `host` or `host:port`, with https or the vendor's own scheme.

The last two are the user's word, and may have private addresses. A link may be relative to the vendor's address, and
hold spaces and letters that a careful writer would have quoted; all that is quoted already stays as it is.
"""

from __future__ import annotations

import re
import socket
from enum import Enum, auto
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from orchestrator.errors import RefusedError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

_NAT64: Final = IPv6Network("64:ff9b::/96")  # RFC 6052: the last 32 bits are an IPv4 address

MAX_LINK_CHARS: Final = 1 << 14
"""No server takes a longer one."""

_PLAIN: Final = re.compile(rf"[!-~]{{1,{MAX_LINK_CHARS}}}")  # unquoted, the rest could end the request line

_UNREADABLE: Final = (ValueError, IndexError)  # yarl raises the second one for `https://[]@`


class Reach(Enum):
    """Which addresses a link may lead to."""

    ANY = auto()
    PUBLIC = auto()


class UnsafeAddressError(OSError):
    """A name that leads into a private network; an `OSError`, because that is what a look-up may raise."""


class HostRule:
    """The rule for one vendor; raises `UsageError` for an entry of `result_hosts` that names no host."""

    def __init__(self, base_url: URL, result_hosts: Iterable[str]) -> None:
        self._base = URL(f"{str(base_url).rstrip('/')}/")
        self._scheme = base_url.scheme
        self._own = _host_of(base_url)
        self._listed = {_entry(text) for text in result_hosts}

    def open(self, link: str) -> tuple[URL, Reach]:
        """Return a result link as it was signed, and how far it may lead; raises `RefusedError`."""
        try:
            quoted = _quoted(link)
            if not _PLAIN.fullmatch(quoted):
                raise not_a_link()
            # Already encoded: quoting a signed link again would break its signature.
            url = URL(quoted, encoded=True)
            if not url.scheme and "/" in quoted:
                url = self._base.join(url)
            return url, self._reach(url)
        except _UNREADABLE as error:
            raise not_a_link() from error

    def _reach(self, url: URL) -> Reach:
        host = _host_of(url)
        if url.scheme not in {"http", "https"} or not host or url.raw_user is not None:
            raise _refused("the result link is not a plain http or https link")
        if host == self._own and url.scheme == self._scheme:
            return Reach.ANY
        if url.scheme not in {"https", self._scheme}:
            raise _refused(f"the result link to {host} is not https")
        if {(host, None), (host, url.port)} & self._listed:
            return Reach.ANY
        if url.scheme != "https":
            raise _refused(f"the result link to {host} is not https; if that host is safe, add it to result_hosts")
        if is_literal(host) and not is_public(host):
            raise unsafe_host(host)
        return Reach.PUBLIC


class PublicResolver(AbstractResolver):
    """Looks names up by `inner` and leaves out every address that is not public."""

    def __init__(self, inner: AbstractResolver) -> None:
        self._inner = inner

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return the public addresses; raises `UnsafeAddressError` when there are only others."""
        found = await self._inner.resolve(host, port, family)
        public = [entry for entry in found if is_public(entry["host"])]
        if found and not public:
            raise UnsafeAddressError(f"{host} has no public address")
        return public

    async def close(self) -> None:
        await self._inner.close()


def is_literal(host: str) -> bool:
    """Whether the HTTP library would take `host` for an address and look nothing up."""
    return ":" in host or host.replace(".", "").isdigit()


def is_public(address: str) -> bool:
    """Whether an address is reachable from everywhere; False for what is no address at all."""
    try:
        parsed = ip_address(address)
    except ValueError:  # also the short forms of IPv4, such as 127.1
        return False
    if isinstance(parsed, IPv6Address):  # what counts is the IPv4 address that it may stand for
        teredo = parsed.teredo[1] if parsed.teredo is not None else None
        nat64 = IPv4Address(parsed.packed[-4:]) if parsed in _NAT64 else None
        parsed = nat64 or parsed.ipv4_mapped or parsed.sixtofour or teredo or parsed
    return parsed.is_global and not (parsed.is_multicast or parsed.is_reserved or parsed.is_unspecified)


def unsafe_host(host: str) -> RefusedError:
    """Return the refusal of a host that leads into a private network."""
    return _refused(
        f"the result link leads to {host}, which is not a public address; if it is safe, add it to result_hosts"
    )


def not_a_link() -> RefusedError:
    """Return the refusal of text that is no link at all."""
    return _refused("the result link is not a link")


def _refused(message: str) -> RefusedError:
    return RefusedError(message, status=0)


def _quoted(link: str) -> str:
    """Quote spaces and letters beyond ASCII, and nothing else; raises `ValueError`, also for control characters."""
    if link.isascii() and " " not in link:
        return link
    if not link.isprintable():
        raise ValueError("a link with control characters")
    host = _HOST.match(link)
    if host is not None and not host[1].isascii():
        link = link[: host.start(1)] + host[1].encode("idna").decode() + link[host.end(1) :]
    return _UNQUOTED.sub(lambda found: quote(found[0]), link)


_HOST: Final = re.compile(r"[A-Za-z]*:?//([^/?#:@]*)")
_UNQUOTED: Final = re.compile(r"[^!-~]+")


def _host_of(url: URL) -> str:
    return (url.raw_host or "").rstrip(".").lower()


def _entry(text: str) -> tuple[str, int | None]:
    """Read `host` or `host:port`; an IPv6 address stands in brackets."""
    try:
        url = URL(f"https://{text}")
        host, port = _host_of(url), url.explicit_port
    except _UNREADABLE:
        host, port = "", None
    if not host or url.raw_path != "/" or url.raw_query_string or url.raw_fragment or url.raw_user is not None:
        raise UsageError(f"result_hosts: {text!r} is not a host or host:port")
    return host, port
