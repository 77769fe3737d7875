"""What data can be."""

import datafusion
import duckdb
import pandas
import polars
import pyarrow as pa
import pyarrow.csv
import pyarrow.feather
import pyarrow.parquet
import pytest

import landfall

TABLE = pa.table({"id": [1, 2, 3], "name": ["Ada", "Grace", None], "score": [1.5, None, -2.0]})
ROWS = [(1, "Ada", 1.5), (2, "Grace", None), (3, None, -2.0)]


def _duckdb():
    return duckdb.sql("SELECT * FROM (VALUES (1::BIGINT, 'Ada', 1.5::DOUBLE), (2, 'Grace', NULL), (3, NULL, -2)) AS t(id, name, score)")


def _duckdb_over_pandas():
    """A stream whose threads take the GIL."""
    frame = TABLE.to_pandas()
    return duckdb.from_df(frame).project("id, name, score")


def _datafusion():
    return datafusion.SessionContext().from_arrow(TABLE)


class _Array:
    """Only `__arrow_c_array__`."""

    def __arrow_c_array__(self, requested_schema=None):
        return TABLE.to_batches()[0].__arrow_c_array__(requested_schema)


SOURCES = {
    "pyarrow.Table": lambda: TABLE,
    "pyarrow.RecordBatch": lambda: TABLE.to_batches()[0],
    "pyarrow.RecordBatchReader": TABLE.to_reader,
    "a stream of a generator": lambda: pa.RecordBatchReader.from_batches(TABLE.schema, (TABLE.slice(i, 1).to_batches()[0] for i in range(3))),
    "__arrow_c_array__": _Array,
    "polars": lambda: polars.DataFrame(TABLE),
    "pandas": lambda: TABLE.to_pandas(),
    "pandas with pyarrow types": lambda: TABLE.to_pandas(types_mapper=pandas.ArrowDtype),
    "duckdb": _duckdb,
    "duckdb over pandas": _duckdb_over_pandas,
    "datafusion": _datafusion,
}


@pytest.mark.parametrize("source", SOURCES)
def test_rows_of_any_source_arrive_unchanged(place, source):
    place.create("id BIGINT PRIMARY KEY, name VARCHAR(20), score DOUBLE PRECISION")
    result = landfall.write(SOURCES[source](), place.url, place.table)
    assert (result.rows, result.inserted, result.updated, result.unchanged) == (3, 3, 0, 0)
    assert result.seconds > 0
    assert place.execute("SELECT id, name, score FROM {t} ORDER BY id") == ROWS


@pytest.mark.parametrize("source", SOURCES)
def test_a_result_of_a_session_is_a_source_and_so_is_registered_data(sqlite, source):
    session = landfall.connect()
    session.register("new", SOURCES[source]())
    rows = session.sql("SELECT id + 10 AS id, name, score FROM new WHERE id > 1")
    assert landfall.write(rows, sqlite.url, sqlite.table, mode="create").rows == 2
    assert sqlite.execute("SELECT id, name, score FROM {t} ORDER BY id") == [(12, "Grace", None), (13, None, -2.0)]


WRITERS = {
    "a.parquet": lambda path: pyarrow.parquet.write_table(TABLE, path),
    "a.arrow": lambda path: pyarrow.feather.write_feather(TABLE, path, compression="uncompressed"),
    "a.csv": lambda path: pyarrow.csv.write_csv(TABLE, path),
    "a.csv.gz": lambda path: pandas.DataFrame(TABLE.to_pandas()).to_csv(path, index=False),
    "a.ndjson": lambda path: TABLE.to_pandas().to_json(path, orient="records", lines=True),
}


@pytest.mark.parametrize("name", WRITERS)
def test_files_are_written_by_their_path(place, tmp_path, name):
    WRITERS[name](str(tmp_path / name))
    place.create("id BIGINT PRIMARY KEY, name VARCHAR(20), score DOUBLE PRECISION")
    assert landfall.write(tmp_path / name, place.url, place.table).rows == 3
    assert place.execute("SELECT id, name, score FROM {t} ORDER BY id") == ROWS


def test_a_list_of_paths_and_a_pattern_are_one_write(sqlite, tmp_path):
    for number in range(3):
        pyarrow.parquet.write_table(TABLE.slice(number, 1), tmp_path / f"part{number}.parquet")
    paths = [tmp_path / f"part{number}.parquet" for number in range(2)]
    assert landfall.write(paths, sqlite.url, sqlite.table, mode="create").rows == 2
    assert landfall.write(str(tmp_path / "part*.parquet"), sqlite.url, sqlite.table, mode="overwrite").rows == 3


