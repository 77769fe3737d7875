//! The program, run as a user runs it.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use rusqlite::Connection;

use crate::landing::says;

pub fn program(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_landfall"));
    command.current_dir(folder).env("LANDFALL_HISTORY", "");
    command
}

pub fn run(folder: &Path, arguments: &[&str]) -> Output {
    program(folder).args(arguments).stdin(Stdio::null()).output().unwrap()
}

pub fn texts(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (text(&output.stdout), text(&output.stderr))
}

pub fn repository() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

#[test]
fn the_quickstart_gives_the_same_table_each_time() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("examples/data");
    std::fs::create_dir_all(&data).unwrap();
    std::fs::copy(repository().join("examples/data/weather.parquet"), data.join("weather.parquet")).unwrap();
    let script = repository().join("sql/quickstart.sql");
    let contents = || {
        let db = Connection::open(folder.path().join("quickstart.db")).unwrap();
        let sum = "SELECT count(*) || ' ' || sum(temp) || ' ' || min(time_hour) || ' ' || max(time_hour) FROM ";
        ["weather", "weather_once"]
            .map(|table| db.query_row(&format!("{sum} {table}"), [], |row| row.get::<_, String>(0)).unwrap())
    };
    let first = run(folder.path(), &["sql", script.to_str().unwrap()]);
    assert!(first.status.success(), "{first:?}");
    says(&texts(&first).0, &["26115 rows written"]);
    says(&texts(&first).1, &["note: job", "nothing was written"]);
    let landed = contents();
    assert!(landed[0].starts_with("26115 "), "{landed:?}");
    assert!(landed[0].ends_with("2013-01-01 06:00:00.000000000Z 2013-12-30 23:00:00.000000000Z"), "{landed:?}");
    let second = run(folder.path(), &["sql", script.to_str().unwrap()]);
    assert!(second.status.success(), "{second:?}");
    assert_eq!(contents(), landed);
}

#[test]
fn rows_are_printed_in_each_format() {
    let folder = tempfile::tempdir().unwrap();
    let query = "SELECT 1 AS a, 'x, \"y\"' AS b UNION ALL SELECT NULL, 'z' ORDER BY b";
    let print = |format| texts(&run(folder.path(), &["sql", "--format", format, "-c", query])).0;
    assert_eq!(print("csv"), "a,b\n1,\"x, \"\"y\"\"\"\n,z\n");
    assert_eq!(print("json"), "[{\"a\":1,\"b\":\"x, \\\"y\\\"\"},{\"a\":null,\"b\":\"z\"}]\n");
    says(&print("table"), &["| a | b", "2 rows"]);
    let empty = ["sql", "--format", "json", "-c", "SELECT 1 AS a WHERE false"];
    assert_eq!(texts(&run(folder.path(), &empty)).0, "[]\n");
    let empty = ["sql", "--format", "csv", "-c", "SELECT 1 AS a WHERE false"];
    assert_eq!(texts(&run(folder.path(), &empty)).0, "a\n");
}

#[test]
fn what_is_written_is_said_beside_the_rows_of_a_program() {
    let folder = tempfile::tempdir().unwrap();
    let sql = "CREATE EXTERNAL TABLE t (a INT) STORED AS SQLITE LOCATION 't.db'; INSERT INTO t VALUES (1), (2); \
               SELECT * FROM t";
    let (out, err) = texts(&run(folder.path(), &["sql", "--format", "csv", "-c", sql]));
    assert_eq!(out, "a\n1\n2\n");
    says(&err, &["2 rows written"]);
    assert!(texts(&run(folder.path(), &["sql", "-c", sql])).0.contains("2 rows written"));
}

#[test]
fn what_became_of_compared_rows_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let rows = "VALUES (1, 'a'), (2, 'b'), (3, 'c'), (3, 'd')";
    let sql = format!(
        "CREATE EXTERNAL TABLE t (a INT PRIMARY KEY, b VARCHAR) STORED AS SQLITE LOCATION 't.db' \
         OPTIONS ('on_conflict' 'update', 'upsert' 'diff'); INSERT INTO t VALUES (1, 'a'), (2, 'old'); \
         INSERT INTO t {rows}; EXPLAIN ANALYZE INSERT INTO t {rows}"
    );
    let (out, _) = texts(&run(folder.path(), &["sql", "-c", &sql]));
    let said = " (1 inserted, 1 updated, 1 unchanged, 1 replaced by a later row with the same key)";
    says(&out, &["4 rows read in", said, "upsert=diff", "unchanged=3", "superseded=1", "updated=0"]);
}

