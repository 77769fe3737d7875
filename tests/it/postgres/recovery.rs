//! `landfall recover` where the log does not help.

use std::process::{Command, Output, Stdio};

use super::Postgres;
use crate::landing::says;

fn recover(server: &Postgres, more: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_landfall"));
    command.args(["recover", &server.url(), "--older-than", "0s"]).args(more);
    command.stdin(Stdio::null()).output().unwrap()
}

#[test]
fn branches_of_a_log_that_no_longer_exists_are_rolled_back_if_the_user_says_so() {
    let server = Postgres::with_database("CREATE TABLE t (id int)");
    let gid = "landfall-00000000000000ab-2-00000000000000cd-0";
    server.rows(&format!("BEGIN; INSERT INTO t VALUES (1); PREPARE TRANSACTION '{gid}'"));
    let left = || server.rows("SELECT gid FROM pg_prepared_xacts WHERE database = current_database()");
    let stderr = |output: &Output| String::from_utf8(output.stderr.clone()).unwrap();
    let output = recover(&server, &[]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    says(&stderr(&output), &["--roll-back-unknown", "1 of 1 branches remain in doubt"]);
    // Without an answer, nothing happens.
    let output = recover(&server, &["--roll-back-unknown"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    says(&stderr(&output), &["Roll back these branches? [y/N]"]);
    assert_eq!(left(), [gid]);
    let output = recover(&server, &["--roll-back-unknown", "--yes"]);
    assert!(output.status.success(), "{output:?}");
    says(&String::from_utf8_lossy(&output.stdout), &[gid, "rolled back"]);
    assert_eq!(left(), [""; 0]);
    assert_eq!(server.rows("SELECT count(*) FROM t"), ["0"]);
}
