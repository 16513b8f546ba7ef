"""Combinations that can't work, or that would pay twice. Each check looks at settings that are valid in themselves."""

from __future__ import annotations

import re
from itertools import combinations
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from orchestrator.config.fields import PLATFORM_NAME, RESERVED_PLATFORMS, VENDOR_NAME, is_loopback
from orchestrator.config.problems import did_you_mean, dotted, listed, shown
from orchestrator.jobdir.layout import list_name
from orchestrator.jobdir.verdict_words import CHECKED_AT, OWN_WORDS, SYNONYMS
from orchestrator.settings import (
    BackoffSettings,
    EngineKind,
    JobSettings,
    PlatformSettings,
    PollingSettings,
    StoreEncryption,
    Style,
    VendorSettings,
)
from orchestrator.vendor_api.paid_calls import call_of
from orchestrator.vendor_api.platforms import KNOWN

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.config.draft import Draft
    from orchestrator.settings import NotifySettings, OutputSettings, ReuseSettings, StorageSettings, WorkersSettings


def check_vendors(draft: Draft, vendors: dict[str, VendorSettings]) -> None:
    """Check the vendors' names, keys, and that the embedded one stands alone."""
    names = draft.names("vendors")
    if draft.lacks("vendors"):
        draft.say(("vendors",), 'missing; expected a vendor, such as [vendors.main] with base_url = "sandbox"')
    for name in names:
        if not VENDOR_NAME.holds(name):
            draft.say(("vendors", name), f"expected a name of {VENDOR_NAME.expected}")
        if draft.given("vendors", name, "api_key_env") and draft.given("vendors", name, "api_key_file"):
            draft.say(("vendors", name, "api_key_file"), "expected either api_key_env or api_key_file, found both")
    for name, vendor in vendors.items():
        if vendor.proxy and is_loopback(urlsplit(vendor.base_url).hostname or ""):
            text = (
                'expected "", because base_url is this machine: the proxy would get the key, and look for it on its own'
            )
            draft.say(("vendors", name, "proxy"), text)
    embedded = [name for name, vendor in vendors.items() if vendor.is_sandbox]
    if len(embedded) > 1:
        text = f"expected one embedded vendor, found {len(embedded)}: {listed(embedded)}"
        draft.say(("vendors", embedded[1], "base_url"), text)
    elif embedded and len(vendors) > 1:
        text = "the embedded vendor and a real one can't serve one job: made-up verdicts would stand beside real ones"
        draft.say(("vendors", embedded[0], "base_url"), text)


def check_platforms(draft: Draft, platforms: dict[str, PlatformSettings], vendors: dict[str, VendorSettings]) -> None:
    """Check the platforms' names, vendors and task types, and that no check is bought twice."""
    if draft.lacks("platforms"):
        draft.say(("platforms",), "missing; expected a platform, such as [platforms.instagram]")
    for name in draft.names("platforms"):
        if not PLATFORM_NAME.holds(name):
            draft.say(("platforms", name), f"expected a name of {PLATFORM_NAME.expected}{did_you_mean(name, KNOWN)}")
        elif name in RESERVED_PLATFORMS:
            draft.say(("platforms", name), "expected another name, this one is taken by the program itself")
    known_vendors = draft.names("vendors")
    for name, platform in platforms.items():
        if known_vendors and platform.vendor not in known_vendors:
            hint = did_you_mean(platform.vendor, known_vendors)
            text = f"expected {listed(known_vendors, 'or')}, found {shown(platform.vendor)}{hint}"
            draft.say(("platforms", name, "vendor"), text)
        if platform.style is Style.V1 and not platform.task_type:
            text = 'missing; style v1 needs the vendor\'s word for the check, such as "amazon"'
            draft.say(("platforms", name, "task_type"), text)
        _check_once(
            draft, ("platforms", name, "extra_columns"), list(map(str.casefold, platform.extra_columns)), "column"
        )
        if not platform.result_columns and not platform.extra_columns:
            text = (
                "empty, so the platform gives no verdict; expected a name, or columns to take instead in extra_columns"
            )
            draft.say(("platforms", name, "result_columns"), text)
    # By the vendor's address, not by its name: two names of one vendor are one vendor.
    calls = [
        (name, call_of(vendors[platform.vendor].base_url, platform.style, platform.path, platform.task_type))
        for name, platform in platforms.items()
        if platform.vendor in vendors
    ]
    for (first, one), (second, other) in combinations(calls, 2):
        if one == other:
            text = f"asks the same as [{dotted(('platforms', first))}], so every number would be paid for twice"
            draft.say(("platforms", second), text)


def check_conditions(draft: Draft, platforms: dict[str, PlatformSettings]) -> None:
    """Check that `only_if` names a verdict of another platform, and that no platform waits for itself."""
    conditions = {name: its.condition for name, its in platforms.items() if its.condition is not None}
    told: set[str] = set()
    for name, (other, word) in conditions.items():
        place = ("platforms", name, "only_if")
        if other not in draft.names("platforms"):
            others = [its for its in draft.names("platforms") if its != name]
            known = listed(others, "or") if others else "the name of another platform"
            draft.say(place, f"expected {known} in front of ==, found {shown(other)}{did_you_mean(other, others)}")
        elif other in platforms and not platforms[other].result_columns:
            draft.say(place, f"expected a platform with a verdict, and {shown(other)} has none (its result_columns)")
        elif word in OWN_WORDS:
            draft.say(place, f"expected a verdict of the vendor such as yes behind ==, found {shown(word)}")
        elif word in SYNONYMS:
            draft.say(place, f"expected {SYNONYMS[word]} behind ==, which is what cells have for {shown(word)}")
        chain = [name]
        while (then := conditions.get(chain[-1])) and then[0] not in chain:
            chain.append(then[0])
        if then and then[0] == name and told.isdisjoint(chain):  # a circle is one mistake, wherever one begins
            told |= {*chain}
            waits = " waits for ".join([*chain, name])
            draft.say(place, f"goes in a circle ({waits}), so none of them is ever asked; leave one of them out")


