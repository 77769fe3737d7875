"""Tables for sessions of the package `datafusion`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from . import _landfall
from ._options import pairs


class Table:
    """A table of a database, for `SessionContext.register_table` of the package `datafusion`.

    >>> context = datafusion.SessionContext()
    >>> context.register_table("weather", landfall.Table("postgres://me@db/sales", "public.weather", job="weather 2013"))
    >>> context.sql("INSERT INTO weather SELECT * FROM source").collect()
    >>> df.write_table("weather")

    url, table
        The database and its table, as for `write`.
    columns
        The columns that the session sees. The default is those without a default in the database: the session passes NULL
        for a column that an INSERT leaves out, so a serial, identity, generated or other column with a default would not get
        its default. A column that you list gets what the session passes.
    options
        Options of the table, such as `on_conflict="update"`. `checkpoint_…` is not supported.

    - `sql("INSERT …")` writes nothing yet. `collect()` writes, and writes again each time: with `job`, once.
    - The session converts the values of `sql("INSERT …")` to the types of the columns by its own casts, which can truncate
      1.7 to 1. `write_table`, `landfall.write` and `landfall.connect` do not: they store a value unchanged, or fail.
    - DELETE, UPDATE and MERGE need `landfall.connect`.
    """

    def __init__(self, url: str, table: str, *, columns: Sequence[str] | None = None, **options: Any) -> None:
        if isinstance(columns, str):
            raise TypeError("columns is a list of names, not a string")
        self._table = _landfall.Table(url, table, None if columns is None else list(columns), pairs(options))

    @property
    def columns(self) -> list[str]:
        """The names of the columns that a session sees."""
        return self._table.columns

    def __datafusion_table_provider__(self, session: Any) -> object:
        return self._table.__datafusion_table_provider__(session)


class TableFactory:
    """CREATE EXTERNAL TABLE for `SessionContext.register_table_factory` of the package `datafusion`.

    >>> context.register_table_factory("POSTGRES", landfall.TableFactory())
    >>> context.sql("CREATE EXTERNAL TABLE weather STORED AS POSTGRES LOCATION 'postgres://me@db/sales'")

    The name is POSTGRES, MYSQL or SQLITE. Without a column list, the session sees the columns that `Table` has without
    `columns`. With a column list, it sees these, and a missing table is created.
    """

    def __init__(self) -> None:
        self._factory = _landfall.TableFactory()

    def __datafusion_table_provider_factory__(self, session: Any) -> object:
        return self._factory.__datafusion_table_provider_factory__(session)


class Catalog:
    """All tables of a database, for `SessionContext.register_catalog_provider` of the package `datafusion`.

    >>> context.register_catalog_provider("pg", landfall.Catalog("postgres://me@db/sales"))
    >>> context.sql("SELECT * FROM pg.public.weather")

    The session sees the columns that `Table` has without `columns`. `options` apply to all tables.
    """

    def __init__(self, url: str, **options: Any) -> None:
        self._catalog = _landfall.Catalog(url, pairs(options))

    def __datafusion_catalog_provider__(self, session: Any) -> object:
        return self._catalog.__datafusion_catalog_provider__(session)
