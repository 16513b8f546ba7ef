"""The calls that are safe to repeat: a look at a task, and at the balance."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from orchestrator.errors import DeniedError, RefusedError, TemporaryError, UsageError
from orchestrator.settings import PlatformSettings, Style
from orchestrator.vendor_api.meanings import TaskReport
from tests.vendor_api.conftest import taking

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.vendor_api.conftest import Leaves, Script, Seen

pytestmark = pytest.mark.looptime

REPORT = {"task_id": "abc", "status": "processing", "total": 10, "success": 3, "failure": 0}
READ = TaskReport("abc", "processing", 10, 3, 0, None)


def answering_each(status: int, content: object = None, *headers: str) -> Script:
    """Answer every request of a connection."""

    async def script(seen: Seen) -> None:
        while b"\r\n\r\n" in await seen.head():
            seen.answer(status, content, *headers)

    return script


class TestWhatTheVendorGets:
    async def asked(
        self, connect: Callable[..., Any], platform: PlatformSettings, leave: Leaves, **vendor: Any
    ) -> dict[str, Any]:
        got: dict[str, Any] = {}

        async def handler(request: web.Request) -> web.Response:
            got.update(method=request.method, target=request.path_qs, headers=request.headers)
            got["form"] = dict(await request.post())
            return web.json_response(REPORT)

        async with taking(handler) as base_url, connect(base_url, vendor=vendor) as client:
            assert await client.status(platform, "abc", leave=leave) == READ
        return got

    async def test_v1(self, connect: Callable[..., Any], amazon: PlatformSettings, leave: Leaves, key: str) -> None:
        """A v1 look is a POST of the id as form data, with the key."""
        got = await self.asked(connect, amazon, leave)
        assert (got["method"], got["target"]) == ("POST", "/v1/gettasks")
        assert got["form"] == {"task_id": "abc"}
        assert got["headers"]["Content-Type"].startswith("multipart/form-data")
        assert got["headers"]["X-API-Key"] == key
        assert leave.count == 1

    @pytest.mark.parametrize(("user_id", "query"), [("", ""), ("te st", "?user_id=te+st")])
    async def test_simple(
        self, connect: Callable[..., Any], instagram: PlatformSettings, leave: Leaves, user_id: str, query: str
    ) -> None:
        """A simple look is a GET below the path, with the user id when there is one."""
        got = await self.asked(connect, instagram, leave, user_id=user_id)
        assert (got["method"], got["target"]) == ("GET", "/ins/api/simple/tasks/abc" + query)
        assert got["headers"]["User-Agent"] == "numbercheck-orchestrator/1.2.3"

    @pytest.mark.parametrize(
        ("style", "path", "target"),
        [
            (Style.SIMPLE, "/tg/api/simple/tasks/", "/tg/api/simple/tasks/abc"),
            (Style.V1, "/x/v2/tasks", "/x/v2/gettasks"),
        ],
    )
    async def test_a_further_platform(
        self, connect: Callable[..., Any], leave: Leaves, style: Style, path: str, target: str
    ) -> None:
        """A further platform of either style is configuration only."""
        platform = PlatformSettings(vendor="main", style=style, path=path, task_type="tg", result_columns=("tg",))
        assert (await self.asked(connect, platform, leave))["target"] == target

    async def test_no_key(self, serve: Callable[..., Any], connect: Callable[..., Any], leave: Leaves) -> None:
        """A vendor that needs no key is sent no key."""
        async with serve(answering_each(404)) as server, connect(server.base_url, key="") as client:
            await client.balance(leave=leave)
        assert b"x-api-key" not in bytes(server.seen[0].data).lower()

    @pytest.mark.parametrize("key", ["a\nb", "a\r\nHost: x", "schlüssel"])
    async def test_bad_key(self, connect: Callable[..., Any], key: str) -> None:
        """A key that would break the header is told at once, without showing it."""
        with pytest.raises(UsageError, match="API key") as caught:
            async with connect("http://127.0.0.1:1", key=key):
                pass
        assert key not in str(caught.value)


class TestStatus:
    @pytest.mark.parametrize(
        ("status", "content", "kind"),
        [
            (200, None, TemporaryError),
            (200, ["x"], TemporaryError),
            (200, {**REPORT, "task_id": "other"}, TemporaryError),
            (307, None, TemporaryError),
            (400, {"message": "no"}, RefusedError),
            (401, None, DeniedError),
            (402, None, DeniedError),
            (403, None, DeniedError),
            (404, {"error": "task not found"}, RefusedError),
            (408, None, TemporaryError),
            (429, None, TemporaryError),
            (500, {"message": "no"}, TemporaryError),
            (502, None, TemporaryError),
        ],
    )
    async def test_errors(
        self,
        serve: Callable[..., Any],
        connect: Callable[..., Any],
        platforms: dict[str, PlatformSettings],
        leave: Leaves,
        status: int,
        content: object,
        kind: type[Exception],
    ) -> None:
        """What is no report raises what says what to do next, in both styles."""
        script = answering_each(status, content, "Connection: close")
        async with serve(script) as server, connect(server.base_url) as client:
            for platform in platforms.values():
                with pytest.raises(kind) as caught:
                    await client.status(platform, "abc", leave=leave)
                if kind is not TemporaryError:
                    assert getattr(caught.value, "status", None) == status

    async def test_too_often(
        self, serve: Callable[..., Any], connect: Callable[..., Any], instagram: PlatformSettings, leave: Leaves
    ) -> None:
        """429 says how long to wait."""
        async with serve(answering_each(429, None, "Retry-After: 17")) as server, connect(server.base_url) as client:
            with pytest.raises(TemporaryError) as caught:
                await client.status(instagram, "abc", leave=leave)
        assert (caught.value.retry_after_s, caught.value.throttled) == (17.0, True)

    @pytest.mark.parametrize("how", ["reset", "close", "garbage", "half", "too large", "silence", "half silence"])
    async def test_trouble(
        self,
        serve: Callable[..., Any],
        connect: Callable[..., Any],
        amazon: PlatformSettings,
        leave: Leaves,
        how: str,
    ) -> None:
        """A break, rubbish, silence or an absurd answer: the same look may succeed later."""
        raw = {
            "garbage": b"\x00 rubbish\r\n\r\n",
            "half": b'HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{"task_id"',
            "half silence": b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{",
            "too large": b'HTTP/1.1 200 OK\r\n\r\n{"task_id": "abc", "status": "pending"}'.ljust(3_000_000),
        }

        async def script(seen: Seen) -> None:
            await seen.head()
            seen.send(raw.get(how, b""))
            if how == "reset":
                seen.reset()
            if how.endswith("silence"):
                await seen.to_the_end()

        async with serve(script) as server, connect(server.base_url) as client:
            with pytest.raises(TemporaryError):
                await client.status(amazon, "abc", leave=leave)

    async def test_silence_is_timed(
        self,
        serve: Callable[..., Any],
        connect: Callable[..., Any],
        amazon: PlatformSettings,
        leave: Leaves,
        looptime: Any,
    ) -> None:
        """A look takes a minute at most, and the wait for its turn does not count."""
        leave.wait_s = 1000.0

        async def script(seen: Seen) -> None:
            await seen.to_the_end()

        async with serve(script) as server, connect(server.base_url) as client:
            with pytest.raises(TemporaryError, match="within 60 s"):
                await client.status(amazon, "abc", leave=leave)
        assert looptime == 1060

    async def test_nobody_there(self, connect: Callable[..., Any], amazon: PlatformSettings, leave: Leaves) -> None:
        """A vendor that is out of reach may be back later; no request left."""
        async with connect("http://127.0.0.1:1") as client:
            with pytest.raises(TemporaryError, match="no connection"):
                await client.status(amazon, "abc", leave=leave)
        assert leave.count == 0

    async def test_a_dead_handshake(
        self,
        serve: Callable[..., Any],
        connect: Callable[..., Any],
        amazon: PlatformSettings,
        leave: Leaves,
        looptime: Any,
    ) -> None:
        """A connection whose TLS never comes about is given up after 30 s."""

        async def script(seen: Seen) -> None:
            await seen.to_the_end()

        async with serve(script) as server, connect(server.base_url.replace("http:", "https:")) as client:
            with pytest.raises(TemporaryError):
                await client.status(amazon, "abc", leave=leave)
        assert looptime == 30
        assert leave.count == 0

    async def test_a_bad_id(self, connect: Callable[..., Any], instagram: PlatformSettings, leave: Leaves) -> None:
        """What can't be a task id is not asked for."""
        async with connect("http://127.0.0.1:1") as client:
            with pytest.raises(RefusedError):
                await client.status(instagram, "../balance", leave=leave)
        assert leave.count == 0

    async def test_redirect(
        self,
        serve: Callable[..., Any],
        connect: Callable[..., Any],
        platforms: dict[str, PlatformSettings],
        leave: Leaves,
    ) -> None:
        """A redirect is not followed, so the key reaches nobody else."""
        async with serve(answering_each(200, REPORT)) as other:
            script = answering_each(307, None, f"Location: {other.base_url}/")
            async with serve(script) as server, connect(server.base_url) as client:
                for platform in platforms.values():
                    with pytest.raises(TemporaryError):
                        await client.status(platform, "abc", leave=leave)
        assert other.seen == []

    async def test_cookies(
        self, serve: Callable[..., Any], connect: Callable[..., Any], instagram: PlatformSettings, leave: Leaves
    ) -> None:
        """A cookie that the vendor sets is never sent back; from a bare address nobody would keep one anyway."""
        script = answering_each(200, REPORT, "Set-Cookie: a=b; Path=/")
        async with serve(script) as server, connect(f"http://localhost:{server.port}") as client:
            for _ in range(2):
                await client.status(instagram, "abc", leave=leave)
        assert b"cookie" not in bytes(server.seen[0].data).lower()

    async def test_cancelled(
        self, serve: Callable[..., Any], connect: Callable[..., Any], amazon: PlatformSettings, leave: Leaves
    ) -> None:
        """Cancelled while it waits for its turn or for the answer, a look leaves no connection and no task."""

        async def script(seen: Seen) -> None:
            await seen.to_the_end()

        before = asyncio.all_tasks()
        async with serve(script) as server:
            async with connect(server.base_url) as client:
                for leave.wait_s in (0.0, 50.0):
                    task = asyncio.create_task(client.status(amazon, "abc", leave=leave))
                    await asyncio.sleep(10)
                    task.cancel()
                    with pytest.raises(asyncio.CancelledError):
                        await task
                    await asyncio.sleep(0.1)
                    assert not client._sessions.calls.connector._acquired
            await server.over()
            await asyncio.sleep(0.1)
        assert asyncio.all_tasks() == before