def test_values_of_a_csv_file_are_not_changed_by_a_guess(place, tmp_path):
    (tmp_path / "a.csv").write_text('zip,day,note\n00701,2013-01-31,"a\nb"\n10001,,\n')
    place.create("zip VARCHAR(9), day DATE, note VARCHAR(20)")
    assert landfall.write(tmp_path / "a.csv", place.url, place.table).rows == 2
    rows = place.execute("SELECT zip, day, note FROM {t} ORDER BY zip")
    assert [(zip, day and str(day), note) for zip, day, note in rows] == [("00701", "2013-01-31", "a\nb"), ("10001", None, None)]


def test_a_new_table_of_a_csv_file_has_types_that_keep_its_values(sqlite, tmp_path):
    (tmp_path / "a.csv").write_text("zip,number\n00701,1\n10001,22\n")
    assert landfall.write(tmp_path / "a.csv", sqlite.url, sqlite.table, mode="create").rows == 2
    assert sqlite.execute("SELECT * FROM {t} ORDER BY number") == [("00701", 1), ("10001", 22)]


def test_an_index_of_pandas_is_a_column_if_it_has_a_name(sqlite):
    frame = pandas.DataFrame({"id": [1, 2, 3], "v": ["a", "b", "c"]})
    sqlite.create("id INTEGER PRIMARY KEY, v TEXT")
    # Its index is 1, 2: no RangeIndex, and no column.
    assert landfall.write(frame[frame.id > 1], sqlite.url, sqlite.table).rows == 2
    assert landfall.write(frame[frame.id < 2].set_index("id"), sqlite.url, sqlite.table).rows == 1
    assert sqlite.execute("SELECT * FROM {t} ORDER BY id") == [(1, "a"), (2, "b"), (3, "c")]


@pytest.mark.parametrize(
    ("data", "hint"),
    [
        (5, "int"),
        ([{"id": 1}], "list"),
        ((batch for batch in TABLE.to_batches()), "RecordBatchReader.from_batches"),
        (polars.LazyFrame({"id": [1]}), "collect"),
    ],
)
def test_other_data_is_a_type_error_that_names_the_next_step(sqlite, data, hint):
    with pytest.raises(TypeError, match=hint):
        landfall.write(data, sqlite.url, sqlite.table, mode="create")


def test_paths_that_cannot_be_read_are_named(sqlite, tmp_path):
    (tmp_path / "a.txt").write_text("x")
    (tmp_path / "a.csv").write_text("x\n1\n")
    (tmp_path / "b.csv").write_text("y\n1\n")
    for data, text in [
        (tmp_path / "missing.parquet", "missing.parquet does not exist"),
        (tmp_path / "a.txt", "could not infer the file type"),
        ([tmp_path / "a.csv", tmp_path / "b.csv"], "columns"),
        ([tmp_path / "a.csv", tmp_path / "b.parquet"], "different file types"),
    ]:
        with pytest.raises(landfall.InputError, match=text):
            landfall.write(data, sqlite.url, sqlite.table, mode="create")


def test_an_error_in_a_text_file_names_its_line_and_column(sqlite, tmp_path):
    (tmp_path / "a.csv").write_text("id,day\n1,2013-01-31\n2,31.01.2013\n")
    sqlite.create("id INTEGER, day DATE")
    with pytest.raises(landfall.Error, match='line 3.*"day"'):
        landfall.write(tmp_path / "a.csv", sqlite.url, sqlite.table)
    assert sqlite.count() == 0
    # With other names the values are texts, and the table gives them their types.
    with pytest.raises(landfall.EncodeError) as caught:
        landfall.write(tmp_path / "a.csv", sqlite.url, sqlite.table, columns={"day": "id"})
    assert (caught.value.row, caught.value.column) == (1, "id")
    (tmp_path / "b.csv").write_text("number,when\n1,2013-01-31\n")
    landfall.write(tmp_path / "b.csv", sqlite.url, sqlite.table, columns={"number": "id", "when": "day"})
    assert sqlite.execute("SELECT id, day FROM {t}") == [(1, "2013-01-31")]
