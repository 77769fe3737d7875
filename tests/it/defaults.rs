//! CREATE EXTERNAL TABLE with and without columns; keys, NOT NULL, defaults, generated columns.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::{Constraint, TableReference};

use crate::landing::{Landing, says};

#[tokio::test]
async fn a_table_that_is_not_there_is_created_as_declared() {
    let landing = Landing::new("");
    let columns = "(id BIGINT PRIMARY KEY, name VARCHAR NOT NULL, n INT DEFAULT -7, price DECIMAL(10,2) DEFAULT 0.10, \
                   day DATE DEFAULT '2020-02-29', note VARCHAR DEFAULT 'it''s', ok BOOLEAN DEFAULT true, UNIQUE (name))";
    landing.register("t", columns, "").await.unwrap();
    landing.sql("INSERT INTO t (name) VALUES ('a'), ('b')").await.unwrap();
    assert_eq!(
        landing.rows("SELECT *, typeof(price) FROM t"),
        ["1|a|-7|0.10|2020-02-29|it's|1|text", "2|b|-7|0.10|2020-02-29|it's|1|text"]
    );
    says(
        &landing.error("INSERT INTO t (id) VALUES (9)").await,
        &["\"name\"", "NOT NULL", "add the column to the INSERT"],
    );
    says(&landing.error("INSERT INTO t (name) VALUES ('a')").await, &["UNIQUE constraint failed: t.name"]);
    assert_eq!(
        landing.rows("SELECT name, type, \"notnull\", pk FROM pragma_table_info('t') LIMIT 2"),
        ["id|INTEGER|1|1", "name|TEXT|1|0"]
    );
    // A second session may give the same columns, or none.
    landing.register("same", columns, "'table' 't'").await.unwrap();
    landing.register("none", "", "'table' 't'").await.unwrap();
    assert_eq!(landing.sql("SELECT * FROM same UNION ALL SELECT * FROM none").await.unwrap().len(), 2);
}

#[tokio::test]
async fn datafusion_is_told_the_keys_that_cannot_be_null() {
    let landing = Landing::new(
        "CREATE TABLE t (v TEXT NOT NULL UNIQUE, b INTEGER, a INTEGER, PRIMARY KEY (a, b)) WITHOUT ROWID;
         CREATE TABLE u (v TEXT UNIQUE, a TEXT PRIMARY KEY)",
    );
    let constraints = async |table: &'static str| {
        landing.register(table, "", "").await.unwrap();
        let table = landing.context.table_provider(TableReference::bare(table)).await.unwrap();
        table.constraints().unwrap().iter().cloned().collect::<Vec<_>>()
    };
    assert_eq!(constraints("t").await, [Constraint::PrimaryKey(vec![2, 1]), Constraint::Unique(vec![0])]);
    assert_eq!(constraints("u").await, []);
}

#[tokio::test]
async fn a_table_with_other_columns_is_an_error_that_shows_both() {
    let landing = Landing::new("CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT NOT NULL)");
    for columns in [
        "(id BIGINT, title VARCHAR)",
        "(id BIGINT)",
        "(id BIGINT, name INT)",
        "(name VARCHAR, id BIGINT)",
        "(id BIGINT, name VARCHAR, PRIMARY KEY (name))",
    ] {
        let error = landing.register("t", columns, "").await.unwrap_err().to_string();
        says(&error, &["different columns", "id INTEGER [Int64] NOT NULL", "name TEXT [Utf8View] NOT NULL", "[Int64]"]);
    }
    // A type that can stand for the column's is none.
    landing.register("t", "(id INT, name VARCHAR)", "").await.unwrap();
    landing.sql("INSERT INTO t VALUES (1, 'x')").await.unwrap();
    let read = landing.sql("SELECT id FROM t").await.unwrap();
    assert_eq!(read[0].column(0).data_type(), &DataType::Int32);
}

#[tokio::test]
async fn the_servers_own_defaults_are_used_whatever_they_are() {
    let landing = Landing::new(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT DEFAULT ('x' || (1 + 1)), b INTEGER DEFAULT 42, \
         c INTEGER GENERATED ALWAYS AS (b * 2) STORED, d TEXT)",
    );
    landing.register("t", "", "").await.unwrap();
    landing.sql("INSERT INTO t (d) VALUES ('first'), ('second')").await.unwrap();
    landing.sql("INSERT INTO t (d, b, a) SELECT 'third', 1, NULL").await.unwrap();
    assert_eq!(landing.rows("SELECT * FROM t"), ["1|x2|42|84|first", "2|x2|42|84|second", "3|NULL|1|2|third"]);
    let error = landing.error("INSERT INTO t VALUES (9, '', 0, 0, '')").await;
    says(&error, &["column \"c\" is generated", "list only the other columns"]);
    let read = landing.sql("SELECT c FROM t WHERE id = 3").await.unwrap();
    assert_eq!(read[0].num_rows(), 1);
}

#[tokio::test]
async fn a_default_that_is_not_a_literal_is_refused_before_anything_is_created() {
    let landing = Landing::new("");
    let error = landing.register("t", "(a INT, b DOUBLE DEFAULT random())", "").await.unwrap_err();
    says(&error.to_string(), &["column \"b\"", "not a literal"]);
    assert_eq!(landing.rows("SELECT name FROM sqlite_schema"), [""; 0]);
}

#[tokio::test]
async fn views_are_read_and_written_through_their_triggers() {
    let landing = Landing::new(
        "CREATE TABLE base (k INTEGER PRIMARY KEY, v TEXT); CREATE VIEW t AS SELECT k, v FROM base; \
         CREATE TRIGGER land INSTEAD OF INSERT ON t BEGIN INSERT INTO base VALUES (NEW.k, upper(NEW.v)); END",
    );
    landing.register("t", "", "").await.unwrap();
    landing.sql("INSERT INTO t VALUES (1, 'x')").await.unwrap();
    assert_eq!(landing.rows("SELECT * FROM base"), ["1|X"]);
    let read = landing.sql("SELECT v FROM t WHERE v = 'X'").await.unwrap();
    assert_eq!(read[0].num_rows(), 1);
}
