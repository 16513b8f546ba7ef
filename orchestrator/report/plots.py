"""The plots of report.html: SVG without script and without a style of its own, which the page's style sheet colours.

Each plot is drawn twice, for a screen as wide as a page and for one as narrow as a phone: a drawing that is only made
smaller has letters that nobody can read. Pure.
"""

from __future__ import annotations

import math
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from xml.etree import ElementTree as ET

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_WIDE, _NARROW = 920, 340
_LETTER: Final = 12
"""In pixels, as the style sheet has it: pygal reckons the room for labels with it."""
_LABEL_LETTERS: Final = {_WIDE: 32, _NARROW: 15}
_TICKS: Final = {_WIDE: 8, _NARROW: 4}
_BAR: Final = 30
_AXIS: Final = 44
_COURSE_HEIGHT: Final = 260
_GRID_LINES: Final = 5
_NOT_OURS: Final = frozenset({"defs", "desc", "title"})
"""pygal's own script and style, and words for its script, which needs them to show a value under the mouse."""

_MINUTE, _HOUR, _DAY = 60, 3600, 86_400
_STEPS: Final = (
    *(1, 2, 5, 10, 15, 30),
    *(_MINUTE * n for n in (1, 2, 5, 10, 15, 30)),
    *(_HOUR * n for n in (1, 2, 3, 6, 12)),
    *(_DAY * n for n in (1, 2, 7, 14, 28, 56, 112, 224, 448)),
)
"""Seconds between two marks of a time axis."""


class Plot(NamedTuple):
    """A plot as SVG, for a wide screen and for a narrow one."""

    wide: str
    narrow: str


def _pygal() -> Any:
    """Return pygal, which only the worker that draws loads."""
    import pygal  # noqa: PLC0415
    import pygal.style  # noqa: PLC0415

    # Its importer of plug-ins has an interface that Python has dropped: later imports would warn of it, or end with it.
    sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, pygal.PluginImportFixer)]
    return pygal


def stacked_bars(rows: dict[str, dict[str, int]], words: Sequence[str]) -> Plot:
    """Draw a lying bar a row, stacked of its words' counts; the first row is on top."""
    most = max((sum(counts.values()) for counts in rows.values()), default=0)
    from_below = list(reversed(rows.items()))

    def draw(width: int) -> Any:
        chart = _pygal().HorizontalStackedBar(**_common(width, _AXIS + _BAR * len(rows)), spacing=5)
        chart.x_labels = [_label(name, _LABEL_LETTERS[width]) for name, _ in from_below]
        chart.y_labels = _marks(most, _TICKS[width] // 2)
        for word in words:
            chart.add(word, [counts.get(word, 0) for _, counts in from_below])
        return chart

    return _drawn(draw)


def course_lines(lines: Mapping[str, Sequence[tuple[float, int]]]) -> Plot:
    """Draw lines over time: moments in seconds since the epoch, shown in UTC, and counts."""
    moments = [at for points in lines.values() for at, _ in points]
    first, last = min(moments), max(moments)
    most = max(number for points in lines.values() for _, number in points)

    def draw(width: int) -> Any:
        step = next((step for step in _STEPS if (last - first) / step < _TICKS[width]), _STEPS[-1])
        written = "%b %-d" if step >= _DAY else "%H:%M" if step >= _MINUTE else "%H:%M:%S"
        chart = _pygal().XY(**_common(width, _COURSE_HEIGHT), show_dots=False, include_x_axis=True)
        chart.x_value_formatter = lambda at: datetime.fromtimestamp(at, UTC).strftime(written)
        round_times = range(math.ceil(first / step) * step, math.floor(last) + 1, step) or [first]
        chart.x_labels = list(round_times)
        chart.y_labels = _marks(most, _GRID_LINES)
        for name, points in lines.items():
            chart.add(name, list(points))
        return chart

    return _drawn(draw)


def _drawn(draw: Callable[[int], Any]) -> Plot:
    """Keep of what pygal draws only what is the drawing: the words for it stand beside it, on the page."""
    drawings = []
    for width, size in ((_WIDE, "wide"), (_NARROW, "narrow")):
        root = draw(width).render_tree()
        for parent in list(root.iter()):
            for child in list(parent):
                is_mark = isinstance(child.tag, str) and child.tag.rpartition("}")[2] not in _NOT_OURS
                if not is_mark or child.get("class") == "tooltip":
                    parent.remove(child)
        for node in root.iter():
            if not node.get("class"):
                node.attrib.pop("class", None)
        root.attrib.pop("id", None)
        root.set("class", f"chart {size}")
        root.set("aria-hidden", "true")
        root.set("focusable", "false")
        drawings.append(ET.tostring(root, encoding="unicode"))
    return Plot(*drawings)


def _common(width: int, height: int) -> dict[str, Any]:
    style = _pygal().style.Style(
        font_family="sans-serif", label_font_size=_LETTER, major_label_font_size=_LETTER, value_font_size=_LETTER
    )
    return {
        "width": width,
        "height": height,
        "style": style,
        "js": (),
        "no_prefix": True,
        "show_legend": False,
        "margin": 4,
        "margin_right": 16,
        "value_formatter": "{:,.0f}".format,
        "truncate_label": -1,
    }


def _label(name: str, letters: int) -> str:
    """Cut a long name in its middle: those that begin alike differ at their end."""
    half = letters // 2
    return name if len(name) <= letters else f"{name[: letters - half - 1]}…{name[-half:]}"


def _marks(most: int, about: int) -> list[int]:
    """Return round whole numbers from 0 to `most`, or just below it."""
    rough = max(1.0, most / max(1, about))
    magnitude = 10 ** math.floor(math.log10(rough))
    step = int(next(magnitude * n for n in (1, 2, 5, 10) if magnitude * n >= rough))
    return list(range(0, max(1, most) + 1, step))
