"""Frozen values that every stage may read. Valid by construction: `config/` is the only place that makes them.

Field names are the keys of the TOML file. Durations carry their unit in the name; `math.inf` means "no limit".
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from enum import StrEnum
from pathlib import Path  # noqa: TC003 - the configuration reads these annotations at run time
from typing import Annotated

from annotated_types import Ge, Gt, Le, MinLen

NOTIFY_SECRET_ENV = "ORCHESTRATOR_NOTIFY_SECRET"  # noqa: S105 - the name of one
"""The environment variable that has the secret by which notices are signed, unless another is named."""

API_KEY_ENV = "EKYCPRO_API_KEY"
"""The environment variable that has the key, unless another is named."""

SANDBOX = "sandbox"
"""The `base_url` that means the embedded vendor."""


class Style(StrEnum):
    """The vendor's HTTP dialects."""

    SIMPLE = "simple"
    V1 = "v1"


class WhenTooSmall(StrEnum):
    """What to do with a platform whose `min_rows` exceeds the list."""

    STOP = "stop"
    SKIP = "skip"


class CsvStyle(StrEnum):
    """How master.csv is written: with commas, or as an Excel opens it where the comma is a decimal sign."""

    PLAIN = "plain"
    EXCEL = "excel"


class LineType(StrEnum):
    """What `phonenumbers` calls the kinds of numbers."""

    MOBILE = "mobile"
    FIXED_LINE = "fixed_line"
    FIXED_LINE_OR_MOBILE = "fixed_line_or_mobile"
    TOLL_FREE = "toll_free"
    PREMIUM_RATE = "premium_rate"
    SHARED_COST = "shared_cost"
    VOIP = "voip"
    PERSONAL_NUMBER = "personal_number"
    PAGER = "pager"
    UAN = "uan"
    VOICEMAIL = "voicemail"
    UNKNOWN = "unknown"


class EngineKind(StrEnum):
    """What runs pieces of the work."""

    LOCAL = "local"
    DASK = "dask"


class NoticeForm(StrEnum):
    """What the webhook takes: everything, as JSON, or a text as Slack and others want it."""

    JSON = "json"
    SLACK = "slack"


class OutputFormat(StrEnum):
    """Formats of the master."""

    XLSX = "xlsx"
    CSV = "csv"
    PARQUET = "parquet"


class StoreEncryption(StrEnum):
    """How an object store encrypts what it keeps: as the bucket says, with keys of its own, or with one of KMS."""

    OF_BUCKET = ""
    AES256 = "AES256"
    KMS = "aws:kms"


