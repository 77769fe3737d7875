"""The compiled part of the package."""

from collections.abc import Callable
from typing import Any, final

from ._source import Source

__version__: str

class Error(Exception):
    """The base class of all exceptions of Landfall."""

    kind: str
    """The kind of the error in one word: `config`, `locked`, `in_doubt`, …"""
    row: int | None
    """The number of the row that caused the error, counted from 1. None if it is not known exactly."""
    rows: tuple[int, int] | None
    """The first and the last row of the range that contains this row. With several writers, the range is a batch of
    rows."""
    column: str | None
    """The name of the column that caused the error. None if it is not known."""

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
    """The result of a statement that writes. A count that Landfall does not know is None."""

    @property
    def rows(self) -> int:
        """Rows that were written. An upsert that compares its rows with the existing ones counts the rows of its query.
        For a job that was already finished, the count is 0."""
    @property
    def inserted(self) -> int | None:
        """Rows that were inserted, because they did not exist."""
    @property
    def updated(self) -> int | None:
        """Existing rows that were changed."""
    @property
    def unchanged(self) -> int | None:
        """Existing rows that already had the new values, and were not written."""
    @property
    def deleted(self) -> int | None:
        """Rows that were deleted."""
    @property
    def rejected(self) -> int:
        """Rows that could not be stored, and were written to the reject table."""
    @property
    def resumed(self) -> int:
        """Rows that earlier runs of the job committed: all rows, if the job was already finished."""
    @property
    def retries(self) -> int:
        """The number of times that the statement was retried after a failure."""
    @property
    def seconds(self) -> float:
        """How long the statement took, in seconds."""

@final
class Result:
    """The rows of a query. The query runs each time that the rows are read."""

    @property
    def columns(self) -> list[str]:
        """The names of the columns."""
    def to_arrow(self) -> Any:
        """The rows as a pyarrow.Table."""
    def to_pandas(self) -> Any:
        """The rows as a pandas.DataFrame. This method requires pyarrow."""
    def to_polars(self) -> Any:
        """The rows as a polars.DataFrame."""
    def __arrow_c_schema__(self) -> object: ...
    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object: ...
    def _repr_html_(self) -> str: ...

@final
class Job:
    """A job in a decision log."""

    @property
    def name(self) -> str: ...
    @property
    def state(self) -> str:
        """`finished`, `under way`, `not finished` or `rolled back`."""
    @property
    def table(self) -> str | None: ...
    @property
    def rows(self) -> int | None:
        """The number of rows up to the last checkpoint."""
    @property
    def rejected(self) -> int | None:
        """How many of these rows could not be stored, and were written to the reject table."""
    @property
    def checkpoint(self) -> int | None:
        """The number of the last checkpoint."""
    @property
    def decided_at(self) -> str | None:
        """The time of the last record of the job in the log."""

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
        """What happened to the branch, or would happen: `committed`, `to be rolled back`, `skipped: not decided yet`,
        …"""
    @property
    def is_left(self) -> bool:
        """Whether the branch is still prepared, and must still be committed or rolled back."""
    @property
    def error(self) -> str | None:
        """Why the branch could not be committed or rolled back."""

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
