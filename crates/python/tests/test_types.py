"""What is stored, as a client that is not Landfall reads it, and what is read back."""

import datetime as dt
import json
import uuid
from decimal import Decimal

import polars
import pyarrow as pa
import pytest

import landfall

UTC = dt.timezone.utc
TIME = dt.datetime(2013, 1, 31, 23, 59, 58, 123456)
OLD = dt.datetime(1969, 12, 31, 23, 59, 59, 999999)

# The Arrow type, the values, and for each database the type of the column. A tuple has the values that the client returns,
# where these are others.
CASES = {
    "bool": (pa.bool_(), [True, False, None], {"postgres": "boolean", "mysql": ("boolean", [1, 0, None]), "sqlite": ("BOOLEAN", [1, 0, None])}),
    "int8": (pa.int8(), [-128, 127, None], {"postgres": "smallint", "mysql": "tinyint", "sqlite": "INTEGER"}),
    "int16": (pa.int16(), [-32768, 32767, None], {"postgres": "smallint", "mysql": "smallint", "sqlite": "INTEGER"}),
    "int32": (pa.int32(), [-(2**31), 2**31 - 1, None], {"postgres": "integer", "mysql": "int", "sqlite": "INTEGER"}),
    "int64": (pa.int64(), [-(2**63), 2**63 - 1, None], {"postgres": "bigint", "mysql": "bigint", "sqlite": "INTEGER"}),
    "uint8": (pa.uint8(), [0, 255, None], {"postgres": "smallint", "mysql": "tinyint unsigned", "sqlite": "INTEGER"}),
    "uint64": (
        pa.uint64(),
        [0, 2**63 - 1, None],
        {"postgres": ("numeric(20)", [Decimal(0), Decimal(2**63 - 1), None]), "mysql": "bigint unsigned", "sqlite": "INTEGER"},
    ),
    "float32": (pa.float32(), [0.5, -1.25, None], {"postgres": "real", "mysql": "float", "sqlite": "REAL"}),
    "float64": (pa.float64(), [0.1, -1e300, None], {"postgres": "double precision", "mysql": "double", "sqlite": "REAL"}),
    "decimal128": (
        pa.decimal128(20, 8),
        [Decimal("1.00000001"), Decimal("-123456789012.00000000"), None],
        {"postgres": "numeric(20,8)", "mysql": "decimal(20,8)"},
    ),
    "string": (pa.string(), ["", "Zürich 🌊", None], {"postgres": "text", "mysql": "varchar(40)", "sqlite": "TEXT"}),
    "large_string": (pa.large_string(), ["a\tb\\n'\"", "x", None], {"postgres": "text", "mysql": "text", "sqlite": "TEXT"}),
    "string_view": (pa.string_view(), ["a rather long text in a view", "x", None], {"postgres": "text", "mysql": "text", "sqlite": "TEXT"}),
    "dictionary": (pa.dictionary(pa.int32(), pa.string()), ["red", "blue", None], {"postgres": "text", "mysql": "text", "sqlite": "TEXT"}),
    "binary": (pa.binary(), [b"", b"\x00\xff\n", None], {"postgres": "bytea", "mysql": "blob", "sqlite": "BLOB"}),
    "date32": (
        pa.date32(),
        [dt.date(1900, 3, 1), dt.date(2038, 2, 1), None],
        {"postgres": "date", "mysql": "date", "sqlite": ("DATE", ["1900-03-01", "2038-02-01", None])},
    ),
    "timestamp[us]": (pa.timestamp("us"), [TIME, OLD, None], {"postgres": "timestamp", "mysql": "datetime(6)"}),
    "timestamp[ms]": (
        pa.timestamp("ms"),
        [TIME.replace(microsecond=123000), None],
        {"postgres": "timestamp", "mysql": "datetime(3)"},
    ),
    "timestamp[ns]": (pa.timestamp("ns"), [TIME, OLD, None], {"postgres": "timestamp", "mysql": "datetime(6)"}),
    "timestamp[us, UTC]": (pa.timestamp("us", "UTC"), [TIME.replace(tzinfo=UTC), None], {"postgres": "timestamptz"}),
    "time64[us]": (
        pa.time64("us"),
        [dt.time(23, 59, 59, 999999), None],
        {"postgres": "time", "mysql": ("time(6)", [dt.timedelta(hours=23, minutes=59, seconds=59, microseconds=999999), None])},
    ),
    "list": (pa.list_(pa.int32()), [[1, None, 3], [], None], {"postgres": "integer[]"}),
    "uuid as text": (
        pa.string(),
        ["6f1d1d3a-0c7e-4d7b-9d0e-3f2b1a4c5d6e", None],
        {"postgres": ("uuid", [uuid.UUID("6f1d1d3a-0c7e-4d7b-9d0e-3f2b1a4c5d6e"), None])},
    ),
    "json as text": (pa.string(), ['{"a": [1, null]}', None], {"postgres": ("jsonb", [{"a": [1, None]}, None])}),
    "null": (pa.null(), [None, None], {"postgres": "text", "mysql": "text", "sqlite": "TEXT"}),
}


