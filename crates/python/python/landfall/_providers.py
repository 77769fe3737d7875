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
        The URL of the database and the name of the table, as for `write`.
    columns
        The columns that the session sees. By default, the session sees only the columns that have no default value in
        the database: it passes NULL for a column that an INSERT omits, so a serial, identity, generated or other column
        with a default would get NULL instead of its default. A column that you list gets what the session passes.
    options
        Options of the table, such as `on_conflict="update"`. The options `checkpoint_…` are not supported.

    - `sql("INSERT …")` writes nothing until `collect()` is called. Each call of `collect()` writes the rows again,
      unless the table has the option `job`.
    - The session converts the values of `sql("INSERT …")` to the types of the columns with DataFusion's casts, which
      can truncate 1.7 to 1. `write_table`, `landfall.write` and `landfall.connect` store each value unchanged, or fail.
    - DELETE, UPDATE and MERGE are not supported: use `landfall.connect`.
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

    The name of the factory must be POSTGRES, MYSQL or SQLITE. Without a column list, the session sees the same columns
    as with `Table` without `columns`. With a column list, the session sees the listed columns, and the table is created
    in the database if it does not exist.
    """

    def __init__(self) -> None:
        self._factory = _landfall.TableFactory()

    def __datafusion_table_provider_factory__(self, session: Any) -> object:
        return self._factory.__datafusion_table_provider_factory__(session)


class Catalog:
    """All tables of a database, for `SessionContext.register_catalog_provider` of the package `datafusion`.

    >>> context.register_catalog_provider("pg", landfall.Catalog("postgres://me@db/sales"))
    >>> context.sql("SELECT * FROM pg.public.weather")

    Of each table, the session sees the same columns as with `Table` without `columns`. `options` apply to all tables.
    """

    def __init__(self, url: str, **options: Any) -> None:
        self._catalog = _landfall.Catalog(url, pairs(options))

    def __datafusion_catalog_provider__(self, session: Any) -> object:
        return self._catalog.__datafusion_catalog_provider__(session)
