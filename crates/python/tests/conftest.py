"""The databases of the tests, each with a client that is not Landfall."""

from __future__ import annotations

import itertools
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pymysql
import pytest

_numbers = itertools.count(1)


class Place:
    """A database, and a table that no other test has."""

    def __init__(self, name: str, url: str) -> None:
        self.name = name
        self.url = url
        self.table = f"python_{os.getpid()}_{next(_numbers)}"
        parts = urlsplit(url)
        if name == "postgres":
            self.client: Any = psycopg.connect(url, autocommit=True)
        elif name == "mysql":
            self.client = pymysql.connect(
                host=parts.hostname, port=parts.port, user=parts.username, database=parts.path[1:], autocommit=True
            )
        else:
            self.client = sqlite3.connect(url.removeprefix("sqlite:"), isolation_level=None)

    @property
    def in_session(self) -> str:
        """The table in a session that has attached the database as `db`."""
        schema = {"postgres": "public", "mysql": "landfall", "sqlite": "main"}[self.name]
        return f"db.{schema}.{self.table}"

    def execute(self, sql: str) -> list[tuple[Any, ...]]:
        """Runs a statement, in which {t} is the table."""
        cursor = self.client.cursor()
        cursor.execute(sql.replace("{t}", self.table))
        return list(cursor.fetchall()) if cursor.description else []

    def create(self, columns: str) -> None:
        self.execute(f"CREATE TABLE {{t}} ({columns})")

    def count(self) -> int:
        return self.execute("SELECT count(*) FROM {t}")[0][0]

    def connections(self) -> int:
        """The connections of all clients to the server."""
        match self.name:
            case "postgres":
                return self.execute("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'")[0][0]
            case "mysql":
                return len(self.execute("SHOW PROCESSLIST"))
            case _:
                return 0

    def close(self) -> None:
        self.execute("DROP TABLE IF EXISTS {t}")
        self.client.close()


def _url(name: str, folder: Path) -> str:
    if name == "sqlite":
        return f"sqlite:{folder / 'test.db'}"
    variable = f"LANDFALL_TEST_{name.upper()}"
    server = os.environ.get(variable)
    if not server:
        pytest.fail(f"{variable} is not set: run tests/python, which starts the servers")
    port = Path(server, "port").read_text().strip()
    host = {"postgres": "localhost", "mysql": "127.0.0.1"}[name]
    return f"{name}://landfall@{host}:{port}/landfall"


def _place(name: str, folder: Path) -> Iterator[Place]:
    place = Place(name, _url(name, folder))
    yield place
    place.close()


@pytest.fixture(params=["postgres", "mysql", "sqlite"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """Each database."""
    yield from _place(request.param, tmp_path)


@pytest.fixture
def postgres(tmp_path: Path) -> Iterator[Place]:
    yield from _place("postgres", tmp_path)


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[Place]:
    yield from _place("sqlite", tmp_path)
