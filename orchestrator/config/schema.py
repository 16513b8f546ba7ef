"""The JSON Schema of the configuration, for editors: made from the settings, their rules, and the example's comments.

`python -m orchestrator.config.schema` prints it; it is kept as `schema.json` beside this file, which `init` writes next
to a configuration. It says what each key takes. What only holds between keys, the program alone says.
"""

from __future__ import annotations

import json
import re
import sys
from dataclasses import MISSING, fields
from enum import Enum
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, get_args, get_origin

from annotated_types import Ge, Gt, Le, MinLen

from orchestrator.config.fields import PLATFORM_NAME, RESERVED_PLATFORMS, RULES, VENDOR_NAME
from orchestrator.config.hints import arms_of, hints_of, split_hint
from orchestrator.config.unknown import NAMED, TABLES
from orchestrator.settings import ReuseDays, Style
from orchestrator.vendor_api.platforms import KNOWN

if TYPE_CHECKING:
    from collections.abc import Mapping
    from importlib.resources.abc import Traversable

REQUIRED: Final = {"job": ["inputs"], "vendors": ["base_url"], "platforms": []}
"""Keys without which there is no job; the others have defaults, which may depend on other things."""

_TYPES: Final[dict[Any, str]] = {bool: "boolean", int: "integer", float: "number", str: "string", Path: "string"}
_KEY_LINE = re.compile(r"(?:# )?([a-z_0-9]+) = (.+)")


def schema(example: str) -> dict[str, Any]:
    """Return the whole schema; the comments of `example`, config.example.toml, say what each key is for."""
    said = descriptions(example)
    tables: dict[str, Any] = {}
    for name, cls in TABLES.items():
        title = NAMED.get(name, f"[{name}]").strip("[]")
        table = {
            "type": "object",
            "additionalProperties": False,
            "properties": {key: _key(cls, key, said.get(title, {}).get(key, "")) for key in hints_of(cls)},
        }
        tables[name] = table | ({"required": REQUIRED[name]} if REQUIRED.get(name) else {})
    faults = tables["sandbox"]["properties"]["faults"]  # a word alone is a list of one
    about = {name: faults.pop(name) for name in ("default", "description")}
    tables["sandbox"]["properties"]["faults"] = {"anyOf": [faults["items"], faults], **about}
    days = tables["reuse"]["properties"]["days"]  # a number is for both verdicts
    about = {name: days.pop(name) for name in ("default", "description")}
    each = {name: _key(ReuseDays, name, "") for name in hints_of(ReuseDays)}
    each_day = {"type": "object", "additionalProperties": False, "properties": each}
    tables["reuse"]["properties"]["days"] = {"anyOf": [days, each_day], **about}
    # Of the known platforms everything is known; another has to say how it is asked.
    platform, v1 = tables.pop("platforms"), {"properties": {"style": {"const": Style.V1.value}}, "required": ["style"]}
    other = (
        {"$ref": "#/definitions/platform"},
        {"required": ["style", "path"]},
        {"if": v1, "then": {"required": ["task_type"]}},
    )
    vendor = tables.pop("vendors")
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "A job of numbercheck-orchestrator",
        "type": "object",
        "additionalProperties": False,
        "required": ["job", "vendors", "platforms"],
        "definitions": {"vendor": vendor, "platform": platform},
        "properties": {
            **{name: tables[name] for name in TABLES if name in tables},
            "vendors": {
                "type": "object",
                "minProperties": 1,
                "propertyNames": VENDOR_NAME.schema,
                "additionalProperties": {"$ref": "#/definitions/vendor"},
            },
            "platforms": {
                "type": "object",
                "minProperties": 1,
                "propertyNames": {**PLATFORM_NAME.schema, "not": {"enum": sorted(RESERVED_PLATFORMS)}},
                "properties": {name: {"$ref": "#/definitions/platform"} for name in KNOWN},
                "additionalProperties": {"allOf": list(other)},
            },
        },
    }


def descriptions(example: str) -> dict[str, dict[str, str]]:
    """Return what the comments of the example say, by table and key."""
    said: dict[str, dict[str, str]] = {}
    table = ""
    comment: list[str] = []
    is_new = False  # keys one behind the other share the comment above them
    for line in example.splitlines():
        if key := _KEY_LINE.fullmatch(line):
            said.setdefault(table, {})[key[1]] = " ".join(comment)
            is_new = True
        elif line.startswith("# "):
            comment = [*([] if is_new else comment), line.removeprefix("# ")]
            is_new = False
        else:
            header = re.fullmatch(r"\[([a-z_.]+)\]", line)
            table, comment, is_new = header[1] if header else table, [], False
    return said


def text() -> str:
    """Return the schema as it is kept in `schema.json`."""
    return json.dumps(schema(example_file().read_text("utf-8")), indent=1) + "\n"


def example_file() -> Traversable:
    """Return config.example.toml: in a wheel it lies among the manual's pages, in a checkout at the top."""
    package = resources.files("orchestrator")
    places = (package / "manual" / "config.example.toml", package / ".." / "config.example.toml")
    return next(place for place in places if place.is_file())


def _key(cls: type, key: str, description: str) -> dict[str, Any]:
    """Return what one key takes."""
    rule = RULES.get((cls, key))
    made = _value(hints_of(cls)[key], rule.schema if rule else {})
    default = next(field.default for field in fields(cls) if field.name == key)
    if default is not MISSING and default is not None:
        made["default"] = list(default) if isinstance(default, tuple) else default
    return made | ({"description": description} if description else {})


def _value(hint: Any, rule: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a type hint allows; `rule` holds for a single value, in a list for each of its items."""
    if choices := arms_of(hint):
        return {"anyOf": [_value(choice, rule) for choice in choices]}
    core, limits = split_hint(hint)
    if get_origin(core) is tuple:
        some = any(isinstance(limit, MinLen) for limit in limits)
        return {"type": "array", "items": _value(get_args(core)[0], rule)} | ({"minItems": 1} if some else {})
    if issubclass(core, Enum):
        return {"enum": [member.value for member in core]}
    made: dict[str, Any] = {"type": _TYPES[core]}
    for limit in limits:
        match limit:
            case Ge(ge=low):
                made["minimum"] = low
            case Gt(gt=low):
                made["exclusiveMinimum"] = low
            case Le(le=high):
                made["maximum"] = high
            case MinLen(min_length=fewest):
                made["minLength"] = fewest
    return made if core is bool else {**made, **rule}


if __name__ == "__main__":
    sys.stdout.write(text())