def _cases(name):
    return pytest.mark.parametrize("case", [case for case, (*_, columns) in CASES.items() if name in columns])


def _data(case):
    arrow, values, columns = CASES[case]
    values = pa.array(values, arrow) if not pa.types.is_dictionary(arrow) else pa.array(values).dictionary_encode()
    return pa.table({"id": range(len(values)), "v": values}), columns


def _number(value):
    """A value as one that does not depend on the type of the client."""
    if isinstance(value, dt.timedelta):
        value = (dt.datetime.min + value).time()
    return str(int(value)) if isinstance(value, (bool, int, Decimal)) else str(value)


@pytest.mark.parametrize("case", CASES)
def test_a_client_reads_what_was_written(place, case):
    data, columns = _data(case)
    if place.name not in columns:
        pytest.skip(f"{place.name} has no such type")
    column = columns[place.name]
    sql_type, expected = column if isinstance(column, tuple) else (column, CASES[case][1])
    place.create(f"id BIGINT PRIMARY KEY, v {sql_type} NULL")
    assert landfall.write(data, place.url, place.table).rows == len(expected)
    assert [value for (value,) in place.execute("SELECT v FROM {t} ORDER BY id")] == expected
    # And Landfall reads the same.
    session = landfall.connect()
    session.attach(place.url, "db")
    read = session.sql(f"SELECT v FROM {place.in_session} ORDER BY id").to_arrow()["v"].to_pylist()
    if case == "json as text":
        read = [value and json.loads(value) for value in read]
        expected = [{"a": [1, None]}, None]
    elif case == "uuid as text":
        expected = CASES[case][1]
    elif isinstance(column, tuple):
        # The client has another type for it.
        read, expected = ([None if value is None else _number(value) for value in values] for values in (read, expected))
    assert read == expected


@pytest.mark.parametrize("case", [case for case in CASES if case != "null"])
def test_a_table_that_is_created_keeps_every_value(place, case):
    data, _ = _data(case)
    try:
        landfall.write(data, place.url, place.table, mode="create", key="id")
    except landfall.Error as error:
        # A type that the database has not: refused, by the name of the type.
        assert error.kind in ("schema", "encode", "unsupported", "config"), error
        assert case in ("list", "decimal128", "timestamp[ns]"), error
        return
    session = landfall.connect()
    session.attach(place.url, "db")
    read = session.sql(f"SELECT v FROM {place.in_session} ORDER BY id").to_arrow()["v"].to_pylist()
    values = CASES[case][1]
    plain = lambda value: value.replace(tzinfo=None) if isinstance(value, dt.datetime) else value
    if place.name == "sqlite" and case == "decimal128":
        assert [value and Decimal(value) for value in read] == values
    elif case == "list" and place.name != "postgres":
        assert [value and json.loads(value) if isinstance(value, str) else value for value in read] == values
    else:
        assert list(map(plain, read)) == list(map(plain, values))


def test_frames_of_polars_have_their_own_types(postgres):
    frame = polars.DataFrame(
        {"id": [1, 2], "c": polars.Series(["a", "b"], dtype=polars.Categorical), "d": [dt.date(2020, 1, 1), None]}
    )
    landfall.write(frame, postgres.url, postgres.table, mode="create", key="id")
    assert postgres.execute("SELECT * FROM {t} ORDER BY id") == [(1, "a", dt.date(2020, 1, 1)), (2, "b", None)]


def test_nanoseconds_are_refused_or_truncated(postgres):
    postgres.create("id BIGINT PRIMARY KEY, v timestamp")
    data = pa.table({"id": [1], "v": pa.array([1_000_000_001], pa.timestamp("ns"))})
    with pytest.raises(landfall.EncodeError) as caught:
        landfall.write(data, postgres.url, postgres.table)
    assert (caught.value.row, caught.value.column) == (1, "v")
    landfall.write(data, postgres.url, postgres.table, nanoseconds="truncate")
    assert postgres.execute("SELECT v FROM {t}") == [(dt.datetime(1970, 1, 1, 0, 0, 1),)]
