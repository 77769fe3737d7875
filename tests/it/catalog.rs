//! Databases as catalogs: every table by its name.

use std::process::Command;

use datafusion_landfall::{ErrorKind, LandfallCatalog, SinkOptions, register_catalog};

use crate::landing::{Landing, read, says, session};
use crate::mysql::MySql;
use crate::postgres::Postgres;

#[tokio::test(flavor = "multi_thread")]
async fn every_table_of_a_database_has_its_name() {
    let postgres = Postgres::with_database(
        "CREATE TABLE people (id bigint PRIMARY KEY, name text); CREATE SCHEMA \"Other.One\";
         CREATE TABLE \"Other.One\".\"Order Lines\" (\"K\" int PRIMARY KEY, v text); CREATE VIEW seen AS SELECT 7 AS seven;
         CREATE SCHEMA bare",
    );
    let mysql = MySql::new("CREATE TABLE people (id bigint PRIMARY KEY, name text)");
    let sqlite =
        Landing::new("CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT); CREATE TABLE \"a.b\" (x INTEGER)");
    let context = session();
    register_catalog(&context, "pg", &postgres.url()).await.unwrap();
    register_catalog(&context, "my", &mysql.url()).await.unwrap();
    register_catalog(&context, "lite", &format!("sqlite:{}", sqlite.file().display())).await.unwrap();
    let run = async |sql: String| context.sql(&sql).await.unwrap().collect().await.unwrap();
    let people =
        ["pg.public.people".to_owned(), format!("my.{}.people", mysql.database), "lite.main.people".to_owned()];
    for table in &people {
        run(format!("INSERT INTO {table} VALUES (1, 'Ada'), (2, 'Grace'), (3, 'Edith')")).await;
        run(format!("UPDATE {table} SET name = upper(name) WHERE id = 2")).await;
        run(format!("DELETE FROM {table} WHERE id IN (SELECT id + 1 FROM {} WHERE id = 2)", people[0])).await;
        let merge = format!(
            "MERGE INTO {table} USING (SELECT 4 AS id, 'Mary' AS name) AS s ON people.id = s.id
             WHEN NOT MATCHED THEN INSERT (id, name) VALUES (s.id, s.name)"
        );
        run(merge).await;
    }
    let all = |table: &str| format!("SELECT * FROM {table} ORDER BY id");
    for table in &people {
        assert_eq!(read(&context, &all(table)).await, ["1|Ada", "2|GRACE", "4|Mary"], "{table}");
    }
    // DataFusion would take the one's column for the other's.
    run("CREATE TABLE people AS SELECT 1 AS id".into()).await;
    for statement in [
        "DELETE FROM lite.main.people WHERE EXISTS (SELECT 1 FROM people WHERE people.id = lite.main.people.id)",
        "MERGE INTO lite.main.people USING people ON lite.main.people.id = people.id WHEN MATCHED THEN DELETE",
    ] {
        says(&crate::landing::error(&context, statement).await, &["people AS other"]);
    }
    run("DELETE FROM lite.main.people WHERE EXISTS (SELECT 1 FROM people AS o WHERE o.id = lite.main.people.id)".into())
        .await;
    assert_eq!(sqlite.rows("SELECT id FROM people ORDER BY id"), ["2", "4"]);
    run("INSERT INTO pg.\"Other.One\".\"Order Lines\" VALUES (1, 'x')".into()).await;
    assert_eq!(
        read(&context, "SELECT \"K\" + seven FROM pg.\"Other.One\".\"Order Lines\", pg.public.seen").await,
        ["8"]
    );
    run("INSERT INTO lite.main.\"a.b\" VALUES (5)".into()).await;
    assert_eq!(sqlite.rows("SELECT * FROM \"a.b\""), ["5"]);

    let names = "SELECT table_schema, table_name FROM information_schema.tables WHERE table_catalog = 'pg' AND table_schema <> 'information_schema' ORDER BY 1, 2";
    assert_eq!(read(&context, names).await, ["Other.One|Order Lines", "public|people", "public|seen"]);
    // One that is made later has its name too.
    postgres.rows("CREATE TABLE bare.late (a int)");
    assert_eq!(read(&context, "SELECT count(*) FROM pg.bare.late").await, ["0"]);
    says(
        &crate::landing::error(&context, "SELECT * FROM pg.public.nothing").await,
        &["pg.public.nothing", "not found"],
    );
}

#[tokio::test]
async fn what_is_one_tables_is_no_option_of_a_catalog() {
    let landing = Landing::new("");
    let url = format!("sqlite:{}", landing.file().display());
    let options = SinkOptions::try_from_pairs([("job", "once")]).unwrap();
    let error = LandfallCatalog::connect(&url, options).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    says(&error.to_string(), &["'job'", "register the table separately"]);
    let error = register_catalog(&landing.context, "x", "oracle://me:s3cret@host/db").await.unwrap_err();
    says(&error.to_string(), &["unknown database URL: use a URL such as"]);
    assert!(!error.to_string().contains("s3cret"));
}

fn program(folder: &std::path::Path, arguments: &[&str]) -> (bool, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_landfall"));
    let output = command.current_dir(folder).env("LANDFALL_HISTORY", "").args(arguments).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(said).unwrap())
}

#[test]
fn the_program_attaches_a_database() {
    let landing =
        Landing::new("CREATE TABLE t (k INTEGER PRIMARY KEY, v TEXT); INSERT INTO t VALUES (1, 'a'), (2, 'b')");
    let script = "\n-- the tables of t.db\n\\attach lite sqlite:t.db\nDELETE FROM lite.main.t WHERE k = 1;\n\
                  UPDATE lite.main.t SET v = concat(v, 'c')";
    let (is_well, said) = program(landing.folder.path(), &["sql", "-c", script]);
    assert!(is_well, "{said}");
    says(&said, &["lite has the schema main", "1 row changed in", "(1 deleted)", "(1 updated)"]);
    assert_eq!(landing.rows("SELECT * FROM t"), ["2|bc"]);
    let (is_well, said) = program(landing.folder.path(), &["sql", "-c", "\\attach lite"]);
    assert!(!is_well);
    says(&said, &["\\attach requires a name and a URL"]);
}

#[test]
fn the_example_of_merges_gives_the_same_each_time() {
    let folder = tempfile::tempdir().unwrap();
    let script = crate::program::repository().join("sql/merge.sql");
    for _ in 0..2 {
        let (is_well, said) = program(folder.path(), &["sql", "--format", "csv", script.to_str().unwrap()]);
        assert!(is_well, "{said}");
        says(
            &said,
            &[
                "4 rows changed in",
                "(1 inserted, 2 updated, 1 deleted)",
                "buoy,50,17.50,2024-01-31",
                "cleat,12,4.75,2024-02-29",
                "fender,40,12.25,",
                "(1 inserted, 1 updated)",
                "rope,9,,",
                "nothing was written",
            ],
        );
        assert!(!said.contains("anchor"), "{said}");
    }
}
