"""Verdicts of all platforms → one sheet, as a workbook and as csv, in one pass and in bounded memory."""

from orchestrator.master.base_chunks import ExtraFile, MasterChunk, ResolvedChunk
from orchestrator.master.reject_sheets import RejectSheet
from orchestrator.master.resolved import Overlay, resolved
from orchestrator.master.write import MasterFile, MasterReport, MasterRequest, write_master

__all__ = [
    "ExtraFile",
    "MasterChunk",
    "MasterFile",
    "MasterReport",
    "MasterRequest",
    "Overlay",
    "RejectSheet",
    "ResolvedChunk",
    "resolved",
    "write_master",
]
