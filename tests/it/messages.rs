//! What a statement that other databases accept does, or says to write instead; and errors that name the way out.

use std::process::Stdio;
use std::time::{Duration, Instant};

use datafusion_landfall::sql;

use crate::dml::Place;
use crate::landing::{count, says};
use crate::postgres::Postgres;
use crate::program::{program, run, signal, texts};

async fn done(place: &Place, text: &str) -> u64 {
    let frame = sql(place.context(), text).await.unwrap_or_else(|error| panic!("{}: {text}: {error}", place.name()));
    count(&frame.collect().await.unwrap_or_else(|error| panic!("{}: {text}: {error}", place.name())))
}

async fn error(place: &Place, text: &str) -> String {
    match sql(place.context(), text).await {
        Err(error) => error.to_string(),
        Ok(frame) => frame.collect().await.unwrap_err().to_string(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn default_in_values_is_the_default_of_the_database() {
    for place in &Place::all() {
        place.client(
            "CREATE TABLE t (id INTEGER PRIMARY KEY, v VARCHAR(20) DEFAULT 'd', n INTEGER, m INTEGER DEFAULT 7)",
        );
        place.register("t", "", "").await;
        place.register("u", "", "'table' 't', 'on_conflict' 'update'").await;
        assert_eq!(done(place, "INSERT INTO t VALUES (1, DEFAULT, 5, default), (2, DEFAULT, 6, DEFAULT)").await, 2);
        assert_eq!(done(place, "INSERT INTO t (m, id) VALUES (DEFAULT, 3)").await, 1);
        assert_eq!(done(place, "REPLACE INTO t (id, v, m) VALUES (3, 'x', DEFAULT)").await, 1);
        assert_eq!(done(place, "UPDATE t SET n = DEFAULT WHERE id = 2").await, 1);
        let merge = "MERGE INTO t USING (VALUES (4)) AS s (id) ON t.id = s.id \
                     WHEN NOT MATCHED THEN INSERT (id, v, n) VALUES (s.id, DEFAULT, 1)";
        assert_eq!(done(place, merge).await, 1);
        let all = "SELECT id, v, n, m FROM t ORDER BY id";
        assert_eq!(place.client(all), ["1|d|5|7", "2|d|NULL|7", "3|x|NULL|7", "4|d|1|7"], "{}", place.name());

        let some = "INSERT INTO t VALUES (5, DEFAULT, 1, 1), (6, 'x', 1, 1)";
        says(&error(place, some).await, &["DEFAULT in some rows", "row 2", "another INSERT for the other rows"]);
        let update = "INSERT INTO u (id, v) VALUES (1, DEFAULT)";
        says(&error(place, update).await, &["DEFAULT", "updates existing rows", "REPLACE INTO"]);
        let update = "INSERT INTO t (id, v) VALUES (1, DEFAULT) ON CONFLICT (id) DO UPDATE SET v = excluded.v";
        says(&error(place, update).await, &["DEFAULT", "updates existing rows"]);
        says(&error(place, "INSERT INTO t (id) VALUES (DEFAULT)").await, &["at least one column"]);
        says(&error(place, "UPDATE t SET v = DEFAULT").await, &["SET v = DEFAULT", "write the default value"]);
        // A column with this name is a column.
        assert_eq!(place.client(all).len(), 4);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_other_tables_change_and_delete_rows() {
    for place in &Place::all() {
        place.client("CREATE TABLE t (id INTEGER PRIMARY KEY, v VARCHAR(20), n INTEGER)");
        place.client("CREATE TABLE s (id INTEGER PRIMARY KEY, w VARCHAR(20))");
        place.register("t", "", "").await;
        place.register("s", "", "").await;
        place.run("INSERT INTO t VALUES (1, 'a', 1), (2, 'b', 2), (3, 'c', 3), (4, 'd', 4)").await.unwrap();
        place.run("INSERT INTO s VALUES (1, 'one'), (2, 'two'), (9, 'nine')").await.unwrap();
        let all = "SELECT id, v, n FROM t ORDER BY id";
        assert_eq!(done(place, "UPDATE t SET v = w, n = n + 1 FROM s WHERE t.id = s.id AND n > 1").await, 1);
        assert_eq!(place.client(all), ["1|a|1", "2|two|3", "3|c|3", "4|d|4"], "{}", place.name());
        let aliased = "UPDATE t AS x SET v = y.w || z.k FROM s AS y JOIN (VALUES (1, '!')) AS z (id, k) ON y.id = z.id \
                       WHERE x.id = y.id";
        assert_eq!(done(place, aliased).await, 1);
        let list = "UPDATE t SET n = 30 FROM s, (VALUES (9)) AS z (id) WHERE s.id = z.id AND t.id = 3";
        assert_eq!(done(place, list).await, 1);
        assert_eq!(place.client(all), ["1|one!|1", "2|two|3", "3|c|30", "4|d|4"], "{}", place.name());
        assert_eq!(done(place, "DELETE FROM t USING s WHERE t.id = s.id AND s.w LIKE 't%'").await, 1);
        assert_eq!(place.client(all), ["1|one!|1", "3|c|30", "4|d|4"], "{}", place.name());

        // Nothing is guessed.
        says(&error(place, "UPDATE t SET n = 0 FROM s WHERE id = 1").await, &["mbiguous"]);
        says(&error(place, "DELETE FROM t USING s WHERE id = 1").await, &["mbiguous"]);
        says(
            &error(place, "UPDATE t SET n = 0 FROM s WHERE t.id = 1").await,
            &["cannot affect a row of table", "twice"],
        );
        says(
            &error(place, "UPDATE t SET n = 0 FROM s WHERE t.id = s.id RETURNING n").await,
            &["UPDATE … FROM", "MERGE"],
        );
        assert_eq!(place.client(all), ["1|one!|1", "3|c|30", "4|d|4"], "{}", place.name());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_column_can_be_set_to_itself() {
    for place in &Place::all() {
        place.client("CREATE TABLE t (id INTEGER PRIMARY KEY, v VARCHAR(20), n INTEGER)");
        place.client("CREATE TABLE seen (n INTEGER)");
        place.client("INSERT INTO t VALUES (1, 'a ', 1), (2, NULL, 2), (3, 'c', 3)");
        let trigger = match place {
            Place::Postgres(_) => {
                "CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS \
                 'BEGIN INSERT INTO seen VALUES (new.n); RETURN new; END'; \
                 CREATE TRIGGER see BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION see()"
            }
            Place::MySql(_) => "CREATE TRIGGER see BEFORE UPDATE ON t FOR EACH ROW INSERT INTO seen VALUES (new.n)",
            Place::Sqlite(_) => "CREATE TRIGGER see BEFORE UPDATE ON t BEGIN INSERT INTO seen VALUES (new.n); END",
        };
        place.client(trigger);
        place.register("t", "", "").await;
        // By both ways to run SQL, as a statement of the database, and by keys.
        assert_eq!(place.run("UPDATE t SET v = v").await.unwrap(), 3, "{}", place.name());
        assert_eq!(done(place, "UPDATE t SET n = n, v = v WHERE id > 1").await, 2, "{}", place.name());
        assert_eq!(place.run("UPDATE t SET v = v WHERE n % 2 = 1").await.unwrap(), 2, "{}", place.name());
        assert_eq!(done(place, "UPDATE t AS x SET id = x.id WHERE v LIKE 'c%'").await, 1, "{}", place.name());
        assert_eq!(place.client("SELECT id, v, n FROM t ORDER BY id"), ["1|a |1", "2|NULL|2", "3|c|3"]);
        assert_eq!(place.client("SELECT count(*), sum(n) FROM seen"), ["8|18"], "{}", place.name());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conflict_on_another_index_does_not_advise_the_option_that_is_set() {
    for place in &Place::all() {
        place.client("CREATE TABLE t (id INTEGER PRIMARY KEY, mail VARCHAR(20), v INTEGER)");
        place.client("CREATE UNIQUE INDEX t_mail ON t (mail)");
        place.client("INSERT INTO t VALUES (1, 'a', 1), (2, 'b', 2)");
        let index = match place {
            Place::Postgres(_) => "\"t_mail\"",
            Place::MySql(_) => "(mail)",
            Place::Sqlite(_) => "t.mail",
        };
        for on_conflict in ["update", "ignore"] {
            place.register(on_conflict, "", &format!("'table' 't', 'on_conflict' '{on_conflict}'")).await;
            let error = place.error(&format!("INSERT INTO \"{on_conflict}\" VALUES (3, 'b', 9)")).await;
            let parts = ["row 1", index, "applies only to the key (id)", "'conflict_key'"];
            says(&format!("{}: {error}", place.name()), &parts);
            assert!(!error.contains("use REPLACE INTO"), "{error}");
        }
        place.register("by_mail", "", "'table' 't', 'on_conflict' 'update', 'conflict_key' 'mail'").await;
        place.run("INSERT INTO by_mail (id, mail, v) VALUES (2, 'b', 9)").await.unwrap();
        place.register("t", "", "").await;
        says(
            &place.error("INSERT INTO t VALUES (1, 'c', 1)").await,
            &["already exists", "'on_conflict'", "conflict_key"],
        );
        for change in ["UPDATE t SET mail = 'a' WHERE id = 2", "UPDATE t SET mail = 'x' || '' WHERE v % 1 = 0"] {
            let error = place.error(change).await;
            says(&format!("{}: {error}", place.name()), &["UPDATE would store a key twice"]);
            assert!(!error.contains("REPLACE INTO"), "{error}");
        }
        assert_eq!(place.client("SELECT id, mail, v FROM t ORDER BY id"), ["1|a|1", "2|b|9"], "{}", place.name());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_that_cannot_be_a_key_is_explained() {
    for place in &Place::all() {
        let (other, name, why) = match place {
            Place::Postgres(_) => ("CREATE UNIQUE INDEX odd ON t (a) WHERE a > 0", "\"odd\"", "is partial"),
            Place::Sqlite(_) => ("CREATE UNIQUE INDEX odd ON t (a + 1)", "\"odd\"", "contains an expression"),
            Place::MySql(_) => ("CREATE UNIQUE INDEX odd ON t (b(3))", "\"odd\"", "a column prefix"),
        };
        place.client("CREATE TABLE t (a INTEGER, b VARCHAR(20))");
        place.client(other);
        place.register("t", "", "").await;
        let context = place.context();
        for what in ["REPLACE INTO t VALUES (1, 'x')", "UPDATE t SET a = a + 1"] {
            says(&error(place, what).await, &["no key that can be used", name, why, "create a unique index"]);
        }
        assert!(context.table_exist("t").unwrap());
    }
    let server = Postgres::new(
        "CREATE TABLE late (id int PRIMARY KEY DEFERRABLE, v text); \
         CREATE TABLE later (id int PRIMARY KEY DEFERRABLE INITIALLY DEFERRED, v text); \
         CREATE TABLE nulls (a int, v text, UNIQUE NULLS NOT DISTINCT (a))",
    );
    for table in ["late", "later", "nulls"] {
        server.register(table, "", "").await.unwrap();
    }
    let refused = server.register("u", "", "'table' 'late', 'on_conflict' 'update'").await.unwrap_err().to_string();
    says(&refused, &["no key that can be used", "\"late_pkey\" is deferrable", "not DEFERRABLE"]);
    server.sql("INSERT INTO late VALUES (1, 'a')").await.unwrap();
    server.sql("INSERT INTO later VALUES (1, 'a')").await.unwrap();
    let twice = server.error("INSERT INTO late VALUES (1, 'b')").await;
    says(&twice, &["\"late_pkey\" is deferrable", "cannot use the index"]);
    // The server finds it at the commit.
    let twice = server.error("INSERT INTO later VALUES (1, 'b')").await;
    says(&twice, &["is deferred", "cannot use the index", "later_pkey"]);
    server.register("n", "", "'table' 'nulls', 'on_conflict' 'update'").await.unwrap();
    says(&server.error("INSERT INTO n VALUES (NULL, 'b')").await, &["row 1", "NULLS NOT DISTINCT"]);
    assert_eq!(server.rows("SELECT * FROM late UNION ALL SELECT * FROM later"), ["1|a", "1|a"]);
}

#[test]
fn jobs_whose_rows_are_deleted_are_named() {
    for place in &Place::all() {
        let folder = tempfile::tempdir().unwrap();
        let kind = match place {
            Place::Sqlite(_) => "SQLITE",
            Place::Postgres(_) => "POSTGRES",
            Place::MySql(_) => "MYSQL",
        };
        place.client("CREATE TABLE t (id INTEGER PRIMARY KEY)");
        let job = |job: &str, sql: &str| {
            let options = if job.is_empty() { String::new() } else { format!("OPTIONS ('job' '{job}')") };
            let create = format!("CREATE EXTERNAL TABLE t STORED AS {kind} LOCATION '{}' {options}", place.url());
            let output = run(folder.path(), &["sql", "-c", &format!("{create}; {sql}")]);
            assert!(output.status.success(), "{output:?}");
            texts(&output).1
        };
        assert_eq!(job("first", "INSERT INTO t VALUES (1), (2), (3)"), "");
        assert_eq!(job("", "DELETE FROM t WHERE id = 3"), "", "a finished job has nothing left to write");
        for statement in ["DELETE FROM t", "TRUNCATE TABLE t", "INSERT OVERWRITE t VALUES (7)"] {
            let note = job("", statement);
            says(
                &format!("{} {statement}: {note}", place.name()),
                &["note:", "are finished", "'first'", "different job name"],
            );
        }
        assert_eq!(job("", "INSERT INTO t VALUES (8); UPDATE t SET id = 9 WHERE id = 8"), "");
        // Its rows are the ones that it deletes.
        says(&job("second", "INSERT OVERWRITE t VALUES (7)"), &["'first'"]);
    }
}

#[test]
fn help_fits_a_screen_and_topics_have_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    for command in ["", "sql", "load", "copy", "status", "recover", "bench"] {
        for ask in [vec![command, "--help"], vec!["help", command]] {
            let ask: Vec<_> = ask.into_iter().filter(|word| !word.is_empty()).collect();
            let help = texts(&run(folder.path(), &ask)).0;
            let lines = help.lines().count();
            assert!((8..=50).contains(&lines), "{ask:?} has {lines} lines:\n{help}");
        }
    }
    for (topic, parts) in [
        ("options", ["on_conflict", "checkpoint.rows", "socket_timeout", "identity"]),
        ("statements", ["CREATE EXTERNAL TABLE", "ON CONFLICT", "MERGE INTO", "ATTACH"]),
        ("values", ["to_local_time", "DECIMAL(10, 1)", "trim(", "DEFAULT"]),
        ("text-files", ["--no-header", "--delimiter <CHARACTER>", "--thousands", "--sample"]),
    ] {
        for ask in [vec![topic], vec!["help", topic]] {
            let output = run(folder.path(), &ask);
            assert!(output.status.success(), "{output:?}");
            says(&texts(&output).0, &parts);
        }
    }
}

/// The time that a program needs to end after a signal.
fn ends(mut child: std::process::Child, name: &str) -> (Option<i32>, Duration) {
    signal(&child, name);
    let began = Instant::now();
    loop {
        match child.try_wait().unwrap() {
            Some(status) => return (status.code(), began.elapsed()),
            None if began.elapsed() > Duration::from_secs(60) => {
                child.kill().unwrap();
                panic!("it goes on");
            }
            None => std::thread::sleep(Duration::from_millis(5)),
        }
    }
}

#[test]
fn ctrl_c_ends_what_is_laid_out_printed_or_planned() {
    let folder = tempfile::tempdir().unwrap();
    // Whose reader does not read.
    let path = folder.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    let rows = "SELECT value, 'row ' || value AS t FROM generate_series(1, 1000000)";
    let wide = "EXPLAIN ANALYZE SELECT repeat('x', 100000000) AS v";
    for (format, query, pause) in
        [("table", rows, 3_000), ("csv", rows, 1_500), ("json", rows, 1_500), ("table", wide, 700)]
    {
        let held = std::fs::OpenOptions::new().read(true).write(true).open(&path).unwrap();
        let child = program(folder.path())
            .args(["sql", "--format", format, "-c", query])
            .stdout(std::fs::OpenOptions::new().write(true).open(&path).unwrap())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(pause));
        let (status, took) = ends(child, "-INT");
        assert_eq!(status, Some(130), "{format} {query}");
        // Two seconds, on a machine that does nothing else.
        assert!(took < Duration::from_secs(4), "{format} {query}: {took:?}");
        drop(held);
    }
}

#[test]
fn a_reader_that_has_seen_enough_ends_the_output_quietly() {
    let folder = tempfile::tempdir().unwrap();
    for format in ["table", "csv", "json"] {
        let mut child = program(folder.path())
            .args(["sql", "--format", format, "-c", "SELECT value FROM generate_series(1, 200000)"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert_eq!((output.status.code(), texts(&output).1.as_str()), (Some(0), ""), "{format}");
    }
}

#[test]
fn a_wide_value_is_cut_in_a_table_and_whole_elsewhere() {
    let folder = tempfile::tempdir().unwrap();
    for (query, parts) in [
        ("SELECT repeat('x', 3000000) AS v", "(3000000 characters)"),
        ("EXPLAIN ANALYZE SELECT repeat('x', 3000000) AS v", "characters)"),
    ] {
        let began = Instant::now();
        let output = run(folder.path(), &["sql", "-c", query]);
        let (out, _) = texts(&output);
        says(&out, &["xxx… (", parts]);
        assert!(out.len() < 200_000 && began.elapsed() < Duration::from_secs(20), "{}", out.len());
    }
    let output = run(folder.path(), &["sql", "--format", "csv", "-c", "SELECT repeat('x', 3000000) AS v"]);
    assert_eq!(output.stdout.len(), 3_000_003);
}

#[test]
fn a_bench_that_creates_nothing_has_nothing_to_drop() {
    let folder = tempfile::tempdir().unwrap();
    let [_, postgres, mysql] = Place::all();
    let postgres = match &postgres {
        Place::Postgres(server) => server.url_as("secretive"),
        _ => unreachable!(),
    };
    let mysql = match &mysql {
        Place::MySql(server) => server.url_as("secretive"),
        _ => unreachable!(),
    };
    for url in [postgres, mysql] {
        let mut program = program(folder.path());
        program.args(["bench", "--rows", "10000", "--runs", "1", &url, "--password-env", "LANDFALL_TEST_WRONG"]);
        let output = program.env("LANDFALL_TEST_WRONG", "wrong").stdin(Stdio::null()).output().unwrap();
        let (_, err) = texts(&output);
        says(&err, &["error: ", "authentication failed"]);
        assert!(!err.contains("drop"), "{err}");
        assert_eq!(output.status.code(), Some(1));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn indexes_are_built_after_the_rows_only_where_that_is_part_of_the_transaction() {
    for place in &Place::all() {
        place.client("CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER)");
        place.register("t", "", "'indexes' 'rebuild'").await;
        let insert = "INSERT INTO t VALUES (1, 2)";
        match place {
            Place::MySql(_) => {
                let said = error(place, insert).await;
                says(&said, &["commit the open transaction", "set the option 'indexes' to 'auto'"]);
            }
            _ => assert_eq!(done(place, insert).await, 1),
        }
    }
}
