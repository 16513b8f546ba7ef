"""`init`: a commented configuration and a sample list."""

from __future__ import annotations

from pathlib import Path

import click

from orchestrator.cli.frame import commands, ending
from orchestrator.errors import ExitCode
from orchestrator.report import streams


@commands.command(short_help="Write a commented config and a sample list.", example="init spring")
@click.argument("directory", type=click.Path(path_type=Path), default=Path())
@ending
def init(directory: Path) -> int:
    """Write config.toml, with comments, and a sample list into DIRECTORY, which is here when left out.

    They make a whole job for the embedded vendor, which costs nothing. Nothing is overwritten.
    """
    from orchestrator.config import write_starter

    paths = write_starter(directory)
    streams.put("\n".join(f"wrote {path}" for path in paths))
    streams.say(f"next: orchestrator plan -c {streams.as_argument(paths[0])}")
    return ExitCode.DONE