class TestLeave:
    async def test_kept_alive(
        self, serve: Callable[..., Any], connect: Callable[..., Any], instagram: PlatformSettings, leave: Leaves
    ) -> None:
        """Looks share a connection, and each waits for its turn before a byte of it is sent."""
        seen_at_leave: list[int] = []
        async with serve(answering_each(200, REPORT)) as server, connect(server.base_url) as client:

            async def look() -> None:
                await asyncio.sleep(3)  # below the time that a connection is kept
                seen_at_leave.append(len(server.seen[0].data))

            for _ in range(2):
                assert await client.status(instagram, "abc", leave=look) == READ
            total = len(server.seen[0].data)
        assert len(server.seen) == 1
        assert seen_at_leave == [0, total // 2]

    async def test_a_silent_repeat(
        self, serve: Callable[..., Any], connect: Callable[..., Any], instagram: PlatformSettings, leave: Leaves
    ) -> None:
        """When a kept connection turns out to be dead and the look is repeated on a new one, it waits again."""
        answers = iter([200, None, 200])

        async def script(seen: Seen) -> None:
            while b"\r\n\r\n" in await seen.head():
                status = next(answers)
                if status is None:
                    return
                seen.answer(status, REPORT)

        async with serve(script) as server, connect(server.base_url) as client:
            assert await client.status(instagram, "abc", leave=leave) == READ
            assert leave.count == 1
            assert await client.status(instagram, "abc", leave=leave) == READ
        assert leave.count == 3
        assert len(server.seen) == 2

    @pytest.mark.parametrize("error", [RuntimeError("no"), OSError("no"), TimeoutError("no")])
    async def test_leave_raises(
        self,
        serve: Callable[..., Any],
        connect: Callable[..., Any],
        instagram: PlatformSettings,
        leave: Leaves,
        error: Exception,
    ) -> None:
        """What `leave` raises comes out unchanged, and nothing was sent."""
        leave.error = error
        async with serve(answering_each(200, REPORT)) as server, connect(server.base_url) as client:
            with pytest.raises(type(error)) as caught:
                await client.status(instagram, "abc", leave=leave)
            await asyncio.sleep(0.1)
        assert caught.value is error
        assert server.seen[0].data == b""


class TestBalance:
    async def test_a_number(
        self, serve: Callable[..., Any], connect: Callable[..., Any], leave: Leaves, key: str
    ) -> None:
        """The balance is asked for at its page, and the vendor's clock is noted."""
        script = answering_each(200, {"balance": "12.50"}, "Date: Fri, 21 Nov 2025 15:58:08 GMT")
        async with serve(script) as server, connect(server.base_url + "/") as client:
            assert client.last_date is None
            assert await client.balance(leave=leave) == 12.5
            assert client.last_date == datetime(2025, 11, 21, 15, 58, 8, tzinfo=UTC)
        head = bytes(server.seen[0].data)
        assert head.startswith(b"GET /v1/balance HTTP/1.1\r\n")
        assert f"X-API-Key: {key}\r\n".encode() in head
        assert leave.count == 1

    async def test_no_page(self, serve: Callable[..., Any], connect: Callable[..., Any], leave: Leaves) -> None:
        """A vendor without that page has no balance to tell."""
        async with serve(answering_each(404)) as server, connect(server.base_url) as client:
            assert await client.balance(leave=leave) is None

    async def test_wrong_key(self, serve: Callable[..., Any], connect: Callable[..., Any], leave: Leaves) -> None:
        """A wrong key is told, and the key is not shown even if the vendor repeats it."""
        content = {"message": "key key-0123456789abcdef is unknown"}
        async with serve(answering_each(401, content)) as server, connect(server.base_url) as client:
            with pytest.raises(DeniedError) as caught:
                await client.balance(leave=leave)
        assert "0123456789" not in str(caught.value)
        assert "key *** is unknown" in str(caught.value)
