"""Which task a result link names."""

from __future__ import annotations

import re
from typing import Final

from orchestrator.vendor_api.dialects import is_task_id
from orchestrator.vendor_api.hosts import MAX_LINK_CHARS

LONG: Final = 8
"""So many characters of an id don't stand in a link by chance."""

# A date in a path has segments that look like short ids.
_DATE: Final = re.compile(r"/(?:19|20)\d\d[/-]\d\d?(?:[/-]\d\d?)?(?=/)")
_WORD: Final = re.compile(r"[A-Za-z0-9]+")
_ASKED: Final = re.compile(r"[?&](?:task_?id|task|id)=([^&#]*)", re.IGNORECASE)


def is_named(task_id: str, url: str) -> bool:
    """Whether a link names a task: a long id anywhere, a short one as a word of its own, and not as part of a date."""
    if len(task_id) >= LONG:
        return task_id in url
    path = url.partition("?")[0]
    return task_id in (*_WORD.findall(_DATE.sub("", path)), *names_in(url))


def names_in(url: str) -> tuple[str, ...]:
    """Return what in a link may be a task id: each segment of its path, with and without its ending, and `?task_id=…`.

    A date is none, nor what stands beyond `MAX_LINK_CHARS`: nobody follows such a link.
    """
    url = url[:MAX_LINK_CHARS].partition("://")[2] or url[:MAX_LINK_CHARS]
    segments = (*_DATE.sub("", url.partition("?")[0]).split("/"), *_ASKED.findall(url))
    names = (name for segment in segments for name in (segment, segment.partition(".")[0]))
    return tuple(dict.fromkeys(name for name in names if is_task_id(name)))
