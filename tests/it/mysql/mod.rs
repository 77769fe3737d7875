//! MariaDB, which tests/run starts, or the MySQL that `LANDFALL_TEST_MYSQL_URL` names, looked at with its own client.

mod conformance;
mod creating;
mod failures;
mod large;
mod limits;
mod tables;
mod transactions;
mod types;

use std::io::{Seek, Write};
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use datafusion::arrow::array::RecordBatch;
use datafusion::error::DataFusionError;
use datafusion::prelude::SessionContext;
use url::Url;

use crate::landing::{error, read, session};

/// A database of its own on the server that all tests share, and a session to write it with.
pub struct MySql {
    pub database: String,
    pub context: SessionContext,
}

/// The folder of the server.
pub fn folder() -> PathBuf {
    let folder = std::env::var("LANDFALL_TEST_MYSQL");
    folder.expect("these tests need a MariaDB: run them with tests/run, which starts one").into()
}

/// The server, as a user who may do everything.
pub fn server() -> Url {
    let url = std::env::var("LANDFALL_TEST_MYSQL_URL").unwrap_or_else(|_| {
        let port = std::fs::read_to_string(folder().join("port")).unwrap();
        format!("mysql://landfall@127.0.0.1:{}/landfall", port.trim())
    });
    url.parse().unwrap()
}

/// What the client prints for statements in a database of a server, a row a line, values separated by |.
pub fn client(url: &Url, database: &str, sql: &str) -> Result<Vec<String>, String> {
    let mut command = Command::new("mariadb");
    command.args(["--no-defaults", "--default-character-set=utf8mb4", "-N", "-B", "-D", database]);
    // Sessions of a test are strict, whatever the server is. Statements can be longer than an argument may be, and the
    // client answers the first ones while it still reads.
    let mut statements = tempfile::tempfile().unwrap();
    write!(statements, "SET sql_mode = 'ANSI_QUOTES,STRICT_ALL_TABLES', time_zone = '+00:00'; {sql}").unwrap();
    statements.rewind().unwrap();
    command.stdin(statements);
    command.args(["-h", url.host_str().unwrap(), "-P", &url.port().unwrap_or(3306).to_string(), "-u", url.username()]);
    if let Some(password) = url.password() {
        command.env("MYSQL_PWD", password);
    }
    let output = command.output().expect("the client mariadb");
    match output.status.success() {
        true => Ok(String::from_utf8(output.stdout).unwrap().lines().map(|line| line.replace('\t', "|")).collect()),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}

fn fresh_name() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!("s{}_{}", std::process::id(), COUNT.fetch_add(1, Relaxed))
}

impl MySql {
    /// An empty database, after `setup`.
    pub fn new(setup: &str) -> Self {
        let database = fresh_name();
        let server = server();
        let create = format!("CREATE DATABASE {database} CHARACTER SET utf8mb4");
        client(&server, server.path().trim_start_matches('/'), &create).unwrap();
        let made = Self { database, context: session() };
        made.rows(setup);
        made
    }

    /// Where it is, as seen by a user.
    pub fn url_as(&self, user: &str) -> String {
        let mut url = server();
        url.set_username(user).unwrap();
        url.set_path(&self.database);
        url.to_string()
    }

    pub fn url(&self) -> String {
        self.url_as(server().username())
    }

    /// Registers the table `name` under its own name; `columns` can be empty.
    pub async fn register(&self, name: &str, columns: &str, options: &str) -> Result<(), DataFusionError> {
        self.register_at(&self.url(), name, columns, options).await
    }

    pub async fn register_at(
        &self,
        url: &str,
        name: &str,
        columns: &str,
        options: &str,
    ) -> Result<(), DataFusionError> {
        let options = if options.is_empty() { String::new() } else { format!("OPTIONS ({options})") };
        let sql = format!("CREATE EXTERNAL TABLE {name} {columns} STORED AS MYSQL LOCATION '{url}' {options}");
        self.context.sql(&sql).await.map(drop)
    }

    pub async fn sql(&self, sql: &str) -> Result<Vec<RecordBatch>, DataFusionError> {
        self.context.sql(sql).await?.collect().await
    }

    /// The message of a statement that must fail.
    pub async fn error(&self, sql: &str) -> String {
        error(&self.context, sql).await
    }

    /// What the client says to statements.
    pub fn rows(&self, sql: &str) -> Vec<String> {
        self.try_rows(sql).unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    pub fn try_rows(&self, sql: &str) -> Result<Vec<String>, String> {
        client(&server(), &self.database, sql)
    }

    /// What DataFusion says to a query, a row a line.
    pub async fn read(&self, sql: &str) -> Vec<String> {
        read(&self.context, sql).await
    }
}

impl Drop for MySql {
    fn drop(&mut self) {
        // What is left behind goes with the server.
        let _ = self.try_rows(&format!("DROP DATABASE {}", self.database));
    }
}
