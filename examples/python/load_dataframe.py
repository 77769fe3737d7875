"""Loads a DataFrame into a new table, appends to it, and reads a summary back.

python examples/python/load_dataframe.py [URL]
"""

import sys
from pathlib import Path

import pandas

import landfall

url = sys.argv[1] if len(sys.argv) > 1 else "sqlite:weather.db"
weather = pandas.read_parquet(Path(__file__).parents[1] / "data" / "weather.parquet")
january, later = weather[weather.month == 1], weather[weather.month > 1]

# The table has the types of the columns. All rows are stored, or none.
print(landfall.write(january, url, "python_weather", mode="create"))
print(landfall.write(later, url, "python_weather"))

session = landfall.connect()
session.attach(url, "db")
schema = {"postgres": "public", "mysql": "landfall", "sqlite": "main"}[url.split(":")[0]]
summary = session.sql(f"SELECT origin, count(*) AS hours, round(avg(temp), 1) AS temp FROM db.{schema}.python_weather GROUP BY origin")
print(summary.to_pandas().sort_values("origin").to_string(index=False))
