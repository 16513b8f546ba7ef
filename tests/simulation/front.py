"""A gateway in front of the sandbox that does to bytes what networks and gateways do; it takes what `faults` draws.

It reads a request as far as it should, hands a whole one on, and gives back of the answer what is left of it. What it
did not hand on whole was not charged.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from collections.abc import Callable
from typing import Any

from tests.simulation.address import NAME, Address
from tests.simulation.door import Door
from tests.simulation.faults import OF_CONNECTION, OF_FILE, OF_RESULT, OF_STATUS, OF_SUBMIT, Mischief
from tests.simulation.gateway import Gateway, Note
from tests.simulation.hostile import HOSTILE, Truth, drip, hostile_file, pour
from tests.simulation.respelt import part, respelt
from tests.simulation.wire import (
    Answer,
    Ask,
    Blow,
    HungUpError,
    Line,
    Upstream,
    content_of,
    field_of,
    position,
    task_of,
)


class Front:
    """One vendor as the program sees it: an API port and a result port. `arrivals` are (loop time, platform).

    `handed_on` are (loop time, port) of whole submits, by the port that they came from.
    `truth` gives, by task id, the platform and the rows that a result should have, from which the `hostile` files are
    made. At an `address` it speaks TLS. A slow one takes up to `slow_s` to answer a submit. `served` has, by the hash
    of a result that is not as the sandbox wrote it, what each number has by it.
    """

    def __init__(
        self, api: str, results: str, mischief: Mischief, note: Note, *, address: Address | None = None
    ) -> None:
        self._api, self._results = Upstream(api), Upstream(results)
        self._address = address
        self._mischief = mischief
        self._note = note
        self.gateway = Gateway(mischief, note)
        self._doors: dict[str, Door] = {}
        self._handlers: dict[asyncio.Task[Any], Line] = {}
        self._stopped = False
        self.arrivals: list[tuple[float, str]] = []
        self.handed_on: list[tuple[float, int]] = []
        self.submit_bytes = 0
        self._broken: set[str] = set()
        self.blade: Callable[[], Blow | None] = lambda: None
        self.truth: Callable[[str], tuple[str, Truth]] | None = None
        self.kind_of: Callable[[str], str] = str
        self.hostile = HOSTILE
        self.slow_s = 0.0
        self.served: dict[str, dict[str, str]] = {}

    @property
    def base_url(self) -> str:
        return self.gateway.base_url

    async def start(self) -> None:
        address = self._address
        for kind in ("api", "file"):
            self._doors[kind] = Door(self._serve(kind), address.tls if address else None)
            await self._doors[kind].start()
        api, file = (f"{NAME if address else '127.0.0.1'}:{door.port}" for door in self._doors.values())
        self.gateway.scheme = "https" if address else "http"
        self.gateway.base_url, self.gateway.results_host = f"{self.gateway.scheme}://{api}", file

    async def stop(self) -> None:
        self._stopped = True
        for door in self._doors.values():
            await door.stop()
        for handler in list(self._handlers):
            handler.cancel()
        await asyncio.gather(*self._handlers, return_exceptions=True)
        self._api.close()
        self._results.close()

    def mend(self) -> None:
        """Open what is shut, for good."""
        for door in self._doors.values():
            door.mend()

    def lose_connections(self, *, silent: bool) -> None:
        """Let every connection die: it is reset, or nothing comes of it any more."""
        for handler, line in self._handlers.items():
            line.lost = "silent" if silent else "reset"
            handler.cancel()

    async def _die(self, line: Line) -> None:
        if line.lost == "silent":
            await line.stalled()
        else:
            line.reset()

    # --- connections and requests ------------------------------------------------------------------------------------

    def _serve(self, kind: str) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Any]:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            handler = asyncio.current_task()
            assert handler is not None
            self._handlers[handler] = line = Line(reader, writer)
            try:
                await self._converse(line, kind)
            except (HungUpError, ConnectionError, asyncio.IncompleteReadError):
                pass
            except asyncio.CancelledError:
                if line.lost and not self._stopped:
                    await self._die(line)
                elif not self._stopped:
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
        if what == "down" and not self._doors["api"].is_shut:
            self._doors["api"].shut(self._mischief.between(0, 400))
        raise await line.stalled() if what == "stall" else line.reset()

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
            await self._make_up(line, ask, how)
            return
        if what == "after":
            self._note("fault", fault=fault, about=ask.platform)
        self.handed_on.append((_now(), line.port))
        answer = await self._hand_on(line, self._api, ask)
        task_id = field_of(answer.body, "task_id")
        self._note("submitted", status=answer.status, task=task_id, fault=fault)
        if self.slow_s:
            await asyncio.sleep(self._mischief.between(0.5, 1.0) * self.slow_s)
        if task_id:
            self.gateway.owners[task_id] = ask.platform
        await self._garbled(line, ask, answer, how if what == "after" else "")

    async def _break(self, line: Line, what: str, how: str) -> None:
        if what == "cut":
            raise line.reset()
        if what == "stall":
            raise await line.stalled()
        await line.send(self.gateway.made_up(how, "").raw(close=True))
        if self._mischief.between(0, 1) < 0.6:
            await line.stalled()
        raise HungUpError

    async def _make_up(self, line: Line, ask: Ask, how: str) -> None:
        if how == "drip":
            raise await drip(line, b"{", self._mischief.between(1, 9))
        await self._reply(line, ask, self.gateway.made_up(how, ask.platform))

    def _name(self, ask: Ask, mark: int) -> None:
        """Note whose request it was, as far as the bytes tell."""
        found = re.search(rb'filename="[^"]*-([a-z0-9_]+)-\d{6}-[0-9a-f]{8}\.txt"', ask.body)
        ask.platform = self.kind_of(found[1].decode()) if found else ""
        self.arrivals[mark] = (self.arrivals[mark][0], ask.platform)

    # --- status ------------------------------------------------------------------------------------------------------

    async def _status(self, line: Line, ask: Ask) -> None:
        mark = len(self.arrivals) - 1
        await self._rest(line, ask)
        task_id = task_of(ask)
        ask.platform = self.gateway.owners.get(task_id, "")
        self.arrivals[mark] = (self.arrivals[mark][0], ask.platform)
        fault = self._mischief.draw(OF_STATUS)
        what, _, how = fault.partition(": ")
        if fault:
            self._note("fault", fault=fault, about=task_id)
        if what in {"cut", "stall"}:
            await self._break(line, what, how)
        if what == "instead":
            await self._make_up(line, ask, how)
            return
        answer = await self._hand_on(line, self._api, ask)
        self.gateway.bewitch(answer, task_id)
        self._note("status", status=answer.status, task=task_id, says=field_of(answer.body, "status"))
        await self._garbled(line, ask, answer, how if what == "after" else "")
        if what == "idle":
            await asyncio.sleep(self._mischief.between(0, 5))
            raise HungUpError

    # --- files -------------------------------------------------------------------------------------------------------

    async def _fetch(self, line: Line, ask: Ask) -> None:
        fault = self._mischief.draw(OF_FILE)
        how = fault.partition(": ")[2]
        if fault:
            self._note("fault", fault=fault, about=ask.target.split("/")[2][:20])
        if how.isdigit():
            answer = self.gateway.made_up(how, "")
            await self._reply(line, ask, answer)
            return
        if how == "reset":
            raise line.reset()
        if how == "stall":
            raise await line.stalled()
        answer = await self._hand_on(line, self._results, ask)
        if answer.status == 200 and self.truth is not None and (result := self._mischief.draw(OF_RESULT)):
            answer.body = self._other_result(self.truth, ask, result)
        self._note("fetched", status=answer.status, size=len(answer.body), whole=answer.whole)
        await self._damaged(line, ask, answer, how)

    async def _damaged(  # noqa: C901 - one case a fault
        self, line: Line, ask: Ask, answer: Answer, how: str
    ) -> None:
        half = len(answer.body) // 2
        match how:
            case "403 in the middle":
                answer = await self._broken_off(line, ask, answer)
            case "endless":
                raise await pour(line)
            case "drip":
                raise await drip(line, answer.body, self._mischief.between(5, 45))
            case "bomb":
                answer = self.gateway.made_up(how, "")
            case "hostile" if answer.status == 200 and self.truth is not None:
                answer.body = self._hostile(self.truth, ask)
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

    async def _broken_off(self, line: Line, ask: Ask, answer: Answer) -> Answer:
        """Reset a file's connection in the middle, and deny the file when it is asked for once more."""
        file = ask.target.partition("?")[0]
        if file in self._broken:
            self._broken.discard(file)
            return self.gateway.made_up("403", "")
        self._broken.add(file)
        await line.send(answer.raw(close=False)[: -len(answer.body) // 2])
        raise line.reset()

    def _other_result(self, truth: Callable[[str], tuple[str, Truth]], ask: Ask, result: str) -> bytes:
        """Write what the vendor has otherwise, and note what each number has by it."""
        task_id = ask.target.split("/")[2]
        make = respelt if result == "result: respelt" else part
        content, cells = make(self._mischief.dice(), *truth(task_id))
        self.served[hashlib.sha256(content).hexdigest()] = cells
        self._note("fault", fault=result, about=task_id[:20])
        return content

    def _hostile(self, truth: Callable[[str], tuple[str, Truth]], ask: Ask) -> bytes:
        fault = self.hostile[self._mischief.pick(range(len(self.hostile)))]
        self._note("hostile", hostile=fault.name)
        return hostile_file(fault, *truth(ask.target.split("/")[2]))

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

    async def _garbled(  # noqa: C901, PLR0912 - one case a fault
        self, line: Line, ask: Ask, answer: Answer, how: str
    ) -> None:
        """Give back of the vendor's answer what `how` leaves of it."""
        raw = answer.raw(close=True)
        match how:
            case "none":
                raise line.reset()
            case "closed":
                raise HungUpError
            case "silence":
                raise await line.stalled()
            case "drip":
                raise await drip(line, answer.body, self._mischief.between(1, 9))
            case "id twice":
                answer.body = self._with_two_ids(answer, ask)
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
                answer.body = b'{"message": "\xff", ' + answer.body.removeprefix(b"{")
            case "huge":
                answer.body = b'{"x": "' + b" " * (1 << 20) + answer.body
            case "202":
                answer.status = 202 if answer.status == 200 else answer.status
            case "id of another":
                if len(self.gateway.owners) > 1 and answer.status < 300:
                    other = next(iter(self.gateway.owners))
                    answer.body = json.dumps((content_of(answer.body) or {}) | {"task_id": other}).encode()
                    self.gateway.owners[other] = ""  # from now on nobody can tell who asks for it
            case "":
                pass
            case _ if answer.status < 300:
                answer = self.gateway.made_up(how, ask.platform)
        await self._reply(line, ask, answer)

    def _with_two_ids(self, answer: Answer, ask: Ask) -> bytes:
        """Put another task id before the right one, or after it: the same one for all of a platform."""
        content = content_of(answer.body)
        if content is None or answer.status >= 300:
            return answer.body
        other = json.dumps({"task_id": self.gateway.unreal_id(ask.platform, f"-{ask.platform}")}).encode()
        both = (answer.body, other) if self._mischief.pick((0, 1)) == 0 else (other, answer.body)
        return b", ".join((both[0].rstrip()[:-1], both[1].lstrip()[1:]))


def _now() -> float:
    return asyncio.get_running_loop().time()
