"""What every session may carry, and the way through a proxy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from orchestrator.vendor_api.deadline import Times
from orchestrator.vendor_api.hosts import Reach
from orchestrator.vendor_api.meanings import Accepted
from orchestrator.vendor_api.sessions import Sessions

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from orchestrator.settings import PlatformSettings
    from tests.vendor_api.conftest import Leaves, Releases, Seen

pytestmark = pytest.mark.looptime


async def test_closing() -> None:
    """Closing closes all of them, and each is a session of its own."""
    sessions = Sessions(agent="a/1", proxy="", times=Times(), tls=None)
    await sessions.open()
    opened = [sessions.submits, sessions.calls, sessions.results(Reach.ANY), sessions.results(Reach.PUBLIC)]
    assert len(set(map(id, opened))) == 4
    assert not any(session.closed for session in opened)
    await sessions.close()
    assert all(session.closed for session in opened)


async def test_nothing_by_itself() -> None:
    """No session reads the environment, keeps cookies, or carries more than its name and plain encoding."""
    sessions = Sessions(agent="a/1", proxy="", times=Times(), tls=None)
    await sessions.open()
    for session in (sessions.submits, sessions.calls, sessions.results(Reach.ANY), sessions.results(Reach.PUBLIC)):
        assert not session.trust_env
        assert len(session.cookie_jar) == 0
        assert dict(session.headers) == {"User-Agent": "a/1", "Accept-Encoding": "identity"}
        assert session.timeout.total is None
        assert session.timeout.connect is None
    await sessions.close()


async def test_proxy(
    serve: Callable[..., Any],
    connect: Callable[..., Any],
    amazon: PlatformSettings,
    chunk: Path,
    leave: Leaves,
    release: Releases,
    tmp_path: Path,
) -> None:
    """With a proxy every call goes there, private as its address is, and the last bytes wait all the same."""
    heads: list[bytes] = []

    async def script(seen: Seen) -> None:
        heads.append((await seen.head()).partition(b"\r\n")[0])
        if heads[-1].startswith(b"POST"):
            await seen.until(seen.length)
            seen.answer(200, {"task_id": "abc"})
        elif heads[-1].startswith(b"GET"):
            seen.answer(200, {"balance": 1})
        else:
            seen.answer(502)

    async with serve(script) as proxy:
        options = {"vendor": {"proxy": proxy.base_url}}
        async with connect("http://api.vendor.example", **options) as client:
            release.wait_s = 5.0
            release.look = lambda: proxy.seen[0].length - proxy.seen[0].got
            answer = await client.submit(amazon, chunk, "x", leave=leave, release=release)
            assert answer == Accepted("abc", None)
            assert await client.balance(leave=leave) == 1
            with pytest.raises(Exception, match="the proxy answered HTTP 502"):
                await client.download("https://files.example/a", tmp_path / "part", max_bytes=10)
    assert release.looked == 38
    assert [head.split()[1] for head in heads] == [
        b"http://api.vendor.example/v1/tasks",
        b"http://api.vendor.example/v1/balance",
        b"files.example:443",
    ]


async def test_the_environment_has_no_say(
    serve: Callable[..., Any], connect: Callable[..., Any], leave: Leaves, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy from the environment is not used: only the setting counts."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")

    async def script(seen: Seen) -> None:
        await seen.head()
        seen.answer(200, {"balance": 1})

    async with serve(script) as server, connect(server.base_url) as client:
        assert await client.balance(leave=leave) == 1
