//! What can go wrong between here and a server: the error says what to do, and the table is as it was.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use mysql_async::Conn;
use mysql_async::prelude::Queryable;

use super::{MySql, client, folder, server};
use crate::cluster::Cluster;
use crate::landing::{error, says, session};

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_cannot_be_used_says_why() {
    let made = MySql::new("CREATE TABLE t (id int)");
    let at = |url: String| {
        let made = &made;
        async move { made.register_at(&url, "x", "", "'table' 't'").await.unwrap_err().to_string() }
    };
    let port = server().port().unwrap();
    says(
        &at("mysql://landfall@127.0.0.1:1/landfall".into()).await,
        &["could not connect to mysql://landfall@127.0.0.1:1/landfall", "check the host and the port"],
    );
    says(&at(format!("mysql://landfall@127.0.0.1:{port}/nosuch")).await, &["the database does not exist", "'nosuch'"]);
    says(&at(format!("mysql://nobody@127.0.0.1:{port}/landfall")).await, &["'nobody'", "authentication failed"]);
    let wrong = at(format!("mysql://secretive:wrong@127.0.0.1:{port}/landfall")).await;
    says(&wrong, &["authentication failed", "password_env"]);
    assert!(!wrong.contains("wrong@"), "{wrong}");
    says(&at(format!("mysql://landfall@127.0.0.1:{port}/landfall?sslmode=disabled")).await, &["'sslmode'", "ssl-mode"]);
    says(&at(format!("mysql://landfall@127.0.0.1:{port}")).await, &["does not name a database"]);
    says(&at("localhost/landfall".into()).await, &["mysql://user@host:port/database"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_encrypted_as_the_location_says() {
    let made = MySql::new("CREATE TABLE t (id int); INSERT INTO t VALUES (1)");
    let with = |host: &str, parameters: &str| {
        let port = server().port().unwrap();
        format!("mysql://secretive:open%20sesame@{host}:{port}/landfall?{parameters}")
    };
    made.rows(&format!("GRANT ALL ON {}.* TO secretive", made.database));
    let ca = folder().join("ca.crt");
    let ca = ca.display();
    // It has the same name, and another key.
    let other = crate::postgres::folder().join("ca.crt");
    let other = other.display();
    let table = format!("'table' '{}.t'", made.database);
    for (name, host, parameters, is_good) in [
        ("a", "127.0.0.1", String::new(), true),
        ("b", "127.0.0.1", "ssl-mode=disabled".into(), true),
        ("c", "127.0.0.1", "ssl-mode=required".into(), true),
        ("d", "localhost", format!("ssl-mode=VERIFY_IDENTITY&ssl-ca={ca}"), true),
        ("e", "127.0.0.1", format!("ssl-mode=verify_ca&ssl-ca={ca}"), true),
        ("f", "127.0.0.1", "ssl-mode=verify_ca".into(), false),
        // A root is there to verify the server.
        ("g", "127.0.0.1", format!("ssl-ca={ca}"), true),
        ("h", "127.0.0.1", format!("ssl-ca={ca}&ssl-mode=required"), true),
        ("i", "127.0.0.1", format!("ssl-ca={other}"), false),
        ("j", "127.0.0.1", format!("ssl-mode=required&ssl-ca={other}"), false),
        ("k", "127.0.0.1", format!("ssl-mode=verify_ca&ssl-ca={other}"), false),
        // The certificate has no such name.
        ("l", "[::ffff:127.0.0.1]", format!("ssl-ca={ca}&ssl-mode=verify_identity"), false),
        ("m", "[::ffff:127.0.0.1]", "ssl-mode=required".into(), true),
        ("n", "127.0.0.1", format!("ssl-mode=preferred&ssl-ca={ca}"), false),
        ("o", "127.0.0.1", format!("ssl-mode=disabled&ssl-ca={ca}"), false),
    ] {
        let registered = made.register_at(&with(host, &parameters), name, "", &table).await;
        assert_eq!(registered.is_ok(), is_good, "{parameters}: {registered:?}");
        match registered {
            Ok(()) => assert_eq!(made.read(&format!("SELECT * FROM {name}")).await, ["1"]),
            Err(error) if ["n", "o"].contains(&name) => says(&error.to_string(), &["is not verified", "verify_ca"]),
            Err(error) => says(&error.to_string(), &["TLS connection to mysql://", "ssl-ca"]),
        }
    }
    // The server says so of its side.
    let status = |parameters: &str| {
        let url = with("127.0.0.1", parameters);
        let options = "'table' 'session_status'";
        let made = &made;
        async move {
            let create = format!(
                "CREATE EXTERNAL TABLE s STORED AS MYSQL LOCATION '{}' OPTIONS ({options})",
                url.replace("/landfall?", "/information_schema?")
            );
            let _ = made.sql("DROP TABLE IF EXISTS s").await;
            made.sql(&create.replace("session_status", "SESSION_STATUS")).await.unwrap();
            made.read("SELECT \"VARIABLE_VALUE\" FROM s WHERE \"VARIABLE_NAME\" = 'SSL_CIPHER'").await
        }
    };
    assert_eq!(status("ssl-mode=disabled").await, [""]);
    assert_ne!(status("").await, [""]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_right_that_is_missing_is_named() {
    let made = MySql::new("CREATE TABLE t (id int); CREATE TABLE j (id int)");
    made.rows(&format!("GRANT SELECT ON {0}.* TO reader; GRANT INSERT ON {0}.j TO reader", made.database));
    made.register_at(&made.url_as("reader"), "t", "", "").await.unwrap();
    says(
        &made.error("INSERT INTO t VALUES (1)").await,
        &["lacks a privilege: grant the privilege to the user", "INSERT command denied"],
    );
    assert!(made.read("SELECT * FROM t").await.is_empty());
    // The server refuses before it has asked for the file, whatever there is of it.
    let many = made.error("INSERT INTO t SELECT value FROM generate_series(1, 300000)");
    let many = tokio::time::timeout(Duration::from_secs(20), many).await.expect("it hangs");
    says(&many, &["lacks a privilege", "INSERT command denied"]);
    made.register_at(&made.url_as("reader"), "j", "", "'job' 'load'").await.unwrap();
    says(
        &made.error("INSERT INTO j VALUES (1)").await,
        &["landfall_ledger", "PRIMARY KEY (job, epoch)", "GRANT SELECT, INSERT, DELETE", "ledger_table"],
    );
    let error = made.register_at(&made.url_as("reader"), "made", "(a INT)", "").await.unwrap_err();
    says(&error.to_string(), &["creating table made", "lacks a privilege"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_right_to_stage_rows_that_is_missing_is_named_with_its_grant() {
    let made = MySql::new("CREATE TABLE t (id int PRIMARY KEY, v varchar(9)); INSERT INTO t VALUES (1, 'a')");
    let user = format!("{}_w", made.database);
    made.rows(&format!(
        "CREATE USER {user}@'%'; GRANT SELECT, INSERT, UPDATE, DELETE ON {}.* TO {user}@'%'",
        made.database
    ));
    made.register_at(&made.url_as(&user), "t", "", "").await.unwrap();
    let update = "UPDATE t SET v = concat(v, 'b') WHERE v LIKE 'a%'";
    let said = made.error(update).await;
    says(&said, &["creating the staging table", "Access denied"]);
    let grant = said.split("(requires ").nth(1).unwrap().split("): ").next().unwrap();
    says(grant, &["GRANT CREATE TEMPORARY TABLES ON", &user]);
    made.rows(grant);
    // Rights of a database are those of the sessions that begin later.
    made.register_at(&made.url_as(&user), "u", "", "'table' 't'").await.unwrap();
    made.sql(&update.replace("UPDATE t", "UPDATE u")).await.unwrap();
    assert_eq!(made.rows("SELECT v FROM t"), ["ab"]);
    made.rows(&format!("DROP USER {user}@'%'"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_room_says_so() {
    let made = MySql::new("CREATE TABLE t (id int)");
    made.rows(&format!("GRANT ALL ON {}.* TO single", made.database));
    made.register_at(&made.url_as("single"), "t", "", "'pool.idle_timeout' '1ms'").await.unwrap();
    // The connection that described the table is not used any more.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let taken = Conn::from_url(made.url_as("single")).await.unwrap();
    says(&made.error("INSERT INTO t VALUES (1)").await, &["too many connections"]);
    taken.disconnect().await.unwrap();
    made.sql("INSERT INTO t VALUES (1)").await.unwrap();
    assert_eq!(made.rows("SELECT * FROM t"), ["1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_is_locked_is_waited_for_as_long_as_the_option_says() {
    let made = MySql::new("CREATE TABLE t (id int PRIMARY KEY, n int); INSERT INTO t VALUES (1, 1)");
    made.register("t", "", "'lock_timeout' '1s'").await.unwrap();
    let mut holder = Conn::from_url(made.url()).await.unwrap();
    holder.query_drop("BEGIN").await.unwrap();
    holder.query_drop("UPDATE t SET n = 2").await.unwrap();
    let began = Instant::now();
    says(&made.error("REPLACE INTO t VALUES (1, 3)").await, &["another transaction", "'lock_timeout' (1s)"]);
    says(&made.error("INSERT OVERWRITE t VALUES (1, 3)").await, &["deleting the old rows", "another transaction"]);
    assert!(began.elapsed() < Duration::from_secs(10));
    holder.query_drop("ROLLBACK").await.unwrap();
    made.sql("REPLACE INTO t VALUES (1, 3)").await.unwrap();
    assert_eq!(made.rows("SELECT n FROM t"), ["3"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_is_locked_is_waited_for_as_long_as_the_option_says() {
    let made = MySql::new("CREATE TABLE t (id int, v varchar(40))");
    made.register("t", "", "'lock_timeout' '1s'").await.unwrap();
    let mut holder = Conn::from_url(made.url()).await.unwrap();
    holder.query_drop("LOCK TABLES t WRITE").await.unwrap();
    let insert = "INSERT INTO t SELECT value, 'text ' || value FROM generate_series(1, 200000)";
    let said = tokio::time::timeout(Duration::from_secs(20), made.error(insert)).await.expect("it hangs");
    says(&said, &["another transaction", "'lock_timeout' (1s)"]);
    holder.query_drop("UNLOCK TABLES").await.unwrap();
    made.sql(insert).await.unwrap();
    assert_eq!(made.rows("SELECT count(*) FROM t"), ["200000"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_that_nobody_reads_to_its_end_is_ended_on_the_server() {
    let made = MySql::new("CREATE TABLE big (id int, v varchar(200))");
    made.register("big", "", "").await.unwrap();
    made.sql("INSERT INTO big SELECT value, repeat('x', 200) FROM generate_series(1, 300000)").await.unwrap();
    assert_eq!(made.read("SELECT v FROM big WHERE v LIKE '%x%' LIMIT 1").await.len(), 1);
    let running = format!(
        "SELECT count(*) FROM information_schema.PROCESSLIST WHERE DB = '{}' AND INFO LIKE '%big%x%'",
        made.database
    );
    let began = Instant::now();
    while made.rows(&format!("{running} AND INFO NOT LIKE '%PROCESSLIST%'")) != ["0"] {
        assert!(began.elapsed() < Duration::from_secs(5), "it goes on");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadlock_is_tried_again_or_an_error_that_says_to() {
    let made = MySql::new("CREATE TABLE t (id int PRIMARY KEY, n int); INSERT INTO t VALUES (1, 1), (2, 2)");
    let mut other = Conn::from_url(made.url()).await.unwrap();
    for (name, retries) in [("once", "0"), ("again", "3")] {
        let options = format!("'table' 't', 'lock_timeout' '20s', 'retry.backoff' '50ms', 'retry.max' '{retries}'");
        made.register(name, "", &options).await.unwrap();
        // Heavier than ours, so that the server chooses that one to die.
        other.query_drop("BEGIN").await.unwrap();
        other.query_drop("UPDATE t SET n = 9 WHERE id = 2").await.unwrap();
        for id in 10..200 {
            other.query_drop(format!("INSERT INTO t VALUES ({id}, 1)")).await.unwrap();
        }
        let wait = async {
            tokio::time::sleep(Duration::from_millis(700)).await;
            other.query_drop("UPDATE t SET n = 9 WHERE id = 1").await.unwrap();
            other.query_drop("ROLLBACK").await.unwrap();
        };
        let replace = format!("REPLACE INTO {name} VALUES (1, 5), (2, 5)");
        let (answer, ()) = tokio::join!(made.sql(&replace), wait);
        match answer {
            Err(error) if retries == "0" => {
                says(&error.to_string(), &["deadlock", "run the statement again"]);
                assert_eq!(made.rows("SELECT * FROM t ORDER BY id"), ["1|1", "2|2"]);
            }
            answer => {
                answer.unwrap();
                assert_eq!(made.rows("SELECT * FROM t ORDER BY id"), ["1|5", "2|5"], "retry.max = {retries}");
            }
        }
    }
}

/// An INSERT that goes on until somebody stops it.
fn endless(options: &str, url: &str) -> Child {
    let sql = format!(
        "CREATE EXTERNAL TABLE t STORED AS MYSQL LOCATION '{url}' OPTIONS ({options}'retry.max' '0'); \
         INSERT INTO t SELECT value, 'text ' || value FROM generate_series(1, 100000000)"
    );
    Command::new(env!("CARGO_BIN_EXE_landfall"))
        .args(["sql", "-c", &sql])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn wait_for(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < Duration::from_secs(15), "no {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

impl MySql {
    /// The sessions that load a table of this database.
    fn loading(&self) -> Vec<String> {
        self.rows(&format!(
            "SELECT ID FROM information_schema.PROCESSLIST WHERE DB = '{}' AND INFO LIKE 'LOAD DATA%'",
            self.database
        ))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_is_cut_in_mid_load_leaves_nothing() {
    let made = MySql::new("CREATE TABLE cut_here (id bigint, v text)");
    let child = endless("'table' 'cut_here', ", &made.url());
    wait_for("LOAD DATA", || !made.loading().is_empty());
    std::thread::sleep(Duration::from_millis(300));
    for id in made.loading() {
        made.rows(&format!("KILL {id}"));
    }
    let output = child.wait_with_output().unwrap();
    assert!(!output.status.success());
    says(&String::from_utf8_lossy(&output.stderr), &["run the statement again"]);
    assert_eq!(made.rows("SELECT count(*) FROM cut_here"), ["0"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_that_is_killed_leaves_nothing_and_its_job_can_run_again() {
    let made = MySql::new("CREATE TABLE killed (id bigint, v text)");
    for _ in 0..3 {
        let mut child = endless("'table' 'killed', 'job' 'load', ", &made.url());
        wait_for("LOAD DATA", || !made.loading().is_empty());
        std::thread::sleep(Duration::from_millis(200));
        child.kill().unwrap();
        child.wait().unwrap();
        wait_for("end of the session", || made.loading().is_empty());
        assert_eq!(made.rows("SELECT count(*) FROM killed"), ["0"]);
    }
    made.register("t", "", "'table' 'killed', 'job' 'load'").await.unwrap();
    for _ in 0..2 {
        made.sql("INSERT INTO t VALUES (1, 'once')").await.unwrap();
    }
    says(&made.error("INSERT INTO t VALUES (1, 'twice')").await, &["has run another INSERT"]);
    assert_eq!(made.rows("SELECT v FROM killed"), ["once"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_killed_in_mid_load_ends_the_write() {
    let (cluster, url) = Cluster::start("mysql");
    let parsed: url::Url = url.parse().unwrap();
    let rows = |sql: &str| client(&parsed, "landfall", sql).unwrap();
    rows("CREATE TABLE t (id bigint, v text)");
    let child = endless("", &url);
    let loading = "SELECT count(*) FROM information_schema.PROCESSLIST WHERE INFO LIKE 'LOAD DATA%'";
    wait_for("LOAD DATA", || rows(loading) != ["0"]);
    cluster.stop();
    let output = child.wait_with_output().unwrap();
    assert!(!output.status.success());
    says(&String::from_utf8_lossy(&output.stderr), &["connection", "run the statement again"]);
    cluster.resume();
    assert_eq!(rows("SELECT count(*) FROM t"), ["0"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_stops_a_statement_that_the_server_works_on() {
    let made = MySql::new(
        "CREATE TABLE slow (id int PRIMARY KEY); \
         CREATE TRIGGER sleep BEFORE INSERT ON slow FOR EACH ROW SET NEW.id = NEW.id + sleep(60)",
    );
    let busy = || {
        let sleeping =
            "SELECT count(*) FROM information_schema.PROCESSLIST WHERE DB = DATABASE() AND STATE = 'User sleep'";
        made.rows(sleeping) != ["0"]
    };
    for statement in ["INSERT INTO t VALUES (1)", "REPLACE INTO t VALUES (1)"] {
        let sql = format!(
            "CREATE EXTERNAL TABLE t STORED AS MYSQL LOCATION '{}' OPTIONS ('table' 'slow'); {statement}",
            made.url()
        );
        let child = Command::new(env!("CARGO_BIN_EXE_landfall"))
            .args(["sql", "-c", &sql])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        wait_for("sleep", busy);
        let began = Instant::now();
        assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
        let output = child.wait_with_output().unwrap();
        assert!(began.elapsed() < Duration::from_secs(20), "{statement} went on");
        assert_eq!(output.status.code(), Some(130), "{output:?}");
        says(&String::from_utf8_lossy(&output.stderr), &["rolled back, and nothing was written"]);
        wait_for("end of it", || !busy());
        assert_eq!(made.rows("SELECT count(*) FROM slow"), ["0"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_is_full_rolls_back() {
    let (cluster, url) = Cluster::start("mysql");
    // A file system of a few megabytes for one table; only root may make one.
    let space = cluster.folder.path().join("space");
    std::fs::create_dir(&space).unwrap();
    let run = |program: &str, arguments: &[&str]| {
        Command::new(program).args(arguments).arg(&space).stderr(Stdio::null()).status().is_ok_and(|run| run.success())
    };
    if !run("mount", &["-t", "tmpfs", "-o", "size=4m", "tmpfs"]) {
        println!("skipped: a small file system can be mounted by root only");
        return;
    }
    assert!(run("chown", &[&format!("--reference={}", cluster.folder.path().join("data").display())]));
    let parsed: url::Url = url.parse().unwrap();
    let rows = |sql: &str| client(&parsed, "landfall", sql).unwrap();
    let place = space.display();
    rows(&format!("CREATE TABLE t (id bigint PRIMARY KEY, v varchar(200)) DATA DIRECTORY = '{place}'"));
    let context = session();
    let create = format!("CREATE EXTERNAL TABLE t STORED AS MYSQL LOCATION '{url}' OPTIONS ('writers' '1')");
    context.sql(&create).await.unwrap();
    let insert = "INSERT INTO t SELECT value, repeat('x', 150) FROM generate_series(1, 200000)";
    let said = error(&context, insert).await;
    let left = rows("SELECT count(*) FROM t");
    cluster.stop();
    assert!(run("umount", &["-l"]));
    says(&said, &["full", "free space"]);
    assert_eq!(left, ["0"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_that_is_not_released_names_a_connection_to_kill() {
    let made = MySql::new("CREATE TABLE t (id int)");
    made.register("first", "", "'table' 't', 'job' 'first'").await.unwrap();
    made.sql("INSERT INTO first VALUES (1)").await.unwrap();
    let mut holder = Conn::from_url(made.url()).await.unwrap();
    holder.query_drop("BEGIN").await.unwrap();
    let record = "INSERT INTO landfall_ledger (job, epoch, gtrid, decision, `rows`, positions) \
                  VALUES ('second', 1, 'x', 'abort', 0, '')";
    holder.query_drop(record).await.unwrap();
    made.register("second", "", "'table' 't', 'job' 'second', 'lock_timeout' '1s'").await.unwrap();
    let said = made.error("INSERT INTO second VALUES (2)").await;
    // The transaction of another test may be older.
    says(&said, &["has the oldest transaction with locks", "(KILL ", "another transaction holds a lock"]);
    holder.query_drop("ROLLBACK").await.unwrap();
    made.sql("INSERT INTO second VALUES (2)").await.unwrap();
    assert_eq!(made.rows("SELECT id FROM t ORDER BY id"), ["1", "2"]);

    // A row, too, whose statement has an error of its own.
    made.rows("CREATE TABLE u (id int PRIMARY KEY, v int); INSERT INTO u VALUES (1, 1)");
    holder.query_drop("BEGIN").await.unwrap();
    holder.query_drop("UPDATE u SET v = 2").await.unwrap();
    made.register("u", "", "'on_conflict' 'update', 'lock_timeout' '1s'").await.unwrap();
    let said = made.error("INSERT INTO u VALUES (1, 3)").await;
    says(&said, &["has the oldest transaction with locks", "(KILL ", "row 1", "another transaction holds a lock"]);
    holder.query_drop("ROLLBACK").await.unwrap();
    assert_eq!(made.rows("SELECT v FROM u"), ["1"]);
}
