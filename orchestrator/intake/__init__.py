"""The list: from files to accepted numbers to chunk files.

Paths of one number through the modules:

    find → unpack → decode → plain_text | delimited | xlsx | parquet → blocks → decide → in_memory → chunks
                                                                                    ↳ kept_columns  ↳ rejects → advice

`parts` draws blocks out of the inputs, `reading` puts the steps together. Large lists take shorter ways to the same
result: `blockwise` in place of `decide` (patterns → validity → automata → tables → accept), `in_buckets` in place of
`in_memory`.
"""

from orchestrator.intake.advice import advice
from orchestrator.intake.chunks import chunk_sizes
from orchestrator.intake.numbers.reasons import Reason
from orchestrator.intake.plan import ChunkLimits, Observed, ReadList
from orchestrator.intake.reading import Planned, read_list, rebuild
from orchestrator.intake.sources.find import fingerprint

__all__ = [
    "ChunkLimits",
    "Observed",
    "Planned",
    "ReadList",
    "Reason",
    "advice",
    "chunk_sizes",
    "fingerprint",
    "read_list",
    "rebuild",
]