#[test]
fn a_prepared_statement_is_run() {
    let folder = tempfile::tempdir().unwrap();
    let sql = "CREATE EXTERNAL TABLE t (a INT, n DECIMAL(10, 2)) STORED AS SQLITE LOCATION 't.db'; \
               PREPARE p AS INSERT INTO t VALUES ($1, $2); EXECUTE p(1, 1.5); EXECUTE p('2', 2); SELECT a, n FROM t";
    let (out, _) = texts(&run(folder.path(), &["sql", "-c", sql]));
    says(&out, &["1 row written in", "| 1 | 1.50 |", "| 2 | 2.00 |"]);
    let several = sql.replace("($1, $2)", "($1, $2), (9, 1.0)").replace("a INT", "a BIGINT");
    let several = several.replace("p(1, 1.5); EXECUTE p('2', 2)", "p(9007199254740993, 2)");
    says(
        &texts(&run(folder.path(), &["sql", "-c", &several.replace("'t.db'", "'u.db'")])).0,
        &["| 9007199254740993 | 2.00 |"],
    );
    let wrong = sql.replace("EXECUTE p(1, 1.5)", "EXECUTE p(1.7, 1)");
    says(&texts(&run(folder.path(), &["sql", "-c", &wrong])).1, &["1.7", "round(x)"]);
}

#[test]
fn an_error_is_one_message_and_status_1() {
    let folder = tempfile::tempdir().unwrap();
    let output = run(folder.path(), &["sql", "-c", "SELECT 1; SELECT * FROM nowhere; SELECT 'not run'"]);
    let (out, err) = texts(&output);
    assert_eq!(output.status.code(), Some(1));
    says(&err, &["error: statement 2 (SELECT * FROM nowhere)", "nowhere"]);
    assert_eq!(err.lines().count(), 1, "{err}");
    assert!(!out.contains("not run"));

    let output = run(folder.path(), &["sql", "-c", "SELECT 1; SELEC 2"]);
    assert_eq!((output.status.code(), texts(&output).0.as_str()), (Some(1), ""), "nothing runs after a syntax error");
    let output = run(folder.path(), &["sql", "missing.sql"]);
    assert_eq!(output.status.code(), Some(1));
    says(&texts(&output).1, &["could not read the script missing.sql"]);
}

#[test]
fn a_usage_error_is_status_2_and_help_teaches() {
    let folder = tempfile::tempdir().unwrap();
    for wrong in [&["sql", "--formt", "csv"][..], &["squeal"], &[], &["sql", "--format", "xml"]] {
        assert_eq!(run(folder.path(), wrong).status.code(), Some(2), "{wrong:?}");
    }
    for help in [&["--help"][..], &["sql", "--help"]] {
        let output = run(folder.path(), help);
        assert!(output.status.success());
        says(&texts(&output).0, &["landfall sql", "landfall help"]);
    }
}

