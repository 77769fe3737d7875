//! A statement sees every change of its table that another client has made since the last one, though it does not read the
//! description of an unchanged table.

use super::Postgres;
use crate::landing::says;

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_was_changed_is_described_again() {
    let server = Postgres::new("CREATE TABLE t (id bigint, n bigint); CREATE TABLE log (id bigint)");
    server.register("t", "", "").await.unwrap();
    let mut id = 0;
    for change in [
        "SELECT 1",
        "SELECT 1",
        // Eight bytes are a number of either type.
        "ALTER TABLE t ALTER n TYPE double precision",
        "ALTER TABLE t ALTER n TYPE timestamp USING NULL",
        "ALTER TABLE t ALTER n TYPE numeric(20, 1) USING NULL",
        "ALTER TABLE t ALTER n TYPE bigint",
        "DROP TABLE t; CREATE TABLE t (n double precision, id bigint)",
        "DROP TABLE t; CREATE TABLE t (n bigint, id bigint)",
        "ALTER TABLE t ADD COLUMN more text DEFAULT 'x'; CREATE UNIQUE INDEX ON t (id)",
    ] {
        server.rows(change);
        id += 1;
        let written = server.sql(&format!("INSERT INTO t (id, n) VALUES ({id}, {id})")).await;
        let stored = server.rows(&format!("SELECT n FROM t WHERE id = {id}"));
        match written {
            Ok(_) => assert!(stored == [id.to_string()] || stored == [format!("{id}.0")], "{change}: {stored:?}"),
            Err(error) => {
                says(&error.to_string(), &["\"n\""]);
                assert_eq!(stored, [""; 0], "{change}");
            }
        }
    }
    server.rows("CREATE RULE also AS ON INSERT TO t DO ALSO INSERT INTO log VALUES (NEW.id)");
    server.sql("INSERT INTO t (id, n) VALUES (100, 100), (101, 101)").await.unwrap();
    assert_eq!(server.rows("SELECT id FROM log ORDER BY id"), ["100", "101"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_was_dropped_is_missed() {
    let server = Postgres::new("CREATE TABLE t (id bigint)");
    server.register("t", "", "").await.unwrap();
    server.sql("INSERT INTO t VALUES (1)").await.unwrap();
    server.rows("ALTER TABLE t RENAME TO u");
    says(&server.error("INSERT INTO t VALUES (2)").await, &["no longer exists"]);
    server.rows("ALTER TABLE u RENAME TO t");
    server.sql("INSERT INTO t VALUES (3)").await.unwrap();
    assert_eq!(server.rows("SELECT id FROM t ORDER BY id"), ["1", "3"]);
}
