"""`orchestrator`, and `python -m orchestrator`: what has to be right before anything else is imported."""

import json
import os
import resource
import sys

from orchestrator import interrupts
from orchestrator.errors import ExitCode

_LEAST = (
    (resource.RLIMIT_AS, 400 << 20, 1 << 10, "ulimit -v"),
    (resource.RLIMIT_DATA, 200 << 20, 1 << 10, "ulimit -d"),
    (resource.RLIMIT_FSIZE, 64 << 20, 1 << 10, "ulimit -f"),
    (resource.RLIMIT_NOFILE, 64, 1, "ulimit -n"),
)
"""What the smallest job needs, the unit of a shell, and its name there. Below that, libraries end the process."""

_FILES = 4096


def main() -> int:
    """Run the command that was typed. Signals are taken first: what is imported takes its time."""
    interrupts.listen()
    # The memory and the threads that numpy's library takes go by the cores of the machine, and nothing here needs them.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    # As many open files as this user may have, where a shell hands out fewer (macOS: 256).
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wish = _FILES if hard == resource.RLIM_INFINITY else min(hard, _FILES)
    if soft != resource.RLIM_INFINITY and soft < wish:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wish, hard))
    if reason := _too_little():
        sys.stderr.write(f"orchestrator: {reason}\n")
        if "--json" in sys.argv:
            sys.stdout.write(json.dumps({"exit_code": int(ExitCode.STORAGE), "reason": reason}) + "\n")
        return ExitCode.STORAGE
    from orchestrator.cli import main as command  # noqa: PLC0415 - see above

    return command()


def _too_little() -> str:
    for kind, least, unit, name in _LEAST:
        limit, _ = resource.getrlimit(kind)
        if limit != resource.RLIM_INFINITY and limit < least:
            return (
                f"the limit {name} {limit // unit} of this machine or shell is too low to work with; set it to "
                f"{least // unit} or more ({name} unlimited), and run the same command again"
            )
    return ""


if __name__ == "__main__":
    sys.exit(main())