#[test]
fn the_shell_keeps_no_password_in_its_history() {
    let folder = tempfile::tempdir().unwrap();
    let history = folder.path().join("history");
    // It is a shell at a terminal only, which script has.
    let mut child = Command::new("script")
        .args(["-qec", &format!("{} sql", env!("CARGO_BIN_EXE_landfall")), "/dev/null"])
        .env("LANDFALL_HISTORY", &history)
        // Where a terminal can do nothing, lines may come before they are asked for.
        .env("TERM", "dumb")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("script, of util-linux");
    let lines = [
        "\\attach pg postgres://me:pa's3cret@127.0.0.1:1/d",
        "\\attach my mysql://me:pa s3cret@127.0.0.1:1/d",
        "CREATE EXTERNAL TABLE t STORED AS MYSQL LOCATION \"mysql://me:pa's3cret@127.0.0.1:1/d\";",
        "SELECT 'postgres://me:pa'' s3cret@h/d' AS url;",
        "\\q",
    ];
    let mut keys = child.stdin.take().unwrap();
    keys.write_all((lines.join("\n") + "\n").as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
    let kept = std::fs::read_to_string(history).unwrap();
    says(
        &kept,
        &[
            "attach pg postgres://me:***@127.0.0.1:1/d",
            "attach my mysql://me:***@127.0.0.1:1/d",
            "\"mysql://me:***@127.0.0.1:1/d\"",
            "'postgres://me:***@h/d'",
        ],
    );
    assert!(!kept.contains("s3cret") && !kept.contains("pa'"), "{kept}");
}

#[test]
fn a_script_can_come_from_standard_input() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = program(folder.path())
        .args(["sql", "--format", "csv"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"SELECT 1 AS a; SELECT 2 AS b;").unwrap();
    assert_eq!(texts(&child.wait_with_output().unwrap()).0, "a\n1\nb\n2\n");
}

/// A write that goes on for long, once it has begun to write.
fn long_write(folder: &Path, options: &str) -> std::process::Child {
    let sql = format!(
        "CREATE EXTERNAL TABLE t (k BIGINT, v VARCHAR, PRIMARY KEY (k)) STORED AS SQLITE LOCATION 't.db' {options}; \
         INSERT INTO t SELECT value, repeat('x', 100) FROM generate_series(1, 1000000000)"
    );
    let child = program(folder).args(["sql", "-c", &sql]).stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let file = folder.join("t.db");
    let began = Instant::now();
    // Past its cache the transaction writes to the file.
    while std::fs::metadata(&file).map_or(0, |metadata| metadata.len()) < 40_000_000 {
        assert!(began.elapsed() < Duration::from_secs(120), "nothing is written");
        std::thread::sleep(Duration::from_millis(20));
    }
    child
}

pub fn signal(child: &std::process::Child, name: &str) {
    let status = Command::new("kill").args([name, &child.id().to_string()]).status().unwrap();
    assert!(status.success());
}

fn table_is_whole_and_has(folder: &Path, rows: u64) {
    let db = Connection::open(folder.join("t.db")).unwrap();
    let landed: u64 = db.query_row("SELECT count(*) FROM t", [], |row| row.get(0)).unwrap();
    let check: String = db.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!((landed, check.as_str()), (rows, "ok"));
}

#[test]
fn ctrl_c_and_sigterm_roll_back() {
    for name in ["-INT", "-TERM"] {
        let folder = tempfile::tempdir().unwrap();
        let child = long_write(folder.path(), "");
        signal(&child, name);
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(130));
        says(&texts(&output).1, &["rolled back, and nothing was written"]);
        table_is_whole_and_has(folder.path(), 0);
    }
}

#[test]
fn ctrl_c_stops_what_prints_without_a_pause() {
    let folder = tempfile::tempdir().unwrap();
    let printed = folder.path().join("printed.csv");
    for sql in [
        "SELECT * FROM generate_series(1, 100000000000)",
        "COPY (SELECT * FROM generate_series(1, 100000000000)) TO 'printed.csv'",
    ] {
        for file in std::fs::read_dir(folder.path()).unwrap() {
            std::fs::remove_file(file.unwrap().path()).unwrap();
        }
        let out = if sql.starts_with("SELECT") { printed.clone() } else { folder.path().join("nothing") };
        let mut child = program(folder.path())
            .args(["sql", "--format", "csv", "-c", sql])
            .stdout(std::fs::File::create(out).unwrap())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let began = Instant::now();
        // COPY writes under another name until it is done.
        let size = || -> u64 {
            let files = std::fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().metadata());
            files.flatten().map(|metadata| metadata.len()).sum()
        };
        while size() < 1_000_000 && began.elapsed() < Duration::from_secs(60) {
            std::thread::sleep(Duration::from_millis(5));
        }
        signal(&child, "-INT");
        let began = Instant::now();
        let status = loop {
            match child.try_wait().unwrap() {
                Some(status) => break status,
                None if began.elapsed() > Duration::from_secs(20) => {
                    child.kill().unwrap();
                    panic!("{sql} goes on");
                }
                None => std::thread::sleep(Duration::from_millis(5)),
            }
        };
        assert_eq!(status.code(), Some(130), "{sql}");
    }
}

