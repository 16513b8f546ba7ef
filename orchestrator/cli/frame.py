"""What all commands share: how help looks, which options jobs take, and how whatever happens becomes an exit code."""

from __future__ import annotations

import functools
import os
import re
import shlex
import shutil
import signal
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from orchestrator.errors import EXIT_CODES, ExitCode, OrchestratorError
from orchestrator.interrupts import Interrupted, interruptible
from orchestrator.redact import mask_numbers
from orchestrator.report import streams
from orchestrator.report.printed import WIDTH

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping, Sequence

    from orchestrator.records import Token
    from orchestrator.settings import Settings

    Function = Callable[..., int]

T = TypeVar("T")

INTERRUPTED: Final = 128 + signal.SIGINT

START: Final = {
    "orchestrator init": "writes config.toml and a sample list",
    "orchestrator plan": "reads the list, shows the cost, sends nothing",
    "orchestrator run": "the whole job; stop it and run it again at will",
    "orchestrator --help": "all commands and exit codes",
}

ORDER: Final = (
    *("init", "plan", "run", "status", "resolve", "retry", "merge", "enrich", "diff", "verify", "purge", "help"),
    "sandbox",
)
"""The commands in the order in which a job needs them, which is that of the help."""

DEFAULT_CONFIG: Final = "config.toml"
DISTRIBUTION: Final = "numbercheck-orchestrator"

MIN_WIDTH: Final = 30
MAX_WIDTH: Final = 80
"""The width of help, in columns, follows the terminal's between these."""

_DURATION = re.compile(r"(?:(\d{1,9})d)?(?:(\d{1,9})h)?(?:(\d{1,9})m)?(?:(\d{1,9})s)?")
_SECONDS = (86_400, 3_600, 60, 1)


class Formatter(click.HelpFormatter):
    """Click's own, for narrow terminals too: it goes down to 50 columns by itself, and no further."""

    def __init__(self, width: int | None = None, max_width: int | None = None) -> None:
        columns = min(max_width or MAX_WIDTH, shutil.get_terminal_size().columns)
        super().__init__(width=width or max(columns, MIN_WIDTH))


def _is_configuration(word: str) -> bool:
    """Whether somebody who types `word` alone means a job's configuration: its file, or the folder that `init` made."""
    if word.endswith(".toml") or word.startswith("-"):
        return word.endswith(".toml")
    try:
        return (Path(word) / DEFAULT_CONFIG).is_file()
    except OSError:  # no file can have such a name
        return False


def _as_option(word: str, stray: str) -> list[str]:
    if word != stray:
        return [word]
    return ["-c", word if word.endswith(".toml") else str(Path(word) / DEFAULT_CONFIG)]


class HelpedContext(click.Context):
    """What click keeps of a call, with our help."""

    formatter_class = Formatter


