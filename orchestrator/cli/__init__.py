"""The command line: what may be typed, what is printed, and with which code it ends.

Rules:

- Data goes to standard output, messages to standard error; with --json the last line of standard output is one JSON
  object, also after an error.
- Every command ends with one of `ExitCode`, or with 128 plus a signal's number. No exception gets past `frame.ending`.
- Only what a command needs is imported, when it runs: `orchestrator --help` has to be there at once.
"""

from __future__ import annotations

import io
import sys
from typing import TYPE_CHECKING

import click

from orchestrator.cli import (  # noqa: F401 - they add the commands
    diff,
    enrich,
    init,
    manual,
    merge,
    plan,
    purge,
    resolve,
    retry,
    run,
    sandbox,
    status,
    verify,
)
from orchestrator.cli.frame import INTERRUPTED, commands, hide_usual_key, parse_duration
from orchestrator.errors import EXIT_CODES, ExitCode, OrchestratorError
from orchestrator.report import streams

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["EXIT_CODES", "commands", "main", "parse_duration"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; `arguments` default to those of the process. Returns the exit code."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    with streams.private():
        try:
            return int(commands.main(arguments, prog_name="orchestrator", standalone_mode=False) or 0)
        except click.ClickException as error:
            hide_usual_key()
            said = io.StringIO()
            error.show(file=said)
            streams.quote(said.getvalue())
            if "--json" in arguments:  # options are not parsed yet, or not parsable
                streams.put_json({"exit_code": int(ExitCode.USAGE), "reason": error.format_message()})
            return ExitCode.USAGE
        except click.Abort:
            return INTERRUPTED
        except OrchestratorError as error:  # of what is printed before any command has begun
            streams.say(str(error))
            return error.exit_code
        except OSError as error:  # click prints its help by itself
            failed = streams.output_failed(error)
            streams.say(str(failed))
            return failed.exit_code
        finally:
            streams.flush_all()
