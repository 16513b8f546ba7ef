"""Result file → verdicts of one chunk.

A result file comes from outside, so it is looked through before a parser sees it (`gate`), its tables are found by
content and not by name (`result_tables`), and whatever does not fit the chunk is counted or refused, never guessed.
"""

from orchestrator.results.check import ResultCheck, ResultReport, check_limits
from orchestrator.results.extras import ExtrasOrder, ExtrasReport, take_extras
from orchestrator.results.keeping import altered, set_aside, take_results

__all__ = [
    "ExtrasOrder",
    "ExtrasReport",
    "ResultCheck",
    "ResultReport",
    "altered",
    "check_limits",
    "set_aside",
    "take_extras",
    "take_results",
]
