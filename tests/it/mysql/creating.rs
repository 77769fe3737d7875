//! Tables that a statement creates with their rows, on a server that commits DDL at once.

use std::process::{Command, Stdio};

use super::{MySql, client, server};
use crate::landing::says;
use crate::program::{program, texts};

const SERIES: &str = "CREATE TABLE x.made AS SELECT value AS id, 'v' || value AS name FROM range(0, 5000)";

/// The program that runs a statement in the attached database.
fn creates(made: &MySql, statement: &str, failpoint: Option<&str>) -> Command {
    let mut command = program(&std::env::temp_dir());
    let script = format!("ATTACH '{}' AS x; {statement}", made.url());
    command.args(["sql", "-c", &script]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    if let Some(failpoint) = failpoint {
        command.env("FAILPOINTS", failpoint);
    }
    command
}

/// The tables of the database, with their comments.
fn tables(made: &MySql) -> Vec<String> {
    let tables =
        "SELECT TABLE_NAME, TABLE_COMMENT FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() ORDER BY 1";
    made.rows(tables)
}

#[test]
#[cfg(feature = "failpoints")]
fn a_statement_that_is_killed_creates_no_table_and_can_run_again() {
    for point in ["branch.written", "mysql.commit.before", "mysql.commit.after"] {
        let made = MySql::new("");
        let died = creates(&made, SERIES, Some(&format!("{point}=return"))).output().unwrap();
        assert!(!died.status.success(), "{point}");
        let left = tables(&made);
        assert_eq!(left, ["landfall_new_made|Landfall: rows of a statement that is not finished"], "{point}");
        let listed = creates(&made, "SHOW TABLES", None).output().unwrap();
        let of_database =
            texts(&listed).0.lines().filter(|line| line.starts_with("| x") && line.contains(&made.database)).count();
        assert_eq!(of_database, 0, "{point}: {}", texts(&listed).0);
        let again = creates(&made, SERIES, None).output().unwrap();
        assert!(again.status.success(), "{point}: {}", texts(&again).1);
        assert_eq!(tables(&made), ["made|"], "{point}");
        assert_eq!(made.rows("SELECT count(*), max(id) FROM made"), ["5000|4999"], "{point}");
    }
}

#[test]
#[cfg(feature = "failpoints")]
fn no_reader_sees_a_table_without_its_rows_and_one_of_two_statements_creates_it() {
    let made = MySql::new("");
    let first = creates(&made, SERIES, Some("mysql.commit.after=sleep(2500)")).spawn().unwrap();
    let began = std::time::Instant::now();
    while tables(&made).is_empty() {
        assert!(began.elapsed() < std::time::Duration::from_secs(60), "the first one has not begun");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert!(made.rows("SHOW TABLES LIKE 'made'").is_empty());
    let second = creates(&made, "CREATE TABLE x.made AS SELECT 'another' AS name", None).output().unwrap();
    let first = first.wait_with_output().unwrap();
    assert!(first.status.success(), "{}", texts(&first).1);
    says(&texts(&second).1, &["made", "already exists"]);
    assert_eq!(tables(&made), ["made|"]);
    assert_eq!(made.rows("SELECT count(*), max(id) FROM made"), ["5000|4999"]);
}

#[test]
fn a_statement_that_fails_leaves_nothing_and_names_its_own_table() {
    let made = MySql::new("CREATE TABLE landfall_new_mine (a int); INSERT INTO landfall_new_mine VALUES (7)");
    let failed = creates(&made, "CREATE TABLE x.failed AS SELECT 1 / (value - 4000) AS v FROM range(0, 5000)", None);
    let failed = { failed }.output().unwrap();
    says(&texts(&failed).1, &["ivide by zero"]);
    // The longest name that MySQL allows, and one that begins alike.
    let long = "n".repeat(64);
    for name in [long.as_str(), &long[1..]] {
        let created = creates(&made, &format!("CREATE TABLE x.{name} AS SELECT 1 AS a"), None).output().unwrap();
        assert!(created.status.success(), "{}", texts(&created).1);
    }
    let other = creates(&made, "CREATE TABLE x.mine AS SELECT 1 AS a", None).output().unwrap();
    says(&texts(&other).1, &["landfall_new_mine", "already exists", "rename the existing table"]);
    assert_eq!(tables(&made), ["landfall_new_mine|", &format!("{}|", &long[1..]), &format!("{long}|")]);
    assert_eq!(made.rows("SELECT a FROM landfall_new_mine"), ["7"]);

    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("twice.csv"), "id\n1\n2\n1\n").unwrap();
    let twice = program(folder.path())
        .args(["load", "twice.csv", &made.url(), "keyed", "--mode", "create", "--key", "id"])
        .output()
        .unwrap();
    says(&texts(&twice).1, &["keyed", "key already exists"]);
    assert!(!texts(&twice).1.contains("landfall_new"), "{}", texts(&twice).1);
    assert_eq!(tables(&made).len(), 3);
}

#[test]
fn a_user_who_may_not_rename_tables_creates_them_first() {
    let user = format!("maker{}", std::process::id());
    let made = MySql::new("");
    made.rows(&format!(
        "CREATE USER {user}@'%'; GRANT SELECT, INSERT, CREATE, DROP ON {}.* TO {user}@'%'",
        made.database
    ));
    let mut command = program(&std::env::temp_dir());
    let script = format!("ATTACH '{}' AS x; {SERIES}", made.url_as(&user));
    let created = command.args(["sql", "-c", &script]).output().unwrap();
    client(&server(), &made.database, &format!("DROP USER {user}@'%'")).unwrap();
    assert!(created.status.success(), "{}", texts(&created).1);
    assert_eq!(tables(&made), ["made|"]);
    assert_eq!(made.rows("SELECT count(*) FROM made"), ["5000"]);
}
