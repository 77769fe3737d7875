//! Transactions of several statements, in one or several databases.

use std::process::Stdio;
use std::time::{Duration, Instant};

use datafusion::dataframe::DataFrameWriteOptions;
use datafusion::error::DataFusionError;
use datafusion::prelude::SessionContext;
use datafusion_landfall::{Transaction, begin, register, sql};
use futures::StreamExt;
use url::Url;

use crate::cluster::Cluster;
use crate::dml::Place;
use crate::landing::{Landing, count, rows_of, says};
use crate::mysql::{MySql, client};
use crate::postgres::Postgres;
use crate::program::{program, texts};

/// A session with these databases attached as `a`, `b`, …, each with a table `t`.
async fn session(places: &[&Place]) -> SessionContext {
    let context = SessionContext::new();
    register(&context);
    for (place, name) in places.iter().zip(["a", "b", "c"]) {
        place.client("CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER, v VARCHAR(40))");
        sql(&context, &format!("ATTACH '{}' AS {name}", place.url())).await.unwrap();
    }
    context
}

async fn run(transaction: &Transaction, text: &str) -> Result<u64, DataFusionError> {
    Ok(count(&transaction.sql(text).await?.collect().await?))
}

async fn rows(transaction: &Transaction, text: &str) -> Vec<String> {
    rows_of(&transaction.sql(text).await.unwrap().collect().await.unwrap())
}

const ROWS: &str = "SELECT id, n, v FROM t ORDER BY id";

