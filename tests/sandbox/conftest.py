from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
import yarl

from orchestrator.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    Serve = Callable[..., AbstractAsyncContextManager["Client"]]

EPOCH = 1_763_740_688.916446594
KEY = "k-123"


def loop_clock() -> float:
    return EPOCH + asyncio.get_running_loop().time()


def some_numbers(count: int, first: int = 41_790_000_000) -> list[str]:
    return [f"+{first + 7 * n}" for n in range(count)]


@dataclass(frozen=True)
class Answer:
    status: int
    json: dict[str, Any]
    headers: dict[str, str]


@dataclass
class Client:
    """Calls a sandbox as the documented curl lines do."""

    vendor: Sandbox
    session: aiohttp.ClientSession

    async def submit(
        self,
        numbers: Sequence[str] | bytes,
        *,
        path: str = "/ins/api/simple/tasks",
        key: str | None = KEY,
        file_name: str = "input.txt",
        **fields: str,
    ) -> Answer:
        content = numbers if isinstance(numbers, bytes) else "".join(f"{n}\n" for n in numbers).encode()
        form = aiohttp.FormData(default_to_multipart=True)
        form.add_field("file", content, filename=file_name)
        for name, value in fields.items():
            form.add_field(name, value)
        return await self.call("POST", path, key=key, data=form)

    async def amazon(self, numbers: Sequence[str], **fields: str) -> Answer:
        return await self.submit(numbers, path="/v1/tasks", task_type="amazon", **fields)

    async def status(self, task_id: str, path: str = "/ins/api/simple/tasks", **query: str) -> Answer:
        return await self.call("GET", f"{path}/{task_id}", params=query)

    async def gettasks(self, task_id: str) -> Answer:
        form = aiohttp.FormData(default_to_multipart=True)
        form.add_field("task_id", task_id)
        return await self.call("POST", "/v1/gettasks", data=form)

    async def call(self, method: str, path: str, *, key: str | None = KEY, **options: Any) -> Answer:
        headers = {} if key is None else {"X-API-Key": key}
        url = self.vendor.base_url + path
        async with self.session.request(method, url, headers=headers, **options) as response:
            return Answer(response.status, await response.json(), dict(response.headers))

    async def fetch(self, url: str, headers: dict[str, str] | None = None) -> tuple[int, bytes]:
        async with self.session.get(yarl.URL(url, encoded=True), headers=headers) as response:
            return response.status, await response.read()

    async def raw(self, request: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        url = yarl.URL(self.vendor.base_url)
        reader, writer = await asyncio.open_connection(url.host, url.port)
        writer.write(request)
        await writer.drain()
        return reader, writer


@pytest.fixture
def serve(tmp_path: Path) -> Serve:
    @asynccontextmanager
    async def start(**options: Any) -> AsyncIterator[Client]:
        settings: dict[str, Any] = {"clock": loop_clock, "key": KEY} | options
        vendor = Sandbox(tmp_path / "vendor", **settings)
        connector = aiohttp.TCPConnector(force_close=True)
        async with vendor, aiohttp.ClientSession(connector=connector) as session:
            session._retry_connection = False  # it repeats a GET by itself when the connection breaks
            yield Client(vendor, session)

    return start


@pytest.fixture
def numbers() -> Callable[..., list[str]]:
    return some_numbers


@pytest.fixture
def epoch() -> float:
    return EPOCH
