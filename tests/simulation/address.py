"""A vendor that goes by a name and speaks TLS: what can go wrong before a request may leave.

Names are looked up, and certificates shown, as the faults of the seed have it; the handshakes are real.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any
from unittest.mock import patch

import trustme
from aiohttp import TCPConnector
from aiohttp.abc import ResolveResult

from tests.simulation.faults import OF_CERTIFICATE, OF_NAME, Mischief
from tests.simulation.gateway import Note
from tests.simulation.loop import VirtualLoop

NAME = "vendor.example"
LONG_S = 400.0
"""Longer than anybody waits for a connection."""


@cache
def authority() -> trustme.CA:
    return trustme.CA()


@cache
def certificate(fault: str) -> trustme.LeafCert:
    """Return the vendor's certificate, or one with a fault."""
    match fault:
        case "certificate of another host":
            return authority().issue_cert("other.example")
        case "expired certificate":
            return authority().issue_cert("127.0.0.1", NAME, not_after=datetime.now(UTC) - timedelta(days=1))
        case "certificate of an unknown maker":
            return trustme.CA().issue_cert("127.0.0.1", NAME)
    return authority().issue_cert("127.0.0.1", NAME)


@contextmanager
def trusted() -> Iterator[None]:
    """Have the program trust who makes the vendor's certificates."""
    trusting = ssl.create_default_context()
    authority().configure_trust(trusting)
    with patch("aiohttp.connector._SSL_CONTEXT_VERIFIED", trusting):
        yield


class Address:
    """The name of all vendors of a seed, and the certificates that they show."""

    def __init__(self, loop: VirtualLoop, mischief: Mischief, note: Note) -> None:
        self._loop, self._mischief, self._note = loop, mischief, note
        self._shown = {fault: _context(fault.partition(": ")[2]) for fault in ("", *OF_CERTIFICATE)}
        self._shown[""].sni_callback = self._show

    @property
    def tls(self) -> ssl.SSLContext:
        """What the vendor's ports speak."""
        return self._shown[""]

    @contextmanager
    def known(self) -> Iterator[None]:
        """Have the program find the name, as far as the faults let it, and trust the right certificate.

        Each connection looks the name up for itself: those that wait for the look-up of another go on in any order.
        """
        look_up = TCPConnector._resolve_host

        async def anew(connector: TCPConnector, *args: Any, **options: Any) -> list[ResolveResult]:
            connector._use_dns_cache = False
            return await look_up(connector, *args, **options)

        self._loop.look_up = self._look_up
        try:
            with trusted(), patch.object(TCPConnector, "_resolve_host", anew):
                yield
        finally:
            self._loop.look_up = None

    def _show(self, line: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
        if fault := self._mischief.draw(OF_CERTIFICATE):
            self._note("fault", fault=fault)
            line.context = self._shown[fault]

    async def _look_up(self, host: str) -> str:
        if host != NAME:
            return host
        fault = self._mischief.draw(OF_NAME)
        if fault:
            self._note("fault", fault=fault)
        if fault == "name: no answer":
            await asyncio.sleep(LONG_S)
        if fault == "name: not found":
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return "127.0.0.1"


def _context(fault: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate(fault).configure_cert(context)
    return context
