//! DELETE, UPDATE, TRUNCATE and MERGE INTO: one suite for all databases, with PostgreSQL's own answer as the reference.

mod arithmetic;
mod cases;
mod failures;
mod transactions;
mod unknown;
mod ways;

use datafusion::error::DataFusionError;
use datafusion::prelude::SessionContext;

use crate::landing::{Landing, count, read};
use crate::mysql::MySql;
use crate::postgres::Postgres;

/// A database of each kind.
pub enum Place {
    Sqlite(Landing),
    Postgres(Postgres),
    MySql(MySql),
}

impl Place {
    pub fn all() -> [Self; 3] {
        [Self::Sqlite(Landing::new("")), Self::Postgres(Postgres::new("")), Self::MySql(MySql::new(""))]
    }

    pub fn name(&self) -> &'static str {
        match self {
            Self::Sqlite(_) => "SQLite",
            Self::Postgres(_) => "PostgreSQL",
            Self::MySql(_) => "MySQL",
        }
    }

    /// Its URL.
    pub fn url(&self) -> String {
        match self {
            Self::Sqlite(place) => format!("sqlite:{}", place.file().display()),
            Self::Postgres(place) => place.url(),
            Self::MySql(place) => place.url(),
        }
    }

    pub fn context(&self) -> &SessionContext {
        match self {
            Self::Sqlite(place) => &place.context,
            Self::Postgres(place) => &place.context,
            Self::MySql(place) => &place.context,
        }
    }

    pub async fn register(&self, name: &str, columns: &str, options: &str) {
        let registered = match self {
            Self::Sqlite(place) => place.register(name, columns, options).await,
            Self::Postgres(place) => place.register(name, columns, options).await,
            Self::MySql(place) => place.register(name, columns, options).await,
        };
        registered.unwrap();
    }

    /// What the database's own client does.
    pub fn client(&self, sql: &str) -> Vec<String> {
        match self {
            Self::Sqlite(place) => {
                let sql = sql.trim();
                if sql.starts_with("SELECT") {
                    return place.rows(sql);
                }
                place.db().execute_batch(sql).unwrap();
                Vec::new()
            }
            Self::Postgres(place) => place.rows(sql),
            Self::MySql(place) => place.rows(sql),
        }
    }

    /// The count that a statement answers with.
    pub async fn run(&self, sql: &str) -> Result<u64, DataFusionError> {
        Ok(count(&self.context().sql(sql).await?.collect().await?))
    }

    pub async fn error(&self, sql: &str) -> String {
        crate::landing::error(self.context(), sql).await
    }

    pub async fn read(&self, sql: &str) -> Vec<String> {
        read(self.context(), sql).await
    }

    /// How a statement is planned.
    pub async fn plan(&self, sql: &str) -> String {
        self.read(&format!("EXPLAIN FORMAT INDENT {sql}")).await.join("\n")
    }
}

/// The rows that cases begin with, in tables that Landfall makes.
pub async fn fill(place: &Place) {
    let tables = [
        ("t", "(id BIGINT PRIMARY KEY, name VARCHAR, qty INT, price DECIMAL(10, 2), ok BOOLEAN, day DATE, x DOUBLE)"),
        ("s", "(id BIGINT PRIMARY KEY, name VARCHAR, qty INT, price DECIMAL(10, 2))"),
    ];
    for (name, columns) in tables {
        match place.context().table_exist(name).unwrap() {
            true => place.client(&format!("DELETE FROM {name}")),
            false => {
                place.register(name, columns, "").await;
                Vec::new()
            }
        };
    }
    for sql in [
        "INSERT INTO t VALUES (1, 'one', 10, 1.50, true, DATE '2024-01-01', 0.5),
            (2, 'two', NULL, 2.25, false, DATE '2024-01-02', 1.5),
            (3, 'Three', 30, NULL, NULL, NULL, NULL), (4, NULL, 40, 0.00, true, DATE '2024-02-29', -2.5),
            (5, 'five ', -5, 99999999.99, false, DATE '1999-12-31', 1e10)",
        "INSERT INTO s VALUES (2, 'zwei', 20, 2.00), (3, 'drei', 33, NULL), (6, 'sechs', NULL, 6.00), (7, NULL, 7, 0.01)",
    ] {
        place.run(sql).await.unwrap();
    }
}

pub const ALL: &str = "SELECT id, name, qty, CAST(price AS VARCHAR), ok, day, x FROM t ORDER BY id";
