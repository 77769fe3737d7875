//! The MariaDB of the benches: the one whose folder `LANDFALL_TEST_MYSQL` names, else one of their own.

use std::cell::LazyCell;
use std::path::PathBuf;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Opts, OptsBuilder};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::server::script;

/// Started by the first bench that needs it.
pub type LazyMySql = LazyCell<MySql, fn() -> MySql>;

/// A running server.
pub struct MySql {
    /// Where it is, for both sides alike.
    pub url: String,
    /// Where both sides run.
    pub runtime: Runtime,
    /// The folder of a server of our own.
    own: Option<TempDir>,
}

impl MySql {
    pub fn start() -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let named = std::env::var_os("LANDFALL_TEST_MYSQL").map(PathBuf::from);
        let own = named.is_none().then(|| tempfile::tempdir().expect("a temporary folder"));
        // From here on it is stopped when it is dropped.
        let mut server = Self { url: String::new(), runtime, own };
        let folder = match (named, &server.own) {
            (Some(named), _) => named,
            (None, Some(own)) => {
                assert!(script("mysql", "start", own.path()), "tests/mysql did not start a server");
                own.path().to_owned()
            }
            (None, None) => unreachable!("one of the two is there"),
        };
        let port = std::fs::read_to_string(folder.join("port")).expect("the port of the server");
        server.url = format!("mysql://landfall@127.0.0.1:{}/landfall?ssl-mode=disabled", port.trim());
        server
    }

    /// Runs statements, outside of what is measured.
    pub fn execute(&self, sql: &[&str]) {
        self.runtime.block_on(async {
            let mut connection = self.connect().await;
            for sql in sql {
                connection.query_drop(*sql).await.expect(sql);
            }
            connection.disconnect().await.expect("a goodbye");
        });
    }

    /// The one number that a query brings.
    pub fn number(&self, sql: &str) -> u64 {
        self.runtime.block_on(async {
            let mut connection = self.connect().await;
            let number = connection.query_first(sql).await.expect(sql);
            connection.disconnect().await.expect("a goodbye");
            number.expect("a number")
        })
    }

    /// A session as the benches' own side has it.
    pub async fn connect(&self) -> Conn {
        let (url, _) = self.url.split_once('?').expect("parameters");
        let options = OptsBuilder::from_opts(Opts::from_url(url).expect("a URL"));
        Conn::new(options.prefer_socket(false)).await.expect("a connection")
    }
}

impl Drop for MySql {
    fn drop(&mut self) {
        if let Some(own) = &self.own {
            script("mysql", "stop", own.path());
        }
    }
}
