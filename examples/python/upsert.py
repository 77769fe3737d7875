"""Updates the rows whose key exists and inserts the others. Equal rows are not written.

python examples/python/upsert.py [URL]
"""

import sys

import polars

import landfall

url = sys.argv[1] if len(sys.argv) > 1 else "sqlite:stock.db"

stock = polars.DataFrame({"item": [f"item {number:05}" for number in range(20_000)], "quantity": range(20_000)})
print(landfall.write(stock, url, "python_stock", mode="create_or_append", key="item"))

# 1 % of the rows change, and 100 are new.
counted = stock.with_columns(quantity=polars.when(polars.col("quantity") % 100 == 0).then(-1).otherwise("quantity"))
new = polars.DataFrame({"item": [f"new {number}" for number in range(100)], "quantity": range(100)})
result = landfall.write(counted.extend(new), url, "python_stock", mode="update", key="item")
print(result)

if result.unchanged is not None:
    # SQLite writes all rows, and does not count.
    assert (result.inserted, result.updated, result.unchanged) == (100, 200, 19_800)
