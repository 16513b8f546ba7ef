"""Everything at once: every fault with every form of every command, and every exception in every place.

python -m tests.privacy
"""

from __future__ import annotations

import sys
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial

from orchestrator.sandbox import FAULTS
from tests.privacy.acts import every_command, whole_life
from tests.privacy.crashes import each_place
from tests.privacy.stage import Stage
from tests.simulation.faults import ALL
from tests.simulation.playing import scratch


def main() -> int:
    """Return 1 when something private was found."""
    warnings.simplefilter("error", ResourceWarning)
    sums: Counter[str] = Counter()
    for fault in ("", *ALL, *FAULTS):
        for swapped in (False, True):
            sums.update(_one(fault or "no fault", [fault] if fault else [], partial(whole_life, swapped=swapped)))
    for broken in each_place(everything=True):
        sums.update(_one(str(broken), broken.faults, partial(every_command, broken=broken)))
    sys.stdout.write(", ".join(f"{count:,} {what}" for what, count in sums.items()) + "\n")
    return int(sums["findings"] > 0)


def _one(name: str, faults: Sequence[str], live: Callable[[Stage], object]) -> dict[str, int]:
    with scratch() as folder, Stage(folder, faults) as stage:
        live(stage)
    for finding in stage.findings:
        sys.stdout.write(f"{name}: {finding}\n")
    return {
        "lives": 1,
        "commands": len(stage.codes),
        "bytes searched": stage.search.size_bytes,
        "files searched": stage.search.files,
        "modes looked at": stage.modes,
        "looks in the middle": stage.looks,
        "findings": len(stage.findings),
    }


if __name__ == "__main__":
    sys.exit(main())
