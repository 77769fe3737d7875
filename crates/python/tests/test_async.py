"""asyncio, and several threads."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pytest

import landfall

SCHEMA = pa.schema({"id": pa.int64()})
DATA = pa.table({"id": range(10)}, SCHEMA)


def _endless():
    number = 0
    while True:
        yield pa.record_batch({"id": range(number, number + 1000)}, SCHEMA)
        number += 1000


def test_writes_are_awaited(place):
    place.create("id BIGINT PRIMARY KEY")

    async def run():
        session = landfall.connect()
        await session.sql_async("SELECT 1")
        return await landfall.write_async(DATA, place.url, place.table)

    assert asyncio.run(run()).rows == 10
    assert place.count() == 10


def test_a_cancelled_task_rolls_back(place):
    place.create("id BIGINT PRIMARY KEY")

    async def run():
        stream = pa.RecordBatchReader.from_batches(SCHEMA, _endless())
        write = asyncio.create_task(landfall.write_async(stream, place.url, place.table))
        await asyncio.sleep(0.5)
        assert not write.done()
        write.cancel()
        with pytest.raises(asyncio.CancelledError):
            await write
        # It is rolled back by now.
        return place.count()

    assert asyncio.run(run()) == 0
    assert place.count() == 0


def test_a_cancelled_statement_of_a_session_rolls_back(postgres):
    postgres.create("id BIGINT PRIMARY KEY")
    session = landfall.connect()
    session.attach(postgres.url, "db")

    async def run():
        text = f"INSERT INTO {postgres.in_session} SELECT value FROM generate_series(1, 1000000000)"
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(session.sql_async(text), 1)

    asyncio.run(run())
    assert postgres.count() == 0


def test_threads_write_at_the_same_time(place):
    place.create("id BIGINT PRIMARY KEY")
    session = landfall.connect()
    session.register("d", DATA)

    def write(number):
        data = pa.table({"id": range(number * 100, number * 100 + 100)})
        assert session.sql("SELECT * FROM d").to_arrow().num_rows == 10
        return landfall.write(data, place.url, place.table, lock_timeout="30s").rows

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(write, range(16))) == 1600
    assert place.count() == 1600


def test_the_same_job_twice_at_once_is_refused(postgres):
    postgres.create("id BIGINT PRIMARY KEY")
    job = f"{postgres.table} job"

    async def run():
        stream = pa.RecordBatchReader.from_batches(SCHEMA, _endless())
        first = asyncio.create_task(landfall.write_async(stream, postgres.url, postgres.table, job=job))
        await asyncio.sleep(1)
        with pytest.raises(landfall.Error, match="job"):
            await landfall.write_async(DATA, postgres.url, postgres.table, job=job)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first

    asyncio.run(run())
    assert postgres.count() == 0


def test_a_stream_can_write_while_it_is_written(sqlite, tmp_path):
    """A generator that calls Landfall: no thread waits for the GIL that another holds."""
    other = f"sqlite:{tmp_path / 'other.db'}"

    def batches():
        for number in range(5):
            batch = pa.record_batch({"id": [number]}, SCHEMA)
            landfall.write(batch, other, "log", mode="create_or_append")
            yield batch

    stream = pa.RecordBatchReader.from_batches(SCHEMA, batches())
    assert landfall.write(stream, sqlite.url, sqlite.table, mode="create").rows == 5
    session = landfall.connect()
    session.attach(other, "other")
    assert session.sql("SELECT count(*) AS n FROM other.main.log").to_arrow().to_pylist() == [{"n": 5}]
