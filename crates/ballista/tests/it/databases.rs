//! Databases of a test's own, on the servers that tests/ballista starts, looked at with their own clients.

use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Postgres,
    MariaDb,
}

/// A database.
#[derive(Debug)]
pub struct Database {
    pub kind: Kind,
    name: String,
    /// Of MariaDB, what was prepared before: it does not know the database of a branch.
    before: Vec<String>,
}

fn folder(variable: &str) -> PathBuf {
    let folder = std::env::var(variable);
    folder.unwrap_or_else(|_| panic!("{variable} is not set: run these tests with tests/ballista run")).into()
}

impl Kind {
    fn folder(self) -> PathBuf {
        folder(match self {
            Self::Postgres => "LANDFALL_TEST_POSTGRES",
            Self::MariaDb => "LANDFALL_TEST_MYSQL",
        })
    }

    fn port(self) -> String {
        std::fs::read_to_string(self.folder().join("port")).unwrap().trim().to_owned()
    }

    /// What the database's own client prints, a row a line, values separated by |.
    fn client(self, database: &str, sql: &str) -> Vec<String> {
        let mut command;
        match self {
            Self::Postgres => {
                command = Command::new("psql");
                command.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-U", "landfall", "-d", database]);
                command.args(["-p", &self.port(), "-c", sql]).arg("-h").arg(self.folder());
            }
            Self::MariaDb => {
                command = Command::new("mariadb");
                command.args(["--no-defaults", "-N", "-B", "-h", "127.0.0.1", "-P", &self.port(), "-u", "landfall"]);
                command.args(["-D", database, "-e", sql]);
            }
        }
        let output = command.output().unwrap();
        assert!(output.status.success(), "{sql}: {}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().map(|line| line.replace('\t', "|")).collect()
    }
}

impl Database {
    /// An empty database on each server.
    pub fn each() -> [Self; 2] {
        [Kind::Postgres, Kind::MariaDb].map(Self::new)
    }

    pub fn new(kind: Kind) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("b{}_{}", std::process::id(), COUNT.fetch_add(1, Relaxed));
        kind.client("landfall", &format!("CREATE DATABASE {name}"));
        let before = if kind == Kind::MariaDb { kind.client(&name, "XA RECOVER") } else { Vec::new() };
        Self { kind, name, before }
    }

    pub fn url(&self) -> String {
        let (port, name) = (self.kind.port(), &self.name);
        match self.kind {
            Kind::Postgres => format!("postgres://landfall@localhost:{port}/{name}"),
            Kind::MariaDb => format!("mysql://landfall@127.0.0.1:{port}/{name}"),
        }
    }

    pub fn client(&self, sql: &str) -> Vec<String> {
        self.kind.client(&self.name, sql)
    }

    /// The branches that are prepared in this database, of MariaDB since it was created.
    pub fn prepared(&self) -> Vec<String> {
        let mut prepared = match self.kind {
            Kind::Postgres => self.client("SELECT gid FROM pg_prepared_xacts WHERE database = current_database()"),
            Kind::MariaDb => self.client("XA RECOVER"),
        };
        prepared.retain(|branch| !self.before.contains(branch));
        prepared
    }
}
