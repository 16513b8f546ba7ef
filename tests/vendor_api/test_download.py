"""Result files: whole and private, or not there at all."""

# ruff: noqa: ASYNC240 - a test may look at a small local file without leaving its loop

from __future__ import annotations

import asyncio
import os
import stat
from typing import TYPE_CHECKING, Any

import pytest

from orchestrator.errors import (
    DamagedResultError,
    LinkExpiredError,
    RefusedError,
    StorageError,
    TemporaryError,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.vendor_api.conftest import Script, Seen

pytestmark = pytest.mark.looptime

MANY = 100_000_000


def serving_bytes(status: int, body: bytes, *headers: str) -> Script:
    async def script(seen: Seen) -> None:
        await seen.head()
        seen.answer_raw(status, body, *headers)

    return script


def sending(raw: bytes, *, then: str = "close") -> Script:
    async def script(seen: Seen) -> None:
        await seen.head()
        seen.send(raw)
        await seen.writer.drain()
        if then == "reset":
            await asyncio.sleep(0.1)
            seen.reset()
        if then == "silence":
            await seen.to_the_end()

    return script


@pytest.fixture
def part(tmp_path: Path) -> Path:
    return tmp_path / "000001.xlsx.part"


@pytest.fixture
def fetch(serve: Callable[..., Any], connect: Callable[..., Any], part: Path) -> Callable[..., Any]:
    """Download from a script on the vendor's own host, and return what the server saw."""

    async def run(script: Script, max_bytes: int = MANY, target: str = "/a.zip?X-Amz-Signature=1%2F2") -> list[Seen]:
        async with serve(script) as server, connect(server.base_url) as client:
            await client.download(server.base_url + target, part, max_bytes=max_bytes)
        return list(server.seen)

    return run


class TestWhole:
    @pytest.mark.parametrize("size", [0, 1, 70_000, 3_000_000])
    async def test_content(self, fetch: Callable[..., Any], part: Path, size: int) -> None:
        """The part file holds exactly what was sent, and only its owner may read it."""
        body = os.urandom(size)
        await fetch(serving_bytes(200, body))
        assert part.read_bytes() == body
        assert stat.S_IMODE(part.stat().st_mode) == 0o600

    async def test_an_old_part(self, fetch: Callable[..., Any], part: Path) -> None:
        """A part that was left behind is replaced, and its mode too."""
        part.write_bytes(b"old and longer")
        part.chmod(0o644)
        await fetch(serving_bytes(200, b"new"))
        assert part.read_bytes() == b"new"
        assert stat.S_IMODE(part.stat().st_mode) == 0o600

    async def test_what_is_asked(self, fetch: Callable[..., Any], key: str) -> None:
        """The link is asked for as it was signed, as plain bytes, and without key or cookie."""
        seen = (await fetch(serving_bytes(200, b"x", "Set-Cookie: a=b")))[0]
        head = bytes(seen.data)
        assert head.startswith(b"GET /a.zip?X-Amz-Signature=1%2F2 HTTP/1.1\r\n")
        assert b"Accept-Encoding: identity\r\n" in head
        assert key.encode() not in head
        assert b"x-api-key" not in head.lower()
        assert b"cookie" not in head.lower()

    async def test_as_it_came(self, fetch: Callable[..., Any], part: Path) -> None:
        """Nothing is unpacked on the way, whatever the other side calls it: small bytes stay small."""
        await fetch(serving_bytes(200, b"\x1f\x8b not gzip", "Content-Encoding: gzip"))
        assert part.read_bytes() == b"\x1f\x8b not gzip"

    async def test_chunked(self, fetch: Callable[..., Any], part: Path) -> None:
        """A file without an announced length is taken as well."""
        raw = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
        await fetch(sending(raw))
        assert part.read_bytes() == b"abc"

    async def test_slow_but_coming(self, fetch: Callable[..., Any], part: Path, looptime: Any) -> None:
        """A slow file that keeps coming may take as long as it likes."""

        async def script(seen: Seen) -> None:
            await seen.head()
            seen.send(b"HTTP/1.1 200 OK\r\nContent-Length: 700000\r\n\r\n")
            for _ in range(10):
                seen.send(b"x" * 70_000)
                await asyncio.sleep(50)

        await fetch(script)
        assert part.stat().st_size == 700_000
        assert looptime >= 450


class TestNotThere:
    @pytest.mark.parametrize(
        ("status", "kind"),
        [
            (400, LinkExpiredError),
            (401, LinkExpiredError),
            (403, LinkExpiredError),
            (404, LinkExpiredError),
            (410, LinkExpiredError),
            (405, RefusedError),
            (416, RefusedError),
            (301, RefusedError),
            (302, RefusedError),
            (307, RefusedError),
            (202, TemporaryError),
            (204, TemporaryError),
            (206, TemporaryError),
            (408, TemporaryError),
            (429, TemporaryError),
            (500, TemporaryError),
            (503, TemporaryError),
        ],
    )
    async def test_status(self, fetch: Callable[..., Any], part: Path, status: int, kind: type[Exception]) -> None:
        """Only 200 is a file; every other status says what to do next and leaves nothing behind."""
        with pytest.raises(kind):
            await fetch(serving_bytes(status, b""))
        assert not part.exists()

    async def test_redirect(self, serve: Callable[..., Any], connect: Callable[..., Any], part: Path) -> None:
        """A redirect is not followed, so no link leads where the rule of hosts would not."""
        async with serve(serving_bytes(200, b"x")) as other:
            script = serving_bytes(302, b"", f"Location: {other.base_url}/")
            async with serve(script) as server, connect(server.base_url) as client:
                with pytest.raises(RefusedError):
                    await client.download(server.base_url + "/a", part, max_bytes=MANY)
        assert other.seen == []


class TestNotWhole:
    @pytest.mark.parametrize(
        ("raw", "then", "kind"),
        [
            (b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nabc", "close", DamagedResultError),
            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nabc", "close", DamagedResultError),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nabc", "reset", TemporaryError),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nabc", "silence", TemporaryError),
            (b"HTTP/1.1 200 OK\r\n", "silence", TemporaryError),
            (b"", "close", TemporaryError),
            (b"", "reset", TemporaryError),
            (b"", "silence", TemporaryError),
            (b"\x00rubbish\r\n\r\n", "close", TemporaryError),
        ],
    )
    async def test_broken_off(
        self, fetch: Callable[..., Any], part: Path, raw: bytes, then: str, kind: type[Exception]
    ) -> None:
        """A file that ends too early is damaged; a way that breaks may be better later. Nothing stays behind."""
        with pytest.raises(kind):
            await fetch(sending(raw, then=then))
        assert not part.exists()

    async def test_dripping(self, fetch: Callable[..., Any], part: Path, looptime: Any) -> None:
        """A file that only drips is given up: 64 KiB a minute is the least."""

        async def script(seen: Seen) -> None:
            await seen.head()
            seen.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
            for _ in range(100):
                seen.send(b"x")
                await asyncio.sleep(5)

        with pytest.raises(TemporaryError, match="64 KiB more within 60 s"):
            await fetch(script)
        assert not part.exists()
        assert looptime < 70

    @pytest.mark.parametrize(
        "raw",
        [
            b"HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n" + b"x" * 1001,
            b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 500_000,
        ],
    )
    async def test_too_large(self, fetch: Callable[..., Any], part: Path, raw: bytes) -> None:
        """A file above the limit is refused, announced or not."""
        with pytest.raises(RefusedError, match="larger than 1000 bytes"):
            await fetch(sending(raw), max_bytes=1000)
        assert not part.exists()

    async def test_at_the_limit(self, fetch: Callable[..., Any], part: Path) -> None:
        """The limit itself is allowed."""
        await fetch(serving_bytes(200, b"x" * 1000), max_bytes=1000)
        assert part.stat().st_size == 1000

    async def test_cancelled(self, serve: Callable[..., Any], connect: Callable[..., Any], part: Path) -> None:
        """Cancelled in the middle, a download leaves no part, no connection and no task."""
        before = asyncio.all_tasks()
        script = sending(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nabc", then="silence")
        async with serve(script) as server:
            async with connect(server.base_url) as client:
                task = asyncio.create_task(client.download(server.base_url + "/a", part, max_bytes=MANY))
                await asyncio.sleep(10)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
            await server.over()
            await asyncio.sleep(0.1)
        assert not part.exists()
        assert asyncio.all_tasks() == before

    async def test_no_place(self, fetch: Callable[..., Any], part: Path) -> None:
        """A part that can't be opened is the disk's trouble, not the vendor's."""
        part.mkdir()
        with pytest.raises(StorageError):
            await fetch(serving_bytes(200, b"x"))

    async def test_no_room(self, serve: Callable[..., Any], connect: Callable[..., Any], small_disk: Path) -> None:
        """On a full disk the same, and the half part is gone again: the disk has its room back."""
        script = serving_bytes(200, b"x" * 3_000_000)
        async with serve(script) as server, connect(server.base_url) as client:
            with pytest.raises(StorageError, match="No space left"):
                await client.download(server.base_url + "/a", small_disk / "part", max_bytes=MANY)
        assert list(small_disk.iterdir()) == []


class TestHosts:
    @pytest.mark.parametrize(
        "link",
        [
            "http://127.0.0.1:{port}/a",  # not the vendor's scheme
            "https://127.0.0.1:{port}/a",
            "https://localhost:{port}/a",  # found out when connecting
            "https://0x7f.1:{port}/a",
            "https://127.1:{port}/a",
            "https://[::ffff:127.0.0.1]:{port}/a",
            "http://localhost:{port}/a",
            "file:///etc/passwd",
            "nonsense",
            "https://a..b/",
            "https://" + "a" * 70 + ".example/",
        ],
    )
    async def test_inside(self, serve: Callable[..., Any], connect: Callable[..., Any], part: Path, link: str) -> None:
        """A link into our own network is refused, however it is written, and nothing is sent there."""
        async with serve(serving_bytes(200, b"x")) as server, connect("https://api.vendor.example") as client:
            with pytest.raises(RefusedError):
                await client.download(link.format(port=server.port), part, max_bytes=MANY)
        assert all(seen.data == b"" for seen in server.seen)
        assert not part.exists()

    async def test_listed(
        self, serve: Callable[..., Any], connect: Callable[..., Any], part: Path, certificates: Any
    ) -> None:
        """A host that the user listed may be inside, and is spoken to in TLS without the key."""
        server_tls, client_tls = certificates("localhost")
        async with serve(serving_bytes(200, b"x"), server_tls) as server:
            options = {"vendor": {"result_hosts": ("localhost",)}, "tls": client_tls}
            async with connect("https://api.vendor.example", **options) as client:
                await client.download(f"https://localhost:{server.port}/a", part, max_bytes=MANY)
        assert part.read_bytes() == b"x"
        assert b"x-api-key" not in bytes(server.seen[-1].data).lower()

    async def test_own_host_on_another_port(
        self, serve: Callable[..., Any], connect: Callable[..., Any], part: Path
    ) -> None:
        """The vendor's own host may keep its files behind another port."""
        async with serve(serving_bytes(200, b"x")) as server, connect("http://127.0.0.1:1") as client:
            await client.download(f"{server.base_url}/a", part, max_bytes=MANY)
        assert part.read_bytes() == b"x"

    async def test_wrong_certificate(
        self, serve: Callable[..., Any], connect: Callable[..., Any], part: Path, certificates: Any
    ) -> None:
        """A file host whose certificate names another host is not believed."""
        server_tls, client_tls = certificates("wrong.example")
        async with serve(serving_bytes(200, b"x"), server_tls) as server:
            options = {"vendor": {"result_hosts": ("127.0.0.1",)}, "tls": client_tls}
            async with connect("https://api.vendor.example", **options) as client:
                with pytest.raises(TemporaryError, match="certificate"):
                    await client.download(f"{server.base_url}/a", part, max_bytes=MANY)

    async def test_unknown_name(self, connect: Callable[..., Any], part: Path) -> None:
        """A name that nobody knows may be known later."""
        async with connect("https://api.vendor.example") as client:
            with pytest.raises(TemporaryError, match=r"no connection to nobody\.invalid"):
                await client.download("https://nobody.invalid/a", part, max_bytes=MANY)
