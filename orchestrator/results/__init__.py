"""Result file → verdicts of one chunk.

A result file comes from outside, so it is looked through before a parser sees it (`gate`), its tables are found by
content and not by name (`tables`), and whatever does not fit the chunk is counted or refused, never guessed.
"""

from orchestrator.results.check import ResultCheck, ResultReport, check_limits
from orchestrator.results.keeping import altered, quarantine, raw_result, set_aside, take_results
from orchestrator.results.verdicts import Verdicts, read_verdicts, verdict_bytes, verdict_path

__all__ = [
    "ResultCheck",
    "ResultReport",
    "Verdicts",
    "altered",
    "check_limits",
    "quarantine",
    "raw_result",
    "read_verdicts",
    "set_aside",
    "take_results",
    "verdict_bytes",
    "verdict_path",
]
