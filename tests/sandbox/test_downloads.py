from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING

import pytest

from orchestrator.sandbox import Options, Sandbox, read_requests

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.sandbox.conftest import Client, Serve

    Numbers = Callable[..., list[str]]

pytestmark = pytest.mark.looptime


async def exported(client: Client, numbers: list[str]) -> str:
    task = (await client.submit(numbers)).json["task_id"]
    url: str = (await client.status(task)).json["result_url"]
    return url


@pytest.mark.parametrize("count", [10, 2_000])
async def test_a_link_opens_the_result_as_often_as_wanted(serve: Serve, numbers: Numbers, count: int) -> None:
    """Small results are made in memory, large ones on disk; both are the same every time."""
    async with serve(pace=math.inf) as client:
        url = await exported(client, numbers(count))
        fetched = [await client.fetch(url) for _ in range(2)]
        assert fetched[0] == fetched[1]
        assert fetched[0][0] == 200
        assert fetched[0][1].startswith(b"PK\x03\x04")


async def test_a_link_expires_and_a_status_call_brings_a_new_one(serve: Serve, numbers: Numbers) -> None:
    """403 after its lifetime; the next link lives from then on."""
    async with serve(pace=math.inf, options=Options(link_lifetime_s=60)) as client:
        task = (await client.submit(numbers(10))).json["task_id"]
        first = (await client.status(task)).json["result_url"]
        await asyncio.sleep(59)
        assert (await client.fetch(first))[0] == 200
        await asyncio.sleep(2)
        status, body = await client.fetch(first)
        assert (status, b"Request has expired" in body) == (403, True)
        assert (await client.fetch((await client.status(task)).json["result_url"]))[0] == 200


async def test_a_rewritten_link_is_refused(serve: Serve, numbers: Numbers) -> None:
    """`%2F` turned to `/`, another task's path, no signature: 403."""
    async with serve(pace=math.inf) as client:
        url = await exported(client, numbers(10))
        other = await exported(client, numbers(11))
        path, query = url.split("?")
        for wrong in (url.replace("%2F", "/"), f"{other.split('?')[0]}?{query}", path, url + "0"):
            status, body = await client.fetch(wrong)
            assert (status, b"SignatureDoesNotMatch" in body) == (403, True)


async def test_the_api_host_does_not_serve_results(serve: Serve, numbers: Numbers) -> None:
    """The result host is another one, at a port of its own."""
    async with serve(pace=math.inf) as client:
        url = await exported(client, numbers(10))
        assert url.startswith(client.vendor.result_url + "/")
        moved = url.replace(client.vendor.result_url, client.vendor.base_url)
        async with client.session.get(moved) as response:
            assert response.status == 401


@pytest.mark.parametrize("headers", [{"X-API-Key": "any"}, {"Authorization": "Bearer x"}, {"X-Other": "k-123"}])
async def test_the_key_at_the_result_host_is_a_breach(serve: Serve, numbers: Numbers, headers: dict[str, str]) -> None:
    """It is refused and put on record, whatever header carried it."""
    async with serve(pace=math.inf) as client:
        url = await exported(client, numbers(10))
        assert (await client.fetch(url))[0] == 200
        assert client.vendor.breaches == []
        assert (await client.fetch(url, headers))[0] == 400
        assert (await client.fetch(client.vendor.result_url + "/elsewhere", headers))[0] == 400
        assert len(client.vendor.breaches) == 2
        assert "X-Amz" not in str(client.vendor.breaches)


async def test_a_link_to_what_is_not_exported_opens_nothing(serve: Serve, numbers: Numbers) -> None:
    """A link that outlived its task, or came before its end, finds no file."""
    async with serve(pace=math.inf) as client:
        url = await exported(client, numbers(10))
        directory, port = client.vendor.directory, int(client.vendor.base_url.rpartition(":")[2])
    slower = Sandbox(directory, pace=0.001, port=port, clock=client.vendor._clock)
    async with slower:
        assert slower.result_url in url
        status, body = await client_fetch(url)
        assert (status, b"NoSuchKey" in body) == (404, True)


async def client_fetch(url: str) -> tuple[int, bytes]:
    import aiohttp  # noqa: PLC0415 - the fixture's session is closed by now
    import yarl  # noqa: PLC0415

    async with aiohttp.ClientSession() as session, session.get(yarl.URL(url, encoded=True)) as response:
        return response.status, await response.read()


async def test_unknown_paths_are_404(serve: Serve) -> None:
    """As an object store says it."""
    async with serve() as client:
        status, body = await client.fetch(client.vendor.result_url + "/x")
    assert (status, b"<Code>NoSuchKey</Code>" in body) == (404, True)


async def test_downloads_are_logged_without_their_signature(serve: Serve, numbers: Numbers) -> None:
    """The log of requests holds no open link."""
    async with serve(pace=math.inf) as client:
        await client.fetch(await exported(client, numbers(10)))
        line = read_requests(client.vendor.directory)[-1]
    assert (line["kind"], line["code"], line["nth"]) == ("download", 200, 1)
    assert "?" not in line["path"]
