"""The list: from files to accepted numbers to chunk files.

Paths of one number through the modules:

    inputs → streams → text | table | workbook → blocks → normalise → duplicates → chunks | rejects

`parts` draws blocks out of the inputs, `reading` puts the steps together.
"""

from orchestrator.intake.chunks import chunk_path, chunk_sizes
from orchestrator.intake.inputs import fingerprint
from orchestrator.intake.normalise import Reason
from orchestrator.intake.plan import ChunkLimits, InputFile, ListPlan, PlannedChunk
from orchestrator.intake.reading import WORK_FOLDER, read_list, rebuild

__all__ = [
    "WORK_FOLDER",
    "ChunkLimits",
    "InputFile",
    "ListPlan",
    "PlannedChunk",
    "Reason",
    "chunk_path",
    "chunk_sizes",
    "fingerprint",
    "read_list",
    "rebuild",
]
