//! PostgreSQL: a real server, which tests/run starts, looked at with psql.

mod composite;
mod conformance;
mod dimensions;
mod extensions;
mod failures;
mod identity;
mod indexes;
mod large;
mod recovery;
mod security;
mod setups;
mod tables;
mod transactions;
mod types;
mod version;

use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use datafusion::arrow::array::RecordBatch;
use datafusion::error::DataFusionError;
use datafusion::prelude::SessionContext;

use crate::landing::{error, read, session};

/// A schema, or a database, of its own on the server that all tests share, and a session to write it with.
pub struct Postgres {
    pub database: String,
    pub schema: String,
    pub context: SessionContext,
}

/// The folder of the server.
pub fn folder() -> PathBuf {
    let folder = std::env::var("LANDFALL_TEST_POSTGRES");
    folder.expect("these tests need a PostgreSQL: run them with tests/run, which starts one").into()
}

pub fn port() -> String {
    std::fs::read_to_string(folder().join("port")).unwrap().trim().to_owned()
}

/// What psql prints for a statement, a row a line, values separated by |.
pub fn psql(search_path: &str, sql: &str) -> Result<Vec<String>, String> {
    psql_in("landfall", search_path, sql)
}

/// The same in another database.
fn psql_in(database: &str, search_path: &str, sql: &str) -> Result<Vec<String>, String> {
    let output = Command::new("psql")
        .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-P", "null=NULL", "-U", "landfall", "-d", database])
        .args(["-p", &port(), "-c", sql])
        .arg("-h")
        .arg(folder())
        // Else that of the database.
        .env("PGCLIENTENCODING", "UTF8")
        .env("PGOPTIONS", format!("-csearch_path={search_path},extensions"))
        .output()
        .expect("psql");
    match output.status.success() {
        true => Ok(String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}

fn fresh_name() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!("s{}_{}", std::process::id(), COUNT.fetch_add(1, Relaxed))
}

impl Postgres {
    /// An empty schema, after `setup`.
    pub fn new(setup: &str) -> Self {
        let schema = fresh_name();
        psql(&schema, &format!("CREATE SCHEMA {schema}; {setup}")).unwrap();
        Self { database: "landfall".into(), schema, context: session() }
    }

    /// An empty database, after `setup`: nobody else's prepared transactions are in it.
    pub fn with_database(setup: &str) -> Self {
        Self::created("", setup)
    }

    /// An empty database whose texts are of an encoding and compare byte by byte, after `setup`.
    pub fn with_encoding(encoding: &str, setup: &str) -> Self {
        Self::created(&format!("TEMPLATE template0 ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C'"), setup)
    }

    fn created(how: &str, setup: &str) -> Self {
        let database = fresh_name();
        psql("public", &format!("CREATE DATABASE {database} {how}")).unwrap();
        psql_in(&database, "public", setup).unwrap();
        Self { database, schema: "public".into(), context: session() }
    }

    /// Where it is, as seen by a role.
    pub fn url_as(&self, role: &str) -> String {
        format!(
            "postgres://{role}@localhost:{}/{}?options=-csearch_path%3D{}%2Cextensions",
            port(),
            self.database,
            self.schema
        )
    }

    pub fn url(&self) -> String {
        self.url_as("landfall")
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
        let sql = format!("CREATE EXTERNAL TABLE {name} {columns} STORED AS POSTGRES LOCATION '{url}' {options}");
        self.context.sql(&sql).await.map(drop)
    }

    pub async fn sql(&self, sql: &str) -> Result<Vec<RecordBatch>, DataFusionError> {
        self.context.sql(sql).await?.collect().await
    }

    /// The message of a statement that must fail.
    pub async fn error(&self, sql: &str) -> String {
        error(&self.context, sql).await
    }

    /// What psql says to a statement.
    pub fn rows(&self, sql: &str) -> Vec<String> {
        psql_in(&self.database, &self.schema, sql).unwrap()
    }

    /// What DataFusion says to a query, a row a line.
    pub async fn read(&self, sql: &str) -> Vec<String> {
        read(&self.context, sql).await
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // What is left behind goes with the server.
        let _ = match self.database.as_str() {
            "landfall" => psql(&self.schema, &format!("DROP SCHEMA {} CASCADE", self.schema)),
            own => psql("public", &format!("DROP DATABASE {own} WITH (FORCE)")),
        };
    }
}
