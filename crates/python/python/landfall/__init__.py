"""Writes Arrow data into PostgreSQL, MySQL, MariaDB and SQLite: all rows or none. A write with a job name stores its
rows only once, even if it is repeated.

>>> import landfall
>>> landfall.write(df, "postgres://me@db/sales", "public.weather", job="weather 2013")
WriteResult(rows=26115, inserted=26115, updated=0, unchanged=0, seconds=0.041)

The data can be a pandas or polars DataFrame, a pyarrow Table or RecordBatchReader, a DuckDB relation, any other object that
has `__arrow_c_stream__`, or the path of a file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Literal

from . import _landfall
from ._asyncio import in_thread
from ._landfall import (
    AccessError,
    Branch,
    ConfigError,
    ConstraintError,
    DatabaseError,
    DecodeError,
    EncodeError,
    Error,
    FencedError,
    InDoubtError,
    InputError,
    InternalError,
    Job,
    Result,
    SchemaError,
    SqlError,
    Status,
    StoppedError,
    TransientError,
    UnsupportedError,
    WriteResult,
    __version__,
)
from ._options import pairs
from ._progress import Progress, callback
from ._providers import Catalog, Table, TableFactory
from ._source import source

__all__ = [
    "AccessError",
    "Branch",
    "Catalog",
    "ConfigError",
    "ConstraintError",
    "DatabaseError",
    "DecodeError",
    "EncodeError",
    "Error",
    "FencedError",
    "InDoubtError",
    "InputError",
    "InternalError",
    "Job",
    "Progress",
    "Result",
    "SchemaError",
    "Session",
    "SqlError",
    "Status",
    "StoppedError",
    "Table",
    "TableFactory",
    "TransientError",
    "UnsupportedError",
    "WriteResult",
    "__version__",
    "connect",
    "recover",
    "status",
    "write",
    "write_async",
]

Mode = Literal["append", "update", "ignore", "replace_rows", "overwrite", "create", "create_or_append"]
Report = bool | Callable[[Progress], Any] | None


def write(
    data: Any,
    url: str,
    table: str,
    *,
    mode: Mode = "append",
    key: str | Sequence[str] | None = None,
    job: str | None = None,
    columns: Sequence[str] | Mapping[str, str] | None = None,
    batch_rows: int | None = None,
    progress: Report = None,
    **options: Any,
) -> WriteResult:
    """Writes data into a table, in one transaction: all rows or none.

    data
        A pandas or polars DataFrame, a pyarrow Table or RecordBatchReader, a DuckDB relation, any other object that has
        `__arrow_c_stream__`, or the path or URL of a Parquet, CSV, TSV, JSON, Avro or Arrow file, or a list of paths
        and URLs. A stream is read only once, while its rows are written, so the write is not retried. Values in text
        files are converted to the types of the table's columns.
    url
        The URL of the database: `postgres://user@host/database`, `mysql://user@host/database` or `sqlite:file.db`.
    table
        The name of the table, which can be `schema.table` in PostgreSQL and MySQL. Columns are matched by name.
    mode
        `append` adds rows; an existing key is an error. `update`, `ignore` and `replace_rows` also add rows; if the key
        of a row already exists in the table, `update` updates the existing row, `ignore` keeps it, and `replace_rows`
        replaces it. `overwrite` replaces all rows of the table. `create` creates the table, which must not exist.
        `create_or_append` creates the table if it does not exist, and adds rows.
    key
        The key column or columns that `update`, `ignore` and `replace_rows` use instead of the primary key. For a new
        table, the column or columns of the primary key.
    job
        A name for this write. A second call with this name, after a crash or a success, writes no row twice.
    columns
        The columns of the data to write, or a mapping from columns of the data to columns of the table.
    batch_rows
        The number of rows that DataFusion processes together. The default is 8192.
    progress
        If True, the progress is printed to stderr. If a function, Landfall calls it several times a second with a
        `Progress`.
    options
        Options of the table, such as `writers=2` or `lock_timeout="10s"`. A dot in the name of an option is written as
        an underscore: `retry_max` is the option `retry.max`.

    Raises a subclass of `Error` if the write fails, and KeyboardInterrupt after Ctrl-C. The rows are then rolled back,
    except those that were committed at a checkpoint. After an `InDoubtError`, it is unknown whether the rows are
    written. If the commit had begun before Ctrl-C, the rows are written; a note of the exception says so.
    """
    return _write(data, url, table, mode, key, job, columns, batch_rows, progress, options, None)


async def write_async(
    data: Any,
    url: str,
    table: str,
    *,
    mode: Mode = "append",
    key: str | Sequence[str] | None = None,
    job: str | None = None,
    columns: Sequence[str] | Mapping[str, str] | None = None,
    batch_rows: int | None = None,
    progress: Report = None,
    **options: Any,
) -> WriteResult:
    """Like `write`, for asyncio. If the task is cancelled, the write is rolled back before CancelledError is raised.

    If `progress` is a function, it is called in another thread.
    """
    return await in_thread(
        lambda stop: _write(data, url, table, mode, key, job, columns, batch_rows, progress, options, stop)
    )


def _write(
    data: Any,
    url: str,
    table: str,
    mode: str,
    key: str | Sequence[str] | None,
    job: str | None,
    columns: Sequence[str] | Mapping[str, str] | None,
    batch_rows: int | None,
    progress: Report,
    options: Mapping[str, Any],
    stop: _landfall.Stop | None,
) -> WriteResult:
    if isinstance(columns, str):
        raise TypeError("columns is a list of names, not a string")
    with callback(progress) as report:
        return _landfall.write(
            source(data),
            url,
            table,
            mode,
            _names(key),
            None if columns is None else list(columns.items() if isinstance(columns, Mapping) else zip(columns, columns)),
            batch_rows,
            pairs({"job": job, **options}),
            report,
            stop,
        )


def _names(key: str | Iterable[str] | None) -> list[str]:
    if key is None:
        return []
    return [key] if isinstance(key, str) else list(key)


class Session:
    """A session of DataFusion: it gives names to databases and data, and runs statements that use these names.

    >>> session = landfall.connect()
    >>> session.attach("postgres://me@db/sales", "pg")
    >>> session.register("new", df)
    >>> session.sql("MERGE INTO pg.public.weather AS w USING new ON w.day = new.day WHEN NOT MATCHED THEN INSERT *")
    >>> session.sql("SELECT * FROM pg.public.weather").to_pandas()

    Several threads can use the same session, but a forked child process cannot use the session of its parent.
    """

    def __init__(self) -> None:
        self._session = _landfall.Session()

    def attach(self, url: str, name: str, **options: Any) -> None:
        """Registers all tables of a database as `name.schema.table`. The schema of a SQLite database is `main`."""
        self._session.attach(url, name, pairs(options))

    def register(self, name: str, data: Any) -> None:
        """Registers data as a table. `write` describes which data is accepted. Only one statement can read a stream."""
        self._session.register(name, source(data))

    def sql(self, text: str, *, progress: Report = None) -> Any:
        """Runs one statement of DataFusion or of Landfall, such as ATTACH. If the text contains several statements,
        `sql` raises an exception and runs none of them.

        A statement that writes runs immediately, exactly once, and returns a `WriteResult`. A query returns a `Result`;
        the query runs when the rows of the result are read. Any other statement runs immediately and returns a
        `Result`, which can be empty.
        """
        with callback(progress) as report:
            return self._session.sql(text, report, None)

    async def sql_async(self, text: str, *, progress: Report = None) -> Any:
        """Like `sql`, for asyncio. If the task is cancelled, a write is rolled back before CancelledError is raised."""
        with callback(progress) as report:
            return await in_thread(lambda stop: self._session.sql(text, report, stop))


def connect() -> Session:
    """Opens a session."""
    return Session()


def status(
    url: str, *, log: str | None = None, ledger_table: str | None = None, password_env: str | None = None
) -> Status:
    """Returns the jobs in the decision log, and the prepared transaction branches of the database.

    The decision log is `log` or, by default, the ledger table in the database. `url` can also be the URL of a decision
    log.
    """
    return _landfall.status(url, log, pairs({"ledger_table": ledger_table, "password_env": password_env}))


def recover(
    url: str,
    *,
    log: str | None = None,
    job: str | None = None,
    older_than: float | timedelta = timedelta(minutes=5),
    dry_run: bool = False,
    ledger_table: str | None = None,
    password_env: str | None = None,
) -> list[Branch]:
    """Commits or rolls back the prepared transaction branches of a database, as the decision log says.

    A branch without a decision may belong to a running statement. Such a branch is skipped until it is as old as
    `older_than` (seconds, or a timedelta); after that, it is rolled back. With `dry_run`, the function only reports
    what it would do. The function can be called at any time.
    """
    seconds = older_than.total_seconds() if isinstance(older_than, timedelta) else older_than
    options = pairs({"ledger_table": ledger_table, "password_env": password_env})
    return _landfall.recover(url, log, job, seconds, dry_run, options)
