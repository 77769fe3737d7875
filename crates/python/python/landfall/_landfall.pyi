"""The compiled part of the package."""

from collections.abc import Callable
from typing import Any, final

from ._source import Source

__version__: str

class Error(Exception):
    """The base of all errors of Landfall."""

    kind: str
    """The kind in one word: `config`, `locked`, `in_doubt`, …"""
    row: int | None
    """The row of the data, counted from 1, where it is known."""
    rows: tuple[int, int] | None
    """The first and the last row: with several writers, those of the batch."""
    column: str | None
    """The name of the column, where it is known."""

class ConfigError(Error): ...
class SchemaError(Error): ...
class SqlError(Error): ...
class EncodeError(Error): ...
class DecodeError(Error): ...
class ConstraintError(Error): ...
class TransientError(Error): ...
class AccessError(Error): ...
class InputError(Error): ...
class FencedError(Error): ...
class InDoubtError(Error): ...
class StoppedError(Error): ...
class UnsupportedError(Error): ...
class DatabaseError(Error): ...
class InternalError(Error): ...

@final
class WriteResult:
    """What a statement that writes did. Counts that Landfall did not make are None."""

    @property
    def rows(self) -> int:
        """Rows that were written; of an upsert by difference, rows that were read. 0 for a job that was finished before."""
    @property
    def inserted(self) -> int | None:
        """Rows that were new."""
    @property
    def updated(self) -> int | None:
        """Rows that existed and changed."""
    @property
    def unchanged(self) -> int | None:
        """Rows that existed and were equal: they were not written."""
    @property
    def deleted(self) -> int | None:
        """Rows that were deleted."""
    @property
    def rejected(self) -> int:
        """Rows that were set aside, because they cannot be stored."""
    @property
    def resumed(self) -> int:
        """Rows that earlier runs of the job had committed: all of them, if it was finished before."""
    @property
    def retries(self) -> int:
        """How often the statement was retried after a failure."""
    @property
    def seconds(self) -> float:
        """How long it took."""

@final
class Result:
    """The rows of a query. The query runs when they are read, and again each time."""

    @property
    def columns(self) -> list[str]:
        """The names of the columns."""
    def to_arrow(self) -> Any:
        """The rows as a pyarrow.Table."""
    def to_pandas(self) -> Any:
        """The rows as a pandas.DataFrame. It needs pyarrow."""
    def to_polars(self) -> Any:
        """The rows as a polars.DataFrame."""
    def __arrow_c_schema__(self) -> object: ...
    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object: ...
    def _repr_html_(self) -> str: ...

@final
class Job:
    """What a decision log knows of a job."""

    @property
    def name(self) -> str: ...
    @property
    def state(self) -> str:
        """`finished`, `under way`, `not finished` or `rolled back`."""
    @property
    def table(self) -> str | None: ...
    @property
    def rows(self) -> int | None:
        """The rows up to the last checkpoint."""
    @property
    def rejected(self) -> int | None:
        """Those of them that were set aside."""
    @property
    def checkpoint(self) -> int | None:
        """The epoch of the last checkpoint."""
    @property
    def decided_at(self) -> str | None:
        """When the last record was made."""

@final
class Branch:
    """A prepared branch of a transaction."""

    @property
    def name(self) -> str:
        """The identifier of the prepared transaction."""
    @property
    def job(self) -> str | None: ...
    @property
    def age(self) -> float:
        """The age in seconds."""
    @property
    def fate(self) -> str:
        """What became of it, or would: `committed`, `to be rolled back`, `skipped: not decided yet`, …"""
    @property
    def is_left(self) -> bool:
        """Whether it is left as it was, and must be resolved."""
    @property
    def error(self) -> str | None:
        """Why it could not be ended."""

@final
class Status:
    """The jobs of a decision log, and the prepared branches of a database."""

    @property
    def log(self) -> str:
        """The URL of the decision log, without a password."""
    @property
    def jobs(self) -> list[Job]: ...
    @property
    def in_doubt(self) -> list[Branch]: ...

@final
class Stop:
    def stop(self) -> None: ...

@final
class Session:
    def attach(self, url: str, name: str, options: list[tuple[str, str]]) -> None: ...
    def register(self, name: str, source: Source) -> None: ...
    def sql(self, text: str, progress: Callable[..., Any] | None, stop: Stop | None) -> Any: ...

@final
class Table:
    def __init__(self, url: str, name: str, columns: list[str] | None, options: list[tuple[str, str]]) -> None: ...
    @property
    def columns(self) -> list[str]: ...
    def __datafusion_table_provider__(self, session: Any) -> object: ...

@final
class TableFactory:
    def __init__(self) -> None: ...
    def __datafusion_table_provider_factory__(self, session: Any) -> object: ...

@final
class Catalog:
    def __init__(self, url: str, options: list[tuple[str, str]]) -> None: ...
    def __datafusion_catalog_provider__(self, session: Any) -> object: ...

def main(arguments: list[str]) -> int: ...
def write(
    source: Source,
    url: str,
    table: str,
    mode: str,
    key: list[str],
    columns: list[tuple[str, str]] | None,
    batch_rows: int | None,
    options: list[tuple[str, str]],
    progress: Callable[..., Any] | None,
    stop: Stop | None,
) -> WriteResult: ...
def status(url: str, log: str | None, options: list[tuple[str, str]]) -> Status: ...
def recover(
    url: str,
    log: str | None,
    job: str | None,
    older_than: float,
    dry_run: bool,
    options: list[tuple[str, str]],
) -> list[Branch]: ...