#[tokio::test(flavor = "multi_thread")]
async fn statements_see_what_the_transaction_wrote_and_others_do_not() {
    for place in &Place::all() {
        let context = session(&[place]).await;
        place.client("INSERT INTO t VALUES (1, 10, 'old'), (2, 20, 'old')");
        let transaction = begin(&context).await.unwrap();
        let name = place.name();
        assert_eq!(run(&transaction, "INSERT INTO a.t VALUES (3, 30, 'new')").await.unwrap(), 1, "{name}");
        assert_eq!(rows(&transaction, "SELECT count(*), sum(n) FROM a.t").await, ["3|60"], "{name}");
        assert_eq!(run(&transaction, "UPDATE a.t SET n = n + 1 WHERE id >= 2").await.unwrap(), 2, "{name}");
        assert_eq!(run(&transaction, "UPDATE a.t SET v = v || '-' || (SELECT max(n) FROM a.t)").await.unwrap(), 3);
        assert_eq!(run(&transaction, "DELETE FROM a.t WHERE id = 1").await.unwrap(), 1, "{name}");
        assert_eq!(run(&transaction, "INSERT INTO a.t SELECT id + 10, n, v FROM a.t").await.unwrap(), 2, "{name}");
        let merge = "MERGE INTO a.t USING (SELECT id, n FROM a.t WHERE id > 10) AS s ON t.id = s.id - 10
                     WHEN MATCHED THEN UPDATE SET n = s.n * 2";
        assert_eq!(run(&transaction, merge).await.unwrap(), 2, "{name}");
        let upsert = "INSERT INTO a.t (id, n) VALUES (12, 5), (20, 6) ON CONFLICT (id) DO UPDATE SET n = excluded.n";
        assert_eq!(run(&transaction, upsert).await.unwrap(), 2, "{name}");
        let inside = rows(&transaction, "SELECT id, n, v FROM a.t ORDER BY id").await;
        assert_eq!(inside, ["2|42|old-31", "3|62|new-31", "12|5|old-31", "13|31|new-31", "20|6|NULL"], "{name}");
        if !matches!(place, Place::MySql(_)) {
            assert_eq!(place.client(ROWS), ["1|10|old", "2|20|old"], "{name}");
        }
        transaction.commit().await.unwrap();
        assert_eq!(place.client(ROWS), inside, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_that_is_rolled_back_dropped_or_failed_changes_nothing() {
    for place in &Place::all() {
        let context = session(&[place]).await;
        place.client("INSERT INTO t VALUES (1, 10, 'old')");
        let transaction = begin(&context).await.unwrap();
        run(&transaction, "UPDATE a.t SET n = 11").await.unwrap();
        transaction.rollback().await;
        let transaction = begin(&context).await.unwrap();
        run(&transaction, "DELETE FROM a.t").await.unwrap();
        let late = transaction.sql("SELECT * FROM a.t").await.unwrap();
        drop(transaction);
        says(&late.collect().await.unwrap_err().to_string(), &["the transaction has ended"]);

        let transaction = begin(&context).await.unwrap();
        run(&transaction, "INSERT INTO a.t VALUES (2, 20, 'new')").await.unwrap();
        let twice = run(&transaction, "INSERT INTO a.t VALUES (1, 1, 'twice')").await.unwrap_err().to_string();
        says(&twice, &["key already exists"]);
        let next = run(&transaction, "INSERT INTO a.t VALUES (3, 30, 'new')").await.unwrap_err().to_string();
        says(&next, &["the transaction has failed", "key already exists", "ROLLBACK"]);
        says(&transaction.commit().await.unwrap_err().to_string(), &["COMMIT", "rolled back"]);
        // Nobody waits for locks of those that were dropped.
        for attempt in 0..50 {
            let again = begin(&context).await.unwrap();
            if run(&again, "UPDATE a.t SET n = n").await.is_ok() || attempt == 49 {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        assert_eq!(place.client(ROWS), ["1|10|old"], "{}", place.name());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn databases_commit_together() {
    let places = [Place::Postgres(Postgres::new("")), Place::MySql(MySql::new("")), Place::Sqlite(Landing::new(""))];
    let all: Vec<_> = places.iter().collect();
    let context = session(&all).await;
    for (ends_well, id) in [(true, 1), (false, 2)] {
        let transaction = begin(&context).await.unwrap();
        for name in ["a", "b", "c"] {
            run(&transaction, &format!("INSERT INTO {name}.t VALUES ({id}, 1, 'x')")).await.unwrap();
        }
        // From one database to another.
        let copy = format!("INSERT INTO b.t SELECT id + 100, n, v FROM a.t WHERE id = {id}");
        assert_eq!(run(&transaction, &copy).await.unwrap(), 1);
        match ends_well {
            true => transaction.commit().await.unwrap(),
            false => transaction.rollback().await,
        }
        let ids = places.each_ref().map(|place| place.client("SELECT id FROM t ORDER BY id").join(" "));
        assert_eq!(ids, ["1", "1 101", "1"]);
    }
    assert_eq!(places[0].client("SELECT count(*) FROM pg_prepared_xacts WHERE gid LIKE 'landfall-%' AND database = current_database() AND prepared < now() - interval '1 minute'"), ["0"]);

    let (one, two) = (Place::Sqlite(Landing::new("")), Place::Sqlite(Landing::new("")));
    let context = session(&[&one, &two]).await;
    let transaction = begin(&context).await.unwrap();
    run(&transaction, "INSERT INTO a.t VALUES (1, 1, 'x')").await.unwrap();
    let second = run(&transaction, "INSERT INTO b.t VALUES (1, 1, 'x')").await.unwrap_err().to_string();
    says(&second, &["cannot prepare transactions", "only one such database", &one.url()[7..]]);
    drop(transaction);
    assert_eq!([one.client("SELECT count(*) FROM t"), two.client("SELECT count(*) FROM t")], [["0"], ["0"]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_part_of_a_transaction_is_refused() {
    for place in &Place::all() {
        let context = session(&[place]).await;
        place.register("once", "", "'table' 't', 'job' 'once'").await;
        for (statement, parts) in [
            ("CREATE TABLE a.u AS SELECT 1 AS id", &["before BEGIN"][..]),
            ("DROP TABLE a.t", &["before BEGIN"]),
            ("BEGIN", &["datafusion_landfall::begin"]),
            ("SAVEPOINT s", &["Transaction::savepoint"]),
        ] {
            let transaction = begin(&context).await.unwrap();
            says(&run(&transaction, statement).await.unwrap_err().to_string(), parts);
        }
        let transaction = begin(place.context()).await.unwrap();
        let job = run(&transaction, "INSERT INTO once VALUES (1, 1, 'x')").await.unwrap_err().to_string();
        says(&job, &["'job'", "transaction"]);
        assert!(begin(transaction.context()).await.is_err());
        assert_eq!(place.client("SELECT count(*) FROM t"), ["0"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_reads_much_in_several_scans_and_not_to_its_end() {
    for place in &Place::all() {
        let context = session(&[place]).await;
        let transaction = begin(&context).await.unwrap();
        let fill = "INSERT INTO a.t SELECT value, value % 100, repeat('x', 40) FROM range(0, 200000)";
        assert_eq!(run(&transaction, fill).await.unwrap(), 200_000);
        let joined = "SELECT count(*), sum(x.n) FROM a.t AS x JOIN a.t AS y ON x.id = y.id + 1 WHERE x.n > y.n";
        assert_eq!(rows(&transaction, joined).await, ["198000|9900000"], "{}", place.name());
        let some = "SELECT count(*) FROM (SELECT id FROM a.t UNION ALL SELECT n FROM a.t LIMIT 10)";
        assert_eq!(rows(&transaction, some).await, ["10"], "{}", place.name());
        let mut few = transaction.sql("SELECT v FROM a.t").await.unwrap().execute_stream().await.unwrap();
        few.next().await.unwrap().unwrap();
        drop(few);
        let unread = transaction.sql("SELECT v FROM a.t").await.unwrap().execute_stream().await.unwrap();
        drop(unread);
        assert_eq!(run(&transaction, "DELETE FROM a.t WHERE id >= 10").await.unwrap(), 199_990);
        assert_eq!(run(&transaction, "INSERT OVERWRITE a.t SELECT id, n, 'y' FROM a.t WHERE n < 3").await.unwrap(), 3);
        assert_eq!(run(&transaction, "REPLACE INTO a.t (id, v) VALUES (2, 'z'), (3, 'z')").await.unwrap(), 2);
        transaction.commit().await.unwrap();
        assert_eq!(place.client(ROWS), ["0|0|y", "1|1|y", "2|NULL|z", "3|NULL|z"], "{}", place.name());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_are_also_written_by_data_frames_and_by_fanout() {
    let (one, two) = (Place::Postgres(Postgres::new("")), Place::Sqlite(Landing::new("")));
    let context = session(&[&one, &two]).await;
    let table = |place: &Place, name: &str| match place {
        Place::Sqlite(landing) => format!(
            "CREATE EXTERNAL TABLE {name} STORED AS SQLITE LOCATION '{}' OPTIONS ('table' 't', 'on_conflict' 'update', 'upsert' 'diff')",
            landing.file().display()
        ),
        other => format!(
            "CREATE EXTERNAL TABLE {name} STORED AS POSTGRES LOCATION '{}' OPTIONS ('table' 't', 'on_conflict' 'update', 'upsert' 'diff')",
            other.url()
        ),
    };
    for (place, name) in [(&one, "one"), (&two, "two")] {
        sql(&context, &table(place, name)).await.unwrap();
    }
    sql(&context, "CREATE EXTERNAL TABLE both STORED AS FANOUT LOCATION 'two, one'").await.unwrap();
    let transaction = begin(&context).await.unwrap();
    assert_eq!(run(&transaction, "INSERT INTO both VALUES (1, 1, 'a'), (2, 2, 'b')").await.unwrap(), 2);
    let frame = transaction.sql("SELECT id, n + 1 AS n, v FROM one WHERE id = 2").await.unwrap();
    frame.write_table("two", DataFrameWriteOptions::new()).await.unwrap();
    transaction.commit().await.unwrap();
    assert_eq!(one.client(ROWS), ["1|1|a", "2|2|b"]);
    assert_eq!(two.client(ROWS), ["1|1|a", "2|3|b"]);
    // The ledger has no more records of it.
    assert_eq!(two.client("SELECT count(*) FROM landfall_ledger"), ["0"]);

    let of_one = Place::Sqlite(Landing::new(""));
    let context = session(&[&of_one]).await;
    let transaction = begin(&context).await.unwrap();
    run(&transaction, "INSERT INTO a.t VALUES (1, 1, 'x')").await.unwrap();
    transaction.commit().await.unwrap();
    assert_eq!(of_one.client("SELECT count(*) FROM sqlite_master WHERE name LIKE 'landfall%'"), ["0"]);
    // Of a database that was attached later, the log could not know.
    let transaction = begin(&context).await.unwrap();
    run(&transaction, "INSERT INTO a.t VALUES (2, 1, 'x')").await.unwrap();
    transaction.sql(&format!("ATTACH '{}' AS late", one.url())).await.unwrap();
    let late = run(&transaction, "INSERT INTO late.t VALUES (3, 1, 'x')").await.unwrap_err().to_string();
    says(&late, &["was attached after", "attach all databases before BEGIN"]);
    drop(transaction);
    assert_eq!(one.client("SELECT count(*) FROM t"), ["2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_has_one_name_and_much_is_written_to_a_file() {
    let place = Place::Sqlite(Landing::new(""));
    let context = session(&[&place]).await;
    let again = place.url().replacen("sqlite:/", "sqlite:/./", 1);
    sql(&context, &format!("ATTACH '{again}' AS again")).await.unwrap();
    place.client("CREATE TABLE wide (id INTEGER PRIMARY KEY, v TEXT)");
    let transaction = begin(&context).await.unwrap();
    // More than the cache holds.
    run(&transaction, "INSERT INTO a.wide SELECT value, repeat('x', 40000) FROM range(0, 1000)").await.unwrap();
    assert_eq!(rows(&transaction, "SELECT count(*), sum(length(v)) FROM a.wide").await, ["1000|40000000"]);
    assert_eq!(run(&transaction, "UPDATE a.wide SET v = 'y' WHERE id < 10").await.unwrap(), 10);
    let other = run(&transaction, "INSERT INTO again.t VALUES (1, 1, 'x')").await.unwrap_err().to_string();
    says(&other, &["the transaction was rolled back", "are the same database"]);
    drop(transaction);
    assert_eq!(place.client("SELECT count(*) FROM wide"), ["0"]);
}

#[test]
fn the_example_of_transactions_gives_the_same_each_time() {
    let folder = tempfile::tempdir().unwrap();
    let script = crate::program::repository().join("sql/transaction.sql");
    for _ in 0..2 {
        let output =
            program(folder.path()).args(["sql", "--format", "csv", script.to_str().unwrap()]).output().unwrap();
        assert!(output.status.success(), "{:?}", texts(&output));
        says(&texts(&output).0, &["accounts_in_the_transaction\n0", "1,Ada,75", "2,Grace,25"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_program_runs_transactions() {
    for place in &Place::all() {
        place.client("CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER, v VARCHAR(40))");
        let said = |script: &str| {
            let script = format!("ATTACH '{}' AS a; {script}", place.url());
            let output = program(&std::env::temp_dir()).args(["sql", "-c", &script]).output().unwrap();
            (output.status.success(), texts(&output))
        };
        let (is_done, (out, _)) = said(
            "BEGIN; INSERT INTO a.t VALUES (1, 1, 'x'); SELECT count(*) AS c FROM a.t; UPDATE a.t SET n = 2; COMMIT",
        );
        assert!(is_done);
        says(&out, &["transaction begun", "| 1 ", "1 row changed", "committed in"]);
        let (is_done, (_, error)) = said("BEGIN; INSERT INTO a.t VALUES (2, 1, 'x')");
        assert!(!is_done, "a script that forgets it would go unnoticed");
        says(&error, &["ended without COMMIT", "rolled back"]);
        let (is_done, (_, error)) =
            said("BEGIN; INSERT INTO a.t VALUES (2, 1, 'x'); INSERT INTO a.t VALUES (1, 1, 'x'); COMMIT");
        assert!(!is_done);
        says(&error, &["statement 4", "key already exists"]);
        says(&said("COMMIT").1.1, &["no transaction is open"]);
        says(&said("BEGIN; BEGIN").1.1, &["a transaction is open"]);
        assert_eq!(place.client(ROWS), ["1|2|x"], "{}", place.name());
    }
}

/// Databases that take part in a transaction, on servers where nobody else prepares.
pub(crate) struct Sites {
    postgres: Place,
    mysql: Url,
    sqlite: Option<Place>,
    _cluster: Cluster,
}

impl Sites {
    pub(crate) fn new(has_sqlite: bool) -> Self {
        let (cluster, mysql) = Cluster::start("mysql");
        let sqlite = has_sqlite.then(|| Place::Sqlite(Landing::new("")));
        let postgres = Place::Postgres(Postgres::with_database(""));
        Self { postgres, mysql: mysql.parse().unwrap(), sqlite, _cluster: cluster }
    }

    fn urls(&self) -> Vec<String> {
        let urls = [self.postgres.url(), self.mysql.to_string()];
        urls.into_iter().chain(self.sqlite.as_ref().map(Place::url)).collect()
    }

    /// Attaches them as `a`, `b` and `c`.
    pub(crate) fn attach(&self) -> String {
        let attach = self.urls().into_iter().zip(["a", "b", "c"]);
        attach.map(|(url, name)| format!("ATTACH '{url}' AS {name} OPTIONS ('lock_timeout' '5s'); ")).collect()
    }

    /// What the client of each says.
    pub(crate) fn rows(&self, sql: &str) -> Vec<Vec<String>> {
        let rows = [self.postgres.client(sql), client(&self.mysql, "landfall", sql).unwrap()];
        rows.into_iter().chain(self.sqlite.as_ref().map(|place| place.client(sql))).collect()
    }

    /// Recovers what dead runs have left: nothing is prepared then.
    fn recover(&self) {
        let urls = self.urls();
        let log = if self.sqlite.is_some() { &urls[2] } else { &urls[0] };
        for url in &urls[..2] {
            let mut arguments = vec!["recover", url, "--older-than", "0s"];
            if url != log {
                arguments.extend(["--log", log]);
            }
            let output = program(&std::env::temp_dir()).args(&arguments).output().unwrap();
            assert!(output.status.success(), "{arguments:?}: {:?}", texts(&output));
        }
        self.holds_nothing();
    }

    /// Checks that nothing is prepared.
    pub(crate) fn holds_nothing(&self) {
        let prepared = "SELECT gid FROM pg_prepared_xacts WHERE database = current_database()";
        assert!(self.postgres.client(prepared).is_empty());
        assert!(client(&self.mysql, "landfall", "XA RECOVER").unwrap().is_empty());
    }
}

#[test]
#[cfg(feature = "failpoints")]
fn wherever_the_program_dies_all_databases_have_the_rows_or_none() {
    const POINTS: &[(&str, bool)] = &[
        ("branch.written", false),
        ("announce.after", false),
        ("prepare.before", false),
        ("postgres.prepare.after", false),
        ("mysql.prepare.after", false),
        ("prepare.one", false),
        ("prepare.all", false),
        ("decide.before", false),
        ("last_agent.before", false),
        ("sqlite.commit.before", false),
        ("sqlite.commit.after", true),
        ("last_agent.after", true),
        ("decide.after", true),
        ("complete.before", true),
        ("complete.one", true),
        ("complete.all", true),
    ];
    for has_agent in [false, true] {
        let sites = Sites::new(has_agent);
        sites.rows("CREATE TABLE t (id INTEGER PRIMARY KEY)");
        let mut expected = Vec::new();
        for (id, (point, is_committed)) in POINTS.iter().enumerate() {
            let of_agent = point.starts_with("sqlite") || point.starts_with("last_agent");
            if of_agent && !has_agent || point.starts_with("decide.") && has_agent {
                continue;
            }
            let names = if has_agent { &["a", "b", "c"][..] } else { &["a", "b"] };
            let inserts = names.iter().map(|name| format!("INSERT INTO {name}.t VALUES ({id}); "));
            let script = format!("{}BEGIN; {}COMMIT", sites.attach(), inserts.collect::<String>());
            let mut command = program(&std::env::temp_dir());
            let died =
                command.args(["sql", "-c", &script]).env("FAILPOINTS", format!("{point}=return")).output().unwrap();
            assert!(!died.status.success(), "it did not die at {point}: {:?}", texts(&died));
            sites.recover();
            if *is_committed {
                expected.push(id.to_string());
            }
            for ids in sites.rows("SELECT id FROM t ORDER BY id") {
                assert_eq!(ids, expected, "{point}, with SQLite: {has_agent}");
            }
        }
    }
}

/// Money moves between accounts in two databases, in several processes that are killed. By hand:
/// `LANDFALL_TEST_BANK=60 tests/run group::bank`, which is a minute.
#[test]
fn bank() {
    let seconds = std::env::var("LANDFALL_TEST_BANK").ok().map_or(6, |seconds| seconds.parse().unwrap());
    let sites = Sites::new(false);
    sites.rows("CREATE TABLE accounts (id INTEGER PRIMARY KEY, amount BIGINT NOT NULL)");
    let accounts: Vec<_> = (0..20).map(|id| format!("({id}, 1000)")).collect();
    sites.rows(&format!("INSERT INTO accounts VALUES {}", accounts.join(", ")));
    sites.rows("CREATE TABLE transfers (id BIGINT PRIMARY KEY)");
    let attach = sites.attach();
    let transfer = |id: u64, rng: &mut fastrand::Rng| {
        let (amount, from, to) = (rng.i32(-50..50), rng.u8(..20), rng.u8(..20));
        format!(
            "BEGIN; UPDATE a.accounts SET amount = amount - {amount} WHERE id = {from}; \
             UPDATE b.accounts SET amount = amount + {amount} WHERE id = {to}; \
             INSERT INTO a.transfers VALUES ({id}); INSERT INTO b.transfers VALUES ({id}); COMMIT; "
        )
    };
    let began = Instant::now();
    let (mut kills, mut ends) = (0, 0);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..8_u64)
            .map(|worker| {
                let (attach, transfer) = (&attach, &transfer);
                scope.spawn(move || {
                    let (mut rng, mut next, mut counts) = (fastrand::Rng::with_seed(worker), worker << 32, (0, 0));
                    while began.elapsed().as_secs() < seconds {
                        let transfers: String = (next..next + 20).map(|id| transfer(id, &mut rng)).collect();
                        next += 20;
                        let mut command = program(&std::env::temp_dir());
                        let script = format!("{attach}{transfers}");
                        command.args(["sql", "-c", &script]).stdout(Stdio::null()).stderr(Stdio::null());
                        let mut child = command.spawn().unwrap();
                        let life = Duration::from_millis(rng.u64(1_000..8_000));
                        let born = Instant::now();
                        while child.try_wait().unwrap().is_none() {
                            if born.elapsed() > life {
                                child.kill().unwrap();
                                child.wait().unwrap();
                                counts.0 += 1;
                                break;
                            }
                            std::thread::sleep(Duration::from_millis(20));
                        }
                        counts.1 += 1;
                    }
                    counts
                })
            })
            .collect();
        for worker in workers {
            let (killed, ended) = worker.join().unwrap();
            (kills, ends) = (kills + killed, ends + ended);
        }
    });
    sites.recover();
    let transfers = sites.rows("SELECT id FROM transfers ORDER BY id");
    println!("{} transfers, {ends} processes of which {kills} were killed", transfers[0].len());
    assert_eq!(transfers[0], transfers[1]);
    assert!(!transfers[0].is_empty(), "no transfer was committed");
    let sums = sites.rows("SELECT sum(amount) FROM accounts");
    let sum: i64 = sums.iter().map(|rows| rows.join("").parse::<i64>().unwrap()).sum();
    assert_eq!(sum, 40_000);
}
