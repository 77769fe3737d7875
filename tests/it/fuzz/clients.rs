//! A database's own client, which stays open.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use rusqlite::Connection;
use url::Url;

use super::statements::Server;
use crate::dml::Place;
use crate::landing::shown;
use crate::postgres::{Postgres, folder, port};

pub enum Client {
    Program { child: Child, stdin: ChildStdin, stdout: BufReader<ChildStdout> },
    Sqlite(Connection),
}

impl Client {
    pub fn of(place: &Place) -> (Self, Server) {
        match place {
            Place::Sqlite(place) => {
                let db = place.db();
                db.execute_batch("PRAGMA case_sensitive_like = ON; PRAGMA synchronous = OFF").unwrap();
                (Self::Sqlite(db), Server::Sqlite)
            }
            Place::Postgres(place) => (Self::psql(place), Server::Postgres),
            Place::MySql(place) => {
                let url: Url = place.url().parse().unwrap();
                let mut command = Command::new("sh");
                command
                    .args(["-c", "exec mariadb --no-defaults --default-character-set=utf8mb4 -N -B -n -f \"$@\" 2>&1"]);
                command.args(["sh", "-D", &place.database, "-h", url.host_str().unwrap(), "-u", url.username()]);
                command.args(["-P", &url.port().unwrap_or(3306).to_string()]);
                let mut client = Self::program(command);
                // As the standard has it: all values of an UPDATE are those of the row before it.
                let modes = "ANSI_QUOTES,STRICT_ALL_TABLES,SIMULTANEOUS_ASSIGNMENT";
                client.run(&format!("SET sql_mode = '{modes}', time_zone = '+00:00'")).unwrap();
                // Two constants are compared as DataFusion does; a column has its own collation.
                client.run("SET NAMES utf8mb4 COLLATE utf8mb4_nopad_bin").unwrap();
                (client, Server::MySql)
            }
        }
    }

    pub fn psql(place: &Postgres) -> Self {
        let mut command = Command::new("sh");
        command.args(["-c", "exec psql -X -q -A -t -P null=NULL -U landfall \"$@\" 2>&1", "sh", "-d", &place.database]);
        command.args(["-p", &port(), "-h"]).arg(folder());
        command.env("PGOPTIONS", format!("-csearch_path={}", place.schema));
        Self::program(command)
    }

    fn program(mut command: Command) -> Self {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (stdin, stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        Self::Program { child, stdin, stdout: BufReader::new(stdout) }
    }

    /// What it says to statements: the rows of the last one, values separated by |; or the first error.
    pub fn run(&mut self, sql: &str) -> Result<Vec<String>, String> {
        match self {
            Self::Sqlite(db) => {
                let failed = |error: rusqlite::Error| error.to_string();
                let (before, query) = sql.rsplit_once(';').unwrap_or(("", sql));
                db.execute_batch(before).map_err(failed)?;
                if !query.trim_start().starts_with("SELECT") {
                    return db.execute_batch(query).map(|()| Vec::new()).map_err(failed);
                }
                let mut statement = db.prepare(query).map_err(failed)?;
                let columns = statement.column_count();
                let rows = statement.query_map([], |row| {
                    let value = |column| Ok(shown(row.get_ref(column)?));
                    Ok((0..columns).map(value).collect::<rusqlite::Result<Vec<_>>>()?.join("|"))
                });
                rows.map_err(failed)?.collect::<Result<_, _>>().map_err(failed)
            }
            Self::Program { stdin, stdout, .. } => {
                writeln!(stdin, "{};\nSELECT '@@';", sql.replace('\n', " ")).unwrap();
                stdin.flush().unwrap();
                let mut lines = Vec::new();
                loop {
                    let mut line = String::new();
                    assert!(stdout.read_line(&mut line).unwrap() > 0, "the client ended: {lines:?}");
                    match line.trim_end_matches('\n') {
                        "@@" => break,
                        line => lines.push(line.replace('\t', "|")),
                    }
                }
                match lines.iter().find(|line| line.starts_with("ERROR")) {
                    Some(error) => Err(error.clone()),
                    None => Ok(lines),
                }
            }
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        if let Self::Program { child, .. } = self {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
