"""The embedded vendor as a server."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestrator.cli.frame import commands, ending, until_done
from orchestrator.errors import ExitCode, UsageError
from orchestrator.report import streams

if TYPE_CHECKING:
    from orchestrator.sandbox import Sandbox


@commands.command(
    short_help="Serve the embedded vendor.", example="sandbox --port 8080 --faults slow,expired_link --pace 5000"
)
@click.option(
    "--port",
    type=click.IntRange(0, 65_535),
    metavar="PORT",
    default=0,
    help="Where it answers; 0, as without it, takes a free one.",
)
@click.option(
    "--directory",
    type=click.Path(path_type=Path),
    metavar="DIRECTORY",
    default=Path("runs/sandbox"),
    show_default=True,
    help="What it keeps: tasks, results and what it charged.",
)
@click.option("--seed", type=int, metavar="N", default=0, show_default=True, help="Decides verdicts and faults.")
@click.option("--faults", default="", metavar="A,B|all", help="What goes wrong on purpose; a wrong word lists them.")
@click.option(
    "--pace",
    type=float,
    default="20000",
    show_default=True,
    metavar="NUMBERS_PER_S",
    help="How fast it works through a task.",
)
@ending
def sandbox(*, port: int, directory: Path, seed: int, faults: str, pace: float) -> int:
    """Serve the embedded vendor on this machine until SIGINT or SIGTERM; print its base URL.

    It takes any key, charges nothing and makes its verdicts up: they say nothing about anybody.
    """
    from orchestrator.sandbox import Sandbox

    chosen = [name.strip() for name in faults.split(",") if name.strip()]
    try:
        vendor = Sandbox(directory, seed=seed, faults=chosen, pace=pace, port=port)
    except ValueError as error:
        raise UsageError(f"sandbox: {error}") from error
    until_done(_serve(vendor))
    return ExitCode.DONE


async def _serve(vendor: Sandbox) -> None:
    import asyncio

    from orchestrator.job.signals import handled

    stop = asyncio.Event()
    with handled(lambda _: stop.set()):
        try:
            await vendor.start()
        except OSError as error:
            raise UsageError(f"sandbox: {error.strerror or error}; choose another --port or --directory") from error
        try:
            streams.put(vendor.base_url)
            await stop.wait()
        finally:
            await vendor.stop()
