//! Several writers, several databases, one transaction; and what is said where that cannot be.

use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use super::Postgres;
use crate::cluster::Cluster;
use crate::landing::{Landing, count, says};

const SERIES: &str = "SELECT value AS id, 'text ' || value AS name FROM generate_series(1, 200000)";

/// What there is of prepared transactions, records and staging tables.
fn left(server: &Postgres) -> Vec<String> {
    server.rows(
        "SELECT 'prepared ' || gid FROM pg_prepared_xacts WHERE database = current_database() \
         UNION ALL SELECT relname FROM pg_class WHERE relname LIKE 'landfall_stage%'",
    )
}

fn program(arguments: &[&str]) -> Command {
    let mut program = Command::new(env!("CARGO_BIN_EXE_landfall"));
    program.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    program
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn several_writers_land_every_row_once() {
    let server = Postgres::with_database(
        "CREATE TABLE plain (id bigint, name text); CREATE TABLE keyed (id bigint PRIMARY KEY, name text); \
         CREATE TABLE two_keys (id bigint PRIMARY KEY, name text UNIQUE)",
    );
    for (table, verb) in [("plain", "INSERT"), ("keyed", "INSERT"), ("keyed", "REPLACE"), ("two_keys", "INSERT")] {
        let name = format!("{table}_{verb}");
        server.register(&name, "", &format!("'table' '{table}', 'writers' '3'")).await.unwrap();
        assert_eq!(count(&server.sql(&format!("{verb} INTO {name} {SERIES}")).await.unwrap()), 200_000);
        let sums = format!("SELECT count(*), count(DISTINCT id), sum(id), count(DISTINCT name) FROM {table}");
        assert_eq!(server.rows(&sums), ["200000|200000|20000100000|200000"], "{name}");
        assert_eq!(left(&server), [""; 0], "{name}");
    }
    // One writer where there are several keys; then nothing has to be remembered either.
    assert_eq!(server.rows("SELECT count(*) FROM landfall_ledger"), ["0"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_comes_again_in_another_batch_meets_itself() {
    let server = Postgres::with_database("CREATE TABLE t (id bigint PRIMARY KEY, name text)");
    server.register("t", "", "'writers' '4', 'lock_timeout' '2s'").await.unwrap();
    let twice = "SELECT value % 100000 AS id, 'text ' || value AS name FROM generate_series(1, 200000)";
    says(
        &server.error(&format!("INSERT INTO t {twice}")).await,
        &["rows ", "the key already exists in the table, or occurs twice"],
    );
    assert_eq!(server.rows("SELECT count(*) FROM t"), ["0"]);
    server.sql(&format!("REPLACE INTO t {twice}")).await.unwrap();
    let last = "SELECT count(*), count(*) FILTER (WHERE name = 'text ' || CASE id WHEN 0 THEN 200000 ELSE id + 100000 END) \
                FROM t";
    assert_eq!(server.rows(last), ["100000|100000"]);
    assert_eq!(left(&server), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_one_writer_refuses_undoes_them_all() {
    let server = Postgres::with_database("CREATE TABLE t (id bigint CHECK (id <> 150000), name text)");
    server.register("t", "", "'writers' '4'").await.unwrap();
    // The server counts within a writer's rows; the message counts the stream's.
    says(&server.error(&format!("INSERT INTO t {SERIES}")).await, &["row 150000: the row violates a constraint"]);
    assert_eq!(server.rows("SELECT count(*) FROM t"), ["0"]);
    assert_eq!(left(&server), [""; 0]);
    assert_eq!(server.rows("SELECT count(*) FROM landfall_ledger"), ["0"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_constraint_that_is_checked_at_the_end_undoes_all_branches() {
    let server = Postgres::with_database(
        "CREATE TABLE p (id bigint PRIMARY KEY); \
         CREATE TABLE t (id bigint, p bigint REFERENCES p DEFERRABLE INITIALLY DEFERRED)",
    );
    server.register("t", "", "'writers' '3', 'job' 'j'").await.unwrap();
    let insert = "INSERT INTO t SELECT value, CASE value WHEN 7 THEN 7 END FROM generate_series(1, 50000)";
    says(&server.error(insert).await, &["preparing", "foreign key"]);
    assert_eq!(server.rows("SELECT count(*) FROM t"), ["0"]);
    assert_eq!(left(&server), [""; 0]);
    server.rows("INSERT INTO p VALUES (7)");
    assert_eq!(count(&server.sql(insert).await.unwrap()), 50_000);
    assert_eq!(count(&server.sql(insert).await.unwrap()), 0);
    assert_eq!(server.rows("SELECT count(*) FROM t"), ["50000"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_plan_says_how_a_write_commits() {
    let server = Postgres::with_database("CREATE TABLE t (id bigint, name text)");
    let plan = async |options: &str, sql: &str| {
        let name = format!("t{}", options.len());
        server.register(&name, "", &format!("'table' 't'{options}")).await.unwrap();
        let sql = sql.replace("INTO t", &format!("INTO {name}")).replace("OVERWRITE t", &format!("OVERWRITE {name}"));
        server.read(&format!("EXPLAIN {sql}")).await.join("\n")
    };
    let insert = format!("INSERT INTO t {SERIES}");
    says(&plan(", 'writers' '2'", &insert).await, &["table=public.t, writers=2)"]);
    says(&plan(", 'commit' 'two_phase', 'writers' '1'", &insert).await, &["commit=two_phase, log=postgres://"]);
    says(&plan(", 'commit' 'one_phase'", &insert).await, &["table=public.t)"]);
    says(
        &plan(", 'writers' '4' ", &insert.replace("INSERT INTO", "INSERT OVERWRITE")).await,
        &["table=public.t, overwrite)"],
    );
    says(&plan(", 'log' 'file:///tmp/x'", &insert).await, &["commit=two_phase, log=file:///tmp/x"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn options_that_contradict_each_other_are_refused() {
    let server = Postgres::with_database("CREATE TABLE t (id bigint)");
    for (name, options, parts) in [
        ("a", "'commit' 'one_phase', 'writers' '2'", ["one_phase", "a single writer"]),
        ("b", "'commit' 'one_phase', 'log' 'file:///tmp/x'", ["'log' requires two-phase commit", "remove one"]),
        ("c", "'log' 'nowhere://x'", ["decision log", "use a URL such as"]),
        ("d", "'log' 'memory:///'", ["lost when the process ends", "file:///"]),
    ] {
        server.register(name, "", &format!("'table' 't', {options}")).await.unwrap();
        says(&server.error(&format!("INSERT INTO {name} VALUES (1)")).await, &parts);
    }
    for options in ["'writers' '0'", "'writers' '65'", "'writers' 'many'", "'commit' 'later'", "'log' ''"] {
        let error = server.register("e", "", &format!("'table' 't', {options}")).await.unwrap_err().to_string();
        says(&error, &["cannot be"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ledger_can_be_another_table() {
    let server = Postgres::with_database(
        "CREATE SCHEMA \"of Ours\"; CREATE TABLE t (id bigint); GRANT ALL ON t TO reader; \
         GRANT USAGE ON SCHEMA \"of Ours\" TO reader",
    );
    let options = "'job' 'j', 'ledger_table' '\"of Ours\".\"the Ledger\"'";
    server.register_at(&server.url_as("reader"), "t", "", options).await.unwrap();
    let error = server.error("INSERT INTO t VALUES (1)").await;
    says(&error, &["ledger_table", "CREATE TABLE IF NOT EXISTS \"of Ours\".\"the Ledger\" (", "TO \"reader\";"]);
    // What the message says is what an administrator can run.
    let (_, ddl) = error.split_once("to run:\n").unwrap();
    let (ddl, _) = ddl.split_once("\nThe server reported").unwrap();
    server.rows(ddl);
    assert_eq!(count(&server.sql("INSERT INTO t VALUES (1)").await.unwrap()), 1);
    assert_eq!(count(&server.sql("INSERT INTO t VALUES (1)").await.unwrap()), 0);
    assert_eq!(server.rows("SELECT decision FROM \"of Ours\".\"the Ledger\" ORDER BY epoch DESC LIMIT 1"), ["commit"]);
    assert_eq!(server.rows("SELECT to_regclass('landfall_ledger')"), ["NULL"]);
    let status =
        program(&["status", &server.url(), "--ledger-table", "\"of Ours\".\"the Ledger\"", "--format", "json"]);
    let said = String::from_utf8({ status }.output().unwrap().stdout).unwrap();
    says(&said, &[r#""job":"j""#, r#""state":"finished""#, r#""in_doubt":[]"#]);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_create_a_ledger_has_one_writer() {
    let server = Postgres::with_database(
        "CREATE TABLE t (id bigint PRIMARY KEY, name text); GRANT ALL ON t TO reader; \
         REVOKE CREATE ON SCHEMA public FROM PUBLIC",
    );
    server.register_at(&server.url_as("reader"), "t", "", "").await.unwrap();
    assert_eq!(count(&server.sql(&format!("INSERT INTO t {SERIES}")).await.unwrap()), 200_000);
    assert_eq!(count(&server.sql(&format!("REPLACE INTO t {SERIES}")).await.unwrap()), 200_000);
    assert_eq!(server.rows("SELECT count(*), to_regclass('landfall_ledger') FROM t"), ["200000|NULL"]);
    // Who asks for several is told why not.
    server.register_at(&server.url_as("reader"), "four", "", "'table' 't', 'writers' '4'").await.unwrap();
    says(&server.error("INSERT INTO four VALUES (1, 'x')").await, &["landfall_ledger", "GRANT SELECT"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_cannot_prepare_has_one_writer_and_says_so() {
    let (cluster, url) = Cluster::start("postgres");
    let other = Postgres::with_database("CREATE TABLE other (id bigint, name text)");
    let sql = |sql: &str| {
        let output = Command::new("psql").args(["-X", "-q", "-A", "-t", &url, "-c", sql]).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    sql("ALTER SYSTEM SET max_prepared_transactions = 0");
    sql("CREATE TABLE t (id bigint, name text)");
    cluster.crash();
    let run = |options: &str| {
        let script = format!(
            "CREATE EXTERNAL TABLE t STORED AS POSTGRES LOCATION '{url}' {options}; INSERT INTO t {SERIES}; \
             INSERT INTO t VALUES (1, 'x')"
        );
        program(&["sql", "-c", &script]).output().unwrap()
    };
    let output = run("");
    assert!(output.status.success(), "{output:?}");
    assert_eq!(stderr(&output).matches("cannot prepare").count(), 1, "{output:?}");
    assert_eq!(sql("SELECT count(*) FROM t").trim(), "200001");
    let output = run("OPTIONS ('commit' 'two_phase')");
    assert!(!output.status.success());
    says(&stderr(&output), &["cannot prepare transactions", "two_phase", "set max_prepared_transactions"]);
    let output = run("OPTIONS ('log' 'file:///tmp/x')");
    says(&stderr(&output), &["remove the option 'log'"]);
    // Two of them cannot be in one transaction; the plan says so, before anything is read.
    let landing = Landing::new("CREATE TABLE b (id INTEGER, name TEXT)");
    let script = format!(
        "CREATE EXTERNAL TABLE a STORED AS POSTGRES LOCATION '{url}' OPTIONS ('table' 't'); \
         CREATE EXTERNAL TABLE b STORED AS SQLITE LOCATION '{}'; \
         CREATE EXTERNAL TABLE both STORED AS FANOUT LOCATION 'a, b'; INSERT INTO both {SERIES}",
        landing.file().display()
    );
    let output = program(&["sql", "-c", &script]).output().unwrap();
    says(&stderr(&output), &["cannot prepare transactions", "only one such database"]);
    // Where it is decided shall not depend on how a server is set up.
    let script = format!(
        "CREATE EXTERNAL TABLE a STORED AS POSTGRES LOCATION '{}' OPTIONS ('table' 'other'); \
         CREATE EXTERNAL TABLE b STORED AS POSTGRES LOCATION '{url}' OPTIONS ('table' 't'); \
         CREATE EXTERNAL TABLE both STORED AS FANOUT LOCATION 'a, b'; INSERT INTO both {SERIES}",
        other.url()
    );
    let output = program(&["sql", "-c", &script]).output().unwrap();
    says(
        &stderr(&output),
        &[
            "cannot prepare",
            "enable prepared transactions in postgres://",
            "or name the table of postgres://",
            " first",
        ],
    );
    let output = program(&["sql", "-c", &script.replace("'a, b'", "'b, a'")]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(other.rows("SELECT count(*) FROM other"), ["200000"]);
    sql("DELETE FROM t WHERE ctid IN (SELECT ctid FROM t LIMIT 200000)");
    assert_eq!(sql("SELECT count(*) FROM t").trim(), "200001");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fanout_lands_in_all_its_tables_or_in_none() {
    let first = Postgres::with_database("CREATE TABLE a (id bigint, name text)");
    let second = Postgres::with_database("CREATE TABLE c (name text, id bigint PRIMARY KEY, more int DEFAULT 5)");
    let landing = Landing::new("CREATE TABLE b (id INTEGER CHECK (id < 300000), name TEXT)");
    let context = &first.context;
    first.register("a", "", "'writers' '2'").await.unwrap();
    first.register_at(&second.url(), "c", "", "'on_conflict' 'update'").await.unwrap();
    let b = format!("CREATE EXTERNAL TABLE b STORED AS SQLITE LOCATION '{}'", landing.file().display());
    context.sql(&b).await.unwrap();
    first.sql("CREATE EXTERNAL TABLE all_three STORED AS FANOUT LOCATION 'a,b,c'").await.unwrap();
    assert_eq!(count(&first.sql(&format!("INSERT INTO all_three {SERIES}")).await.unwrap()), 200_000);
    let has = |rows: &str| {
        assert_eq!(first.rows("SELECT count(*) FROM a"), [rows]);
        assert_eq!(landing.rows("SELECT count(*) FROM b"), [rows]);
        assert_eq!(second.rows("SELECT count(*) FROM c"), [if rows == "0" { "0" } else { "200000" }]);
        assert_eq!((left(&first), left(&second)), (vec![], vec![]));
        assert_eq!(landing.rows("SELECT count(*) FROM landfall_ledger"), ["0"]);
    };
    has("200000");
    assert_eq!(second.rows("SELECT DISTINCT more FROM c"), ["5"]);
    // SQLite refuses a row at the end: what PostgreSQL has taken is undone.
    let refused = SERIES.replace("value AS id", "value + 200000 AS id");
    says(&first.error(&format!("INSERT INTO all_three {refused}")).await, &["row 100000", "CHECK"]);
    has("200000");
    first.sql("INSERT OVERWRITE all_three SELECT id, name FROM a").await.unwrap();
    has("200000");
    first.sql("INSERT OVERWRITE all_three SELECT id, name FROM a WHERE false").await.unwrap();
    has("0");
    // A column that is left out is left to each database.
    first.sql("INSERT INTO all_three (id) VALUES (1)").await.unwrap();
    assert_eq!(first.rows("TABLE a"), ["1|NULL"]);
    assert_eq!(second.rows("TABLE c"), ["NULL|1|5"]);
    assert_eq!(landing.rows("SELECT * FROM b"), ["1|NULL"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_of_a_fanout_is_written_once() {
    let server = Postgres::with_database("CREATE TABLE a (id bigint); CREATE TABLE b (id bigint)");
    server.register("a", "", "").await.unwrap();
    server.register("b", "", "").await.unwrap();
    server.sql("CREATE EXTERNAL TABLE both STORED AS FANOUT LOCATION 'a, b' OPTIONS ('job' 'j')").await.unwrap();
    server.sql("CREATE EXTERNAL TABLE turned STORED AS FANOUT LOCATION 'b, a' OPTIONS ('job' 'j')").await.unwrap();
    assert_eq!(count(&server.sql("INSERT INTO both VALUES (1), (2)").await.unwrap()), 2);
    assert_eq!(count(&server.sql("INSERT INTO both VALUES (1), (2)").await.unwrap()), 0);
    says(
        &server.error("INSERT INTO turned VALUES (1)").await,
        &["job 'j' has written table", "use a different job name"],
    );
    assert_eq!(server.rows("SELECT (SELECT count(*) FROM a), (SELECT count(*) FROM b)"), ["2|2"]);
    assert_eq!(left(&server), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fanout_that_cannot_be_meant_is_refused() {
    let server = Postgres::with_database("CREATE TABLE a (id bigint, x int); CREATE TABLE b (id bigint)");
    server.register("a", "", "").await.unwrap();
    server.register("b", "", "").await.unwrap();
    server.register("j", "", "'table' 'a', 'job' 'j'").await.unwrap();
    server.sql("CREATE TABLE memory (id BIGINT) AS VALUES (1)").await.unwrap();
    for (location, options, parts) in [
        ("b", "", ["at least two members", "LOCATION"]),
        ("b, nothing", "", ["table nothing does not exist", "create it first"]),
        ("b, memory", "", ["table memory is not in a database", "FANOUT"]),
        ("b, b", "", ["specified more than once", "b"]),
        ("a, b", "", ["table b has no column \"x\"", "same columns"]),
        ("b, j", "", ["'job'", "set the option on the FANOUT table"]),
        (
            "b, a",
            "OPTIONS ('writers' '2')",
            ["job, commit, log, ledger_table", "'writers' is not an option of a FANOUT table"],
        ),
    ] {
        let create = format!("CREATE EXTERNAL TABLE f STORED AS FANOUT LOCATION '{location}' {options}");
        says(&server.error(&create).await, &parts);
    }
    server.register("b_again", "", "'table' 'public.b'").await.unwrap();
    server.sql("CREATE EXTERNAL TABLE twice STORED AS FANOUT LOCATION 'b, b_again'").await.unwrap();
    says(&server.error("INSERT INTO twice VALUES (1)").await, &["public.b", "specified more than once"]);
    let options = "OPTIONS ('ledger_table' 'x')";
    let create = format!("CREATE EXTERNAL TABLE g STORED AS FANOUT LOCATION 'b, a' {options}");
    says(&server.error(&create).await, &["requires the option 'log'"]);
    server.sql("CREATE EXTERNAL TABLE f STORED AS FANOUT LOCATION 'b, a'").await.unwrap();
    says(&server.error("SELECT * FROM f").await, &["cannot be read", "read b or a"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_who_did_not_ask_notices_several_writers() {
    let server = Postgres::with_database(
        "CREATE TABLE numbered (id bigint GENERATED ALWAYS AS IDENTITY, v bigint); CREATE TABLE u (id uuid PRIMARY KEY)",
    );
    server.register("numbered", "", "").await.unwrap();
    server.sql("INSERT INTO numbered (v) SELECT value FROM generate_series(1, 200000)").await.unwrap();
    assert_eq!(server.rows("SELECT count(*) FROM numbered WHERE id = v"), ["200000"]);
    // Spelled in two ways, and one key to the server.
    server.register("u", "", "'writers' '3', 'lock_timeout' '1s'").await.unwrap();
    let spelled = "SELECT CASE value % 2 WHEN 0 THEN upper(u) ELSE u END AS id FROM ( \
                   SELECT value, '00000000-0000-0000-0000-' || lpad(to_hex(value / 2 + 11184810), 12, 'a') AS u \
                   FROM generate_series(0, 99999))";
    assert_eq!(count(&server.sql(&format!("REPLACE INTO u {spelled}")).await.unwrap()), 100_000);
    assert_eq!(server.rows("SELECT count(*) FROM u"), ["50000"]);
    // Two upserts of the same keys at once wait for each other where the server sees it.
    server.rows("CREATE TABLE k (id bigint PRIMARY KEY, v bigint)");
    server.register("k", "", "").await.unwrap();
    for _ in 0..3 {
        let replace = "REPLACE INTO k SELECT value AS id, value AS v FROM generate_series(1, 100000)";
        let (one, two) = tokio::join!(server.sql(replace), server.sql(replace));
        assert_eq!((count(&one.unwrap()), count(&two.unwrap())), (100_000, 100_000));
    }
    assert_eq!(left(&server), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backend_that_slept_cannot_decide_what_was_forgotten() {
    use datafusion_landfall::backend::Backend;
    use datafusion_landfall::txn::{Decision, DecisionRecord, Epoch, Gtrid, JobId, Positions};
    use sqlx::Connection;
    let server = Postgres::with_database("");
    let postgres = datafusion_landfall::postgres::Postgres::try_new(&server.url(), &Default::default()).unwrap();
    let record = |epoch: u64, run: u64| DecisionRecord {
        job: JobId::try_new("j").unwrap(),
        epoch: Epoch(epoch),
        gtrid: Gtrid::parse(&format!("landfall-{:016x}-{epoch:x}-{run:016x}", 7)).unwrap(),
        decision: Decision::Commit,
        rows: 0,
        positions: Positions::new("t", true),
    };
    let log = postgres.decision_log().unwrap();
    log.decide(record(1, 1)).await.unwrap();
    // Another run decides epoch 2, then 3, and forgets 2, while the first one waits to decide 2.
    let mut other = sqlx::postgres::PgConnection::connect(&server.url()).await.unwrap();
    let copy = |epoch: u64| {
        format!(
            "INSERT INTO landfall_ledger (job, epoch, gtrid, decision, rows, positions) \
             SELECT job, {epoch}, '{}', decision, rows, positions FROM landfall_ledger WHERE epoch = 1",
            record(epoch, 2).gtrid
        )
    };
    sqlx::raw_sql(sqlx::AssertSqlSafe(format!("BEGIN; {}", copy(2)))).execute(&mut other).await.unwrap();
    let slept = tokio::spawn(async move { log.decide(record(2, 1)).await });
    let began = Instant::now();
    while server.rows("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'transactionid'") != ["1"] {
        assert!(began.elapsed() < Duration::from_secs(30), "it does not wait");
        std::thread::sleep(Duration::from_millis(20));
    }
    let rest = format!("{}; DELETE FROM landfall_ledger WHERE epoch = 2; COMMIT", copy(3));
    sqlx::raw_sql(sqlx::AssertSqlSafe(rest)).execute(&mut other).await.unwrap();
    assert_eq!(slept.await.unwrap().unwrap(), record(3, 2));
    assert_eq!(server.rows("SELECT epoch FROM landfall_ledger ORDER BY epoch"), ["1", "3"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_decides_is_durable_whatever_its_role_says() {
    // What runs at the very end of the transaction notes down how it commits.
    let server = Postgres::with_database(
        "CREATE TABLE t (id bigint); CREATE TABLE seen (setting text); \
         CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS \
         $$BEGIN INSERT INTO seen SELECT current_setting('synchronous_commit'); RETURN NULL; END$$; \
         CREATE CONSTRAINT TRIGGER note AFTER INSERT ON t DEFERRABLE INITIALLY DEFERRED FOR EACH ROW \
         EXECUTE FUNCTION note()",
    );
    server.rows(&format!("ALTER DATABASE {} SET synchronous_commit = off", server.database));
    server.register("t", "", "'job' 'j'").await.unwrap();
    server.sql("INSERT INTO t VALUES (1)").await.unwrap();
    assert_eq!(server.rows("SELECT setting FROM seen"), ["on"]);
    server.register("plain", "", "'table' 't'").await.unwrap();
    server.sql("INSERT INTO plain VALUES (2)").await.unwrap();
    assert_eq!(server.rows("SELECT setting FROM seen"), ["on", "off"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_branch_of_another_role_does_not_stop_the_recovery_of_the_others() {
    use datafusion_landfall::backend::{Backend, Protocol, WriteSpec};
    use datafusion_landfall::backend::{conformance::columns, conformance::rows};
    use datafusion_landfall::txn::{Decision, DecisionRecord, Epoch, Gtrid, JobId, JobNumber, Positions, Xid};
    let server = Postgres::with_database(
        "CREATE TABLE landing (id bigint, name text); GRANT ALL ON landing TO secretive, reader; \
         GRANT CREATE ON SCHEMA public TO PUBLIC",
    );
    let mut commands = Vec::new();
    for (role, number) in [("landfall", 1), ("reader", 2), ("landfall", 3)] {
        let postgres = datafusion_landfall::postgres::Postgres::try_new(&server.url_as(role), &Default::default());
        let postgres = postgres.unwrap();
        let (job, run) = (JobId::try_new(&format!("job {number}")).unwrap(), uuid::Uuid::new_v4());
        let gtrid = Gtrid::new(JobNumber::draw(), Epoch(1), run);
        let spec = WriteSpec { protocol: Protocol::TwoPhase, ..WriteSpec::new("landing", columns()) };
        let mut branch = postgres.start(&Xid { gtrid, bqual: 0 }, &spec).await.unwrap();
        branch.write(rows(0..3)).await.unwrap();
        branch.prepare().await.unwrap();
        let positions = Positions::new("landing", true);
        let record = DecisionRecord { job, epoch: Epoch(1), gtrid, decision: Decision::Commit, rows: 3, positions };
        // One ledger, in which all of them are known.
        let log = datafusion_landfall::postgres::Postgres::try_new(&server.url(), &Default::default()).unwrap();
        log.decision_log().unwrap().decide(record).await.unwrap();
        commands.push(gtrid.to_string());
    }
    server.rows("GRANT SELECT, INSERT, DELETE ON landfall_ledger TO reader");
    let output = program(&["recover", &server.url_as("reader")]).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    says(&stderr(&output), &["the user lacks a privilege", "2 of 3 branches remain in doubt"]);
    says(&String::from_utf8_lossy(&output.stdout), &["failed", "committed"]);
    assert_eq!(server.rows("SELECT count(*) FROM landing"), ["3"]);
    assert!(program(&["recover", &server.url()]).output().unwrap().status.success());
    assert_eq!(server.rows("SELECT count(*) FROM landing"), ["9"]);
    assert_eq!(left(&server), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_without_a_job_is_written_by_two_statements_at_once() {
    let server = Postgres::with_database("CREATE TABLE t (id bigint, name text)");
    server.register("t", "", "'writers' '2'").await.unwrap();
    let insert = format!("INSERT INTO t {SERIES}");
    let (one, two) = tokio::join!(server.sql(&insert), server.sql(&insert));
    assert_eq!((count(&one.unwrap()), count(&two.unwrap())), (200_000, 200_000));
    assert_eq!(server.rows("SELECT count(*) FROM t"), ["400000"]);
    assert_eq!(left(&server), [""; 0]);
}

#[cfg(feature = "failpoints")]
#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_another_process_takes_over_is_fenced() {
    let server = Postgres::with_database("CREATE TABLE t (id bigint, name text)");
    let script = format!(
        "CREATE EXTERNAL TABLE t STORED AS POSTGRES LOCATION '{}' OPTIONS ('job' 'j', 'writers' '2'); \
         INSERT INTO t {SERIES}",
        server.url()
    );
    let zombie = program(&["sql", "-c", &script]).env("FAILPOINTS", "prepare.all=sleep(6000)").spawn().unwrap();
    let began = Instant::now();
    while server.rows("SELECT count(*) FROM pg_prepared_xacts WHERE database = current_database()") != ["2"] {
        assert!(began.elapsed() < Duration::from_secs(60), "it does not prepare");
        std::thread::sleep(Duration::from_millis(20));
    }
    let next = program(&["sql", "-c", &script]).output().unwrap();
    assert!(next.status.success(), "{next:?}");
    says(&stderr(&next), &["an earlier run of job 'j' left branch", "is now rolled back"]);
    let zombie = zombie.wait_with_output().unwrap();
    assert!(!zombie.status.success());
    says(&stderr(&zombie), &["another run of job 'j' took over", "the uncommitted rows of this run were not written"]);
    assert_eq!(server.rows("SELECT count(*) FROM t"), ["200000"]);
    assert_eq!(left(&server), [""; 0]);
}

#[cfg(feature = "failpoints")]
#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_does_not_answer_leaves_the_branches_and_says_what_to_run() {
    let server = Postgres::with_database("CREATE TABLE t (id bigint, name text)");
    let (log, log_url) = Cluster::start("postgres");
    let script = format!(
        "CREATE EXTERNAL TABLE t STORED AS POSTGRES LOCATION '{}' OPTIONS ('writers' '2', 'log' '{log_url}'); \
         INSERT INTO t {SERIES}",
        server.url()
    );
    let run = program(&["sql", "-c", &script]).env("FAILPOINTS", "decide.before=sleep(3000)").spawn().unwrap();
    let prepared = "SELECT count(*) FROM pg_prepared_xacts WHERE database = current_database()";
    let began = Instant::now();
    while server.rows(prepared) != ["2"] {
        assert!(began.elapsed() < Duration::from_secs(60), "it does not prepare");
        std::thread::sleep(Duration::from_millis(20));
    }
    log.stop();
    let output = run.wait_with_output().unwrap();
    assert!(!output.status.success());
    let error = stderr(&output);
    says(&error, &["is unknown", "2 branches remain prepared", "landfall recover '"]);
    assert_eq!(server.rows(prepared), ["2"]);
    log.resume();
    // The command of the message, as it is.
    let command = error.split_once("landfall recover ").unwrap().1.split_once("0s").unwrap().0;
    let command = format!("'{}' recover {command}0s", env!("CARGO_BIN_EXE_landfall"));
    let recovered = Command::new("sh").args(["-c", &command]).output().unwrap();
    assert!(recovered.status.success(), "{command}: {recovered:?}");
    says(&String::from_utf8_lossy(&recovered.stdout), &["rolled back"]);
    assert_eq!(left(&server), [""; 0]);
    assert_eq!(server.rows("SELECT count(*) FROM t"), ["0"]);
}
