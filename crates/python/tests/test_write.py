"""`landfall.write`: modes, keys, columns and options."""

from datetime import timedelta

import pyarrow as pa
import pytest

import landfall

OLD = pa.table({"id": [1, 2], "name": ["one", "two"], "score": [1.0, 2.0]})
NEW = pa.table({"id": [2, 3], "name": ["TWO", "three"]})


def _table(place):
    place.create("id BIGINT PRIMARY KEY, name VARCHAR(20), score DOUBLE PRECISION DEFAULT 9.5")
    landfall.write(OLD, place.url, place.table)


@pytest.mark.parametrize(
    ("mode", "rows"),
    [
        ("update", [(1, "one", 1.0), (2, "TWO", 2.0), (3, "three", 9.5)]),
        ("ignore", [(1, "one", 1.0), (2, "two", 2.0), (3, "three", 9.5)]),
        ("replace_rows", [(1, "one", 1.0), (2, "TWO", 9.5), (3, "three", 9.5)]),
        ("overwrite", [(2, "TWO", 9.5), (3, "three", 9.5)]),
        ("create_or_append", None),
        ("append", None),
        ("create", None),
    ],
)
def test_each_mode_does_what_it_says_to_existing_rows(place, mode, rows):
    _table(place)
    write = lambda: landfall.write(NEW, place.url, place.table, mode=mode)
    if rows is None:
        with pytest.raises(landfall.SchemaError if mode == "create" else landfall.ConstraintError):
            write()
        rows = [(1, "one", 1.0), (2, "two", 2.0)]
    else:
        assert write().rows == (1 if mode == "ignore" else 2)
    assert place.execute("SELECT id, name, score FROM {t} ORDER BY id") == rows


def test_a_new_table_has_the_key_and_the_types_of_the_data(place):
    result = landfall.write(OLD, place.url, place.table, mode="create_or_append", key="id")
    assert result.inserted == 2
    assert place.execute("SELECT id, name, score FROM {t} ORDER BY id") == [(1, "one", 1.0), (2, "two", 2.0)]
    with pytest.raises(landfall.ConstraintError):
        landfall.write(OLD, place.url, place.table, mode="create_or_append", key="id")


def test_the_key_of_an_update_can_be_another_unique_index(place):
    place.create("id BIGINT PRIMARY KEY, code VARCHAR(9) NOT NULL UNIQUE, v BIGINT")
    place.execute("INSERT INTO {t} VALUES (1, 'a', 1)")
    data = pa.table({"id": [1], "code": ["a"], "v": [7]})
    landfall.write(data, place.url, place.table, mode="update", key=["code"])
    assert place.execute("SELECT * FROM {t}") == [(1, "a", 7)]


def test_an_upsert_by_difference_counts_what_it_found(place):
    if place.name == "sqlite":
        pytest.skip("SQLite upserts without reading")
    place.create("id BIGINT PRIMARY KEY, v BIGINT")
    landfall.write(pa.table({"id": range(1000), "v": [0] * 1000}), place.url, place.table)
    data = pa.table({"id": range(500, 1500), "v": [0] * 400 + [1] * 600})
    result = landfall.write(data, place.url, place.table, mode="update", upsert="diff")
    assert (result.rows, result.inserted, result.updated, result.unchanged) == (1000, 500, 100, 400)
    assert "unchanged=400" in repr(result)


def test_columns_are_chosen_and_renamed(place):
    place.create("id BIGINT PRIMARY KEY, label VARCHAR(20)")
    landfall.write(OLD, place.url, place.table, columns={"id": "id", "name": "label"})
    landfall.write(NEW.slice(1), place.url, place.table, columns=["id"])
    assert place.execute("SELECT * FROM {t} ORDER BY id") == [(1, "one"), (2, "two"), (3, None)]
    with pytest.raises(TypeError):
        landfall.write(OLD, place.url, place.table, columns="id")


def test_columns_match_by_name_in_any_order_and_case(place):
    place.create("id BIGINT PRIMARY KEY, name VARCHAR(20)")
    landfall.write(pa.table({"NAME": ["x"], "Id": [4]}), place.url, place.table)
    assert place.execute("SELECT * FROM {t}") == [(4, "x")]


def test_names_with_quotes_and_blanks_are_names(sqlite):
    data = pa.table({'a "b"': [1], "select": ["x"], "Größe": [2.5]})
    landfall.write(data, sqlite.url, sqlite.table, mode="create", columns=['a "b"', "select", "Größe"])
    assert sqlite.execute('SELECT "a ""b""", "select", "Größe" FROM {t}') == [(1, "x", 2.5)]


