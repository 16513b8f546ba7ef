"""A gateway in front of the sandbox that does to bytes what networks and gateways do; it takes what `faults` draws.

It reads a request as far as it should, hands a whole one on, and gives back of the answer what is left of it. What it
did not hand on whole was not charged.
"""

from __future__ import annotations

import asyncio
import json
import re
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from tests.simulation.faults import OF_CONNECTION, OF_FILE, OF_LINK, OF_STATUS, OF_SUBMIT, OF_TASK, Mischief

Note = Callable[..., None]
TAIL_BYTES = 38
"""About as much as the program holds back: the closing boundary."""
ABSURD = ("999999999999", "-5", "soon", "inf", "1e400", "nan", "0", "86400")
STATUSES = ("pending", "processing", "completed")


class HungUpError(Exception):
    """This connection is over."""


@dataclass
class Ask:
    """One request, with what of its body was read."""

    method: str
    target: str
    headers: dict[str, str]
    kind: str
    platform: str = ""
    body: bytes = b""
    head_bytes: int = 0

    @property
    def length(self) -> int:
        return int(self.headers.get("content-length", "0"))

    def raw(self, host: str) -> bytes:
        """Spell the request for the vendor: to its own name, and to be kept open."""
        headers = self.headers | {"host": host}
        headers.pop("connection", None)
        lines = [f"{self.method} {self.target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
        return "\r\n".join([*lines, "", ""]).encode("latin-1") + self.body


@dataclass
class Answer:
    """What the vendor answered; not `whole` when it broke off."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    whole: bool = True

    def raw(self, *, close: bool) -> bytes:
        headers = {"Content-Length": str(len(self.body))} | self.headers
        if close:
            headers["Connection"] = "close"
        lines = [f"HTTP/1.1 {self.status} Any", *(f"{name}: {value}" for name, value in headers.items())]
        return "\r\n".join([*lines, "", ""]).encode("latin-1") + self.body


@dataclass(frozen=True)
class Blow:
    """What a test has in store for one connection: after so many bytes of it, it is reset, or `stalls`."""

    after_bytes: int
    stalls: bool = False


class Line:
    """One connection from the program."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def send(self, raw: bytes) -> None:
        self.writer.write(raw)
        with suppress(ConnectionError):
            await self.writer.drain()

    def reset(self) -> HungUpError:
        reset(self.writer)
        return HungUpError()

    async def stalled(self) -> HungUpError:
        """Read nothing more until the other side is gone."""
        with suppress(ConnectionError):
            while await self.reader.read(1 << 16):
                pass
        return HungUpError()


def position(place: str, length: int) -> int:
    """Return how many bytes of a submit's body `place` means."""
    tail = length - TAIL_BYTES
    places = {
        "first": 1,
        "middle": length // 2,
        "held": tail,
        "tail": tail + TAIL_BYTES // 2,
        "last but one": length - 1,
    }
    return places.get(place, length)


def reset(writer: asyncio.StreamWriter) -> None:
    sock = writer.get_extra_info("socket")
    if sock is not None and not writer.transport.is_closing():
        with suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


class Upstream:
    """Connections to one port of the vendor, kept open between requests."""

    def __init__(self, host: str) -> None:
        self.host = host
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def ask(self, ask: Ask) -> Answer:
        """Hand a request on; raises `ConnectionError` when the vendor resets instead of answering."""
        reader, writer = await self._connection()
        try:
            writer.write(ask.raw(self.host))
            await writer.drain()
            answer = await _read_answer(reader)
        except BaseException:
            writer.transport.abort()
            raise
        if answer.whole and answer.headers.get("Connection", "").lower() != "close":
            self._idle.append((reader, writer))
        else:
            writer.close()
        return answer

    async def _connection(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        while self._idle:
            reader, writer = self._idle.pop()
            if not reader.at_eof() and not writer.is_closing():
                return reader, writer
            writer.close()
        host, port = self.host.split(":")
        return await asyncio.open_connection(host, int(port), limit=1 << 22)

    def close(self) -> None:
        for _, writer in self._idle:
            writer.close()
        self._idle.clear()


async def _read_answer(reader: asyncio.StreamReader) -> Answer:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        raise ConnectionResetError from error
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.title(): value for name, _, value in (line.partition(": ") for line in lines if line)}
    status = int(first.split(" ")[1])
    length = int(headers.pop("Content-Length", "0"))
    body, whole = b"", True
    try:
        body = await reader.readexactly(length)
    except asyncio.IncompleteReadError as error:
        body, whole = error.partial, False
        headers["Content-Length"] = str(length)
    return Answer(status, headers, body, whole)


class Front:
    """One vendor as the program sees it: an API port and a result port. `arrivals` are (loop time, platform)."""

    def __init__(self, api: str, results: str, mischief: Mischief, note: Note) -> None:
        self._api, self._results = Upstream(api), Upstream(results)
        self._mischief = mischief
        self._note = note
        self._servers: list[asyncio.Server] = []
        self._handlers: dict[asyncio.Task[Any], None] = {}  # no set: its order would change from process to process
        self._stopped = False
        self._spells: dict[str, str] = {}
        self._owners: dict[str, str] = {}
        self._files: dict[str, str] = {}
        self.arrivals: list[tuple[float, str]] = []
        self.submit_bytes = 0
        self.unreal: set[str] = set()
        self.blade: Callable[[], Blow | None] = lambda: None
        self.base_url = self.results_host = ""

    async def start(self) -> None:
        ports = []
        for kind in ("api", "file"):
            server = await asyncio.start_server(self._serve(kind), "127.0.0.1", 0, limit=1 << 22)
            self._servers.append(server)
            ports.append(server.sockets[0].getsockname()[1])
        self.base_url, self.results_host = f"http://127.0.0.1:{ports[0]}", f"127.0.0.1:{ports[1]}"

    async def stop(self) -> None:
        self._stopped = True
        for server in self._servers:
            server.close()
        for handler in list(self._handlers):
            handler.cancel()
        await asyncio.gather(*self._handlers, return_exceptions=True)
        self._api.close()
        self._results.close()

    # --- connections and requests ------------------------------------------------------------------------------------

    def _serve(self, kind: str) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Any]:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            handler = asyncio.current_task()
            assert handler is not None
            self._handlers[handler] = None
            try:
                await self._converse(Line(reader, writer), kind)
            except (HungUpError, ConnectionError, asyncio.IncompleteReadError):
                pass
            except asyncio.CancelledError:
                if not self._stopped:
                    raise
            finally:
                self._handlers.pop(handler, None)
                writer.close()

        return serve

    async def _converse(self, line: Line, kind: str) -> None:
        if kind == "api":
            await self._on_connect(line)
        while True:
            ask = await self._request(line, kind)
            if kind == "file":
                await self._fetch(line, ask)
            elif ask.kind == "submit":
                await self._submit(line, ask)
            else:
                await self._status(line, ask)
            if ask.headers.get("connection", "").lower() == "close":
                return

    async def _on_connect(self, line: Line) -> None:
        if blow := self.blade():
            await line.reader.readexactly(blow.after_bytes)
            raise await line.stalled() if blow.stalls else line.reset()
        what, _, where = self._mischief.draw(OF_CONNECTION).partition(": ")
        if not what:
            return
        if where == "head":
            await line.reader.readexactly(1)
            self.arrivals.append((_now(), ""))
        self._note("fault", fault=f"{what}: {where}")
        raise line.reset() if what == "cut" else await line.stalled()

    async def _request(self, line: Line, kind: str) -> Ask:
        head = await line.reader.readuntil(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        method, target, _ = first.split(" ")
        headers = {name.lower(): value for name, _, value in (text.partition(": ") for text in lines if text)}
        ask = Ask(method, target, headers, kind, head_bytes=len(head))
        if kind == "api":
            ask.kind = "submit" if method == "POST" and not target.endswith("/gettasks") else "status"
            self.arrivals.append((_now(), ""))
        self._note("asked", kind=ask.kind)
        return ask

    async def _rest(self, line: Line, ask: Ask) -> None:
        ask.body += await line.reader.readexactly(ask.length - len(ask.body))

    # --- submits -----------------------------------------------------------------------------------------------------

    async def _submit(self, line: Line, ask: Ask) -> None:
        mark = len(self.arrivals) - 1
        fault = self._mischief.draw(OF_SUBMIT)
        what, _, how = fault.partition(": ")
        if what in {"cut", "stall", "early"}:
            place = self._mischief.pick((0, 1, ask.length // 2)) if what == "early" else position(how, ask.length)
            ask.body = await line.reader.readexactly(place)
            self._name(ask, mark)
            self._note("fault", fault=fault, about=ask.platform)
            await self._break(line, what, how)
        await self._rest(line, ask)
        self.submit_bytes = ask.head_bytes + ask.length
        self._name(ask, mark)
        if what == "instead":
            self._note("fault", fault=fault, about=ask.platform)
            await self._reply(line, ask, self._made_up(how, ask.platform))
            return
        answer = await self._hand_on(line, self._api, ask)
        task_id = _field(answer.body, "task_id")
        self._note("submitted", status=answer.status, task=task_id, fault=fault)
        if task_id:
            self._owners[task_id] = ask.platform
        await self._garbled(line, ask, answer, how if what == "after" else "")

    async def _break(self, line: Line, what: str, how: str) -> None:
        if what == "cut":
            raise line.reset()
        if what == "stall":
            raise await line.stalled()
        await line.send(self._made_up(how, "").raw(close=True))
        if self._mischief.between(0, 1) < 0.6:
            await line.stalled()
        raise HungUpError

    def _name(self, ask: Ask, mark: int) -> None:
        """Note whose request it was, as far as the bytes tell."""
        found = re.search(rb'filename="[^"]*-([a-z0-9_]+)-\d{6}-[0-9a-f]{8}\.txt"', ask.body)
        ask.platform = found[1].decode() if found else ""
        self.arrivals[mark] = (self.arrivals[mark][0], ask.platform)

    # --- status ------------------------------------------------------------------------------------------------------

    async def _status(self, line: Line, ask: Ask) -> None:
        mark = len(self.arrivals) - 1
        await self._rest(line, ask)
        task_id = _task_of(ask)
        ask.platform = self._owners.get(task_id, "")
        self.arrivals[mark] = (self.arrivals[mark][0], ask.platform)
        fault = self._mischief.draw(OF_STATUS)
        what, _, how = fault.partition(": ")
        if fault:
            self._note("fault", fault=fault, about=task_id)
        if what in {"cut", "stall"}:
            await self._break(line, what, how)
        if what == "instead":
            await self._reply(line, ask, self._made_up(how, ask.platform))
            return
        answer = await self._hand_on(line, self._api, ask)
        self._bewitch(answer, task_id)
        self._note("status", status=answer.status, task=task_id, says=_field(answer.body, "status"))
        await self._garbled(line, ask, answer, how if what == "after" else "")
        if what == "idle":
            await asyncio.sleep(self._mischief.between(0, 5))
            raise HungUpError

    def _bewitch(self, answer: Answer, task_id: str) -> None:
        """Put the task's own spell, and a fault of its link, into an answer."""
        content = _content(answer.body)
        if answer.status != 200 or content is None:
            return
        if task_id not in self._spells:
            self._spells[task_id] = self._mischief.draw(OF_TASK)
        if not self._mischief.healed:
            self._spell(answer, content, self._spells[task_id].partition(": ")[2], task_id)
        if content.get("result_url"):
            content["result_url"] = self._link(content["result_url"], task_id)
        if answer.status == 200:
            answer.body = json.dumps(content).encode()

    def _spell(self, answer: Answer, content: dict[str, Any], spell: str, task_id: str) -> None:
        ended = content.get("status") in {"exported", "completed"}
        unready = {"result_url": None, "success": 0, "failure": 0}
        match spell:
            case "stuck":
                content.update(unready, status="processing")
            case "backwards":
                content.update(
                    unready, status=STATUSES[self._mischief.pick((0, 1, 2))], success=self._mischief.pick(range(9))
                )
            case "unknown":
                content.update(unready, status=("auditing", "", "ÜBER\ud800", 7)[self._mischief.pick((0, 1, 2, 3))])
            case "failed":
                content.update(unready, status="failed")
            case "total differs":
                content["total"] = self._mischief.pick((0, 1, 5, 10**6, -4))
            case "absurd counts":
                content.update(total=10**400, success=[1], failure="many")
            case "gone":
                answer.status, answer.body = 404, b'{"error":"not_found"}'
            case "completed for ever" if ended:
                content.update(status="completed", result_url=None)
            case "without a link" if ended:
                content["result_url"] = ("", None)[self._mischief.pick((0, 1))]
            case "another task":
                content["task_id"] = "another"
            case _:
                return
        self._note("spell", spell=spell, task=task_id)

    def _link(self, link: str, task_id: str) -> str:
        path = link.partition("//")[2].partition("/")[2]
        self._files[task_id] = path
        ours = f"http://{self.results_host}/"
        fault = self._mischief.draw(OF_LINK)
        if fault:
            self._note("fault", fault=fault, about=task_id)
        others = [other for other in self._files if other != task_id]
        match fault.partition(": ")[2]:
            case "of another task" if others:
                return ours + self._files[others[self._mischief.pick(range(len(others)))]]
            case "to another host":
                return f"http://files.example/{path}"
            case "private address":
                return f"https://10.0.0.1/{path}"
            case "no link":
                return "see your mail"
            case "ftp":
                return f"ftp://127.0.0.1/{path}"
            case "expired":
                return ours + path.replace("X-Amz-Expires=3600", "X-Amz-Expires=1")
            case _:
                return ours + path

    # --- files -------------------------------------------------------------------------------------------------------

    async def _fetch(self, line: Line, ask: Ask) -> None:
        fault = self._mischief.draw(OF_FILE)
        how = fault.partition(": ")[2]
        if fault:
            self._note("fault", fault=fault, about=ask.target.split("/")[2][:20])
        if how.isdigit():
            answer = self._made_up(how, "")
            await self._reply(line, ask, answer)
            return
        if how == "reset":
            raise line.reset()
        if how == "stall":
            raise await line.stalled()
        answer = await self._hand_on(line, self._results, ask)
        self._note("fetched", status=answer.status, size=len(answer.body), whole=answer.whole)
        await self._damaged(line, ask, answer, how)

    async def _damaged(self, line: Line, ask: Ask, answer: Answer, how: str) -> None:
        half = len(answer.body) // 2
        match how:
            case "truncated":
                await line.send(answer.raw(close=False)[:-half])
                raise HungUpError
            case "ended early":
                answer.body = answer.body[:half]
            case "too long":
                answer.headers["Content-Length"] = str(1 << 40)
            case "slow":
                raw = answer.raw(close=True)
                for start in range(0, len(raw), 400):
                    await line.send(raw[start : start + 400])
                    await asyncio.sleep(9.0)
                raise HungUpError
            case "html":
                answer = Answer(200, {"Content-Type": "text/html"}, b"<html>Number,instagram</html>")
            case "empty":
                answer.body = b""
            case "garbage":
                answer.body = bytes(byte ^ 0x55 for byte in answer.body)
        await self._reply(line, ask, answer)

    # --- answers -----------------------------------------------------------------------------------------------------

    async def _hand_on(self, line: Line, upstream: Upstream, ask: Ask) -> Answer:
        try:
            return await upstream.ask(ask)
        except ConnectionError:
            self._note("vendor reset")
            raise line.reset() from None

    async def _reply(self, line: Line, ask: Ask, answer: Answer) -> None:
        await asyncio.sleep(self._mischief.between(0.001, 0.05))
        await line.send(answer.raw(close=ask.headers.get("connection", "").lower() == "close"))
        if not answer.whole:
            raise HungUpError

    async def _garbled(self, line: Line, ask: Ask, answer: Answer, how: str) -> None:
        """Give back of the vendor's answer what `how` leaves of it."""
        raw = answer.raw(close=True)
        match how:
            case "none":
                raise line.reset()
            case "half of the head":
                await line.send(raw[:30])
                raise HungUpError
            case "half of the body":
                await line.send(raw[: -len(answer.body) // 2])
                raise line.reset()
            case "wrong length":
                answer.headers["Content-Length"] = str(len(answer.body) + 7)
                await line.send(answer.raw(close=True))
                raise HungUpError
            case "late":
                await asyncio.sleep(self._mischief.between(1, 50))
            case "very late":
                await asyncio.sleep(self._mischief.between(50, 400))
            case "invalid utf-8":
                answer.body = answer.body[:-2] + b'\xff"}'
            case "huge":
                answer.body = b'{"x": "' + b" " * (1 << 20) + answer.body
            case "202":
                answer.status = 202 if answer.status == 200 else answer.status
            case "id of another":
                if len(self._owners) > 1 and answer.status < 300:
                    answer.body = json.dumps(
                        (_content(answer.body) or {}) | {"task_id": next(iter(self._owners))}
                    ).encode()
            case "":
                pass
            case _ if answer.status < 300:
                answer = self._made_up(how, ask.platform)
        await self._reply(line, ask, answer)

    def _made_up(self, how: str, platform: str) -> Answer:
        """Make an answer of a gateway."""
        words = json.dumps({"error": "some_error", "message": "some words, +41791234567"}).encode()
        page = b"<html><body>it did not work</body></html>"
        date = {"Date": "Fri, 21 Nov 2025 12:00:00 GMT", "Retry-After": "Fri, 21 Nov 2025 12:00:09 GMT"}
        match how:
            case "429 absurd":
                return Answer(429, {"Retry-After": ABSURD[self._mischief.pick(range(len(ABSURD)))]}, words)
            case "429 date":
                return Answer(429, date, words)
            case "500 html":
                return Answer(500, {"Content-Type": "text/html"}, page)
            case "html":
                return Answer(200, {"Content-Type": "text/html"}, page)
            case "empty":
                return Answer(200)
            case "without id" | "200 without id":
                return Answer(200, {}, b'{"status": "pending"}')
            case "unknown id" | "200 with unknown id":
                task_id = f"unreal{len(self.unreal):04d}"
                self.unreal.add(task_id)
                self._owners[task_id] = platform
                return Answer(200, {}, json.dumps({"task_id": task_id, "status": "pending"}).encode())
            case "301" | "302" | "307" | "308":
                where = (self.base_url + "/elsewhere", "http://other.example/")[self._mischief.pick((0, 1))]
                return Answer(int(how), {"Location": where})
            case "204":
                return Answer(204)
            case _:
                return Answer(int(how), {}, page if how in {"502", "503", "504"} else words)


def _now() -> float:
    return asyncio.get_running_loop().time()


def _content(body: bytes) -> dict[str, Any] | None:
    try:
        content = json.loads(body)
    except ValueError:
        return None
    return content if isinstance(content, dict) else None


def _field(body: bytes, name: str) -> str:
    return str((_content(body) or {}).get(name, ""))


def _task_of(ask: Ask) -> str:
    if ask.method == "GET":
        return ask.target.partition("?")[0].rpartition("/")[2]
    found = re.search(rb'name="task_id"\r\n\r\n([^\r]+)\r\n', ask.body)
    return found[1].decode() if found else ""
