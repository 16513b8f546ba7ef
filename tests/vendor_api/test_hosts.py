"""Where result files may come from: the rule of the design as a table."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from orchestrator.errors import RefusedError, UsageError
from orchestrator.vendor_api.hosts import (
    MAX_LINK_CHARS,
    HostRule,
    PublicResolver,
    Reach,
    UnsafeAddressError,
    is_literal,
    is_public,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

VENDOR = "https://api.vendor.example"
LOCAL = "http://127.0.0.1:8080"


def open_link(link: str, base: str = VENDOR, hosts: Sequence[str] = ()) -> Reach:
    return HostRule(URL(base), hosts).open(link)[1]


@pytest.mark.parametrize(
    ("link", "base", "hosts", "reach"),
    [
        ("https://files.example/a.zip?X-Amz-Signature=1%2F2", VENDOR, (), Reach.PUBLIC),
        ("https://files.example:8443/a", VENDOR, (), Reach.PUBLIC),
        ("https://8.8.8.8/a", VENDOR, (), Reach.PUBLIC),
        ("https://[2606:4700::1111]/a", VENDOR, (), Reach.PUBLIC),
        ("https://api.vendor.example/a", VENDOR, (), Reach.ANY),
        ("https://API.vendor.example.:9000/a", VENDOR, (), Reach.ANY),
        ("http://127.0.0.1:9999/a", LOCAL, (), Reach.ANY),
        ("https://files.example/a", LOCAL, (), Reach.PUBLIC),
        ("https://10.0.0.5/a", VENDOR, ("10.0.0.5",), Reach.ANY),
        ("https://10.0.0.5:9000/a", VENDOR, ("10.0.0.5:9000",), Reach.ANY),
        ("https://10.0.0.5/a", VENDOR, ("10.0.0.5:443",), Reach.ANY),
        ("https://nas.lan:1/a", VENDOR, ("NAS.lan.",), Reach.ANY),
        ("https://[fd00::1]:9000/a", VENDOR, ("[fd00::1]:9000",), Reach.ANY),
        ("http://nas.lan/a", LOCAL, ("nas.lan",), Reach.ANY),
        ("https://nas.lan/a", LOCAL, ("nas.lan",), Reach.ANY),
    ],
)
def test_allowed(link: str, base: str, hosts: tuple[str, ...], reach: Reach) -> None:
    """Any https host with public addresses, the vendor's own host with its own scheme, and what the user listed."""
    assert open_link(link, base, hosts) is reach


@pytest.mark.parametrize(
    ("link", "base", "hosts"),
    [
        ("http://files.example/a", VENDOR, ()),
        ("http://files.example/a", LOCAL, ()),
        ("http://api.vendor.example/a", VENDOR, ()),
        ("https://127.0.0.1:9999/a", LOCAL, ()),  # the own host, but not its scheme: as any other
        ("https://10.0.0.5/a", VENDOR, ()),
        ("https://10.0.0.5:9001/a", VENDOR, ("10.0.0.5:9000",)),
        ("http://10.0.0.5/a", VENDOR, ("10.0.0.5",)),
        ("https://169.254.169.254/latest/meta-data", VENDOR, ()),
        ("https://[::1]/a", VENDOR, ()),
        ("https://[::ffff:10.0.0.1]/a", VENDOR, ()),
        ("https://127.1/a", VENDOR, ()),
        ("https://2130706433/a", VENDOR, ()),
        ("https://user:pass@files.example/a", VENDOR, ()),
        ("https://api.vendor.example@evil.example/a", VENDOR, ()),
        ("file:///etc/passwd", VENDOR, ()),
        ("ftp://files.example/a", VENDOR, ()),
        ("", VENDOR, ()),
        ("nonsense", VENDOR, ()),
        ("//10.0.0.5/a", VENDOR, ()),
        ("https://", VENDOR, ()),
        ("https:///a", VENDOR, ()),
        ("https://files.example:99999/a", VENDOR, ()),
        ("https://files.example/a\r\nX-API-Key: b", VENDOR, ()),
        ("https://[::1/a", VENDOR, ()),
        ("https://[]@", VENDOR, ()),
        ("https://files.example/" + "a" * MAX_LINK_CHARS, VENDOR, ()),
        ("https://[::1]@", VENDOR, ()),
    ],
)
def test_refused(link: str, base: str, hosts: tuple[str, ...]) -> None:
    """Everything else is refused before a connection is made."""
    with pytest.raises(RefusedError):
        open_link(link, base, hosts)


