//! Several writers, several databases, one transaction; and what is said where that cannot be.

use std::process::Command;

use super::{MySql, client};
use crate::cluster::Cluster;
use crate::landing::{Landing, count, read, says, session};
use crate::postgres::Postgres;

const SERIES: &str = "SELECT value AS id, 'text ' || value AS name FROM generate_series(1, 100000)";

/// A server of a test's own: prepared branches are those of a whole server.
struct Own {
    _cluster: Cluster,
    url: url::Url,
    context: datafusion::prelude::SessionContext,
}

impl Own {
    fn new(setup: &str) -> Self {
        let (cluster, url) = Cluster::start("mysql");
        let own = Self { _cluster: cluster, url: url.parse().unwrap(), context: session() };
        own.rows(setup);
        own
    }

    fn rows(&self, sql: &str) -> Vec<String> {
        client(&self.url, "landfall", sql).unwrap()
    }

    async fn sql(&self, sql: &str) -> u64 {
        count(&self.context.sql(sql).await.unwrap().collect().await.unwrap())
    }

    async fn error(&self, sql: &str) -> String {
        crate::landing::error(&self.context, sql).await
    }

    async fn register(&self, name: &str, options: &str) {
        let create =
            format!("CREATE EXTERNAL TABLE {name} STORED AS MYSQL LOCATION '{}' OPTIONS ({options})", self.url);
        self.context.sql(&create).await.unwrap();
    }

    fn nothing_is_left(&self) {
        assert_eq!(self.rows("XA RECOVER"), [""; 0]);
        let ledger = "SELECT count(*) FROM information_schema.TABLES WHERE TABLE_NAME = 'landfall_ledger'";
        if self.rows(ledger) == ["1"] {
            assert_eq!(self.rows("SELECT job FROM landfall_ledger"), [""; 0]);
        }
    }

