"""Defaults that depend on other things: the file's name and place, the known platforms, the machine."""

from __future__ import annotations

import glob
import os
from typing import TYPE_CHECKING, Any

from orchestrator.bucket import is_bucket_url
from orchestrator.config.fields import PLATFORM_NAME
from orchestrator.config.problems import guess, listed
from orchestrator.settings import Style
from orchestrator.vendor_api.platforms import ALSO_CALLED, KNOWN, columns_of

if TYPE_CHECKING:
    from pathlib import Path

    from orchestrator.config.draft import Draft

STDIN = "-"
OF_STYLE = ("path", "task_type")
"""Keys that mean something else in another style, so that a known platform's do not outlive its style."""


def job_table(draft: Draft) -> dict[str, Any]:
    """Return `[job]` with its name and absolute paths."""
    folder = draft.path.absolute().parent
    table = {"name": draft.path.stem, **draft.table("job")}
    name = table["name"] if isinstance(table["name"], str) else draft.path.stem  # another type is refused later
    table.setdefault("directory", f"runs/{name}")
    # Of one in a bucket this is no place to write to: a command that does gets a scratch folder in its stead.
    table["directory"] = _resolved(folder, f"runs/{name}" if bucket_url(draft) else table["directory"])
    for key in ("inputs", "exclude"):
        if isinstance(table.get(key), list):
            table[key] = [_resolved_input(folder, text) for text in table[key]]
    return table


def bucket_url(draft: Draft) -> str:
    """Return where in a bucket the job's directory is; "" for one on this machine."""
    directory = draft.table("job").get("directory")
    return directory.rstrip("/") if isinstance(directory, str) and is_bucket_url(directory) else ""


def vendor_table(draft: Draft, name: str) -> dict[str, Any]:
    """Return a vendor's table with an absolute `api_key_file` and no slash at the end of `base_url`."""
    table = dict(draft.table("vendors", name))
    if "api_key_file" in table:
        table["api_key_file"] = _resolved(draft.path.absolute().parent, table["api_key_file"])
    if isinstance(table.get("base_url"), str):
        table["base_url"] = table["base_url"].rstrip("/")
    return table


def platform_table(draft: Draft, name: str) -> tuple[dict[str, Any], list[str]]:
    """Return a platform's table over what is known of it, and the missing keys that this noted as problems."""
    table = draft.table("platforms", name)
    known = {"result_columns": columns_of(name), **KNOWN.get(name, {})}
    style = table.get("style", known.get("style"))
    if style in list(Style) and style != known.get("style"):
        known = {key: value for key, value in known.items() if key not in OF_STYLE}
    vendors = draft.names("vendors")
    if len(vendors) == 1:
        (known["vendor"],) = vendors
    merged = known | table
    # What is missing is said here in better words than the validation has, which then passes over these keys.
    missing = [key for key in ("style", "path") if key not in merged]
    if missing and name in KNOWN:
        text = f"missing; the known path of {name} is for style {KNOWN[name]['style']}, and style is {style} here"
        draft.say(("platforms", name, "path"), text)
    elif missing and PLATFORM_NAME.holds(name):  # else the name is the problem to speak of
        meant = ALSO_CALLED.get(name) or guess(name, KNOWN)
        hint = f"did you mean {meant}? Else it" if meant else f"known are {listed(sorted(KNOWN))}; any other"
        draft.say(("platforms", name), f"not a known platform; {hint} needs {listed(missing)}")
    if "vendor" not in merged:
        missing.append("vendor")
        if vendors:  # without any, that is the one problem to speak of
            text = f"missing; there are several vendors, name one of {listed(vendors)}"
            draft.say(("platforms", name, "vendor"), text)
    return merged, missing


def reuse_table(draft: Draft) -> dict[str, Any]:
    """Return `[reuse]` with absolute paths; a word alone is a list of one."""
    table = dict(draft.table("reuse"))
    if isinstance(table.get("jobs"), list):
        table["jobs"] = [_resolved_input(draft.path.absolute().parent, text) for text in table["jobs"]]
    return table


def workers_table(draft: Draft) -> dict[str, Any]:
    """Return `[workers]`; the cores are those that this process may use, where the system says (macOS does not)."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return {"count": cores, **draft.table("workers")}


def notify_table(draft: Draft) -> dict[str, Any]:
    """Return `[notify]` with absolute paths."""
    table = dict(draft.table("notify"))
    for key in ("secret_file", "metrics"):
        if key in table:
            table[key] = _resolved(draft.path.absolute().parent, table[key])
    return table


def ledger_table(draft: Draft) -> dict[str, Any]:
    """Return `[ledger]` with an absolute path."""
    table = dict(draft.table("ledger"))
    if "password_file" in table:
        table["password_file"] = _resolved(draft.path.absolute().parent, table["password_file"])
    return table


def storage_table(draft: Draft) -> dict[str, Any]:
    """Return `[storage]` with an absolute path."""
    table = dict(draft.table("storage"))
    if "scratch" in table:
        table["scratch"] = _resolved(draft.path.absolute().parent, table["scratch"])
    return table


def sandbox_table(draft: Draft) -> dict[str, Any]:
    """Return `[sandbox]`; `faults = "all"` counts as a list of one word."""
    table = draft.table("sandbox")
    if isinstance(table.get("faults"), str):
        table["faults"] = [table["faults"]]
    return table


def _resolved(folder: Path, text: object) -> object:
    """Make a path absolute; leave what is no path for the validation to refuse."""
    return str(folder / text) if isinstance(text, str) and text else text


def _resolved_input(folder: Path, text: object) -> object:
    """Make a file or a glob absolute; the folder's own name is no part of the glob, even where it looks like one."""
    if not isinstance(text, str) or text in ("", STDIN) or is_bucket_url(text):
        return text
    literal = os.path.join(folder, text)  # noqa: PTH118 - Path would drop the end of "numbers/**/"
    if glob.escape(text) == text or os.path.lexists(literal):
        return literal
    return os.path.join(glob.escape(str(folder)), text)  # noqa: PTH118 - as above
