"""Loads the first rows of a Parquet file into the table bench_events, and prints the seconds that took.

    load.py adbc/postgres|adbc/sqlite|duckdb/postgres|duckdb/mysql|duckdb/sqlite PLACE ROWS FILE

PLACE is the URL of a server, or the file of SQLite. The rows are in memory before the clock starts; it connects inside
of that time, writes in one transaction, and commits.
"""

import sys
import time
from urllib.parse import urlsplit


def adbc(database, place, rows, file):
    import pyarrow.parquet

    if database == "postgres":
        from adbc_driver_postgresql import dbapi
    else:
        from adbc_driver_sqlite import dbapi
    table = pyarrow.parquet.read_table(file).slice(0, rows)
    schema = pyarrow.schema([field.with_type(plain(field.type)) for field in table.schema])
    # As large as the batches that the other side gets.
    batches = table.cast(schema).combine_chunks().to_batches(max_chunksize=8192)
    reader = pyarrow.RecordBatchReader.from_batches(schema, batches)
    began = time.monotonic()
    # What it does by itself: a transaction, not a commit after each statement.
    connection = dbapi.connect(place)
    with connection.cursor() as cursor:
        cursor.adbc_ingest("bench_events", reader, mode="append")
    connection.commit()
    connection.close()
    return time.monotonic() - began


def plain(arrow_type):
    import pyarrow

    return pyarrow.string() if arrow_type == pyarrow.string_view() else arrow_type


def duckdb(database, place, rows, file):
    import duckdb
    from duckdb_extensions import import_extension

    # From the package, as its own INSTALL would download it.
    import_extension(f"{database}_scanner")
    connection = duckdb.connect()
    connection.load_extension(f"{database}_scanner")
    connection.execute("CREATE TABLE events AS SELECT * FROM read_parquet(?) LIMIT ?", [file, rows])
    if database == "sqlite":
        name, table = place, "server.bench_events"
    else:
        port = urlsplit(place).port
        database_key = "dbname" if database == "postgres" else "database"
        name = f"host=127.0.0.1 port={port} user=landfall {database_key}=landfall"
        table = "server.bench_events" if database == "postgres" else "server.landfall.bench_events"
    began = time.monotonic()
    connection.execute(f"ATTACH '{name}' AS server (TYPE {database})")
    connection.execute(f"INSERT INTO {table} SELECT * FROM events")
    connection.execute("DETACH server")
    return time.monotonic() - began


peer, database = sys.argv[1].split("/")
load = {"adbc": adbc, "duckdb": duckdb}[peer]
print(load(database, sys.argv[2], int(sys.argv[3]), sys.argv[4]))
