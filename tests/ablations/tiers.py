"""Which of the safeguards the broad tests miss, too: whole jobs with all that can happen to them.

The test that a row of the other tables names looks at one place. These do not know where a safeguard is.
"""

from __future__ import annotations

from typing import Final

_SEEDS: Final = "simulation/test_whole.py::test_the_promises_hold[{}]"
_KILLS: Final = "simulation/test_crash_everywhere.py::test_a_kill_at_any_point_costs_nothing[{}]"
_FAULTS: Final = "faults/test_faults.py::test_while_it_lasts[{}]"
_OUTAGES: Final = "powerloss/test_powerloss.py::test_no_acknowledged_transition_is_lost[{}]"
_BAITS: Final = "privacy/test_faults.py::test_nothing_private_is_written[{}]"
_FILES: Final = "faults/test_files.py::test_a_file[{}]"

TIERS: Final = {
    "the last bytes wait for the release": _KILLS.format("call-0"),
    "a release reserves its cost": _SEEDS.format(0),
    "one run a job": _SEEDS.format(0),
    "requests are spaced": _SEEDS.format(0),
    "a vendor's platforms share its pace": _SEEDS.format(0),
    "what a killed run released is held": _KILLS.format("call-0"),
    "no answer after the release is a doubt": "simulation/test_in_doubt.py::test_reset_at_every_byte[0]",
    "502, 503 and 504 are doubts": "simulation/test_in_doubt.py::test_what_was_charged_is_never_called_safe[502]",
    "private addresses in links are refused": _FAULTS.format("Download: A link to a private address"),
    "a result holds more rows of its chunk than others": _FILES.format("mostly foreign rows"),
    "members of a zip do not overlap": _FILES.format("overlapping entries"),
    "checksums are compared": _FILES.format("wrong CRC"),
    "no DOCTYPE": _FILES.format("DOCTYPE"),
    "the ledger's commits are synced in full": _OUTAGES.format("any time"),
    "the vendor's words lose numbers and key": _BAITS.format("instead: 400"),
    "files are their owner's only": _BAITS.format("no fault"),
    "a verdict is no telephone number": "privacy/test_faults.py::test_no_file_brings_anything_in[1]",
}
"""By the safeguard's name, the node that fails without it."""
