//! `landfall bench`: what it says, and that it leaves nothing.

use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::landing::says;
use crate::mysql::MySql;
use crate::postgres::{Postgres, port};
use crate::program::{program, signal};

fn bench(arguments: &[&str]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let mut program = program(folder.path());
    let small = ["bench", "--rows", "10000", "--runs", "1", "--writers", "2"];
    let output = program.args(small).args(arguments).env("TMPDIR", folder.path()).stdin(Stdio::null()).output();
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.is_empty(), "{left:?}");
    output.unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// The ways that were measured, and that none of them is as fast as a stub.
fn ways(output: &Output) -> Vec<String> {
    assert!(output.status.success(), "{output:?}");
    let report: Value = serde_json::from_str(&text(&output.stdout)).unwrap();
    let ways = report["measured"].as_array().unwrap();
    ways.iter()
        .map(|way| {
            assert!(way["rows_per_second"].as_f64().unwrap() > 100.0, "{way}");
            format!("{}: {}", way["topic"].as_str().unwrap(), way["way"].as_str().unwrap())
        })
        .collect()
}

const TABLES: &str = "SELECT count(*) FROM pg_class WHERE relname LIKE 'landfall%'";

#[test]
fn what_is_measured_depends_on_what_the_database_can_do_and_nothing_is_left_in_it() {
    let sqlite = ways(&bench(&["--format", "json"]));
    assert_eq!(sqlite.len(), 8, "{sqlite:#?}");
    let postgres = Postgres::with_database("CREATE TABLE mine (id int); INSERT INTO mine VALUES (1)");
    let in_postgres = ways(&bench(&["--format", "json", &postgres.url()]));
    assert_eq!(in_postgres.len(), 11, "{in_postgres:#?}");
    assert!(
        in_postgres.contains(&"Writing rows: Landfall, INSERT INTO by 2 writers, with two-phase commit".to_owned())
    );
    assert_eq!(postgres.rows(TABLES), ["0"]);
    assert_eq!(postgres.rows("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"), ["1"]);
    assert_eq!(postgres.rows("SELECT count(*) FROM pg_prepared_xacts WHERE database = current_database()"), ["0"]);
    assert_eq!(postgres.rows("SELECT * FROM mine"), ["1"]);
    let mysql = MySql::new("CREATE TABLE mine (id int)");
    let in_mysql = ways(&bench(&["--format", "json", &mysql.url()]));
    assert_eq!(in_mysql.len(), 11, "{in_mysql:#?}");
    assert_eq!(mysql.rows("SHOW TABLES"), ["mine"]);
}

#[test]
fn a_table_is_for_people() {
    let output = bench(&[]);
    let lines =
        ["Writing rows\n  prepared INSERT, row by row", "rows/s    1.00 times", "'upsert' 'diff'", "P50", "P99"];
    says(&text(&output.stdout), &lines);
    says(&text(&output.stderr), &["cannot prepare transactions"]);
}

#[test]
fn what_cannot_be_measured_is_told_and_leaves_nothing() {
    let options = "options=-csearch_path%3Dpg_catalog";
    let secretive = format!("postgres://secretive:open%20sesame@localhost:{}/landfall?{options}", port());
    for (arguments, parts) in [
        (&["nowhere://x"][..], &["unknown database URL: use a URL such as"][..]),
        (&["postgres://me@127.0.0.1:1/db"], &["127.0.0.1:1"]),
        (&[&secretive], &["the user lacks a privilege: grant the privilege to the user"]),
    ] {
        let output = bench(arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {output:?}");
        let said = text(&output.stderr);
        says(&said, parts);
        assert!(!said.contains("sesame"), "{said}");
    }
    assert_eq!(bench(&["--rows", "10"]).status.code(), Some(2));
}

#[test]
fn ctrl_c_drops_what_was_made() {
    let postgres = Postgres::with_database("");
    let folder = tempfile::tempdir().unwrap();
    let mut child = program(folder.path());
    let child = child.args(["bench", "--rows", "300000", &postgres.url()]).stdout(Stdio::null()).stderr(Stdio::piped());
    let child = child.spawn().unwrap();
    let began = Instant::now();
    while postgres.rows(TABLES) == ["0"] {
        assert!(began.elapsed() < Duration::from_secs(60), "nothing is made");
        std::thread::sleep(Duration::from_millis(20));
    }
    std::thread::sleep(Duration::from_millis(300));
    signal(&child, "-INT");
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{output:?}");
    assert_eq!(postgres.rows(TABLES), ["0"], "{}", text(&output.stderr));
    assert_eq!(postgres.rows("SELECT count(*) FROM pg_prepared_xacts WHERE database = current_database()"), ["0"]);
}
