"""`orchestrator`, and `python -m orchestrator`."""

import os
import sys

from orchestrator import interrupts


def main() -> int:
    """Run the command that was typed; signals are taken before anything else is imported, which takes its time."""
    interrupts.listen()
    # The memory and the threads that numpy's library takes go by the cores of the machine, and nothing here needs them.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from orchestrator.cli import main as command  # noqa: PLC0415 - see above

    return command()


if __name__ == "__main__":
    sys.exit(main())