class Helped(click.Command):
    """A command whose help ends with an example that can be copied, on a line of its own, and maybe the exit codes."""

    context_class = HelpedContext

    def __init__(self, *arguments: Any, example: str = "", codes: bool = False, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._example = example
        self._codes = codes

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Take the arguments; say what is meant by a configuration that is named without -c."""
        typed = list(args)
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as error:
            stray = next(filter(_is_configuration, typed), None)
            if stray is None or "unexpected extra argument" not in error.message:
                raise
            meant = shlex.join([*ctx.command_path.split(), *(word for it in typed for word in _as_option(it, stray))])
            raise click.UsageError(f"A configuration goes behind -c: {meant}", ctx) from error

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write example and exit codes; an example is not wrapped, or it could not be copied."""
        if self._example:
            formatter.write(f"\nExample: orchestrator {self._example}\n")
        if self._codes:
            with formatter.section("Exit codes"):
                formatter.write_dl([(f"{int(code):2}", meaning) for code, meaning in EXIT_CODES.items()])
        super().format_epilog(ctx, formatter)


class Commands(Helped, click.Group):
    """The commands, in the order of a job's life."""

    command_class = Helped

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; say what is meant by a configuration in its place."""
        if _is_configuration(args[0]):
            meant = shlex.join(["orchestrator", "run", *_as_option(args[0], args[0]), *args[1:]])
            raise click.UsageError(
                f"A command comes first, such as run, and a configuration goes behind -c: {meant}", ctx
            )
        return super().resolve_command(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of `ORDER`."""
        del ctx
        return sorted(self.commands, key=ORDER.index)


def _say_version(context: click.Context, _option: click.Parameter, asked: bool) -> None:  # noqa: FBT001 - click's own form
    """Print what a report of a fault needs: the versions of the program, of Python and of each library."""
    if not asked or context.resilient_parsing:
        return
    import platform
    from importlib import metadata

    from orchestrator.ledger.sqlite import VERSION

    lines = [streams.this_version(), f"{platform.platform()}, {VERSION}"]
    with suppress(metadata.PackageNotFoundError):  # it runs from where it was unpacked
        for line in metadata.requires(DISTRIBUTION) or ():
            if "extra ==" not in line and (found := re.match(r"[\w.-]+", line)):
                with suppress(metadata.PackageNotFoundError):  # this Python or machine does without
                    lines.append(f"{found[0]} {metadata.version(found[0])}")
    streams.put("\n".join(lines))
    context.exit()


@click.group(
    cls=Commands,
    invoke_without_command=True,
    codes=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_say_version,
    help="Say the version, and what it runs with.",
)
@click.pass_context
def commands(context: click.Context) -> None:
    """Check very large lists of phone numbers with a paid bulk API.

    A job is one list, some platforms and one directory, described by a TOML file. Only `run` sends paid requests.
    """
    if context.invoked_subcommand is None:
        start = context.make_formatter()
        start.write_text("Checks very large lists of phone numbers with a paid bulk API.")
        with start.section("Where to start"):
            start.write_dl(list(START.items()))
        streams.put(start.getvalue().rstrip())


def parse_duration(text: str) -> float:
    """Return the seconds in `90s`, `5h30m` or `2d`; raises `ValueError`."""
    match = _DURATION.fullmatch(text.strip())
    if match is None or not any(match.groups()):
        raise ValueError(f"{text!r} is no duration; write it like 90s, 45m or 5h30m")
    return float(sum(int(part or 0) * unit for part, unit in zip(match.groups(), _SECONDS, strict=True)))


def duration(_context: click.Context, _option: click.Parameter, text: str | None) -> float | None:
    """Read an option's duration, as click wants it."""
    try:
        return None if text is None else parse_duration(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


def token(_context: click.Context, _option: click.Parameter, text: str | None) -> Token | None:
    """Read a ledger's token, as click wants it; None where nothing is asked for."""
    from orchestrator.records import Token

    try:
        return Token.parse(text or "")
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


def hide_usual_key() -> None:
    """Hide the key where it usually is: by mistake it may stand in the configuration, or in the command itself."""
    from orchestrator.settings import API_KEY_ENV

    streams.hide(os.environ.get(API_KEY_ENV, ""))


def ending(
    function: Function, *, in_order: bool = False, refused: Callable[[int, str], None] | None = None
) -> Function:
    """Turn everything that can come out of `function` into a message and an exit code.

    A signal interrupts it, unless it stops `in_order` by itself. `refused` is told of an exit code and its message.
    """

    @functools.wraps(function)
    def ended(**options: Any) -> int:
        hide_usual_key()
        try:
            with streams.libraries_hushed(), nullcontext() if in_order else interruptible():
                return function(**options)
        except OrchestratorError as error:
            code, reason = int(error.exit_code), str(error)
        except Interrupted as error:
            code, reason = 128 + error.kind, f"interrupted by {error.kind.name}"
            if in_order:  # before there was anything to be put in order
                code, reason = ExitCode.AGAIN, f"stopped by {error.kind.name}"
        except KeyboardInterrupt:
            code, reason = INTERRUPTED, "interrupted"
        except Exception as error:  # noqa: BLE001 - the last door
            from orchestrator.files import failed_machine

            # A machine that failed is its user's to mend, and no fault of the program.
            code, reason = ExitCode.STORAGE, failed_machine(error)
            if not reason:
                code, reason = ExitCode.INTERNAL, streams.crash(error)
        if refused is not None:
            refused(code, reason)
        streams.say(reason)
        if options.get("as_json"):
            streams.put_json({"exit_code": int(code), "reason": mask_numbers(reason)})
        return code

    return ended


def until_done(work: Coroutine[Any, Any, T]) -> T:
    """Do `work` on an event loop of its own; where none can be made, it ends without having begun."""
    import asyncio

    try:
        return asyncio.run(work)
    finally:
        work.close()


def job_command(function: Function) -> Function:
    """Give a command the options that all commands of a job have, and its settings."""

    @functools.wraps(function)
    def configured(*, config: Path, overrides: Sequence[str], **options: Any) -> int:
        from orchestrator.config import load, secrets_in

        settings = load(config, overrides)
        streams.hide(*secrets_in(settings, os.environ))
        if not settings.url:
            return function(settings, **options)
        from orchestrator.job.scratch import on_scratch

        with on_scratch(settings) as staged:
            return function(staged, **options)

    click.option(
        "--json",
        "as_json",
        is_flag=True,
        help="Print JSON: run an event a line, and every command one object as the last line.",
    )(configured)
    click.option(
        "--set",
        "overrides",
        multiple=True,
        metavar="KEY=VALUE",
        help="Override a key of the configuration for this call, such as job.chunk_size=5000.",
    )(configured)
    click.option(
        "-c",
        "--config",
        type=click.Path(path_type=Path),
        metavar="FILE",
        default=Path(DEFAULT_CONFIG),
        show_default=True,
        help="The job's configuration.",
    )(configured)
    return configured


def text_width() -> int:
    """Return how wide a table may be: as the terminal is, and never wider than people read."""
    return min(WIDTH, shutil.get_terminal_size().columns)


def put_either(content: Mapping[str, Any], text: str, *, as_json: bool) -> None:
    """Write to standard output what a command found: `content` as one line of JSON, or the `text` made from it."""
    if as_json:
        streams.put_json(content)
    elif text:
        streams.put(text)


def say_next(command: str, settings: Settings, *options: str) -> None:
    """Say which command of the job comes next, so that it can be copied."""
    streams.say(" ".join((f"next: orchestrator {command} {streams.job_arguments(settings)}", *options)))


def say_next_run(settings: Settings) -> None:
    """Say the whole command for the next run, as `status` has it, of a job that a person has changed since the last.

    So it has a deadline and looks at the ledger as the last one did; the quote of that one holds no more.
    """
    from orchestrator.api import job_status
    from orchestrator.report import summary

    content = until_done(job_status(settings, tasks=False))
    if command := summary.command_in(content["next"]):
        streams.say(f"next: {summary.without_quote(command)}")
    else:
        say_next("run", settings)