#[test]
fn a_job_that_is_killed_is_written_once_by_the_next_run() {
    let folder = tempfile::tempdir().unwrap();
    let options = "OPTIONS ('job' 'load')";
    for _ in 0..3 {
        let mut child = long_write(folder.path(), options);
        signal(&child, "-KILL");
        child.wait().unwrap();
        table_is_whole_and_has(folder.path(), 0);
    }
    let again = format!(
        "CREATE EXTERNAL TABLE t STORED AS SQLITE LOCATION 't.db' {options}; \
         INSERT INTO t SELECT value, 'x' FROM generate_series(1, 1000)"
    );
    for expected in ["1000 rows written", "0 rows written"] {
        let output = run(folder.path(), &["sql", "-c", &again]);
        says(&texts(&output).0, &[expected]);
    }
    table_is_whole_and_has(folder.path(), 1_000);
}

#[test]
fn a_file_without_write_permission_is_named() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let sql = "CREATE EXTERNAL TABLE t (a INT) STORED AS SQLITE LOCATION 't.db'; INSERT INTO t VALUES (1)";
    assert!(run(folder.path(), &["sql", "-c", sql]).status.success());
    let mode = |path: &Path, mode| std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
    mode(&folder.path().join("t.db"), 0o444);
    mode(folder.path(), 0o555);
    // Permissions bind everybody but root: become nobody, with a copy of the program that nobody may run.
    let is_root = Command::new("id").arg("-u").output().unwrap().stdout == b"0\n";
    let elsewhere = tempfile::tempdir().unwrap();
    let output = if is_root {
        use std::os::unix::process::CommandExt;
        mode(elsewhere.path(), 0o755);
        let copy = elsewhere.path().join("landfall");
        // By cp: what this process has open for writing while another test forks cannot be run.
        assert!(Command::new("cp").arg(env!("CARGO_BIN_EXE_landfall")).arg(&copy).status().unwrap().success());
        let mut command = Command::new(copy);
        command.current_dir(folder.path()).uid(65_534).gid(65_534).args(["sql", "-c", sql]).output().unwrap()
    } else {
        run(folder.path(), &["sql", "-c", sql])
    };
    mode(folder.path(), 0o755);
    assert_eq!(output.status.code(), Some(1));
    says(&texts(&output).1, &["could not write to", "t.db", "check the permissions"]);
    table_is_whole_and_has(folder.path(), 1);
}

/// A pipe that somebody writes lines to, and keeps open.
pub fn pipe(folder: &Path, name: &str, lines: impl Iterator<Item = String> + Send + 'static) {
    let path = folder.join(name);
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    std::thread::spawn(move || {
        let mut pipe = std::fs::File::options().write(true).open(path).unwrap();
        for line in lines {
            writeln!(pipe, "{line}").unwrap();
        }
        std::thread::sleep(Duration::from_secs(60));
    });
}

#[test]
fn a_failure_is_told_at_once_while_a_stream_is_silent() {
    for (table, rows) in [("(k BIGINT PRIMARY KEY)", ["1", "1"]), ("(k SMALLINT)", ["1", "70000"])] {
        let folder = tempfile::tempdir().unwrap();
        pipe(folder.path(), "keys.csv", rows.into_iter().cycle().take(10).map(str::to_owned));
        let sql = format!(
            "SET datafusion.execution.batch_size = 1;
             CREATE UNBOUNDED EXTERNAL TABLE keys (k BIGINT) STORED AS CSV LOCATION 'keys.csv'
                 OPTIONS ('format.has_header' 'false');
             CREATE EXTERNAL TABLE t {table} STORED AS SQLITE LOCATION 't.db'
                 OPTIONS ('flush.interval' '10ms', 'checkpoint.interval' '100ms');
             INSERT INTO t SELECT k FROM keys"
        );
        let began = Instant::now();
        let output = run(folder.path(), &["sql", "-c", &sql]);
        assert!(began.elapsed() < Duration::from_secs(10), "it took {:?} to end: {output:?}", began.elapsed());
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        says(&texts(&output).1, &["error: statement 4", "writing table t", "row 2"]);
    }
}

