//! Indexes of SQLite that are built after the rows: they come back as they were.

use crate::landing::{Landing, count, says};
#[cfg(feature = "failpoints")]
use crate::program::program;

const MANY: u64 = 60_000;

fn many() -> String {
    format!("SELECT value AS id, value * 7919 % 1000003 AS n, 'text ' || value AS name FROM generate_series(1, {MANY})")
}

const SETUP: &str = r#"
    CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER, name TEXT, UNIQUE (name));
    CREATE INDEX "an index" ON t (n DESC, name COLLATE NOCASE); -- a comment
    CREATE UNIQUE INDEX once ON t (n);
    CREATE INDEX  partial  ON  t(n) WHERE n > 3;
    CREATE INDEX expressions ON t (n % 10, lower(name));
    INSERT INTO t VALUES (1, 2, 'a'), (2, 3, 'b'); ANALYZE; DELETE FROM t;
    CREATE TABLE other (n INTEGER); CREATE INDEX of_another ON other (n)"#;

/// Everything that a backup has, and the statistics.
fn contents(landing: &Landing) -> Vec<String> {
    let mut contents =
        landing.rows("SELECT name, tbl_name, sql FROM sqlite_schema WHERE type <> 'table' ORDER BY name");
    contents.extend(landing.rows("SELECT tbl, idx, stat FROM sqlite_stat1 ORDER BY tbl, idx"));
    contents
}

/// The order of the indexes in the schema, in which new ones are the last.
fn order(landing: &Landing) -> Vec<String> {
    landing.rows("SELECT name FROM sqlite_schema WHERE sql IS NOT NULL AND type = 'index' ORDER BY rowid")
}

#[tokio::test(flavor = "multi_thread")]
async fn indexes_of_sqlite_that_are_not_unique_are_built_after_many_rows_and_come_back_as_they_were() {
    let landing = Landing::new(SETUP);
    landing.register("t", "", "'indexes' 'rebuild'").await.unwrap();
    let (before, first) = (contents(&landing), order(&landing));
    assert!(before.iter().any(|row| row.starts_with("t|an index|")), "{before:?}");
    landing.sql("INSERT INTO t VALUES (-1, -1, 'x')").await.unwrap();
    assert_eq!(order(&landing), first);
    // The table has rows.
    landing.sql(&format!("INSERT INTO t {}", many())).await.unwrap();
    assert_eq!((contents(&landing), order(&landing)), (before.clone(), first));
    for insert in ["INSERT OVERWRITE t", "INSERT INTO t"] {
        assert_eq!(count(&landing.sql(&format!("{insert} {}", many())).await.unwrap()), MANY);
        assert_eq!(contents(&landing), before);
        assert_eq!(
            order(&landing),
            ["once", "of_another", "an index", "partial", "expressions"],
            "they were not built again"
        );
        assert_eq!(landing.rows("PRAGMA integrity_check"), ["ok"]);
        landing.db().execute_batch("DELETE FROM t").unwrap();
    }
    // A refused row is named, and everything is as before.
    let twice = format!("{} UNION ALL SELECT * FROM (VALUES (70000, 7919, 'again'))", many());
    says(&landing.error(&format!("INSERT INTO t {twice}")).await, &["row ", "UNIQUE constraint failed: t.n"]);
    assert_eq!((contents(&landing), landing.rows("SELECT count(*) FROM t")), (before, vec!["0".to_owned()]));
    landing
        .db()
        .execute_batch("CREATE TRIGGER g AFTER INSERT ON t BEGIN SELECT 1; END; CREATE VIEW v AS SELECT * FROM t")
        .unwrap();
    landing.register("v", "", "'indexes' 'rebuild'").await.unwrap();
    says(
        &landing.error("INSERT INTO t VALUES (1, 2, 'a')").await,
        &["the table has triggers", "set the option 'indexes' to 'auto'"],
    );
    says(&landing.error("INSERT INTO v VALUES (1, 2, 'a')").await, &["the table is a view"]);
}

#[cfg(feature = "failpoints")]
#[test]
fn a_program_that_is_killed_meanwhile_leaves_the_table_of_sqlite_as_it_was() {
    let landing = Landing::new(SETUP);
    landing.db().execute_batch("INSERT INTO t VALUES (-1, -2, 'old')").unwrap();
    let (before, first) = (contents(&landing), order(&landing));
    let file = landing.file().display().to_string();
    let script = format!(
        "CREATE EXTERNAL TABLE t STORED AS SQLITE LOCATION '{file}' OPTIONS ('indexes' 'rebuild'); INSERT OVERWRITE t {}",
        many()
    );
    let run = |failpoint: &str| {
        let mut landfall = program(landing.folder.path());
        landfall.args(["sql", "-c", &script]).env("FAILPOINTS", failpoint).output().unwrap()
    };
    for point in ["branch.written=3*off->return", "sqlite.commit.before=return"] {
        let killed = run(point);
        assert!(!killed.status.success(), "{point}: {killed:?}");
        assert_eq!((contents(&landing), order(&landing)), (before.clone(), first.clone()), "{point}");
        assert_eq!(landing.rows("SELECT id, n, name FROM t"), ["-1|-2|old"], "{point}");
    }
    let done = run("");
    assert!(done.status.success(), "{done:?}");
    assert_eq!((contents(&landing), landing.rows("SELECT count(*) FROM t")), (before, vec![MANY.to_string()]));
    assert_ne!(order(&landing), first);
}