Positive = Annotated[float, Gt(0)]


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSettings:
    """One list, in one directory. `directory` is absolute; `inputs` are absolute paths, globs or "-".

    Numbers of the lists in `exclude` (absolute paths or globs) are rejected, and those of no type in `line_types`.

    `trial_rows` are drawn from all of the list and sent before the rest, 0 for none; None leaves it to its length.

    `max_rejected` is the share of the lines read that may be rejected before a run refuses to send anything.
    """

    name: Annotated[str, MinLen(1)]
    inputs: Annotated[tuple[str, ...], MinLen(1)]
    directory: Path
    chunk_size: Annotated[int, Ge(1)] = 20_000
    column: str | Annotated[tuple[str, ...], MinLen(1)] | None = None
    header_row: Annotated[int, Ge(1), Le(50)] | None = None
    sheet: str | None = None
    default_region: str | None = None
    exclude_calling_codes: tuple[Annotated[int, Ge(1), Le(999)], ...] = ()
    exclude: tuple[str, ...] = ()
    line_types: tuple[LineType, ...] = ()
    trial_rows: Annotated[int, Ge(0)] | None = None
    max_rejected: Annotated[float, Ge(0), Le(1)] = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class VendorSettings:
    """A base URL and an API key, with limits of their own."""

    base_url: Annotated[str, MinLen(1)]
    api_key_env: str = API_KEY_ENV
    api_key_file: Path | None = None
    user_id: str = ""
    requests_per_second: Positive = 10.0
    result_hosts: tuple[str, ...] = ()
    proxy: str = ""

    @property
    def is_sandbox(self) -> bool:
        return self.base_url == SANDBOX


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformSettings:
    """What is asked about a number. `path` begins with a slash; `price_per_10000` is in USD, None when unknown.

    Without `result_columns` it gives no verdict, only `extra_columns`. With `only_if`, such as "whatsapp == yes", it is
    asked for numbers with that verdict alone.
    """

    vendor: str
    style: Style
    path: Annotated[str, MinLen(1)]
    task_type: str = ""
    min_rows: Annotated[int, Ge(1)] = 1
    max_rows: Annotated[int, Ge(1)] = 10_000_000
    max_in_flight: Annotated[int, Ge(1)] = 20
    requests_per_second: Positive = 5.0
    price_per_10000: Annotated[float, Ge(0)] | None = None
    billing_block: Annotated[int, Ge(1)] = 1
    result_columns: tuple[str, ...]
    extra_columns: tuple[str, ...] = ()
    only_if: str = ""
    when_too_small: WhenTooSmall = WhenTooSmall.STOP
    canary: bool = True
    one_word: bool = False

    @property
    def condition(self) -> tuple[str, str] | None:
        """The platform whose verdict decides on who is asked for here, and that verdict; None for all numbers."""
        if not self.only_if:
            return None
        other, _, word = self.only_if.partition("==")
        return other.strip(), word.strip()

    @property
    def answer_columns(self) -> tuple[str, ...]:
        """The columns that tell whether a number was answered: those of verdicts, or without any the further ones."""
        return self.result_columns or self.extra_columns

    def billed_rows(self, rows: int) -> int:
        """Return for how many rows the vendor bills `rows`: whole blocks."""
        return -(-rows // self.billing_block) * self.billing_block

    def cost_nano(self, rows: int) -> int:
        """Return what `rows` cost, in 1e-9 USD; rows are billed in whole blocks, fractions round up."""
        billed = self.billed_rows(rows)
        price_nano = round((self.price_per_10000 or 0.0) * 1e9)
        return -(-billed * price_nano // 10_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class PollingSettings:
    """When to look at a task again, and when to stop hoping."""

    min_interval_s: Annotated[float, Ge(0)] = 5.0
    max_interval_s: Positive = 300.0
    give_up_after_h: Positive = 48.0


@dataclass(frozen=True, slots=True, kw_only=True)
class BackoffSettings:
    """How repeats of a failed call spread out, and when a silent vendor ends the run."""

    base_delay_s: Positive = 1.0
    max_delay_s: Positive = 60.0
    give_up_after_s: Positive = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetSettings:
    """What may be spent over all runs and generations, in USD; `shared` with jobs of one database and key."""

    max_cost: Annotated[float, Ge(0)] | None = None
    shared: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ReuseSettings:
    """Directories (absolute paths or globs) of jobs whose yes and no are taken, and for how many days these count."""

    jobs: tuple[str, ...] = ()
    days: Positive = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ReuseDays:
    """`days` as a table: for how many days a yes counts, and a no."""

    yes: Positive = 30.0
    no: Positive = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputSettings:
    """What the master is written as. `keep_columns` is true for all other columns of an input table, or their names.

    `enrich` has every input come back with verdicts.
    `lists` are verdicts of which there is a bare list of numbers for each platform.
    """

    formats: Annotated[tuple[OutputFormat, ...], MinLen(1)] = (OutputFormat.XLSX, OutputFormat.CSV)
    csv: CsvStyle = CsvStyle.PLAIN
    lists: tuple[str, ...] = ()
    enrich: bool = False
    keep_columns: bool | Annotated[tuple[str, ...], MinLen(1)] = False


@dataclass(frozen=True, slots=True, kw_only=True)
class NotifySettings:
    """Who is told how the job is: a webhook at `url`, or at that in the variable `url_env`, and a file for Prometheus.

    `cost_share` is the share of max_cost from which on the webhook is told of the budget.
    """

    url: str = ""
    url_env: str = ""
    form: NoticeForm = NoticeForm.JSON
    secret_env: str = NOTIFY_SECRET_ENV
    secret_file: Path | None = None
    cost_share: Annotated[float, Gt(0), Le(1)] = 0.8
    metrics: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkersSettings:
    """Worker processes: `count` of this machine, and those of a Dask cluster where `kind` says so."""

    count: Annotated[int, Ge(1)]
    kind: EngineKind = EngineKind.LOCAL
    address: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerSettings:
    """Where the ledger is: in the job's directory, or in the PostgreSQL database at `url`.

    `password_file` has that database's password, where the environment has none. A run that has not been heard of for
    `lease_s`, by the database's own clock, is taken over. `timeline` is one that a person has looked into.
    """

    url: str = ""
    password_file: Path | None = None
    lease_s: Positive = 30.0
    timeline: Annotated[int, Ge(0)] = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageSettings:
    """Object stores, where the directory or an input is a URL in one.

    In `scratch` each command has a folder of its own while it runs, None for the system's place for such. `endpoint`
    is where a store is that is not the cloud's own. With `instance_credentials` the machine's own role is used.
    """

    scratch: Path | None = None
    endpoint: str = ""
    region: str = ""
    encryption: StoreEncryption = StoreEncryption.OF_BUCKET
    kms_key: str = ""
    instance_credentials: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredListJob(JobSettings):
    """A job whose lists may be objects in buckets: how these are spoken to, and the `url` of what is the job's own."""

    storage: StorageSettings = StorageSettings()
    url: str = ""

    @classmethod
    def of(cls, job: JobSettings, storage: StorageSettings, url: str) -> StoredListJob:
        return cls(**{one.name: getattr(job, one.name) for one in fields(JobSettings)}, storage=storage, url=url)


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxSettings:
    """The embedded vendor: `pace` is in numbers per second, `faults` are names or "all"."""

    seed: int = 0
    faults: tuple[str, ...] = ()
    pace: Positive = 20_000.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """One job's whole configuration; platforms stand in the order of the file, which is the master's.

    `reuse_days` is what `[reuse] days` means for each verdict. `overrides` are those of the command line; `AS_BEFORE`
    stands for a value that is secret. `url` is where the job's files are kept in a bucket, "" for none; then
    `job.directory` is where they are worked on.
    """

    source: Path
    job: JobSettings
    vendors: dict[str, VendorSettings]
    platforms: dict[str, PlatformSettings]
    polling: PollingSettings
    backoff: BackoffSettings
    budget: BudgetSettings
    reuse: ReuseSettings
    reuse_days: ReuseDays
    output: OutputSettings
    notify: NotifySettings
    workers: WorkersSettings
    sandbox: SandboxSettings
    ledger: LedgerSettings = field(default_factory=LedgerSettings)
    storage: StorageSettings = StorageSettings()
    overrides: tuple[str, ...] = ()
    url: str = ""

    @property
    def is_sandbox(self) -> bool:
        return any(vendor.is_sandbox for vendor in self.vendors.values())

    @property
    def wants_extras(self) -> bool:
        """Whether any further column of a result is wanted."""
        return any(platform.extra_columns for platform in self.platforms.values())