def check_sizes(draft: Draft, job: JobSettings, platforms: dict[str, PlatformSettings]) -> None:
    """Check that a chunk fits every platform: min_rows ≤ chunk_size ≤ max_rows."""
    for name, platform in platforms.items():
        title = f"[{dotted(('platforms', name))}]"
        if platform.min_rows > platform.max_rows:
            _say_order(draft, ("platforms", name), platform, "min_rows", "max_rows")
        elif job.chunk_size < platform.min_rows:
            text = f"expected at least {platform.min_rows}, the min_rows of {title}, found {job.chunk_size}"
            draft.say(("job", "chunk_size"), text)
        elif job.chunk_size > platform.max_rows:
            text = f"expected at most {platform.max_rows}, the max_rows of {title}, found {job.chunk_size}"
            draft.say(("job", "chunk_size"), text)


def check_polling(draft: Draft, polling: PollingSettings) -> None:
    """Check that the shortest interval is not above the longest."""
    if polling.min_interval_s > polling.max_interval_s:
        _say_order(draft, ("polling",), polling, "min_interval_s", "max_interval_s")


def check_backoff(draft: Draft, backoff: BackoffSettings) -> None:
    """Check that the first delay is not above the longest."""
    if backoff.base_delay_s > backoff.max_delay_s:
        _say_order(draft, ("backoff",), backoff, "base_delay_s", "max_delay_s")


def check_output(draft: Draft, output: OutputSettings) -> None:
    """Check that no format, no list and no kept column is named twice."""
    _check_once(draft, ("output", "formats"), output.formats, "format")
    _check_once(draft, ("output", "lists"), list(map(list_name, output.lists)), "verdict")
    for word in output.lists:
        if word in SYNONYMS:
            draft.say(("output", "lists"), f"expected {SYNONYMS[word]}, which is what cells have for {shown(word)}")
    if not isinstance(output.keep_columns, bool):
        _check_once(draft, ("output", "keep_columns"), output.keep_columns, "column")


def check_reuse(draft: Draft, reuse: ReuseSettings, platforms: dict[str, PlatformSettings]) -> None:
    """Check that no job is named twice, and that the column of when verdicts were checked has its name for itself."""
    _check_once(draft, ("reuse", "jobs"), reuse.jobs, "job")
    for name, platform in platforms.items():
        if reuse.jobs and CHECKED_AT in map(str.casefold, platform.extra_columns):
            text = f"expected other columns: with [reuse], {CHECKED_AT} is when a verdict was checked"
            draft.say(("platforms", name, "extra_columns"), text)


def check_notify(draft: Draft, notify: NotifySettings) -> None:
    """Check that an address and a secret come from one place each."""
    if notify.url and notify.url_env:
        draft.say(("notify", "url_env"), "expected either url or url_env, found both")
    if notify.secret_file is not None and draft.given("notify", "secret_env"):
        draft.say(("notify", "secret_file"), "expected either secret_env or secret_file, found both")


def check_workers(draft: Draft, workers: WorkersSettings) -> None:
    """Check that a cluster has an address, and nothing else has one."""
    if workers.kind is EngineKind.DASK and not workers.address:
        draft.say(
            ("workers", "address"), 'missing; kind = "dask" needs the scheduler\'s, such as "tcp://scheduler:8786"'
        )
    if workers.kind is EngineKind.LOCAL and workers.address:
        draft.say(("workers", "address"), 'expected kind = "dask" beside it: local workers have no address')


def check_storage(draft: Draft, url: str, storage: StorageSettings | None) -> None:
    """Check that a directory in a bucket has its ledger elsewhere, and that its store can do what is asked for."""
    if not url:
        return
    scheme, _, place = url.partition("://")
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]+(?:/[A-Za-z0-9_][A-Za-z0-9._=-]*)+", place):
        text = (
            f'expected a bucket and a folder in it, such as {scheme}://bucket/job, in letters, digits, ".", "_" and '
            f'"-", found {shown(url)}'
        )
        draft.say(("job", "directory"), text)
    if not draft.table("ledger").get("url"):
        text = "a directory in a bucket needs its ledger in a database: set [ledger] url, or name a directory here"
        draft.say(("job", "directory"), text)
    if storage and scheme != "s3":
        for key in ("encryption", "kms_key"):
            if getattr(storage, key):
                text = f"{scheme}:// stores encrypt as their bucket says; leave it out, and set it there"
                draft.say(("storage", key), text)
    if storage and storage.kms_key and storage.encryption is not StoreEncryption.KMS:
        draft.say(("storage", "kms_key"), f'expected encryption = "{StoreEncryption.KMS}" beside it')


def _check_once(draft: Draft, place: tuple[str, ...], words: Sequence[str], kind: str) -> None:
    for index, word in enumerate(words):
        if word in words[:index]:
            draft.say((*place, index), f"expected each {kind} once, found {shown(word)} again")


def _say_order(draft: Draft, place: tuple[str, ...], settings: object, low: str, high: str) -> None:
    """Note that `low` is above `high`, at the one of the two that the user wrote."""
    least: Any = getattr(settings, low)
    most: Any = getattr(settings, high)
    if draft.given(*place, low) or not draft.given(*place, high):
        draft.say((*place, low), f"expected at most {high} ({shown(most)}), {draft.found((*place, low), least)}")
    else:
        draft.say((*place, high), f"expected at least {low} ({shown(least)}), {draft.found((*place, high), most)}")
