//! The table that a side loads into: made anew before each load, with the server's buffers written back, and looked at
//! after it.

use std::cell::LazyCell;
use std::path::{Path, PathBuf};

use mysql_async::prelude::Queryable;
use sqlx::Connection;
use tempfile::TempDir;

use crate::mysql::{self, LazyMySql};
use crate::server::{LazyServer, Server};

/// Where the tables are.
pub struct Tables {
    pub postgres: LazyServer,
    pub mysql: LazyMySql,
    /// For the files of SQLite.
    pub folder: TempDir,
}

impl Default for Tables {
    fn default() -> Self {
        Self {
            postgres: LazyCell::new(Server::start as fn() -> _),
            mysql: LazyCell::new(mysql::MySql::start as fn() -> _),
            folder: tempfile::tempdir().expect("a temporary folder"),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    Primary,
    None,
}

impl Key {
    /// The end of the list of columns.
    fn clause(self) -> &'static str {
        match self {
            Self::Primary => ", PRIMARY KEY (id)",
            Self::None => "",
        }
    }
}

pub const COLUMNS: [&str; 5] = ["id", "user_id", "kind", "amount", "ts"];

/// What is in a column.
#[derive(Debug)]
pub struct Stored {
    /// The same where all values are.
    pub digest: String,
    /// The value of the first row, with its type where that is not the column's.
    pub sample: String,
}

/// The table `bench_events`.
pub trait Table {
    /// Where it is, as a URL or a path.
    fn place(&self) -> String;
    fn create(&self);
    fn count(&self) -> u64;
    /// What is in each of its columns.
    fn stored(&self) -> Vec<Stored>;
    fn drop(&self);
}

fn stored(digest: impl Fn(&str) -> String, sample: impl Fn(&str) -> Option<String>) -> Vec<Stored> {
    let stored =
        |column: &&str| Stored { digest: digest(column), sample: sample(column).unwrap_or_else(|| "NULL".into()) };
    COLUMNS.iter().map(stored).collect()
}

pub struct Postgres<'a> {
    pub server: &'a LazyServer,
    pub key: Key,
}

impl Table for Postgres<'_> {
    fn place(&self) -> String {
        self.server.url.clone()
    }

    fn create(&self) {
        self.server.execute(&format!(
            "DROP TABLE IF EXISTS bench_events; CREATE TABLE bench_events (id bigint NOT NULL, user_id bigint NOT \
             NULL, kind text NOT NULL, amount double precision, ts timestamp NOT NULL{}) WITH (autovacuum_enabled = \
             false)",
            self.key.clause()
        ));
        self.server.execute("CHECKPOINT");
    }

    fn count(&self) -> u64 {
        self.server.number("SELECT count(*) FROM bench_events").unsigned_abs()
    }

    fn stored(&self) -> Vec<Stored> {
        let digest = |column: &str| format!("SELECT sum(hashtext({column}::text))::bigint FROM bench_events");
        let sample = |column: &str| format!("SELECT {column}::text FROM bench_events WHERE id = 0");
        let text = |sql: String| -> Option<String> {
            self.server.runtime.block_on(async {
                let mut connection = self.server.connect().await;
                let text = sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_one(&mut connection).await;
                connection.close().await.expect("a goodbye");
                text.expect("a row")
            })
        };
        stored(|column: &str| self.server.number(&digest(column)).to_string(), |column: &str| text(sample(column)))
    }

    fn drop(&self) {
        self.server.execute("DROP TABLE bench_events");
    }
}

pub struct MySql<'a> {
    pub server: &'a LazyMySql,
    pub key: Key,
}

impl Table for MySql<'_> {
    fn place(&self) -> String {
        self.server.url.clone()
    }

    fn create(&self) {
        self.server.execute(&[
            "DROP TABLE IF EXISTS bench_events",
            &format!(
                "CREATE TABLE bench_events (id bigint NOT NULL, user_id bigint NOT NULL, kind varchar(40) NOT NULL, \
                 amount double, ts datetime(6) NOT NULL{}) ENGINE = InnoDB CHARACTER SET utf8mb4",
                self.key.clause()
            ),
            // Older ones have no way to ask for it.
            "SET @older = 1 /*M!101108 , GLOBAL innodb_log_checkpoint_now = ON */",
        ]);
    }

    fn count(&self) -> u64 {
        self.server.number("SELECT count(*) FROM bench_events")
    }

    fn stored(&self) -> Vec<Stored> {
        let digest =
            |column: &str| format!("SELECT CAST(sum(crc32(concat(id, ' ', {column}))) AS UNSIGNED) FROM bench_events");
        let sample = |column: &str| format!("SELECT CAST({column} AS CHAR) FROM bench_events WHERE id = 0");
        let text = |sql: String| -> Option<String> {
            self.server.runtime.block_on(async {
                let mut connection = self.server.connect().await;
                let text = connection.query_first(sql).await;
                connection.disconnect().await.expect("a goodbye");
                text.expect("an answer").flatten()
            })
        };
        stored(|column: &str| self.server.number(&digest(column)).to_string(), |column: &str| text(sample(column)))
    }

    fn drop(&self) {
        self.server.execute(&["DROP TABLE bench_events"]);
    }
}

/// How a file of SQLite keeps what a transaction does.
#[derive(Debug, Clone, Copy)]
pub enum Journal {
    Rollback,
    WriteAhead,
}

pub struct Sqlite<'a> {
    pub folder: &'a Path,
    pub key: Key,
    pub journal: Journal,
}

impl Sqlite<'_> {
    fn file(&self) -> PathBuf {
        self.folder.join("events.db")
    }

    fn open(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.file()).expect("a database")
    }
}

impl Table for Sqlite<'_> {
    fn place(&self) -> String {
        self.file().to_str().expect("a path").to_owned()
    }

    fn create(&self) {
        self.drop();
        let journal = match self.journal {
            Journal::Rollback => "DELETE",
            Journal::WriteAhead => "WAL",
        };
        // SQLite's own primary key: the table is its index.
        let id = match self.key {
            Key::Primary => "INTEGER PRIMARY KEY",
            Key::None => "INTEGER NOT NULL",
        };
        self.open()
            .execute_batch(&format!(
                "PRAGMA journal_mode = {journal}; CREATE TABLE bench_events (id {id}, user_id INTEGER NOT NULL, kind \
                 TEXT NOT NULL, amount REAL, ts TIMESTAMP NOT NULL)"
            ))
            .expect("a new table");
    }

    fn count(&self) -> u64 {
        let count = self.open().query_row("SELECT count(*) FROM bench_events", [], |row| row.get(0));
        count.expect("a number")
    }

    fn stored(&self) -> Vec<Stored> {
        let text = |sql: String| self.open().query_row(&sql, [], |row| row.get::<_, String>(0)).expect("a text");
        // It has no checksum of its own.
        let digest = |column: &str| {
            text(format!(
                "SELECT group_concat(DISTINCT typeof({column})) || total({column}) || ' ' || total(length({column})) \
                 || max({column}) || min({column}) FROM bench_events"
            ))
        };
        let sample =
            |column: &str| text(format!("SELECT typeof({column}) || ' ' || {column} FROM bench_events WHERE id = 0"));
        stored(digest, |column: &str| Some(sample(column)))
    }

    fn drop(&self) {
        for end in ["", "-wal", "-shm", "-journal"] {
            let _ = std::fs::remove_file(format!("{}{end}", self.place()));
        }
    }
}