def test_options_are_keywords_with_values_of_python(postgres):
    postgres.create("id BIGINT PRIMARY KEY, name TEXT, score DOUBLE PRECISION")
    options = {"lock_timeout": timedelta(seconds=2), "retry_max": 0, "writers": 2, "diff_lock": True}
    landfall.write(OLD, postgres.url, postgres.table, **options)
    landfall.write(NEW, postgres.url, postgres.table, mode="update", **{"retry.max": 1, "memory.limit": "8MB"})
    assert postgres.count() == 3


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"on_conflit": "update"}, "did you mean 'on_conflict'"),
        ({"retry_mx": 3}, "did you mean 'retry.max'"),
        ({"lock_timeout": 5}, "lock_timeout"),
        ({"mode": "replace"}, "'overwrite' replaces all rows"),
        ({"mode": "append", "key": "id"}, "key"),
        ({"batch_rows": 0}, "batch_rows"),
        ({"job": ""}, "job"),
    ],
)
def test_an_argument_that_means_nothing_is_refused(sqlite, given, text):
    sqlite.create("id INTEGER, name TEXT, score REAL")
    with pytest.raises(landfall.ConfigError, match=text):
        landfall.write(OLD, sqlite.url, sqlite.table, **given)
    assert sqlite.count() == 0


def test_batch_rows_cuts_batches_and_loses_none(place):
    place.create("id BIGINT PRIMARY KEY")
    data = pa.table({"id": range(10_000)})
    assert landfall.write(data.to_reader(), place.url, place.table, batch_rows=7).rows == 10_000
    assert place.execute("SELECT count(*), sum(id) FROM {t}") == [(10_000, 49_995_000)]


def test_a_job_runs_once(place):
    for expected in ((2, 0), (0, 2)):
        result = landfall.write(OLD, place.url, place.table, mode="create_or_append", job=f"{place.table} job")
        assert (result.rows, result.resumed) == expected
    assert place.count() == 2
    place.execute("DELETE FROM {t}")
    stream = lambda: OLD.to_reader()
    for expected in (2, 0):
        assert landfall.write(stream(), place.url, place.table, job=f"{place.table} stream").rows == expected


def test_a_job_that_finished_says_so_in_the_log(sqlite, caplog):
    for _ in range(2):
        landfall.write(OLD, sqlite.url, sqlite.table, mode="create_or_append", job="once")
    [record] = [record for record in caplog.records if record.levelname == "WARNING"]
    assert record.name == "landfall" and "once" in record.getMessage() and "finished" in record.getMessage()


def test_a_table_in_memory_resumes_with_checkpoints_and_a_stream_is_refused(place):
    place.create("id BIGINT PRIMARY KEY")
    data = pa.table({"id": range(5000)})
    with pytest.raises(landfall.UnsupportedError, match="pyarrow.Table"):
        landfall.write(data.to_reader(), place.url, place.table, job=f"{place.table} j", checkpoint_rows=1000)
    with pytest.raises(landfall.ConfigError, match="retry.max"):
        landfall.write(data.to_reader(), place.url, place.table, retry_max=3)
    assert place.count() == 0
    assert landfall.write(data, place.url, place.table, job=f"{place.table} j", checkpoint_rows=1000).rows == 5000
    assert place.count() == 5000


def test_no_rows_and_no_columns(place):
    place.create("id BIGINT PRIMARY KEY")
    assert landfall.write(pa.table({"id": pa.array([], pa.int64())}), place.url, place.table).rows == 0
    with pytest.raises(landfall.Error):
        landfall.write(pa.table({}), place.url, place.table)


def test_progress_is_called_with_growing_numbers(postgres):
    postgres.create("id BIGINT PRIMARY KEY, v TEXT")
    data = pa.table({"id": range(400_000), "v": ["x" * 50] * 400_000})
    seen = []
    landfall.write(data, postgres.url, postgres.table, progress=seen.append)
    assert len(seen) >= 2
    assert [progress.rows for progress in seen] == sorted(progress.rows for progress in seen)
    assert seen[-1].seconds > 0 and 0 < seen[-1].rows <= 400_000


def test_a_progress_function_can_read_and_write(postgres, sqlite):
    """Code of C releases the GIL below a call of Rust, and calls Rust again."""
    postgres.create("id BIGINT PRIMARY KEY, v TEXT")
    data = pa.table({"id": range(200_000), "v": ["x" * 50] * 200_000})
    session = landfall.connect()
    read = []

    def look(progress):
        read.append(session.sql("SELECT * FROM generate_series(1, 100000)").to_arrow().num_rows)
        result = session.sql("SELECT 1 AS a")
        read.append(landfall.write(result, sqlite.url, sqlite.table, mode="create_or_append").rows)

    landfall.write(data, postgres.url, postgres.table, progress=look)
    assert read and set(read) == {100_000, 1}
    assert postgres.count() == 200_000


def test_an_exception_of_the_progress_function_rolls_back(postgres):
    postgres.create("id BIGINT PRIMARY KEY, v TEXT")
    data = pa.table({"id": range(500_000), "v": ["x" * 50] * 500_000})

    def fail(progress):
        raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        landfall.write(data, postgres.url, postgres.table, progress=fail)
    assert postgres.count() == 0
