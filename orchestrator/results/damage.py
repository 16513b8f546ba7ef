"""What libraries raise on broken files, brought to one kind."""

from __future__ import annotations

import csv
import errno
import lzma
import struct
import zipfile
import zlib
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final
from xml.etree.ElementTree import ParseError

import python_calamine as calamine

from orchestrator.errors import DamagedResultError

if TYPE_CHECKING:
    from collections.abc import Iterator

_ON_BROKEN_FILES: Final = (
    zipfile.BadZipFile,
    zipfile.LargeZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    csv.Error,
    calamine.CalamineError,
    ParseError,
    RuntimeError,
    NotImplementedError,
    EOFError,
    ValueError,  # undecodable text is one
    OverflowError,
    LookupError,  # these three: openpyxl goes by what should be there
    TypeError,
    AttributeError,
)


@contextmanager
def damage() -> Iterator[None]:
    """Turn what libraries raise on broken files into `DamagedResultError`; failures of the disk pass."""
    try:
        yield
    except DamagedResultError:
        raise
    except OSError as error:
        if error.errno not in (None, errno.EINVAL):
            raise
        raise DamagedResultError("the zip's directory points outside of the file") from error
    except _ON_BROKEN_FILES as error:
        raise DamagedResultError(f"the file can't be read ({type(error).__name__})") from error
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # the Rust parser's own failures do not derive from Exception
            raise
        raise DamagedResultError("the workbook breaks its parser") from error
