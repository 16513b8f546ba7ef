"""A submit: what the vendor gets, when the last bytes leave, and what each end of it means."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import json
import zlib
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from orchestrator.errors import StorageError
from orchestrator.settings import PlatformSettings, Style
from orchestrator.vendor_api.meanings import Accepted, Cause, Denied, InDoubt, PutOff, Refused
from tests.vendor_api.conftest import taking

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.vendor_api.conftest import Leaves, Releases, Script, Seen

pytestmark = pytest.mark.looptime

MADE = {"task_id": "d4g8o46p2jvh04o9uolg", "status": "pending", "total": 2049}
MADE_RAW = json.dumps(MADE).encode()
NUMBERS = b"+41798284651\n+12025551234\n+447911123456\n"
TAIL = 38  # "--", 32 hexadecimal digits, "--", CR, LF


@pytest.fixture
def submit(
    serve: Callable[..., Any],
    connect: Callable[..., Any],
    amazon: PlatformSettings,
    chunk: Path,
    leave: Leaves,
    release: Releases,
) -> Callable[..., Any]:
    """Submit the chunk to a script, and return the answer with what the server saw."""

    async def run(script: Script, file: Path = chunk, **options: Any) -> tuple[Any, Seen]:
        async with serve(script) as server, connect(server.base_url, **options) as client:
            answer = await client.submit(amazon, file, "spring.txt", leave=leave, release=release)
            await server.over()
        return answer, server.seen[0]

    return run


def answering(status: int, content: object = None, *headers: str) -> Script:
    async def script(seen: Seen) -> None:
        await seen.whole()
        seen.answer(status, content, *headers)

    return script


async def no_leave() -> None:
    """Let everything through."""


async def no_release(_sha256: str) -> None:
    """Allow everything."""


async def settled() -> None:
    """Give cancelled tasks and closing transports the turns they need."""
    for _ in range(5):
        await asyncio.sleep(0)


class TestWhatTheVendorGets:
    async def received(
        self, connect: Callable[..., Any], platform: PlatformSettings, chunk: Path, **vendor: Any
    ) -> Any:
        got: dict[str, Any] = {}

        async def handler(request: web.Request) -> web.Response:
            form = await request.post()
            got.update({name: part for name, part in form.items() if isinstance(part, str)})
            part = form["file"]
            assert isinstance(part, web.FileField)
            got.update(file=part.file.read(), name=part.filename, type=part.content_type)
            got.update(path=request.path, headers=request.headers)
            return web.json_response(MADE)

        async with taking(handler) as base_url, connect(base_url, vendor=vendor) as client:
            got["answer"] = await client.submit(platform, chunk, "a-b-1.txt", leave=no_leave, release=no_release)
        return got

    async def test_v1(self, connect: Callable[..., Any], amazon: PlatformSettings, chunk: Path, key: str) -> None:
        """A v1 submit is the documented one: file and task_type as form data, and the key as a header."""
        got = await self.received(connect, amazon, chunk, user_id="u1")
        assert (got["path"], got["task_type"]) == ("/v1/tasks", "amazon")
        assert (got["file"], got["name"], got["type"]) == (NUMBERS, "a-b-1.txt", "text/plain")
        assert "user_id" not in got
        assert got["headers"]["X-API-Key"] == key
        assert got["headers"]["User-Agent"] == "numbercheck-orchestrator/1.2.3"
        assert got["answer"] == Accepted("d4g8o46p2jvh04o9uolg", 2049)

    @pytest.mark.parametrize("user_id", ["", "test"])
    async def test_simple(
        self, connect: Callable[..., Any], instagram: PlatformSettings, chunk: Path, user_id: str
    ) -> None:
        """A simple submit is the documented one: the file, and user_id when it is not empty."""
        got = await self.received(connect, instagram, chunk, user_id=user_id)
        assert got["path"] == "/ins/api/simple/tasks"
        assert got["file"] == NUMBERS
        assert got.get("user_id", "") == user_id
        assert "task_type" not in got

    @pytest.mark.parametrize(
        ("settings", "path"),
        [
            ({"style": Style.SIMPLE, "path": "/wa/api/simple/tasks"}, "/wa/api/simple/tasks"),
            ({"style": Style.V1, "path": "/v1/tasks", "task_type": "Binance"}, "/v1/tasks"),
        ],
    )
    async def test_a_further_platform(
        self, connect: Callable[..., Any], chunk: Path, settings: dict[str, Any], path: str
    ) -> None:
        """A further platform of either style is configuration only."""
        platform = PlatformSettings(vendor="main", result_columns=("x",), **settings)
        got = await self.received(connect, platform, chunk)
        assert got["path"] == path
        assert got.get("task_type", "") == settings.get("task_type", "")
        assert isinstance(got["answer"], Accepted)

    @pytest.mark.parametrize("size", [0, 1, 65536, 65537, (1 << 20) + 1, 3_000_000])
    async def test_the_length_is_exact(
        self, submit: Callable[..., Any], tmp_path: Path, release: Releases, size: int
    ) -> None:
        """The body is as long as announced, for files of any size, and `release` gets the hash of what was sent."""
        file = tmp_path / "big.txt"
        file.write_bytes(b"7" * size)
        answer, seen = await submit(answering(200, MADE), file)
        assert isinstance(answer, Accepted)
        assert seen.got == seen.length
        assert release.hashes == [hashlib.sha256(b"7" * size).hexdigest()]

    async def test_a_connection_each(
        self,
        serve: Callable[..., Any],
        connect: Callable[..., Any],
        amazon: PlatformSettings,
        chunk: Path,
        leave: Leaves,
        release: Releases,
    ) -> None:
        """Every submit goes over a connection of its own, even when the vendor offers to keep it."""
        async with serve(answering(200, MADE, "Connection: keep-alive")) as server, connect(server.base_url) as client:
            for _ in range(3):
                await client.submit(amazon, chunk, "x.txt", leave=leave, release=release)
        assert len(server.seen) == 3
        assert leave.count == 3


class TestHeldBack:
    async def test_nothing_before_leave(
        self,
        serve: Callable[..., Any],
        connect: Callable[..., Any],
        amazon: PlatformSettings,
        chunk: Path,
        release: Releases,
    ) -> None:
        """`leave` is awaited with a connection that is ready and has carried nothing yet."""
        seen_at_leave: list[int] = []

        async with serve(answering(200, MADE)) as server, connect(server.base_url) as client:

            async def leave() -> None:
                await asyncio.sleep(100)
                seen_at_leave.extend(len(seen.data) for seen in server.seen)

            await client.submit(amazon, chunk, "x.txt", leave=leave, release=release)
        assert seen_at_leave == [0]

    @pytest.mark.parametrize("size", [40, 5_000_000])
    async def test_the_last_bytes_wait_for_release(
        self,
        serve: Callable[..., Any],
        connect: Callable[..., Any],
        amazon: PlatformSettings,
        tmp_path: Path,
        leave: Leaves,
        release: Releases,
        size: int,
    ) -> None:
        """While `release` runs, however long, the vendor has all but the closing boundary; then it gets that too."""
        file = tmp_path / "chunk.txt"
        file.write_bytes(b"x" * size)
        release.wait_s = 10_000.0
        async with serve(answering(200, MADE)) as server, connect(server.base_url) as client:
            release.look = lambda: server.seen[0].length - server.seen[0].got
            answer = await client.submit(amazon, file, "x.txt", leave=leave, release=release)
        assert release.looked == TAIL
        assert isinstance(answer, Accepted)

    async def test_release_raises(self, submit: Callable[..., Any], release: Releases) -> None:
        """What `release` raises comes out unchanged, and the last bytes never leave."""
        release.error = error = RuntimeError("the ledger is full")
        kept: list[Seen] = []

        async def script(seen: Seen) -> None:
            kept.append(seen)
            await seen.to_the_end()

        with pytest.raises(RuntimeError) as caught:
            await submit(script)
        await settled()
        assert caught.value is error
        assert kept[0].over.is_set()
        assert kept[0].got == kept[0].length - TAIL

    @pytest.mark.parametrize("error", [RuntimeError("no"), OSError("no"), TimeoutError("no"), StorageError("no")])
    async def test_leave_raises(self, submit: Callable[..., Any], leave: Leaves, release: Releases, error: Any) -> None:
        """What `leave` raises comes out unchanged, and not a byte was sent."""
        leave.error = error
        kept: list[Seen] = []

        async def script(seen: Seen) -> None:
            kept.append(seen)
            await seen.to_the_end()

        with pytest.raises(type(error)) as caught:
            await submit(script)
        await settled()
        assert caught.value is error
        assert release.hashes == []
        assert kept[0].data == b""

    @pytest.mark.parametrize("stage", ["connecting", "leave", "sending", "release", "answer"])
    async def test_cancelled(
        self,
        serve: Callable[..., Any],
        connect: Callable[..., Any],
        amazon: PlatformSettings,
        tmp_path: Path,
        leave: Leaves,
        release: Releases,
        stage: str,
    ) -> None:
        """Cancelled at any stage, a submit leaves no task and no connection, and without a release no whole body."""
        file = tmp_path / "chunk.txt"
        file.write_bytes(b"x" * 20_000_000)
        leave.wait_s = 50.0 if stage == "leave" else 0.0
        release.wait_s = 50.0 if stage == "release" else 0.0

        async def script(seen: Seen) -> None:
            if stage == "sending":
                await seen.until(1_000_000)
                await asyncio.sleep(30)
            await seen.to_the_end()

        before = asyncio.all_tasks()
        async with serve(script) as server:
            async with connect(server.base_url) as client:
                task = asyncio.create_task(client.submit(amazon, file, "x", leave=leave, release=release))
                if stage == "connecting":
                    await asyncio.sleep(0)
                else:
                    await asyncio.sleep(20)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
                await settled()
                assert not client._sessions.submits.connector._acquired
            await server.over()
            await asyncio.sleep(0.1)
        await settled()
        assert asyncio.all_tasks() == before
        assert release.returned is (stage == "answer")
        for seen in server.seen:
            assert (seen.got == seen.length if seen.data else False) is (stage == "answer")

    @pytest.mark.parametrize("change", [b"short", b"x" * 3_000_000])
    async def test_the_file_changes(
        self,
        serve: Callable[..., Any],
        connect: Callable[..., Any],
        amazon: PlatformSettings,
        tmp_path: Path,
        release: Releases,
        change: bytes,
    ) -> None:
        """A file that gets shorter or longer while it is sent is an error of ours, and is never released."""
        file = tmp_path / "chunk.txt"
        file.write_bytes(b"7" * 2_500_000)

        async def leave() -> None:
            file.write_bytes(change)

        async def script(seen: Seen) -> None:
            await seen.to_the_end()

        async with serve(script) as server, connect(server.base_url) as client:
            with pytest.raises(StorageError, match="changed"):
                await client.submit(amazon, file, "x.txt", leave=leave, release=release)
            await server.over()
        assert release.hashes == []
        assert all(seen.got < seen.length for seen in server.seen if seen.data)

    async def test_no_file(self, submit: Callable[..., Any], tmp_path: Path, leave: Leaves) -> None:
        """A chunk file that is not there is an error of ours; the vendor is not even connected to."""
        with pytest.raises(StorageError, match=r"gone\.txt"):
            await submit(answering(200, MADE), tmp_path / "gone.txt")
        assert leave.count == 0


class TestBeforeRelease:
    """Without a release there is no task: sent again later, unless an early answer says more."""

    async def test_nobody_there(
        self, connect: Callable[..., Any], amazon: PlatformSettings, chunk: Path, leave: Leaves, release: Releases
    ) -> None:
        """A vendor that is out of reach made no task, and the request never left."""
        async with connect("http://127.0.0.1:1") as client:
            answer = await client.submit(amazon, chunk, "x", leave=leave, release=release)
        assert isinstance(answer, PutOff)
        assert "no connection to 127.0.0.1:1" in answer.reason
        assert leave.count == 0

    @pytest.mark.parametrize("at", [0, 1, 1_500_000, "held"])
    async def test_reset(
        self,
        serve: Callable[..., Any],
        connect: Callable[..., Any],
        amazon: PlatformSettings,
        tmp_path: Path,
        leave: Leaves,
        release: Releases,
        at: int | str,
    ) -> None:
        """A connection that breaks while the body is incomplete made no task: at the first byte as at the last."""
        file = tmp_path / "chunk.txt"
        file.write_bytes(b"x" * 8_000_000)
        release.wait_s = 10.0

        async def script(seen: Seen) -> None:
            await seen.head()
            await seen.until(seen.length - TAIL if at == "held" else int(at))
            seen.reset()

        async with serve(script) as server, connect(server.base_url) as client:
            answer = await client.submit(amazon, file, "x", leave=leave, release=release)
        assert isinstance(answer, PutOff)
        assert answer.retry_after_s is None
        assert answer.cause is Cause.UNSENT
        assert release.returned is (at == "held")  # released, and still: the last bytes had no way out
        assert server.seen[0].got <= server.seen[0].length - TAIL

    async def test_closed(self, submit: Callable[..., Any], tmp_path: Path) -> None:
        """A vendor that hangs up in good order in the middle of the body made no task."""
        file = tmp_path / "chunk.txt"
        file.write_bytes(b"x" * 8_000_000)

        async def script(seen: Seen) -> None:
            await seen.until(1000)

        answer, _ = await submit(script, file)
        assert isinstance(answer, PutOff)

    async def test_stalled(self, submit: Callable[..., Any], tmp_path: Path, looptime: Any, release: Releases) -> None:
        """A vendor that stops reading is left after a minute without progress."""
        file = tmp_path / "chunk.txt"
        file.write_bytes(b"x" * 30_000_000)

        async def script(seen: Seen) -> None:
            await seen.until(1000)
            await asyncio.sleep(100)
            await seen.to_the_end()

        answer, seen = await submit(script, file)
        assert answer == PutOff("no progress of the upload within 60 s")
        assert release.hashes == []
        assert seen.got < seen.length

    async def test_slow_is_not_stalled(self, submit: Callable[..., Any], tmp_path: Path, looptime: Any) -> None:
        """A slow vendor that keeps reading may take as long as it likes."""
        file = tmp_path / "chunk.txt"
        file.write_bytes(b"x" * 40_000_000)

        async def script(seen: Seen) -> None:
            await seen.head()
            for got in range(0, seen.length, 1_000_000):
                await seen.until(got)
                await asyncio.sleep(5)
            await seen.until(seen.length)
            seen.answer(200, MADE)

        answer, _ = await submit(script, file)
        assert isinstance(answer, Accepted)
        assert looptime > 190

    @pytest.mark.parametrize(
        ("status", "content", "kind"),
        [
            (401, {"message": "bad key"}, Denied),
            (402, None, Denied),
            (413, None, Refused),
            (429, {"message": "slow"}, PutOff),
            (500, {"message": "oops"}, PutOff),
            (500, None, PutOff),
            (503, None, PutOff),
            (409, None, PutOff),
            (307, None, PutOff),
            (200, {"status": "pending"}, PutOff),
            (200, MADE, Accepted),
        ],
    )
    async def test_an_early_answer(
        self,
        submit: Callable[..., Any],
        tmp_path: Path,
        release: Releases,
        status: int,
        content: object,
        kind: type[object],
    ) -> None:
        """An answer in the middle of the body ends the upload and counts as it stands; it is never in doubt."""
        file = tmp_path / "chunk.txt"
        file.write_bytes(b"x" * 30_000_000)

        async def script(seen: Seen) -> None:
            await seen.until(1000)
            seen.answer(status, content)
            await seen.writer.drain()
            await asyncio.sleep(1)
            await seen.to_the_end()

        answer, seen = await submit(script, file)
        assert type(answer) is kind
        assert release.hashes == []
        assert seen.got < seen.length - TAIL

    async def test_an_answer_while_held(self, submit: Callable[..., Any], release: Releases) -> None:
        """An answer that comes while `release` runs does not cancel it, and the last bytes stay unsent."""
        release.wait_s = 10.0

        async def script(seen: Seen) -> None:
            await seen.head()
            await seen.until(seen.length - TAIL)
            seen.answer(413)
            await seen.to_the_end()

        answer, seen = await submit(script)
        assert isinstance(answer, Refused)
        assert release.returned
        assert seen.got == seen.length - TAIL

    async def test_wrong_certificate(
        self,
        serve: Callable[..., Any],
        connect: Callable[..., Any],
        amazon: PlatformSettings,
        chunk: Path,
        leave: Leaves,
        release: Releases,
        certificates: Any,
    ) -> None:
        """A server whose certificate names another host gets neither the key nor the file."""
        server_tls, client_tls = certificates("wrong.example")
        async with (
            serve(answering(200, MADE), server_tls) as server,
            connect(server.base_url, tls=client_tls) as client,
        ):
            answer = await client.submit(amazon, chunk, "x", leave=leave, release=release)
        assert isinstance(answer, PutOff)
        assert "certificate of 127.0.0.1" in answer.reason
        assert leave.count == 0
        assert all(seen.data == b"" for seen in server.seen)


class TestAfterRelease:
    """With the last bytes gone only a clear answer tells; all else is in doubt."""

    @pytest.mark.parametrize("how", ["reset", "close", "garbage", "half a head", "half a body", "too large"])
    async def test_no_clear_answer(self, submit: Callable[..., Any], how: str, release: Releases) -> None:
        """A break, rubbish, or an answer that is cut off or absurd after the whole body: in doubt."""
        raw = {
            "garbage": b"\x00\xff rubbish\r\n\r\n",
            "half a head": b"HTTP/1.1 200 OK\r\nContent-Le",
            "half a body": b'HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{"task_id": "abc"',
            "too large": b'HTTP/1.1 200 OK\r\n\r\n{"task_id": "abc"}'.ljust(3_000_000),
        }

        async def script(seen: Seen) -> None:
            await seen.whole()
            seen.send(raw.get(how, b""))
            if how == "reset":
                seen.reset()

        answer, _ = await submit(script)
        assert isinstance(answer, InDoubt)
        assert release.returned

    @pytest.mark.parametrize(
        "raw",
        [
            b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n%s" % MADE_RAW,
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n" % (len(MADE_RAW), MADE_RAW),
            b"HTTP/1.0 200 OK\r\n\r\n%s" % MADE_RAW,
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n%s" % MADE_RAW,
            b"HTTP/1.1 200\r\nContent-Length: %d\r\n\r\n%s" % (len(MADE_RAW), MADE_RAW),
            b"HTTP/1.1 200 OK\r\nX-Policy: %s\r\n\r\n%s" % (b"x" * 60_000, MADE_RAW),
            b"HTTP/1.1 200 OK\r\n%s\r\n%s" % (b"Set-Cookie: a=b\r\n" * 500, MADE_RAW),
            b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n%s" % gzip.compress(MADE_RAW),
            b"HTTP/1.1 200 OK\r\n\r\n%s" % gzip.compress(MADE_RAW),
            b"HTTP/1.1 200 OK\r\nContent-Encoding: deflate\r\n\r\n%s" % zlib.compress(MADE_RAW),
            b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n%s" % MADE_RAW,
            b"HTTP/1.1 200 OK\r\nContent-Encoding: UTF-8\r\n\r\n%s" % MADE_RAW,
            b"HTTP/1.1 200 OK\r\n\r\n\xef\xbb\xbf%s" % MADE_RAW,
            b"HTTP/1.1 200 OK\r\n\r\n%s" % MADE_RAW.decode().encode("utf-16"),
            b'HTTP/1.1 200 OK\r\n\r\n{"message": "%s", %s' % ("提交成功誠".encode("gb18030"), MADE_RAW[1:]),
            b'HTTP/1.1 200 OK\r\n\r\n{"message": "%s", %s' % ("cr\u00e9\u00e9".encode("latin-1"), MADE_RAW[1:]),
        ],
    )
    async def test_a_clear_answer_in_odd_dress(self, submit: Callable[..., Any], raw: bytes) -> None:
        """However servers, gateways and languages spell it: if the answer names the task, it is known, and paid for."""

        async def script(seen: Seen) -> None:
            await seen.whole()
            seen.send(raw)

        answer, _ = await submit(script)
        assert answer == Accepted("d4g8o46p2jvh04o9uolg", 2049)

    async def test_silence(self, submit: Callable[..., Any], leave: Leaves, release: Releases, looptime: Any) -> None:
        """An answer is waited for 300 s, not counting our own waits; then the submit is in doubt."""
        leave.wait_s, release.wait_s = 1000.0, 500.0

        async def script(seen: Seen) -> None:
            await seen.whole()
            await seen.to_the_end()

        answer, _ = await submit(script)
        assert answer == InDoubt("no answer to the whole request within 300 s")
        assert looptime == 1800

    async def test_a_body_that_never_ends(self, submit: Callable[..., Any]) -> None:
        """A status that is clear by itself counts, even if its body never comes."""

        async def script(seen: Seen) -> None:
            await seen.whole()
            seen.send(b"HTTP/1.1 429 Slow\r\nContent-Length: 500\r\nRetry-After: 7\r\n\r\n")
            await seen.to_the_end()

        answer, _ = await submit(script)
        assert isinstance(answer, PutOff)
        assert (answer.cause, answer.retry_after_s) == (Cause.THROTTLED, 7.0)

    @pytest.mark.parametrize(
        ("status", "content", "kind"),
        [
            (200, MADE, Accepted),
            (202, MADE, Accepted),
            (200, {"task_id": "../../etc"}, InDoubt),
            (200, {"task_id": ""}, InDoubt),
            (200, ["task_id"], InDoubt),
            (204, None, InDoubt),
            (302, None, InDoubt),
            (307, MADE, InDoubt),
            (400, {"error": "invalid_batch_size"}, Refused),
            (401, None, Denied),
            (402, None, Denied),
            (403, None, Denied),
            (404, None, Refused),
            (408, None, InDoubt),
            (409, MADE, InDoubt),
            (413, None, Refused),
            (429, None, PutOff),
            (500, {"message": "x"}, PutOff),
            (500, None, InDoubt),
            (501, None, InDoubt),
            (502, {"message": "x"}, InDoubt),
            (503, None, InDoubt),
            (504, None, InDoubt),
        ],
    )
    async def test_status(
        self, submit: Callable[..., Any], status: int, content: object, kind: type[object], release: Releases
    ) -> None:
        """Every status after a whole body means what the design says."""
        answer, seen = await submit(answering(status, content))
        assert type(answer) is kind
        assert release.returned
        assert seen.got == seen.length

    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    async def test_redirect(
        self,
        serve: Callable[..., Any],
        connect: Callable[..., Any],
        amazon: PlatformSettings,
        chunk: Path,
        leave: Leaves,
        release: Releases,
        status: int,
    ) -> None:
        """A redirect is not followed: neither key nor file goes to another host."""
        async with serve(answering(200, MADE)) as other:
            script = answering(status, None, f"Location: {other.base_url}/v1/tasks")
            async with serve(script) as server, connect(server.base_url) as client:
                answer = await client.submit(amazon, chunk, "x", leave=leave, release=release)
        assert isinstance(answer, InDoubt)
        assert other.seen == []

    async def test_tls(
        self,
        serve: Callable[..., Any],
        connect: Callable[..., Any],
        amazon: PlatformSettings,
        tmp_path: Path,
        leave: Leaves,
        release: Releases,
        certificates: Any,
    ) -> None:
        """The same holds inside TLS: the last bytes wait for the release there too."""
        file = tmp_path / "chunk.txt"
        file.write_bytes(b"x" * 3_000_000)
        release.wait_s = 5.0
        server_tls, client_tls = certificates("127.0.0.1")
        async with (
            serve(answering(200, MADE), server_tls) as server,
            connect(server.base_url, tls=client_tls) as client,
        ):
            release.look = lambda: server.seen[0].length - server.seen[0].got
            answer = await client.submit(amazon, file, "x", leave=leave, release=release)
        assert isinstance(answer, Accepted)
        assert release.looked == TAIL
