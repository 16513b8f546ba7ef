"""Inputs that are URLs in a bucket: fetched by blocks before a list is read, and gone when the command ends.

The reader wants files: it reads a list from several places at once, and some kinds of it from their end. What is
recorded of such an input is its URL.
"""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.bucket import Bucket, NoObjectError, is_bucket_url, split_name
from orchestrator.errors import UsageError
from orchestrator.files import make_private_directory
from orchestrator.job.scratch import scratch_folder
from orchestrator.report import streams

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from orchestrator.records import InputFile
    from orchestrator.settings import Settings


@contextmanager
def inputs_here(settings: Settings) -> Iterator[Settings]:
    """Have every input, and every list of `exclude`, on this machine; `UsageError` for one that is not to be had."""
    if not any(map(is_bucket_url, (*settings.job.inputs, *settings.job.exclude))):
        yield settings
        return
    with scratch_folder(settings) as folder, ExitStack() as spellings:
        fetched: dict[str, str] = {}

        def here(entries: Sequence[str]) -> tuple[str, ...]:
            found: list[str] = []
            for entry in entries:
                if not is_bucket_url(entry):
                    found.append(entry)
                    continue
                for url, path in _fetch(entry, settings, folder / f"{len(fetched)}"):
                    fetched[str(path)] = url
                    found.append(str(path))
            return tuple(found)

        job = replace(settings.job, inputs=here(settings.job.inputs), exclude=here(settings.job.exclude))
        for path, url in fetched.items():
            spellings.enter_context(streams.spelling(path, url))
        yield replace(settings, job=job, fetched=fetched)


def named(settings: Settings, inputs: Sequence[InputFile]) -> tuple[InputFile, ...]:
    """Return inputs as they are recorded: by their URLs, where they were fetched."""
    return tuple(replace(one, path=settings.fetched.get(one.path, one.path)) for one in inputs)


def _fetch(entry: str, settings: Settings, folder: Path) -> Iterator[tuple[str, Path]]:
    """Fetch what a URL, or a glob in a bucket, means; yield the URL of each, and where it lies now."""
    base, name = split_name(entry)
    bucket = Bucket.open(base, settings.storage)
    names = [name]
    if any(sign in name for sign in "*?["):
        fixed = name.partition("*")[0].partition("?")[0].partition("[")[0].rpartition("/")[0]
        deep = "**" in name  # which alone goes into folders
        found = (one for one, _ in bucket.names(fixed) if deep or one.count("/") == name.count("/"))
        names = sorted(one for one in found if fnmatchcase(one, name))
    for number, one in enumerate(names):
        target = folder / str(number) / Path(one).name
        make_private_directory(target.parent)
        try:
            bucket.get(one, target)
        except NoObjectError:
            break
        yield f"{base}/{one}", target
    else:
        if names:
            return
    raise UsageError(f"{entry}: no object has such a name; check `inputs` in the configuration")
