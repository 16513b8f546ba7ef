"""`help`: the manual's pages."""

from __future__ import annotations

import shutil
import sys
from importlib import resources
from typing import TYPE_CHECKING

import click

from orchestrator.cli.frame import MAX_WIDTH, commands, ending
from orchestrator.errors import ExitCode, UsageError
from orchestrator.report import streams

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

EXAMPLE = "config.example.toml"


def pages() -> dict[str, Traversable]:
    """Return the manual's pages by topic."""
    manual = resources.files("orchestrator") / "manual"
    found = {page.name.removesuffix(".md"): page for page in manual.iterdir() if page.name.endswith(".md")}
    # A wheel has the example among the pages; in a checkout it is where people look for it, at the top.
    places = (manual / EXAMPLE, resources.files("orchestrator") / ".." / EXAMPLE)
    found["example"] = next(place for place in places if place.is_file())
    return dict(sorted(found.items()))


def title(page: Traversable) -> str:
    """Return what the first line of a page says, or the next one where that is for an editor."""
    lines = page.read_text("utf-8").splitlines()
    return lines[lines[0].startswith("#:")].removeprefix("# ").rstrip(":.")


@commands.command("help", short_help="Read the manual.", example="help held")
@click.argument("topic", required=False, shell_complete=lambda *_: list(pages()))
@ending
def manual_page(topic: str | None) -> int:
    """Print the page on TOPIC, or the list of topics."""
    found = pages()
    if topic is None:
        width = max(map(len, found))
        streams.put("\n".join(f"{name:{width}}  {title(page)}" for name, page in found.items()))
        return ExitCode.DONE
    if topic.lower() not in found:
        raise UsageError(f"the manual has no page {topic!r}; it has {', '.join(found)}")
    text = found[topic.lower()].read_text("utf-8").rstrip()
    if found[topic.lower()].name.endswith(".md") and sys.stdout.isatty():
        # A terminal gets it set; a file or a pipe as it is written.
        from rich.console import Console
        from rich.markdown import Markdown

        console = Console(width=min(MAX_WIDTH, shutil.get_terminal_size().columns), force_terminal=True)
        with console.capture() as captured:
            console.print(Markdown(text, hyperlinks=False))  # spelt out: not every terminal opens them
        text = captured.get().rstrip()
    streams.put(text, ours=True)
    return ExitCode.DONE