@pytest.mark.parametrize(
    ("link", "base", "url"),
    [
        ("/files/7/a%2Fb.xlsx?x=1%2F2", f"{VENDOR}/api", f"{VENDOR}/files/7/a%2Fb.xlsx?x=1%2F2"),
        ("files/7", f"{VENDOR}/api", f"{VENDOR}/api/files/7"),
        ("../files/7", f"{VENDOR}/api/", f"{VENDOR}/files/7"),
        ("//files.example/a", VENDOR, "https://files.example/a"),
        (
            "https://files.example/a b/\u00fc%20c.xlsx?n=\u662f",
            VENDOR,
            "https://files.example/a%20b/%C3%BC%20c.xlsx?n=%E6%98%AF",
        ),
        ("https://b\u00fccher.example/a", VENDOR, "https://xn--bcher-kva.example/a"),
    ],
)
def test_links_as_careless_writers_write_them(link: str, base: str, url: str) -> None:
    """What is relative begins at the vendor's address; spaces and letters are quoted, what is quoted stays."""
    assert str(HostRule(URL(base), ()).open(link)[0]) == url


def test_signed_links_stay_as_they_are() -> None:
    """A signed link is not quoted anew: `%2F` stays `%2F`."""
    link = "https://files.example/a%20b.zip?X-Amz-Credential=A%2F20251121%2Fs3&x=a%2Bb+c"
    assert str(HostRule(URL(VENDOR), ()).open(link)[0]) == link


@given(link=st.text(max_size=60) | st.text(max_size=40).map("https://".__add__))
def test_any_text(link: str) -> None:
    """No text from outside raises anything but the refusal."""
    try:
        open_link(link)
    except RefusedError:
        return
    assert link.startswith("https://")


@pytest.mark.parametrize(
    "entry", ["", "https://files.example", "files.example/path", "a@b", "a:x", "files.example?x", ":80", "[]@"]
)
def test_bad_entries(entry: str) -> None:
    """An entry of result_hosts that is not a host or host:port is an error of the configuration."""
    with pytest.raises(UsageError, match="result_hosts"):
        HostRule(URL(VENDOR), [entry])


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("8.8.8.8", True),
        ("2606:4700::1111", True),
        ("64:ff9b::808:808", True),
        ("127.0.0.1", False),
        ("10.1.2.3", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("100.64.0.1", False),
        ("169.254.169.254", False),
        ("0.0.0.0", False),  # noqa: S104 - an address to refuse, not to bind
        ("224.0.0.1", False),
        ("240.0.0.1", False),
        ("255.255.255.255", False),
        ("::", False),
        ("::1", False),
        ("fe80::1", False),
        ("fe80::1%eth0", False),
        ("fd00::1", False),
        ("ff02::1", False),
        ("::ffff:127.0.0.1", False),
        ("::ffff:8.8.8.8", True),
        ("64:ff9b::7f00:1", False),
        ("2002:7f00:1::", False),
        ("2001:0:4136:e378:8000:63bf:80ff:fffe", False),
        ("127.1", False),
        ("files.example", False),
        ("", False),
    ],
)
def test_public(address: str, *, public: bool) -> None:
    """An address is public when everybody can reach it, also where an IPv6 one stands for an IPv4 one."""
    assert is_public(address) is public


def test_literals() -> None:
    """Whatever the HTTP library takes for an address is looked at as one."""
    assert [is_literal(host) for host in ("1.2.3.4", "127.1", "2130706433", "::1", "a.example", "0x7f.1")] == [
        True,
        True,
        True,
        True,
        False,
        False,
    ]


class Names(AbstractResolver):
    def __init__(self, *addresses: str) -> None:
        self._addresses = addresses
        self.closed = False

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        return [
            ResolveResult(hostname=host, host=address, port=port, family=family, proto=0, flags=0)
            for address in self._addresses
        ]

    async def close(self) -> None:
        self.closed = True


async def test_names_that_lead_inside() -> None:
    """Of a name's addresses only the public ones are connected to; with none of them it is refused."""
    mixed = await PublicResolver(Names("10.0.0.1", "8.8.8.8", "::1")).resolve("files.example", 443)
    assert [entry["host"] for entry in mixed] == ["8.8.8.8"]
    with pytest.raises(UnsafeAddressError):
        await PublicResolver(Names("10.0.0.1")).resolve("files.example", 443)
    assert await PublicResolver(Names()).resolve("files.example", 443) == []


async def test_closing() -> None:
    """Closing reaches the resolver inside."""
    names = Names()
    await PublicResolver(names).close()
    assert names.closed
