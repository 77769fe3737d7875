//! The PostgreSQL of the benches: the one whose folder `LANDFALL_TEST_POSTGRES` names, else one of their own.

use std::cell::LazyCell;
use std::path::{Path, PathBuf};
use std::process::Command;

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection};
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// Started by the first bench that needs it.
pub type LazyServer = LazyCell<Server, fn() -> Server>;

/// A running server.
pub struct Server {
    /// Where it is, for both sides alike.
    pub url: String,
    /// Where both sides run.
    pub runtime: Runtime,
    /// The folder of a server of our own.
    own: Option<TempDir>,
}

impl Server {
    pub fn start() -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let named = std::env::var_os("LANDFALL_TEST_POSTGRES").map(PathBuf::from);
        let own = named.is_none().then(|| tempfile::tempdir().expect("a temporary folder"));
        // From here on it is stopped when it is dropped.
        let mut server = Self { url: String::new(), runtime, own };
        let folder = match (named, &server.own) {
            (Some(named), _) => named,
            (None, Some(own)) => {
                assert!(script("postgres", "start", own.path()), "tests/postgres did not start a server");
                own.path().to_owned()
            }
            (None, None) => unreachable!("one of the two is there"),
        };
        let port = std::fs::read_to_string(folder.join("port")).expect("the port of the server");
        server.url = format!("postgres://landfall@127.0.0.1:{}/landfall?sslmode=disable", port.trim());
        server
    }

    /// Runs statements, outside of what is measured.
    pub fn execute(&self, sql: &str) {
        self.runtime.block_on(async {
            let mut connection = self.connect().await;
            execute(&mut connection, sql).await;
            connection.close().await.expect("a goodbye");
        });
    }

    /// The one number that a query brings.
    pub fn number(&self, sql: &str) -> i64 {
        self.runtime.block_on(async {
            let mut connection = self.connect().await;
            let number = sqlx::query_scalar(AssertSqlSafe(sql.to_owned())).fetch_one(&mut connection).await;
            connection.close().await.expect("a goodbye");
            number.expect("a number")
        })
    }

    pub async fn connect(&self) -> PgConnection {
        PgConnection::connect(&self.url).await.expect("a connection")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(own) = &self.own {
            script("postgres", "stop", own.path());
        }
    }
}

pub async fn execute(connection: &mut PgConnection, sql: &str) {
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(connection).await.expect(sql);
}

/// The folder that has tests/ and benches/.
pub fn repository() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// Runs a script of tests/ that starts and stops a server.
pub fn script(server: &str, verb: &str, folder: &Path) -> bool {
    let script = repository().join("tests").join(server);
    let run = Command::new(script).arg(verb).arg(folder).stdout(std::process::Stdio::null()).status();
    run.is_ok_and(|status| status.success())
}