#[test]
fn a_stream_is_seen_while_it_comes_and_ended_by_a_signal() {
    let script = std::fs::read_to_string(repository().join("sql/stream.sql")).unwrap();
    let csv = |number: u64| format!("{number},{}", 1_700_000_000 + number);
    let json = |number: u64| format!("{{\"value\": {number}, \"seconds\": {}}}", 1_700_000_000 + number);
    let as_json =
        script.replace("STORED AS CSV", "STORED AS JSON").replace("OPTIONS ('format.has_header' 'false')", "");
    for (script, line, name) in [(script, csv as fn(u64) -> String, "-INT"), (as_json, json, "-TERM")] {
        let folder = tempfile::tempdir().unwrap();
        pipe(folder.path(), "observations.csv", (1..=1_000).map(line));
        std::fs::write(folder.path().join("stream.sql"), script).unwrap();
        let mut child = program(folder.path());
        let child =
            child.args(["sql", "stream.sql"]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = child.spawn().unwrap();
        let count = || {
            let db = Connection::open(folder.path().join("stream.db")).ok()?;
            let count = "SELECT count(*), min(observed_at) FROM observed HAVING count(*) > 0";
            db.query_row(count, [], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?))).ok()
        };
        let began = Instant::now();
        while count().is_none() {
            assert!(began.elapsed() < Duration::from_secs(30), "nothing is seen");
            std::thread::sleep(Duration::from_millis(20));
        }
        let signalled = Instant::now();
        signal(&child, name);
        let output = child.wait_with_output().unwrap();
        assert!(signalled.elapsed() < Duration::from_secs(5), "it took {:?} to end", signalled.elapsed());
        assert!(output.status.success(), "{output:?}");
        let (rows, first) = count().unwrap();
        // DataFusion hands a batch of JSON on when the line behind it comes.
        assert!(rows == if name == "-INT" { 500 } else { 450 }, "{rows} rows");
        assert_eq!(first, "2023-11-14 22:13:22.000000000");
        says(&texts(&output).0, &[&format!("{rows} rows written"), "then stopped"]);
        says(&texts(&output).1, &["the rows read so far are committed"]);
    }
}

#[test]
fn a_load_that_is_interrupted_keeps_its_checkpoints_and_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let script = "CREATE EXTERNAL TABLE t (k BIGINT) STORED AS SQLITE LOCATION 't.db' \
                  OPTIONS ('job' 'j', 'checkpoint.rows' '10000'); \
                  INSERT INTO t SELECT value FROM generate_series(1, 3000000)";
    let mut child = program(folder.path());
    let child = child.args(["sql", "-c", script]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = child.spawn().unwrap();
    let rows = || -> Option<i64> {
        let db = Connection::open(folder.path().join("t.db")).ok()?;
        db.query_row("SELECT count(*) FROM t", [], |row| row.get(0)).ok()
    };
    let began = Instant::now();
    while rows().unwrap_or_default() == 0 {
        assert!(began.elapsed() < Duration::from_secs(30), "nothing is committed");
        std::thread::sleep(Duration::from_millis(10));
    }
    signal(&child, "-INT");
    let output = child.wait_with_output().unwrap();
    assert!(!output.status.success(), "{output:?}");
    let first = rows().unwrap();
    says(&texts(&output).1, &[&format!("after {first} committed rows: interrupted: run job 'j' again")]);
    let again = run(folder.path(), &["sql", "-c", script]);
    says(&texts(&again).0, &[&format!("{} rows written", 3_000_000 - first)]);
    says(&texts(&again).1, &[&format!("job 'j' resumes after row {first}")]);
    assert_eq!(rows(), Some(3_000_000));
    let status = run(folder.path(), &["status", "sqlite:t.db", "--format", "json"]);
    says(&texts(&status).0, &["\"rows\":3000000", "\"state\":\"finished\""]);
}
