"""Errors by kind."""

import pyarrow as pa
import pytest

import landfall


def test_all_errors_are_below_one():
    kinds = [getattr(landfall, name) for name in landfall.__all__ if name.endswith("Error")]
    assert len(kinds) >= 16
    assert all(issubclass(kind, landfall.Error) and kind.__doc__ for kind in kinds)


def test_a_value_that_does_not_fit_names_its_row_and_column(place):
    place.create("id BIGINT PRIMARY KEY, v SMALLINT")
    data = pa.table({"id": range(50_000), "v": [0] * 37_776 + [40_000] + [0] * 12_223})
    if place.name == "sqlite":
        # A SMALLINT of SQLite holds 64 bits.
        data = pa.table({"id": range(3), "v": ["1", "x", "3"]})
    with pytest.raises(landfall.EncodeError) as caught:
        landfall.write(data, place.url, place.table)
    assert (caught.value.kind, caught.value.column) == ("encode", "v")
    assert caught.value.row == (2 if place.name == "sqlite" else 37_777)
    assert place.count() == 0


def test_several_writers_name_the_rows_of_a_batch(postgres):
    postgres.create("id BIGINT PRIMARY KEY, v SMALLINT")
    data = pa.table({"id": range(100_000), "v": [0] * 77_776 + [40_000] + [0] * 22_223})
    with pytest.raises(landfall.EncodeError) as caught:
        landfall.write(data, postgres.url, postgres.table, writers=2)
    first, last = caught.value.rows
    assert caught.value.row is None and first < 77_777 < last < first + 8192
    assert postgres.count() == 0


def test_a_key_that_exists_is_a_constraint_error(place):
    place.create("id BIGINT PRIMARY KEY")
    place.execute("INSERT INTO {t} VALUES (5)")
    with pytest.raises(landfall.ConstraintError) as caught:
        landfall.write(pa.table({"id": [4, 5]}), place.url, place.table)
    assert caught.value.kind == "constraint"
    assert place.count() == 1


def test_a_missing_table_and_a_missing_column_are_schema_errors(place):
    data = pa.table({"id": [1], "other": [2]})
    with pytest.raises(landfall.SchemaError, match="mode create"):
        landfall.write(data, place.url, place.table)
    place.create("id BIGINT PRIMARY KEY")
    with pytest.raises(landfall.SchemaError, match='"other"'):
        landfall.write(data, place.url, place.table)


def test_a_server_that_is_not_there_is_transient_and_no_password_is_shown():
    for url in ["postgres://me:s3cret@localhost:1/x", "mysql://me:s3cret@127.0.0.1:1/x"]:
        with pytest.raises(landfall.TransientError) as caught:
            landfall.write(pa.table({"id": [1]}), url, "t", pool_acquire_timeout="2s")
        assert caught.value.kind == "unavailable"
        assert "s3cret" not in str(caught.value) and "s3cret" not in repr(caught.value)
        with pytest.raises(landfall.Error) as caught:
            landfall.connect().attach(url, "db")
        assert "s3cret" not in str(caught.value)
    with pytest.raises(landfall.ConfigError) as caught:
        landfall.write(pa.table({"id": [1]}), "nosuch://me:s3cret@h/x", "t")
    assert "s3cret" not in str(caught.value)


def test_a_locked_table_is_a_transient_error(postgres):
    postgres.create("id BIGINT PRIMARY KEY")
    postgres.execute("BEGIN")
    postgres.execute("LOCK TABLE {t} IN ACCESS EXCLUSIVE MODE")
    with pytest.raises(landfall.TransientError) as caught:
        landfall.write(pa.table({"id": [1]}), postgres.url, postgres.table, lock_timeout="200ms")
    assert caught.value.kind == "locked"
    postgres.execute("ROLLBACK")


def test_an_error_of_the_generator_is_an_input_error_and_rolls_back(place):
    place.create("id BIGINT PRIMARY KEY")
    schema = pa.schema({"id": pa.int64()})

    def batches():
        for number in range(20):
            yield pa.record_batch({"id": range(number * 10_000, (number + 1) * 10_000)}, schema)
        raise ValueError("the sensor is broken")

    with pytest.raises(landfall.InputError, match="the sensor is broken"):
        landfall.write(pa.RecordBatchReader.from_batches(schema, batches()), place.url, place.table)
    assert place.count() == 0


def test_a_table_that_a_failed_write_created_is_gone(place):
    schema = pa.schema({"id": pa.int64()})

    def batches():
        yield pa.record_batch({"id": [1]}, schema)
        raise ValueError("broken")

    with pytest.raises(landfall.InputError, match="broken"):
        landfall.write(pa.RecordBatchReader.from_batches(schema, batches()), place.url, place.table, mode="create")
    assert landfall.write(pa.table({"id": [1]}), place.url, place.table, mode="create").rows == 1


def test_statements_that_cannot_be_planned_are_sql_errors():
    session = landfall.connect()
    for text in ["SELEC 1", "SELECT * FROM nothing", "SELECT nothing FROM (VALUES (1)) AS t(a)"]:
        with pytest.raises(landfall.SqlError):
            session.sql(text)
    with pytest.raises(landfall.Error):
        session.sql("SELECT 1 / 0").to_arrow()