    fn program(&self, arguments: &[&str]) -> (bool, String) {
        let output = Command::new(env!("CARGO_BIN_EXE_landfall")).args(arguments).output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
        (output.status.success(), said)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn several_writers_land_every_row_once() {
    let own = Own::new(
        "CREATE TABLE plain (id bigint, name text); CREATE TABLE keyed (id bigint PRIMARY KEY, name text); \
         CREATE TABLE numbered (n bigint AUTO_INCREMENT PRIMARY KEY, id bigint, name text); \
         CREATE TABLE two_keys (id bigint PRIMARY KEY, name varchar(30), UNIQUE (name))",
    );
    for (table, verb) in
        [("plain", "INSERT"), ("keyed", "INSERT"), ("keyed", "REPLACE"), ("numbered", "INSERT"), ("two_keys", "INSERT")]
    {
        let name = format!("{table}_{verb}");
        own.register(&name, &format!("'table' '{table}', 'writers' '3'")).await;
        let insert = format!("{verb} INTO {name} (id, name) {SERIES}");
        assert_eq!(own.sql(&insert).await, 100_000, "{name}");
        let sums = format!("SELECT count(*), count(DISTINCT id), sum(id), count(DISTINCT name) FROM {table}");
        assert_eq!(own.rows(&sums), ["100000|100000|5000050000|100000"], "{name}");
        own.nothing_is_left();
    }
    let plan = read(&own.context, &format!("EXPLAIN INSERT INTO plain_INSERT {SERIES}")).await.join("\n");
    says(&plan, &["writers=3"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_one_writer_refuses_undoes_them_all() {
    let own = Own::new("CREATE TABLE t (id bigint, name varchar(20), CHECK (id <> 50000))");
    own.register("t", "'writers' '4'").await;
    says(&own.error(&format!("INSERT INTO t {SERIES}")).await, &["a constraint", "CONSTRAINT"]);
    assert_eq!(own.rows("SELECT count(*) FROM t"), ["0"]);
    own.nothing_is_left();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fanout_lands_in_all_databases_or_in_none() {
    let own = Own::new("CREATE TABLE m (id bigint CHECK (id < 300000), name text)");
    let postgres = Postgres::with_database("CREATE TABLE p (id bigint, name text)");
    let landing = Landing::new("CREATE TABLE s (id INTEGER CHECK (id < 200000), name TEXT)");
    own.register("m", "'writers' '2'").await;
    let create = |name: &str, stored_as: &str, location: &str| {
        format!("CREATE EXTERNAL TABLE {name} STORED AS {stored_as} LOCATION '{location}'")
    };
    own.context.sql(&create("p", "POSTGRES", &postgres.url())).await.unwrap();
    own.context.sql(&create("s", "SQLITE", &landing.file().display().to_string())).await.unwrap();
    let has = |m: &str, p: &str, s: &str| {
        assert_eq!(own.rows("SELECT count(*) FROM m"), [m]);
        assert_eq!(postgres.rows("SELECT count(*) FROM p"), [p]);
        assert_eq!(landing.rows("SELECT count(*) FROM s"), [s]);
        assert_eq!(postgres.rows("SELECT gid FROM pg_prepared_xacts WHERE database = current_database()"), [""; 0]);
        own.nothing_is_left();
    };
    for (name, members) in [("mp", "m, p"), ("pm", "p, m"), ("ms", "m, s"), ("mps", "m, p, s")] {
        own.context.sql(&create(name, "FANOUT", members)).await.unwrap();
        assert_eq!(own.sql(&format!("INSERT OVERWRITE {name} {SERIES}")).await, 100_000, "{members}");
    }
    has("100000", "100000", "100000");
    // SQLite refuses a row at the end: what the servers have taken is undone.
    let refused = SERIES.replace("value AS id", "value + 150000 AS id");
    says(&own.error(&format!("INSERT INTO mps {refused}")).await, &["row 50000", "CHECK"]);
    let refused = SERIES.replace("value AS id", "value + 250000 AS id");
    says(&own.error(&format!("INSERT INTO pm {refused}")).await, &["CONSTRAINT"]);
    has("100000", "100000", "100000");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_writes_once() {
    let server = MySql::new("CREATE TABLE t (id bigint, name text)");
    let job = "'job' 'load ä', 'commit'";
    server.register("t", "", &format!("{job} 'two_phase', 'writers' '2'")).await.unwrap();
    assert_eq!(count(&server.sql(&format!("INSERT INTO t {SERIES}")).await.unwrap()), 100_000);
    assert_eq!(count(&server.sql(&format!("INSERT INTO t {SERIES}")).await.unwrap()), 0);
    server.register("one", "", &format!("'table' 't', {job} 'one_phase'")).await.unwrap();
    assert_eq!(count(&server.sql(&format!("INSERT INTO one {SERIES}")).await.unwrap()), 0);
    server.register("two", "", "'table' 't', 'job' 'another '").await.unwrap();
    assert_eq!(count(&server.sql("INSERT INTO two VALUES (0, 'x')").await.unwrap()), 1);
    server.register("three", "", "'table' 't', 'job' 'another'").await.unwrap();
    assert_eq!(count(&server.sql("INSERT INTO three VALUES (0, 'x')").await.unwrap()), 1);
    assert_eq!(server.rows("SELECT count(*) FROM t"), ["100002"]);
    let ledger = "SELECT CONVERT(job USING utf8mb4), decision, \"rows\" FROM landfall_ledger \
                  WHERE decision = 'commit' ORDER BY job";
    assert_eq!(server.rows(ledger), ["another|commit|1", "another |commit|1", "load ä|commit|100000"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ledger_can_be_another_table() {
    let server = MySql::new("CREATE TABLE t (id bigint)");
    server.rows(&format!("GRANT ALL ON {}.t TO reader", server.database));
    let options = "'job' 'j', 'ledger_table' 'the Ledger'";
    server.register_at(&server.url_as("reader"), "t", "", options).await.unwrap();
    let error = server.error("INSERT INTO t VALUES (1)").await;
    says(&error, &["ledger_table", "CREATE TABLE IF NOT EXISTS \"the Ledger\" (", "TO reader;"]);
    // What the message says is what an administrator can run.
    let (_, ddl) = error.split_once("to run:\n").unwrap();
    let (ddl, _) = ddl.split_once("\nThe server reported").unwrap();
    server.rows(ddl);
    assert_eq!(count(&server.sql("INSERT INTO t VALUES (1)").await.unwrap()), 1);
    assert_eq!(count(&server.sql("INSERT INTO t VALUES (1)").await.unwrap()), 0);
    assert_eq!(server.rows("SELECT decision FROM \"the Ledger\" ORDER BY epoch DESC LIMIT 1"), ["commit"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_create_a_ledger_has_one_writer() {
    let server = MySql::new("CREATE TABLE t (id bigint, name text)");
    server.rows(&format!("GRANT ALL ON {}.t TO reader", server.database));
    server.register_at(&server.url_as("reader"), "t", "", "").await.unwrap();
    assert_eq!(count(&server.sql(&format!("INSERT INTO t {SERIES}")).await.unwrap()), 100_000);
    server.register_at(&server.url_as("reader"), "four", "", "'table' 't', 'writers' '4'").await.unwrap();
    says(&server.error("INSERT INTO four VALUES (1, 'x')").await, &["landfall_ledger", "GRANT SELECT"]);
    assert_eq!(server.rows("SELECT count(*) FROM t"), ["100000"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_that_died_is_shown_and_recovered() {
    let own = Own::new("CREATE TABLE t (id bigint, name text)");
    let url = own.url.as_str();
    says(&own.program(&["status", url]).1, &["no jobs", "no branches are in doubt"]);
    // Somebody else's, and one of a job that this log does not know.
    let unknown = "'landfall-00000000000000aa-2-00000000000000bb','0@1700000000',19526";
    for xid in ["'another','1',1", "'landfall-x','0@1',19526", unknown] {
        own.rows(&format!("XA START {xid}; INSERT INTO t VALUES (1, 'x'); XA END {xid}; XA PREPARE {xid}"));
    }
    let (ok, said) = own.program(&["recover", url, "--older-than", "0s"]);
    assert!(!ok, "it is left, and the status says so: {said}");
    says(&said, &["landfall-00000000000000aa-2-00000000000000bb-0", "decided in another log", "--log"]);
    assert!(!said.contains("landfall-x"), "{said}");
    assert_eq!(own.rows("XA RECOVER").len(), 3);
    for xid in ["'another','1',1", "'landfall-x','0@1',19526", unknown] {
        own.rows(&format!("XA ROLLBACK {xid}"));
    }
    // Ours: it dies when all have prepared.
    let sql = format!(
        "CREATE EXTERNAL TABLE t STORED AS MYSQL LOCATION '{url}' OPTIONS ('writers' '2'); INSERT INTO t {SERIES}"
    );
    let mut program = Command::new(env!("CARGO_BIN_EXE_landfall"));
    let died = program.args(["sql", "-c", &sql]).env("FAILPOINTS", "prepare.all=return").output().unwrap();
    if died.status.success() {
        println!("skipped: the program was built without the feature failpoints");
        return;
    }
    assert_eq!(own.rows("XA RECOVER").len(), 2);
    let (_, said) = own.program(&["status", url]);
    says(&said, &["landfall-", "statement "]);
    let (ok, said) = own.program(&["recover", url, "--older-than", "1h"]);
    assert!(ok, "{said}");
    assert_eq!(own.rows("XA RECOVER").len(), 2, "younger than an hour: {said}");
    let (ok, said) = own.program(&["recover", url, "--older-than", "0s"]);
    assert!(ok, "{said}");
    says(&said, &["rolled back"]);
    assert_eq!(own.rows("XA RECOVER"), [""; 0]);
    assert_eq!(own.rows("SELECT count(*) FROM t"), ["0"]);
}
