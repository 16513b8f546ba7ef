"""The list: from files to accepted numbers to chunk files.

The way of one number through the modules:

    find → unpack → decode → plain_text | csv_rows | xlsx_rows | parquet_rows → blocks → decide → in_memory → cutting
                             ↳ table_rows                       ↳ kept_columns      ↳ rejects → advice

`parts` draws blocks out of the inputs, `scanning` has workers make files of rows of them (`stored_rows`), and
`list_reading` puts the steps together. Large lists take shorter ways to the same result: `blockwise` in place of
`decide` (patterns → validity → automata → lookup_tables → accept), `in_buckets` in place of `in_memory`.
"""

from orchestrator.intake.advice import advice
from orchestrator.intake.cutting import can_be_cut, chunk_sizes
from orchestrator.intake.list_reading import Planned, read_list, rebuild
from orchestrator.intake.numbers.reasons import EXCLUDED_BY, LINE_TYPE, Reason
from orchestrator.intake.plan import ChunkLimits, Observed, ReadList
from orchestrator.intake.sources.find import fingerprint

LEFT_OUT = (EXCLUDED_BY, LINE_TYPE)
"""What the reasons begin with of valid numbers that `exclude` and `line_types` leave out."""

__all__ = [
    "LEFT_OUT",
    "ChunkLimits",
    "Observed",
    "Planned",
    "ReadList",
    "Reason",
    "advice",
    "can_be_cut",
    "chunk_sizes",
    "fingerprint",
    "read_list",
    "rebuild",
]
