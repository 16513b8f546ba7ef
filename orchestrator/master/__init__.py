"""Verdicts of all platforms → one sheet, as a workbook and as csv, in one pass and in bounded memory."""

from orchestrator.master.chunks import MasterChunk
from orchestrator.master.write import MasterFile, MasterReport, MasterRequest, write_master

__all__ = ["MasterChunk", "MasterFile", "MasterReport", "MasterRequest", "write_master"]
