"""The embedded vendor as a whole: two ports on the caller's own event loop, state in one directory."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Self

from aiohttp import web

from orchestrator.sandbox.api import Api
from orchestrator.sandbox.downloads import ResultHost
from orchestrator.sandbox.faults import expand_faults
from orchestrator.sandbox.record import read_breaches, read_tasks
from orchestrator.sandbox.state import Options, VendorState

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from pathlib import Path
    from typing import Any

    from orchestrator.sandbox.record import TaskRecord

_TRIES_NEXT_PORT = 50
_SHUTDOWN_S = 0.5


class Sandbox:
    """The vendor: `async with Sandbox(directory) as vendor:` serves at `vendor.base_url` until the block ends.

    `seed` decides verdicts, oddities and faults; `faults` are names of `FAULTS`, or "all"; `pace` is how many numbers
    a second each task works off (`math.inf`: at once); `port` 0 takes a free one, results are at the next free one.
    With `key` None any key is good, but there must be one. `clock` gives epoch seconds; sleeps and the rate limit go
    by the event loop. Everything that outlives it is in `directory`, which one sandbox at a time may use.
    """

    def __init__(  # noqa: PLR0913 - one keyword for each thing a person can choose; the rarer ones are `Options`
        self,
        directory: Path,
        *,
        seed: int = 0,
        faults: Collection[str] = (),
        pace: float = 20_000.0,
        host: str = "127.0.0.1",
        port: int = 0,
        key: str | None = None,
        clock: Callable[[], float] = time.time,
        options: Options | None = None,
    ) -> None:
        """Raise `ValueError` for an unknown fault or a pace that is not above 0."""
        if not pace > 0:
            raise ValueError("pace must be above 0 numbers a second")
        self.directory = directory
        self.base_url = self.result_url = ""
        self._seed, self._faults, self._pace = seed, expand_faults(faults), pace
        self._host, self._port, self._key, self._clock = host, port, key, clock
        self._options = Options() if options is None else options
        self._state: VendorState | None = None
        self._api: Api | None = None
        self._builder: ThreadPoolExecutor | None = None
        self._runners: list[web.AppRunner] = []

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_exception: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Serve. Raises `BlockingIOError` when another sandbox uses the directory, `OSError` for a port in use."""
        if self._state is not None:
            raise RuntimeError("the sandbox runs already")
        self._state = VendorState(self.directory, self._seed, self._faults, self._pace, self._options)
        self._builder = ThreadPoolExecutor(1, "sandbox-builder")
        try:
            self._api = api = Api(self._state, self._clock, self._key, self._builder)
            result_host = ResultHost(self._state, self._clock, self._key, self._builder)
            api_port = await self._listen(api.application(), self._port)
            result_port = await self._listen_near(result_host.application(), api_port)
            self.base_url = f"http://{self._host}:{api_port}"
            api.result_host = f"{self._host}:{result_port}"
            self.result_url = f"http://{api.result_host}"
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Stop serving; requests on their way get half a second. Does nothing when not started."""
        for runner in self._runners:
            await runner.cleanup()
        self._runners.clear()
        if self._builder is not None:
            self._builder.shutdown(cancel_futures=True)
        if self._state is not None:
            self._state.close()
        self._state = self._builder = None

    @property
    def tasks(self) -> list[TaskRecord]:
        """All tasks ever made in the directory: what was charged."""
        return read_tasks(self.directory)

    @property
    def breaches(self) -> list[dict[str, Any]]:
        """The requests that brought the key to the result host."""
        return read_breaches(self.directory)

    @property
    def throttled(self) -> int:
        """How many requests came faster than `requests_per_second` since the start."""
        return 0 if self._api is None else self._api.throttled

    async def _listen(self, app: web.Application, port: int) -> int:
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=_SHUTDOWN_S)
        self._runners.append(runner)
        await runner.setup()
        await web.TCPSite(runner, self._host, port).start()
        bound: int = runner.addresses[0][1]
        return bound

    async def _listen_near(self, app: web.Application, port: int) -> int:
        """Listen at the next free port above `port`, so that links are still good after a restart."""
        for candidate in (*range(port + 1, min(port + 1 + _TRIES_NEXT_PORT, 1 << 16)), 0):
            try:
                return await self._listen(app, candidate)
            except OSError:
                if candidate == 0:
                    raise
                await self._runners.pop().cleanup()
        raise AssertionError("unreachable: the last candidate returns or raises")
