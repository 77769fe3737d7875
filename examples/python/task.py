"""A task of an orchestrator such as Airflow or Prefect: however often it is retried, each row is stored once.

python examples/python/task.py [URL]
"""

import sys
import time
from pathlib import Path

import pandas

import landfall

WEATHER = Path(__file__).parents[1] / "data" / "weather.parquet"


def load_month(url: str, month: int) -> int:
    """The task: a plain function, for `@task(retries=3)`. It returns the number of rows that are stored.

    The name of the job is the same in each attempt, and another one for each month. An attempt after one that was committed
    writes nothing, also if that one was killed before it could say so.
    """
    weather = pandas.read_parquet(WEATHER)
    result = landfall.write(
        weather[weather.month == month], url, "python_months", mode="create_or_append", job=f"weather of 2013-{month:02}"
    )
    print(f"month {month}: {result.rows} rows written, {result.resumed} by an earlier attempt")
    return result.rows + result.resumed


def run(task, *arguments, retries: int = 3, seconds: float = 0.1):
    """What the orchestrator does. Only errors that can pass are worth another attempt."""
    for attempt in range(retries + 1):
        try:
            return task(*arguments)
        except (landfall.TransientError, landfall.InDoubtError, ConnectionError) as error:
            if attempt == retries:
                raise
            print(f"attempt {attempt + 1} failed: {error}")
            time.sleep(seconds * 2**attempt)


def lost_once(task):
    """A worker whose first attempt is lost after its commit."""
    attempts = []

    def attempt(*arguments):
        rows = task(*arguments)
        attempts.append(rows)
        if len(attempts) == 1:
            raise ConnectionError("the worker is lost")
        return rows

    return attempt


url = sys.argv[1] if len(sys.argv) > 1 else "sqlite:months.db"
stored = sum(run(task, url, month) for month, task in [(1, load_month), (2, lost_once(load_month))])

session = landfall.connect()
session.attach(url, "db")
schema = {"postgres": "public", "mysql": "landfall", "sqlite": "main"}[url.split(":")[0]]
[count] = session.sql(f"SELECT count(*) AS rows FROM db.{schema}.python_months").to_arrow().to_pylist()
print(f"{count['rows']} rows are stored")
assert count["rows"] == stored
