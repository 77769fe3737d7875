"""`landfall.connect`."""

import pandas
import polars
import pyarrow as pa
import pytest

import landfall

DATA = pa.table({"id": [1, 2, 3], "name": ["one", "two", "<b>"]})


@pytest.fixture
def session(place):
    place.create("id BIGINT PRIMARY KEY, name VARCHAR(20)")
    session = landfall.connect()
    session.attach(place.url, "db")
    session.register("new", DATA)
    return session


def test_statements_that_write_run_once_and_count(place, session):
    t = place.in_session
    assert session.sql(f"INSERT INTO {t} SELECT * FROM new").rows == 3
    merged = session.sql(
        f"MERGE INTO {t} AS t USING (SELECT id + 1 AS id, upper(name) AS name FROM new) AS n ON t.id = n.id "
        "WHEN MATCHED THEN UPDATE SET name = n.name WHEN NOT MATCHED THEN INSERT (id, name) VALUES (n.id, n.name)"
    )
    assert (merged.rows, merged.inserted, merged.updated, merged.deleted) == (3, 1, 2, 0)
    assert session.sql(f"UPDATE {t} SET name = 'x' WHERE id = 1").updated == 1
    deleted = session.sql(f"DELETE FROM {t} WHERE id = 1")
    assert (deleted.rows, deleted.deleted) == (1, 1)
    for _ in range(3):
        assert "WriteResult" in repr(deleted)
    assert place.execute("SELECT * FROM {t} ORDER BY id") == [(2, "ONE"), (3, "TWO"), (4, "<B>")]


def test_a_query_is_read_by_every_library(place, session):
    session.sql(f"INSERT INTO {place.in_session} SELECT * FROM new")
    result = session.sql(f"SELECT id, name FROM {place.in_session} ORDER BY id")
    assert isinstance(result, landfall.Result)
    assert result.columns == ["id", "name"]
    rows = [{"id": 1, "name": "one"}, {"id": 2, "name": "two"}, {"id": 3, "name": "<b>"}]
    assert result.to_arrow().to_pylist() == rows
    assert result.to_pandas().to_dict("records") == rows
    assert result.to_polars().to_dicts() == rows
    assert pa.RecordBatchReader.from_stream(result).read_all().to_pylist() == rows
    assert polars.DataFrame(result).to_dicts() == rows
    assert pandas.DataFrame.from_arrow(result).to_dict("records") == rows
    assert pa.schema(result).names == ["id", "name"]
    # Rows that come later are in the next reading.
    place.execute("INSERT INTO {t} VALUES (4, 'late')")
    assert result.to_arrow().num_rows == 4


def test_a_representation_shows_rows_and_writes_nothing(place, session):
    t = place.in_session
    session.sql(f"INSERT INTO {t} SELECT * FROM new")
    result = session.sql(f"SELECT * FROM {t} ORDER BY id")
    assert "one" in repr(result) and "more rows" not in repr(result)
    html = result._repr_html_()
    assert "<th>name</th>" in html and "&lt;b&gt;" in html and "<b>" not in html
    many = session.sql("SELECT value FROM generate_series(1, 1000)")
    assert "more rows" in repr(many) and repr(many).count("\n") < 20
    analyzed = session.sql(f"EXPLAIN ANALYZE INSERT INTO {t} VALUES (9, 'nine')")
    for _ in range(2):
        assert "LandfallSink" in repr(analyzed)
        assert "LandfallSink" in analyzed._repr_html_()
    assert place.count() == 4
    assert "name" in repr(session.sql(f"SELECT * FROM {t} WHERE id > 100"))


def test_a_stream_is_not_read_to_be_shown_and_is_read_once():
    session = landfall.connect()
    session.register("stream", DATA.to_reader())
    result = session.sql("SELECT id FROM stream WHERE id > 1")
    assert "not been read yet" in repr(result) and "not been read yet" in result._repr_html_()
    assert result.to_arrow().num_rows == 2
    with pytest.raises(Exception, match="can be read only once"):
        result.to_arrow()


def test_one_text_is_one_statement(place, session):
    t = place.in_session
    for text in [f"DELETE FROM {t}; DELETE FROM {t}", "", " -- nothing"]:
        with pytest.raises(landfall.ConfigError, match="one statement"):
            session.sql(text)
    assert session.sql(f"INSERT INTO {t} VALUES (7, ';');").rows == 1


def test_other_statements_run_at_once(session):
    assert session.sql("CREATE TABLE mine AS SELECT 1 AS a").columns == []
    assert session.sql("SELECT * FROM mine").to_arrow().to_pylist() == [{"a": 1}]
    session.sql("PREPARE plus AS SELECT $1 + 1 AS b")
    assert session.sql("EXECUTE plus(2)").to_arrow().to_pylist() == [{"b": 3}]
    session.sql("SET datafusion.execution.batch_size = 100")
    assert session.sql("EXPLAIN SELECT 1").to_arrow().num_rows > 0


def test_a_prepared_insert_runs_once_when_it_is_executed(place, session):
    session.sql(f"PREPARE add_row AS INSERT INTO {place.in_session} VALUES ($1, $2)")
    assert place.count() == 0
    assert session.sql("EXECUTE add_row(1, 'a')").rows == 1
    assert place.execute("SELECT * FROM {t}") == [(1, "a")]


def test_copy_writes_a_file_at_once(tmp_path, session):
    path = tmp_path / "out.csv"
    assert session.sql(f"COPY (SELECT * FROM new) TO '{path}' STORED AS CSV").rows == 3
    assert path.read_text().splitlines()[0] == "id,name"


def test_register_replaces_data_and_reads_files(tmp_path):
    session = landfall.connect()
    session.register("d", DATA)
    (tmp_path / "a.csv").write_text("zip\n00701\n")
    session.register("d", tmp_path / "a.csv")
    assert session.sql("SELECT zip FROM d").to_arrow().to_pylist() == [{"zip": "00701"}]


def test_options_of_attach_are_those_of_its_tables(place):
    place.create("id BIGINT PRIMARY KEY, name VARCHAR(20)")
    session = landfall.connect()
    session.attach(place.url, "db", on_conflict="ignore")
    for _ in range(2):
        session.sql(f"INSERT INTO {place.in_session} VALUES (1, 'a')")
    with pytest.raises(landfall.ConfigError, match="did you mean"):
        session.attach(place.url, "other", on_conflit="ignore")


def test_databases_are_attached_and_tables_created_by_sql(place):
    session = landfall.connect()
    options = "" if place.name == "sqlite" else " OPTIONS ('lock_timeout' '10s')"
    assert session.sql(f"ATTACH '{place.url}' AS db{options}").columns == []
    with pytest.raises(landfall.ConfigError, match="already attached"):
        session.attach(place.url, "db")
    session.register("new", DATA)
    created = session.sql(f"CREATE TABLE {place.in_session} AS SELECT * FROM new")
    assert isinstance(created, landfall.WriteResult) and created.rows == 3
    assert place.count() == 3
    session.sql(f"DROP TABLE {place.in_session}")
    session.sql("DETACH db")
    session.attach(place.url, "db")


def test_a_large_result_streams(session):
    reader = pa.RecordBatchReader.from_stream(session.sql("SELECT value FROM generate_series(1, 1000000)"))
    rows = 0
    for batch in reader:
        assert batch.num_rows <= 8192
        rows += batch.num_rows
    assert rows == 1_000_000
