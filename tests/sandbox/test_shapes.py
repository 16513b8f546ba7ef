from __future__ import annotations

from dataclasses import fields

from orchestrator.sandbox.catalog import ApiStyle
from orchestrator.sandbox.shapes import Dimension, NumberForm, RowOrder, Shape, shape_of

TASKS = [f"task{n}" for n in range(600)]


def shapes(style: ApiStyle, platform: str) -> list[Shape]:
    return [shape_of(1, task, style, platform) for task in TASKS]


def test_many_results_are_as_documented() -> None:
    """`Number`, the platform's name, yes and no, E.164, in the order of the file."""
    documented = [
        shape
        for shape in shapes(ApiStyle.SIMPLE, "instagram")
        if (shape.number_header, shape.verdict_header, shape.words[:2]) == ("Number", "instagram", ("yes", "no"))
        and (shape.form, shape.order) == (NumberForm.PLUS, RowOrder.AS_SENT)
    ]
    assert 0.3 < len(documented) / len(TASKS) < 0.6


def test_every_oddity_occurs() -> None:
    """Whatever was seen elsewhere is met here: a reader that passes has met it."""
    found = shapes(ApiStyle.SIMPLE, "instagram")
    seen = {field.name: {getattr(shape, field.name) for shape in found} for field in fields(Shape)}
    assert seen["number_header"] == {"Number", "number", "Phone", "Mobile Number"}
    assert seen["verdict_header"] == {"instagram", "INSTAGRAM", "Instagram", "activated", "Activated"}
    assert (seen["form"], seen["order"], seen["dimension"]) == (set(NumberForm), set(RowOrder), set(Dimension))
    assert seen["registered"] == {"registered.txt", "activated.txt"}
    assert all(seen[name] == {True, False} for name in ("folder", "cell_references", "shared_strings"))
    assert {words[:2] for words in seen["words"]} >= {("yes", "no"), ("true", "false"), ("1", "0")}


def test_amazon_in_v1_speaks_spanish() -> None:
    """The Spanish page translates the words; other verdicts stay."""
    assert {shape.words for shape in shapes(ApiStyle.V1, "amazon")} == {
        (yes, no, "ban", "unknown", "N/A") for yes, no in (("sí", "no"), ("Sí", "No"), ("si", "no"))
    }
    assert {shape.words[1] for shape in shapes(ApiStyle.V1, "viber")} > {"no", "No"}


def test_a_task_keeps_its_shape() -> None:
    """A second download is the same file."""
    assert shapes(ApiStyle.V1, "amazon") == shapes(ApiStyle.V1, "amazon")
